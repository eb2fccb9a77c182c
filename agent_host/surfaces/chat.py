"""A chat: messages and commands in, steps of one session out.

Theory of operation: one loop. A message is told to the session and the step runs until the user is
awaited again; a line that starts with `/` is a command of `_COMMANDS`. Ctrl-C during a step
interrupts it, and the conversation stays legal; a second one, while the step still has not ended,
leaves. At the prompt Ctrl-C twice in an empty line, Ctrl-D and /quit leave. SIGTERM and a closed
terminal leave as well: whoever opened the session closes it, with its servers.
"""

import asyncio
import difflib
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from agent_host.core.conversation import Conversation
from agent_host.core.errors import AgentHostError, ExitStatus
from agent_host.core.events import EndReason, Interrupted, UserSaid
from agent_host.core.money import shown_cost
from agent_host.core.text import clean, clean_line, clip
from agent_host.core.types import Message, Text, Tool
from agent_host.surfaces.cards import title
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.plain import text_of
from agent_host.surfaces.prose import clean_prose
from agent_host.surfaces.question import wrap_words


class Dialogue(Protocol):
    """The session, as far as a chat needs it (see engine.session)."""

    @property
    def conversation(self) -> Conversation:
        """The state after the last event."""

    def tell(self, event: UserSaid | Interrupted) -> None:
        """Take an event. Raises UsageError if it is not legal now."""

    async def run(self) -> Conversation:
        """Work until the user is awaited."""

    def end(self, reason: EndReason) -> None:
        """Record the end of the run."""


class Health(Protocol):
    """How a server is (see servers.pool)."""

    @property
    def name(self) -> str:
        """The server's name in the config."""

    @property
    def state(self) -> str:
        """starting, connected, failed or stopped."""

    @property
    def error(self) -> str:
        """What is wrong, or nothing."""

    @property
    def version(self) -> str:
        """The version it says it has."""

    @property
    def tools(self) -> int:
        """How many tools it has."""


class Tools(Protocol):
    """The servers, as far as a chat shows them."""

    def tools(self) -> Mapping[str, Tool]:
        """The tools by exposed name."""

    async def ready(self) -> None:
        """Return once each server's tools are known, or its connect budget is spent."""

    def health(self) -> Sequence[Health]:
        """Every server of the config."""


class Host(Protocol):
    """What a chat is opened on."""

    @property
    def session(self) -> Dialogue:
        """The session; the same object throughout."""

    @property
    def pool(self) -> Tools:
        """Its servers."""

    def models(self) -> Sequence[str]:
        """The names that `change_model` takes."""

    async def change_model(self, name: str) -> object:
        """Let another model answer from here on. Raises AgentHostError if it cannot."""


class Input(Protocol):
    """Where messages come from; see ChatInput."""

    async def read(self) -> str | None:
        """Return a message, None at the end; KeyboardInterrupt for Ctrl-C in an empty line."""


COMMANDS: tuple[tuple[str, str], ...] = (
    ("/help", "what can be typed here"),
    ("/tools", "the tools of all servers"),
    ("/servers", "the servers and how they are"),
    ("/model", "show the models, or change to one: /model NAME"),
    ("/quit", "leave (also Ctrl-D)"),
)

_PATIENCE = 5.0
"""Seconds that /tools waits for servers that are starting."""

_RECALLED = 2000
"""Characters of the last answer that a resumed chat shows."""

_KEYS = (
    "Enter sends; Alt-Enter or a backslash before Enter makes a new line; // starts a message "
    "with a slash. Ctrl-C stops what is under way, Ctrl-D leaves."
)


def command_words(host: Host) -> Callable[[str], Iterable[str]]:
    """Return what may follow a command, for completion."""
    return lambda command: host.models() if command == "/model" else ()


def status(conversation: Conversation) -> str:
    """Return the line under the prompt: model and tokens."""
    origin = conversation.origin
    who = clean_line(origin.model or origin.provider, 60)
    if conversation.simulated:
        who = f"{clean_line(origin.adapter, 30)} (no AI)"
    usage = conversation.usage
    counted = f"{who} · {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    if conversation.simulated or not conversation.answers:
        return counted
    cost = shown_cost(conversation.cost, conversation.unpriced, conversation.answers)
    return f"{counted} · {cost}"


