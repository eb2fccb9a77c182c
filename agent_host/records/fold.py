"""The conversation that a transcript makes, record by record while the file is read.

Theory of operation: taking a run over reads its file once: what `Transcript.open` checks goes
through `take`, so that no record is parsed twice, and none is held that the conversation does not
hold.
"""

from pathlib import Path

from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import RecordError, UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.records.decode import typed


class Fold:
    """`state` is the conversation of the records so far."""

    def __init__(self, path: Path) -> None:
        self.state = Conversation()
        self._name = str(path)

    def take(self, data: JsonObject, number: int) -> None:
        """Go on with the envelope of a record, and the number of its line (from 1). RecordError,
        naming both, if it is damaged or not legal here."""
        record = typed(data, self._name, number)
        try:
            self.state = apply(self.state, record.event)
        except UsageError as error:
            raise RecordError(
                f"{clean_line(self._name, 500)}:{number}: no legal conversation: "
                f"{clean_line(str(error))}; the run can be shown, but not resumed"
            ) from None
