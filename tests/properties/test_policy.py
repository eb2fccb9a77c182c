"""Policy agrees with a reference that is written the slow, obvious way, and never loosens.

The reference knows nothing of the library that evaluates conditions: it has its own three-valued
logic (true, false, undefined as None) over a small grammar, its own globs, and compares every rule
with every call.
"""

import fnmatch
import math
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.conversation import Conversation
from agent_host.core.types import Annotations, LabelSeen, Principal, Tool, ToolCall
from agent_host.policy import expressions
from agent_host.policy.facts import Moment
from agent_host.policy.rules import STRICTNESS, Rule, RulePolicy

LEVELS = ("organisation", "user", "project")
NAMES = ("a", "b", "n")
ODD = ["5", "", "a\x00", "\ud800", None, True, False, [], [-1], {}, {"b": -1}, {"b": 7}]
NUMBERS = [-1, -0.5, 0, 5, 5.0, 99, 100, 100.5, 1e3, 2**53 + 1, 2**70, 1e308]
ARGUMENTS = st.dictionaries(
    st.sampled_from(NAMES),
    st.sampled_from([*ODD, *NUMBERS, math.nan, math.inf, -math.inf]),
    max_size=3,
)


# -- conditions: how they are written, and what they mean ------------------------------------------


@dataclass(frozen=True)
class Compare:
    name: str
    sign: str
    number: float

    def text(self):
        return f"args.{self.name} {self.sign} {self.number}"

    def means(self, call):
        value = call["args"].get(self.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return {
            ">": value > self.number,
            "<=": value <= self.number,
            "<": value < self.number,
            ">=": value >= self.number,
        }[self.sign]

    def reads(self):
        return {self.name}


@dataclass(frozen=True)
class Has:
    name: str

    def text(self):
        return f"has(args.{self.name})"

    def means(self, call):
        return self.name in call["args"]

    def reads(self):
        return {self.name}


@dataclass(frozen=True)
class Inside:
    """`args.NAME.b > 3`: a member of a member."""

    name: str

    def text(self):
        return f"args.{self.name}.b > 3"

    def means(self, call):
        value = call["args"].get(self.name)
        return value["b"] > 3 if isinstance(value, dict) and "b" in value else None

    def reads(self):
        return {self.name}


@dataclass(frozen=True)
class Member:
    word: str
    where: str

    def text(self):
        return f'"{self.word}" in {self.where}'

    def means(self, call):
        return self.word in call[self.where]

    def reads(self):
        return set()


@dataclass(frozen=True)
class Not:
    one: object

    def text(self):
        return f"!({self.one.text()})"

    def means(self, call):
        found = self.one.means(call)
        return None if found is None else not found

    def reads(self):
        return self.one.reads()


@dataclass(frozen=True)
class Both:
    one: object
    other: object
    sign: str

    def text(self):
        return f"({self.one.text()}) {self.sign} ({self.other.text()})"

    def means(self, call):
        found = {self.one.means(call), self.other.means(call)}
        decisive = self.sign == "||"
        if decisive in found:
            return decisive
        return None if None in found else not decisive

    def reads(self):
        return self.one.reads() | self.other.reads()


def sound(value):
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, list):
        return all(map(sound, value))
    if isinstance(value, dict):
        return all(map(sound, value.values()))
    if value < 0 or not math.isfinite(value):
        return False
    return value < (2**63 if isinstance(value, int) else 2**53)


def holds(condition, call):
    """The whole of what a condition means: undefined where it reads what is not sound."""
    if condition is None:
        return True
    if not all(sound(call["args"][n]) for n in condition.reads() if n in call["args"]):
        return None
    return condition.means(call)


ATOMS = st.one_of(
    st.builds(
        Compare,
        st.sampled_from(NAMES),
        st.sampled_from([">", "<=", "<", ">="]),
        st.sampled_from([0, 5, 99.5, 100]),
    ),
    st.builds(Has, st.sampled_from(NAMES)),
    st.builds(Inside, st.sampled_from(NAMES)),
    st.builds(Member, st.sampled_from(["lead", "clerk"]), st.just("user.roles")),
    st.builds(Member, st.sampled_from(["private", "untrusted"]), st.just("run.labels")),
    st.builds(Member, st.just("egress"), st.just("tool.labels")),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(Not, inner), st.builds(Both, inner, inner, st.sampled_from(["&&", "||"]))
    ),
    max_leaves=4,
)


# -- rules and calls -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """A rule as a person has it in mind."""

    id: str
    level: str
    effect: str
    server: str
    tools: tuple
    condition: object

    def rule(self):
        when = None if self.condition is None else expressions.condition(self.condition.text())
        return Rule(
            id=self.id,
            level=self.level,
            effect=self.effect,
            server=self.server,
            tools=self.tools,
            when=when,
        )


GLOBS = st.sampled_from(["*", "pay", "p*", "get_*", "*-x", "[!p]*", "nothing"])
EFFECTS = st.sampled_from(["allow", "ask", "deny"])
RULES = st.lists(
    st.builds(
        Written,
        id=st.sampled_from([f"r{number}" for number in range(30)]),
        level=st.sampled_from(LEVELS),
        effect=EFFECTS,
        server=st.sampled_from(["*", "crm", "c*", "other"]),
        tools=st.lists(GLOBS, min_size=1, max_size=2).map(tuple),
        condition=st.one_of(st.none(), CONDITIONS),
    ),
    max_size=7,
    unique_by=lambda one: one.id,
)
FLOWS = st.sampled_from(["off", "ask", "deny"])
LABELS = st.lists(st.sampled_from(["private", "untrusted", "own"]), unique=True)
TOOLS = st.builds(
    Tool,
    name=st.just("shown"),
    server=st.sampled_from(["crm", "mail"]),
    tool=st.sampled_from(["pay", "get_x", "get-x"]),
    description=st.just(""),
    input_schema=st.just({}),
    annotations=st.builds(Annotations, read_only=st.sampled_from([None, True])),
    trusted=st.booleans(),
    labels=st.sampled_from([(), ("egress",)]),
)
CALLS = st.fixed_dictionaries(
    {
        "args": ARGUMENTS,
        "tool": TOOLS,
        "user.roles": st.lists(st.sampled_from(["lead", "clerk"]), unique=True),
        "run.labels": LABELS,
    }
)


