"""Words to search servers by, and what of a server's own praise is not one.

Theory of operation: a name says what a server is for, its description is an advertisement. So words
that only praise or push ("best", "always use this one") are dropped before a text is indexed, and a
word that nearly every entry has ("mcp", "server") does not have to be found. A query is a few
words, each matched as the start of a word; nothing that a person types is syntax.
"""

import re

_WORD = re.compile(r"[^\W_]+")
_CASES = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PRAISES = (
    "advanced always amazing awesome beautiful best better blazing brilliant cutting "
    "easiest edge elegant excellent exclusively fastest finest first flagship fully "
    "great greatest highest highly ignore incredible instead leading longest lowest "
    "me most must never number official only other others outstanding perfect popular "
    "powerful prefer preferred premier premium recommended revolutionary simplest "
    "smartest state superb superior this top trusted ultimate unbeatable unmatched "
    "unrivaled use world 1 one ones "
)
_PRAISE = frozenset(_PRAISES.split())
_COMMON = frozenset(
    {"mcp", "server", "servers", "a", "an", "the", "for", "to", "of", "and", "with"}
)
MOST_WORDS = 12


def words(text: str) -> list[str]:
    """Return the words of `text`, in lower case; `camelCase` is two."""
    return [word.lower() for word in _WORD.findall(_CASES.sub(" ", text))]


def indexed(text: str) -> str:
    """Return what of a title or a description is indexed: its words without praise and without
    those that are everywhere, each once."""
    kept = (word for word in words(text) if word not in _PRAISE and word not in _COMMON)
    return " ".join(dict.fromkeys(kept))


def owner(namespace: str) -> list[str]:
    """Return the words that say whose a namespace is: `io.github.` and `com.` say nothing. The
    registry has checked that the publisher owns it, so nobody else can have them."""
    plain = namespace.lower()
    for forge in ("io.github.", "io.gitlab."):
        if plain.startswith(forge):
            return words(namespace[len(forge) :])
    return words(namespace.partition(".")[2])


def asked(text: str) -> tuple[str, ...]:
    """Return the words of a query; those that are everywhere only if there are no others."""
    found = tuple(dict.fromkeys(words(text)))[:MOST_WORDS]
    rare = tuple(word for word in found if word not in _COMMON and word not in _PRAISE)
    return rare or found
