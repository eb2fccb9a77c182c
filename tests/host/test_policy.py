"""The policy of several files: the strictest wins, whatever a file below says."""

from dataclasses import replace

import pytest

from agent_host.config.layers import Layer
from agent_host.config.policy_tables import PolicyConfig
from agent_host.core.conversation import Conversation
from agent_host.core.errors import ConfigError
from agent_host.core.types import ApprovalTerms, LabelSeen
from agent_host.host import make_policy
from agent_host.host.sources import Sources
from tests.policy.made import config, decide, tool


def layer(level, **said):
    return Layer(
        level=level,
        name=f"{level}.toml",
        policy=PolicyConfig.model_validate(said),
        where=lambda *key: f"{level}.toml:{len(key)}",
    )


def made(folder, text, *above):
    loaded = replace(config(folder, text), above=above)
    return make_policy(loaded, {"AGENT_HOST_STATE": str(folder)}, clock=lambda: 1000.0)


def rule(**said):
    return {"id": "r", "effect": "ask", **said}


ALLOWS = '[policy]\ndefault = "allow"\n[[policy.rules]]\nid = "mine"\neffect = "allow"\n'


def test_a_rule_of_any_file_that_is_stricter_wins_and_says_where_it_stands(tmp_path):
    for effect in ("ask", "deny"):
        for level in ("organisation", "user"):
            policy = made(tmp_path, ALLOWS, layer(level, rules=[rule(effect=effect)]))
            answer = decide(policy)
            assert (answer.decision, answer.rule, answer.rules) == (effect, "r", ("r",))
            assert answer.origin == f"{level}.toml:3"


def test_a_file_above_allows_only_what_no_other_file_closes(tmp_path):
    above = layer("user", rules=[rule(effect="allow")])
    assert decide(made(tmp_path, "", above)).decision == "allow"
    closes = '[[policy.rules]]\nid = "mine"\nwhen = "args.a > 1"\neffect = "deny"\n'
    assert decide(made(tmp_path, closes, above), {"a": 2}).rule == "mine"


def test_rules_of_two_files_with_one_id_are_told_apart(tmp_path):
    text = '[[policy.rules]]\nid = "r"\neffect = "ask"\n'
    policy = made(tmp_path, text, layer("organisation", rules=[rule()]))
    assert decide(policy).rules == ("organisation:r", "project:r")
    with pytest.raises(ConfigError, match="two rules have this id"):
        made(tmp_path, "", *[layer("user", rules=[rule()])] * 2)


def test_of_defaults_the_strictest_that_is_said_answers(tmp_path):
    above = layer("organisation", default="ask")
    answer = decide(made(tmp_path, '[policy]\ndefault = "allow"\n', above))
    assert (answer.decision, answer.rule, answer.origin) == (
        "ask",
        "default",
        "organisation.toml:2",
    )
    silent = layer("organisation", rules=[rule(tools=["x"])])
    assert decide(made(tmp_path, '[policy]\ndefault = "allow"\n', silent)).decision == "allow"
    assert decide(made(tmp_path, '[policy]\ndefault = "deny"\n', above)).decision == "deny"


def test_an_organisation_can_only_tighten_where_data_may_flow(tmp_path):
    seen = tuple(LabelSeen(label=one, server="s", tool="t") for one in ("private", "untrusted"))

    def flows(own, *above):
        text = f'[policy]\nflow = "{own}"\n[[policy.rules]]\nid = "m"\neffect = "allow"\n'
        policy = made(tmp_path, text, *(layer("organisation", flow=one) for one in above))
        sends = tool(labels=("egress",))
        return decide(policy, about=sends, conversation=Conversation(labels=seen)).decision

    assert [flows(own) for own in ("off", "ask", "deny")] == ["allow", "ask", "deny"]
    assert [flows(own, "ask") for own in ("off", "ask", "deny")] == ["ask", "ask", "deny"]
    assert flows("off", "deny") == "deny"


