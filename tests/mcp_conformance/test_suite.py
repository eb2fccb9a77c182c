"""The host passes the official client suite, by its real connections and whole: each scenario,
each check, nothing skipped, nothing expected to fail."""

import pytest

from tests.mcp_conformance.suite import (
    EVERY_RUN,
    NOT_IN_THE_PROTOCOL,
    REFUSED,
    REQUIRED,
    REQUIRED_RUNS,
    SCENARIOS,
    Run,
    listed,
)


def named(run: Run) -> str:
    return f"{run.scenario}@{run.wire}"


def test_no_scenario_of_the_suite_is_missing_here():
    known = [name for names in SCENARIOS.values() for name in names]
    assert len(known) == 48
    assert sorted(listed()) == sorted(known)


@pytest.mark.parametrize("revision", REQUIRED)
def test_no_requirement_of_a_revision_is_missing_here(revision):
    assert sorted(listed("--requirements", revision)) == sorted(REQUIRED[revision])


@pytest.mark.parametrize("run", EVERY_RUN, ids=named)
def test_every_check_of_a_scenario_is_made_and_succeeds(run, runs):
    assert_passed(run, runs.outcome(run))


@pytest.mark.parametrize("run", REQUIRED_RUNS, ids=named)
def test_what_a_revision_requires_of_a_client_is_done_at_that_revision(run, runs):
    assert_passed(run, runs.outcome(run))


def assert_passed(run, outcome):
    assert outcome.wrong() == NOT_IN_THE_PROTOCOL.get(run, []), outcome.said
    assert outcome.made() > 0, outcome.said
    assert outcome.code == (run.scenario in REFUSED), outcome.said
