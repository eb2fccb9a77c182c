import json
import sqlite3
from pathlib import Path

from agent_host.core.errors import ExitStatus
from tests.cli.policies import write


def rules(done):
    return {one["rule"]: one for one in json.loads(done.stdout)["rules"]}


def test_it_says_the_answer_which_rule_and_whose_yes_it_takes(cli, project):
    write(project)
    done = cli("policy", "explain", "crm", "refund", "amount=250", "order=1", "--user", "bob")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:8] == [
        "crm/refund: ask",
        "  rule    big (servers.toml:20)",
        "  reason  over 100",
        "  takes   one yes, of somebody with the role boss",
        "          not of the user for whom the run acts",
        "          within 1 day",
        "  user    bob (os), no roles",
        "  total   refunds: 0, 250 with this call",
    ]
    assert "-> big (ask, project): matched (servers.toml:20)" in done.stdout
    assert "     `args.amount > 1000` is false" in done.stdout


def test_json_has_every_rule_that_was_looked_at(here, project):
    write(project)
    found = rules(here("policy", "explain", "crm", "refund", "--json", "amount=50", "order=1"))
    assert found["small"]["decides"] is True
    assert (found["big"]["state"], found["huge"]["state"]) == ("not matched", "not matched")
    found = rules(here("policy", "explain", "crm", "send", "--json"))
    assert found["small"]["state"] == "other tools"
    assert found["default"]["decides"] is True
    assert found["default"]["where"] == "servers.toml:7"


def test_what_is_undefined_is_said_with_the_reason(here, project):
    write(project)
    found = rules(here("policy", "explain", "crm", "refund", "--json", "order=1"))
    assert found["huge"]["state"] == "undefined"
    assert 'there is no "amount"; counts as matched' in found["huge"]["why"]
    assert found["small"]["why"].endswith("counts as not matched")
    for amount in ('"250"', "-5", "null", "[3]"):
        args = f'{{"order": "1", "amount": {amount}}}'
        done = here("policy", "explain", "crm", "refund", "--json", "--args", args)
        assert json.loads(done.stdout)["decision"] == "deny", amount  # threat 44


def test_what_the_model_is_told_of_a_denied_call(here, project):
    write(project)
    done = here("policy", "explain", "crm", "refund", "amount=5000", "order=1")
    assert (
        "  model   is told: not executed: policy denies this call (rule huge): nobody refunds that"
    ) in done.stdout


def test_circumstances_can_be_said(here, project):
    night = (
        '[[policy.rules]]\nid = "night"\neffect = "deny"\nwhen = "now.getHours() < 6"\n'
        '[[policy.rules]]\nid = "dear"\neffect = "deny"\nwhen = "run.cost > 1.0"\n'
        '[[policy.rules]]\nid = "junior"\neffect = "deny"\nwhen = \'"junior" in user.roles\'\n'
        '[[policy.rules]]\nid = "alone"\neffect = "deny"\nwhen = "!run.interactive"\n'
        '[[policy.rules]]\nid = "team"\neffect = "deny"\n'
        "when = 'has(user.claims.team) && user.claims.team == \"x\"'\n"
    )
    write(project, f"[policy]\n{night}")

    def decided(*more):
        done = here("policy", "explain", "crm", "send", "--json", *more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["rule"]

    day = ("--at", "2026-03-01T12:00:00Z")
    assert decided(*day) == "default"
    assert decided("--at", "2026-03-01T03:00:00+00:00") == "night"
    assert decided(*day, "--cost", "2") == "dear"
    assert decided(*day, "--role", "junior") == "junior"
    assert decided(*day, "--unattended") == "alone"
    assert decided(*day, "--claims", '{"team": "x"}') == "team"
    assert decided(*day, "--label", "private", "--label", "untrusted") == "flow"


def test_roles_of_the_files_count_for_the_user_who_is_named(here, project):
    write(project)
    done = here("policy", "explain", "crm", "send", "--user", "ann", "--json")
    assert json.loads(done.stdout)["user"] == {"id": "ann", "roles": ["boss"]}


def test_a_total_can_be_said_and_is_else_read_from_state(here, project, tmp_path):
    write(project)
    ask = ("policy", "explain", "crm", "refund", "amount=50", "order=1")
    assert "crm/refund: ask" in here(*ask, "--total", "refunds=290").stdout
    assert "refunds: 290, 340 with this call" in here(*ask, "--total", "refunds=290").stdout
    done = here(*ask, "--total", "refundz=290")
    assert done.returncode == ExitStatus.USAGE
    assert 'there is no total "refundz"; did you mean "refunds"?' in done.stderr
    assert here(*ask, "--total", "refunds=x").returncode == ExitStatus.USAGE
    state = tmp_path / "state"
    assert "refunds: 0, 50 with" in here(*ask, AGENT_HOST_STATE=str(state)).stdout
    assert not state.exists()


def test_a_tool_that_is_not_known_is_said_and_judged_by_its_name(here, project):
    write(project)
    done = here("policy", "explain", "crm", "refnd")
    assert done.returncode == 0
    assert "crm/refnd is not known (crm has no such tool)" in done.stderr
    write(project, tools=None)
    (project / "servers.lock").unlink()
    assert "crm is not in servers.lock" in here("policy", "explain", "crm", "refund").stderr
    done = here("policy", "explain", "cmr", "refund")
    assert done.returncode == ExitStatus.USAGE
    assert 'did you mean "crm"?' in done.stderr


def test_what_cannot_be_read_is_a_usage_error(here, project):
    write(project)
    for wrong in (
        ("--at", "noon"),
        ("--claims", "x"),
        ("--claims", "[]"),
        ("--args", "[]"),
        ("amount",),
    ):
        done = here("policy", "explain", "crm", "refund", *wrong)
        assert done.returncode == ExitStatus.USAGE, wrong
        assert "Traceback" not in done.stderr


def test_a_policy_that_cannot_be_used_is_told_with_its_line(here, project):
    write(project)
    text = (project / "servers.toml").read_text().replace("args.amount > 1000", "args.amount >")
    (project / "servers.toml").write_text(text)
    done = here("policy", "explain", "crm", "refund")
    assert done.returncode == ExitStatus.USAGE
    assert done.stderr.startswith("agent-host: servers.toml:33: ")


def test_totals_that_are_kept_are_read_and_left_as_they_are(here, project, environment, tmp_path):
    write(project)
    from agent_host.config.load import load
    from agent_host.core.conversation import Conversation
    from agent_host.core.types import Principal, ToolCall
    from agent_host.host.identity import user_name
    from agent_host.host.known import known_tools
    from agent_host.host.policy import make_policy

    loaded = load(project / "servers.toml", {}, cwd=project)
    state = tmp_path / "state"
    state.mkdir()
    policy = make_policy(loaded, {"AGENT_HOST_STATE": str(state)})
    refund = next(t for t in known_tools(loaded)["crm"] if t.tool == "refund")
    arguments = {"order": "1", "amount": 60}
    call = ToolCall(id="c", name=refund.name, arguments=arguments)
    who = Principal(id=user_name())
    answer = policy.decide(call, arguments, refund, Conversation(run_id="r", principal=who), who)
    assert answer.decision == "allow"
    ask = ("policy", "explain", "crm", "refund", "amount=50", "order=1")
    for _ in range(2):
        assert "refunds: 60, 110 with" in here(*ask, AGENT_HOST_STATE=str(state)).stdout
    with sqlite3.connect(Path(state) / "state.db") as db:
        assert db.execute("SELECT COUNT(*) FROM totals").fetchone() == (1,)
    db.close()
