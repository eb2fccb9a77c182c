"""The typed alternatives that a narrow schema is made of.

Theory of operation: a `Branch` is one JSON type of one alternative, with the words for what its
schema could not say. Branches that say the same are one; many that only list values (a union of
constants) are one enumeration.
"""

from dataclasses import dataclass, field
from typing import Any

from agent_host.core.types import Json, JsonObject
from agent_host.models.schema_merging import Flat, identity
from agent_host.models.schema_reading import TYPES, Node, step
from agent_host.models.schema_restoring import Place, json_type

ALL = frozenset(TYPES)


@dataclass(slots=True)
class Branch:
    """One typed alternative. `kinds`: the JSON types of the server's values that it is for."""

    schema: JsonObject
    kinds: frozenset[str]
    words: list[str] = field(default_factory=list)
    about: str = ""
    place: Place | None = None
    text: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A schema as it is sent. `nullable`: null is one of its own values."""

    schema: JsonObject
    place: Place | None
    nullable: bool


def distinct(branches: list[Branch]) -> list[Branch]:
    """Return the alternatives without those that say the same as one before, and with all that
    only list values in one list for each type."""
    found: dict[str, Branch] = {}
    for branch in branches:
        listing = branch.schema.keys() == {"type", "enum"} and not (branch.about or branch.words)
        key = f"values {branch.schema['type']}" if listing else _key(branch)
        same = found.get(key)
        if same is None or same.place is not branch.place:
            found[key if same is None else f"{key}{id(branch)}"] = branch
        elif listing:
            same.schema["enum"] += branch.schema["enum"]
        else:
            either = [*dict.fromkeys("; ".join(one.words) for one in (same, branch))]
            same.words = [" or ".join(either)] if all(either) else []
    for branch in found.values():
        if "enum" in branch.schema:
            values = branch.schema["enum"]
            branch.schema["enum"] = list({identity(value): value for value in values}.values())
    return list(found.values())


def _key(branch: Branch) -> str:
    if branch.text and branch.kinds == ALL:
        return "any text"
    return identity(branch.schema) + branch.about


def is_of(kind: str, value: Json) -> bool:
    """Whether a value is of a JSON Schema type; 1.0 is an `integer`."""
    found = json_type(value)
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return found == kind or (kind == "number" and found == "integer")


def all_items(flat: Flat) -> tuple[Node, tuple[str, ...]]:
    """Return one schema for all items, and the keywords that it does not say."""
    rest: Node | None = flat.get("items")
    order: list[Node] | None = flat.get("prefixItems")
    open_ = Node(step(flat.at, "items"), {})
    if order is None:
        return rest or open_, ()
    if rest is None and flat.keywords.get("maxItems", len(order) + 1) > len(order):
        return open_, ("prefixItems",)
    rest_known = [] if rest is None else [rest]
    some: list[Any] = [*order, *rest_known]
    return Node(step(flat.at, "prefixItems"), {"anyOf": some}), ("prefixItems",)


def or_null(schema: JsonObject) -> JsonObject:
    """Return the schema with null as one value more."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    outer = {"description": schema["description"]} if "description" in schema else {}
    inner = {key: value for key, value in schema.items() if key != "description"}
    return {**outer, "anyOf": [inner, {"type": "null"}]}
