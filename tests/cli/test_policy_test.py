import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agent_host.core.errors import ExitStatus
from tests.cli.policies import write

CASES = """
[[cases]]
name = "a small refund runs"
server = "crm"
tool = "refund"
args = { order = "1", amount = 20 }
expect = "allow"
rule = "small"

[[cases]]
name = "unless the day was expensive"
server = "crm"
tool = "refund"
args = { order = "1", amount = 20 }
totals = { refunds = 290.0 }
expect = "ask"
rule = "default"

[[cases]]
name = "a big one takes a boss"
server = "crm"
tool = "refund"
args = { order = "1", amount = 250 }
user = "ann"
at = 2026-03-01T10:00:00Z
expect = "ask"
rule = "big"
approvers = ["boss"]
approvals = 1
self_approval = false
"""
ROOT = Path(__file__).parents[2]


def cases(project, text=CASES):
    write(project)
    (project / "cases.toml").write_text(text)


def test_cases_that_come_out_as_expected_end_with_0(cli, project):
    cases(project)
    done = cli("policy", "test", "cases.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ok     a small refund runs",
        "ok     unless the day was expensive",
        "ok     a big one takes a boss",
        "3 cases: 3 as expected, 0 not",
    ]


def test_a_difference_is_told_with_all_that_led_to_the_answer(here, project):
    cases(project, CASES.replace('rule = "big"', 'rule = "small"').replace('["boss"]', '["chief"]'))
    done = here("policy", "test", "cases.toml")
    assert done.returncode == ExitStatus.FAILED
    assert [line.strip() for line in done.stdout.splitlines()[2:]] == [
        "FAILED a big one takes a boss",
        "cases.toml:19",
        'expected of rule "small", got it of rule "big"',
        "expected approvers chief, got boss",
        "decided: big (servers.toml:20): over 100",
        (
            '"small" (servers.toml:14) is not matched: `args.amount <= 100 && '
            'total_after("refunds") <= 300` is false'
        ),
        "3 cases: 2 as expected, 1 not",
    ]
    (failed,) = (
        one for one in json.loads(here("policy", "test", "cases.toml", "--json").stdout)
        if not one["ok"]
    )  # fmt: skip
    assert (failed["where"], failed["decision"], failed["rule"]) == ("cases.toml:19", "ask", "big")


def test_a_rule_that_is_gone_and_arguments_that_never_come_to_policy_are_told(here, project):
    cases(project, CASES.replace('rule = "big"', 'rule = "bgi"').replace('order = "1", a', "a"))
    out = here("policy", "test", "cases.toml").stdout
    assert 'there is no rule "bgi"' in out
    assert "note: no such call comes to policy: The arguments do not match" in out


def test_junit_is_what_ci_reads(here, project):
    cases(project, CASES.replace('expect = "allow"', 'expect = "deny"').replace("a small", "<&>"))
    assert here("policy", "test", "cases.toml", "--junit", "out.xml").returncode == 1
    suite = ET.parse(project / "out.xml").getroot()  # our own
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    (failure,) = suite.iter("failure")
    assert failure.get("message") == "expected deny, got allow"
    assert next(case.get("name") for case in suite) == "<&> refund runs"
    done = here("policy", "test", "cases.toml", "--junit", "no/such/out.xml")
    assert done.returncode == ExitStatus.USAGE
    assert "cannot be written" in done.stderr


def test_cases_do_not_depend_on_what_was_counted(here, project, tmp_path):
    cases(project)
    state = tmp_path / "state"
    state.mkdir()
    (state / "state.db").write_bytes(b"no database")
    done = here("policy", "test", "cases.toml", AGENT_HOST_STATE=str(state))
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cases.toml:1: there is no [[cases]] table"),
        (CASES + 'expekt = "x"', 'unknown key "expekt" in a case; did you mean "expect"?'),
        (CASES.replace('"allow"', '"allowed"'), 'cases.toml:7: expect has to be "allow", "ask"'),
        (CASES.replace('server = "crm"\n', "", 1), 'cases.toml:2: a case needs the key "server"'),
        (CASES.replace("290.0", '"x"'), "cases.toml:15: totals has to be a table of numbers"),
        (CASES.replace("refunds = 290.0", "refundz = 2.0"), 'there is no total "refundz"'),
        (CASES.replace("2026-03-01T10:00:00Z", '"noon"'), "at has to be a time"),
        (CASES.replace("a small refund runs", "a big one takes a boss"), "is that of case 1 too"),
        ("[other]\n" + CASES, 'cases.toml:1: unknown key "other"'),
        (CASES.replace("crm", "cmr", 1), 'cases.toml:2: there is no server "cmr"'),
        ("[[cases]", "cases.toml:1:8: invalid TOML"),
    ],
)
def test_a_file_of_cases_is_read_strictly(here, project, text, told):
    cases(project, text)
    done = here("policy", "test", "cases.toml")
    assert done.returncode == ExitStatus.USAGE
    assert told in done.stderr


def test_a_file_that_is_not_there_is_said(here, project):
    write(project)
    done = here("policy", "test", "none.toml")
    assert done.returncode == ExitStatus.USAGE
    assert done.stderr.startswith("agent-host: none.toml: cannot be read")


def test_the_example_of_the_docs_holds_for_its_own_rules(here, project):
    for name, copy in (
        ("docs/examples/refunds.toml", "servers.toml"),
        ("docs/examples/refunds.cases.toml", "cases.toml"),
        ("servers.lock", "servers.lock"),
    ):
        (project / copy).write_bytes((ROOT / name).read_bytes())
    done = here("policy", "test", "cases.toml")
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    assert "note:" not in done.stdout
    assert done.stdout.endswith("6 cases: 6 as expected, 0 not\n")
    done = here("policy", "check", "--strict")
    assert done.returncode == 0, done.stdout
