"""An entry as a sentence, for people and for exports.

Theory of operation: what servers, models and users wrote is cleaned and cut, so that a line is one
line whatever they wrote.
"""

import json
from collections.abc import Callable, Mapping

from agent_host.audit.chain import Fields
from agent_host.core.text import clean_line

_LONG = 160


def sentence(entry: Fields, width: int = _LONG) -> str:
    """Return what happened, in one line; `width`: characters of arguments and reasons at most."""
    make = _SENTENCES.get(entry["type"])
    text = make(entry, width) if make else entry["type"].replace("_", " ")
    return clean_line(text, 1000)


def tool_of(entry: Fields) -> str:
    """Return `server/tool` of an entry's call, or the name that the model used, or nothing."""
    server, tool = entry.get("server", ""), entry.get("tool", "")
    if tool:
        return f"{server}/{tool}"
    return str(entry.get("name") or server)


def _call(e: Fields) -> str:
    return tool_of(e) or "a call"


def _arguments(e: Fields, width: int, key: str = "arguments") -> str:
    if key in e:
        return clean_line(json.dumps(e[key], ensure_ascii=False), width)
    digest = e.get(f"{key}_sha256", "")
    return f"(arguments {digest[:12]}…)" if digest else ""


def _because(e: Fields, width: int) -> str:
    return f": {clean_line(str(e['reason']), width)}" if e.get("reason") else ""


def _started(e: Fields, _: int) -> str:
    return f"run begun by {_who(e)} with {_model(e)}"


def _who(e: Fields) -> str:
    return f"{e.get('who', '?')} ({e.get('who_from', '?')})"


def _model(e: Fields) -> str:
    return f"{e.get('provider', '')}:{e.get('model', '')}"


def _decided(e: Fields, width: int) -> str:
    word = {"allow": "allowed", "ask": "asks about", "deny": "denied"}.get(
        str(e.get("decision")), "judged"
    )
    rule = f" by {e['rule']}" if e.get("rule") else ""
    origin = f" ({e['rule_origin']})" if e.get("rule_origin") else ""
    return f"policy {word} {_call(e)} {_arguments(e, width)}{rule}{origin}{_because(e, width)}"


def _given(e: Fields, width: int) -> str:
    word = "approved" if e.get("decision") == "approve" else "denied"
    key = "approved" if word == "approved" else "proposed"
    edited = " as edited" if e.get("edited") else ""
    via = f" via {e['via']}" if e.get("via") else ""
    said = f": {clean_line(str(e['feedback']), width)}" if e.get("feedback") else ""
    by = e.get("approver", "?")
    source = f" ({e['approver_from']})" if e.get("approver_from") else ""
    return f"{by}{source} {word} {_call(e)} {_arguments(e, width, key)}{edited}{via}{said}"


def _requested(e: Fields, width: int) -> str:
    until = f", until {e['expires']}" if e.get("expires") else ""
    return f"approval asked for {_call(e)} {_arguments(e, width)}{until}{_because(e, width)}"


def _call_started(e: Fields, width: int) -> str:
    leave = f", approved by {', '.join(e['approvers'])}" if e.get("approvers") else ""
    hand = " by hand" if e.get("by_hand") else ""
    return f"{_call(e)} started{hand} {_arguments(e, width)}{leave}"


def _call_finished(e: Fields, _: int) -> str:
    labels = f", labels {', '.join(e['labels'])}" if e.get("labels") else ""
    return f"{_call(e)} finished: {e.get('outcome')} in {e.get('duration_ms', 0)} ms{labels}"


def _refused(e: Fields, width: int) -> str:
    rule = f" by {e['rule']}" if e.get("rule") else ""
    return f"{_call(e)} not run: {e.get('outcome')}{rule} {_arguments(e, width)}"


def _input(e: Fields, _: int) -> str:
    fields = f": {', '.join(map(str, e['fields']))}" if e.get("fields") else ""
    return f"input for {e.get('server', '?')}: {e.get('decision')} by {e.get('by')}{fields}"


