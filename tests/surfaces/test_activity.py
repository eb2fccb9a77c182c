"""What is under way at a terminal: the foot of the screen, and lines where nothing moves."""

import asyncio
import time
from collections.abc import Sequence
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.events import (
    ConversationRewound,
    Ephemeral,
    Event,
    Interrupted,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolFinished,
    ToolPaused,
    ToolProgress,
    ToolStarted,
)
from agent_host.core.types import (
    Message,
    Origin,
    Reasoning,
    ServerRequest,
    Text,
    ToolCall,
    ToolResult,
)
from agent_host.surfaces.preferences import TerminalPreferences
from agent_host.surfaces.terminal import TerminalText
from tests.fakes.screens import FORBIDDEN, HOSTILE, Screen, outlet, record, says, sized
from tests.fakes.work import calls
from tests.surfaces.test_terminal import OURS, Watched

ASKED = ModelRequested(request_id="r", provider="p", model="big")
Item = Event | Ephemeral
EPHEMERAL = (TextDelta, ReasoningDelta, ToolArgumentsDelta, ToolProgress)


def started(call_id: str = "c1", **arguments: str) -> ToolStarted:
    return ToolStarted(
        call_id=call_id, server="mill", tool="grind", fingerprint="f", arguments=dict(arguments)
    )


def finished(call_id: str = "c1", text: str = "flour") -> ToolFinished:
    return ToolFinished(result=ToolResult(call_id=call_id, content=(Text(text=text),)))


def answered(text: str, *calls: ToolCall, thought: str = "") -> ModelResponded:
    blocks = (Reasoning(text=thought),) if thought else ()
    said = says(text, *calls)
    origin = Origin(provider="p", model="m", adapter="script")
    message = Message(role="assistant", content=(*blocks, *said.content), origin=origin)
    return ModelResponded(request_id="r", message=message, stop_reason="end_turn")


class Stage:
    """A terminal's surface with a clock that is set by hand, and the screen that shows it."""

    def __init__(self, columns: int = 80, lines: int = 24, **preferences: object) -> None:
        self.now = 0.0
        self.columns, self.lines = columns, lines
        self._context = sized(columns, lines, NO_COLOR="1")
        self.outlet, self.written = self._context.__enter__()
        chosen = TerminalPreferences(**preferences)  # type: ignore[arg-type]
        self.sink = TerminalText(
            answer=self.outlet, notes=self.outlet, preferences=chosen, now=lambda: self.now
        )
        self._watched = Watched(columns, lines)
        self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)

    def emit(self, *items: Item) -> None:
        for item in items:
            self.sink.emit(item if isinstance(item, EPHEMERAL) else record(item))

    @property
    def seen(self) -> list[str]:
        text = self.written.getvalue()
        self._watched.feed(text[self._read :])
        self._read = len(text)
        return [line for line in self._watched.lines if line.strip()]

    @property
    def finished(self) -> list[str]:
        """What stands above the foot, for good."""
        foot = [line for line in self.sink._foot().split("\n") if line.strip()]
        seen = self.seen
        if not self.outlet._transient:
            return seen
        assert [line.rstrip() for line in foot] == seen[len(seen) - len(foot) :]
        return seen[: len(seen) - len(foot)]


def test_reasoning_is_seen_while_it_comes_and_folded_when_it_is_over() -> None:
    with Stage() as stage:
        stage.emit(ASKED, ReasoningDelta(text="First I look\nat the order. "))
        stage.now = 12.0
        stage.emit(ReasoningDelta(text="Then I answer."))
        stage.sink._turn()
        assert stage.seen == [
            "First I look",
            "at the order. Then I answer.",
            "⠋ thinking  12 s  9 words",
        ]
        stage.emit(TextDelta(text="Shipped."))
        stage.emit(answered("Shipped.", thought="First I look ..."))
        assert stage.seen == ["· thought for 12 s (9 words)", "Shipped."]


def test_reasoning_that_was_not_streamed_is_folded_too() -> None:
    with Stage() as stage:
        stage.sink.number_calls(lambda: 0)
        stage.emit(ASKED, answered("Shipped.", thought="I look. " * 50))
        assert stage.seen == ["· thought (100 words); /reasoning shows it", "Shipped."]


def test_reasoning_is_shown_or_hidden_as_its_reader_wants() -> None:
    items = (ASKED, ReasoningDelta(text="one\ntwo"), TextDelta(text="So."), answered("So."))
    with Stage(reasoning="shown") as stage:
        stage.emit(*items)
        assert stage.seen == ["│ one", "│ two", "So."]
    with Stage(reasoning="hidden") as stage:
        stage.emit(*items)
        assert stage.seen == ["So."]
    with Stage(reasoning="shown") as stage:
        stage.emit(ASKED, answered("So.", thought="one\ntwo"))
        assert stage.seen == ["│ one", "│ two", "So."]


