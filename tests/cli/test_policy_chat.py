import asyncio

from agent_host.cli.policy_chat import RulesInForce
from agent_host.config.load import load
from agent_host.core import events as e
from agent_host.core.types import ApprovalTerms
from agent_host.surfaces.chat_commands import Around, Commands
from tests.cli.policies import write
from tests.fakes.offers import Servers
from tests.fakes.screens import FORBIDDEN, HOSTILE, outlet
from tests.surfaces.test_chat import desk


def record(event):
    return e.Record(seq=0, at="2026-03-01T12:00:00Z", run_id="r", event=event)


def decided(**more):
    known = {"call_id": "c", "decision": "ask", "rule": "big", "reason": "over 100"}
    return e.PolicyDecided(**{**known, "server": "crm", "tool": "refund", **more})


def test_it_shows_the_rules_of_the_config_and_that_nothing_was_asked_yet(project):
    write(project)
    lines = RulesInForce(load(project / "servers.toml", {}, cwd=project)).lines()
    assert lines[0] == "policy has not been asked yet"
    assert any("big  crm/refund  servers.toml:20" in line for line in lines)


def test_it_explains_the_last_decision_and_who_answered(project):
    write(project)
    rules = RulesInForce(load(project / "servers.toml", {}, cwd=project))
    terms = ApprovalTerms(approvers=("boss",), self_approval=False)
    rules.emit(record(decided(decision="allow", rule="x", call_id="other")))
    rules.emit(record(decided(rules=("big", "also"), origin="servers.toml:20", terms=terms)))
    rules.emit(record(e.ApprovalGiven(call_id="other", decision="approve", by="eve")))
    rules.emit(record(e.ApprovalGiven(call_id="c", decision="deny", by="cho", feedback="why?")))
    rules.emit(e.TextDelta(text="x"))
    assert rules.lines()[:5] == [
        "last call: crm/refund: ask, rule big (servers.toml:20)",
        "because: over 100",
        "so say also: also",
        "it takes: one yes, of somebody with the role boss; not of the user for whom the run acts",
        "denied by cho: why?",
    ]
    rules.emit(record(e.ApprovalExpired(call_id="c")))
    assert "nobody answered in time" in rules.lines()


def test_a_config_that_broke_meanwhile_is_told_not_raised(project, monkeypatch):
    write(project)
    loaded = load(project / "servers.toml", {}, cwd=project)
    (project / "servers.toml").write_text(
        '[[policy.rules]]\nid = "r"\neffect = "deny"\nwhen = "args."\n'
    )
    broken = load(project / "servers.toml", {}, cwd=project)
    assert "servers.toml:4" in "\n".join(RulesInForce(broken).lines())
    assert RulesInForce(loaded).lines()


def test_the_command_shows_it_in_a_chat_and_nothing_hostile_gets_through(project):
    write(project)
    rules = RulesInForce(load(project / "servers.toml", {}, cwd=project))
    for text in HOSTILE:
        rules.emit(record(decided(rule=text, reason=text, server=text, tool=text, origin=text)))
        rules.emit(record(e.ApprovalGiven(call_id="c", decision="deny", by=text, feedback=text)))
        out, screen = outlet(tty=True, NO_COLOR="1")
        commands = Commands(
            desk(pool=Servers()), screen=out, asker=None, around=Around(rules=rules.lines)
        )
        assert asyncio.run(commands.take("/policy")) is None
        shown = screen.getvalue()
        assert "last call:" in shown
        assert "trusted-read-only" in shown
        assert not any(mark in shown for mark in FORBIDDEN)


def test_without_rules_to_show_the_command_says_so():
    out, screen = outlet(tty=True, NO_COLOR="1")
    commands = Commands(desk(pool=Servers()), screen=out, asker=None)
    asyncio.run(commands.take("/policy"))
    assert "there are no rules to show here" in screen.getvalue()
