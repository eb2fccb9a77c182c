"""Letters that look Latin and are not, among those that are.

Theory of operation: a name with a Cyrillic letter in it reads like another name to a person and is
another one to a model. Text in another alphabet is nobody's trick, and a Greek letter before a unit
is physics; so only words are looked at that mix Latin letters with others that can be taken for
Latin ones (the confusables of UTS #39, by the package confusable-homoglyphs, which is loaded once
there is such a word), or with fullwidth and mathematical letters.
"""

import re
from functools import cache
from importlib import import_module
from typing import Any

_OTHER = "\u0370-\u03ff\u0400-\u052f\u0530-\u058f\u13a0-\u13ff\ua4d0-\ua4ff"
_STYLED = "\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d7ff"
_MIXED = re.compile(
    rf"[A-Za-z0-9_.-]*(?:[A-Za-z][{_OTHER}{_STYLED}]|[{_OTHER}{_STYLED}][A-Za-z])"
    rf"[A-Za-z0-9_.{_OTHER}{_STYLED}-]*"
)
_STYLED_ONE = re.compile(f"[{_STYLED}]")
_LEAST = 3
"""Letters of a word that can be taken for another; `Δt` and `μm` are no tricks."""
_LOOKED_AT = 200
"""Such words that are looked at; a text with more is in an alphabet of its own."""


def foreign_words(text: str) -> list[str]:
    """Return the words of a text that mix in letters which can be taken for Latin ones."""
    if text.isascii():
        return []
    words = [match[0] for match, _ in zip(_MIXED.finditer(text), range(_LOOKED_AT), strict=False)]
    return [word for word in words if len(word) >= _LEAST and _dangerous(word)]


def told_apart(text: str) -> str:
    """Return a text with such letters as their codes."""
    if text.isascii():
        return text
    return _MIXED.sub(lambda word: _coded(word[0]) if _dangerous(word[0]) else word[0], text)


def _coded(word: str) -> str:
    return "".join(c if c.isascii() else f"\\u{{{ord(c):x}}}" for c in word)


@cache
def _confusables() -> Any:
    return import_module("confusable_homoglyphs.confusables")


def _dangerous(word: str) -> bool:
    if _STYLED_ONE.search(word):
        return True
    others = [c for c in word[:_LOOKED_AT] if not c.isascii()]
    found = (_confusables().is_confusable(c, greedy=False) for c in dict.fromkeys(others))
    return any(_is_latin(one) for one in found)


def _is_latin(found: Any) -> bool:
    """Whether what is confusable with a letter is a Latin one."""
    held = found[0]["homoglyphs"] if found else []
    return any(len(one["c"]) == 1 and one["c"].isascii() and one["c"].isalpha() for one in held)
