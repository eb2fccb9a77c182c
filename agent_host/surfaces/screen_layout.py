"""What stands where at the foot of the chat's screen, and how it looks.

Theory of operation: from top to bottom: what is under way (or an empty line), the line that is
written (which grows and scrolls), what is searched for in the history, the completions, one status
line. Each part may give way on a small screen; the line itself is the last to. Colours are the
terminal's own sixteen, and what is chosen is shown reversed: both are read on dark and on light,
and without colours.
"""

from collections.abc import Callable, Sequence

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import (
    AnyContainer,
    BufferControl,
    ConditionalContainer,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
    VerticalAlign,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.styles import Style
from prompt_toolkit.widgets import SearchToolbar

from agent_host.surfaces.cells import Line

Fragments = StyleAndTextTuples
_MENU_LINES = 8
_CONTINUED = ". "
_ROOMY = 10
"""Rows of a screen that has room for an empty one."""

_COLOURS = {
    "dim": "ansibrightblack",
    "bold": "bold",
    "red": "ansired",
    "green": "ansigreen",
    "yellow": "ansiyellow",
    "blue": "ansiblue",
    "magenta": "ansimagenta",
    "cyan": "ansicyan",
    "alert": "bold ansiyellow",
    "status": "ansibrightblack",
    "prompt": "bold",
}
_PLAIN = {
    "completion-menu": "noinherit",
    "completion-menu.completion": "noinherit",
    "completion-menu.completion.current": "noinherit reverse",
    "completion-menu.meta.completion": "noinherit",
    "completion-menu.meta.completion.current": "noinherit reverse",
    "scrollbar.background": "noinherit",
    "scrollbar.button": "noinherit reverse",
    "scrollbar.arrow": "noinherit",
    "search-toolbar": "noinherit",
    "search": "underline",
    "incsearch": "reverse",
}


def style_of(*, styled: bool) -> Style:
    """Return how it looks. `styled`: colours are welcome."""
    return Style.from_dict(_PLAIN | _COLOURS if styled else _PLAIN)


def fragments(lines: Sequence[Line]) -> Fragments:
    """Return lines of a picture as prompt-toolkit takes them."""
    shown: Fragments = []
    for place, line in enumerate(lines):
        if place:
            shown.append(("", "\n"))
        shown += [(f"class:{style}" if style else "", text) for style, text in line]
    return shown


def layout_of(
    buffer: Buffer,
    prompt: Callable[[], str],
    lines: Callable[[], Fragments],
    status: Callable[[], str],
) -> Layout:
    """Return the layout. `lines` is what is under way, `status` the last line."""
    search = SearchToolbar(forward_search_prompt="search: ", backward_search_prompt="search back: ")

    def before(number: int, wraps: int) -> Fragments:
        if number == 0 and wraps == 0:
            return [("class:prompt", prompt())]
        return [("class:dim", "" if wraps else _CONTINUED)]

    typed = Window(
        BufferControl(buffer, search_buffer_control=search.control, preview_search=True),
        height=lambda: Dimension(min=1, max=max(_rows() * 2 // 3, 1)),
        dont_extend_height=True,
        wrap_lines=True,
        get_line_prefix=before,
    )
    under_way = Window(
        FormattedTextControl(lines), height=Dimension(min=0), dont_extend_height=True
    )
    bottom = Window(
        FormattedTextControl(lambda: [("class:status", status())]),
        height=Dimension(min=0, max=1, preferred=1),
    )
    apart = Window(height=Dimension(min=0, max=1, preferred=1))
    roomy = Condition(lambda: _rows() >= _ROOMY)
    busy = Condition(lambda: bool(lines()))
    parts: list[AnyContainer] = [
        ConditionalContainer(under_way, busy),
        ConditionalContainer(apart, roomy & ~busy),
        typed,
        search,
        CompletionsMenu(max_height=_MENU_LINES, scroll_offset=1),
        bottom,
    ]
    return Layout(HSplit(parts, align=VerticalAlign.TOP), focused_element=typed)


def _rows() -> int:
    return get_app().output.get_size().rows
