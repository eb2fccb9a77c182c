"""Entries as events of the Open Cybersecurity Schema Framework: API Activity (6003).

Source: OCSF 1.8.0 (schema.ocsf.io): category Application Activity (6), class API Activity (3), with
the profiles `security_control` (what policy and people decided) and `ai_operation` (which model,
over what). The schema has no activity for a call whose effect nobody knows, so `activity_id` is 99
(Other) and `activity_name` says which entry it is. The whole entry stands in `unmapped`, so nothing
is lost.
"""

import json
from typing import Any

from agent_host.audit.canonical import canonical
from agent_host.audit.chain import Fields
from agent_host.audit.otel import unix_microseconds
from agent_host.audit.wording import sentence, severity

VERSION = "1.8.0"
CATEGORY, CLASS = 6, 6003
OTHER = 99
_SEVERITY = {1: "Informational", 2: "Low", 3: "Medium"}
_SHA256 = 3  # fingerprint.algorithm_id

_Action = tuple[int, str, int, str]
_ALLOWED: _Action = (1, "Allowed", 1, "Allowed")
_DENIED: _Action = (2, "Denied", 2, "Blocked")
_DECISIONS: dict[str, _Action] = {
    "allow": _ALLOWED,
    "approve": (1, "Allowed", 8, "Approved"),
    "accept": _ALLOWED,
    "ask": (3, "Observed", 23, "Challenge"),
    "deny": _DENIED,
    "decline": _DENIED,
    "cancel": _DENIED,
}


def event(entry: Fields, version: str) -> dict[str, Any]:
    """Return an event of OCSF. `version`: of this program, where the entry does not say it."""
    level = severity(entry)
    found: dict[str, Any] = {
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "activity_id": OTHER,
        "activity_name": entry["type"],
        "type_uid": CLASS * 100 + OTHER,
        "type_name": f"API Activity: {entry['type']}",
        "severity_id": level,
        "severity": _SEVERITY[level],
        "time": unix_microseconds(entry["time"]) // 1000,
        "message": sentence(entry),
        "metadata": _metadata(entry, version),
        "actor": _actor(entry),
        "api": _api(entry),
        "src_endpoint": {"name": "agent-host", "svc_name": "agent-host"},
        "unmapped": entry,
        **_status(entry),
        **_control(entry),
        **_model(entry),
    }
    if entry.get("server"):
        found["dst_endpoint"] = {"name": entry["server"], "svc_name": entry["server"]}
    if entry.get("tool"):
        found["resources"] = [_resource(entry)]
    return found


def encoded(entry: Fields, version: str) -> str:
    """Return an event as one line of JSON."""
    return json.dumps(event(entry, version), separators=(",", ":"))


def _metadata(entry: Fields, version: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "product": {
            "name": "agent-host",
            "vendor_name": "agent-host",
            "version": entry.get("host", version),
        },
        "profiles": ["security_control", "ai_operation"],
        "uid": entry["hash"],
        "sequence": entry["seq"],
        "event_code": entry["type"],
        "log_name": "audit",
        "original_time": entry["time"],
        **({"correlation_uid": entry["run"]} if entry.get("run") else {}),
        **({"labels": entry["labels"]} if entry.get("labels") else {}),
    }


def _actor(entry: Fields) -> dict[str, Any]:
    actor: dict[str, Any] = {"app_name": "agent-host"}
    who = entry.get("who")
    if not who:
        return actor
    actor["user"] = {"uid": who, "name": who, "type_id": 1, "type": "User"}
    if entry.get("roles"):
        actor["user"]["groups"] = [{"name": str(role)} for role in entry["roles"]]
    if entry.get("who_from"):
        actor["idp"] = {"name": entry["who_from"]}
    if entry.get("run"):
        actor["session"] = {"uid": entry["run"], "issuer": entry.get("who_from", "")}
    return actor


def _api(entry: Fields) -> dict[str, Any]:
    api: dict[str, Any] = {"operation": entry.get("tool") or entry.get("name") or entry["type"]}
    if entry.get("server"):
        service = {"name": entry["server"]}
        if entry.get("server_version"):
            service["version"] = entry["server_version"]
        api["service"] = service
    if entry.get("call"):
        request: dict[str, Any] = {"uid": entry["call"]}
        for key in ("arguments", "approved", "proposed"):
            if key in entry:
                request["data"] = {"arguments": canonical(entry[key])}
                break
        api["request"] = request
    if entry["type"] in {"call_finished", "call_refused"}:
        outcome = entry.get("outcome", "")
        api["response"] = {"message": outcome} if outcome == "ok" else {"error": outcome}
    return api


def _resource(entry: Fields) -> dict[str, Any]:
    resource = {"name": entry["tool"], "type": "MCP tool", "namespace": entry.get("server", "")}
    return {**resource, "uid": entry["definition"]} if entry.get("definition") else resource


def _status(entry: Fields) -> dict[str, Any]:
    outcome = entry.get("outcome")
    if outcome is None:
        return {"status_id": 1, "status": "Success"}
    if outcome in {"ok", "answered"}:
        return {"status_id": 1, "status": "Success", "status_code": outcome}
    if outcome == "outcome_unknown":
        return {"status_id": 0, "status": "Unknown", "status_code": outcome}
    return {"status_id": 2, "status": "Failure", "status_code": outcome}


def _control(entry: Fields) -> dict[str, Any]:
    """What policy and people decided."""
    kind, decision = entry["type"], entry.get("decision", "")
    action = _DECISIONS.get(decision)
    if kind in {"call_refused", "approval_expired"}:
        action = _DENIED
    elif kind == "call_started":
        action = _ALLOWED
    if action is None:
        return {}
    found: dict[str, Any] = dict(
        zip(("action_id", "action", "disposition_id", "disposition"), action, strict=True)
    )
    rules = entry.get("rules") or ([entry["rule"]] if entry.get("rule") else [])
    found["authorizations"] = [
        {"decision": decision or action[1].lower(), "policy": {"name": str(rule)}} for rule in rules
    ] or [{"decision": decision or action[1].lower()}]
    if entry.get("rule"):
        policy = {"name": entry["rule"], "is_applied": True}
        if entry.get("policy"):
            policy["version"] = entry["policy"]
        if entry.get("rule_origin"):
            policy["desc"] = entry["rule_origin"]
        found["policy"] = policy
    return found


def _model(entry: Fields) -> dict[str, Any]:
    """Which model asked, and through what."""
    if not entry.get("model"):
        return {}
    model = {"name": entry["model"], "ai_provider": entry.get("provider") or "unknown"}
    if entry.get("model_served"):
        model["version"] = entry["model_served"]
    context: dict[str, Any] = {"application": {"name": "agent-host"}, "ai_role_id": 3}
    if entry.get("run"):
        context["uid"] = entry["run"]
    if entry.get("server"):
        context["service"] = {"name": entry["server"]}
    return {"ai_model": model, "message_context": context}
