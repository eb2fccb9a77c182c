"""Lines that answer questions, typed with prompt-toolkit.

Theory of operation: one `PromptSession` without history, for the answers to approval questions,
the fields of forms and edits of arguments. Ctrl-C interrupts the step that asks. Signals are the
caller's.
"""

import asyncio
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import Output, create_output

from agent_host.surfaces.ask_keys import ESC
from agent_host.surfaces.long_pastes import take_long_pastes
from agent_host.surfaces.prompt_keys import bindings
from agent_host.surfaces.steady import SteadyOutput, TerminalWriter, size_of


def _discard_typed_ahead(session: PromptSession[str]) -> None:
    clear_typeahead(session.app.input)
    try:
        termios.tcflush(session.app.input.fileno(), termios.TCIFLUSH)
    except (OSError, ValueError, termios.error):
        return  # no terminal: nothing was typed


def _output(screen: TextIO | None, writer: TerminalWriter | None) -> Output | None:
    """What to draw on; None is the standard output, and waits for it."""
    if writer is not None:
        return SteadyOutput(writer, sys.stdout, size_of(sys.stdout))
    return None if screen is None else create_output(stdout=screen)


class PromptLines:
    """LineReader and FieldReader of the chat. `interrupt` is what Ctrl-C does; it has `grace`
    seconds to withdraw the question that it came in. `screen`: where to write, and keys then come
    from the controlling terminal; else both are the standard streams. `writer`: who writes to
    standard output, without waiting for it."""

    def __init__(
        self,
        *,
        interrupt: Callable[[], object],
        grace: float = 5.0,
        screen: TextIO | None = None,
        writer: TerminalWriter | None = None,
    ) -> None:
        self._interrupt = interrupt
        self._grace = grace
        self._asking = bindings()
        self._editing = bindings(clear=False)
        self._typing = KeyBindings()
        # A backslash is a backslash in a form; Ctrl-C and Esc give the form up.
        self._typing.add("escape")(lambda event: event.app.is_done or event.app.exit(result=ESC))
        self._session: PromptSession[str] = PromptSession(
            history=InMemoryHistory(),
            include_default_pygments_style=False,
            enable_history_search=False,
            input=None if screen is None else create_input(Path("/dev/tty").open()),  # noqa: SIM115 - for the life of the process
            output=_output(screen, writer),
        )

        take_long_pastes(self._session.app.input)

    def fileno(self) -> int:
        """Return the file descriptor that keys are read from."""
        return self._session.app.input.fileno()

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
