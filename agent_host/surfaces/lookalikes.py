r"""Letters of one alphabet that stand in a word of another and look the same (UTS #39).

Theory of operation: `visible` writes such a letter as its escape, as `clean` does with what cannot
be seen: `p\u{430}ypal` is not `paypal`. Only words that mix Latin with another alphabet are
touched, so that text in any language reads as it is; and wide or mathematical letters beside plain
ones. Which letters look alike is known by the package confusable-homoglyphs, whose tables are
loaded once there is such a word.
"""

import re
from functools import cache
from importlib import import_module
from typing import Any

_WORD = re.compile(r"\w+")
_LATIN = re.compile(r"[A-Za-z]")
_STYLED = re.compile("[\uff01-\uff5e\U0001d400-\U0001d7ff]")
"""Letters and digits of other widths and faces."""
_TOGETHER = frozenset({"HAN", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})
"""Scripts that are written together with Latin in one word."""


def visible(text: str) -> str:
    """Return clean text with the letters escaped that only look like others in their word."""
    return text if text.isascii() else _WORD.sub(_word, text)


def _word(match: re.Match[str]) -> str:
    word = match[0]
    if word.isascii() or not _LATIN.search(word):
        return word
    return "".join(f"\\u{{{ord(c):x}}}" if not c.isascii() and _fakes(c) else c for c in word)


@cache
def _fakes(character: str) -> bool:
    if _STYLED.match(character):
        return True
    confusables: Any = import_module("confusable_homoglyphs.confusables")
    categories: Any = import_module("confusable_homoglyphs.categories")
    if categories.alias(character) in _TOGETHER | {"LATIN", "COMMON", "INHERITED"}:
        return False
    return bool(confusables.is_confusable(character, preferred_aliases=["latin"]))
