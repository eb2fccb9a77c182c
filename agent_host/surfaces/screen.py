"""The chat's one screen: what is under way, the line that is written, what waits, a status line.

Theory of operation: the screen stands for the whole chat, also while the model works (`foot` draws
it). What is sent stands in a queue until the chat reads it: at once where the chat waits, else when
the step is over; until then it is shown and can be taken back. Whoever asks a question takes the
terminal meanwhile, but never out of the hands of somebody who types; the draft stays.
prompt-toolkit costs a quarter of a second of CPU to import: only `chat` loads this file.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import Completer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.history import History
from prompt_toolkit.output import ColorDepth

from agent_host.core.text import clean, clean_line
from agent_host.surfaces.attachments import dropped_path
from agent_host.surfaces.clipboard import clipboard_picture
from agent_host.surfaces.editor import edit_text
from agent_host.surfaces.foot import Foot
from agent_host.surfaces.live import FRAME_SECONDS, HEIGHT, Live
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.pastes import Pastes
from agent_host.surfaces.preferences import KeyStyle
from agent_host.surfaces.question import wrap_words
from agent_host.surfaces.resent import Resent
from agent_host.surfaces.screen_keys import screen_keys
from agent_host.surfaces.screen_layout import Fragments, fragments, layout_of, style_of
from agent_host.surfaces.signals import Signals
from agent_host.surfaces.steady import TerminalWriter

if TYPE_CHECKING:
    from prompt_toolkit.input import Input

_SHARE = 3
"""What is under way takes at most one part in so many of the screen's height."""
_QUIET_SECONDS = 0.4
"""How long nothing is typed before a question takes the terminal from a draft."""
_HERE_SECONDS = 3.0
"""Somebody who typed this lately needs no bell."""
_ECHOED = 20
"""Lines of a message that are shown when it is sent."""
_SHOWN = 200
"""Characters of a message that waits."""
_MOST_QUEUED = 20
_MOST_QUEUED_SIZE = 1_000_000
"""Messages that wait at most, and their characters together; one alone may be longer."""
_REMEMBERED = 20_000
"""Characters of a message that the history keeps whole; else it keeps the placeholders."""

_Abort = Literal["abort"]
_ABORTS = 2
"""So often Ctrl-C in an empty line means something."""


class Talk(Protocol):
    """The chat whose screen this is."""

    @property
    def busy(self) -> bool:
        """Whether something is under way that can be interrupted."""

    def interrupt(self) -> bool:
        """Stop it; False if it was told so already."""

    def leave(self) -> None:
        """End the chat now."""

    def last_said(self) -> str:
        """The user's last message; empty if there is none."""

    def runs_now(self, line: str) -> bool:
        """Whether a line is a command that need not wait for the end of what is under way."""

    async def run_now(self, line: str) -> None:
        """Run it."""


