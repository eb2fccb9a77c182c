"""The labels of the data in a conversation's context, and where each came from.

Theory of operation: a label stays for the rest of the run, also when what brought it is shortened
away: what the model has read it may repeat. Bounded, but a label that is not known yet is always
taken: what is forgotten is only that a known one came from one more place.
"""

from collections.abc import Iterable

from agent_host.core.types import LabelSeen

MAX_LABELS = 200
"""Sources of labels that a conversation remembers; each label keeps its first."""


def with_labels(seen: tuple[LabelSeen, ...], new: Iterable[LabelSeen]) -> tuple[LabelSeen, ...]:
    """Return the labels of a context after more data came."""
    fresh = [one for one in dict.fromkeys(new) if one not in seen]
    known = {one.label for one in seen}
    room = MAX_LABELS - len(seen)
    kept = [one for place, one in enumerate(fresh) if place < room or one.label not in known]
    return (*seen, *kept) if kept else seen
