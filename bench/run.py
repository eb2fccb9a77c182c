"""Measure agent-host beside the plain way, in one run, and say which bars it meets.

    python bench/run.py                         everything, as a table
    python bench/run.py --only oneshot tokens   some scenarios
    python bench/run.py --sides baseline        one side
    python bench/run.py --wires anthropic       some wires
    python bench/run.py --json | --write        as JSON; also into bench/RESULTS.md

Theory of operation: the sides take turns (A B A B), so that what else the machine does hits both
alike; each number is the median of its turns. Absolute numbers belong to the machine, ratios
carry over. Everything is on loopback with a scripted model, so fixed costs look large beside a
real model's seconds. CPU of the asking process alone stands beside the times that other work on the
machine can stretch. What happens in every round is measured on each wire; the plain side, which
takes minutes there and which none of those bars looks at, only once. Exit status 1 when a bar is
missed.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from processes import BENCH, Model
from scenarios import NAMES, WIRES, Numbers, Side, on, scenarios

Bar = Callable[[Numbers, Numbers], tuple[str, bool | None]]
"""From both sides' numbers: the bar as text, and whether it is met (None: no bar, or no number)."""


def at_most(key: str, limit: float, text: str) -> Bar:
    return lambda own, _: (f"≤ {text}", own[key] <= limit if key in own else None)


def at_least(key: str, limit: float, text: str) -> Bar:
    return lambda own, _: (f"≥ {text}", own[key] >= limit if key in own else None)


def times(key: str, factor: float) -> Bar:
    """At most so many times the plain way's number of the same run."""

    def judge(own: Numbers, plain: Numbers) -> tuple[str, bool | None]:
        both = key in own and key in plain
        return f"≤ {factor} x plain", own[key] <= factor * plain[key] if both else None

    return judge


def flat(first: str, last: str) -> Bar:
    """The last rounds cost hardly more than the first."""

    def judge(own: Numbers, _: Numbers) -> tuple[str, bool | None]:
        return "≤ 1.3 x the first", own[last] <= 1.3 * own[first] if first in own else None

    return judge


def no_bar(_own: Numbers, _plain: Numbers) -> tuple[str, bool | None]:
    return "", None


@dataclass(frozen=True)
class Row:
    """A line of the table; numbers are shown times `scale`."""

    key: str
    title: str
    unit: str
    scale: float
    bar: Bar = no_bar


def rows_of(wire: str) -> list[Row]:
    """The lines of one wire."""
    first, last = on("round_first", wire), on("round_last", wire)
    tokens, many = on("tokens", wire), on("conversations", wire)
    return [
        Row(first, on("a round, first 20 of 200", wire), "ms", 1e3, at_most(first, 0.004, "4 ms")),
        Row(last, on("a round, last 20 of 200", wire), "ms", 1e3, flat(first, last)),
        Row(on("round_cpu_first", wire), on("CPU of a round, first 20", wire), "ms", 1e3),
        Row(on("round_cpu_last", wire), on("CPU of a round, last 20", wire), "ms", 1e3),
        Row(
            tokens,
            on("20,000 tokens above 8, CPU", wire),
            "ms",
            1e3,
            at_most(tokens, 0.4, "400 ms"),
        ),
        Row(many, on("100 conversations of 5 rounds", wire), "/s", 1, at_least(many, 50, "50 /s")),
    ]


