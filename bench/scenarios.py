"""What is measured. Each scenario takes a side and returns its numbers, in seconds and bytes.

Theory of operation: a side is agent-host, run as a user runs it with a servers.toml in an empty
folder, or the plain loop of baseline.py. Both talk to the same fake model and start the same fake
servers; every number is taken in the same way from both: by the kernel's accounting of the
process, or by the clock of the fake model. Host time of a tool round is the time from the last
byte of an answer to the first byte of the next request, less the server's own time.
"""

import json
import statistics
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from processes import BENCH, Asked, Model, Outcome, ours, run

Numbers = dict[str, float]

CONFIG = """\
model = "bench"
[models.bench]
adapter = "openai-chat"
base_url = "{url}/v1"
api_key = "none"
model = "{plan}"
[limits]
max_turns = 1000
max_tool_calls = 10000
[policy]
default = "allow"
"""
SERVER = """\
[servers.s{number}]
command = {command}
args = {args}
trust_annotations = true
"""


class Side:
    """One of the two that are compared, in a folder of its own."""

    def __init__(self, name: str, folder: Path, model: Model) -> None:
        self.name = name
        self.folder = folder
        self.model = model
        folder.mkdir()

    @property
    def is_ours(self) -> bool:
        return self.name == "ours"

    def once(self, *arguments: str) -> Outcome:
        """The program with these arguments and nothing else."""
        own = ours() if self.is_ours else [sys.executable, str(BENCH / "baseline.py")]
        return run([*own, *arguments], self.folder)

    def run(
        self, plan: str, servers: list[list[str]], *, warm: bool = False
    ) -> tuple[Outcome, list[Asked]]:
        """A whole one-shot run; `warm` keeps the servers.lock of the run before."""
        command = self.prepare(plan, servers, warm=warm)
        self.model.asked()
        outcome = run(command, self.folder, self.model.watch)
        return outcome, self.model.asked()

    def prepare(self, plan: str, servers: list[list[str]], *, warm: bool = False) -> list[str]:
        """Write what the side reads, and return its command."""
        if not self.is_ours:
            script = str(BENCH / "baseline.py")
            commands = [json.dumps(server) for server in servers]
            return [sys.executable, script, "run", f"{self.model.url}/v1", plan, *commands]
        config = CONFIG.format(url=self.model.url, plan=plan)
        for number, (program, *args) in enumerate(servers):
            config += SERVER.format(
                number=number, command=json.dumps(program), args=json.dumps(args)
            )
        (self.folder / "servers.toml").write_text(config)
        if not warm:
            (self.folder / "servers.lock").unlink(missing_ok=True)
        options = ["--trust", "--approve", "all", "--output", "text"]
        return [*ours(), "run", "Do what you were made for.", *options]


def server(*options: str) -> list[str]:
    return [sys.executable, str(BENCH / "fake_mcp.py"), *options]


def plan(rounds: int, tokens: int = 8, **more: object) -> str:
    parts = {"rounds": rounds, "tokens": tokens} | more
    return ".".join(f"{key}-{value}" for key, value in parts.items())


def start(side: Side) -> Numbers:
    """`--help` and `--version`; the plain way's only counterpart is a help text after imports."""
    shown = side.once("--help")
    version = side.once("--version" if side.is_ours else "--help")
    return {
        "help_cpu": shown.cpu,
        "help_wall": shown.wall,
        "version_cpu": version.cpu,
        "version_wall": version.wall,
    }


def oneshot(side: Side) -> Numbers:
    """One server, one call, a short answer; the first time, and with a warm lock."""
    cold, cold_asked = side.run(plan(1), [server()])
    numbers = {
        "first_cold": cold_asked[0].came - cold.started,
        "first_cpu_cold": cold_asked[0].cpu,
        "wall_cold": cold.wall,
        "cpu": cold.cpu,
        "peak_rss": cold.peak_rss,
    }
    if side.is_ours:
        warm, warm_asked = side.run(plan(1), [server()], warm=True)
        return numbers | {
            "first_warm": warm_asked[0].came - warm.started,
            "first_cpu_warm": warm_asked[0].cpu,
            "wall_warm": warm.wall,
            "cpu_warm": warm.cpu,
        }
    same = {"first_warm": "first_cold", "first_cpu_warm": "first_cpu_cold"}
    same |= {"wall_warm": "wall_cold", "cpu_warm": "cpu"}
    return numbers | {warm_key: numbers[key] for warm_key, key in same.items()}


def rounds(side: Side) -> Numbers:
    """200 tool rounds of one read-only call each."""
    busy = side.folder / "busy"
    _, asked = side.run(plan(200), [server("--busy", str(busy))])
    gaps = [later.came - earlier.left for earlier, later in pairwise(asked)]
    used = [later.cpu - earlier.cpu for earlier, later in pairwise(asked)]
    assert len(gaps) == 200, f"{len(gaps)} rounds instead of 200"
    own = float(busy.read_text()) / len(gaps)
    return {
        "round_first": statistics.median(gaps[:20]) - own,
        "round_last": statistics.median(gaps[-20:]) - own,
        "round_cpu_first": statistics.median(used[:20]),
        "round_cpu_last": statistics.median(used[-20:]),
    }


def parallel(side: Side) -> Numbers:
    """Eight calls of half a second in one turn, on one server."""
    _, asked = side.run(plan(1, calls=8, tool="sleep", seconds="0_5"), [server()])
    return {"parallel": asked[1].came - asked[0].left}


def servers(side: Side) -> Numbers:
    """Ten servers that take 0.3 s each to initialize, against one that takes no time."""
    one, one_asked = side.run(plan(0), [server()])
    slow = [server("--initialize-delay", "0.3") for _ in range(10)]
    ten, ten_asked = side.run(plan(0), slow)
    first = ten_asked[0].came - ten.started
    return {"ten_first": first, "ten_delay": first - (one_asked[0].came - one.started)}


def tokens(side: Side) -> Numbers:
    """CPU of a streamed answer of 20,000 pieces, above that of one of 8."""
    few, _ = side.run(plan(0, 8), [server()])
    many, _ = side.run(plan(0, 20_000), [server()])
    return {"tokens": many.cpu - few.cpu}


def conversations(side: Side) -> Numbers:
    """100 conversations of 5 rounds at once in one process, connected before the clock starts."""
    count, what = 100, plan(5)
    if side.is_ours:
        side.prepare(what, [server()])
        script, arguments = "conversations.py", [str(count)]
    else:
        script = "baseline.py"
        arguments = ["many", f"{side.model.url}/v1", what, str(count), json.dumps(server())]
    outcome = run([sys.executable, str(BENCH / script), *arguments], side.folder)
    return {"conversations": count / float(outcome.output.split()[-1])}


SCENARIOS: dict[str, tuple[Callable[[Side], Numbers], int]] = {
    "start": (start, 9),
    "oneshot": (oneshot, 7),
    "rounds": (rounds, 3),
    "parallel": (parallel, 3),
    "servers": (servers, 3),
    "tokens": (tokens, 5),
    "conversations": (conversations, 3),
}
"""What can be measured, and how often each side is."""