def test_reasoning_between_texts_stays_between_them() -> None:
    with Stage() as stage:
        stage.emit(
            ASKED, TextDelta(text="before"), ReasoningDelta(text="hm"), TextDelta(text="after")
        )
        stage.emit(answered("before after"))
        assert stage.seen == ["before", "· thought (1 word)", "after"]


def test_parallel_calls_each_have_a_line_and_are_one_line_each_when_they_are_over() -> None:
    with Stage() as stage:
        stage.emit(ASKED, answered("Both.", ToolCall(id="a", name="x", arguments={})))
        stage.emit(started("a", what="corn"), started("b"))
        stage.emit(ToolProgress(call_id="a", progress=1, total=4, message="first sack"))
        stage.now = 3.0
        stage.sink._turn()
        assert stage.seen == [
            "Both.",
            '⠴ mill · grind  what="corn"  3 s  ██░░░░░░░░ 25 %  first sack',
            "⠴ mill · grind  3 s",
        ]
        stage.emit(finished("b", "husks"))
        assert stage.finished == ["Both.", "✓ mill · grind  0.00 s  husks"]
        stage.emit(finished("a"))
        assert stage.seen == [
            "Both.",
            "✓ mill · grind  0.00 s  husks",
            '✓ mill · grind  what="corn"  0.00 s  flour',
        ]


def test_a_call_that_waits_for_an_answer_says_so() -> None:
    with Stage() as stage:
        stage.emit(started())
        request = ServerRequest(method="m", params={})
        stage.emit(ToolPaused(call_id="c1", requests=(request, request)))
        assert stage.seen[-1] == "? mill · grind  waits for 2 answers"
        stage.emit(started())
        stage.sink._turn()
        assert stage.seen[-1] == "⠋ mill · grind"


def test_arguments_that_are_being_written_are_a_sign_of_life() -> None:
    with Stage() as stage:
        stage.emit(ASKED)
        for _ in range(3):
            stage.emit(ToolArgumentsDelta(index=0, name="mill__grind", text="x" * 500))
        stage.sink._turn()
        assert stage.seen == ["⠋ writing mill__grind  1,500 characters"]


def test_calls_are_numbered_as_the_conversation_counts_them() -> None:
    asked = [5]
    with Stage() as stage:
        stage.sink.number_calls(lambda: asked[0])
        two = [ToolCall(id=c, name="x", arguments={}) for c in "ab"]
        stage.emit(answered("", *two), started("b"), finished("b"), started("a"), finished("a"))
        asked[0] = 99  # it is not asked again
        stage.emit(answered("", ToolCall(id="c", name="x", arguments={})), started("c"))
        stage.emit(finished("c"))
        assert [line[:5] for line in stage.seen] == ["✓ #5 ", "✓ #4 ", "✓ #6 "]
        asked[0] = 1
        stage.emit(ConversationRewound(messages=2, by="a"))
        stage.emit(answered("", ToolCall(id="d", name="x", arguments={})), started("d"))
        stage.emit(finished("d"))
        assert stage.seen[-1].startswith("✓ #1 ")


@pytest.mark.parametrize("how", [{"spinner": False}, {}])
def test_where_nothing_moves_changes_are_lines(how: dict[str, bool]) -> None:
    out, written = outlet(tty=True, term="xterm" if how else "dumb", NO_COLOR="1")
    sink = TerminalText(answer=out, notes=out, preferences=TerminalPreferences(**how))
    for event in (ASKED, answered("Both."), started(what="corn")):
        sink.emit(record(event))
    for done in range(101):
        sink.emit(ToolProgress(call_id="c1", progress=done, total=100, message="sack"))
        sink.emit(ToolProgress(call_id="nobody", progress=done, total=100))
    sink.emit(record(finished()))
    sink.close()
    assert written.getvalue().splitlines() == [
        "· asking big",
        "Both.",
        '→ mill · grind  what="corn"',
        "· mill · grind  25 % done  sack",
        "· mill · grind  50 % done  sack",
        "· mill · grind  75 % done  sack",
        "← mill · grind  0.00 s  flour",
    ]


def test_an_app_at_the_bottom_of_the_screen_draws_the_picture_itself() -> None:
    with Stage() as stage:
        above: list[str] = []
        stage.outlet.above = above.append
        told: list[int] = []
        stage.sink.live.changed = lambda: told.append(1)
        stage.emit(ASKED, TextDelta(text="A.\n\nB"), answered("A.\n\nB"), started(), finished())
        assert stage.written.getvalue() == ""
        assert "".join(above) == "A.\n\nB\n✓ mill · grind  0.00 s  flour\n"
        assert told
        assert not stage.sink.live.busy


