"""What a policy would have decided about recorded calls, against what was decided.

Theory of operation: the calls of all runs are judged in the order of time, each with its
conversation, its user and its moment as they were then, by the policy as it is now. Running totals
start at nothing and count what this policy lets run: what it allows, and of what it asks that which
did run, since somebody said yes to it then. The answers are compared by strictness and grouped by
what changed, the rule that says so now, and the tool.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from agent_host.core.types import Decision, LabelSeen, Principal, Tool
from agent_host.policy.facts import Moment
from agent_host.policy.recorded import RecordedCall
from agent_host.policy.rules import STRICTNESS
from agent_host.ports import Policy

Verdict = Literal["same", "stricter", "looser"]

EXAMPLES = 3


class Clock:
    """The moment of the call that is being judged; handed to the policy."""

    def __init__(self) -> None:
        self._moment = Moment(now=0.0)

    def __call__(self) -> Moment:
        """Return that moment."""
        return self._moment

    def set(self, call: RecordedCall) -> None:
        """Let it be when a call was judged."""
        self._moment = Moment(now=call.at, interactive=call.interactive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """One call, as it would be answered now. `changed`: the tool's definition is another one
    since; `unknown`: nobody knows the tool now."""

    call: RecordedCall
    server: str
    tool: str
    decision: Decision
    rule: str
    reason: str
    where: str
    verdict: Verdict
    changed: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Calls with the same change."""

    verdict: Verdict
    was: Decision
    now: Decision
    rule: str
    where: str
    reason: str
    server: str
    tool: str
    count: int
    runs: int
    examples: tuple[Simulated, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What came of all calls. `untold`: calls whose tool no record and no server tells; `changed`
    and `unknown`: tools, each with its calls."""

    calls: int
    verdicts: Mapping[str, int]
    answers: Mapping[tuple[Decision, Decision], int]
    groups: tuple[Group, ...]
    changed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unknown: Mapping[tuple[str, str], int] = field(default_factory=dict)
    untold: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is known now. `tools` by server and own name, `exposed` by exposed name; `unseen`
    makes a tool that nobody knows now; `user`: whose roles are as the files say now."""

    tools: Mapping[tuple[str, str], Tool]
    exposed: Mapping[str, Tool]
    unseen: Callable[[str, str, str], Tool]
    user: Callable[[Principal], Principal]


def simulate(
    calls: Iterable[RecordedCall], policy: Policy, clock: Clock, world: World
) -> Simulation:
    """Judge recorded calls by a policy whose moment is `clock`."""
    judged: list[Simulated] = []
    untold = 0
    labels: dict[str, dict[LabelSeen, None]] = {}
    ordered = sorted(calls, key=lambda one: (one.at, one.run_id, one.seq))
    names = {one.call.name: (one.server, one.tool) for one in ordered if one.server}
    for call in ordered:
        tool = _tool(call, world, names)
        if tool is None:
            untold += 1
            continue
        seen = labels.setdefault(call.run_id, {})
        clock.set(call)
        judged.append(_judged(call, tool, policy, world, seen))
        if call.ran:
            # Today's labels of a tool count for what it brought then.
            for label in tool.labels:
                seen[LabelSeen(label=label, server=tool.server, tool=tool.tool)] = None
    return _summed(judged, untold)


def _tool(call: RecordedCall, world: World, names: Mapping[str, tuple[str, str]]) -> Tool | None:
    pair = (call.server, call.tool) if call.server else names.get(call.call.name)
    if pair is None:
        return world.exposed.get(call.call.name)
    return world.tools.get(pair) or world.unseen(call.call.name, *pair)


def _judged(
    call: RecordedCall, tool: Tool, policy: Policy, world: World, seen: Mapping[LabelSeen, None]
) -> Simulated:
    conversation = call.conversation
    if seen:
        every = dict.fromkeys((*conversation.labels, *seen))
        conversation = replace(conversation, labels=tuple(every))
    user = world.user(conversation.principal)
    # An id may come again in a later turn; as a call of its own it counts on its own.
    asked = replace(call.call, id=f"{call.seq}:{call.call.id}")
    answer = policy.decide(asked, call.arguments, tool, conversation, user)
    if answer.decision == "ask" and call.ran:
        policy.begin(asked, call.ran_with or call.arguments, tool, conversation, user)
    known = (tool.server, tool.tool) in world.tools
    return Simulated(
        call=call,
        server=tool.server,
        tool=tool.tool,
        decision=answer.decision,
        rule=answer.rule,
        reason=answer.reason,
        where=answer.origin,
        verdict=_verdict(call.decided, answer.decision),
        changed=known and bool(call.fingerprint) and call.fingerprint != tool.fingerprint,
        unknown=not known,
    )


def _verdict(was: Decision, now: Decision) -> Verdict:
    before, after = STRICTNESS[was], STRICTNESS[now]
    if before == after:
        return "same"
    return "stricter" if after > before else "looser"


def _summed(judged: Sequence[Simulated], untold: int) -> Simulation:
    together: dict[tuple[str, ...], list[Simulated]] = {}
    for one in judged:
        key = (one.verdict, one.call.decided, one.decision, one.rule, one.server, one.tool)
        together.setdefault(key, []).append(one)
    groups = [_group(those) for those in together.values()]
    return Simulation(
        calls=len(judged),
        verdicts=Counter(one.verdict for one in judged),
        answers=Counter((one.call.decided, one.decision) for one in judged),
        groups=tuple(sorted(groups, key=_rank)),
        changed=Counter((one.server, one.tool) for one in judged if one.changed),
        unknown=Counter((one.server, one.tool) for one in judged if one.unknown),
        untold=untold,
    )


_ORDER: dict[Verdict, int] = {"looser": 0, "stricter": 1, "same": 2}


def _rank(group: Group) -> tuple[int, int, str, str, str]:
    """What became looser first: that is what one wants to know before anything else."""
    return (_ORDER[group.verdict], -group.count, group.server, group.tool, group.rule)


def _group(those: Sequence[Simulated]) -> Group:
    first = those[0]
    return Group(
        verdict=first.verdict,
        was=first.call.decided,
        now=first.decision,
        rule=first.rule,
        where=first.where,
        reason=first.reason,
        server=first.server,
        tool=first.tool,
        count=len(those),
        runs=len({one.call.run_id for one in those}),
        examples=tuple(those[-EXAMPLES:]),
    )
