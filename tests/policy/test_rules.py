import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.conversation import Conversation
from agent_host.core.errors import ConfigError
from agent_host.core.types import Annotations, Principal, Tool, ToolCall
from agent_host.policy.rules import STRICTNESS, TRUSTED_READ_ONLY, Rule, RulePolicy
from agent_host.ports import Policy

ANA = Principal(id="ana")


def tool(server="orders", name="get_order", *, read_only=None, trusted=False, shown=None):
    return Tool(
        name=shown or f"{server}__{name}",
        server=server,
        tool=name,
        description="",
        input_schema={},
        annotations=Annotations(read_only=read_only),
        trusted=trusted,
    )


def answer(rules, judged, default="ask"):
    policy: Policy = RulePolicy(rules, default)
    call = ToolCall(id="c", name=judged.name, arguments={})
    return policy.decide(call, {}, judged, Conversation(), ANA)


@pytest.mark.parametrize("default", ["allow", "ask", "deny"])
def test_where_no_rule_matches_the_default_answers(default):
    given_answer = answer([Rule(id="other", server="crm", effect="deny")], tool(), default)
    assert (given_answer.decision, given_answer.rule) == (default, "default")


def test_a_rule_can_allow_what_the_default_asks_or_denies():
    rules = [Rule(id="reads", tools=("get_*",), effect="allow", reason="harmless")]
    for default in ("ask", "deny"):
        given_answer = answer(rules, tool(), default)
        assert (given_answer.decision, given_answer.rule) == ("allow", "reads")
        assert given_answer.reason == "harmless"


@pytest.mark.parametrize("order", list(itertools.permutations(("allow", "ask", "deny"))))
def test_the_strictest_of_all_that_match_wins_in_any_order(order):
    rules = [Rule(id=f"r-{effect}", effect=effect) for effect in order]
    assert answer(rules, tool()).rule == "r-deny"
    without = [rule for rule in rules if rule.effect != "deny"]
    assert answer(without, tool()).rule == "r-ask"


@pytest.mark.parametrize("effect", ["allow", "ask", "deny"])
def test_of_several_rules_of_one_effect_the_same_is_named_in_any_order(effect):
    rules = [Rule(id=name, effect=effect, reason=name) for name in ("b", "a", "c")]
    for order in itertools.permutations(rules):
        assert (answer(order, tool()).rule, answer(order, tool()).reason) == ("a", "a")


def test_a_trusted_servers_read_only_tool_needs_no_question():
    given_answer = answer([], tool(read_only=True, trusted=True))
    assert (given_answer.decision, given_answer.rule) == ("allow", "trusted-read-only")
    assert given_answer.reason


@pytest.mark.parametrize(
    ("read_only", "trusted"), [(True, False), (False, True), (None, True), (None, False)]
)
def test_hints_of_a_server_that_is_not_trusted_count_for_nothing(read_only, trusted):
    assert answer([], tool(read_only=read_only, trusted=trusted)).rule == "default"


@pytest.mark.parametrize("effect", ["ask", "deny"])
def test_a_rule_that_asks_or_denies_wins_over_the_built_in_one(effect):
    rules = [Rule(id="mine", tools=("get_*",), effect=effect)]
    assert answer(rules, tool(read_only=True, trusted=True)).rule == "mine"


def test_a_rule_of_the_config_that_allows_is_named_before_the_built_in_one():
    rules = [Rule(id="zz", effect="allow")]
    assert answer(rules, tool(read_only=True, trusted=True)).rule == "zz"


def test_under_a_default_of_deny_only_the_configs_own_rules_allow():
    given_answer = answer([], tool(read_only=True, trusted=True), "deny")
    assert (given_answer.decision, given_answer.rule) == ("deny", "default")


def test_the_built_in_rule_is_listed_where_it_is_in_force():
    mine = Rule(id="mine", effect="ask")

    def listed(*arguments, **more):
        return [rule.id for rule in RulePolicy([mine], *arguments, **more).rules]

    assert listed() == ["mine", TRUSTED_READ_ONLY.id, "flow"]
    assert listed("deny") == ["mine", "flow"]
    assert listed("allow") == ["mine", "flow"]
    assert listed(flow="off") == ["mine", TRUSTED_READ_ONLY.id]


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("get_order", "get_order", True),
        ("get_order", "get-order", False),
        ("get-order", "get-order", True),
        ("get.order", "get.order", True),
        ("get.order", "getXorder", False),
        ("my-server_2.x", "my-server_2.x", True),
        ("GET_*", "get_order", False),
        ("get_*", "GET_order", False),
        ("*", "a/b:c d\né", True),
        ("get_*", "xget_order", False),
        ("get", "get_order", False),
        ("get_order", "get_order\n", False),
        ("g?t", "get", True),
        ("[gs]et", "set", True),
        ("[!g]et", "get", False),
        ("constructor", "constructor", True),
        ("a+b|c(", "a+b|c(", True),
    ],
)
def test_globs_match_whole_names_case_sensitively_and_every_sign_means_itself(glob, name, matches):
    expected = "deny" if matches else "ask"
    assert (
        answer([Rule(id="r", tools=(glob,), effect="deny")], tool(name=name)).decision == expected
    )
    assert answer([Rule(id="r", server=glob, effect="deny")], tool(name)).decision == expected


