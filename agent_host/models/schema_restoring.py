"""Arguments as the model sends them, turned into arguments as the server wants them, and back.

Theory of operation: two things differ. Keys: one table for the whole document gives each key that
a dialect refuses a legal one, and it is applied to every object at every depth, so that no walk
along the schema is needed and no union is ambiguous. A key of the data that only looks like a legal
name gets one more `_` on the way out and loses it on the way back: `restore(adapt(value))` is
`value` for every value there is. Places (strict dialects only): where a dialect wants every key, a
null may stand for "left out", and what it cannot describe at all is written as JSON text. A tree of
`Place`s beside the schema says where. Of the keys of a text nothing is changed: the model writes
them as the server knows them.

Values nested deeper than `MAX_LEVELS` are left as they are, on both ways.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from agent_host.core.types import Json, JsonObject

MAX_LEVELS = 200
_NOT_SAFE = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST = 64


class Keys:
    """A reversible table of keys that a dialect refuses and the legal ones that stand for them."""

    def __init__(self, keys: Iterable[str], legal: re.Pattern[str]) -> None:
        """Rename each of `keys` that does not match `legal`; none of the new names is taken."""
        known = list(dict.fromkeys(keys))
        taken = {key.rstrip("_") for key in known}
        self._legal: dict[str, str] = {}
        self._own: dict[str, str] = {}
        for key in known:
            if not legal.fullmatch(key):
                name = _legal_name(key, taken)
                taken.add(name)
                self._legal[key] = name
                self._own[name] = key

    def __bool__(self) -> bool:
        return bool(self._legal)

    def renamed(self, key: str) -> bool:
        """Whether the server's key `key` has another name on the wire."""
        return key in self._legal

    def adapt(self, key: str) -> str:
        """Return the key on the wire for the server's key."""
        name = self._legal.get(key)
        if name is not None:
            return name
        return f"{key}_" if key.rstrip("_") in self._own else key

    def restore(self, key: str) -> str:
        """Return the server's key for the key on the wire."""
        own = self._own.get(key)
        if own is not None:
            return own
        return key[:-1] if key.endswith("_") and key.rstrip("_") in self._own else key

    def adapt_all(self, value: Json) -> Json:
        """Return a value with every key, at every depth, as it is on the wire."""
        return _renamed(value, self.adapt, 0) if self else value


def _legal_name(key: str, taken: set[str]) -> str:
    """Return a legal name that always comes out the same for one key among the same others."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    stem = _NOT_SAFE.sub("_", key[:_LONGEST])
    for length in (6, 12, 24, 48):
        name = f"{stem[: _LONGEST - length - 1]}_{digest[:length]}"
        if name not in taken:
            return name
    return digest


def _renamed(value: Json, rename: Callable[[str], str], level: int) -> Json:
    if level >= MAX_LEVELS:
        return value
    if isinstance(value, dict):
        return {
            rename(key) if isinstance(key, str) else key: _renamed(item, rename, level + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renamed(item, rename, level + 1) for item in value]
    return value


@dataclass(slots=True, eq=False)
class Place:
    """Where a strict dialect's value differs from the server's.

    `properties`: by the key on the wire, whether a null there means "left out", and the place
    below. `text`: the JSON types of the values that are written as JSON text here.
    """

    properties: dict[str, "tuple[bool, Place | None]"] = field(default_factory=dict)
    items: "Place | None" = None
    text: frozenset[str] = frozenset()
    alternatives: "tuple[Place, ...]" = ()


@dataclass(frozen=True, slots=True)
class Translation:
    """Both ways between the server's arguments and the wire's."""

    keys: Keys
    place: Place | None = None

    def __bool__(self) -> bool:
        return bool(self.keys) or self.place is not None

    def restore(self, value: JsonObject) -> JsonObject:
        """Return the server's arguments for the wire's; the same object if nothing differs."""
        if self.place is not None:
            return _object(_restored(value, _alternatives((self.place,)), self.keys, 0), value)
        return _object(_renamed(value, self.keys.restore, 0), value) if self.keys else value

    def adapt(self, value: JsonObject) -> JsonObject:
        """Return the wire's arguments for the server's; the same object if nothing differs."""
        if self.place is not None:
            return _object(_adapted(value, _alternatives((self.place,)), self.keys, 0), value)
        return _object(_renamed(value, self.keys.adapt, 0), value) if self.keys else value


def json_type(value: Json) -> str:
    """Return the JSON Schema type of a value; whole numbers are `integer` only if written so."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((int, "integer"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def _text(value: Json) -> Json:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return value


def _no_json(constant: str) -> Json:
    raise ValueError(constant)


def _object(changed: Json, value: JsonObject) -> JsonObject:
    return changed if isinstance(changed, dict) else value


def _alternatives(places: Iterable[Place | None]) -> list[Place]:
    """Return all places that a value may be at, unions unfolded."""
    found: list[Place] = []
    stack = [place for place in places if place is not None]
    while stack:
        place = stack.pop()
        found.append(place)
        stack.extend(place.alternatives)
    return found


def _restored(value: Json, places: list[Place], keys: Keys, level: int) -> Json:
    if level >= MAX_LEVELS:
        return value
    if isinstance(value, str) and any(place.text for place in places):
        try:
            return json.loads(value, parse_constant=_no_json)
        except (ValueError, RecursionError):
            return value
    if isinstance(value, dict):
        return dict(_restored_items(value, places, keys, level))
    if isinstance(value, list):
        below = _alternatives(place.items for place in places)
        return [_restored(item, below, keys, level + 1) for item in value]
    return value


def _restored_items(
    value: JsonObject, places: list[Place], keys: Keys, level: int
) -> Iterator[tuple[str, Json]]:
    for key, item in value.items():
        here = [place.properties[key] for place in places if key in place.properties]
        if item is None and here and all(left_out for left_out, _ in here):
            continue
        below = _alternatives(place for _, place in here)
        yield keys.restore(key), _restored(item, below, keys, level + 1)


def _adapted(value: Json, places: list[Place], keys: Keys, level: int) -> Json:
    if level >= MAX_LEVELS:
        return value
    kind = json_type(value)
    if any(kind in place.text for place in places):
        return _text(value)
    if isinstance(value, dict):
        changed: JsonObject = {}
        for key, item in value.items():
            name = keys.adapt(key)
            below = _alternatives(
                place.properties[name][1] for place in places if name in place.properties
            )
            changed[name] = _adapted(item, below, keys, level + 1)
        return changed
    if isinstance(value, list):
        below = _alternatives(place.items for place in places)
        return [_adapted(item, below, keys, level + 1) for item in value]
    return value