class ChatScreen:
    """Reads the user's messages, and shows what happens meanwhile. `outlet` is everybody's way to
    this screen and `stream` what it writes to; `status` returns the status line for a width and so
    many messages that wait; `live` is what is under way; `style` the editing keys; `now` in seconds
    of a clock that never goes back; `keys` where keys come from (None: the standard input);
    `writer` who writes to the terminal, if others do so through it as well."""

    def __init__(
        self,
        outlet: Outlet,
        stream: TextIO,
        environ: Mapping[str, str],
        *,
        history: History,
        completer: Completer,
        status: Callable[[int, int], str],
        live: Live,
        signals: Signals | None = None,
        style: KeyStyle = "emacs",
        now: Callable[[], float] = time.monotonic,
        keys: "Input | None" = None,
        writer: TerminalWriter | None = None,
    ) -> None:
        self._outlet = outlet
        self._environ = environ
        self._status = status
        self._live = live
        self._signals = signals
        self._now = now
        self._talk: Talk | None = None
        self._sent: deque[str | _Abort | None] = deque()
        self._arrived = asyncio.Event()
        self._reading = False
        self._pastes = Pastes()
        self._pictures: TemporaryDirectory[str] | None = None
        self._lines: Fragments = []
        self._tick: asyncio.TimerHandle | None = None
        self._typed_at = self._back_at = float("-inf")
        self._habit = self._told_full = self._pressed = False
        self.editing = False
        self.buffer = Buffer(
            history=history, completer=completer, complete_while_typing=True, multiline=True
        )
        self._foot = Foot(
            outlet,
            stream,
            environ,
            keys=keys,
            writer=writer,
            layout=layout_of(self.buffer, self._prompt, lambda: self._lines, self._status_now),
            key_bindings=screen_keys(self),
            style=style_of(styled=outlet.styled),
            color_depth=None if outlet.styled else ColorDepth.DEPTH_1_BIT,
            editing_mode=EditingMode.VI if style == "vi" else EditingMode.EMACS,
            include_default_pygments_style=False,
        )
        self._foot.lost = self.end
        self._foot.before_render += lambda _: self._look()
        self._foot.key_processor.before_key_press += lambda _: self._key()

    @asynccontextmanager
    async def shown(self, talk: Talk) -> AsyncIterator[None]:
        """While inside, the screen stands, for this chat."""
        self._talk = talk
        self._live.changed = self._changed
        if self._signals is not None:
            self._signals.open()
        try:
            async with self._foot.shown():
                yield
        finally:
            if self._pictures is not None:
                self._pictures.cleanup()
            self._live.changed = lambda: None
            if self._tick is not None:
                self._tick.cancel()
            if self._signals is not None:
                self._signals.close()

    # -- for the chat ----------------------------------------------------------------------------

    async def read(self) -> str | None:
        """Return the next message, or None at the end of input. KeyboardInterrupt: Ctrl-C in an
        empty line."""
        if self._signals is not None and not self._sent:
            self._signals.set("waiting", quiet=self._here())
        self._reading = True
        try:
            while not self._sent:
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            self._reading = False
        sent = self._sent.popleft()
        self._show_queue()
        if sent == "abort":
            raise KeyboardInterrupt
        if sent and sent.strip():
            self._echo(sent)
            if self._signals is not None:
                self._signals.set("working")
        return sent

    def offer(self, text: str) -> None:
        """Put text into the line, before what is there, to be edited; what was to take the place
        of the last message still is."""
        self.editing = self.editing or isinstance(text, Resent)
        text = self._pastes.take(clean(text))
        draft = self.buffer.text
        self._write(f"{text}\n{draft}" if draft.strip() else text, len(text))

    def hold(self) -> None:
        """Take back all that waits: it was meant for an answer that will not come."""
        while self.queued:
            self.take_back()

    def notice(self) -> None:
        """Somebody asks, and waits until the user lets them."""
        if self._signals is not None and self._reading:
            self._signals.set("asking", quiet=self._here())
        self._foot.redraw()

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """While inside, somebody else has the terminal; they get it when the user stops typing."""
        loop = asyncio.get_running_loop()
        while self._writing and (left := self._typed_at + _QUIET_SECONDS - self._now()) > 0:
            rested = asyncio.Event()
            loop.call_later(left, rested.set)
            await rested.wait()
        if self._signals is not None:
            self._signals.set("asking", quiet=self._here())
        async with self._foot.aside():
            try:
                yield
            finally:
                self._back_at = self._now()
        if self._signals is not None:
            self._signals.set("waiting" if self._reading else "working", quiet=True)

    # -- for the keys ----------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether something is under way that can be interrupted."""
        return self._talk is not None and self._talk.busy

    @property
    def queued(self) -> bool:
        """Whether something waits that can be taken back."""
        return not self._reading and any(sent != "abort" for sent in self._sent)

    def send(self) -> None:
        """Send what is in the line; in an empty one, let go of it for a moment."""
        if self._habit:
            return
        # What was no UTF-8 came as half a character, and neither a record nor a model takes that.
        text = self._pastes.expand(self.buffer.text).encode("utf-8", "replace").decode()
        if not text.strip():
            self.clear()
            if self._reading:
                self._put("")
            return
        now = self.busy and self._talk is not None and self._talk.runs_now(text)
        if not now and self._full(text):
            return
        short = len(text) <= _REMEMBERED
        self.buffer.history.append_string(text if short else self.buffer.text)
        editing = self.editing
        self.clear()
        if now and self._talk is not None:
            self._echo(text)
            self._foot.create_background_task(self._talk.run_now(text))
            return
        self._put(Resent(text) if editing else text)

    def clear(self) -> None:
        """Empty the line."""
        self.editing = False
        self._pastes.forget()
        self.buffer.reset()

    def paste(self, text: str) -> None:
        """Put a paste at the cursor. Some terminals paste nothing for a picture."""
        if not text:
            self.paste_picture()
            return
        dropped = dropped_path(text)
        self.buffer.insert_text(self._pastes.take(text) if dropped is None else dropped)

    def paste_picture(self) -> None:
        """Put the name of the clipboard's picture at the cursor."""
        self._foot.create_background_task(self._paste_picture())

    def take_back(self) -> None:
        """Put what was queued last into the line again."""
        while self._sent:
            sent = self._sent.pop()
            if sent != "abort":
                if sent:
                    self.offer(sent)
                break
        self._show_queue()

    def stop(self, *, leave: bool = False) -> None:
        """Interrupt what is under way, and take back what waits for it. `leave`: end the chat if
        that was already tried by this key: Ctrl-C right behind an Esc only means it too."""
        self.hold()
        if self._talk is not None and not self._talk.interrupt() and leave and self._pressed:
            self._talk.leave()
        self._pressed = leave

    def abort(self) -> None:
        """Ctrl-C in an empty line, with nothing under way."""
        if self._sent.count("abort") < _ABORTS:
            self._put("abort")

    def end(self) -> None:
        """The end of input: the chat ends once it has read what was sent."""
        if None not in self._sent:
            self._put(None)

    def edit_last(self) -> None:
        """Put the last message into the line, to be said in its place."""
        said = "" if self._talk is None else self._talk.last_said()
        if said:
            self.clear()
            self.offer(said)
            self.editing = True

    def open_editor(self) -> None:
        """Write the message in the user's own editor."""
        self._foot.create_background_task(self._edit())

    @property
    def _writing(self) -> bool:
        """Whether somebody writes, or looks for what they wrote."""
        return bool(self.buffer.text) or self._foot.layout.is_searching

    # -- inside ----------------------------------------------------------------------------------

    async def _edit(self) -> None:
        text = self._pastes.expand(self.buffer.text)
        async with self._foot.aside():
            edited = await edit_text(text, self._environ)
        if edited.problem:
            self._say(edited.problem)
        elif edited.text is not None:
            self._pastes.forget()
            self._write(edited.text.rstrip("\n"))

    async def _paste_picture(self) -> None:
        found = await clipboard_picture(self._environ)
        if isinstance(found, str):
            self._say(found)
            return
        try:
            if self._pictures is None:
                # For as long as the chat stands, and in a folder that only this user can read.
                self._pictures = TemporaryDirectory(
                    prefix="agent-host-", ignore_cleanup_errors=True
                )
            path = Path(self._pictures.name) / f"picture-{self._now():.3f}.png"
            await asyncio.to_thread(path.write_bytes, found)
        except OSError as error:
            self._say(f"the picture cannot be kept ({error.strerror})")
            return
        self.buffer.insert_text(f"@{path} ")

    def _say(self, text: str) -> None:
        self._outlet.end_line()
        self._outlet.write("\n".join(wrap_words(text, self._outlet.width - 1)) + "\n")

    def _write(self, text: str, cursor: int | None = None) -> None:
        self.buffer.set_document(Document(text, len(text) if cursor is None else cursor))

    def _put(self, sent: str | _Abort | None) -> None:
        if sent is not None and self._sent and self._sent[-1] is None:
            self._sent.insert(len(self._sent) - 1, sent)  # what is sent is said before the end
        else:
            self._sent.append(sent)
        self._arrived.set()
        if not self._reading:
            self._show_queue()

    def _full(self, text: str) -> bool:
        """Whether so much waits that this has to stay in the line, which is then said, once."""
        waiting = [] if self._reading else [sent for sent in self._sent if sent]
        size = sum(map(len, waiting)) + len(text)
        if not waiting or (len(waiting) < _MOST_QUEUED and size <= _MOST_QUEUED_SIZE):
            return False
        if not self._told_full:
            self._told_full = True
            count = f"{len(waiting)} message{'s' if len(waiting) > 1 else ''}"
            what = f"{count} of {size - len(text):,} characters wait already"
            room = "Enter sends it when there is room again; Esc takes back what was queued last"
            self._say(f"{what}; this one stays in your line: {room}")
        return True

    def _show_queue(self) -> None:
        self._told_full = False
        waiting = [clean_line((s or "")[: 2 * _SHOWN], _SHOWN) for s in self._sent if s != "abort"]
        self._live.queue([text or "(leave)" for text in waiting])

    def _echo(self, text: str) -> None:
        """What was sent stands above, as a line that was typed."""
        lines = clean(text).split("\n")
        more = len(lines) - _ECHOED
        shown = [f"{'.' if place else '>'} {line}" for place, line in enumerate(lines[:_ECHOED])]
        shown = [self._outlet.paint(line, "bold") for line in shown]
        if more > 0:
            shown.append(self._outlet.paint(f"… and {more:,} more lines", "dim"))
        self._outlet.end_line()
        self._outlet.write("\n" + "\n".join(shown) + "\n")

    def _key(self) -> None:
        """A key was pressed. The first one after a question may only be the Enter that somebody
        presses by habit after a key that answered."""
        now = self._now()
        self._habit = self._typed_at < self._back_at and now - self._back_at < _QUIET_SECONDS
        self._typed_at = now

    def _here(self) -> bool:
        return self._now() - self._typed_at < _HERE_SECONDS

    # -- the picture -----------------------------------------------------------------------------

    def _prompt(self) -> str:
        return "instead> " if self.editing else "> "

    def _status_now(self) -> str:
        size = self._foot.output.get_size()
        waiting = 0 if self._reading else sum(s != "abort" for s in self._sent)
        return self._status(max(size.columns - 1, 1), waiting)

    def _look(self) -> None:
        size = self._foot.output.get_size()
        height = min(HEIGHT, max(size.rows // _SHARE, 1))
        lines = self._live.lines(max(size.columns - 1, 1), self._now(), height)
        self._lines = fragments(lines)

    def _changed(self) -> None:
        self._foot.redraw()
        if self._tick is None and self._live.busy:
            self._turn()

    def _turn(self) -> None:
        """Show the next frame, and come again while something is under way."""
        self._tick = None
        if self._live.busy:
            self._foot.redraw()
            loop = asyncio.get_running_loop()
            self._tick = loop.call_later(FRAME_SECONDS, self._turn)
