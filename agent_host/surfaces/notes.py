"""What happens, in short lines on stderr, without the answer: beside the JSON modes of `run`."""

from agent_host.core.events import Ephemeral, Record, ServerLog
from agent_host.surfaces.cards import Narrator
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.plain import write_card


class Notes:
    """EventSink. `out` is stderr."""

    def __init__(self, out: Outlet) -> None:
        self._out = out
        self._narrator = Narrator()

    def emit(self, item: Record | Ephemeral) -> None:
        """Write what is worth saying about an item."""
        if isinstance(item, Record):
            cards = self._narrator.tell(item)
        elif isinstance(item, ServerLog):
            cards = self._narrator.tell_log(item)
        else:
            return
        for card in cards:
            write_card(self._out, card)
