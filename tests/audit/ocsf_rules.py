"""What OCSF 1.8.0 says of an API Activity, as far as it can be said in tables.

Source: github.com/ocsf/ocsf-schema, tag 1.8.0: events/base_event.json, events/application/
api_activity.json, profiles/security_control.json, profiles/ai_operation.json, objects/*.json,
dictionary.json. A member that starts with `!` is required; the word after a colon is its type, an
object's name, or either in a list.
"""

from typing import Any

OBJECTS: dict[str, str] = {
    "api_activity": "!activity_id:integer activity_name:string !actor:actor !api:api "
    "!category_uid:integer category_name:string !class_uid:integer class_name:string "
    "dst_endpoint:endpoint message:string !metadata:metadata resources:[resource] "
    "!severity_id:integer severity:string !src_endpoint:endpoint status:string status_code:string "
    "status_id:integer !time:integer !type_uid:integer type_name:string unmapped:any "
    "action:string action_id:integer authorizations:[authorization] disposition:string "
    "disposition_id:integer policy:policy ai_model:ai_model message_context:message_context",
    "actor": "app_name:string user:user session:session idp:entity",
    "user": "name:string uid:string type:string type_id:integer groups:[entity]",
    "session": "uid:string issuer:string",
    "entity": "name:string uid:string",
    "api": "!operation:string request:request response:response service:service version:string",
    "request": "!uid:string data:any",
    "response": "error:string message:string",
    "service": "name:string uid:string version:string",
    "endpoint": "name:string svc_name:string",
    "metadata": "!version:string !product:product profiles:[string] uid:string sequence:integer "
    "event_code:string log_name:string original_time:string correlation_uid:string "
    "labels:[string]",
    "product": "name:string vendor_name:string version:string",
    "resource": "name:string uid:string type:string namespace:string",
    "authorization": "decision:string policy:policy",
    "policy": "name:string desc:string is_applied:boolean version:string",
    "ai_model": "!name:string !ai_provider:string version:string",
    "message_context": "application:entity service:service uid:string ai_role_id:integer",
}

ENUMS: dict[str, set[int]] = {
    "severity_id": {0, 1, 2, 3, 4, 5, 6, 99},
    "status_id": {0, 1, 2, 99},
    "activity_id": {0, 1, 2, 3, 4, 99},
    "action_id": {0, 1, 2, 3, 4, 99},
    "disposition_id": {*range(28), 99},
    "type_id": {0, 1, 2, 3, 4, 99},
    "ai_role_id": {0, 1, 2, 3, 4, 5, 6, 99},
}

AT_LEAST_ONE: dict[str, set[str]] = {
    "actor": {"process", "user", "session", "app_name", "app_uid"},
    "user": {"account", "name", "uid"},
    "entity": {"name", "uid"},
    "service": {"name", "uid"},
    "product": {"name", "uid"},
    "endpoint": {"name", "svc_name", "uid", "ip", "hostname"},
    "resource": {"name", "uid"},
    "policy": {"name", "uid", "type"},
    "message_context": {"application", "service"},
}

_TYPES = {"string": str, "integer": int, "boolean": bool}


def violations(value: Any, kind: str = "api_activity", place: str = "") -> list[str]:
    """What of a value is not as the schema says."""
    if kind == "any":
        return []
    if kind.startswith("["):
        if not isinstance(value, list):
            return [f"{place} is no list"]
        return [v for i, x in enumerate(value) for v in violations(x, kind[1:-1], f"{place}[{i}]")]
    if kind in _TYPES:
        fits = type(value) is _TYPES[kind]
        return [] if fits else [f"{place} is {value!r}, no {kind}"]
    if not isinstance(value, dict):
        return [f"{place} is no object"]
    found: list[str] = []
    members = {}
    for word in OBJECTS[kind].split():
        name, _, type_ = word.lstrip("!").partition(":")
        members[name] = type_
        if word.startswith("!") and name not in value:
            found.append(f"{place}.{name} is required")
    if kind in AT_LEAST_ONE and not AT_LEAST_ONE[kind] & set(value):
        found.append(f"{place} needs one of {sorted(AT_LEAST_ONE[kind])}")
    for name, item in value.items():
        if name not in members:
            found.append(f"{place}.{name} is not in the schema of {kind}")
            continue
        found += violations(item, members[name], f"{place}.{name}")
        if name in ENUMS and item not in ENUMS[name]:
            found.append(f"{place}.{name} is {item}, which is no value of it")
    return found
