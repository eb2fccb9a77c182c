"""What of a run is an entry: a fold over its records, and nothing else.

Theory of operation: `Projection.take` gives the entries of one record, so whoever has a run's
records can make its entries anew. A call's name, arguments and approvals come in different records;
they are remembered until the call has its result, so that each entry stands for itself: who, which
model, which server and tool, with what arguments, by whose leave. What people and models say stays
in the transcript. Records come without secrets, as the transcript has them, so hashes are of what
the transcript holds. Nothing here is unbounded.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from agent_host.audit.canonical import canonical, digest
from agent_host.audit.chain import Fields
from agent_host.core import events as e
from agent_host.core.calls import CallState
from agent_host.core.conversation import Conversation
from agent_host.core.text import clip
from agent_host.core.types import JsonObject, Origin, Principal, ToolCall

MAX_ARGUMENTS = 16 * 1024
"""Characters of a call's arguments that an entry holds; of longer ones it holds the hash."""

MAX_TEXT = 500
MAX_NAME = 200
MAX_NAMES = 50
_ROOM = 64 * 1024
"""Bytes of a line for what is not arguments; with three times those it is below MAX_LINE."""

_ARGUMENTS = ("arguments", "proposed", "approved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What no record says. `host`: the version of this program; `project`: the config's path;
    `config` and `policy`: the fingerprints of what is in force; `arguments`: whether entries hold
    them, or only their hash."""

    host: str = ""
    project: str = ""
    config: str = ""
    policy: str = ""
    arguments: bool = True


@dataclass(slots=True, kw_only=True)
class _Call:
    """What is known of a call so far."""

    name: str
    proposed: JsonObject
    server: str = ""
    tool: str = ""
    definition: str = ""
    asked: JsonObject | None = None
    rule: str = ""
    approvers: list[str] = field(default_factory=list)
    started_at: str = ""


class Projection:
    """The entries of one run."""

    def __init__(self, facts: Facts = Facts()) -> None:
        self._facts = facts
        self._who = Principal(id="", authenticated_by="")
        self._origin = Origin(provider="", model="", adapter="")
        self._served = ""
        self._calls: dict[str, _Call] = {}
        self._versions: dict[str, str] = {}
        self._asking: dict[str, tuple[str, str]] = {}
        self.called = False

    def act_for(self, who: Principal) -> None:
        """Say for whom what follows is done."""
        self._who = who

    def propose(self, call_id: str, arguments: JsonObject) -> None:
        """Say what arguments a call has that no model asked for."""
        self._call(call_id).proposed = arguments

    def resume(self, conversation: Conversation) -> None:
        """Go on with a run whose records were taken before."""
        if conversation.origin is not None:
            self._origin = conversation.origin
        for state in conversation.calls:
            self._calls[state.call.id] = _known(state)

    def take(self, record: e.Record) -> list[Fields]:
        """Return the entries of the next record, in order."""
        event = record.event
        if isinstance(event, e.ModelResponded):
            self._responded(event)
            return []
        make = self.ENTRIES.get(type(event))
        made = make(self, event, record.at) if make else None
        if made is None:
            return []
        who = self._who
        common: Fields = {
            "who": who.id,
            "who_from": who.authenticated_by,
            "project": self._facts.project,
        }
        said = {
            key: value for key, value in (common | made).items() if value not in (None, "", [], ())
        }
        return [{**_fitted(said), "time": record.at, "run": record.run_id}]

    # -- the run -----------------------------------------------------------------------------

    def _run_started(self, event: e.RunStarted, _: str) -> Fields:
        self._who = event.principal
        self._origin = Origin(provider=event.provider, model=event.model, adapter=event.adapter)
        return {
            "type": "run_started",
            "roles": [*event.principal.roles],
            "parent": event.parent,
            "simulated": event.simulated,
            "host": self._facts.host,
            "config": event.config_fingerprint or self._facts.config,
            "policy": self._facts.policy,
            **self._model(),
        }

    def _run_resumed(self, event: e.RunResumed, _: str) -> Fields:
        self._who = event.principal
        return {
            "type": "run_resumed",
            "roles": [*event.principal.roles],
            "host": self._facts.host,
            "config": self._facts.config,
            "policy": self._facts.policy,
            **self._model(),
        }

    def _run_ended(self, event: e.RunEnded, _: str) -> Fields:
        return {"type": "run_ended", "reason": event.reason, "detail": event.detail}

    def _model_changed(self, event: e.ModelChanged, _: str) -> Fields:
        self._origin = Origin(provider=event.provider, model=event.model, adapter=event.adapter)
        self._served = ""
        return {
            "type": "model_changed",
            "by": event.by,
            "reason": event.reason,
            "simulated": event.simulated,
            **self._model(),
        }

    def _limit_reached(self, event: e.LimitReached, _: str) -> Fields:
        return {"type": "limit_reached", "limit": event.name, "value": event.limit}

    def _interrupted(self, event: e.Interrupted, _: str) -> Fields:
        return {"type": "interrupted", "by": event.by}

    def _responded(self, event: e.ModelResponded) -> None:
        self._served = event.model_served
        calls = [block for block in event.message.content if isinstance(block, ToolCall)]
        if calls:
            self._calls = {c.id: _Call(name=c.name, proposed=c.arguments) for c in calls}

    # -- calls -------------------------------------------------------------------------------

    def _policy_decided(self, event: e.PolicyDecided, _: str) -> Fields:
        call = self._call(event.call_id)
        call.rule = event.rule
        if event.server:
            call.server, call.tool = event.server, event.tool
            call.definition = event.fingerprint
        return {
            "type": "policy_decided",
            "decision": event.decision,
            "rule": event.rule,
            "rules": [*event.rules],
            "rule_origin": event.origin,
            "reason": event.reason,
            "policy": event.policy or self._facts.policy,
            **_terms(event),
            **self._of_call(event.call_id),
            **self._shown("arguments", call.asked or call.proposed),
        }

    def _approval_requested(self, event: e.ApprovalRequested, _: str) -> Fields:
        call = self._call(event.call_id)
        call.server, call.tool = event.server, event.tool
        call.definition, call.asked = event.fingerprint, event.arguments
        return {
            "type": "approval_requested",
            "decision": "ask",
            "rules": [*event.rules],
            "reason": event.reason,
            "in_doubt": event.in_doubt or None,
            "requester": event.requester,
            "requester_from": event.requester_from,
            "expires": event.expires_at,
            "binding": event.binding,
            **_terms(event),
            **self._of_call(event.call_id),
            **self._shown("arguments", event.arguments),
        }

    def _approval_given(self, event: e.ApprovalGiven, _: str) -> Fields:
        call = self._call(event.call_id)
        asked = call.proposed if call.asked is None else call.asked
        approved = asked if event.arguments is None else event.arguments
        if event.decision == "approve":
            if canonical(approved) != canonical(asked):  # an edit starts the count anew
                call.approvers.clear()
            call.asked = approved
            call.approvers.append(event.by)
            shown = self._shown("approved", approved)
        else:
            shown = {}
        return {
            "type": "approval_given",
            "decision": event.decision,
            "approver": event.by,
            "approver_from": event.authenticated_by,
            "approver_roles": [*event.roles],
            "scope": event.scope,
            "edited": (event.arguments is not None) or None,
            "feedback": event.feedback,
            "binding": event.binding,
            "via": event.via,
            **self._of_call(event.call_id),
            **self._shown("proposed", call.proposed),
            **shown,
        }

    def _approval_expired(self, event: e.ApprovalExpired, _: str) -> Fields:
        call = self._call(event.call_id)
        return {
            "type": "approval_expired",
            **self._of_call(event.call_id),
            **self._shown("arguments", call.asked or call.proposed),
        }

    def _tool_started(self, event: e.ToolStarted, at: str) -> Fields:
        call = self._call(event.call_id)
        call.server, call.tool = event.server, event.tool
        call.definition, call.started_at = event.fingerprint, at
        self.called = True
        return {
            "type": "call_started",
            "rule": call.rule,
            "approvers": [*call.approvers],
            "for": event.principal_id if event.principal_id != self._who.id else None,
            **self._of_call(event.call_id),
            **self._shown("arguments", event.arguments),
        }

    def _tool_paused(self, event: e.ToolPaused, _: str) -> Fields:
        asked = [request.method for request in event.requests]
        return {"type": "call_paused", "asked": asked, **self._of_call(event.call_id)}

    def _tool_finished(self, event: e.ToolFinished, at: str) -> Fields:
        result = event.result
        call = self._call(result.call_id)
        ran = bool(call.started_at) or result.error == "outcome_unknown"
        entry = {
            "type": "call_finished" if ran else "call_refused",
            "outcome": result.error or "ok",
            "result_sha256": digest([result.content, result.error]),
            "artifact": result.artifact,
            "labels": [*result.labels],
            "rule": call.rule,
            **self._of_call(result.call_id),
        }
        if call.started_at:
            entry["duration_ms"] = _milliseconds(call.started_at, at)
        if not ran:
            entry |= self._shown("arguments", call.asked or call.proposed)
        self._calls.pop(result.call_id, None)
        return entry

    # -- what servers ask --------------------------------------------------------------------

    def _input_requested(self, event: e.InputRequested, _: str) -> None:
        self._asking[event.input_id] = (event.server, event.call_id)

    def _input_given(self, event: e.InputGiven, _: str) -> Fields:
        server, call_id = self._asking.pop(event.input_id, ("", ""))
        return {
            "type": "input_given",
            "decision": event.action,
            "by": event.by,
            "fields": sorted(event.content or {}),
            **self._of_call(call_id, server),
        }

    def _sampling_requested(self, event: e.SamplingRequested, _: str) -> Fields:
        self._asking[event.sampling_id] = (event.server, event.call_id)
        return {"type": "sampling_requested", **self._of_call(event.call_id, event.server)}

    def _sampling_finished(self, event: e.SamplingFinished, _: str) -> Fields:
        server, call_id = self._asking.pop(event.sampling_id, ("", ""))
        return {
            "type": "sampling_finished",
            "outcome": event.outcome,
            "by": event.by,
            "error": event.error,
            "input_tokens": event.usage.input_tokens,
            "output_tokens": event.usage.output_tokens,
            "cost": event.cost,
            **self._of_call(call_id, server),
        }

    # -- servers -----------------------------------------------------------------------------

    def _server_connected(self, event: e.ServerConnected, _: str) -> Fields:
        self._versions[event.server] = event.version
        return {
            "type": "server_connected",
            "protocol": event.protocol,
            **self._server(event.server),
        }

    def _server_lost(self, event: e.ServerLost, _: str) -> Fields:
        return {
            "type": "server_lost",
            "reason": event.reason,
            "will_restart": event.will_restart,
            **self._server(event.server),
        }

    def _tools_changed(self, event: e.ToolsChanged, _: str) -> Fields:
        return {
            "type": "tools_changed",
            "added": [*event.added],
            "removed": [*event.removed],
            "changed": [*event.changed],
            **self._server(event.server),
        }

    # -- parts -------------------------------------------------------------------------------

    def _call(self, call_id: str) -> _Call:
        return self._calls.setdefault(call_id, _Call(name="", proposed={}))

    def _of_call(self, call_id: str, server: str = "") -> Fields:
        """What is said of the call in question, if there is one."""
        call = self._calls.get(call_id)
        if call is None:
            return {"call": call_id, **self._server(server), **self._model()}
        return {
            "call": call_id,
            "name": call.name,
            "tool": call.tool,
            "definition": call.definition,
            **self._server(call.server or server),
            **self._model(),
        }

    def _server(self, name: str) -> Fields:
        return {"server": name, "server_version": self._versions.get(name, "")}

    def _model(self) -> Fields:
        return {
            "provider": self._origin.provider,
            "model": self._origin.model,
            "model_served": self._served,
        }

    def _shown(self, key: str, arguments: JsonObject) -> Fields:
        """Arguments and their hash, or the hash alone."""
        text = canonical(arguments)
        entry: Fields = {f"{key}_sha256": hashlib.sha256(text.encode("ascii")).hexdigest()}
        if self._facts.arguments and len(text) <= MAX_ARGUMENTS:
            entry[key] = arguments
        elif self._facts.arguments:
            entry[f"{key}_size"] = len(text)
        return entry

    ENTRIES: ClassVar[Mapping[type[e.Event], "_Maker"]] = {
        e.RunStarted: _run_started,
        e.RunResumed: _run_resumed,
        e.RunEnded: _run_ended,
        e.ModelChanged: _model_changed,
        e.LimitReached: _limit_reached,
        e.Interrupted: _interrupted,
        e.PolicyDecided: _policy_decided,
        e.ApprovalRequested: _approval_requested,
        e.ApprovalGiven: _approval_given,
        e.ApprovalExpired: _approval_expired,
        e.ToolStarted: _tool_started,
        e.ToolPaused: _tool_paused,
        e.ToolFinished: _tool_finished,
        e.InputRequested: _input_requested,
        e.InputGiven: _input_given,
        e.SamplingRequested: _sampling_requested,
        e.SamplingFinished: _sampling_finished,
        e.ServerConnected: _server_connected,
        e.ServerLost: _server_lost,
        e.ToolsChanged: _tools_changed,
    }
    """How the entry of each event is made."""


_Maker = Callable[[Projection, Any, str], Fields | None]

SILENT: frozenset[type[e.Event]] = frozenset(
    {
        e.UserSaid,
        e.ModelRequested,
        e.ModelResponded,
        e.ModelFailed,
        e.SummaryRequested,
        e.SummaryFinished,
        e.ContextCompacted,
        e.ConversationRewound,
    }
)
"""Events that are no entry: what is said, and how a model was asked."""


def _known(state: CallState) -> _Call:
    server, tool = state.source or ("", "")
    return _Call(
        name=state.call.name,
        proposed=state.call.arguments,
        server=server,
        tool=tool,
        asked=state.arguments,
        rule=state.rule,
        approvers=[yes.by for yes in state.yeses],
    )


def bounded(fields: Fields) -> Fields:
    """Return what a caller says of an act, cut as an entry's texts are."""
    return _fitted(fields)


def _fitted(fields: Fields) -> Fields:
    """Cut what is said of an act so that its line is none that is too long to be an entry: beside
    arguments, which have a bound of their own. A letter may take twelve bytes there."""
    cut = fields
    for part in (1, 4, 16):
        cut = {k: v if k in _ARGUMENTS else _bounded(v, part) for k, v in fields.items()}
        texts = [value for key, value in cut.items() if key not in _ARGUMENTS]
        if 12 * sum(map(_characters, texts)) <= _ROOM or len(canonical(texts)) <= _ROOM:
            break
    return cut


def _characters(value: Any) -> int:
    return sum(map(len, value)) if isinstance(value, list) else len(str(value))


def _bounded(value: Any, part: int) -> Any:
    """Texts and lists of names, cut visibly, to a part of the usual length."""
    if isinstance(value, str):
        return clip(value, MAX_TEXT // part)
    if not isinstance(value, list):
        return value
    names = [clip(str(name), MAX_NAME // part) for name in value[: MAX_NAMES // part]]
    more = len(value) - len(names)
    return [*names, f"… and {more} more"] if more else names


def _terms(event: e.PolicyDecided | e.ApprovalRequested) -> Fields:
    terms = event.terms
    if terms is None:
        return {}
    return {
        "approver_roles_needed": [*terms.approvers],
        "approvals_needed": terms.needed if terms.needed > 1 else None,
        "self_approval": None if terms.self_approval else False,
    }


def _milliseconds(begun: str, ended: str) -> int:
    """How long something took, by the clock of the wall, which may have been set meanwhile."""
    try:
        span = datetime.fromisoformat(ended) - datetime.fromisoformat(begun)
    except ValueError:
        return 0
    return max(0, round(span.total_seconds() * 1000))
