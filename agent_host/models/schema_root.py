"""The root of a tool's schema as every provider wants it: a plain object, no union beside it.

Theory of operation: providers answer 400 to `anyOf`, `oneOf`, `allOf`, `not`, `if`, `enum` and
`$ref` at the root. What must hold together is merged. The keys of alternatives, of `then` and
`else` and of `dependentSchemas` are offered side by side; required stays what every alternative
requires. Which keys go together is told in words in the root's description. A key that several
alternatives declare may be what any of them says; of an alternative that does not speak of a key
at all, and so would let it be anything, is assumed that the key belongs to the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent_host.models.schema_losses import Losses
from agent_host.models.schema_merging import Flat, Merger
from agent_host.models.schema_reading import Node, step
from agent_host.models.schema_words import clip_words, in_words, listed

_CONDITIONAL = ("if", "then", "else")
_NOT_AT_ROOT = frozenset({*_CONDITIONAL, "not", "enum", "dependentSchemas", "type"})
_MAX_ALTERNATIVES = 8
_MAX_NESTING = 8


@dataclass(slots=True)
class _Offered:
    """What a part of the root adds: the schemas of each key, and the keys it requires."""

    properties: dict[str, dict[int, Node]]
    """By key the schemas that are not the same node."""
    required: list[str]

    def add(self, other: "_Offered") -> None:
        for key, nodes in other.properties.items():
            self.properties.setdefault(key, {}).update(nodes)


class RootError(ValueError):
    """The schema says of the arguments that they are no object."""


def plain_root(root: Node, merger: Merger, losses: Losses) -> Node:
    """Return the root as an object without unions, references and conditions.

    Raises RootError if no object satisfies the schema.
    """
    flat = merger.flat(root)
    if not _is_object(flat):
        raise RootError("it says that its arguments are no object")
    own = dict(flat.keywords.get("properties", {}))
    required = list(flat.keywords.get("required", ()))
    words = list(flat.extra)
    offered = _Offered({}, [])
    for union in flat.unions:
        part, said = _union(union, merger, 0)
        offered.add(part)
        required += part.required
        words.append(said)
        losses.add("alternatives are offered side by side", flat.at)
    for keyword in ("then", "else"):
        if keyword in flat.keywords:
            offered.add(_alternative(merger.flat(flat.keywords[keyword]), merger, 0))
    for node in flat.keywords.get("dependentSchemas", {}).values():
        offered.add(_alternative(merger.flat(node), merger, 0))
    words += _conditions(flat, losses)
    keywords = {k: v for k, v in flat.keywords.items() if k not in _NOT_AT_ROOT}
    keywords["type"] = ["object"]
    for name, by_identity in offered.properties.items():
        nodes = list(by_identity.values())
        own.setdefault(name, nodes[0] if len(nodes) == 1 else Node(nodes[0].at, {"anyOf": nodes}))
    for name in required:
        own.setdefault(name, Node(step(flat.at, "required"), {}))
    keywords["properties"] = own
    keywords["required"] = list(dict.fromkeys(required))
    return Node(flat.at, keywords, clip_words(words))


def _union(branches: Iterable[Node], merger: Merger, nesting: int) -> tuple[_Offered, str]:
    """Return what the alternatives of one union offer, and in words which keys go together."""
    flats = [merger.flat(node) for node in branches]
    known = [_alternative(flat, merger, nesting) for flat in flats if _is_object(flat)]
    union = _Offered({}, [])
    for part in known:
        union.add(part)
    if known:
        union.required = [
            name for name in known[0].required if all(name in part.required for part in known)
        ]
    said = [
        listed(part.required) or f"any of {listed(part.properties) or 'the keys'}"
        for part in known[:_MAX_ALTERNATIVES]
    ]
    more = len(known) - len(said)
    text = "give the keys of one of these: " + " | ".join(said)
    return union, text + (f" and {more} more" if more > 0 else "")


def _is_object(flat: Flat) -> bool:
    return not flat.never and "object" in flat.keywords.get("type", ("object",))


def _alternative(flat: Flat, merger: Merger, nesting: int) -> _Offered:
    """Return what one alternative offers, with all that it is made of."""
    part = _Offered(
        {name: {id(child): child} for name, child in flat.keywords.get("properties", {}).items()},
        list(flat.keywords.get("required", ())),
    )
    if nesting < _MAX_NESTING:
        for union in flat.unions:
            inner, _ = _union(union, merger, nesting + 1)
            part.add(inner)
            part.required += inner.required
    return part


def _conditions(flat: Flat, losses: Losses) -> list[str]:
    """Put what may not stand at the root into words."""
    words: list[str] = []
    for keyword in ("not", "enum", "dependentSchemas", *_CONDITIONAL):
        if keyword in flat.keywords:
            words.append(in_words(keyword, flat.keywords[keyword]))
            losses.add(f"{keyword} is said in words only", flat.at)
    return words
