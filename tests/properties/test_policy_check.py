"""What `policy check` says to be impossible never happens: random conditions, random calls."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.conversation import Conversation
from agent_host.core.types import LabelSeen, Principal
from agent_host.policy import expressions
from agent_host.policy.conditions import Meant, condition
from agent_host.policy.facts import Facts, Moment
from agent_host.policy.ground import variables
from agent_host.policy.outcomes import Reading
from tests.policy.grounds import REFUND, tool

SCHEMA = {
    **REFUND,
    "properties": {
        **REFUND["properties"],
        "count": {"type": "integer", "minimum": -5, "exclusiveMaximum": 10},
        "any": {},
    },
}
REFUND_TOOL = tool("refund", SCHEMA)
WORDS = ["", "a", "b", "late", "damaged", "vip", "new", "10", "é"]

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 12), st.sampled_from([0.5, 2.5, 1e3]),
    st.sampled_from(WORDS),
)  # fmt: skip
arguments = st.fixed_dictionaries(
    {"order": st.sampled_from(WORDS), "amount": st.sampled_from([0, 1, 2.5, 100, 1000])},
    optional={
        "reason": st.sampled_from(["damaged", "late", "other"]),
        "notify": st.booleans(),
        "tags": st.lists(st.sampled_from(["vip", "new"]), max_size=3),
        "to": st.fixed_dictionaries({}, optional={"city": st.sampled_from(WORDS)}),
        "either": st.one_of(st.sampled_from(WORDS), st.integers(-3, 12)),
        "count": st.integers(-5, 9),
        "any": st.one_of(scalars, st.lists(scalars, max_size=2)),
    },
)

PATHS = """args.order args.amount args.reason args.notify args.tags args.to.city args.either
args.any args.count signed.count args['amount'] args.nope
run.turn run.labels user.id user.roles tool.name size(args.order) now.getHours()
args.tags[0] args.amount+args.count"""
LITERALS = """0 1 3 2.5 100 1000 -2 12 'a' 'late' 'vip' 'refund' true null ['a','late'] [1,2] []
'private' 'boss'"""
paths = st.sampled_from(PATHS.split())
literals = st.sampled_from(LITERALS.split())
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in"])
operands = paths | literals
bounds = st.builds(
    "{} {} {}".format,
    st.sampled_from(["args.amount", "signed.count", "args.count", "run.turn"]),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.sampled_from(["0", "1000", "-5", "9", "10", "9.5", "100"]),
)
atoms = st.one_of(
    bounds,
    bounds,
    bounds,
    st.builds("{} {} {}".format, operands, operators, operands),
    st.builds("has({})".format, st.sampled_from(["args.reason", "args.to.city", "args.nope"])),
    st.builds("{}.startsWith({})".format, paths, literals),
    st.builds("args.tags.exists(t, t {} {})".format, operators, operands),
    st.builds("args.tags.all(t, t {} {})".format, operators, operands),
    st.sampled_from(["args.notify", "true", "false", "args.any"]),
)
texts = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=6,
)


def conversation(labels, turns):
    seen = tuple(LabelSeen(label=label, server="s", tool="t") for label in labels)
    return Conversation(run_id="r", turns=turns, labels=seen)


conversations = st.builds(
    conversation, st.lists(st.sampled_from(["private", "a"]), max_size=2), st.integers(0, 3)
)
principals = st.builds(
    lambda roles: Principal(id="a", roles=tuple(roles)),
    st.lists(st.sampled_from(["boss", "a"]), max_size=2),
)


def compiled(text):
    try:
        return expressions.condition(text)
    except expressions.ExpressionError:
        return None


def came(one, args, conversation, principal, hour):
    """What a condition really comes to: True, False, or None where it is undefined."""
    facts = Facts(
        tool=REFUND_TOOL,
        arguments=args,
        conversation=conversation,
        principal=principal,
        moment=Moment(now=hour * 3600.0),
    )
    data = facts.data(one.reads)
    if facts.why_undefined(one.reads) is not None:
        return None
    found = one.holds(expressions.activation(data))
    return found if found is True or found is False else None


calls = st.tuples(arguments, conversations, principals, st.integers(0, 23))


@settings(max_examples=600, deadline=None)
@given(texts, st.lists(calls, min_size=1, max_size=8))
def test_what_a_condition_is_said_not_to_come_to_it_never_comes_to(text, some):
    one = compiled(text)
    if one is None:
        return
    said = Reading(variables(REFUND_TOOL)).outcomes(one.node)
    anyhow = Reading(variables(None)).outcomes(one.node)
    read = condition(text, one.node, [Meant(REFUND_TOOL, variables(REFUND_TOOL))])
    for call in some:
        found = came(one, *call)
        for claim in (said, anyhow):
            if found is True:
                assert claim.true, (text, call)
            elif found is False:
                assert claim.false, (text, call)
            else:
                assert claim.undefined or read.unsound, (text, call)
        if read.never is not None:
            assert found is not True, (text, call)
        if read.always and not read.unsound:
            assert found is True, (text, call)


SMALL = tool(
    "small",
    {
        "type": "object",
        "properties": {
            "n": {"type": "number", "minimum": 1, "exclusiveMaximum": 3},
            "w": {"enum": ["a", "b"]},
        },
    },
)
PARTS = [f"args.n {op} {bound}" for op in ("==", "!=", "<", "<=", ">", ">=") for bound in range(5)]
PARTS += [f"args.w {op} '{word}'" for op in ("==", "!=") for word in ("a", "b", "c")]
PARTS += ["args.w in ['a', 'c']", "args.w in []", "has(args.w)", "has(args.n)"]
VALUES = [
    {**one, **other}
    for one in ({}, {"n": 1}, {"n": 1.5}, {"n": 2}, {"n": 2.5})
    for other in ({}, {"w": "a"}, {"w": "b"})
]


def test_of_small_conditions_exactly_what_can_be_is_said_to_be():
    """Every pair of comparisons with every value: no claim is wrong, and few are missed."""
    missed = 0
    shapes = variables(SMALL)
    forms = ("{} && {}", "{} || {}", "!({}) && {}", "{} ? {} : false")
    pairs = [(one, other) for one, other in itertools.product(PARTS, PARTS) if one <= other]
    for form, (one, other) in itertools.product(forms, pairs):
        text = form.format(one, other)
        condition_ = expressions.condition(text)
        said = Reading(shapes).outcomes(condition_.node)
        facts = [came(condition_, value, Conversation(), Principal(id="a"), 3) for value in VALUES]
        assert said.true or True not in facts, text
        assert said.false or False not in facts, text
        assert said.undefined or None not in facts, text
        missed += said.true and True not in facts
    assert missed < len(pairs) * len(forms) / 20
