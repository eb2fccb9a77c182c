import pytest

from agent_host.policy.ground import TotalText
from tests.policy.grounds import SERVERS, found, refunds, rule, texts, tool


def one(*rules, **more):
    (finding,) = found(*rules, **more)
    return finding


def test_sound_rules_have_no_findings():
    rules = [
        refunds("args.amount > 100", "ask"),
        rule("reads", "allow", server="orders", tools=["get_*", "list_*"]),
        rule("night", "deny", tools=["send"], when='now.getHours("Europe/Berlin") < 6'),
        rule("flow", "ask", when='"private" in run.labels && tool.server == "mail"'),
        rule("vip", "deny", server="orders", tools=["refund"], when='"vip" in args.tags'),
    ]
    assert found(*rules) == []


def test_an_unknown_server_is_an_error_with_the_nearest_name_and_its_place():
    finding = one(rule(server="oders"))
    assert (finding.severity, finding.where) == ("error", "servers.toml:7.server")
    assert finding.subject == 'rule "r"'
    assert finding.text == 'server "oders" matches no configured server; did you mean "orders"?'


def test_a_glob_that_matches_no_tool_is_an_error_for_each_glob():
    first, second = texts(rule(server="orders", tools=["refnd", "get_*", "delete_*"]))
    assert first.startswith('error: tools "refnd" matches none of the 3 tools that orders has')
    assert first.endswith('did you mean "refund"?')
    assert 'tools "delete_*" matches none' in second


def test_a_hyphen_in_a_server_name_is_a_hyphen():
    servers = {"my-server": SERVERS["orders"], "my_server": SERVERS["orders"]}
    assert found(rule(server="my-server", tools=["refund"]), servers=servers) == []
    assert "matches no configured server" in texts(rule(server="my.server"), servers=servers)[0]


def test_a_server_that_nobody_has_seen_is_a_warning_not_silence():
    servers = {**SERVERS, "crm": None}
    (text,) = texts(rule(server="crm", tools=["x"]), servers=servers)
    assert text == (
        "warning: the tools of crm are not in servers.lock, so they cannot be checked; run "
        "`agent-host policy check --live`"
    )
    assert texts(rule(server="*", tools=["x"]), servers=servers) == []


def test_what_an_organisations_rule_says_of_other_projects_servers_is_no_fault():
    assert [f.severity for f in found(rule(server="crm", level="organisation"))] == ["note"]
    assert [f.severity for f in found(rule(tools=["x"], level="user"))] == ["note"]


@pytest.mark.parametrize(
    ("effect", "does"),
    [
        ("allow", "this rule never allows anything"),
        ("ask", "what cannot be told counts as matched, so this rule always asks"),
        ("deny", "what cannot be told counts as matched, so this rule always denies"),
    ],
)
def test_an_unknown_argument_is_an_error_that_says_what_the_rule_then_does(effect, does):
    finding = one(refunds("args.amuont > 100", effect))
    assert finding.severity == "error"
    assert "`args.amuont` is no argument of orders/refund; did you mean" in finding.text
    assert '"amount"' in finding.text
    assert finding.text.endswith(does)
    assert (finding.line, finding.column) == (1, 1)


def test_of_what_a_schema_leaves_open_no_more_is_said_than_is_certain():
    (text,) = texts(rule(effect="allow", server="orders", tools=["get_order"], when="args.x == 1"))
    assert text == "error: `args.x` is no argument of orders/get_order"
    (text,) = texts(refunds("args.nope > 1 || args.amount > 5", "allow"))
    assert "never allows" not in text
    (text,) = texts(refunds("args.order > 1 && args.amount > 5", "ask"))
    assert "asks only where it is undefined" in text


def test_line_and_column_are_those_in_the_condition():
    finding = one(refunds('args.order == "x" ||\n   args.amuont > 1'))
    assert (finding.key, finding.line, finding.column) == ("when", 2, 4)


def test_an_argument_that_only_some_tools_have_is_a_warning_where_it_makes_a_rule_match():
    (text,) = texts(rule(effect="ask", server="orders", when="args.amount > 100"))
    assert text.startswith("warning: `args.amount` is no argument of orders/get_order, ")
    assert "2 of the 3 tools" in text
    assert text.endswith("name the tools that have it, or write has(args.amount) && ...")
    assert texts(rule(effect="allow", server="orders", when="args.amount > 100")) == []
    guarded = "has(args.amount) && args.amount > 100"
    assert texts(rule(effect="ask", server="orders", when=guarded)) == []
    guarded = 'tool.name == "refund" && args.amount > 100'
    assert texts(rule(effect="ask", server="orders", when=guarded)) == []


