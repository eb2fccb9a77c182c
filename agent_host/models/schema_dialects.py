"""What each provider's dialect of JSON Schema takes: data only.

Theory of operation: a provider answers 400 to the whole request for one keyword in one tool that it
does not know, so each dialect is a closed list of what may be sent; everything else is put into
words. Two dialects take JSON Schema nearly whole (`whole`); the others get a narrow form: every
schema has exactly one type or is a plain union, references are put in their place, `allOf` is
merged. The lists are the strictest of what documentation, error messages and reports of users say:
docs/decisions/0019-schemas-per-dialect.md names the sources and the doubts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agent_host.models.schema_reading import (
    COUNTS,
    FLAGS,
    LISTS,
    MAPS,
    NUMBERS,
    SINGLES,
    STRINGS,
)

Dialect = Literal["openai", "openai-strict", "anthropic", "anthropic-strict", "gemini", "plain"]
"""`openai`: Chat Completions and Responses, not strict. `openai-strict`: their structured output
and strict tools. `anthropic`: Messages tools. `anthropic-strict`: their structured output and
strict tools. `gemini`: Gemini's OpenAI-compatible endpoint. `plain`: what every server takes that
calls itself compatible (llama.cpp, Ollama, vLLM, Mistral ...)."""

_SAFE_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ANY_KEY = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of one dialect.

    `keeps`: keywords that hold no subschema and may be sent. `formats`: None means any.
    `strict`: objects are closed, so what has free keys is written as JSON text.
    `optional`: `leave` them out of `required`, or require all and say `null` for left out.
    `enums`: which values an enumeration may hold. `maps`: an object may say that it is open.
    `null_as`: how a nullable value is said. `union_alone`: nothing may stand beside `anyOf`.
    `max_depth`: levels of objects and arrays, the root being the first.
    """

    key: re.Pattern[str] = _SAFE_KEY
    name: re.Pattern[str] = _NAME
    whole: bool = False
    strict: bool = False
    keeps: frozenset[str] = frozenset()
    formats: frozenset[str] | None = frozenset()
    simple_patterns: bool = False
    optional: Literal["leave", "null"] = "leave"
    enums: Literal["any", "scalars", "strings"] = "scalars"
    maps: bool = False
    null_as: Literal["type", "nullable"] = "type"
    union_alone: bool = False
    max_depth: int = 16
    max_min_items: int | None = None
    max_properties: int | None = None
    max_enum_values: int | None = None
    max_strings: int | None = None
    max_optional: int | None = None
    max_unions: int | None = None


_WHOLE = frozenset(
    {
        *(*STRINGS, *FLAGS, *NUMBERS, *COUNTS, *MAPS, *LISTS, *SINGLES),
        *("type", "$ref", "enum", "const", "default", "examples"),
        *("required", "dependentRequired"),
    }
)
_OPENAI_FORMATS = frozenset(
    {
        *("date-time", "time", "date", "duration", "email"),
        *("hostname", "ipv4", "ipv6", "uuid"),
    }
)

RULES: Mapping[Dialect, Rules] = {
    "openai": Rules(key=_ANY_KEY, whole=True, keeps=_WHOLE, formats=None, enums="any"),
    "anthropic": Rules(
        name=re.compile(r"[A-Za-z0-9_-]{1,128}"),
        whole=True,
        keeps=_WHOLE,
        formats=None,
        enums="any",
    ),
    "openai-strict": Rules(
        strict=True,
        keeps=frozenset(
            {*NUMBERS, "minItems", "maxItems", "description", "title", "format", "pattern", "enum"}
        ),
        formats=_OPENAI_FORMATS,
        simple_patterns=True,
        optional="null",
        max_depth=10,
        max_properties=5_000,
        max_enum_values=1_000,
        max_strings=120_000,
    ),
    "anthropic-strict": Rules(
        name=re.compile(r"[A-Za-z0-9_-]{1,128}"),
        strict=True,
        keeps=frozenset({"description", "title", "format", "enum", "minItems"}),
        formats=_OPENAI_FORMATS | {"uri"},
        max_min_items=1,
        max_optional=24,
        max_unions=16,
    ),
    "gemini": Rules(
        name=re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}"),
        keeps=frozenset(
            {"description", "title", "format", "enum", "minimum", "maximum", "minItems", "maxItems"}
        ),
        formats=frozenset({"date-time"}),
        enums="strings",
        null_as="nullable",
        union_alone=True,
    ),
    "plain": Rules(keeps=frozenset({"description", "enum"}), maps=True),
}

_ESCAPE = r"\\[dDwWsS.\-/+*?()\[\]{}|^$\\tnr]"
_ATOM = rf"{_ESCAPE}|\[\^?(?:{_ESCAPE}|[^\\\[\]])+\]|[^\\\[\](){{}}*+?|^$]|\)"
_SIMPLE_PATTERN = re.compile(
    rf"(?:(?:{_ATOM})(?:[*+?]|\{{\d{{1,3}}(?:,\d{{0,3}})?\}})?|\((?:\?:)?|[|^$])*"
)
_OPENS = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|([()])")


def is_simple_pattern(pattern: str) -> bool:
    """Whether a pattern has nothing that a grammar-based decoder refuses: no look-around, no
    back-reference, no word boundary, no large count. Linear in the pattern."""
    if len(pattern) > 300 or not pattern.isascii() or not _SIMPLE_PATTERN.fullmatch(pattern):
        return False
    depth = 0
    for match in _OPENS.finditer(pattern):
        depth += {"(": 1, ")": -1}.get(match[1] or "", 0)
        if depth < 0:
            return False
    return depth == 0
