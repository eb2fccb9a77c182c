"""How long it takes to list, index and search ten thousand transcripts.

Theory of operation: each transcript is what a short talk leaves (about ten records, words drawn
from a fixed list by a fixed seed), written as text. Then the functions are timed in this process,
and the program itself as a process; the least of five times is taken, since all else is the
machine's.
    python bench/transcripts.py [RUNS]
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent_host.records.index import Index
from agent_host.records.index_search import Filters, search
from agent_host.records.looked_for import looked_for

RUNS = 10_000
_AT = "2026-11-25T12:00:00.000000Z"
_SYLLABLES = ("ba", "co", "der", "fil", "gan", "hol", "ir", "jun", "kes", "lo", "mar", "nit")


def write(folder: Path, runs: int) -> int:
    """Write so many transcripts; return their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(7)  # no secret
    words = [a + b + c for a in _SYLLABLES for b in _SYLLABLES for c in _SYLLABLES]
    size = 0
    for number in range(runs):
        run_id = f"01KAP4{number:020d}"
        lines = []
        for seq, event in enumerate(_events(chance, words, run_id)):
            record = {"schema": 1, "run_id": run_id, "seq": seq, "at": _AT, "event": event}
            lines.append(json.dumps(record, separators=(",", ":")) + "\n")
        text = "".join(lines)
        (folder / f"{run_id}.jsonl").write_text(text, encoding="utf-8")
        size += len(text)
    return size


def _events(chance: random.Random, words: list[str], run_id: str) -> list[dict[str, object]]:
    def message(role: str, count: int) -> dict[str, object]:
        text = " ".join(chance.choices(words, k=count)) + " order"
        return {"role": role, "content": [{"type": "text", "text": text}]}

    model: dict[str, object] = {"provider": "offline", "model": "offline"}
    events: list[dict[str, object]] = [
        {
            "type": "run_started",
            "run_id": run_id,
            "principal": {"id": f"user{chance.randrange(50)}", "authenticated_by": "os"},
            "adapter": "offline",
            **model,
        }
    ]
    for turn in range(3):
        usage: dict[str, object] = {"input_tokens": 100, "output_tokens": 60}
        asked: dict[str, object] = {"type": "model_requested", "request_id": f"r{turn}", **model}
        answered: dict[str, object] = {
            "type": "model_responded",
            "request_id": f"r{turn}",
            "usage": usage,
        }
        events += [
            {"type": "user_said", "message": message("user", 20)},
            asked,
            {**answered, "message": message("assistant", 80), "stop_reason": "end_turn"},
        ]
    return events


def least(times: int, work: Callable[[], object]) -> float:
    """Return the least seconds of so many times."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def main(runs: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder, place = root / "transcripts", root / "state" / "index.db"
        size = write(folder, runs)
        print(f"{runs:,} transcripts, {size / 1e6:,.0f} MB")
        index = Index(folder, place)
        print(f"first indexing     {least(1, index.refresh):8.2f} s")
        print(f"index              {place.stat().st_size / 1e6:8.1f} MB")
        print(f"nothing new        {least(5, index.refresh):8.3f} s")
        for words in (
            ["order"],
            ["bacoder"],
            ["bacoder", "marnitlo"],
            ['"bacoder order"'],
            ["jun*"],
        ):
            wanted = looked_for(words)
            took = least(5, partial(search, index, wanted, Filters(), 20))
            total = search(index, wanted, Filters(), 20)[1]
            print(f"search {' '.join(words):<20} {took:8.3f} s  ({total:,} runs)")
        index.close()
        _commands(root, folder)


def _commands(root: Path, folder: Path) -> None:
    environ = {
        **os.environ,
        "AGENT_HOST_TRANSCRIPTS": str(folder),
        "AGENT_HOST_STATE": str(root / "state2"),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    for arguments in (["list"], ["search", "bacoder"], ["search", "bacoder", "--user", "user7"]):
        command = [sys.executable, "-m", "agent_host", "transcripts", *arguments]

        def run(command: list[str] = command) -> None:
            subprocess.run(command, env=environ, cwd=root, capture_output=True, check=False)

        first, again = least(1, run), least(5, run)
        print(f"transcripts {' '.join(arguments):<28} first {first:6.2f} s, again {again:6.3f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