def test_of_arguments_that_no_schema_names_nothing_is_said():
    assert found(rule(server="mail", when='args.whatever == "x"')) == []
    loose = {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}}
    servers = {"s": (tool("t", loose, "s"),)}
    assert found(rule(server="s", when='args.b == "x"'), servers=servers) == []


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ("args.order > 100", "`args.order` is text, so it cannot be compared with 100"),
        ("args.order == 100", "`args.order` is text, so it cannot be compared with 100"),
        ('args.amount == "100"', '`args.amount` is a number, so it cannot be compared with "100"'),
        ('args.amount.startsWith("1")', "`args.amount` is a number of at least 0 and"),
        ('args.tags == "vip"', '`args.tags` is a list, so it cannot be compared with "vip"'),
        ('args.order.city == "x"', "`args.order` is text, which has no member `city`"),
        ("args.notify > args.amount", "so it cannot be compared with `args.amount`, which is"),
        ("args.amount in [1, 'x']", 'never "x"'),
        ("args.reason == 'dammaged'", '`args.reason` is one of "damaged", "late", "other"'),
        ("args.reason in ['late', 'lost']", 'never "lost"'),
        ("'VIP' in args.tags", 'whose items are one of "vip", "new"'),
        ("args.tags.exists(t, t == 'old')", '`t` is one of "vip", "new"'),
        ("args.amount > 1000", "is never true: `args.amount` is a number of at least 0 and of at"),
        ("args.reason != 'lost'", "is always true"),
    ],
)
def test_what_the_schema_excludes_is_an_error(when, text):
    for effect in ("allow", "ask", "deny"):
        (finding,) = (f for f in found(refunds(when, effect)) if f.severity == "error")
        assert text in finding.text


def test_a_wrong_value_is_told_with_the_nearest_one():
    assert '; did you mean "damaged"?' in texts(refunds("args.reason == 'dammaged'"))[0]


def test_a_part_that_cannot_matter_for_a_tool_is_not_held_against_it():
    servers = {
        "s": (
            tool("a", {"type": "object", "properties": {"v": {"enum": ["x"]}}}, "s"),
            tool("b", {"type": "object", "properties": {"v": {"type": "number"}}}, "s"),
        )
    }
    when = '(tool.name == "a" && args.v == "x") || (tool.name == "b" && args.v > 3)'
    assert found(rule(server="s", when=when), servers=servers) == []


@pytest.mark.parametrize(
    ("when", "part"),
    [
        ("args.amount > 100 && args.amount < 50", "`args.amount < 50` is never true together"),
        ("!(args.amount > 10) && args.amount > 20", "`args.amount > 20` is never true together"),
        ("args.order == 'a' && args.order == 'b'", '`args.order == "b"` is never true together'),
        ("!has(args.reason) && args.reason == 'late'", "is never true together"),
        ("now.getHours() >= 22 && now.getHours() < 6", "`now.getHours() < 6` is never true tog"),
        ("size(args.order) > 5 && size(args.order) < 3", "is never true together"),
        ("args.notify && !args.notify", "is never true together"),
        ("args.amount > 5 ? args.amount < 3 : args.amount > 7 && args.amount < 6", "is never true"),
        ("false", "`false` is never true"),
        ("run.turn < 0", "`run.turn < 0` is never true"),
        ("total('t') > 10.0 && total('t') < 3.0", "is never true together"),
    ],
)
def test_a_condition_that_can_never_be_true_is_an_error(when, part):
    totals = [TotalText(name="t", server="orders", tools=("refund",), value="args.amount")]
    (text,) = texts(refunds(when, "allow"), totals=totals)
    assert part in text
    assert text.startswith("error: ")
    assert text.endswith("this rule never allows anything")
    (text,) = texts(refunds(when, "deny"), totals=totals)
    assert "denies only where it is undefined" in text or "this rule never matches" in text


def test_a_condition_that_is_always_true_is_a_warning():
    (text,) = texts(refunds('tool.name == "refund"'))
    assert text.startswith("warning: the condition is true for every call")


def test_what_does_not_compile_is_an_error_with_its_column():
    finding = one(refunds("args.amount >> 3"))
    assert (finding.severity, finding.line, finding.column) == ("error", 1, 14)
    assert "tool.nmae" in one(refunds('tool.nmae == "x"')).text
    assert "true or false" in one(refunds("args.amount + 1.0")).text


def test_roles_labels_and_totals_that_nobody_gives_are_errors():
    rules = [
        rule("a", "ask", when='"bos" in user.roles'),
        rule("b", "ask", when='run.labels.exists(l, l in ["privat", "private"])'),
        rule("c", "ask", when='total("refundz") > 10.0'),
        rule("d", "ask", when='user.roles.exists(r, r == "x") || "egress" in tool.labels'),
    ]
    totals = [TotalText(name="refunds", server="orders", tools=("refund",))]
    said = texts(*rules, totals=totals, roles={"boss": frozenset({"ann"})})
    assert said == [
        'error: nobody has the role "bos"; did you mean "boss"?',
        'error: no server gives the label "privat"; did you mean "private"?',
        'error: there is no total "refundz"; did you mean "refunds"?',
        'error: nobody has the role "x"; give it to somebody in [policy.roles]',
        'error: no server gives the label "egress"; give it in [servers.NAME.labels]',
    ]


