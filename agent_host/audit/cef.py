"""Entries as lines of the ArcSight Common Event Format.

Source: Implementing ArcSight Common Event Format, version 25 (CEF:0). In the header a backslash and
`|` are escaped, in values a backslash and `=`, and a line break in a value is written as an escape;
keys are those of the format's dictionary, with `cs1` to `cs6` and `cn1` under labels of their own.
An entry is one line, in UTF-8, with everything cleaned that could move a cursor.
"""

from agent_host.audit.canonical import canonical
from agent_host.audit.chain import Fields
from agent_host.audit.otel import unix_microseconds
from agent_host.audit.wording import sentence, severity
from agent_host.core.text import clean, clip

_SEVERITY = {1: 3, 2: 5, 3: 8}
_LIMITS = {"act": 63, "cs": 4000, "msg": 1023, "reason": 1023, "suser": 1023, "outcome": 63}
_ACTIONS = {
    "allow": "allowed",
    "ask": "asked",
    "deny": "denied",
    "approve": "approved",
}


def line(entry: Fields, version: str) -> str:
    """Return an entry as one line. `version`: of this program, where the entry does not say it."""
    head = (
        "CEF:0",
        "agent-host",
        "agent-host",
        entry.get("host", version),
        entry["type"],
        entry["type"].replace("_", " "),
        str(_SEVERITY[severity(entry)]),
    )
    values = " ".join(f"{key}={_value(key, text)}" for key, text in _extension(entry) if text)
    return f"{'|'.join(map(_header, head))}|{values}"


def _header(text: str) -> str:
    flat = clean(str(text)).replace("\n", " ")
    return flat.replace("\\", "\\\\").replace("|", "\\|")


def _value(key: str, text: str) -> str:
    limit = _LIMITS.get(key, _LIMITS["cs"] if key.startswith("cs") else 1023)
    flat = clip(clean(text), limit).replace("\\", "\\\\").replace("=", "\\=")
    return flat.replace("\n", "\\n")


def _extension(entry: Fields) -> list[tuple[str, str]]:
    """Pairs of keys and values, in the order of the format's dictionary."""
    pairs: list[tuple[str, str]] = [
        ("rt", str(unix_microseconds(entry["time"]) // 1000)),
        ("externalId", str(entry["seq"])),
        ("act", _action(_text(entry, "decision"))),
        ("outcome", _text(entry, "outcome")),
        ("suser", _text(entry, "who")),
        ("sourceServiceName", "agent-host"),
        ("destinationServiceName", _text(entry, "server")),
        ("duser", _text(entry, "approver")),
        ("request", _text(entry, "tool") or _text(entry, "name")),
        ("requestContext", _text(entry, "run")),
        ("deviceProcessName", "agent-host"),
        ("fileHash", _text(entry, "definition")),
        ("reason", _text(entry, "reason") or _text(entry, "feedback")),
        ("msg", sentence(entry)),
        *_labelled("cs1", "rule", _text(entry, "rule") or _joined(entry, "rules")),
        *_labelled("cs2", "arguments", _arguments(entry)),
        *_labelled("cs3", "model", _model(entry)),
        *_labelled("cs4", "identityIssuer", _text(entry, "who_from")),
        *_labelled("cs5", "entryHash", entry["hash"]),
        *_labelled("cs6", "ruleOrigin", _text(entry, "rule_origin")),
    ]
    if "duration_ms" in entry:
        pairs += _labelled("cn1", "durationMs", str(entry["duration_ms"]))
    return pairs


def _action(decision: str) -> str:
    return _ACTIONS.get(decision, decision)


def _arguments(entry: Fields) -> str:
    for key in ("arguments", "approved", "proposed"):
        if key in entry:
            return canonical(entry[key])
        if f"{key}_sha256" in entry:
            return _text(entry, f"{key}_sha256")
    return ""


def _labelled(key: str, label: str, text: str) -> list[tuple[str, str]]:
    return [(f"{key}Label", label), (key, text)] if text else []


def _text(entry: Fields, key: str) -> str:
    return str(entry.get(key, ""))


def _joined(entry: Fields, key: str) -> str:
    return ", ".join(map(str, entry.get(key, [])))


def _model(entry: Fields) -> str:
    return f"{entry.get('provider', '')}:{entry['model']}" if entry.get("model") else ""
