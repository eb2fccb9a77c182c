"""Schemas for the dialects that take little: typed nodes and plain unions, nothing else.

Theory of operation: every node is flattened and then split into branches, one for each
alternative and JSON type; a branch holds the keywords that its type and the dialect have, and
words for the others. Joined again, they are one typed schema or an `anyOf` with nothing but a
description beside it. References stand in their place, so a bound on nodes and levels keeps a
small document from becoming a large schema.

What a strict dialect cannot leave open (any value, an object with free keys) is a string there
that holds JSON text. A union in which such a text could be taken for another alternative is a text
as a whole.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from math import prod

from agent_host.core.types import Json, JsonObject
from agent_host.models.schema_branches import (
    ALL,
    Branch,
    Written,
    all_items,
    distinct,
    is_of,
    or_null,
)
from agent_host.models.schema_dialects import Rules, is_simple_pattern
from agent_host.models.schema_losses import Losses
from agent_host.models.schema_merging import Flat, Merger, joined
from agent_host.models.schema_reading import NUMBERS, TYPES, Node, step
from agent_host.models.schema_restoring import Keys, Place, json_type
from agent_host.models.schema_words import brief, described, in_words

MAX_WRITTEN = 2_000
"""Nodes of one schema, each reference counted wherever it stands."""
MAX_ALTERNATIVES = 256
"""Of one union; `MAX_COMBINATIONS` where several unions must hold at once."""
MAX_COMBINATIONS = 32
_MAX_NESTING = 12
_OPEN_LEVELS = 2
"""How many lists inside lists an open value may hold where it has to be described."""

_STRING = ("format", "pattern", "minLength", "maxLength", "contentEncoding", "contentMediaType")
_ARRAY = ("minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains")
_OBJECT = (
    *("minProperties", "maxProperties", "patternProperties", "propertyNames"),
    *("dependentRequired", "dependentSchemas"),
)
_ANY_TYPE = ("not", "if", "then", "else")
_TOLD = ("default", "examples", "deprecated")
_TYPE_OF = {
    **dict.fromkeys(_STRING, "string"),
    **dict.fromkeys(NUMBERS, "number"),
    **dict.fromkeys((*_ARRAY, "items", "prefixItems"), "array"),
    **dict.fromkeys((*_OBJECT, "properties", "required", "additionalProperties"), "object"),
}


class TooMuchError(Exception):
    """The schema has more parts than is sensible; the message says how many are."""


class Narrower:
    """Writes one document by the rules of a narrow dialect."""

    def __init__(
        self, rules: Rules, merger: Merger, keys: Keys, losses: Losses, max_levels: int
    ) -> None:
        self._rules = rules
        self._max_levels = min(max_levels, rules.max_depth)
        self._merger = merger
        self._keys = keys
        self._losses = losses
        self._differs = False
        self._written = 0
        self._enumerated = 0

    def root(self, root: Node) -> Written:
        """Return the schema of the document whose plain root is `root`.

        Raises TooMuchError if it has more than `MAX_WRITTEN` nodes.
        """
        flat = self._merger.flat(root)
        written = self._joined(flat, [self._object(flat, 1)])
        return written if self._differs else replace(written, place=None)

    def write(self, node: Node, depth: int) -> Written:
        """Return one schema at `depth` (the root being at 1)."""
        flat = self._merger.flat(node)
        branches = self._branches(flat, depth, 0)
        if not branches:
            self._losses.add("nothing satisfies it, so it is left open", node.at)
            branches = self._open(node.at)
        return self._joined(flat, branches)

    # -- branches -----------------------------------------------------------------------------

    def _branches(self, flat: Flat, depth: int, nesting: int) -> list[Branch]:
        self._written += 1
        if self._written > MAX_WRITTEN:
            raise TooMuchError(f"more than {MAX_WRITTEN} parts")
        if nesting > _MAX_NESTING:
            self._losses.add("too deep or too much, so left open", flat.at)
            return self._open(flat.at)
        if flat.never:
            return []
        if not flat.unions:
            return self._typed(flat, depth)
        found: list[Branch] = []
        for alternative in self._alternatives(flat):
            inner = self._branches(alternative, depth, nesting + 1)
            if inner:
                inner[0].about = inner[0].about or alternative.keywords.get("description", "")
                inner[0].words += self._told(alternative)
            found += inner
        return found

    def _alternatives(self, flat: Flat) -> list[Flat]:
        """Return what the unions come to, each with all that stands beside them."""
        outer = flat.without_annotations()
        outer.unions = []
        unions = flat.unions
        while prod(map(len, unions)) > (MAX_COMBINATIONS if unions[1:] else MAX_ALTERNATIVES):
            self._losses.add("too many alternatives, so told in words", flat.at)
            largest = max(unions, key=len)
            unions = [union for union in unions if union is not largest]
            outer.extra = (*outer.extra, in_words("oneOf", largest))
        return [
            joined([outer, *(self._merger.flat(node) for node in choice)])
            for choice in product(*unions)
        ]

    def _typed(self, flat: Flat, depth: int) -> list[Branch]:
        kinds = self._kinds(flat)
        if kinds is None:
            branches = self._open(flat.at)
        else:
            with self._merger.inside(flat):
                branches = [self._of_type(kind, flat, depth) for kind in kinds]
        if branches:
            branches[0].words += self._lost(_ANY_TYPE, flat)
        return branches

    def _kinds(self, flat: Flat) -> list[str] | None:
        """Return the types that a schema allows; None: any."""
        kinds = flat.get("type")
        values = flat.get("enum")
        if values is not None:
            found = dict.fromkeys(json_type(value) for value in values)
            if "number" in found and "integer" in found:
                del found["integer"]
            fitting = [
                kind
                for kind in found
                if kinds is None or kind in kinds or {kind, *kinds} >= {"integer", "number"}
            ]
            if fitting:
                return fitting
        if kinds is None:
            meant = {_TYPE_OF[keyword] for keyword in flat.keywords if keyword in _TYPE_OF}
            if not meant:
                return None
            kinds = [kind for kind in TYPES if kind in meant]
            self._losses.add(f"no type is given, so read as {' or '.join(kinds)}", flat.at)
        return [kind for kind in kinds if kind != "integer" or "number" not in kinds]

    def _of_type(self, kind: str, flat: Flat, depth: int) -> Branch:
        if kind == "object":
            branch = self._object(flat, depth)
        elif kind == "array":
            branch = self._array(flat, depth)
        else:
            keywords = _STRING if kind == "string" else NUMBERS if kind != "boolean" else ()
            branch = Branch({"type": kind}, frozenset({kind}))
            if kind == "number":
                branch.kinds |= {"integer"}
            self._keep(keywords if kind != "null" else (), flat, branch)
        if "enum" in flat.keywords:
            self._enumerate(kind, flat, branch)
        return branch

    def _enumerate(self, kind: str, flat: Flat, branch: Branch) -> None:
        """Add the values of one type, or tell them."""
        fitting = [value for value in flat.get("enum") if is_of(kind, value)]
        values = fitting or flat.get("enum")
        if kind == "null" or (kind == "boolean" and len(values) > 1):
            return
        if kind == "integer" and fitting:
            values = [int(value) for value in values]
        self._enumerated += len(values)
        limit = self._rules.max_enum_values or 10 * MAX_WRITTEN
        if (
            not fitting
            or kind in ("object", "array")
            or (self._rules.enums == "strings" and (kind != "string" or "" in values))
            or self._enumerated > limit
            or (self._rules.max_enum_values is not None and len(values) > 250)
        ):
            self._losses.add("enum is said in words only", flat.at)
            branch.words.append(in_words("enum", values))
        else:
            branch.schema["enum"] = values

    def _keep(self, keywords: Iterable[str], flat: Flat, branch: Branch) -> None:
        """Take over the keywords that the dialect has, and tell the others."""
        for keyword in keywords:
            value = flat.get(keyword)
            if value is None or value is False:
                continue
            if self._takes(keyword, value):
                branch.schema[keyword] = value
            else:
                branch.words += self._lost((keyword,), flat)

    def _takes(self, keyword: str, value: Json) -> bool:
        rules = self._rules
        if keyword not in rules.keeps:
            return False
        if keyword == "format":
            return rules.formats is None or value in rules.formats
        if keyword == "pattern":
            return not rules.simple_patterns or is_simple_pattern(value)
        if keyword == "minItems":
            return rules.max_min_items is None or value <= rules.max_min_items
        return True

    def _lost(self, keywords: Iterable[str], flat: Flat) -> list[str]:
        """Return words for keywords that are not sent, and report them."""
        words = []
        for keyword in keywords:
            said = in_words(keyword, flat.keywords[keyword]) if keyword in flat.keywords else ""
            if said:
                words.append(said)
                self._losses.add(f"{keyword} is said in words only", flat.at)
        return words

    def _told(self, flat: Flat) -> list[str]:
        return [*self._lost(_TOLD, flat), *flat.extra]

    # -- objects and arrays -------------------------------------------------------------------

    def _object(self, flat: Flat, depth: int) -> Branch:
        properties: dict[str, Node] = dict(flat.keywords.get("properties", {}))
        required = flat.keywords.get("required", ())
        for name in required:
            properties.setdefault(name, Node(step(flat.at, "required"), {}))
        others = flat.get("additionalProperties")
        closed = others is not None and others.never and "patternProperties" not in flat.keywords
        too_deep = bool(properties) and depth >= self._max_levels
        if self._rules.strict and (too_deep or not (properties or closed or depth == 1)):
            return self._text(frozenset({"object"}), flat, brief_of=too_deep)
        branch = Branch({"type": "object", "properties": {}}, frozenset({"object"}))
        if too_deep:
            self._losses.add("too deep or too much, so left open", flat.at)
        else:
            self._properties(properties, set(required), depth, branch)
        named = "additionalProperties" in flat.keywords or "patternProperties" in flat.keywords
        open_ = not closed and (named or (not properties and depth > 1))
        self._others(flat.at, branch, closed=closed, open_=open_)
        branch.words += self._lost(_OBJECT, flat)
        if others is not None and not others.never and others.keywords:
            branch.words += self._lost(("additionalProperties",), flat)
        return branch

    def _properties(
        self, properties: dict[str, Node], required: set[str], depth: int, branch: Branch
    ) -> None:
        place = Place()
        names: list[str] = []
        for own, node in properties.items():
            name = self._keys.adapt(own)
            written = self.write(node, depth + 1)
            schema = written.schema
            if self._keys.renamed(own):
                self._say(schema, [f"stands for the key {brief(own)}"])
            left_out = own not in required and self._rules.optional == "null"
            if left_out and not written.nullable:
                schema = or_null(schema)
            if left_out or own in required:
                names.append(name)
            branch.schema["properties"][name] = schema
            absent = left_out and not written.nullable
            self._differs |= absent
            if written.place is not None or self._rules.optional == "null":
                place.properties[name] = (absent, written.place)
        if names or self._rules.optional == "null":
            branch.schema["required"] = names
        if place.properties:
            branch.place = place

    def _others(self, at: str, branch: Branch, *, closed: bool, open_: bool) -> None:
        """Say whether other keys may be given, as far as the dialect has words for it."""
        if self._rules.strict:
            branch.schema["additionalProperties"] = False
            branch.schema.setdefault("required", [])
            if open_:
                self._losses.add("other keys than those named cannot be sent", at)
        elif self._rules.maps and (closed or open_):
            branch.schema["additionalProperties"] = open_
        elif closed:
            self._losses.add("other keys are not refused", at)

    def _array(self, flat: Flat, depth: int) -> Branch:
        node, lost = all_items(flat)
        if depth >= self._max_levels and self._rules.strict:
            return self._text(frozenset({"array"}), flat, brief_of=True)
        branch = Branch({"type": "array"}, frozenset({"array"}))
        if depth >= self._max_levels:
            self._losses.add("too deep or too much, so left open", flat.at)
            written = self._joined(Flat(flat.at, {}), self._open(flat.at))
        else:
            written = self.write(node, depth + 1)
        branch.schema["items"] = written.schema
        if written.place is not None:
            branch.place = Place(items=written.place)
        self._keep(_ARRAY, flat, branch)
        branch.words += self._lost(lost, flat)
        return branch

    # -- what is open -------------------------------------------------------------------------

    def _open(self, at: str) -> list[Branch]:
        if self._rules.strict:
            self._differs = True
            self._losses.add("is written as JSON text", at)
            words = ["any JSON value, written as JSON text"]
            place = Place(text=ALL)
            return [Branch({"type": "string"}, ALL, words, place=place, text=True)]
        return [
            Branch(schema, frozenset({schema["type"]})) for schema in self._any_value(_OPEN_LEVELS)
        ]

    def _any_value(self, levels: int) -> list[JsonObject]:
        """Return a schema of each JSON type."""
        found: list[JsonObject] = [{"type": kind} for kind in ("string", "number", "boolean")]
        found.append({"type": "object", "properties": {}})
        if self._rules.maps:
            found[-1]["additionalProperties"] = True
        if levels:
            found.append({"type": "array", "items": {"anyOf": self._any_value(levels - 1)}})
        return [*found, {"type": "null"}]

    def _text(self, kinds: frozenset[str], flat: Flat, *, brief_of: bool) -> Branch:
        """Return a value of these types as JSON text."""
        self._differs = True
        self._losses.add("is written as JSON text", flat.at)
        words = [f"a JSON {' or '.join(sorted(kinds))}, written as JSON text"]
        shown = {k: v for k, v in flat.keywords.items() if k not in ("type", *_TOLD, *_ANY_TYPE)}
        if brief_of or {*shown} - {"description", "title"}:
            words.append(f"like {brief(Node(flat.at, shown))}")
        return Branch({"type": "string"}, kinds, words, place=Place(text=kinds), text=True)

    # -- together again -----------------------------------------------------------------------

    def _joined(self, flat: Flat, branches: list[Branch]) -> Written:
        """Return the branches as one schema, with what is said of them as a whole."""
        branches = self._unambiguous(flat, distinct(branches))
        about = flat.keywords.get("description", "")
        words = self._told(flat)
        nullable = any("null" in branch.kinds and not branch.text for branch in branches)
        only = self._only(branches)
        if only is not None:
            schema = only.schema
            about, words = about or only.about, [*only.words, *words]
        else:
            for branch in branches:
                self._say(branch.schema, branch.words, branch.about)
            schema = {"anyOf": [branch.schema for branch in branches]}
        titled = only is not None or not self._rules.union_alone
        if titled and "title" in flat.keywords and "title" in self._rules.keeps:
            schema["title"] = flat.keywords["title"]
        self._say(schema, words, about)
        places = tuple(branch.place for branch in branches if branch.place is not None)
        one = places[0] if len(places) == 1 else Place(alternatives=places)
        return Written(schema, one if places else None, nullable)

    def _only(self, branches: list[Branch]) -> Branch | None:
        """Return the branch that can stand for all."""
        if self._rules.null_as == "nullable" and len(branches) == 2:
            some = [branch for branch in branches if "null" not in branch.kinds]
            if len(some) == 1:
                some[0].schema["nullable"] = True
                return some[0]
        return branches[0] if len(branches) == 1 else None

    def _unambiguous(self, flat: Flat, branches: list[Branch]) -> list[Branch]:
        """Make a union one JSON text, if a text could be taken for another alternative."""
        texts = frozenset[str]().union(*(b.kinds for b in branches if b.text))
        others = frozenset[str]().union(*(b.kinds for b in branches if not b.text))
        several = sum(branch.text for branch in branches) > 1
        if not texts or not (several or "string" in others or texts & others):
            return branches
        self._losses.add("is written as JSON text", flat.at)
        kinds = texts | others
        like = [brief(branch.schema) for branch in branches if not branch.text]
        words = [
            "a JSON value, written as JSON text",
            *(["like " + " or ".join(like)] * bool(like)),
        ]
        place = Place(text=kinds)
        return [Branch({"type": "string"}, kinds, words, place=place, text=True)]

    def _say(self, schema: JsonObject, words: Iterable[str], about: str = "") -> None:
        """Put words where the dialect has a place for them."""
        if self._rules.union_alone and "anyOf" in schema:
            schema = schema["anyOf"][0]
        known = schema.get("description", "")
        base = about if not known else f"{about} {known}".strip()
        said = described(base, words)
        if said:
            schema["description"] = said
