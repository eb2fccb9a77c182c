"""What a person looks for, as the full-text index understands it.

Theory of operation: words, all of which a run must hold; "several words" in quotation marks, which
must follow each other; `word*`, which finds all that begin so; `-word`, which the run must not
hold. Everything else is text, `--word` as well: each term goes to the index as one quoted phrase
(SQLite, FTS5, section 3.1), so nothing that is typed is ever a mistake in a query language, and
`foo_bar()`, a path or an address finds the words of it where they follow each other. Case and
accents do not count.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent_host.core.errors import UsageError
from agent_host.records.said import has_words, searchable

MOST_TERMS = 30

_TERM = re.compile(r'((?:-(?!-))?)(?:"([^"]*)"?|([^\s"]+))(\*?)')


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedFor:
    """Phrases of the index: a run has all of `wanted` and none of `unwanted`."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...] = ()

    @property
    def together(self) -> str:
        """A query for all that is wanted in one place."""
        return " AND ".join(self.wanted)

    @property
    def either(self) -> str:
        """A query for any of what is wanted."""
        return " OR ".join(self.wanted)


def looked_for(words: Sequence[str]) -> LookedFor:
    """Return what these arguments look for; an argument with a space in it (it was quoted in the
    shell) is a phrase only if it says so with quotation marks. UsageError if nothing is left to
    look for, or it is too much."""
    wanted: list[str] = []
    unwanted: list[str] = []
    for minus, quoted, bare, star in _TERM.findall(" ".join(words)):
        text = quoted or bare
        prefix = star or ("*" if bare.endswith("*") else "")
        phrase = _phrase(text, prefix=bool(prefix))
        if phrase:
            (unwanted if minus else wanted).append(phrase)
    if not wanted:
        raise UsageError(
            "write at least one word to look for (letters, digits or an emoji), as: transcripts "
            'search "late" refund'
        )
    if len(wanted) + len(unwanted) > MOST_TERMS:
        raise UsageError(f"at most {MOST_TERMS} words can be looked for at once")
    return LookedFor(wanted=tuple(dict.fromkeys(wanted)), unwanted=tuple(dict.fromkeys(unwanted)))


def _phrase(text: str, *, prefix: bool) -> str:
    text = searchable(text[:500]).replace('"', " ")
    if not has_words(text):
        return ""
    return f'"{text}"{" *" if prefix else ""}'