def test_roles_of_tokens_and_labels_of_trusted_servers_may_be_any():
    rules = [
        rule("a", "ask", when='"bos" in user.roles', approvers=["nobody"], approvals=3),
        rule("b", "ask", when='"mine" in run.labels'),
    ]
    (text,) = texts(*rules, more_roles=True, more_labels=True)
    assert text.startswith('warning: no server gives the label "mine"')


def test_approvers_that_nobody_is_and_more_approvals_than_people_are_errors():
    roles = {"boss": frozenset({"ann"}), "lead": frozenset({"ann", "bob"}), "team": None}
    (text,) = texts(rule(effect="ask", approvers=["bos"]), roles=roles)
    assert text == (
        'error: nobody has the role "bos", so what this rule asks nobody can approve; did you mean '
        '"boss"?'
    )
    (text,) = texts(rule(effect="ask", approvers=["boss", "lead"], approvals=3), roles=roles)
    assert text.startswith("error: it takes 3 approvals, but 2 people have the role boss or lead")
    assert found(rule(effect="ask", approvers=["lead"], approvals=2), roles=roles) == []
    assert found(rule(effect="ask", approvers=["team"], approvals=5), roles=roles) == []
    (text,) = texts(rule(effect="ask", approvers=["boss"], self_approval=False), roles=roles)
    assert text.startswith("warning: ann alone has the role boss and may not approve")


def test_an_organisations_rule_that_relies_on_roles_wants_an_identity():
    roles = {"boss": frozenset({"ann"})}
    rules = [
        rule("a", "ask", server="mail", approvers=["boss"], level="organisation"),
        rule("b", "ask", when='"boss" in user.roles', level="organisation"),
        rule("c", "deny", when='user.claims.team != "x"', level="organisation"),
    ]
    said = texts(*rules, roles=roles)
    assert [text.startswith("warning: it relies on roles") for text in said] == [True] * 3
    assert found(*rules, roles=roles, identified=True) == []


def test_totals_are_looked_at_like_rules():
    totals = [
        TotalText(name="a", server="orders", tools=("refnd",)),
        TotalText(name="b", server="orders", tools=("refund",), value="args.amuont"),
        TotalText(name="c", server="orders", tools=("refund",), value="args.order"),
        TotalText(name="d", server="orders", tools=("refund",), per=("user.idd",)),
    ]
    said = texts(totals=totals)
    assert 'tools "refnd" matches none' in said[0]
    assert "`args.amuont` is no argument" in said[1]
    assert "`args.order` is no number" in said[2]
    assert 'user.id"' in said[3]
    assert len(said) == 4


# -- shadows ---------------------------------------------------------------------------------------


def shadowed(*rules):
    return {f.subject: f.text for f in found(*rules, servers=SERVERS) if f.severity == "warning"}


def test_an_allow_that_a_stricter_rule_always_beats_is_said():
    said = shadowed(
        rule("weak", "allow", server="orders", tools=["get_order"]),
        rule("strong", "deny", server="ord*", tools=["get_*"]),
    )
    assert list(said) == ['rule "weak"']
    assert said['rule "weak"'].startswith(
        'it never decides anything: rule "strong" (servers.toml:7) denies wherever this one would '
        "allow"
    )


def test_a_stricter_rule_with_a_condition_or_over_less_shadows_nothing():
    for strong in (
        rule("s", "deny", server="orders", tools=["refund"], when="args.amount > 5"),
        rule("s", "deny", server="orders", tools=["refun?"]),
        rule("s", "deny", server="orders", tools=["get_*"]),
        rule("s", "deny", server="mail"),
    ):
        weak = rule("w", "allow", server="orders", tools=["refund*"])
        assert shadowed(weak, strong) == {}


def test_the_same_condition_shadows_too_however_it_is_spaced():
    said = shadowed(refunds("args.amount>5", "allow"), refunds("args.amount  >  5", "ask"))
    assert list(said) == ['rule "r"']


def test_a_rule_that_adds_nothing_and_a_duplicate_are_said_once():
    said = shadowed(
        rule("all", "deny", server="orders"),
        rule("some", "deny", server="orders", tools=["get_*"]),
    )
    assert said == {
        'rule "some"': 'it adds nothing to rule "all" (servers.toml:7), which matches wherever '
        "this one does; take it out"
    }
    said = shadowed(rule("one", "deny", server="mail"), rule("two", "deny", server="mail"))
    assert list(said) == ['rule "two"']
    assert said['rule "two"'].startswith('it says the same as rule "one"')


def test_an_ask_with_terms_of_its_own_adds_something():
    roles = {"boss": frozenset({"ann"})}
    rules = [rule("all", "ask"), rule("some", "ask", server="mail", approvers=["boss"])]
    assert found(*rules, roles=roles) == []
