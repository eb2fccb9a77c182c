"""Entries as OpenTelemetry log records, in the JSON of OTLP.

Sources: opentelemetry-proto 1.x (logs/v1, JSON mapping: 64-bit integers are strings, lowerCamelCase
names), the semantic conventions for generative AI and MCP (`gen_ai.*`, `mcp.*`, `user.*`,
`error.type`). What these have no name for stands under `agent_host.audit.`; `seq` and `hash` name
an entry, so a collector that was sent one twice can tell.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from agent_host.audit.canonical import canonical
from agent_host.audit.chain import Fields
from agent_host.audit.wording import sentence, severity

OWN = "agent_host.audit."
SCOPE = "agent_host.audit"

_NAMES: Mapping[str, str] = {
    "run": "gen_ai.conversation.id",
    "call": "gen_ai.tool.call.id",
    "tool": "gen_ai.tool.name",
    "arguments": "gen_ai.tool.call.arguments",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "model_served": "gen_ai.response.model",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "protocol": "mcp.protocol.version",
    "who": "user.id",
    "roles": "user.roles",
}
_CALLS = frozenset({"call_started", "call_finished", "call_refused", "call_paused"})
_METHODS = {
    **dict.fromkeys(_CALLS, "tools/call"),
    "input_given": "elicitation/create",
    "sampling_requested": "sampling/createMessage",
    "sampling_finished": "sampling/createMessage",
    "server_connected": "initialize",
    "tools_changed": "notifications/tools/list_changed",
}
_SEVERITIES = {1: (9, "INFO"), 2: (13, "WARN"), 3: (17, "ERROR")}


def log_record(entry: Fields) -> dict[str, Any]:
    """Return a LogRecord."""
    number, text = _SEVERITIES[severity(entry)]
    nanoseconds = str(unix_microseconds(entry["time"]) * 1000)
    return {
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": number,
        "severityText": text,
        "eventName": f"{SCOPE}.{entry['type']}",
        "body": {"stringValue": sentence(entry)},
        "attributes": [{"key": k, "value": _value(v)} for k, v in _attributes(entry).items()],
    }


def request(entries: Iterable[Fields], version: str) -> dict[str, Any]:
    """Return an ExportLogsServiceRequest."""
    resource = {"service.name": "agent-host", "service.version": version}
    attributes = [{"key": k, "value": _value(v)} for k, v in resource.items()]
    records = [log_record(entry) for entry in entries]
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": attributes},
                "scopeLogs": [
                    {"scope": {"name": SCOPE, "version": version}, "logRecords": records}
                ],
            }
        ]
    }


def encoded(entries: Iterable[Fields], version: str) -> bytes:
    """Return a request as bytes of JSON, on one line."""
    return json.dumps(request(entries, version), separators=(",", ":")).encode("ascii")


def unix_microseconds(time: str) -> int:
    """Return the microseconds since the epoch of an RFC 3339 time; 0 if it is none."""
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        return 0
    since = at.replace(tzinfo=at.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def _attributes(entry: Fields) -> dict[str, Any]:
    kind = entry["type"]
    found: dict[str, Any] = {}
    if kind in _CALLS:
        found["gen_ai.operation.name"] = "execute_tool"
        found["gen_ai.tool.type"] = "extension"
    if kind in _METHODS:
        found["mcp.method.name"] = _METHODS[kind]
    if kind in _CALLS and entry.get("outcome", "ok") != "ok":
        found["error.type"] = entry["outcome"]
    for key, value in entry.items():
        if key in {"time", "type"} or value == "":
            continue
        found[_NAMES.get(key, OWN + key)] = canonical(value) if isinstance(value, dict) else value
    return found


def _value(value: Any) -> dict[str, Any]:
    """Return an AnyValue."""
    match value:
        case bool():
            return {"boolValue": value}
        case int() if -(2**63) <= value < 2**63:
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
        case str():
            return {"stringValue": _whole(value)}
        case _:
            return {"stringValue": canonical(value)}


def _whole(text: str) -> str:
    """A lone surrogate is no text to protobuf."""
    return text.encode("utf-8", "replace").decode("utf-8")
