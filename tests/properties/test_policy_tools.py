"""What the tools for rules say agrees with what policy does: random rules, random calls."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.conversation import Conversation
from agent_host.core.types import ApprovalTerms, LabelSeen, Principal, ToolCall
from agent_host.policy import expressions
from agent_host.policy.check import check
from agent_host.policy.explain import explained
from agent_host.policy.facts import Moment
from agent_host.policy.ground import RuleText
from agent_host.policy.plans import Rule
from agent_host.policy.rules import STRICTNESS, RulePolicy
from tests.policy.grounds import SERVERS, ground

TOOLS = [tool for tools in SERVERS.values() for tool in tools]
CONDITIONS = [
    None, None, None, "args.amount > 100", "args.amount>100", "args.amount <= 100", "true",
    "false", "true || args.amount > 1", "args.amount > 100 && args.amount < 50",
    '"private" in run.labels', '"boss" in user.roles', "args.order == 'x'", "args.order > 3",
    'tool.name == "refund"', "has(args.amount) && args.amount > 5", "args.nope == 1",
    "now.getHours() < 6",
]  # fmt: skip

servers = st.sampled_from(["*", "orders", "ord*", "mail", "o?ders", "[om]*"])
globs = st.sampled_from(["*", "refund", "re*", "get_order", "get_*", "*order*", "send", "[gr]*"])
rules = st.lists(
    st.builds(
        RuleText,
        id=st.sampled_from("abcdefghij"),
        effect=st.sampled_from(["allow", "ask", "deny"]),
        server=servers,
        tools=st.lists(globs, min_size=1, max_size=2).map(tuple),
        when=st.sampled_from(CONDITIONS),
        approvers=st.just(()),
    ),
    max_size=6,
    unique_by=lambda rule: rule.id,
)
calls = st.tuples(
    st.sampled_from(TOOLS),
    st.fixed_dictionaries(
        {"order": st.sampled_from(["x", "y"])},
        optional={"amount": st.sampled_from([0, 20, 100, 100.5, 250, "250", -1, None])},
    ),
    st.lists(st.sampled_from(["private", "mine"]), max_size=2),
    st.lists(st.sampled_from(["boss", "junior"]), max_size=2),
)


def policy_of(texts, default="ask"):
    made = [
        Rule(
            id=text.id,
            effect=text.effect,
            server=text.server,
            tools=text.tools,
            when=None if text.when is None else expressions.condition(text.when),
            terms=ApprovalTerms(approvers=text.approvers),
            where=f"servers.toml:{number}",
            level="project",
        )
        for number, text in enumerate(texts, 1)
    ]
    return RulePolicy(made, default, language=expressions, moment=lambda: Moment(now=0.0))


def asked(call):
    tool, arguments, labels, roles = call
    conversation = Conversation(
        run_id="r", labels=tuple(LabelSeen(label=x, server="s", tool="t") for x in labels)
    )
    return arguments, tool, conversation, Principal(id="a", roles=tuple(roles))


def decided(policy, call):
    arguments, tool, conversation, who = asked(call)
    made = ToolCall(id="c", name=tool.name, arguments=arguments)
    return policy.decide(made, arguments, tool, conversation, who)


@settings(max_examples=150, deadline=None)
@given(rules, st.sampled_from(["allow", "ask", "deny"]), st.lists(calls, max_size=6))
def test_what_is_explained_is_decided_and_follows_from_the_rules_shown(texts, default, some):
    policy = policy_of(texts, default)
    for call in some:
        answer = decided(policy, call)
        found = explained(policy, policy.explain(*asked(call)), call[0])
        assert (found.decision, found.rule, found.reason) == (
            answer.decision,
            answer.rule,
            answer.reason,
        )
        shown = {one.rule: one for one in found.rules}
        assert {text.id for text in texts} <= shown.keys()
        counted = [one for one in found.rules if one.counts]
        # By hand: the strictest of those that count, else the default.
        strictest = max((one.effect for one in counted), key=STRICTNESS.get, default=default)
        assert found.decision == strictest
        assert {one.rule for one in found.rules if one.decides} == set(answer.rules)
        for one in found.rules:
            if one.state == "undefined":
                assert one.counts == (one.effect != "allow")
            elif one.rule != "default":
                assert one.counts == (one.state == "matched")


@settings(max_examples=150, deadline=None)
@given(rules, st.lists(calls, min_size=1, max_size=8))
def test_a_rule_that_is_said_to_say_nothing_changes_no_answer(texts, some):
    said = {
        finding.subject: finding.text
        for finding in check(texts, [], ground())
        if "never decides" in finding.text
        or "adds nothing" in finding.text
        or "says the same" in finding.text
        or "this rule never" in finding.text
        or "matches no configured" in finding.text
    }
    whole = policy_of(texts)
    for text in texts:
        if f'rule "{text.id}"' not in said:
            continue
        without = policy_of([one for one in texts if one is not text])
        for call in some:
            # Arguments come validated: what the schema excludes never comes to policy.
            amount = call[1].get("amount")
            if isinstance(amount, str) or amount is None or amount < 0:
                continue
            assert decided(whole, call).decision == decided(without, call).decision, (
                said[f'rule "{text.id}"'],
                call,
            )