def _sampling(e: Fields, _: int) -> str:
    return f"model for {e.get('server', '?')}: {e.get('outcome', 'asked for')} {e.get('error', '')}"


def _changed(e: Fields, _: int) -> str:
    parts = [f"{k} {', '.join(e[k])}" for k in ("added", "removed", "changed") if e.get(k)]
    return f"tools of {e.get('server')} differ: {'; '.join(parts)}"


def _lost(e: Fields, width: int) -> str:
    return f"{e.get('server')} lost{_because(e, width)}"


def _missing(e: Fields, _: int) -> str:
    return f"ENTRIES MISSING: this log had entries up to {e.get('expected_seq')} a moment ago"


def _checkpoint(e: Fields, _: int) -> str:
    how = "signed" if e.get("signature") else f"not signed: {e.get('problem', '?')}"
    return f"checkpoint of entry {e.get('of')}, {how}"


def _ended(e: Fields, _: int) -> str:
    detail = f": {e['detail']}" if e.get("detail") else ""
    return f"run ended: {e.get('reason')}{detail}"


def _answered(e: Fields, _: int) -> str:
    word = {"approve": "yes", "deny": "no"}.get(str(e.get("decision")), "?")
    return f"{e.get('approver')} says {word} to {_call(e)} from elsewhere; the run may take it"


def _pins(e: Fields, _: int) -> str:
    return f"{_who(e)} accepted of {e.get('server')}: {', '.join(e.get('names', []))}"


_SENTENCES: Mapping[str, Callable[[Fields, int], str]] = {
    "run_started": _started,
    "run_resumed": lambda e, _: f"run resumed by {_who(e)}",
    "run_ended": _ended,
    "model_changed": lambda e, w: f"model changed to {_model(e)} by {e.get('by')}{_because(e, w)}",
    "limit_reached": lambda e, _: f"limit reached: {e.get('limit')} {e.get('value')}",
    "interrupted": lambda e, _: f"interrupted by {e.get('by')}",
    "policy_decided": _decided,
    "approval_requested": _requested,
    "approval_given": _given,
    "approval_answered": _answered,
    "pins_accepted": _pins,
    "approval_expired": lambda e, _: f"approval of {_call(e)} expired",
    "call_started": _call_started,
    "call_paused": lambda e, _: f"{_call(e)} paused: {', '.join(e.get('asked', []))}",
    "call_finished": _call_finished,
    "call_refused": _refused,
    "input_given": _input,
    "sampling_requested": _sampling,
    "sampling_finished": _sampling,
    "server_connected": lambda e, _: f"{e.get('server')} {e.get('server_version', '')} connected",
    "server_lost": _lost,
    "tools_changed": _changed,
    "file_begun": lambda e, _: f"file begun{' after ' + e['after'] if e.get('after') else ''}",
    "file_ended": lambda _, __: "file ended",
    "file_retired": lambda e, _: f"{e.get('file')} removed by retention (to entry {e.get('last')})",
    "torn_end": lambda e, _: f"a torn line of {e.get('size')} bytes set aside in {e.get('kept')}",
    "entries_missing": _missing,
    "checkpoint": _checkpoint,
    "not_recorded": lambda e, _: (
        f"the transcript could not take {e.get('event')}: it did not happen"
    ),
}

_HIGH = frozenset({"entries_missing", "torn_end", "not_recorded", "tools_changed"})
_LOW = frozenset({"call_refused", "approval_expired", "limit_reached", "server_lost"})


def severity(entry: Fields) -> int:
    """Return how much an entry matters: 1 informational, 2 low (something was refused or did not
    work), 3 medium (the log or a server's tools are not what they were)."""
    kind = entry["type"]
    if kind in _HIGH:
        return 3
    failed = entry.get("outcome", "ok") not in {"ok", "answered"}
    if kind in _LOW or entry.get("decision") == "deny" or failed:
        return 2
    return 1
