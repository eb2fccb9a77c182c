"""What conditions are, and what becomes of values that models write into arguments."""

import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from agent_host.core.conversation import Conversation
from agent_host.core.types import LabelSeen, Principal
from agent_host.policy import expressions
from agent_host.policy.expressions import ExpressionError, Undefined
from tests.policy.made import facts, tool


def value(text, arguments=None, totals=None, **more):
    """What a condition comes to: True, False, or why it is undefined."""
    compiled = expressions.condition(text)
    about = facts(arguments, **more)
    activation = expressions.activation(about.data(compiled.reads))
    why = about.why_undefined(compiled.reads)
    with expressions.counting(totals or {}):
        found = Undefined(why) if why is not None else compiled.holds(activation)
    return found.why if isinstance(found, Undefined) else found


@pytest.mark.parametrize(
    ("text", "problem", "at"),
    [
        ("args.amount >", "it ends too early", " at column 14"),
        ("args.amount > > 5", "it cannot be read from `>` on", " at column 15"),
        ("run.cots > 5.0", 'nothing is called "run.cots" here; did you mean "run.cost"?', None),
        ("usr.id == 'x'", 'called "usr.id" here; did you mean "user.id"?', " at column 4"),
        ("true &&\n  nope", 'nothing is called "nope" here', " at line 2, column 3"),
        ("user.id > 5", "`>` does not go with string and int", " at column 9"),
        ("run.cost == 5", 'write whole numbers as "5.0" here', None),
        ("args.a / args.b > 2", "there is no division", None),
        ("double(args.a) > 2", 'write "number(x)"', None),
        ("int(args.a) > 2", 'write "number(x)"', None),
        ("inside(args.path)", "inside() does not take these arguments", None),
        ("total(args.name) > 1", "total() takes the name of a total", " at column 6"),
        ("1 + 1", "a condition has to be true or false; this is of the type int", ""),
        ("has(run.cost)", "a condition has to be true or false", ""),
        ("", "it ends too early", None),
        ("true\x00 && false", "token recognition error", None),
        ("a\ud800", "", None),
        ("[" * 200 + "]" * 200 + " == []", "recursion", None),
        ("(" * 500 + "true" + ")" * 500, "recursion", None),
        ("args" + ".a" * 1000 + " == 1", "recursion", None),
    ],
)
def test_what_is_no_condition_is_said_with_its_place(text, problem, at):
    with pytest.raises(ExpressionError) as caught:
        expressions.condition(text)
    assert problem in caught.value.problem
    assert "\n" not in caught.value.problem
    if at is not None:
        assert caught.value.at() == at


@pytest.mark.parametrize("text", ["user.id", "args", "now", "user.roles", "true"])
def test_what_is_no_number_is_no_quantity(text):
    with pytest.raises(ExpressionError, match="has to be a number"):
        expressions.quantity(text)


def test_numbers_compare_and_add_whether_they_are_written_with_a_point_or_not():
    for one in (3, 3.0):
        assert value("args.a * args.b > 1000", {"a": one, "b": 333.4}) is True
        assert value("args.a == 3 && args.a == 3.0 && args.a in [3]", {"a": one}) is True
        assert (
            value("args.a + 1 > 3.5 && 1 + args.a - 1 == 3 && args.a * 2 < 7", {"a": one}) is True
        )
        assert value("args.a % 2 == 1", {"a": one}) is True
        assert value("args.items[args.a] == 'd'", {"a": one, "items": list("abcd")}) is True
        assert value("run.turn + args.a > 2.5 && args.a > run.turn", {"a": one}) is True
    assert value("string(args.a) == '3'", {"a": 3}) is True


