"""A chat: messages and commands in, steps of one session out.

Theory of operation: one loop. A message is told to the session, with the resources and files that
it mentions, and the step runs until the user is awaited again; a line that starts with `/` is a
command, or a prompt of a server. Ctrl-C gives up what a server asks for; else, and soon after that,
it interrupts the step, and the conversation stays legal; a second one, while the step still has not
ended, leaves. At the prompt Ctrl-C twice in an empty line, Ctrl-D and /quit leave. SIGTERM and a
closed terminal leave as well: whoever opened the session closes it, with its servers. A message
that is said in the place of the last one takes that one back first, with what came of it.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Protocol, runtime_checkable

from agent_host.core.conversation import Conversation
from agent_host.core.errors import ExitStatus
from agent_host.core.events import Interrupted, UserSaid
from agent_host.core.money import shown_cost
from agent_host.core.text import clean_line, clip
from agent_host.core.types import Message, Text
from agent_host.surfaces.answer import Answer
from agent_host.surfaces.attachments import file_mentions, read_files
from agent_host.surfaces.chat_around import Around
from agent_host.surfaces.chat_commands import Commands
from agent_host.surfaces.chat_host import Asker, Editable, Host, Input
from agent_host.surfaces.commands_table import may_run_now
from agent_host.surfaces.completion import Offers
from agent_host.surfaces.mentions import Attached, attach, mentions
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.plain import text_of
from agent_host.surfaces.prose import clean_prose
from agent_host.surfaces.resent import Resent
from agent_host.surfaces.turns import Turns

_RECALLED = 2000
"""Characters of the last answer that a resumed chat shows."""
_AGAIN_SECONDS = 1.0
"""How soon a second Ctrl-C follows the one that gave up a question."""


def status(conversation: Conversation, *, asking: bool = False, mode: str = "") -> str:
    """Return the line under the prompt: model and tokens. `asking`: a server waits with a
    question until the user has written; `mode`: how calls are approved, if not as usual."""
    if asking:
        return "a server asks something: Enter in an empty line shows it"
    origin = conversation.origin
    who = clean_line(origin.model or origin.provider, 60)
    if conversation.simulated:
        who = f"{clean_line(origin.adapter, 30)} (no AI)"
    usage = conversation.usage
    who += f" · approve: {mode}" if mode else ""
    if not conversation.answers:
        return who
    counted = f"{who} · {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    if conversation.simulated:
        return counted
    cost = shown_cost(conversation.cost, conversation.unpriced, conversation.answers)
    return f"{counted} · {cost}"


@runtime_checkable
class _Queued(Protocol):
    """Messages that can be sent while a step is under way (see `screen.ChatScreen`)."""

    def hold(self) -> None:
        """Take back all that waits."""


class Chat:
    """A chat at a terminal. `by` is the user's id, `screen` where commands answer; `asker` asks
    for what a prompt needs; `cancel` gives up what a server asks for (False if nothing is);
    `around` is what commands need beside the session; `turns` is the line of all who ask at this
    terminal; `now` in seconds of a clock that never goes back."""

    def __init__(
        self,
        host: Host,
        *,
        messages: Input,
        screen: Outlet,
        by: str,
        asker: Asker | None = None,
        cancel: Callable[[], bool] = lambda: False,
        around: Around | None = None,
        offers: Offers | None = None,
        turns: Turns | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._messages = messages
        self._screen = screen
        self._by = by
        self._cancel = cancel
        self._now = now
        self._given_up_at = float("-inf")
        self._turns = turns or Turns(screen=screen, hold=(screen,))
        self._offers = offers or Offers(host.pool)
        around = around or Around()
        self._reload = around.reload
        self._folder, self._images = around.folder, around.images
        self._palette = around.palette
        self._commands = Commands(host, screen=screen, asker=asker, around=around)
        self._working = False
        self._doing: asyncio.Task[UserSaid | None] | None = None
        self._running: asyncio.Task[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a step or a command is under way."""
        return self._working or (self._doing is not None and not self._doing.done())

    def last_said(self) -> str:
        """The user's last message, as it would be typed; empty if there is none."""
        mine = (m for m in reversed(self._host.session.conversation.messages) if m.role == "user")
        last = next(mine, None)
        blocks = () if last is None else last.content
        text = next((block.text for block in blocks if isinstance(block, Text)), "")
        return f"/{text}" if text.startswith("/") else text

    def runs_now(self, line: str) -> bool:
        """Whether a line is a command that need not wait for the end of a step."""
        return self._working and may_run_now(line) and line.strip() != "/quit"

    async def run_now(self, line: str) -> None:
        """Run it; what it shows stands among what the step shows."""
        await self._commands.take(line.strip())

    def leave(self) -> None:
        """End the chat now, whatever is under way."""
        if self._running is not None:
            self._running.cancel()

    @property
    def onward(self) -> tuple[str, ...] | None:
        """The options of the chat that the user goes on with, once this one is left."""
        return self._commands.outcome.onward

    async def run(self) -> ExitStatus:
        """Chat until the user leaves."""
        loop = asyncio.get_running_loop()
        this = asyncio.current_task()
        assert this is not None
        self._running = this
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
        """Give up what a server asks for, or a command, or stop the step under way; False if
        there is nothing of that, or the step was already told to stop. Soon after a question was
        given up, the step comes first: else a model that asks again and again could not be left."""
        again = self._now() - self._given_up_at < _AGAIN_SECONDS
        if not again and self._give_up():
            return True
        if not self._stop():
            return again and self._give_up()
        self._hold()
        return True

    def _stop(self) -> bool:
        """Stop a command or the step under way; False if there is none, or it stops already."""
        if self._doing is not None and not self._doing.done():
            return self._doing.cancel()
        session = self._host.session
        if not self._working or session.conversation.interrupted:
            return False
        session.tell(Interrupted(by=self._by))
        return True

    def _hold(self) -> None:
        """Keep back what was sent meanwhile: it was meant for an answer that will not come."""
        if isinstance(self._messages, _Queued):
            self._messages.hold()

    def _give_up(self) -> bool:
        """Give up the question that is open; False if none is."""
        if not self._cancel():
            return False
        self._given_up_at = self._now()
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
        messages = conversation.messages
        if not messages:
            return
        answers = (text_of(m) for m in reversed(messages) if m.role == "assistant")
        self._say(f"{len(messages)} messages so far; this was the last of it:\n")
        said = clean_prose(clip(self.last_said(), _RECALLED)).replace("\n", "\n. ")
        self._say(f"> {said}")
        drawn = Answer(self._screen, self._palette)
        drawn.feed(clip(next(filter(None, answers), "(no answer)"), _RECALLED))
        drawn.end()

    def _offer(self, draft: str) -> None:
        """Give back what a command took back, to be edited where that can be done."""
        if draft and isinstance(self._messages, Editable):
            self._messages.offer(draft)
        elif draft:
            self._say(f"the message was:\n{clean_prose(clip(draft, _RECALLED))}")

    async def _listen(self) -> None:
        """Take messages until the user leaves."""
        warned = False
        while not self._commands.leaving:
            try:
                async with self._turns.write():
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
        self._offers.forget()
        asked = text.strip() == "/reload"
        if self._reload is not None and not asked and (changed := self._reload.notice()):
            self._say(f"· {changed}")
        if text.startswith("/") and not text.startswith("//"):
            said = await self._do(self._commands.take(text.strip()))
            self._offer(self._commands.take_draft())
        else:
            said = await self._do(self._message(text.removeprefix("/")))
            # The old message goes only once the new one can be said.
            if said is None or (isinstance(text, Resent) and not await self._back()):
                self._offer(text)
                return
        if said is not None:
            self._host.session.tell(said)
            await self._step()

    async def _back(self) -> bool:
        """Go back to before the last message; False if that cannot be done, which is then said."""
        before = len(self._host.session.conversation.messages)
        await self._do(self._commands.take("/undo"))
        self._commands.take_draft()
        return len(self._host.session.conversation.messages) < before

    async def _do(self, work: Coroutine[Any, Any, UserSaid | None]) -> UserSaid | None:
        """Do what takes a while before there is something to say; Ctrl-C gives it up."""
        async with asyncio.TaskGroup() as group:
            self._doing = group.create_task(work)
        done, self._doing = self._doing, None
        if done.cancelled():
            self._say("given up")
            return None
        return done.result()

    async def _message(self, text: str) -> UserSaid | None:
        """Return a message with what it mentions; None if that cannot be had."""
        said = Text(text=text)
        if "@" not in text:
            return UserSaid(message=Message(role="user", content=(said,)))
        servers = {health.name for health in self._host.pool.health()}
        attached = await self._attached(text, servers)
        if attached.problem:
            self._say(f"not sent: {attached.problem}")
            return None
        for note in attached.notes:
            self._say(f"· attached {note}")
        message = Message(role="user", content=(said, *attached.content))
        return UserSaid(message=message, labels=attached.labels)

    async def _attached(self, text: str, servers: Collection[str]) -> Attached:
        """Read the resources that a text names, then the files."""
        named = mentions(text, servers, ())
        if named:
            named = mentions(text, servers, await self._offers.known())
        of_servers = await attach(named, self._host.pool, self._host.session.principal)
        if self._folder is None or of_servers.problem:
            return of_servers
        files = file_mentions(text, self._folder, servers)
        read = await asyncio.to_thread(read_files, files, images=self._images())
        return Attached(
            content=(*of_servers.content, *read.content),
            labels=of_servers.labels,
            notes=(*of_servers.notes, *read.notes),
            problem=read.problem,
        )

    async def _step(self) -> None:
        self._working = True
        try:
            conversation = await self._host.session.run()
        finally:
            self._working = False
        if conversation.failure is not None:
            self._hold()

    def _say(self, text: str) -> None:
        self._screen.end_line()
        self._screen.write(f"{text}\n")
