"""Characters that a person does not see and a model reads.

Theory of operation: tag characters, runs of variation selectors, zero-width and bidi characters can
carry whole sentences that no screen shows. `visible` takes them out of what a server says of its
tools before a model is shown it; what writing needs stays: a variation selector after its symbol,
joiners between letters or symbols that are not ASCII, the tags of a flag. `without_smuggled` is for
data, where a lone zero-width character may matter: it takes out only runs that can carry a text,
and says so. Both are linear. Sources: Unicode UTS #39 (default ignorables), UTS #51 (emoji).
"""

import re
from dataclasses import replace

from agent_host.core.types import Json, JsonObject, Tool

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_SMUGGLED = re.compile("[\U000e0000-\U000e0fff]+|[\ufe00-\ufe0f]{2,}")
_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_FLAG = re.compile("[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
_TOLD = ("description", "title", "$comment", "examples", "default")
"""Keys of a schema whose texts are only told; a model has to repeat all others exactly."""


def visible(text: str) -> str:
    """Return `text` without what is not seen; line breaks of any kind become newlines."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(_kept, _BREAKS.sub("\n", text))


def hides(text: str) -> bool:
    """Whether a text has what is not seen; line breaks of any kind hide nothing."""
    return visible(text) != _BREAKS.sub("\n", text)


def without_smuggled(text: str) -> str:
    """Return `text` with each run of characters that can hide a text replaced by a note."""
    if text.isascii():
        return text
    return _SMUGGLED.sub(_noted, text)


def shown_tool(tool: Tool) -> Tool:
    """Return the tool as a model may be shown it: the same object if nothing in it is hidden."""
    description = visible(tool.description)
    schema = tool.input_schema
    if not _is_plain(schema):
        schema = _shown(schema)
    if description == tool.description and schema == tool.input_schema:
        return tool
    return replace(tool, description=description, input_schema=schema)


def hidden_name(schema: Json) -> str | None:
    """Return a text of the schema with hidden characters that a model would have to repeat
    exactly (a name, a constant, a pattern), or None."""
    if _is_plain(schema):
        return None
    stack: list[Json] = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            if visible(value) != value:
                return value
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            for key, inner in value.items():
                stack.append(key)
                if not (key in _TOLD and isinstance(inner, str | list)):
                    stack.append(inner)
    return None


def _kept(match: re.Match[str]) -> str:
    run, text = match[0], match.string
    before = text[match.start() - 1] if match.start() else "a"
    after = text[match.end()] if match.end() < len(text) else "a"
    if run in ("\ufe0f", "\ufe0e"):
        return run if before > "\x7f" or after == "\u20e3" else ""
    if run in ("\u200d", "\u200c", "\ufe0f\u200d"):
        return run if before > "\x7f" and after > "\x7f" else ""
    return run if before == "\U0001f3f4" and _FLAG.fullmatch(run) else ""


def _noted(match: re.Match[str]) -> str:
    kept = _kept(match)
    return kept or f"[{len(match[0])} invisible characters are left out]"


def _is_plain(schema: Json) -> bool:
    # The repr of a str shows what is not printable as an escape; real backslashes are doubled.
    text = repr(schema)
    return text.isascii() and not any(escape in text for escape in ("\\x", "\\u", "\\U", "\\r"))


def _shown(schema: JsonObject) -> JsonObject:
    shown: JsonObject = _shown_value(schema, told=False)
    return shown


def _shown_value(value: Json, *, told: bool) -> Json:
    if isinstance(value, str):
        return visible(value) if told else value
    if isinstance(value, list):
        return [_shown_value(item, told=told) for item in value]
    if isinstance(value, dict):
        return {
            key: _shown_value(item, told=told or (key in _TOLD and isinstance(item, str | list)))
            for key, item in value.items()
        }
    return value