def test_any_of_several_globs_is_enough():
    rules = [Rule(id="r", tools=("a_*", "b_*"), effect="deny")]
    assert [answer(rules, tool(name=n)).decision for n in ("a_x", "b_x", "c_x")] == [
        "deny",
        "deny",
        "ask",
    ]


@pytest.mark.parametrize(
    ("server", "name"),
    [("crm__orders", "get"), ("crm", "orders__get"), ("orders_", "_get"), ("ord", "ers__get")],
)
def test_two_tools_whose_joined_names_look_alike_are_still_two(server, name):
    rules = [Rule(id="r", server="orders", tools=("get",), effect="allow")]
    shown = "orders__get"
    assert answer(rules, tool("orders", "get", shown=shown)).decision == "allow"
    assert answer(rules, tool(server, name, shown=shown)).decision == "ask"
    assert (
        answer(
            [Rule(id="r", server="orders__get", effect="allow")], tool("orders", "get", shown=shown)
        ).decision
        == "ask"
    )


NAMES = st.text(alphabet="ab_-.*", min_size=1, max_size=4)
GLOBS = st.text(alphabet="ab_-.*?", min_size=1, max_size=4)
EFFECTS = st.sampled_from(["allow", "ask", "deny"])
RULES = st.lists(
    st.builds(
        Rule,
        id=st.uuids().map(str),
        effect=EFFECTS,
        server=GLOBS,
        tools=st.lists(GLOBS, min_size=1, max_size=2).map(tuple),
        read_only=st.just(False),
    ),
    max_size=5,
    unique_by=lambda rule: rule.id,
)
TOOLS = st.builds(
    tool, NAMES, NAMES, read_only=st.sampled_from([None, False, True]), trusted=st.booleans()
)


@settings(max_examples=100, deadline=None)
@given(RULES, TOOLS, EFFECTS, GLOBS, GLOBS)
def test_adding_a_deny_or_an_ask_never_allows_more(rules, judged, default, server, name):
    before = answer(rules, judged, default)
    deny = Rule(id="z", server=server, tools=(name,), effect="deny")
    ask = Rule(id="z", server=server, tools=(name,), effect="ask")
    denied = answer([*rules, deny], judged, default)
    asked = answer([*rules, ask], judged, default)
    assert STRICTNESS[denied.decision] >= STRICTNESS[before.decision]
    if before.rule != "default":
        assert STRICTNESS[asked.decision] >= STRICTNESS[before.decision]
    assert asked.decision != "allow" or before.decision == "allow"


@settings(max_examples=100, deadline=None)
@given(RULES, TOOLS, EFFECTS, st.randoms(use_true_random=False))
def test_the_order_of_rules_does_not_matter(rules, judged, default, random):
    shuffled = list(rules)
    random.shuffle(shuffled)
    assert answer(rules, judged, default) == answer(shuffled, judged, default)


@settings(max_examples=100, deadline=None)
@given(RULES, TOOLS)
def test_a_stricter_default_never_allows_more(rules, judged):
    answers = [STRICTNESS[answer(rules, judged, d).decision] for d in ("allow", "ask", "deny")]
    assert answers == sorted(answers)


@settings(max_examples=100, deadline=None)
@given(RULES, TOOLS, NAMES)
def test_what_the_model_is_shown_as_a_name_changes_no_answer(rules, judged, shown):
    other = tool(
        judged.server,
        judged.tool,
        read_only=judged.annotations.read_only,
        trusted=judged.trusted,
        shown=shown,
    )
    assert answer(rules, judged) == answer(rules, other)


TWICE = [
    Rule(id="a", effect="ask", where="servers.toml:3"),
    Rule(id="a", effect="deny", where="servers.toml:9"),
]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (TWICE, "servers.toml:9: policy rule 'a': two rules have this id (also at servers.toml:3)"),
        ([Rule(id="a", effect="ask"), Rule(id="a", effect="ask")], "two rules have this id;"),
        ([Rule(id="a", effect="permit")], "'permit' is no effect"),
        ([Rule(id="a", effect="Allow")], "'Allow' is no effect"),
        ([Rule(id=" ", effect="ask")], "needs an id"),
        ([Rule(id="default", effect="ask")], "taken by the host"),
        ([Rule(id="trusted-read-only", effect="deny")], "taken by the host"),
        ([Rule(id="a", effect="deny", tools=())], "no tool"),
        ([Rule(id="a", effect="deny", server="")], "no server"),
    ],
)
def test_a_bad_rule_is_an_error_of_the_config_never_a_rule_less(rules, says):
    with pytest.raises(ConfigError) as caught:
        RulePolicy(rules)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_default_is_an_error_of_the_config():
    with pytest.raises(ConfigError, match=r"policy\.default"):
        RulePolicy([], "maybe")


def test_very_many_tools_do_not_pile_up(monkeypatch):
    monkeypatch.setattr("agent_host.policy.rules._PLANS", 5)
    policy = RulePolicy([Rule(id="r", tools=("t1*",), effect="deny")])
    call, said = ToolCall(id="c", name="n", arguments={}), []
    for number in range(20):
        judged = policy.decide(call, {}, tool(name=f"t{number}"), Conversation(), ANA)
        said.append(judged.decision)
    assert said.count("deny") == 11
    assert len(policy._plans) <= 5
