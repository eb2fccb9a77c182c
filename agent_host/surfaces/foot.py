"""The foot of a chat's screen: one application of prompt-toolkit, and what is printed above it.

Theory of operation: the application draws a few lines and never fills the screen. What is finished
goes above it, into the terminal's own scrollback, and is never touched again: the foot is erased,
the text written, and the foot drawn below, as one picture (`steady`). Text without an end of line
waits for one. When the window changes its width, most terminals break the lines that are there
anew, and some tell of it only later (tmux, up to a quarter of a second). So nothing is drawn until
a window that is being dragged has come to rest; then it is counted how many rows the foot has
become, it is erased, and drawn anew. While somebody else has the terminal (`aside`: a question, an
editor), nothing is drawn, and what is written comes as it is, by the same way that never waits.
"""

import asyncio
import os
import select
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from prompt_toolkit.application import Application, in_terminal
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding.key_processor import KeyPress

from agent_host.surfaces.long_pastes import take_long_pastes
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.steady import SteadyOutput, TerminalWriter, size_of

if TYPE_CHECKING:
    from prompt_toolkit.input import Input

_FRAME_SECONDS = 0.03
"""Between two pictures at least."""
_REST_SECONDS = 0.3
"""How long a window keeps its size before something is drawn in it again."""
_ESC_SECONDS = 0.1
_SECOND_KEY_SECONDS = 0.3
"""How long it is waited for what may follow an Esc: by the terminal, and by a person."""


_AHEAD = 65536