ROWS = [
    Row("help_cpu", "--help, CPU", "ms", 1e3, at_most("help_cpu", 0.060, "60 ms")),
    Row("help_wall", "--help, wall", "ms", 1e3),
    Row("version_cpu", "--version, CPU", "ms", 1e3, at_most("version_cpu", 0.060, "60 ms")),
    Row("version_wall", "--version, wall", "ms", 1e3),
    Row("first_cold", "first model request, no lock", "ms", 1e3, times("first_cold", 0.9)),
    Row("first_warm", "first model request, warm lock", "ms", 1e3, times("first_warm", 0.55)),
    Row("first_cpu_cold", "CPU until then, no lock", "ms", 1e3),
    Row("first_cpu_warm", "CPU until then, warm lock", "ms", 1e3),
    Row("wall_cold", "one-shot, wall, no lock", "ms", 1e3, times("wall_cold", 0.9)),
    Row("wall_warm", "one-shot, wall, warm lock", "ms", 1e3, times("wall_warm", 0.9)),
    Row("cpu", "one-shot, CPU, no lock", "ms", 1e3),
    Row("cpu_warm", "one-shot, CPU, warm lock", "ms", 1e3),
    Row("peak_rss", "one-shot, peak RSS", "MB", 1e-6, at_most("peak_rss", 100e6, "100 MB")),
    Row("parallel", "8 parallel calls of 0.5 s", "ms", 1e3, at_most("parallel", 0.6, "600 ms")),
    Row("ten_first", "first request, ten 0.3 s servers", "ms", 1e3),
    Row("ten_delay", "what the ten servers add", "ms", 1e3, at_most("ten_delay", 0.6, "600 ms")),
    Row("spread", "decisions, 100 rules", "/s", 1, at_least("spread", 10_000, "10,000 /s")),
    Row("worst", "the same, all of one tool", "/s", 1, at_least("worst", 10_000, "10,000 /s")),
    Row("language", "import of conditions", "ms", 1e3),
    Row("compiled", "100 rules read and compiled", "ms", 1e3),
    *(row for wire in WIRES for row in rows_of(wire)),
]
MARKS = {True: "met", False: "MISSED", None: ""}


def measure(
    only: list[str], wires: list[str], sides: list[str], turns: int | None
) -> dict[str, Numbers]:
    """Run the scenarios, the sides in turn; the medians by side."""
    medians: dict[str, Numbers] = {name: {} for name in sides}
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with Model() as model:
            both = [Side(name, folder / name, model) for name in sides]
            for name, (scenario, usual) in scenarios(only, wires):
                sys.stderr.write(f"{name} ...\n")
                seen: dict[str, list[Numbers]] = {side.name: [] for side in both}
                for turn in range(turns or max(usual)):
                    for side in both:
                        if turns or turn < (usual.ours if side.is_ours else usual.plain):
                            seen[side.name].append(scenario(side))
                for side_name, all_numbers in seen.items():
                    medians[side_name] |= {
                        key: statistics.median(numbers[key] for numbers in all_numbers)
                        for key in all_numbers[0]
                    }
    finally:
        shutil.rmtree(folder)
    return medians


def table(own: Numbers, plain: Numbers) -> str:
    """The rows that were measured, as Markdown."""
    lines = [
        "| what | agent-host | plain loop | ratio | bar | |",
        "|---|---:|---:|---:|---|---|",
    ]
    for row in ROWS:
        if row.key not in own and row.key not in plain:
            continue
        shown = [
            f"{side[row.key] * row.scale:.1f} {row.unit}" if row.key in side else "-"
            for side in (own, plain)
        ]
        both = row.key in own and plain.get(row.key)
        ratio = f"{own[row.key] / plain[row.key]:.2f}" if both else "-"
        text, met = row.bar(own, plain)
        lines.append(f"| {row.title} | {shown[0]} | {shown[1]} | {ratio} | {text} | {MARKS[met]} |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("mcp", "openai", "anthropic"))
    return (
        f"{os.cpu_count()} cores, {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.system()}, {packages}"
    )


def main() -> int:
    """Measure as the command line says; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--wires", nargs="+", choices=list(WIRES), default=list(WIRES))
    parser.add_argument(
        "--sides", nargs="+", choices=["ours", "baseline"], default=["ours", "baseline"]
    )
    parser.add_argument("--turns", type=int, help="how often each side is measured")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md too")
    options = parser.parse_args()
    try:
        medians = measure(options.only, options.wires, options.sides, options.turns)
    except RuntimeError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    own, plain = medians.get("ours", {}), medians.get("baseline", {})
    shown = table(own, plain)
    if options.json:
        sys.stdout.write(json.dumps({"machine": machine(), **medians}, indent=1) + "\n")
    else:
        sys.stdout.write(f"{machine()}\n\n{shown}")
    if options.write:
        text = f"# Results\n\nWritten by `python bench/run.py --write`. {machine()}.\n\n{shown}"
        (BENCH / "RESULTS.md").write_text(text, encoding="utf-8")
    missed = [row.title for row in ROWS if row.bar(own, plain)[1] is False]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