def test_what_files_demand_adds_up_and_the_shortest_time_counts(tmp_path):
    text = '[policy]\nexpires = "2h"\n[[policy.rules]]\nid = "m"\neffect = "ask"\napprovals = 2\n'
    above = layer("organisation", expires="24h", rules=[rule(approvers=["security"], expires="3h")])
    answer = decide(made(tmp_path, text, above))
    assert answer.rules == ("m", "r")
    assert answer.terms is not None
    assert {(one.roles, one.needed) for one in answer.terms.demands} == {
        ((), 2),
        (("security",), 1),
    }
    assert answer.terms.seconds == 7200.0
    short = layer("organisation", expires="10m")
    assert decide(made(tmp_path, text, short)).terms == ApprovalTerms(needed=2, seconds=600.0)


TOTAL = {"t": {"value": "args.amount"}}


def test_a_total_of_the_organisation_is_what_its_rules_read_whatever_others_define(tmp_path):
    reads = rule(when="total_after('t') > 10")
    text = ALLOWS + '[policy.totals.t]\nvalue = "0"\n'
    policy = made(tmp_path, text, layer("organisation", rules=[reads], totals=TOTAL))
    assert decide(policy, {"amount": 11}).rule == "r"
    assert decide(policy, {"amount": 10}).decision == "allow"


def test_a_rule_reads_totals_of_its_own_file_and_of_those_above_alone(tmp_path):
    reads = {"when": "total('t') > 10.0"}
    below = f'{ALLOWS}when = "{reads["when"]}"\n'
    assert made(tmp_path, below, layer("user", totals=TOTAL)).totals[0].id == "user:t"
    with pytest.raises(ConfigError, match=r"a file of less weight; define the total in user\.toml"):
        made(tmp_path, f"{ALLOWS}[policy.totals.t]\n", layer("user", rules=[rule(**reads)]))


def test_a_condition_of_a_file_above_that_is_wrong_names_that_file(tmp_path):
    with pytest.raises(ConfigError, match=r"^organisation\.toml:4: the condition of policy rule"):
        made(tmp_path, ALLOWS, layer("organisation", rules=[rule(when="nope")]))


def test_the_fingerprint_is_of_the_rules_of_all_files(tmp_path):
    plain = made(tmp_path, ALLOWS).fingerprint
    one = made(tmp_path, ALLOWS, layer("user", rules=[rule()])).fingerprint
    other = made(tmp_path, ALLOWS, layer("organisation", rules=[rule()])).fingerprint
    assert len({plain, one, other}) == 3


@pytest.mark.parametrize(
    "url",
    [
        "https://pay.example.com/mcp",
        "https://Pay.EXAMPLE.com:443/mcp",
        "https://user:word@pay.example.com./mcp",
        "https://${env:WHERE}/mcp",
        "https://${env:NOWHERE}/mcp",
    ],
)
def test_a_rule_about_where_a_server_comes_from_holds_whatever_it_is_called(tmp_path, url):
    when = 'tool.source.startsWith("https://pay.example.com/")'
    above = layer("organisation", rules=[rule(effect="deny", when=when)])
    text = f'{ALLOWS}[servers.innocent]\nurl = "{url}"\n'
    loaded = replace(config(tmp_path, text), above=(above,))
    environ = {"AGENT_HOST_STATE": str(tmp_path), "WHERE": "pay.example.com"}
    policy = make_policy(loaded, environ, clock=lambda: 1000.0)
    judged = replace(tool(), server="innocent")
    assert decide(policy, about=judged).decision == "deny"


def test_another_url_and_a_command_are_sources_of_their_own(tmp_path):
    rules = r"""
[[policy.rules]]
id = "here"
when = 'tool.source == "https://pay.example.com:8443/mcp?a=1"'
effect = "allow"
[[policy.rules]]
id = "program"
when = '''tool.source == "npx -y server-files '/a b'"'''
effect = "allow"
[servers.one]
url = "https://pay.example.com:8443/mcp?a=1"
[servers.two]
command = "npx"
args = ["-y", "server-files", "/a b"]
"""
    policy = made(tmp_path, rules)
    for name, expected in {"one": "here", "two": "program", "three": "default"}.items():
        assert decide(policy, about=replace(tool(), server=name)).rule == expected


def test_what_was_read_anew_is_where_servers_come_from_then(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    sources = Sources(config(tmp_path / "a", '[servers.s]\nurl = "https://a.example/"\n'), {})
    assert sources("s") == "https://a.example/"
    assert sources("host") == "host"
    sources.replace(config(tmp_path / "b", '[servers.s]\nurl = "https://[::1]:80/x"\n'))
    assert sources("s") == "https://[::1]:80/x"
