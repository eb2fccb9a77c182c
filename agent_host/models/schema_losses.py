"""What a tool's schema lost on its way to a provider, for people.

Theory of operation: the same thing is often lost in many places of one schema, so places are
gathered under what happened to them; a report is a handful of sentences, however large the schema
is. Everything in it comes from a server and is cleaned here.
"""

from collections.abc import Iterable

from agent_host.core.text import clean_line

MAX_SENTENCES = 20
MAX_PLACES = 4
"""JSON pointers that one sentence names."""
_MAX_KEPT = 200


class Losses:
    """Collects what was lost, by what happened."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, None]] = {}

    def add(self, what: str, at: str) -> None:
        """Note that `what` (a phrase) happened at the JSON pointer `at` of the server's schema."""
        places = self._places.setdefault(what, {})
        if len(places) < _MAX_KEPT:
            places[at] = None

    def sentences(self) -> tuple[str, ...]:
        """Return one sentence for each thing that was lost, at most `MAX_SENTENCES`."""
        said = [f"{what}: {_listed(places)}" for what, places in self._places.items()]
        if len(said) > MAX_SENTENCES:
            rest = len(said) - MAX_SENTENCES + 1
            said = [*said[: MAX_SENTENCES - 1], f"and {rest} more kinds of loss"]
        return tuple(clean_line(sentence) for sentence in said)


def _listed(places: Iterable[str]) -> str:
    known = list(places)
    shown = [clean_line(at, 60) or "the root" for at in known[:MAX_PLACES]]
    more = len(known) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
