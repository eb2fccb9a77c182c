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
    """Return the labels of a context after more data came; `seen` itself if nothing is new."""
    sources = dict.fromkeys(seen)
    known = {one.label for one in seen}
    for one in new:
        if len(sources) < MAX_LABELS or one.label not in known:
            sources.setdefault(one)
            known.add(one.label)
    return tuple(sources) if len(sources) > len(seen) else seen