def reference(rules, default, flow, call):
    """What policy answers, the slow way: decision, and the ids of the rules that say so."""
    tool = call["tool"]
    call = {**call, "tool.labels": tool.labels}
    said = {"deny": set(), "ask": set(), "allow": set()}
    for rule in rules:
        if not fnmatch.fnmatchcase(tool.server, rule.server):
            continue
        if not any(fnmatch.fnmatchcase(tool.tool, glob) for glob in rule.tools):
            continue
        found = holds(rule.condition, call)
        if found is True or (found is None and rule.effect != "allow"):
            said[rule.effect].add(rule.id)
    if (
        flow != "off"
        and "egress" in tool.labels
        and {"private", "untrusted"} <= {*call["run.labels"]}
    ):
        said[flow].add("flow")
    if default == "ask" and tool.trusted and tool.annotations.read_only:
        said["allow"].add("trusted-read-only")
    for effect in ("deny", "ask", "allow"):
        if said[effect]:
            return effect, said[effect]
    return default, {"default"}


def answer(rules, default, flow, call):
    policy = RulePolicy(
        [rule.rule() for rule in rules],
        default,
        flow=flow,
        language=expressions,
        moment=lambda: Moment(now=0.0),
    )
    labels = tuple(LabelSeen(label=one, server="s", tool="t") for one in call["run.labels"])
    return policy.decide(
        ToolCall(id="c", name="shown", arguments=call["args"]),
        call["args"],
        call["tool"],
        Conversation(run_id="r", labels=labels),
        Principal(id="ana", roles=tuple(call["user.roles"])),
    )


def strictness(given):
    return STRICTNESS[given.decision]


@settings(max_examples=400)
@given(RULES, EFFECTS, FLOWS, CALLS)
def test_policy_agrees_with_a_reference_on_random_rules_layers_and_calls(
    rules, default, flow, call
):
    given_answer = answer(rules, default, flow, call)
    assert (given_answer.decision, {*given_answer.rules}) == reference(rules, default, flow, call)
    assert given_answer.rule in given_answer.rules


@settings(max_examples=150)
@given(RULES, EFFECTS, FLOWS, CALLS, CONDITIONS, st.sampled_from(LEVELS), st.data())
def test_adding_a_rule_that_asks_or_denies_never_allows_more(
    rules, default, flow, call, condition, level, data
):
    before = answer(rules, default, flow, call)
    for effect in ("ask", "deny"):
        when = data.draw(st.sampled_from([None, condition]))
        added = Written("added", level, effect, "*", ("*",), when)
        after = answer([*rules, added], default, flow, call)
        assert after.decision != "allow" or before.decision == "allow"
        if before.rule != "default":  # an ask opens to a human's yes what only a default closed
            assert strictness(after) >= strictness(before)


@settings(max_examples=150)
@given(RULES, EFFECTS, FLOWS, CALLS, st.randoms(use_true_random=False))
def test_the_order_of_rules_and_files_never_matters(rules, default, flow, call, random):
    shuffled = list(rules)
    random.shuffle(shuffled)
    assert answer(rules, default, flow, call) == answer(shuffled, default, flow, call)


@settings(max_examples=150)
@given(RULES, RULES, EFFECTS, FLOWS, CALLS)
def test_an_organisations_file_only_tightens(own, above, default, flow, call):
    """As files are laid over each other: its rules ask or deny, its default and flow are taken
    where they are stricter."""
    above = [
        Written(f"org-{one.id}", "organisation", one.effect, one.server, one.tools, one.condition)
        for one in above
        if one.effect != "allow"
    ]
    before = answer(own, default, flow, call)
    for tighter in ("ask", "deny"):
        stricter_default = max(default, tighter, key=STRICTNESS.__getitem__)
        stricter_flow = "deny" if tighter == "deny" else max(flow, "ask", key="off ask deny".index)
        after = answer([*own, *above], stricter_default, stricter_flow, call)
        assert after.decision != "allow" or before.decision == "allow"


@settings(max_examples=150)
@given(RULES, EFFECTS, FLOWS, CALLS)
def test_what_is_explained_is_what_is_decided(rules, default, flow, call):
    policy = RulePolicy([rule.rule() for rule in rules], default, flow=flow, language=expressions)
    labels = tuple(LabelSeen(label=one, server="s", tool="t") for one in call["run.labels"])
    found = policy.explain(
        call["args"],
        call["tool"],
        Conversation(run_id="r", labels=labels),
        Principal(id="ana", roles=tuple(call["user.roles"])),
    )
    assert found.answer == answer(rules, default, flow, call)
    for outcome in found.outcomes:
        counts = outcome.holds or (outcome.holds is None and outcome.rule.effect != "allow")
        if counts and outcome.rule.effect == found.answer.decision:
            assert outcome.rule.name in found.answer.rules
