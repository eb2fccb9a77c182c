"""The known word that a wrong one is most like."""

import difflib
from collections.abc import Sequence

_LISTED = 16


def nearest(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean "x"?` for the known word most like `word`, else what is known."""
    close = difflib.get_close_matches(word.lower(), [k.lower() for k in known], n=1, cutoff=0.55)
    for candidate in known:
        if close and candidate.lower() == close[0]:
            return f'; did you mean "{candidate}"?'
    listed = ", ".join(known[:_LISTED]) + (", ..." if len(known) > _LISTED else "")
    return f"; known: {listed}" if known else ""
