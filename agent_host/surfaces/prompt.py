"""The chat's input line, with prompt-toolkit.

Theory of operation: one `PromptSession` for messages (history in a file, completion of commands,
several lines) and one without history for the answers to approval questions and edits of
arguments. Enter sends; Alt-Enter, or a backslash before Enter, makes a new line; a paste is one
block, whatever line ends it holds. Ctrl-C clears the line, and in an empty one raises
KeyboardInterrupt; Ctrl-D in an empty line is the end of input. Signals are the caller's.
prompt-toolkit costs a quarter of a second of CPU to import: only `chat` loads this file.
"""

import asyncio
import os
import termios
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as Completed
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output
from prompt_toolkit.styles import Style

from agent_host.state.folders import private_folder
from agent_host.surfaces.completion import Completion
from agent_host.surfaces.outlet import Outlet, held


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


def _bindings(*, clear: bool = True) -> KeyBindings:
    """The keys. `clear`: Ctrl-C in a line that holds something only clears it."""
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def _clear(event: KeyPressEvent) -> None:
        if event.current_buffer.text and clear:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys


def _discard_typed_ahead(session: PromptSession[str]) -> None:
    clear_typeahead(session.app.input)
    try:
        termios.tcflush(session.app.input.fileno(), termios.TCIFLUSH)
    except (OSError, ValueError, termios.error):
        return  # no terminal: nothing was typed


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
        self._session: PromptSession[str] = PromptSession(
            history=history,
            completer=completer,
            complete_while_typing=True,
            multiline=True,
            key_bindings=_bindings(),
            prompt_continuation=". ",
            bottom_toolbar=status,
            style=Style.from_dict({"bottom-toolbar": "noreverse"} if not styled else {}),
            include_default_pygments_style=False,
        )

    def refresh(self) -> None:
        """Show the status as it is now."""
        self._session.app.invalidate()

    async def read(self) -> str | None:
        """Return the next message, or None at the end of input. KeyboardInterrupt: Ctrl-C in an
        empty line."""
        for outlet in self._hold:
            outlet.end_line()
        with held(self._hold):
            try:
                return await self._session.prompt_async("> ", handle_sigint=False)
            except EOFError:
                return None


class PromptLines:
    """LineReader and FieldReader of the chat. `interrupt` is what Ctrl-C does; it has `grace`
    seconds to withdraw the question that it came in. `screen`: where to write, and keys then come
    from the controlling terminal; else both are the standard streams."""

    def __init__(
        self, *, interrupt: Callable[[], object], grace: float = 5.0, screen: TextIO | None = None
    ) -> None:
        self._interrupt = interrupt
        self._grace = grace
        self._asking = _bindings()
        self._editing = _bindings(clear=False)
        self._typing = KeyBindings()
        # A backslash is a backslash in a form, and Ctrl-C gives the form up.
        self._session: PromptSession[str] = PromptSession(
            history=InMemoryHistory(),
            include_default_pygments_style=False,
            enable_history_search=False,
            input=None if screen is None else create_input(Path("/dev/tty").open()),  # noqa: SIM115 - for the life of the process
            output=None if screen is None else create_output(stdout=screen),
        )

    def discard_typed_ahead(self) -> None:
        """Forget what was typed so far, by the terminal's queue and by prompt-toolkit's."""
        _discard_typed_ahead(self._session)

    async def ask(self, prompt: str) -> str | None:
        """Return one line, or None at the end of input; Ctrl-C interrupts the step."""
        return await self._line(prompt, "", self._asking, hidden=False)

    async def type_in(self, prompt: str, *, text: str = "", hidden: bool = False) -> str | None:
        """As `ask`, with `text` there already. `hidden`: what is typed is not shown."""
        return await self._line(prompt, text, self._typing, hidden=hidden)

    async def _line(self, prompt: str, text: str, keys: KeyBindings, *, hidden: bool) -> str | None:
        try:
            return await self._session.prompt_async(
                prompt,
                default=text,
                key_bindings=keys,
                is_password=hidden,
                handle_sigint=False,
                multiline=False,
            )
        except EOFError:
            return None
        except KeyboardInterrupt:
            self._interrupt()
            # The interruption cancels this task; without one there is no answer, which means no.
            await asyncio.sleep(self._grace)
            return None

    async def edit(self, text: str) -> str | None:
        """Let the user change `text`; None: they left it by Ctrl-C, or left nothing."""
        try:
            edited = await self._session.prompt_async(
                "edit (Enter ends, Alt-Enter: new line, Ctrl-C: leave it as it was)\n",
                default=text,
                key_bindings=self._editing,
                is_password=False,
                handle_sigint=False,
                multiline=True,
            )
        except (EOFError, KeyboardInterrupt):
            return None
        return edited if edited.strip() else None
