"""Schemas for the dialects that take JSON Schema 2020-12 nearly whole.

Theory of operation: the nodes are written as they are; keys are renamed, targets of references
gathered in `$defs` under legal names, what providers insist on (`properties` in objects, `items` in
arrays) added. Where the document had to be loosened while it was read, keywords under which a
looser schema would refuse more (`not`, `if`, `oneOf`, `maxContains`) are put into words as well;
keywords that look at the text of keys are, where keys were renamed.
"""

import re

from agent_host.core.types import Json, JsonObject
from agent_host.models.schema_losses import Losses
from agent_host.models.schema_reading import LISTS, MAPS, Node, Reader
from agent_host.models.schema_restoring import Keys
from agent_host.models.schema_words import brief, described, in_words

_KEY_TEXTS = ("patternProperties", "propertyNames")
_FRAGILE = frozenset({"not", "if", "then", "else", "maxContains"})
_VALUES = frozenset({"enum", "const", "default", "examples"})
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


class WholeWriter:
    """Writes one document."""

    def __init__(self, reader: Reader, keys: Keys, losses: Losses) -> None:
        self._reader = reader
        self._keys = keys
        self._losses = losses
        self._fragile = reader.loosened or (
            bool(keys)
            and any(k in node.keywords for node in reader.all_nodes() for k in _KEY_TEXTS)
        )
        self._names: dict[str, str] = {}
        self._used: set[str] = set()
        self._wanted: list[str] = []

    def root(self, root: Node) -> JsonObject:
        """Return the schema of the document whose plain root is `root`."""
        schema = self._schema(root)
        if not schema["required"]:
            del schema["required"]
        definitions: JsonObject = {}
        while self._wanted:
            pointer = self._wanted.pop()
            definitions[self._names[pointer]] = self._schema(self._reader.target(pointer))
        if definitions:
            schema["$defs"] = definitions
        return schema

    def _schema(self, node: Node) -> JsonObject:
        if node.never:
            return {"not": {}}
        words = list(node.extra)
        schema: JsonObject = {}
        for keyword, value in node.keywords.items():
            if self._in_words_only(keyword, node):
                words.append(in_words(keyword, value))
                self._losses.add(f"{keyword} is said in words only", node.at)
                continue
            name = keyword
            if keyword == "oneOf" and self._fragile:
                self._losses.add("exactly one of the alternatives is said as any of them", node.at)
                name = "anyOf"
            schema[name] = self._value(keyword, value)
        kinds = node.keywords.get("type", ())
        if "object" in kinds:
            schema.setdefault("properties", {})
        if "array" in kinds:
            schema.setdefault("items", {})
        for own in node.keywords.get("properties", ()):
            if self._keys.renamed(own):
                child = schema["properties"][self._keys.adapt(own)]
                said = described(child.get("description", ""), [f"stands for the key {brief(own)}"])
                child["description"] = said
        if any(words):
            schema["description"] = described(schema.get("description", ""), words)
        return schema

    def _in_words_only(self, keyword: str, node: Node) -> bool:
        if keyword in _FRAGILE:
            return self._fragile
        if keyword == "oneOf" and "anyOf" in node.keywords:
            return self._fragile
        if not self._keys:
            return False
        return keyword in _KEY_TEXTS or (
            keyword == "additionalProperties" and "patternProperties" in node.keywords
        )

    def _value(self, keyword: str, value: Json) -> Json:
        if isinstance(value, Node):
            return (
                False if keyword == "additionalProperties" and value.never else self._schema(value)
            )
        if keyword in LISTS:
            return [self._schema(child) for child in value]
        if keyword == "patternProperties":
            return {key: self._schema(child) for key, child in value.items()}
        if keyword in MAPS:
            return {self._keys.adapt(key): self._schema(child) for key, child in value.items()}
        if keyword == "type":
            return value[0] if len(value) == 1 else value
        if keyword == "required":
            return [self._keys.adapt(name) for name in value]
        if keyword == "dependentRequired":
            return {self._keys.adapt(k): [self._keys.adapt(n) for n in v] for k, v in value.items()}
        if keyword == "$ref":
            return "#/$defs/" + self._name(value)
        return self._keys.adapt_all(value) if keyword in _VALUES else value

    def _name(self, pointer: str) -> str:
        """Return the name of the definition that a pointer's target becomes."""
        known = self._names.get(pointer)
        if known is not None:
            return known
        stem = _NOT_IN_A_NAME.sub("_", pointer.rpartition("/")[2])[:48] or "root"
        name = stem if stem not in self._used else f"{stem}_{len(self._used)}"
        while name in self._used:
            name += "_"
        self._used.add(name)
        self._names[pointer] = name
        self._wanted.append(pointer)
        return name
