"""The harness measures what it says; no test here judges a clock."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"


def measure(side: str, *scenarios: str) -> dict[str, float]:
    command = [sys.executable, str(BENCH / "run.py"), "--json", "--turns", "1", "--sides", side]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(
        [*command, "--only", *scenarios],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # 1 only says that a bar was missed, which a busy machine may do.
    assert done.returncode in {0, 1}, done.stderr
    numbers: dict[str, float] = json.loads(done.stdout)[side]
    return numbers


@pytest.mark.parametrize("side", ["ours", "baseline"])
def test_a_one_shot_run_is_measured_from_its_start_over_its_first_request_to_its_end(
    side: str,
) -> None:
    numbers = measure(side, "oneshot")
    assert 0 < numbers["first_cold"] < numbers["wall_cold"]
    assert 0 < numbers["first_warm"] < numbers["wall_warm"]
    assert numbers["cpu"] > 0
    assert 5e6 < numbers["peak_rss"] < 1e9


def test_calls_of_one_turn_are_seen_to_run_side_by_side() -> None:
    assert 0.5 <= measure("ours", "parallel")["parallel"] < 8 * 0.5


def test_decisions_of_policy_are_counted_and_the_plain_way_has_none() -> None:
    numbers = measure("ours", "decisions")
    assert min(numbers["spread"], numbers["worst"]) > 0
    assert measure("baseline", "decisions") == {}
