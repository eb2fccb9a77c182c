"""The chat's input line, with prompt-toolkit.

Theory of operation: one `PromptSession` for messages (history in a file, completion of commands,
several lines). Enter sends; Alt-Enter, or a backslash before Enter, makes a new line; a paste is
one block, whatever line ends it holds. Ctrl-C clears the line, and in an empty one raises
KeyboardInterrupt; Ctrl-D in an empty line is the end of input. Signals are the caller's.
prompt-toolkit costs a quarter of a second of CPU to import: only `chat` loads this file.
"""

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as Completed
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.styles import Style

from agent_host.core.text import clean
from agent_host.state.folders import private_folder
from agent_host.surfaces.completion import Completion
from agent_host.surfaces.outlet import Outlet, held
from agent_host.surfaces.prompt_keys import bindings


class PrivateHistory(FileHistory):
    """A history whose file holds what was typed as `redact` returns it."""

    def __init__(self, path: Path, redact: Callable[[str], str]) -> None:
        super().__init__(str(path))
        self._redact = redact

    def store_string(self, string: str) -> None:
        """Write an entry."""
        super().store_string(self._redact(string))


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
            yield Completed(found.text, -found.replaces, display_meta=found.about)


class ChatInput:
    """Reads the user's messages. `status` is shown under the line; `hold` are the outlets that
    have to wait while the line is open."""

    def __init__(
        self,
        *,
        history: History,
        completer: Completer,
        status: Callable[[], str],
        hold: Sequence[Outlet],
        styled: bool,
    ) -> None:
        self._hold = tuple(hold)
        self._draft = ""
        self._session: PromptSession[str] = PromptSession(
            history=history,
            completer=completer,
            complete_while_typing=True,
            multiline=True,
            key_bindings=bindings(),
            prompt_continuation=". ",
            bottom_toolbar=status,
            style=Style.from_dict({"bottom-toolbar": "noreverse"} if not styled else {}),
            include_default_pygments_style=False,
        )

    def refresh(self) -> None:
        """Show the status as it is now."""
        self._session.app.invalidate()

    def offer(self, text: str) -> None:
        """Put text into the next line, to be edited."""
        self._draft = clean(text)

    async def read(self) -> str | None:
        """Return the next message, or None at the end of input. KeyboardInterrupt: Ctrl-C in an
        empty line."""
        for outlet in self._hold:
            outlet.end_line()
        draft, self._draft = self._draft, ""
        with held(self._hold):
            try:
                return await self._session.prompt_async("> ", default=draft, handle_sigint=False)
            except EOFError:
                return None
