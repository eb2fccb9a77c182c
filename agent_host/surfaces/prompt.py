"""What the chat's line remembers and completes, as prompt-toolkit takes it.

Theory of operation: the history is a file that only its owner can read, written without the secrets
that are known; completions come from `completion`, through the event loop.
"""

import os
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as Completed
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from agent_host.state.folders import private_folder
from agent_host.surfaces.completion import Completion


class PrivateHistory(FileHistory):
    """A history whose file holds what was typed as `redact` returns it."""

    def __init__(self, path: Path, redact: Callable[[str], str]) -> None:
        super().__init__(str(path))
        self._redact = redact

    def store_string(self, string: str) -> None:
        """Write an entry. Where that cannot be (a full disk, a folder that is gone), it is
        remembered for as long as the chat stands."""
        text = self._redact(string).encode("utf-8", "replace").decode()
        with suppress(OSError):
            super().store_string(text)


def history_at(path: Path, redact: Callable[[str], str] = lambda text: text) -> History:
    """Return the history kept in `path`, which only its owner can read; a history that is
    forgotten at the end where no file can be written. `redact` returns a text without secrets."""
    try:
        private_folder(path.parent)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
    except OSError:
        return InMemoryHistory()
    return PrivateHistory(path, redact)


class LineCompleter(Completer):
    """Completes what `Completion` knows. Nothing is asked of a server but for the Tab key."""

    def __init__(self, completion: Completion) -> None:
        self._completion = completion

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completed]:
        """Nothing: servers are asked, and that takes the event loop."""
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completed, None]:
        """Yield what may stand at the cursor."""
        tab = complete_event.completion_requested
        for found in await self._completion.candidates(document.text_before_cursor, tab=tab):
            shown = found.text.rstrip()
            yield Completed(found.text, -found.replaces, display=shown, display_meta=found.about)
