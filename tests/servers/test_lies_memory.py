"""What a server sends never fills the host's memory: measured in a host of its own, against one
whose server is honest."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.fakes.hostile_http import serving

ROOT = Path(__file__).parents[2]
MOST = 100 * 1024
"""KiB more than with an honest server."""


def measured(kind, what):
    command = [sys.executable, "-m", "tests.fakes.measured_host", kind, what]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def usual():
    outcome = measured("stdio", "")
    assert outcome["error"] is None
    return outcome["kib"]


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("hundred_megabytes", "tool_error"),
        ("unterminated", "tool_error"),
        ("huge_error", "tool_error"),
        ("batch_flood", None),
        ("blank_lines", None),
        ("stderr_flood", None),
        ("elicitation_flood", None),
        ("progress_flood", None),
    ],
)
def test_a_call_however_it_floods_the_host_leaves_its_memory_as_it_was(mode, error):
    outcome = measured("stdio", mode)
    assert outcome["error"] == error, outcome
    assert outcome["kib"] - usual() < MOST


@pytest.mark.parametrize("mode", ["tools:fifty_thousand", "tools:fat_pages", "init_long"])
def test_what_a_server_lists_leaves_the_hosts_memory_as_it_was(mode):
    outcome = measured("stdio", mode)
    assert outcome["kib"] - usual() < MOST


@pytest.mark.parametrize(
    "mode",
    ["body_without_end", "event_without_end", "lines_without_end", "error_without_end",
     "deflated", "bomb", "many_headers", "huge_header"],
)  # fmt: skip
def test_what_comes_over_http_leaves_the_hosts_memory_as_it_was(mode):
    with serving(mode) as server:
        outcome = measured("http", server.url)
    assert outcome["error"] is not None, outcome
    assert outcome["kib"] - usual() < MOST
