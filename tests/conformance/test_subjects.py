"""Who is under test: every adapter that is built in, and any that a package brings."""

import os
import re
import subprocess
import sys
from pathlib import Path

from agent_host.profiles.adapters import BUILT_IN
from tests.conformance.subjects import SUBJECTS

ROOT = Path(__file__).parents[2]


def test_every_adapter_that_is_built_in_is_under_test() -> None:
    if "AGENT_HOST_SUBJECTS" not in os.environ:
        assert {s.name for s in SUBJECTS} >= set(BUILT_IN)


def test_the_same_suite_runs_over_the_adapter_of_a_package() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/conformance/test_adapters.py", "-q", "-rA"],
        cwd=ROOT,
        env=os.environ | {"AGENT_HOST_SUBJECTS": "tests.fakes.plugin_subjects"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 5), done.stdout + done.stderr
    passed = re.findall(r"^PASSED .*\[(.*)\]$", done.stdout, re.MULTILINE)
    assert passed
    assert all("a plugin's" in name for name in passed)