@pytest.mark.parametrize(
    "amount",
    [
        "250",
        "99",
        None,
        True,
        [],
        [50],
        {},
        {"value": 50},
        -1,
        -0.01,
        float("nan"),
        float("inf"),
        float("-inf"),
        2.0**53,
        1e308,
        2**63,
        2**70,
        -(2**70),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "args.amount > 100",
        "args.amount <= 100",
        "args.amount < 100.5",
        "args.amount >= 0 && args.amount <= 100",
        "!(args.amount > 100)",
        "100 >= args.amount",
        "args.amount * 2 <= 200",
        "args.amount + args.amount <= 200",
        "args['amount'] <= 100",
        "[args.amount].all(a, a <= 100)",
    ],
)
def test_what_is_no_amount_makes_a_threshold_undefined(text, amount):  # threat 44
    found = value(text, {"amount": amount})
    assert isinstance(found, str), found
    assert found


@pytest.mark.parametrize("amount", ["250", [], {}, -1, float("nan"), float("inf"), 2**70])
@pytest.mark.parametrize(
    "text",
    [
        "has(args.amount) && args.amount > 100",
        "args.items.all(i, i.price <= 100)",
        "args.exists(key, args[key] > 100)",
        "args[args.which] > 100",
        "args.amount + args.fee > 100",
    ],
)
def test_it_is_undefined_however_it_is_reached(text, amount):  # threat 44
    arguments = {"amount": amount, "fee": 1, "items": [{"price": amount}], "which": "amount"}
    assert isinstance(value(text, arguments), str)


@pytest.mark.parametrize(("amount", "over"), [(99, 0), (100, 0), (100.0, 0), (250.7, 1), (1e3, 1)])
def test_an_amount_is_compared_as_a_number(amount, over):  # threat 44
    assert value("args.amount > 100", {"amount": amount}) is bool(over)
    assert value("args.amount <= 100", {"amount": amount}) is not bool(over)


def test_a_missing_argument_makes_a_condition_undefined_and_has_says_so():
    assert value("args.amount > 100", {}) == 'there is no "amount"'
    assert value("has(args.amount)", {}) is False
    assert value("has(args.a.b)", {"a": {}}) is False
    assert isinstance(value("has(args.a.b)", {}), str)
    assert isinstance(value("args.a.b > 1", {"a": "text"}), str)
    assert isinstance(value("args.a[3] > 1", {"a": [1]}), str)


def test_what_a_condition_does_not_read_is_none_of_its_business():
    odd = {"offset": -1, "deep": {"n": float("nan")}, "text": "a\x00b", "amount": 50}
    assert value("args.amount <= 100", odd) is True
    assert value("args.deep.x == 1", {**odd, "deep": {"x": 1, "y": -1}}) is True
    assert isinstance(value("size(args) == 4", odd), str)


def test_negative_numbers_are_there_for_whoever_means_them():
    here = {"latitude": -33.9, "nested": {"n": [-5]}}
    assert value("signed.latitude > 40.0", here) is False
    assert value("signed.latitude < -30.0 && signed.nested.n[0] == -5", here) is True
    assert value("args.latitude > 40.0", here) == (
        "args.latitude is negative; a rule that means negative numbers reads `signed`"
    )
    assert isinstance(value("signed.latitude > 1.0", {"latitude": float("nan")}), str)


@pytest.mark.parametrize("text", ["a\x00b", "a\x00", "\x00", "\ud800", "ok\udfff"])
def test_a_text_with_a_nul_or_half_a_character_is_never_taken_for_another(text):
    assert isinstance(value("args.x == 'a'", {"x": text}), str)
    assert isinstance(value("size(args.m) == 1", {"m": {text: 1}}), str)


def test_texts_are_compared_whole():
    assert value("args.x == 'é'", {"x": "é"}) is True
    assert value("args.x.matches('^ab$')", {"x": "ab\n"}) is False
    assert value("args.x.matches('^a.*$')", {"x": "a\nb"}) is False
    assert value("size(args.x) == 1", {"x": "😀"}) is True


def test_a_pattern_takes_no_longer_for_a_text_made_to_hold_it_up():
    assert value("args.x.matches('^(a+)+$')", {"x": "a" * 200_000 + "!"}) is False


def test_a_pattern_that_is_none_makes_a_condition_undefined():
    assert isinstance(value("args.x.matches(args.x)", {"x": "("}), str)