class Foot(Application[None]):
    """See the module. `outlet` is everybody's way to this screen, and `stream` what it writes to;
    `keys` is where keys come from (None: the standard input). `writer` is who writes to the
    terminal, and is closed at the end (None: one of its own). `lost` is called when no key can come
    any more. The rest is as for Application."""

    def __init__(
        self,
        outlet: Outlet,
        stream: TextIO,
        environ: Mapping[str, str],
        *,
        keys: "Input | None" = None,
        writer: TerminalWriter | None = None,
        **more: Any,
    ) -> None:
        self._outlet = outlet
        self._writer = writer or TerminalWriter(stream)
        self._steady = SteadyOutput(self._writer, stream, size_of(stream))
        self._waiting: list[str] = []
        self._part = ""
        self._width = 0
        self._scheduled = False
        self._rest: asyncio.TimerHandle | None = None
        self._apart = asyncio.Lock()
        self.lost: Callable[[], None] = lambda: None
        self._reflows = not environ.get("XTERM_VERSION") and not environ.get("STY")
        super().__init__(
            output=self._steady,
            input=keys,
            full_screen=False,
            erase_when_done=True,
            min_redraw_interval=_FRAME_SECONDS,
            **more,
        )
        take_long_pastes(self.input)
        self.ttimeoutlen = _ESC_SECONDS
        self.timeoutlen = _SECOND_KEY_SECONDS

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """While inside, the foot is on the screen."""
        self._outlet.clear_transient()
        self._outlet.end_line()
        self._join()
        self._writer.drained = self.redraw
        failed: BaseException | None = None
        begun = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._live(begun))
                try:
                    await begun.wait()
                    yield
                except BaseException as error:  # noqa: BLE001 - raised below as it is, in no group
                    failed = error
                self._rest_now()
                self._print()
                if self.future is not None and not self.future.done():
                    self.exit()
        finally:
            if self._rest is not None:
                self._rest.cancel()
            self._leave()
            self._outlet.writer = None
            self._writer.close()
        if failed is not None:
            raise failed

    async def _live(self, begun: asyncio.Event) -> None:
        try:
            with self.input.raw_mode():
                store_typeahead(self.input, self._typed_ahead())
                await self.run_async(begun.set, set_exception_handler=False, handle_sigint=False)
        except EOFError:
            self.lost()

    def _typed_ahead(self) -> list[KeyPress]:
        """Return what was typed while the terminal was not ours: Enter was an end of line then."""
        keys: list[KeyPress] = []
        try:
            fd = self.input.fileno()
            typed = os.read(fd, _AHEAD) if select.select([fd], [], [], 0)[0] else b""
        except (OSError, ValueError, NotImplementedError):
            return keys
        parser = Vt100Parser(keys.append)
        parser.feed(typed.decode("utf-8", "replace").replace("\n", "\r"))
        parser.flush()
        return keys

    def redraw(self) -> None:
        """Draw soon, unless the terminal has not taken the last picture yet."""
        if self.is_running and not self._writer.behind:
            self.invalidate()

    # -- above ---------------------------------------------------------------------------------

    def _above(self, text: str) -> None:
        """Take text that is finished; one picture a tick shows it."""
        self._waiting.append(text)
        if not self._scheduled:
            self._scheduled = True
            try:
                asyncio.get_running_loop().call_soon(self._print)
            except RuntimeError:
                self._print()

    def _print(self) -> None:
        self._scheduled = False
        drawn = self.is_running and not self._running_in_terminal
        if drawn and self._resizing():
            return
        text = self._part + "".join(self._waiting)
        self._waiting.clear()
        whole, end, self._part = text.rpartition("\n")
        if not end:
            return
        with self._picture():
            if drawn:
                self.renderer.erase()
            self._steady.write_raw(whole + end)
            if drawn:
                self._redraw()

    @contextmanager
    def _picture(self) -> Iterator[None]:
        self._steady.begin()
        try:
            yield
        finally:
            self._steady.end()

    def _redraw(self, render_as_done: bool = False) -> None:
        if self._running_in_terminal or (self._resizing() and not render_as_done):
            return
        with self._picture():
            self._fit()
            super()._redraw(render_as_done)

    # -- the window's size -----------------------------------------------------------------------

    def _on_resize(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(_REST_SECONDS, self._rested)

    def _resizing(self) -> bool:
        """Whether the window changes its size, as far as anybody can tell."""
        if self._rest is None and self._is_broken:
            self._on_resize()
        return self._rest is not None

    @property
    def _is_broken(self) -> bool:
        """Whether the foot on the screen was drawn for another width."""
        drawn = self.renderer.last_rendered_screen is not None
        return drawn and self._steady.get_size().columns != self._width

    def _rest_now(self) -> None:
        """Take the window as it is."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if not self._running_in_terminal:
            with self._picture():
                self._fit()

    def _rested(self) -> None:
        with self._picture():
            self._rest_now()
            if self.is_running and not self._running_in_terminal:
                super()._on_resize()
            self._print()

    def _fit(self) -> None:
        """Erase a foot that was drawn on a screen of another width, as it stands there now."""
        if self._is_broken:
            self._steady.cursor_up(self._broken_anew())
            self.renderer.erase()
        self._width = self._steady.get_size().columns

    def _broken_anew(self) -> int:
        """Return how many rows more than it was drawn the foot takes above its cursor, on a
        screen that has become narrower."""
        screen, width = self.renderer.last_rendered_screen, self._steady.get_size().columns
        if screen is None or not self._reflows:
            return 0
        cursor = screen.get_cursor_position(self.layout.current_window)
        more = 0
        for y in range(cursor.y):
            row = screen.data_buffer[y]
            used = max((x + c.width for x, c in row.items() if c.char.strip()), default=0)
            more += max(-(-used // width), 1) - 1
        # Of its own row, what is behind the cursor stands below it.
        return more + cursor.x // width

    # -- others at the terminal ------------------------------------------------------------------

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """While inside, the terminal is somebody else's: nothing is drawn and no key is read."""
        if not self.is_running:
            yield
            return
        keys: list[KeyPress] = []
        async with self._apart:
            self._rest_now()
            self._print()
            async with in_terminal():
                await self._writer.drain()
                self._leave()
                try:
                    yield
                finally:
                    self._outlet.clear_transient()
                    self._outlet.end_line()
                    self._join()
                    with self.input.raw_mode():
                        keys = self._typed_ahead()
            self.key_processor.feed_multiple(keys)
            self.key_processor.process_keys()

    def _join(self) -> None:
        self._outlet.writer = self._writer
        self._outlet.above = self._above

    def _leave(self) -> None:
        self._outlet.above = None
        if self._part:
            part, self._part = self._part, ""
            self._outlet.at_line_start = True
            self._outlet.write_now(part)
