"""A list of runs that is searched while one types, and one of them chosen.

Theory of operation: it stands at the foot of the screen for as long as the choice takes, and leaves
nothing there. What is typed is looked for behind the keys: one search at a time, the newest words
as soon as the one before is done, so no key ever waits for an answer, and an answer to words that
are no longer there is not shown. What runs say is untrusted: each row is clean and as wide as the
screen at most.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.output import ColorDepth

from agent_host.core.errors import AgentHostError
from agent_host.core.text import clean_line
from agent_host.surfaces.cells import fit
from agent_host.surfaces.chat_around import RunInfo
from agent_host.surfaces.screen_layout import Fragments, style_of

Find = Callable[[str, int], Awaitable[tuple[Sequence[RunInfo], int]]]
"""Returns the newest runs that hold these words (all, for none), and how many there are."""

_MOST = 50
"""Runs that are fetched for one search."""
_AROUND = 3
"""Lines that stand around the list: what is typed, what there is, the keys."""
_WIDE = 60
_PAGE = 5
_ESC = 0.1
"""Seconds in which the rest of a key comes that begins with Esc."""
_LOOK = 0.25
"""Seconds between two looks at how far a search is."""


class RunPicker:
    """One choice. `current` is left out; `busy` says how far a search is, if it takes long;
    `styled`: colours are welcome."""

    def __init__(
        self,
        find: Find,
        *,
        words: str = "",
        current: str = "",
        busy: Callable[[], str] = lambda: "",
        styled: bool = True,
    ) -> None:
        self._find = find
        self._current = current
        self._busy = busy
        self._found: list[RunInfo] = []
        self._total = 0
        self._chosen = 0
        self._first = 0
        self._problem = ""
        self._searched: str | None = None
        self._changed = asyncio.Event()
        self._buffer = Buffer(multiline=False, on_text_changed=lambda _: self._changed.set())
        self._buffer.text = words
        self._buffer.cursor_position = len(words)
        self._app: Application[RunInfo | None] = Application(
            layout=self._layout(),
            key_bindings=self._keys(),
            style=style_of(styled=styled),
            color_depth=None if styled else ColorDepth.DEPTH_1_BIT,
            erase_when_done=True,
            refresh_interval=_LOOK,
        )
        self._app.ttimeoutlen = self._app.timeoutlen = _ESC

    async def run(self) -> RunInfo | None:
        """Return the run that the user chooses, None if none."""
        self._changed.set()
        async with asyncio.TaskGroup() as group:
            search = group.create_task(self._search())
            try:
                return await self._app.run_async(handle_sigint=False)
            finally:
                search.cancel()

    async def _search(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            words = self._buffer.text.strip()
            problem = ""
            try:
                found, total = await self._find(words, _MOST)
            except AgentHostError as error:
                found, total, problem = (), 0, clean_line(str(error), 500)
            if self._buffer.text.strip() != words:
                continue
            self._found = [run for run in found if run.run_id != self._current]
            self._total = total - (len(found) - len(self._found))
            self._problem, self._searched = problem, words
            self._chosen = self._first = 0
            self._app.invalidate()

    # -- keys ------------------------------------------------------------------------------

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        for names, by in (
            (("up", "c-p"), -1),
            (("down", "c-n"), 1),
            (("pageup",), -_PAGE),
            (("pagedown",), _PAGE),
        ):
            for name in names:
                keys.add(name)(lambda _, by=by: self._move(by))
        keys.add("enter")(lambda event: self._enter(event.app))
        nothing = Condition(lambda: not self._buffer.text)
        for name in ("escape", "c-c"):
            keys.add(name)(lambda event: event.app.exit(result=None))
        keys.add("c-d", filter=nothing)(lambda event: event.app.exit(result=None))
        return keys

    def _move(self, by: int) -> None:
        self._chosen = max(0, min(self._chosen + by, len(self._found) - 1))

    def _enter(self, app: "Application[RunInfo | None]") -> None:
        """Take the run at the mark; one that answers older words is none that was meant."""
        if self._found and self._searched == self._buffer.text.strip():
            app.exit(result=self._found[self._chosen])

    # -- what is shown ---------------------------------------------------------------------

    def _layout(self) -> Layout:
        typed = Window(
            BufferControl(self._buffer),
            height=1,
            get_line_prefix=lambda *_: [("class:prompt", "resume> ")],
        )
        rows = Window(FormattedTextControl(self._rows), dont_extend_height=True, wrap_lines=False)
        told = Window(FormattedTextControl(self._told), height=1)
        keys = Window(FormattedTextControl(self._hint), height=1)
        tall = Condition(lambda: self._size()[0] > _AROUND + 2)
        return Layout(HSplit([typed, rows, ConditionalContainer(told, tall), keys]))

    def _size(self) -> tuple[int, int]:
        size = self._app.output.get_size()
        return size.rows, size.columns

    def _rows(self) -> Fragments:
        lines, width = self._size()
        shown = self._lines_of(width)
        room = max(1, (lines - _AROUND - 1) // shown)
        self._first = min(max(self._first, self._chosen - room + 1), self._chosen)
        pieces: Fragments = []
        for place, run in enumerate(self._found[self._first : self._first + room], self._first):
            pieces += self._row(run, width - 1, marked=place == self._chosen, said=shown > 1)
        return pieces[:-1]

    def _lines_of(self, width: int) -> int:
        """Lines that each run takes: what was found stands on one of its own."""
        return 2 if width < _WIDE or any(run.found for run in self._found) else 1

    def _row(self, run: RunInfo, width: int, *, marked: bool, said: bool) -> Fragments:
        when = run.when.replace("T", " ")[:16] if width >= _WIDE else run.when[5:10]
        about = f"  ({run.about})" if run.about and width >= _WIDE else ""
        style = "reverse" if marked else ""
        title = fit(run.title, max(width - len(when) - 4, 8)) or "(no text)"
        pieces = [(style, fit(f"{'>' if marked else ' '} {when}  {title}{about}", width))]
        if said:
            pieces += [("", "\n"), ("class:dim", fit(f"    {run.found or run.about}", width))]
        return [*pieces, ("", "\n")]

    def _told(self) -> Fragments:
        _, width = self._size()
        searching = self._searched != self._buffer.text.strip()
        if self._problem and not searching:
            text = self._problem
        elif searching:
            text = self._busy() or ("searching…" if self._buffer.text.strip() else "looking…")
        elif not self._found:
            text = "no other run speaks of that" if self._searched else "there is no other run"
        else:
            text = f"{self._chosen + 1} of {max(self._total, len(self._found)):,}"
        return [("class:dim", fit(text, width - 1))]

    def _hint(self) -> Fragments:
        _, width = self._size()
        long = "words search all that was said · Up, Down · Enter goes on with it · Esc stays"
        brief = "words search · Enter: go on · Esc"
        return [("class:status", long if len(long) < width else fit(brief, width - 1))]
