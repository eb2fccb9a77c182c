"""What tests of checks are made of: tools with schemas, and the ground they stand on."""

from dataclasses import replace

from agent_host.cli.policy_ground import compiled
from agent_host.core.types import Annotations, Tool
from agent_host.policy.check import check
from agent_host.policy.ground import Ground, RuleText

REFUND = {
    "type": "object",
    "properties": {
        "order": {"type": "string"},
        "amount": {"type": "number", "minimum": 0, "maximum": 1000},
        "reason": {"enum": ["damaged", "late", "other"]},
        "notify": {"type": "boolean"},
        "tags": {"type": "array", "items": {"enum": ["vip", "new"]}},
        "to": {"type": "object", "properties": {"city": {"type": "string"}}},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["order", "amount"],
    "additionalProperties": False,
}
READ = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}


def tool(name, schema=None, server="orders", **more):
    return Tool(
        name=f"{server}__{name}",
        server=server,
        tool=name,
        description="",
        input_schema=schema or {"type": "object"},
        annotations=Annotations(),
        fingerprint="f" * 64,
        **more,
    )


SERVERS = {
    "orders": (tool("refund", REFUND), tool("get_order", READ), tool("list_orders", READ)),
    "mail": (tool("send", {"type": "object"}, "mail"),),
}


def ground(**more):
    known = {"servers": SERVERS, "labels": frozenset({"private"}), "roles": {}}
    return Ground(**{**known, **more}, compiled=compiled)


def rule(name="r", effect="deny", **more):
    more = {k: tuple(v) if isinstance(v, list) else v for k, v in more.items()}
    place = more.pop("place", lambda *key: f"servers.toml:7{'.' + key[0] if key else ''}")
    return RuleText(id=name, effect=effect, place=place, **more)


def refunds(when, effect="deny", **more):
    return rule(effect=effect, server="orders", tools=["refund"], when=when, **more)


def found(*rules, totals=(), **more):
    return check(rules, totals, ground(**more))


def texts(*rules, **more):
    return [f"{one.severity}: {one.text}" for one in found(*rules, **more)]


def with_fingerprint(one, print_):
    return replace(one, fingerprint=print_)
