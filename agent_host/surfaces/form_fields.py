"""The fields of a form that a server asks for, read from its schema.

Theory of operation: MCP elicitation knows flat objects of text, numbers, yes or no, and choices
(2025-06-18; 2025-11-25 and 2026-07-28 with titled and multiple choices and with defaults). What is
in that subset becomes a `Field`; what servers commonly write around it (a local `$ref` to an enum,
`anyOf` with null for "may be left out", exclusive bounds) is understood as well. Anything else
would be asked wrongly, so the whole form is refused with a reason. A default that its own field
does not allow is no default. Fields that look as if they ask for a secret are marked: the protocol
forbids to ask for those in a form (client/elicitation, security). Pure, and bounded by the schema.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from agent_host.core.text import clean_line
from agent_host.core.types import Json, JsonObject

FieldKind = Literal["text", "number", "integer", "boolean", "choice", "choices"]

MOST_FIELDS = 200
MOST_CHOICES = 2000
"""More than these nobody fills in; the form is refused."""
_LONGEST_CHAIN = 8

_FORMATS = frozenset({"email", "uri", "date", "date-time"})
_BEYOND = frozenset(
    {
        *("allOf", "not", "if", "then", "else", "contains", "prefixItems", "additionalItems"),
        *("dependentSchemas", "dependentRequired", "dependencies", "patternProperties"),
        *("propertyNames", "properties", "minProperties", "maxProperties"),
        *("unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"),
    }
)
"""Keywords that say something about a value that no field here could hold to."""
_BEYOND_ROOT = (_BEYOND - {"properties", "minProperties"}) | {"anyOf", "oneOf", "$ref", "enum"}
_KINDS: Mapping[str, FieldKind] = {
    "string": "text",
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "array": "choices",
}
_SECRET = re.compile(
    r"\b(passwords?|passwd|pwd|passphrase|passcode|secrets?|(?:access|auth|api|bearer|refresh|"
    r"session|security|personal access|id) ?tokens?|token|api ?keys?|apikey|(?:private|access|"
    r"secret|encryption|signing|ssh|recovery|seed) ?(?:keys?|phrases?)|credentials?|"
    r"(?:card|credit card|debit card|account) ?(?:numbers?|no)|credit ?card|cvv2?|cvc2?|"
    r"pin(?: code| number)?|otp|one ?time (?:codes?|passwords?)|(?:2fa|mfa|verification) codes?|"
    r"ssn|social security|iban)\b"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\W]+")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values that a field may have, and what it is called (untrusted text)."""

    value: Json
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What is asked for. Texts are the server's, uncleaned. `default` counts if `has_default`.

    Bounds: of a text's characters (`shortest`, `longest`), of a number (`lowest`, `highest`, and
    `above`, `below` without the bound itself), of how many choices are made (`fewest`, `most`).
    """

    name: str
    kind: FieldKind
    title: str = ""
    description: str = ""
    required: bool = False
    default: Json = None
    has_default: bool = False
    choices: tuple[Choice, ...] = ()
    format: str = ""
    pattern: str = ""
    shortest: int = 0
    longest: int | None = None
    lowest: float | None = None
    highest: float | None = None
    above: float | None = None
    below: float | None = None
    step: float | None = None
    fewest: int = 0
    most: int | None = None
    secret: bool = False

    @property
    def label(self) -> str:
        """What the field is called: clean, one line, short."""
        return clean_line(self.title, 60) or clean_line(self.name, 60) or "(no name)"


class _BeyondError(Exception):
    """Why a schema cannot be asked for."""


def fields_of(schema: JsonObject | None) -> tuple[Field, ...] | str:
    """Return the fields of a requested schema in their order, or why they cannot be asked for:
    one clean sentence."""
    try:
        return _fields(schema)
    except _BeyondError as error:
        return str(error)


def _fields(schema: Any) -> tuple[Field, ...]:
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        raise _BeyondError("the form's schema is no object")
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise _BeyondError("the form's properties are no object")
    for keyword in _BEYOND_ROOT & schema.keys():
        raise _BeyondError(f"the form's schema uses {keyword}, which no form can hold to")
    if len(properties) > MOST_FIELDS:
        raise _BeyondError(f"the form has {len(properties)} fields, more than {MOST_FIELDS}")
    required = {name for name in _list(schema.get("required")) if isinstance(name, str)}
    if missing := required - properties.keys():
        name = clean_line(min(missing), 60)
        raise _BeyondError(f'the form requires a field "{name}" that it does not describe')
    return tuple(
        _field(name, definition, schema, required=name in required)
        for name, definition in properties.items()
    )


def _field(name: str, definition: Any, root: JsonObject, *, required: bool) -> Field:
    where = f'field "{clean_line(name, 60)}"'
    plain = _plain(definition, root, where)
    for keyword in _BEYOND & plain.keys():
        raise _BeyondError(f"{where} uses {keyword}, which no form can hold to")
    kind = _kind(plain, where)
    field = Field(
        name=name,
        kind=kind,
        title=_text(plain, "title"),
        description=_text(plain, "description"),
        required=required,
        choices=_choices(plain, kind, where),
    )
    field = _bounded(field, plain)
    field = replace(field, secret=looks_secret(field))
    return _with_default(field, plain)


def _plain(definition: Any, root: JsonObject, where: str) -> JsonObject:
    """The definition with local references followed and "or null" taken away."""
    extra: JsonObject = {}
    for _ in range(_LONGEST_CHAIN):
        if not isinstance(definition, dict):
            raise _BeyondError(f"{where} is described by no object")
        if isinstance(reference := definition.get("$ref"), str):
            extra = {k: v for k, v in definition.items() if k != "$ref"} | extra
            definition = _target(reference, root, where)
        elif (other := _not_null(definition)) is not None:
            extra = {k: v for k, v in definition.items() if k not in {"anyOf", "oneOf"}} | extra
            definition = other
        else:
            kinds = definition.get("type")
            if isinstance(kinds, list) and len(kinds) == 2 and "null" in kinds:
                definition = definition | {"type": next(k for k in kinds if k != "null")}
            return {**definition, **extra}
    raise _BeyondError(f"{where} refers to others without end")


def _target(reference: str, root: JsonObject, where: str) -> Any:
    for folder in ("$defs", "definitions"):
        start = f"#/{folder}/"
        known = root.get(folder)
        if reference.startswith(start) and isinstance(known, dict):
            found = known.get(reference.removeprefix(start))
            if found is not None:
                return found
    raise _BeyondError(f"{where} refers to {clean_line(reference, 60)}, which is not in the form")


def _not_null(definition: JsonObject) -> Any:
    """The one alternative beside null, if that is what a definition says."""
    for keyword in ("anyOf", "oneOf"):
        options = _list(definition.get(keyword))
        if len(options) == 2:
            rest = [option for option in options if option != {"type": "null"}]
            if len(rest) == 1:
                return rest[0]
    return None


def _kind(plain: JsonObject, where: str) -> FieldKind:
    stated = plain.get("type")
    chosen = any(key in plain for key in ("enum", "oneOf", "anyOf", "const"))
    if stated == "array":
        return "choices"
    if chosen and (stated is None or stated in _KINDS):
        return "choice"
    kind = _KINDS.get(stated) if isinstance(stated, str) else None
    if kind is None:
        what = clean_line(str(stated), 40) if stated is not None else "of no type"
        raise _BeyondError(
            f"{where} is {what}; a form holds text, numbers, yes or no, and choices alone"
        )
    return kind


def _choices(plain: JsonObject, kind: FieldKind, where: str) -> tuple[Choice, ...]:
    if kind not in {"choice", "choices"}:
        return ()
    source = plain.get("items") if kind == "choices" else plain
    if not isinstance(source, dict):
        raise _BeyondError(f"{where} is a list of anything; a form can only offer choices")
    choices = _listed(source)
    if not choices:
        raise _BeyondError(f"{where} offers no choices that a form could show")
    if len(choices) > MOST_CHOICES:
        raise _BeyondError(f"{where} offers {len(choices)} choices, more than {MOST_CHOICES}")
    return choices


def _listed(source: JsonObject) -> tuple[Choice, ...]:
    """The choices of `enum` (with the older `enumNames`), of `oneOf` or `anyOf`, or `const`."""
    values = _list(source.get("enum"))
    if values:
        names = _list(source.get("enumNames"))
        titles = names if len(names) == len(values) else [None] * len(values)
        pairs = zip(values, titles, strict=True)
        return tuple(_choice(value, title) for value, title in pairs if _is_scalar(value))
    for keyword in ("oneOf", "anyOf"):
        options = _list(source.get(keyword))
        if options:
            if not all(isinstance(o, dict) and _is_scalar(o.get("const")) for o in options):
                return ()
            return tuple(_choice(option["const"], option.get("title")) for option in options)
    return (_choice(source["const"], None),) if _is_scalar(source.get("const")) else ()


def _choice(value: Json, title: Any) -> Choice:
    return Choice(value, title if isinstance(title, str) and title.strip() else _said(value))


def _said(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _bounded(field: Field, plain: JsonObject) -> Field:
    match field.kind:
        case "text":
            stated = plain.get("format")
            return replace(
                field,
                format=stated if isinstance(stated, str) and stated in _FORMATS else "",
                pattern=_text(plain, "pattern"),
                shortest=_count(plain, "minLength") or 0,
                longest=_count(plain, "maxLength"),
            )
        case "number" | "integer":
            return replace(
                field,
                lowest=_number(plain, "minimum"),
                highest=_number(plain, "maximum"),
                above=_number(plain, "exclusiveMinimum"),
                below=_number(plain, "exclusiveMaximum"),
                step=_number(plain, "multipleOf") or None,
            )
        case "choices":
            return replace(
                field, fewest=_count(plain, "minItems") or 0, most=_count(plain, "maxItems")
            )
        case _:
            return field


def _with_default(field: Field, plain: JsonObject) -> Field:
    if plain.get("default") is None or field.secret:
        return field
    with_default = replace(field, default=plain["default"], has_default=True)
    return with_default if _sound_default(with_default) else field


def _sound_default(field: Field) -> bool:
    """Whether the default has the field's type; its bounds are for whoever reads values."""
    value = field.default
    match field.kind:
        case "text":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "choice":
            return _is_scalar(value) and _among(field, value)
        case "choices":
            return isinstance(value, list) and all(
                _is_scalar(v) and _among(field, v) for v in value
            )


def _among(field: Field, value: Json) -> bool:
    return any(type(c.value) is type(value) and c.value == value for c in field.choices)


def looks_secret(field: Field) -> bool:
    """Whether a text is asked for that looks like a secret (in English, by its names)."""
    if field.kind not in {"text", "number", "integer"}:
        return False
    words = (_CAMEL.sub(" ", part).lower() for part in (field.name, field.title))
    said = field.description[:2000].lower().replace("-", " ")
    return any(_SECRET.search(text) for text in (*words, said))


def _text(plain: JsonObject, key: str) -> str:
    value = plain.get(key)
    return value if isinstance(value, str) else ""


def _number(plain: JsonObject, key: str) -> float | None:
    value = plain.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(plain: JsonObject, key: str) -> int | None:
    value = _number(plain, key)
    return int(value) if value is not None and 0 <= value < 1 << 53 else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)
