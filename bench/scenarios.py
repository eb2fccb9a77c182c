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
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from processes import BENCH, Asked, Model, Outcome, ours, run

Numbers = dict[str, float]

WIRES = {"openai-chat": "/v1", "openai-responses": "/v1", "anthropic": ""}
"""The adapter of each wire -> what its base URL ends with."""
USUAL = "openai-chat"

CONFIG = """\
model = "bench"
[models.bench]
adapter = "{wire}"
base_url = "{url}"
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
        self, plan: str, servers: list[list[str]], *, warm: bool = False, wire: str = USUAL
    ) -> tuple[Outcome, list[Asked]]:
        """A whole one-shot run; `warm` keeps the servers.lock of the run before."""
        command = self.prepare(plan, servers, warm=warm, wire=wire)
        self.model.asked()
        outcome = run(command, self.folder, self.model.watch)
        return outcome, self.model.asked()

    def prepare(
        self, plan: str, servers: list[list[str]], *, warm: bool = False, wire: str = USUAL
    ) -> list[str]:
        """Write what the side reads, and return its command."""
        if not self.is_ours:
            script = str(BENCH / "baseline.py")
            commands = [json.dumps(server) for server in servers]
            return [sys.executable, script, "run", wire, self.model.url, plan, *commands]
        config = CONFIG.format(wire=wire, url=f"{self.model.url}{WIRES[wire]}", plan=plan)
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


def rounds(side: Side, wire: str) -> Numbers:
    """200 tool rounds of one read-only call each."""
    busy = side.folder / "busy"
    _, asked = side.run(plan(200), [server("--busy", str(busy))], wire=wire)
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


def tokens(side: Side, wire: str) -> Numbers:
    """CPU of a streamed answer of 20,000 pieces, above that of one of 8."""
    few, _ = side.run(plan(0, 8), [server()], wire=wire)
    many, _ = side.run(plan(0, 20_000), [server()], wire=wire)
    assert len(many.output.split()) == 20_000, f"{len(many.output.split())} words"
    return {"tokens": many.cpu - few.cpu}


def conversations(side: Side, wire: str) -> Numbers:
    """100 conversations of 5 rounds at once in one process, connected before the clock starts."""
    count, what = 100, plan(5)
    if side.is_ours:
        side.prepare(what, [server()], wire=wire)
        script, arguments = "conversations.py", [str(count)]
    else:
        script = "baseline.py"
        arguments = ["many", wire, side.model.url, what, str(count), json.dumps(server())]
    outcome = run([sys.executable, str(BENCH / script), *arguments], side.folder)
    return {"conversations": count / float(outcome.output.split()[-1])}


def decisions(side: Side) -> Numbers:
    """Decisions of policy a second, with 100 rules; the plain way has no policy."""
    if not side.is_ours:
        return {}
    outcome = run([sys.executable, str(BENCH / "decisions.py")], side.folder)
    return {key: float(value) for key, value in map(str.split, outcome.output.splitlines())}


def on(key: str, wire: str) -> str:
    """The name of a number that is taken on each wire."""
    return f"{key} ({wire})"


def on_wire(scenario: Callable[[Side, str], Numbers], wire: str) -> Callable[[Side], Numbers]:
    """A scenario of one wire."""
    return lambda side: {on(key, wire): value for key, value in scenario(side, wire).items()}


class Turns(NamedTuple):
    """How often each side is measured."""

    ours: int
    plain: int


Scenario = tuple[Callable[[Side], Numbers], Turns]
ALONE: dict[str, Scenario] = {
    "start": (start, Turns(9, 9)),
    "oneshot": (oneshot, Turns(7, 7)),
    "parallel": (parallel, Turns(3, 3)),
    "servers": (servers, Turns(3, 3)),
    "decisions": (decisions, Turns(3, 1)),
}
"""What is measured on one wire only."""
ON_EACH: dict[str, tuple[Callable[[Side, str], Numbers], Turns]] = {
    "rounds": (rounds, Turns(3, 1)),
    "tokens": (tokens, Turns(3, 3)),
    "conversations": (conversations, Turns(3, 1)),
}
"""What is measured on each wire. No bar of these looks at the plain way, which is slow there."""
NAMES = (*ALONE, *ON_EACH)


def scenarios(names: Sequence[str], wires: Sequence[str]) -> Iterator[tuple[str, Scenario]]:
    """The scenarios of these names, those that are measured on each wire on these."""
    for name in names:
        if name in ALONE:
            yield name, ALONE[name]
            continue
        scenario, turns = ON_EACH[name]
        for wire in wires:
            yield on(name, wire), (on_wire(scenario, wire), turns)
