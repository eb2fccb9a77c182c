"""What holds for every test."""

import atexit
import os
import shutil
import sys
import tempfile
import threading

import pytest
from hypothesis import HealthCheck, settings

# No test may fail because the machine was slow.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Sessions in this process keep what all runs share (state.db, the audit log) out of the user's own.
_STATE = tempfile.mkdtemp(prefix="agent-host-tests-")
os.environ["AGENT_HOST_STATE"] = _STATE
atexit.register(shutil.rmtree, _STATE, ignore_errors=True)

UNMEASURED = (
    "attacks/",
    "bench/",
    "conformance/test_cuts.py",
    "faults/",
    "login_real/",
    "models/test_anthropic_stream.py::test_a_stream_split_at_any_byte",
    "models/test_chat_stream.py::test_a_stream_split_at_any_byte",
    "models/test_responses_stream.py::test_a_stream_split_at_any_byte",
    "models/test_schema_corpus.py",
    "properties/",
    "records/test_detect.py::test_no_text_takes_more_than_linear_time",
    "screens/",
    "servers/test_lies_memory.py",
    "servers/test_lies_texts.py",
    "test_docs.py",
)
"""What runs the same lines thousands of times, or all of the program for a fault of one line: the
tests of these lines measure them, and coverage would double the time of these."""

LONGEST = (
    "screens/",
    "mcp_conformance/test_suite.py",
    "journeys/test_inputs.py",
    "journeys/test_approvals.py",
    "journeys/test_secrets.py",
    "journeys/test_context.py",
    "properties/",
    "faults/",
    "login_real/",
    "cli/test_organisation.py",
    "journeys/",
    "cli/",
    "servers/",
    "attacks/",
)
"""What goes first, so that nothing long is left to one processor at the end."""


def pytest_collection_modifyitems(items):
    items.sort(key=_place)


def _place(item):
    name = item.nodeid.removeprefix("tests/")
    return next((n for n, long in enumerate(LONGEST) if name.startswith(long)), len(LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Without coverage, also of what is started, for what is in `UNMEASURED`."""
    if not item.nodeid.removeprefix("tests/").startswith(UNMEASURED):
        return (yield)
    here, threads = sys.gettrace(), threading.gettrace()
    names = [name for name in os.environ if name.startswith("COVERAGE_")]
    kept = {name: os.environ.pop(name) for name in names}
    threading.settrace(None)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(here)
        threading.settrace(threads)
        os.environ.update(kept)
