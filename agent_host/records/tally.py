"""What a list says of a run, counted record by record from plain JSON.

Theory of operation: a conversation holds all that was said, and making one of a long transcript
costs time and memory. What a list says needs little of it: a `Tally` follows the same rules
(`core.conversation.LEGAL`, whose yes counts) over the events as JSON, keeps the open turn alone,
and can be written down as JSON and gone on with, so that an index reads only what is new. Its
outcome is what the fold would find: tests compare the two on every kind of run.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent_host.core.approvals import Yes, counted, digest, lacking
from agent_host.core.conversation import LEGAL
from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.core.titles import titled
from agent_host.core.types import ApprovalTerms, JsonObject, RolesNeeded
from agent_host.records.codec import KEEP_A_COPY

_LEGAL = {kind.__dataclass_fields__["type"].default: states for kind, states in LEGAL.items()}

OUTCOMES = {
    "start": "nothing happened",
    "user": "waiting for the user",
    "model": "cut off (the model was to answer)",
    "tools": "cut off (calls were open)",
    "approval": "waiting for approval",
    "input": "waiting for input",
}
"""What a run that has not ended is said to wait for, by what its conversation awaits."""

_WORDS = 200
_LARGEST = 2**62


@dataclass(slots=True, kw_only=True)
class Tally:
    """The counts of one run so far. `turns` counts the model's answers: the turn under way is the
    one of that number until it is closed (`closed`: the number of the last that is)."""

    phase: str = "start"
    ended: str = ""
    requested: str | None = None
    summarizing: str | None = None
    stopped: bool = False
    rewound: bool = False
    last_role: str = ""
    calls: dict[str, JsonObject] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    samplings: list[str] = field(default_factory=list)
    started_at: str = ""
    last_at: str = ""
    user: str = ""
    model: str = ""
    simulated: bool = False
    parent: str = ""
    words: str = ""
    turns: int = 0
    closed: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: float = 0.0
    expires_at: str = ""
    tools: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    @property
    def awaiting(self) -> str:
        """As `Conversation.awaiting`."""
        if self.ended:
            return "nothing"
        if self.inputs:
            return "input"
        open_calls = (c for c in self.calls.values() if not c["result"])
        if any(c["asked"] and c["approval"] is None for c in open_calls):
            return "approval"
        return self.phase

    @property
    def outcome(self) -> str:
        """How the run ended, or what it waits for, in a few words."""
        return self.ended or OUTCOMES.get(self.awaiting, self.awaiting)

    @property
    def turn(self) -> int:
        """The number of the turn that the last record belongs to, or the next one will begin."""
        return self.turns if self.turns > self.closed else self.closed + 1

    def take(self, data: JsonObject, where: str) -> None:
        """Count one record. `where`: file and line, for the RecordError of one that is damaged,
        unknown, or no legal move."""
        event = data["event"]
        name = event.get("type")
        legal = _LEGAL.get(name) if isinstance(name, str) else None
        if legal is None:
            raise RecordError(
                f"{where}: unknown event type {clean_line(str(name), 60)!r}: the line is damaged, "
                "or a newer agent-host wrote it"
            )
        if self.awaiting not in legal:
            raise _illegal(where, f"{name} is not possible while awaiting {self.awaiting}")
        try:
            _TAKES.get(name, _nothing)(self, event)
        except _IllegalError as error:
            raise _illegal(where, f"{name}: {error}") from None
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError, IndexError):
            raise RecordError(f"{where}: damaged record ({name}); {KEEP_A_COPY}") from None
        self.started_at = self.started_at or data["at"]
        self.last_at = data["at"]

    def add_usage(self, event: JsonObject) -> None:
        """Add what an answer of a model took and cost."""
        usage = event.get("usage") or {}
        for kind in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
            total = getattr(self, kind) + _whole(usage.get(kind, 0))
            setattr(self, kind, min(total, _LARGEST))
        cost = float(event.get("cost") or 0.0)
        if math.isfinite(cost):
            self.cost += cost

    def open_call(self, call_id: str) -> JsonObject:
        """Return the state of a call that has no result yet."""
        state = self.calls.get(call_id)
        if state is None or state["result"]:
            raise _IllegalError(f"no open call {clean_line(call_id, 60)!r}")
        return state

    def add_tool(self, event: JsonObject) -> None:
        """Note the tool that an event names."""
        if event.get("server") and event.get("tool"):
            _add(self.tools, f"{_text(event['server'])}/{_text(event['tool'])}")

    def add_model(self, event: JsonObject) -> None:
        """Note the model that an event names."""
        _add(self.models, f"{_text(event['provider'])}:{_text(event['model'])}")

    def close_turn(self) -> None:
        """All calls of the answer have results: the turn is over."""
        self.closed = self.turns
        self.calls = {}
        self.last_role = "tool"
        self.phase = "user" if self.stopped else "model"

    def stop_turn(self) -> None:
        """The turn ends once nothing is under way."""
        self.stopped = True
        if not self.calls and self.requested is None:
            self.phase = "user"


class _IllegalError(Exception):
    """What is no legal move; the text says why."""


def _illegal(where: str, why: str) -> RecordError:
    return RecordError(
        f"{where}: no legal conversation: {why}; the run can be shown, but not resumed"
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return min(max(value, 0), _LARGEST)


def _add(known: list[str], value: str) -> None:
    value = clean_line(value, 200)
    if value not in known and len(known) < 1000:
        known.append(value)


def _nothing(_t: Tally, _event: JsonObject) -> None:
    """What changes nothing that is counted."""


def _run_started(t: Tally, event: JsonObject) -> None:
    t.phase = "user"
    t.user = clean_line(_text(event["principal"]["id"]), 200)
    t.model = f"{_text(event['provider'])}:{_text(event['model'])}"
    t.parent = clean_line(_text(event.get("parent") or ""), 100)
    t.simulated = bool(event.get("simulated", False))
    _add(t.users, t.user)
    t.add_model(event)


def _run_resumed(t: Tally, event: JsonObject) -> None:
    _add(t.users, _text(event["principal"]["id"]))
    for state in t.calls.values():
        if not state["result"]:
            state["in_doubt"] = in_doubt = state["started"] or state["in_doubt"]
            state.update(asked=False, started=False)
            if in_doubt:
                state.update(approval=None, yeses=[])
    if t.phase == "user" and t.last_role in {"user", "tool"} and not t.rewound:
        t.phase = "model"
    t.inputs, t.samplings = {}, []
    t.requested, t.summarizing, t.stopped, t.ended = None, None, False, ""


def _user_said(t: Tally, event: JsonObject) -> None:
    if t.requested is not None:
        raise _IllegalError("the model is being asked")
    blocks = event["message"]["content"]
    text = next((_text(b["text"]) for b in blocks if b["type"] == "text"), "")
    t.words = titled(t.words, clean_line(text, _WORDS))
    t.phase, t.stopped, t.rewound, t.last_role = "model", False, False, "user"


def _model_requested(t: Tally, event: JsonObject) -> None:
    if t.requested is not None:
        raise _IllegalError("a model request is already under way")
    t.requested = _text(event["request_id"])


def _answered(t: Tally, event: JsonObject) -> None:
    if t.requested is None or t.requested != event["request_id"]:
        raise _IllegalError("that model request is not under way")
    t.requested = None


def _model_responded(t: Tally, event: JsonObject) -> None:
    _answered(t, event)
    calls = [b for b in event["message"]["content"] if b["type"] == "tool_call"]
    t.last_role = "assistant" if event["message"]["content"] else t.last_role
    t.turns += 1
    t.tool_calls += len(calls)
    t.add_usage(event)
    t.calls = {_text(block["id"]): _new_call() for block in calls}
    if len(t.calls) != len(calls):
        raise _IllegalError("two calls of one response share an id")
    t.phase = "tools" if calls else "user"
    if not calls:
        t.closed = t.turns


def _new_call() -> JsonObject:
    return {
        "asked": False,
        "approval": None,
        "question": None,
        "shown": "",
        "yeses": [],
        "started": False,
        "in_doubt": False,
        "result": False,
    }


def _model_failed(t: Tally, event: JsonObject) -> None:
    _answered(t, event)
    t.phase = "user" if event.get("final", True) or t.stopped else "model"


def _model_changed(t: Tally, event: JsonObject) -> None:
    if t.requested is not None:
        raise _IllegalError("the model is being asked")
    t.add_model(event)


def _policy_decided(t: Tally, event: JsonObject) -> None:
    state = t.open_call(event["call_id"])
    if state["started"]:
        raise _IllegalError("the call has started")
    t.add_tool(event)
    question = state["question"]
    answered = state["yeses"] or state["approval"] == "approve"
    if question is not None and event["decision"] == "ask" and answered:
        now = [sorted(event.get("rules") or ()), event.get("terms")]
        if question != now:
            state.update(approval=None, asked=False, yeses=[])


def _approval_requested(t: Tally, event: JsonObject) -> None:
    state = t.open_call(event["call_id"])
    if state["started"]:
        raise _IllegalError("the call has started")
    t.add_tool(event)
    t.expires_at = _text(event.get("expires_at") or "")
    question = [sorted(event.get("rules") or ()), event.get("terms")]
    state.update(asked=True, shown=digest(event["arguments"]), question=question)


def _approval_given(t: Tally, event: JsonObject) -> None:
    state = t.open_call(event["call_id"])
    if not state["asked"] or state["approval"] is not None:
        raise _IllegalError("the call awaits no approval")
    if event["decision"] == "deny":
        state["approval"] = "deny"
        return
    edited = event.get("arguments")
    approved = state["shown"] if edited is None else digest(edited)
    roles = tuple(event.get("roles") or ())
    yes = Yes(event["by"], event.get("authenticated_by", ""), approved, roles)
    before = (Yes(by, how, what, tuple(held)) for by, how, what, held in state["yeses"])
    yeses = counted(tuple(before), yes)
    state["yeses"] = [[y.by, y.authenticated_by, y.digest, list(y.roles)] for y in yeses]
    if not lacking(_terms(state["question"][1]), yeses):
        state["approval"] = "approve"


def _terms(raw: JsonObject | None) -> ApprovalTerms:
    if raw is None:
        return ApprovalTerms()
    also = tuple(
        RolesNeeded(roles=tuple(one["roles"]), needed=one["needed"]) for one in raw.get("also", ())
    )
    return ApprovalTerms(
        approvers=tuple(raw.get("approvers", ())), needed=raw.get("needed", 1), also=also
    )


def _approval_expired(t: Tally, event: JsonObject) -> None:
    state = t.open_call(event["call_id"])
    if state["question"] is None or state["started"]:
        raise _IllegalError("the call awaits no approval")
    state.update(approval="deny", yeses=[])


def _tool_started(t: Tally, event: JsonObject) -> None:
    t.open_call(event["call_id"])["started"] = True
    t.add_tool(event)


def _tool_paused(t: Tally, event: JsonObject) -> None:
    t.open_call(event["call_id"])["started"] = False


def _tool_finished(t: Tally, event: JsonObject) -> None:
    call_id = event["result"]["call_id"]
    t.open_call(call_id)["result"] = True
    t.inputs = {key: of for key, of in t.inputs.items() if of != call_id}
    if all(state["result"] for state in t.calls.values()):
        t.close_turn()


def _input_requested(t: Tally, event: JsonObject) -> None:
    t.inputs[_text(event["input_id"])] = _text(event.get("call_id") or "")


def _input_given(t: Tally, event: JsonObject) -> None:
    if t.inputs.pop(event["input_id"], None) is None:
        raise _IllegalError("that input is not asked for")


def _sampling_requested(t: Tally, event: JsonObject) -> None:
    t.samplings.append(_text(event["sampling_id"]))


def _sampling_finished(t: Tally, event: JsonObject) -> None:
    if event["sampling_id"] not in t.samplings:
        raise _IllegalError("that sampling is not asked for")
    t.samplings.remove(event["sampling_id"])
    t.add_usage(event)


def _summary_requested(t: Tally, event: JsonObject) -> None:
    if t.requested is not None or t.summarizing is not None:
        raise _IllegalError("the model is being asked")
    t.summarizing = _text(event["request_id"])


def _summary_finished(t: Tally, event: JsonObject) -> None:
    if t.summarizing is None or t.summarizing != event["request_id"]:
        raise _IllegalError("that summary is not being written")
    t.summarizing = None
    t.add_usage(event)


def _conversation_rewound(t: Tally, _event: JsonObject) -> None:
    if t.requested is not None or t.summarizing is not None:
        raise _IllegalError("the model is being asked")
    t.rewound, t.stopped = True, False


def _run_stopped(t: Tally, _event: JsonObject) -> None:
    t.stop_turn()


def _run_ended(t: Tally, event: JsonObject) -> None:
    t.ended = _text(event["reason"]) or "done"


_TAKES: dict[str, Callable[[Tally, JsonObject], None]] = {
    "run_started": _run_started,
    "run_resumed": _run_resumed,
    "user_said": _user_said,
    "model_requested": _model_requested,
    "model_responded": _model_responded,
    "model_failed": _model_failed,
    "model_changed": _model_changed,
    "policy_decided": _policy_decided,
    "approval_requested": _approval_requested,
    "approval_given": _approval_given,
    "approval_expired": _approval_expired,
    "tool_started": _tool_started,
    "tool_paused": _tool_paused,
    "tool_finished": _tool_finished,
    "input_requested": _input_requested,
    "input_given": _input_given,
    "sampling_requested": _sampling_requested,
    "sampling_finished": _sampling_finished,
    "summary_requested": _summary_requested,
    "summary_finished": _summary_finished,
    "conversation_rewound": _conversation_rewound,
    "limit_reached": _run_stopped,
    "interrupted": _run_stopped,
    "run_ended": _run_ended,
}