def test_what_is_too_large_or_too_deep_makes_a_condition_undefined():
    assert isinstance(value("args.l.all(i, i > 0)", {"l": [1] * 10_001}), str)
    assert value("args.l.all(i, i > 0)", {"l": [1] * 9_000}) is True
    assert isinstance(value("size(args.t) > 0", {"t": "x" * 1_000_001}), str)
    assert value("size(args.t) > 0", {"t": "x" * 900_000}) is True
    deep = leaf = {}
    for _ in range(70):
        leaf["a"] = {}
        leaf = leaf["a"]
    assert isinstance(value("args.d == {}", {"d": deep}), str)


def test_no_loop_over_what_a_model_wrote_costs_more_than_a_bound():
    many = {"l": ["z"] * 9_000, "m": ["y"] * 9_000, "t": "x" * 900_000}
    assert isinstance(value("args.l.map(x, args.t + x).size() > 1", many), str)
    assert isinstance(value("args.l.exists(x, args.m.exists(y, y == x))", many), str)
    assert isinstance(value("args.l.exists(x, x in args.m)", many), str)


def test_loops_within_loops_end_at_a_bound_of_steps():
    few = {"l": [1] * 200}
    assert value("args.l.exists(x, args.l.exists(y, y == 2))", few) == "Iteration budget exceeded"
    assert value("args.l.exists(x, x == 2)", few) is False


def test_what_is_no_value_of_json_makes_a_condition_undefined():
    assert value("args.x == 1", {"x": (1, 2)}) == "args.x is no value of JSON"


def test_a_text_where_members_were_expected_is_seen_by_every_condition():
    odd = {"a": "text", "b": {"c": "text"}}
    joined = expressions.condition("args.a.x == 1 || args.a.y.z == 1 || args.b.c.d == 1")
    about = facts(odd)
    assert about.data(joined.reads)["args"] == odd
    assert value("has(args.b.c) && args.b.c == 'text' && !has(args.b.e)", odd) is True
    assert value("args.b.e.f == 1 || args.b.c == 'text'", odd) is True


