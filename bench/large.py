"""How long a run of a gigabyte takes to be listed, searched, shown, exported and gone on with, and
in how much memory.

Theory of operation: the transcript is what a run of many weeks leaves: rounds in which the user
asks, the model calls a tool whose result is long, and the model answers; every so often the
conversation is compacted. It is written as text from one round, because making each record would
take minutes. Then the program itself is run on it, as a process whose memory is measured.
    python bench/large.py [MEGABYTES]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RUN_ID = "01KAP4ZZZZ0000000000000000"
RESULT = 40_000
"""Characters of a result of a tool."""

EVERY = 25
"""Rounds between two compactions."""

CONFIG = 'model = "actor"\n[models.actor]\nadapter = "script"\npath = "script.toml"\n'
SCRIPT = '[[turn]]\nsay = "Here I am again."\n'

_AT = "2026-11-25T12:00:00.000000Z"
_ORIGIN = {"provider": "offline", "model": "offline", "adapter": "offline"}
_WORDS = "the order of the customer was shipped on monday and is on its way to the port; "


def _text(text: str) -> dict[str, object]:
    return {"type": "text", "text": text, "opaque": None}


def _round() -> list[dict[str, object]]:
    """The events of a round; @N@ stands for its number."""
    result = (_WORDS * (RESULT // len(_WORDS) + 1))[:RESULT]
    call = {"type": "tool_call", "id": "call_@N@", "name": "orders__look"}
    asked = {"type": "model_requested", **_origin()}
    answered = {"type": "model_responded", "usage": {"input_tokens": 1000, "output_tokens": 50}}
    return [
        {"type": "user_said", "message": _message("user", _text("Look up order @N@."))},
        {**asked, "request_id": "request-@N@-a"},
        {
            **answered,
            "request_id": "request-@N@-a",
            "message": _message("assistant", {**call, "arguments": {"order": "@N@"}}),
            "stop_reason": "tool_use",
        },
        {"type": "policy_decided", "call_id": "call_@N@", "decision": "allow", "rule": "free"},
        {"type": "tool_started", "call_id": "call_@N@", "server": "orders", "tool": "look",
         "fingerprint": "f", "arguments": {"order": "@N@"}},
        {
            "type": "tool_finished",
            "result": {
                "type": "tool_result",
                "call_id": "call_@N@",
                "content": [_text(f"order @N@: {result}")],
            },
        },
        {**asked, "request_id": "request-@N@-b"},
        {
            **answered,
            "request_id": "request-@N@-b",
            "message": _message("assistant", _text("Order @N@ is on its way.")),
            "stop_reason": "end_turn",
        },
    ]  # fmt: skip


def _origin() -> dict[str, str]:
    return {"provider": "offline", "model": "offline"}


def _message(role: str, content: dict[str, object]) -> dict[str, object]:
    origin = _ORIGIN if role == "assistant" else None
    return {"role": role, "content": [content], "origin": origin}


def _lines() -> Iterator[bytes]:
    """Whole records, without end."""
    seq = 0

    def line(event: str) -> bytes:
        nonlocal seq
        text = f'{{"seq":{seq},"at":"{_AT}","run_id":"{RUN_ID}","event":{event}}}\n'
        seq += 1
        return text.encode("ascii")

    def dumped(event: object) -> str:
        return json.dumps(event, separators=(",", ":"))

    started = {"type": "run_started", "run_id": RUN_ID, "principal": {"id": "bench"}}
    yield line(dumped({**started, **_origin(), "adapter": "offline", "schema": 1}))
    events = [dumped(event) for event in _round()]
    number = 0
    while True:
        for event in events:
            yield line(event.replace("@N@", str(number)))
        number += 1
        if not number % EVERY:
            covered = 4 * number - 8
            compacted = {"type": "context_compacted", "messages": covered, "results": covered}
            yield line(dumped({**compacted, "summary": "Orders were looked up.", "by": "bench"}))


def write(folder: Path, megabytes: int) -> Path:
    """Write a config, a script and a transcript of that size into a folder; return the latter."""
    (folder / "servers.toml").write_text(CONFIG)
    (folder / "script.toml").write_text(SCRIPT)
    path = folder / "transcripts" / f"{RUN_ID}.jsonl"
    path.parent.mkdir(mode=0o700)
    left = megabytes * 1_000_000
    with path.open("wb", buffering=1 << 20) as file:
        for line in _lines():
            left -= file.write(line)
            if left <= 0 and b'"end_turn"' in line:
                return path
    raise AssertionError("unreachable")


@dataclass(frozen=True)
class Measured:
    """A command that has ended: its exit status, what it said, seconds, those of a processor, and
    megabytes at most."""

    status: int
    said: str
    seconds: float
    cpu: float
    megabytes: float


def measure(folder: Path, *arguments: str) -> Measured:
    """Run `agent-host` with these arguments in a folder, which is the home as well."""
    began = time.perf_counter()
    environment = {**os.environ, "HOME": str(folder), "AGENT_HOST_STATE": str(folder / "state")}
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent_host", *arguments],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - began
        out.seek(0)
        said = out.read(100_000).decode("utf-8", "replace")
    cpu = used.ru_utime + used.ru_stime
    return Measured(process.returncode, said, took, cpu, used.ru_maxrss / 1000)


COMMANDS = (
    ("transcripts", "list"),
    ("transcripts", "list"),
    ("transcripts", "search", "monday"),
    ("transcripts", "show", "last"),
    ("transcripts", "show", "last", "--json"),
    *(
        ("transcripts", "export", "last", "--format", form, "-o", "exported", "--force")
        for form in ("md", "html", "json", "openai", "anthropic")
    ),
    ("run", "--resume", "last", "Where are we?"),
)


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), size)
        print(f"a transcript of {path.stat().st_size / 1e6:,.0f} MB")
        for command in COMMANDS:
            done = measure(Path(folder), *command)
            words = " ".join(command)
            print(f"{words[:50]:50} {done.seconds:7.2f} s {done.megabytes:8,.0f} MB", end="")
            print("" if done.status == 0 else f"  exit status {done.status}: {done.said[-300:]}")


if __name__ == "__main__":
    main()
