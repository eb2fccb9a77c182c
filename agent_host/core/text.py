r"""The only way any text of a server or a model reaches a terminal, a log or an error.

Theory of operation: `clean` makes every character that can move a cursor, set a title, reorder,
hide or fake text visible as `\u{..}`. One compiled expression, linear in the text (a check of
every character's category was measured 40 times slower). `clip` bounds a text without cutting
silently. Sources: Unicode UAX #9 (bidi), UTS #39 (default ignorables), ECMA-48 (control functions).
"""

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_NEWLINES = re.compile(r"\r\n?")
_BREAKS = re.compile(r"[\n\t]")


def _visible(match: re.Match[str]) -> str:
    return f"\\u{{{ord(match[0]):x}}}"


def clean(text: str) -> str:
    """Return `text` with every unsafe character replaced by its visible escape.

    Newline and tab stay; CR and CRLF become a newline. Idempotent.
    """
    if "\r" in text:
        text = _NEWLINES.sub("\n", text)
    return _UNSAFE.sub(_visible, text)


def clean_line(text: str, limit: int = 300) -> str:
    """Return `text` cleaned, on one line, of at most `limit` characters (visibly cut)."""
    return clip(clean(_BREAKS.sub(" ", text[: 4 * limit].replace("\r", " "))).strip(), limit)


def clip(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`; a cut is shown by an ellipsis."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"
