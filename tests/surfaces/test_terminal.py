import asyncio
import re

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.events import (
    Event,
    Interrupted,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    ReasoningDelta,
    RunEnded,
    ServerLog,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from agent_host.core.types import Text, ToolCall, ToolResult
from agent_host.surfaces.markdown import render
from agent_host.surfaces.terminal import TerminalText
from tests.fakes.screens import FORBIDDEN, HOSTILE, Screen, outlet, record, says, sized
from tests.fakes.work import calls

SGR = re.compile(r"\x1b\[[0-9;]*m")
OURS = re.compile(
    r"\x1b\[[0-9;]*m|\r(?=\x1b)|\r(?=⠋|⠙|⠹|⠸|⠼|⠴|⠦|⠧|⠇|⠏)|\x1b\[K|\x1b\[2K|\x1b\[B|\x1b\[[1-7]?A"
)


def surface(**environ: str) -> tuple[TerminalText, Screen]:
    out, screen = outlet(tty=True, **environ)
    return TerminalText(answer=out, notes=out), screen


def show(*items: Event | TextDelta, **environ: str) -> str:
    sink, screen = surface(**environ)
    for item in items:
        sink.emit(item if isinstance(item, TextDelta) else record(item))
    sink.close()
    return screen.getvalue()


class Watched:
    """A screen that is fed what was written, as a terminal would."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self._screen = pyte.HistoryScreen(columns, lines, history=5000, ratio=0.5)
        self._stream = pyte.Stream(self._screen)

    def feed(self, text: str) -> None:
        self._stream.feed(text.replace("\n", "\r\n"))

    @property
    def cursor_column(self) -> int:
        return int(self._screen.cursor.x)

    @property
    def title(self) -> str:
        return str(self._screen.title)

    @property
    def lines(self) -> list[str]:
        above = ["".join(row[x].data for x in sorted(row)) for row in self._screen.history.top]
        return [line.rstrip() for line in [*above, *self._screen.display]]


def visible(shown: str) -> list[str]:
    """What is on a real screen in the end."""
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(shown.replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display if line.strip()]


def responded(text: str, *calls: ToolCall) -> ModelResponded:
    return ModelResponded(request_id="r", message=says(text, *calls), stop_reason="end_turn")


def test_each_block_is_drawn_once_when_it_is_finished() -> None:
    sink, screen = surface(NO_COLOR="1")
    sink.emit(TextDelta(text="first **para"))
    assert screen.getvalue() == ""
    sink.emit(TextDelta(text="graph**\n\nsecond"))
    assert screen.getvalue() == "first paragraph\n"
    sink.emit(record(responded("first **paragraph**\n\nsecond")))
    assert screen.getvalue() == "first paragraph\n\nsecond\n"


def test_a_text_that_was_not_streamed_is_drawn_all_the_same() -> None:
    assert show(responded("# One\n\n- two"), NO_COLOR="1").split() == ["One", "•", "two"]


def test_lines_stay_lines() -> None:
    shown = show(responded("Order id: 12345\nStatus: shipped\n- mat\nNotes: none"), NO_COLOR="1")
    assert [line.strip() for line in shown.splitlines() if line] == [
        "Order id: 12345",
        "Status: shipped",
        "• mat",
        "Notes: none",
    ]


def test_code_appears_line_by_line_as_it_is() -> None:
    sink, screen = surface(NO_COLOR="1")
    sink.emit(TextDelta(text="Run:\n\n```sh\nrm  -rf *x*\n"))
    assert screen.getvalue() == "Run:\n\n```sh\nrm  -rf *x*\n"
    sink.emit(TextDelta(text="```\n"))
    assert screen.getvalue().endswith("*x*\n```\n")


def test_links_are_shown_whole_and_never_as_hyperlinks() -> None:
    url = "https://evil.example/" + "a/long/path/" * 12 + "?q=1"
    shown = show(responded(f"see [the docs]({url}) and ![a picture]({url})"))
    assert "\x1b]8" not in shown
    flat = SGR.sub("", shown).replace("\n", "")
    assert flat.count(url) == 2


def test_nothing_of_the_source_is_hidden() -> None:
    source = "<details>inside</details>\n\na <b>bold</b> word\n\n[ref]: http://hidden.example\n"
    shown = SGR.sub("", show(responded(source)))
    for part in ("<details>inside</details>", "<b>bold</b>", "[ref]: http://hidden.example"):
        assert part in shown


def test_the_cells_of_a_table_are_folded_not_cut() -> None:
    url = "https://example.com/" + "x" * 60
    table = f"| name | link |\n|---|---|\n| a | {url} |\n"
    with sized(40, 24, NO_COLOR="1") as (out, screen):
        sink = TerminalText(answer=out, notes=out)
        sink.emit(record(responded(table)))
        shown = screen.getvalue()
    assert max(map(len, shown.splitlines())) <= 40
    assert shown.count("x") == url.count("x")
    assert "…" not in shown


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM_": ""}])
def test_colours_only_where_they_are_welcome(environ: dict[str, str]) -> None:
    source = "# t\n\n**b** `c` [l](http://x.example)\n\n```\ncode\n```\n\n> q\n"
    assert bool(SGR.search(show(responded(source), **environ))) == ("NO_COLOR" not in environ)
    out, screen = outlet(tty=True, term="dumb")
    sink = TerminalText(answer=out, notes=out)
    sink.emit(record(ModelRequested(request_id="r", provider="p", model="m")))
    sink.emit(record(responded(source)))
    assert "\x1b" not in screen.getvalue()


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.sampled_from([*HOSTILE, "\n", "\n\n", "- ", "# ", "> ", "`", "```\n", "| a | b |\n"])
        | st.text(max_size=6),
        max_size=12,
    ),
    st.integers(20, 100),
)
def test_no_text_whatever_brings_more_than_colours(pieces: list[str], width: int) -> None:
    with sized(width, 24) as (out, screen):
        sink = TerminalText(answer=out, notes=out)
        for piece in pieces:
            sink.emit(TextDelta(text=piece))
        sink.emit(record(responded("".join(pieces))))
        sink.close()
        shown = OURS.sub("", screen.getvalue())
    assert not set(FORBIDDEN + "\r") & set(shown)


def test_hostile_text_stays_harmless_in_every_place() -> None:
    for text in HOSTILE:
        call = ToolCall(id="c1", name=text, arguments={text: text})
        sink, screen = surface()
        for event in (
            ModelRequested(request_id="r", provider=text, model=text),
            responded(text, call),
            ToolStarted(
                call_id="c1", server=text, tool=text, fingerprint="f", arguments={text: text}
            ),
            ToolFinished(result=ToolResult(call_id="c1", content=(Text(text=text),))),
            ModelFailed(request_id="r", kind="auth", message=text),
        ):
            sink.emit(record(event))
        sink.emit(ServerLog(server=text, level="error", text=text))
        sink.emit(ToolProgress(call_id="c1", progress=1, message=text))
        sink.emit(ReasoningDelta(text=text))
        sink.close()
        assert not set(FORBIDDEN) & set(OURS.sub("", screen.getvalue()))


def test_cards_stand_between_the_paragraphs_they_happened_between() -> None:
    call = ToolCall(id="c1", name="orders__get", arguments={})
    started = ToolStarted(
        call_id="c1", server="orders", tool="get", fingerprint="f", arguments={"id": 1}
    )
    finished = ToolFinished(result=ToolResult(call_id="c1", content=(Text(text="shipped"),)))
    shown = show(
        TextDelta(text="I look."),
        responded("I look.", call),
        started,
        finished,
        TextDelta(text="Done."),
        responded("Done."),
        NO_COLOR="1",
    )
    assert visible(shown) == [
        "I look.",
        "✓ orders · get  id=1  0.00 s  shipped",
        "Done.",
    ]


def test_an_answer_that_breaks_off_is_shown_as_far_as_it_came() -> None:
    shown = show(
        TextDelta(text="half an ans"),
        ModelFailed(request_id="r", kind="timeout", message="no more"),
        NO_COLOR="1",
    )
    assert shown == "half an ans\n✗ model: timeout: no more\n"
    assert show(TextDelta(text="half"), Interrupted(by="a"), NO_COLOR="1") == (
        "half\n· interrupted\n"
    )


def test_an_answer_that_was_interrupted_is_shown_once() -> None:
    shown = show(
        TextDelta(text="half an ans"),
        Interrupted(by="a"),
        responded("half an ans"),
        ModelRequested(request_id="r2", provider="p", model="m"),
        responded("a whole one"),
        NO_COLOR="1",
    )
    assert visible(shown) == ["half an ans", "· interrupted", "a whole one"]


def test_the_sign_of_life_is_shown_and_leaves_no_trace() -> None:
    sink, screen = surface(NO_COLOR="1")
    seen: list[str] = []

    async def work() -> None:
        sink.emit(record(ModelRequested(request_id="r", provider="p", model="big-model")))
        seen.append(screen.getvalue())
        sink.emit(TextDelta(text="some words"))
        await asyncio.sleep(0)
        sink.emit(record(responded("some words")))
        started = ToolStarted(
            call_id="c1", server="orders", tool="get", fingerprint="f", arguments={}
        )
        sink.emit(record(started))
        sink.emit(record(RunEnded(reason="failed")))
        result = ToolResult(call_id="c1", content=(Text(text="ok"),))
        sink.emit(record(ToolFinished(result=result)))

    asyncio.run(work())
    assert "asking big-model" in seen[0]
    assert visible(screen.getvalue()) == [
        "some words",
        "✓ orders · get  0.00 s  ok",
    ]


def test_the_sign_of_life_tells_what_a_server_says_of_its_progress() -> None:
    sink, screen = surface(NO_COLOR="1")
    sink.emit(
        record(
            ToolStarted(call_id="c1", server="orders", tool="get", fingerprint="f", arguments={})
        )
    )
    sink.emit(ToolProgress(call_id="c1", progress=3, total=10, message="counting"))
    sink._turn()
    assert "orders · get  ███░░░░░░░ 30 %  counting" in screen.getvalue()
    sink.close()


def test_a_screen_that_changes_its_size_is_used_as_it_is() -> None:
    text = "word " * 40
    for width in (20, 40, 100):
        lines = render(text, width, styled=False).splitlines()
        assert max(map(len, lines)) <= width
        assert "".join(lines).count("word") == 40


def test_the_work_of_drawing_tokens_is_linear() -> None:
    def cost(tokens: int) -> int:
        sink, _ = surface()

        async def stream() -> None:
            for n in range(tokens):
                sink.emit(TextDelta(text="token " if n % 100 else "\n\nparagraph "))
                if n % 20 == 0:
                    await asyncio.sleep(0)

        def draw() -> None:
            asyncio.run(stream())
            sink.emit(record(responded("x")))

        return calls(draw)

    cost(500)
    small, large = cost(5_000), cost(20_000)
    assert large < 5 * small
    assert large < 20_000 * 400
