"""Data of a conversation does not leave it by the word of strangers unseen."""

import pytest

from agent_host.core.conversation import Conversation
from agent_host.core.types import ApprovalTerms, LabelSeen
from agent_host.policy.rules import RulePolicy
from tests.policy.made import decide, policy, tool

PRIVATE = LabelSeen(label="private", server="crm", tool="get_customer")
UNTRUSTED = LabelSeen(label="untrusted", server="mail", tool="read")
BOTH = (PRIVATE, UNTRUSTED)
SENDS = tool("send", "mail", labels=("egress",))
OPEN = """
[[policy.rules]]
id = "all"
effect = "allow"
"""


def judged(folder, labels=BOTH, *, about=SENDS, text=OPEN):
    return decide(policy(folder, text), about=about, conversation=Conversation(labels=labels))


def test_what_sends_out_is_asked_about_once_private_data_and_strangers_words_met(tmp_path):
    for labels in ((), (PRIVATE,), (UNTRUSTED,)):
        assert judged(tmp_path, labels).decision == "allow"
    answer = judged(tmp_path)
    assert (answer.decision, answer.rule, answer.rules) == ("ask", "flow", ("flow",))
    assert answer.terms == ApprovalTerms(seconds=86400.0)
    assert answer.reason == (
        "this tool sends data out, and the conversation holds private data (from "
        "crm/get_customer) and data of strangers, which may hold instructions (from mail/read)"
    )


def test_other_tools_are_not_asked_about(tmp_path):
    assert judged(tmp_path, about=tool("send", "mail", labels=("private",))).decision == "allow"
    assert judged(tmp_path, about=tool("send", "mail")).decision == "allow"


def test_a_rule_that_allows_the_tool_by_name_does_not_open_it(tmp_path):
    text = '[policy]\ndefault = "allow"\n' + OPEN.replace('"all"', '"r"\ntools = ["send"]')
    assert judged(tmp_path, text=text).rule == "flow"


@pytest.mark.parametrize(("flow", "decision"), [("ask", "ask"), ("deny", "deny"), ("off", "allow")])
def test_a_config_can_have_it_denied_or_switch_it_off(tmp_path, flow, decision):
    text = f'[policy]\nflow = "{flow}"\n{OPEN}'
    assert judged(tmp_path, text=text).decision == decision


def test_a_rule_that_denies_wins_and_one_that_asks_is_named_beside_it(tmp_path):
    ask = OPEN.replace("allow", "ask") + 'approvers = ["lead"]\nreason = "mail goes out"\n'
    answer = judged(tmp_path, text=ask)
    assert (answer.rule, answer.rules) == ("all", ("all", "flow"))
    assert answer.reason.startswith("mail goes out; this tool sends data out")
    assert answer.terms is not None
    assert answer.terms.approvers == ("lead",)
    assert judged(tmp_path, text=OPEN.replace("allow", "deny")).rules == ("all",)


def test_where_data_came_from_is_cleaned_and_bounded(tmp_path):
    hostile = [
        LabelSeen(label="untrusted", server="s", tool=f"{number}\x1b[2J\u202e\n{'x' * 5000}")
        for number in range(500)
    ]
    answer = judged(tmp_path, (*hostile, PRIVATE))
    assert len(answer.reason) <= 1000
    assert answer.reason.isprintable()
    assert "and 497 more)" in answer.reason


def test_the_users_own_words_and_files_have_a_source_too(tmp_path):
    attached = LabelSeen(label="private", server="", tool="")
    assert "(from the user)" in judged(tmp_path, (attached, UNTRUSTED)).reason


def test_the_rule_is_listed_where_it_is_in_force():
    assert [rule.effect for rule in RulePolicy([], "deny", flow="deny").rules] == ["deny"]
    assert RulePolicy([], "deny", flow="off").rules == ()