def test_the_foot_leaves_room_on_a_low_screen() -> None:
    with Stage(40, 6) as stage:
        stage.emit(*(started(str(n)) for n in range(9)))
        stage.sink._turn()
        assert stage.seen == ["⠋ mill · grind", "  … and 8 more running"]
        stage.sink.close()
        assert stage.seen == []


def test_an_interruption_leaves_nothing_under_way() -> None:
    for last in (Interrupted(by="a"), ModelFailed(request_id="r", kind="timeout", message="late")):
        with Stage() as stage:
            stage.emit(ASKED, ReasoningDelta(text="so"), TextDelta(text="half"), last)
            assert not stage.sink.live.busy
            assert stage.seen[:2] == ["· thought (1 word)", "half"]
            assert len(stage.seen) == 3


SAID = st.lists(
    st.sampled_from(
        [
            ASKED,
            TextDelta(text="some words "),
            TextDelta(text="\n\n"),
            TextDelta(text="- item\n"),
            TextDelta(text="```py\nx = 1\n"),
            TextDelta(text="```\n"),
            TextDelta(text="| a | b |\n|---|---|\n| 日本語 | ⚠️ |\n"),
            TextDelta(text="long " * 60),
            TextDelta(text="日本語" * 40),
            ReasoningDelta(text="hm, let me see "),
            started("a", what="corn"),
            started("b"),
            finished("a"),
            finished("b", "husks " * 40),
            ToolProgress(call_id="a", progress=1, total=3, message="日本語 " * 30),
            Interrupted(by="a"),
            answered("some words "),
            *(TextDelta(text=text) for text in HOSTILE),
            *(ReasoningDelta(text=text) for text in HOSTILE),
            *(ToolProgress(call_id="a", progress=1, message=text) for text in HOSTILE),
            *(finished("a", text) for text in HOSTILE),
        ]
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=150)
@given(SAID, st.sampled_from([(80, 24), (40, 24), (40, 10), (20, 8)]))
def test_what_was_written_once_stays_as_it_is_and_the_foot_leaves_no_trace(
    items: Sequence[Item], size: tuple[int, int]
) -> None:
    with Stage(*size) as stage:
        before: list[str] = []
        for item in items:
            stage.emit(item)
            stage.now += 0.5
            if stage.sink.live.busy:
                stage.sink._turn()
            now = stage.finished
            assert now[: len(before)] == before
            before = now
        stage.sink.close()
        assert stage.seen[: len(before)] == before
        shown = OURS.sub("", stage.written.getvalue())
        assert not set(FORBIDDEN) & set(shown)


def test_a_flood_of_calls_and_progress_is_cheap() -> None:
    def cost(many: int) -> int:
        out, _ = outlet(tty=True)
        sink = TerminalText(answer=out, notes=out)

        def flood() -> None:
            for number in range(many // 250):
                sink.emit(record(started(str(number))))
            for number in range(many):
                done = ToolProgress(call_id=str(number % 200), progress=number, total=many)
                sink.emit(done)
            for number in range(many // 250):
                sink.emit(record(finished(str(number))))

        return calls(flood)

    cost(500)
    small, large = cost(5_000), cost(50_000)
    assert large < 14 * small
    assert large < 50_000 * 60


def test_a_slow_terminal_gets_fewer_frames() -> None:
    async def watch(seconds: float) -> float:
        clock = [0.0]
        out, _ = outlet(tty=True)
        sink = TerminalText(answer=out, notes=out, now=lambda: clock[0])
        plain = out.show_transient

        def slow(text: str) -> None:
            clock[0] += seconds
            plain(text)

        out.show_transient = slow  # type: ignore[method-assign]
        sink.emit(record(ASKED))
        assert sink._timer is not None
        pause = sink._timer.when() - asyncio.get_running_loop().time()
        sink.close()
        return pause

    assert asyncio.run(watch(0.0)) < 0.13
    assert asyncio.run(watch(0.5)) > 4.0


def test_the_clock_is_a_real_one_by_default() -> None:
    out, _ = outlet(tty=True)
    assert TerminalText(answer=out, notes=out)._now is time.monotonic


def test_nothing_hostile_is_drawn_at_the_foot() -> None:
    for text in HOSTILE:
        screen: Screen
        out, screen = outlet(tty=True)
        sink = TerminalText(answer=out, notes=out)
        sink.emit(record(ModelRequested(request_id="r", provider=text, model=text)))
        sink._turn()
        sink.emit(ToolArgumentsDelta(index=0, name=text, text=text))
        sink._turn()
        sink.emit(record(started("c", k=text)))
        sink.emit(ToolProgress(call_id="c", progress=1, total=2, message=text))
        sink.emit(ReasoningDelta(text=text))
        sink._turn()
        assert not set(FORBIDDEN) & set(OURS.sub("", screen.getvalue()))