class Chat:
    """A chat at a terminal. `by` is the user's id, `screen` where commands answer."""

    def __init__(self, host: Host, *, messages: Input, screen: Outlet, by: str) -> None:
        self._host = host
        self._messages = messages
        self._screen = screen
        self._by = by
        self._working = False
        self._leaving = False
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "/help": self._help,
            "/tools": self._tools,
            "/servers": self._servers,
            "/model": self._model,
            "/quit": self._quit,
        }

    async def run(self) -> ExitStatus:
        """Chat until the user leaves."""
        loop = asyncio.get_running_loop()
        this = asyncio.current_task()
        assert this is not None
        signals: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGINT: lambda: self.interrupt() or this.cancel(),
            signal.SIGTERM: this.cancel,
            signal.SIGHUP: this.cancel,
        }
        for number, action in signals.items():
            loop.add_signal_handler(number, action)
        try:
            return await self._converse()
        except asyncio.CancelledError:
            this.uncancel()
            return ExitStatus.INTERRUPTED
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def interrupt(self) -> bool:
        """Stop the step under way; False if there is none, or it was already told to stop."""
        session = self._host.session
        if not self._working or session.conversation.interrupted:
            return False
        session.tell(Interrupted(by=self._by))
        return True

    async def _converse(self) -> ExitStatus:
        session = self._host.session
        self._recall(session.conversation)
        if session.conversation.awaiting not in {"user", "nothing"}:
            # A run that was taken over in the middle of a step.
            await self._step()
        await self._listen()
        session.end("done")
        return ExitStatus.DONE

    def _recall(self, conversation: Conversation) -> None:
        """Show where a conversation stands that was begun before."""
        answers = [text_of(m) for m in conversation.messages if m.role == "assistant"]
        if conversation.messages:
            self._say(f"{len(conversation.messages)} messages so far; the last answer was:")
            last = next(filter(None, reversed(answers)), "(none)")
            self._say(clean_prose(clip(last, _RECALLED)))

    async def _listen(self) -> None:
        """Take messages until the user leaves."""
        warned = False
        while not self._leaving:
            try:
                text = await self._messages.read()
            except KeyboardInterrupt:
                if warned:
                    break
                warned = True
                self._say("Ctrl-C again leaves, and so does Ctrl-D")
                continue
            warned = False
            if text is None:
                break
            await self._take(text)

    async def _take(self, text: str) -> None:
        if not text.strip():
            return
        if text.startswith("//"):
            text = text[1:]
        elif text.startswith("/"):
            await self._command(text.strip())
            return
        self._host.session.tell(UserSaid(message=Message(role="user", content=(Text(text=text),))))
        await self._step()

    async def _step(self) -> None:
        self._working = True
        try:
            await self._host.session.run()
        finally:
            self._working = False

    async def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        command = self._commands.get(name)
        if command is not None:
            await command(rest.strip())
            return
        near = difflib.get_close_matches(name, self._commands, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else "; /help lists the commands"
        self._say(f"there is no command {clean_line(name, 40)}{hint}")

    def _say(self, text: str) -> None:
        self._screen.end_line()
        self._screen.write(f"{text}\n")

    def _say_item(self, text: str, *, bold: str = "") -> None:
        """Write clean text between margins, its beginning `bold`, broken between words."""
        first, *others = wrap_words(bold + text, self._screen.width - 6)
        if bold and first.startswith(bold):
            first = self._screen.paint(bold, "bold") + first.removeprefix(bold)
        self._say("\n".join([f"  {first}", *(f"    {other}" for other in others)]))

    async def _help(self, rest: str) -> None:
        for name, text in COMMANDS:
            self._say_item(f"{name}{'':{9 - len(name)}} {text}")
        self._say_item(_KEYS)

    async def _tools(self, rest: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._host.pool.ready()
        except TimeoutError:
            self._say("  some servers are still starting")
        tools = self._host.pool.tools().values()
        if not tools:
            self._say("  no tools; /servers tells how the servers are")
        for tool in tools:
            about = clean_line(clean(tool.description[:400]).strip().partition("\n")[0], 100)
            sign = " (reads only)" if tool.read_only else ""
            self._say_item(f"{sign}  {about}", bold=title(tool.server, tool.tool))

    async def _servers(self, rest: str) -> None:
        servers = self._host.pool.health()
        if not servers:
            self._say("  no servers are configured")
        for server in servers:
            error = f": {clean_line(server.error)}" if server.error else ""
            version = f" {clean_line(server.version, 40)}" if server.version else ""
            text = f"{version}  {server.state}{error}  {server.tools} tools"
            self._say_item(text, bold=clean_line(server.name, 64))

    async def _model(self, rest: str) -> None:
        if not rest:
            self._say_model()
            for name in self._host.models():
                self._say(f"  /model {clean_line(name, 80)}")
            return
        try:
            await self._host.change_model(rest)
        except AgentHostError as error:
            self._say_item(clean_line(str(error), 500))
            return
        self._say_model()

    def _say_model(self) -> None:
        current = self._host.session.conversation.origin
        who = f"{clean_line(current.provider, 60)} {clean_line(current.model, 60)}"
        self._say(f"  now: {who} ({clean_line(current.adapter, 40)})")

    async def _quit(self, rest: str) -> None:
        self._leaving = True
