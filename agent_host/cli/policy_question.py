"""One call that policy is asked about by hand: the tool, the user, the circumstances.

Theory of operation: what is not said is as it would be for a run that starts now: the user of this
process, no labels, nothing spent, the present moment. Nothing is started, counted or written; the
running totals are those that were said, for others those of state.db, which is only read.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent_host.config.layers import totals_of
from agent_host.config.load import Loaded
from agent_host.config.near import nearest
from agent_host.config.paths import state_file
from agent_host.core.conversation import Conversation
from agent_host.core.errors import UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, LabelSeen, Principal, Tool
from agent_host.host.identity import in_roles, user_name
from agent_host.host.policy import make_policy
from agent_host.policy.explain import Explained, explained
from agent_host.policy.facts import Moment
from agent_host.policy.ledger import GivenTotals
from agent_host.ports import PolicyAnswer
from agent_host.servers.tools.validation import Validation
from agent_host.state.totals import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A call and its circumstances. `user`: None for this process's; `roles`: besides those that
    the files give; `at`: seconds since 1970, None for now; `totals` by name; `kept`: totals that
    are not said are those of state.db, else 0."""

    tool: Tool
    arguments: JsonObject
    user: str | None = None
    issuer: str = ""
    roles: tuple[str, ...] = ()
    claims: JsonObject | None = None
    labels: tuple[str, ...] = ()
    cost: float = 0.0
    at: float | None = None
    interactive: bool = True
    totals: Mapping[str, float] = field(default_factory=dict)
    kept: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What policy says of it. `invalid`: why the call would never come to policy, if so."""

    answer: PolicyAnswer
    explained: Explained
    principal: Principal
    invalid: str | None


def ask(loaded: Loaded, question: Question) -> Told:
    """Return what the policy of a config says of a call. Raises AgentHostError for a policy that
    cannot be used, UsageError for a total that is none."""
    said = _by_id(loaded, question.totals)
    behind = Totals(state_file(os.environ)) if question.kept else None
    now = time.time() if question.at is None else question.at
    moment = Moment(now=now, interactive=question.interactive)
    policy = make_policy(loaded, os.environ, moment=lambda: moment, kept=GivenTotals(said, behind))
    principal = _principal(loaded, question)
    tool = question.tool
    seen = tuple(LabelSeen(label=label, server="", tool="") for label in question.labels)
    conversation = Conversation(
        run_id="explained", principal=principal, labels=seen, cost=question.cost, tool_calls=1
    )
    found = policy.explain(question.arguments, tool, conversation, principal)
    invalid = Validation().arguments(tool, question.arguments) if tool.fingerprint else None
    return Told(
        answer=found.answer,
        explained=explained(policy, found, tool),
        principal=principal,
        invalid=invalid,
    )


def unknown_tool(server: str, name: str) -> Tool:
    """A tool of which nothing is known but its name."""
    return Tool(name="", server=server, tool=name, description="", input_schema={"type": "object"})


def _by_id(loaded: Loaded, said: Mapping[str, float]) -> dict[str, float]:
    totals = totals_of(loaded.layers)
    for name in said:
        if name not in totals:
            known = nearest(name, [*totals]) or "; [policy.totals] defines none"
            raise UsageError(f'there is no total "{clean_line(name, 80)}"{known}')
    return {f"{totals[name][1].level}:{name}": value for name, value in said.items()}


def _principal(loaded: Loaded, question: Question) -> Principal:
    issuer = question.issuer or _issuer(loaded)
    who = Principal(
        id=user_name() if question.user is None else question.user,
        authenticated_by=issuer,
        roles=question.roles,
        claims=question.claims,
    )
    return replace(in_roles(loaded, who), claims=question.claims)


def _issuer(loaded: Loaded) -> str:
    """Who vouches for users here: an issuer of ID tokens, or the operating system."""
    identity = loaded.config.identity
    tokens = identity.token is not None or any(one.tokens for one in loaded.layers)
    return (identity.issuer or "os") if tokens else "os"


def short(arguments: object, limit: int = 120) -> str:
    """Return arguments on one line, cleaned and bounded."""
    try:
        text = json.dumps(arguments, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(arguments)
    return clean_line(text, limit)