def test_deep_arguments_do_not_end_the_process():
    deep = "x = 1\nfor _ in range(200_000): x = [x]\n"
    code = (
        f"{deep}from tests.policy.made import facts\n"
        "from agent_host.policy import expressions\n"
        "e = expressions.condition('args.x == 1')\n"
        "f = facts({'x': x})\n"
        "expressions.activation(f.data(e.reads))\n"
        "print(f.why_undefined(e.reads))\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "args.x is too large or too deep to be judged\n")


def test_an_error_is_no_answer_unless_the_answer_is_certain_without_it():
    assert value("user.id == 'ana' || args.nope > 1", {}) is True
    assert value("args.nope > 1 || user.id == 'ana'", {}) is True
    assert value("user.id == 'bo' && args.nope > 1", {}) is False
    assert isinstance(value("user.id == 'bo' || args.nope > 1", {}), str)
    assert isinstance(value("args.flag", {"flag": 1}), str)
    assert isinstance(value("args.flag", {"flag": "true"}), str)
    assert value("args.flag", {"flag": True}) is True


def test_time_of_day_is_told_in_the_zone_that_a_rule_names():
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
    assert value("now.getHours('Europe/Berlin') == 14", now=noon) is True
    assert value("now.getDayOfWeek('Europe/Berlin') == 3", now=noon) is True
    assert value("now > timestamp('2026-06-30T23:59:59Z')", now=noon) is True
    assert value("now - timestamp('2026-07-01T00:00:00Z') == duration('12h')", now=noon) is True
    assert isinstance(value("now.getHours('Mars/Olympus') == 14", now=noon), str)


def test_user_run_and_tool_are_what_they_are():
    conversation = Conversation(
        run_id="r1",
        turns=3,
        tool_calls=4,
        cost=2.5,
        labels=(LabelSeen(label="private", server="a", tool="b"),),
    )
    principal = Principal(
        id="ana", authenticated_by="https://idp", roles=("lead",), claims={"team": {"n": -3}}
    )
    more = {"conversation": conversation, "principal": principal}
    for text in (
        "'lead' in user.roles && user.roles.exists(r, r.startsWith('le'))",
        "user.id == 'ana' && user.issuer == 'https://idp' && user.claims.team.n == -3",
        "!has(user.claims.other)",
        "run.id == 'r1' && run.turn == 3 && run.calls == 4 && run.cost > 2 && run.cost < 3",
        "'private' in run.labels && !('untrusted' in run.labels) && !run.interactive",
        "tool.name == 'refund' && tool.server == 'orders' && tool.labels == ['egress']",
        "tool.new && !tool.read_only && !tool.annotations_trusted",
        "tool.destructive && tool.open_world && !tool.idempotent",
    ):
        about = tool(labels=("egress",), is_new=True)
        assert value(text, about=about, **more) is True, text
    assert isinstance(value("user.claims.x == 1", principal=Principal(id="a")), str)


def test_what_a_run_has_cost_is_undefined_once_a_price_is_not_known():
    conversation = Conversation(cost=0.0, unpriced=1)
    assert value("run.cost < 5.0", conversation=conversation) == "run.cost is not known"


def test_totals_are_read_before_and_after_the_call():
    totals = {"refunds": (90.0, 140.5), "broken": "the disk is gone"}
    assert value("total('refunds') == 90.0", totals=totals) is True
    assert value("total_after('refunds') > 140", totals=totals) is True
    assert value("total('refunds') + args.amount > 140", {"amount": 51}, totals=totals) is True
    assert "the disk is gone" in value("total('broken') > 1", totals=totals)
    assert "not counted here" in value("total('other') > 1", totals=totals)
    assert "not counted here" in value("total('refunds') > 1")


def test_a_number_in_a_text_is_read_only_if_it_is_plain():
    assert value("number(args.a) > 99.0", {"a": "99.50"}) is True
    assert value("number(args.a) > 99.0", {"a": 99.5}) is True
    for text in (
        "-5",
        "+5",
        "1e9",
        "NaN",
        "inf",
        "0x10",
        " 5",
        "5 ",
        "5,0",
        "٥",
        "1_0",
        "",
        "9" * 16,
    ):
        assert isinstance(value("number(args.a) > 99.0", {"a": text}), str), text


def test_large_whole_numbers_keep_every_digit():
    assert value("args.id == 9007199254740993", {"id": 9007199254740993}) is True
    assert value("args.id == 9007199254740993", {"id": 9007199254740992}) is False
    assert isinstance(value("args.id == 9007199254740993", {"id": 9007199254740992.0}), str)
    assert isinstance(value("args.id + 0.5 > 1.0", {"id": 9007199254740993}), str)
    assert isinstance(value("args.id + args.id > 1", {"id": 2**62}), str)


def test_one_condition_for_several_is_false_only_if_all_of_them_are():
    texts = ["args.a > 1 // the first", "args.b > 1", "args.c"]
    joined = expressions.any_of([expressions.condition(text) for text in texts])
    assert joined is not None

    def holds(**arguments):
        about = facts(arguments)
        return joined.holds(expressions.activation(about.data(joined.reads)))

    assert holds(a=0, b=0, c=False) is False
    assert holds(a=0, b=2, c=False) is True
    assert isinstance(holds(a=0, b=0), Undefined)
    assert holds(a=2) is True


def test_conditions_that_are_too_much_as_one_stay_several():
    def compiled(depth):
        try:
            return expressions.condition("(" * depth + "args.a" + ")" * depth)
        except ExpressionError:
            return None

    deepest = [one for depth in range(60) if (one := compiled(depth))][-1]
    assert expressions.any_of([deepest, deepest]) is None


def test_threads_do_not_mix_each_others_values():
    compiled = expressions.condition("total('t') + args.a > 100")
    wrong = []

    def work(seed):
        for number in range(2_000):
            about = facts({"a": number % 100})
            activation = expressions.activation(about.data(compiled.reads))
            with expressions.counting({"t": (float(seed), 0.0)}):
                if compiled.holds(activation) is not (seed + number % 100 > 100):
                    wrong.append((seed, number))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (0, 50, 99)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
