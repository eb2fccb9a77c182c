"""Where a chat's messages and answers are typed, and what stands on its screen meanwhile.

Theory of operation: where the terminal can be drawn on, one screen stands for the whole chat
(`surfaces.screen`), and questions make it step aside. Where nothing may move (TERM=dumb, or a
person who says so for a screen reader) there are lines, one after the other. The screen libraries
are loaded when the chat runs, not before.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from agent_host.config.paths import user_data_folder
from agent_host.core.errors import UsageError
from agent_host.host import HostSession
from agent_host.surfaces.approve_mode import ApproveMode
from agent_host.surfaces.chat_commands import COMMANDS
from agent_host.surfaces.chat_host import Input
from agent_host.surfaces.commands_words import command_words
from agent_host.surfaces.completion import Completion, Offers
from agent_host.surfaces.file_words import FileWords
from agent_host.surfaces.form import FieldReader
from agent_host.surfaces.lines import LineMessages, TerminalLines, open_terminal
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.preferences import TerminalPreferences
from agent_host.surfaces.status import StatusState, state_of, status_line
from agent_host.surfaces.turns import Turns

_HISTORY_FILE = "chat-history"
_UNWELL = frozenset({"failed", "needs_login"})


@runtime_checkable
class _Standing(Protocol):
    """Messages from a screen that stands for the whole chat."""

    def shown(self, talk: Any) -> AbstractAsyncContextManager[None]:
        """While inside, the screen stands, for this chat."""


def stands(screen: Outlet, wishes: TerminalPreferences) -> bool:
    """Whether a screen stands at this terminal while the chat goes on."""
    return screen.movable and wishes.spinner


class Keyboard:
    """Where the user of one chat types. `interrupt` is what Ctrl-C in a question does; `live` is
    what is under way. Raises UsageError for a terminal that cannot be read."""

    def __init__(
        self,
        screen: Outlet,
        wishes: TerminalPreferences,
        *,
        interrupt: Callable[[], object],
        live: Any,
    ) -> None:
        self._screen = screen
        self._wishes = wishes
        self._live = live
        self._lines: TerminalLines | None = None
        self._writer: Any = None
        if stands(screen, wishes):
            made: Any = import_module("agent_host.surfaces.prompt_lines")
            steady: Any = import_module("agent_host.surfaces.steady")
            self._writer = steady.TerminalWriter(sys.stdout)
            self.answers: FieldReader = made.PromptLines(interrupt=interrupt, writer=self._writer)
            return
        self._lines = open_terminal(screen)
        if self._lines is None:
            raise UsageError("the terminal cannot be read; use `agent-host run`")
        self.answers = self._lines

    def messages(
        self, host: HostSession, offers: Offers, turns: Turns, approving: ApproveMode
    ) -> Input:
        """Return where messages come from; the screen makes room for those in `turns`."""
        if self._lines is not None:
            return LineMessages(self._lines, hold=(self._screen,))
        prompt: Any = import_module("agent_host.surfaces.prompt")
        screen: Any = import_module("agent_host.surfaces.screen")

        words = command_words(host)
        completion = Completion(COMMANDS, words, offers, FileWords(Path.cwd()))

        def status(width: int, queued: int) -> str:
            asking = turns.waiting > 0
            state = chat_state(host, mode=approving.unusual, queued=queued, asking=asking)
            return status_line(state, width)

        made = screen.ChatScreen(
            self._screen,
            sys.stdout,
            os.environ,
            history=prompt.history_at(user_data_folder() / _HISTORY_FILE, host.without_secrets),
            completer=prompt.LineCompleter(completion),
            status=status,
            live=self._live,
            signals=_signals(self._screen, self._wishes),
            style=self._wishes.keys,
            writer=self._writer,
        )
        turns.noticed = made.notice
        turns.aside = made.aside
        messages: Input = made
        return messages


def shown(messages: Input, chat: Any) -> AbstractAsyncContextManager[None]:
    """While inside, the screen of these messages stands, if they have one."""
    return messages.shown(chat) if isinstance(messages, _Standing) else nullcontext()


def chat_state(host: HostSession, *, mode: str, queued: int, asking: bool) -> StatusState:
    """Return what the status line tells of a chat."""
    unwell = tuple(health.name for health in host.pool.health() if health.state in _UNWELL)
    state = state_of(host.session.conversation, host.session.window)
    return replace(state, unwell=unwell, queued=queued, mode=mode, asking=asking)


def _signals(screen: Outlet, wishes: TerminalPreferences) -> Any:
    signals: Any = import_module("agent_host.surfaces.signals")
    return signals.Signals(
        screen.signal,
        os.environ,
        now=time.monotonic,
        folder=str(Path.cwd()),
        tty=screen.tty,
        bell=wishes.bell,
        title=wishes.title,
        notify=wishes.notify,
    )


class TurnAsker:
    """Lines that a command asks for: a question like others, so nobody else asks meanwhile."""

    def __init__(self, reader: FieldReader, turns: Turns) -> None:
        self._reader = reader
        self._turns = turns

    async def type_in(self, prompt: str, *, text: str = "", hidden: bool = False) -> str | None:
        """See FieldReader."""
        async with self._turns.take():
            return await self._reader.type_in(prompt, text=text, hidden=hidden)
