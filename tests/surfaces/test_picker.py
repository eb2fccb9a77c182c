import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from agent_host.core.errors import UsageError
from agent_host.surfaces.chat_around import RunInfo
from agent_host.surfaces.picker import RunPicker
from tests.fakes.screens import FORBIDDEN, HOSTILE

RUNS = [
    RunInfo(run_id=f"r{n}", when="2026-11-25T10:00:00Z", title=f"title {n}", about="1 answer")
    for n in range(40)
]


class Screen(DummyOutput):
    """A screen of some size."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._size = Size(rows=rows, columns=columns)

    def get_size(self) -> Size:
        return self._size


@contextlib.contextmanager
def typing(screen: Screen | None = None) -> Iterator[PipeInput]:
    with (
        create_pipe_input() as keys,
        create_app_session(input=keys, output=screen or Screen()),
    ):
        yield keys


async def find(words: str, limit: int) -> tuple[Sequence[RunInfo], int]:
    found = [run for run in RUNS if words in run.title]
    return found[:limit], len(found)


def text(picker: RunPicker) -> str:
    pieces = [*picker._rows(), ("", "\n"), *picker._told(), ("", "\n"), *picker._hint()]
    return "".join(piece[1] for piece in pieces)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0)


def pick(
    *steps: tuple[Callable[[RunPicker], bool], str], screen: Screen | None = None, **options: object
) -> RunInfo | None:
    """Type each text once what is before it is true."""

    async def run() -> RunInfo | None:
        with typing(screen) as keys:
            picker = RunPicker(options.pop("find", find), **options)  # type: ignore[arg-type]
            async with asyncio.TaskGroup() as group:
                chosen = group.create_task(picker.run())
                for ready, typed in steps:
                    await until(lambda ready=ready: ready(picker))  # type: ignore[misc]
                    keys.send_text(typed)
                return await chosen

    return asyncio.run(run())


def shows(*words: str) -> Callable[[RunPicker], bool]:
    return lambda picker: all(word in text(picker) for word in words)


def test_a_run_is_chosen_with_arrows_and_enter() -> None:
    marked = shows("> 2026-11-25 10:00  title 2  (1 answer)")
    chosen = pick((shows("1 of 40"), "\x1b[B\x1b[B"), (marked, "\r"))
    assert chosen == RUNS[2]


def test_the_run_of_the_chat_itself_is_not_offered() -> None:
    chosen = pick((shows("1 of 39", "title 1"), "\r"), current="r0")
    assert chosen == RUNS[1]


def test_words_search_while_they_are_typed_and_what_was_found_is_shown() -> None:
    found = RunInfo(run_id="f", when="2026-11-25", title="a refund", found="turn 3, model: zebra")

    async def search(words: str, limit: int) -> tuple[Sequence[RunInfo], int]:
        return ([found], 1) if words == "zeb" else await find("", limit)

    chosen = pick(
        (shows("1 of 40"), "zeb"),
        (shows("1 of 1", "    turn 3, model: zebra"), "\r"),
        find=search,
    )
    assert chosen == found


@pytest.mark.parametrize("key", ["\x1b", "\x03", "\x04"])
def test_esc_ctrl_c_and_ctrl_d_choose_nothing(key: str) -> None:
    assert pick((shows("1 of 40"), key)) is None


def test_a_slow_search_holds_up_no_key_and_the_newest_words_win() -> None:
    """The answer to `t` comes when `title 3` stands there: it is not shown, and no choice."""
    slow = asyncio.Event()
    asked: list[str] = []

    async def search(words: str, limit: int) -> tuple[Sequence[RunInfo], int]:
        asked.append(words)
        if words == "t":
            await slow.wait()
            return [RunInfo(run_id="old", title="an old answer")], 1
        return await find(words, limit)

    def later(picker: RunPicker) -> bool:
        if picker._buffer.text == "title 39":
            assert "searching" in text(picker)
            assert "old answer" not in text(picker)
            slow.set()
            return True
        return False

    chosen = pick(
        (shows("1 of 40"), "t"),
        (lambda _: asked[-1] == "t", "itle 39\r"),
        (later, ""),
        (shows("1 of 1", "title 39"), "\r"),
        find=search,
    )
    assert chosen is not None
    assert chosen.run_id == "r39"
    assert asked == ["", "t", "title 39"]


def test_a_search_that_fails_says_why_and_the_next_one_goes_on() -> None:
    async def search(words: str, limit: int) -> tuple[Sequence[RunInfo], int]:
        if words == "x":
            raise UsageError("the folder is gone")
        return await find(words, limit)

    steps = ((shows("1 of 40"), "x"), (shows("the folder is gone"), "\x7f"), (shows("1 of"), "\r"))
    assert pick(*steps, find=search) == RUNS[0]


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 24), (40, 8), (20, 5)])
def test_it_fits_any_screen_and_the_chosen_run_is_always_seen(columns: int, rows: int) -> None:
    screen = Screen(columns, rows)

    def fits(picker: RunPicker) -> bool:
        lines = text(picker).splitlines()
        assert all(len(line) <= columns for line in lines)
        assert len(lines) + 1 <= max(rows, 5)
        return "> " in text(picker) and "title 3" in text(picker)

    down = "\x1b[6~" * 6
    assert pick((shows("of 40"), down), (fits, "\r"), screen=screen) is not None


def test_nothing_that_was_said_reaches_the_terminal_unclean() -> None:
    runs = [RunInfo(run_id=str(n), title=t, about=t, found=t) for n, t in enumerate(HOSTILE)]

    async def search(words: str, limit: int) -> tuple[Sequence[RunInfo], int]:
        return runs, len(runs)

    def clean(picker: RunPicker) -> bool:
        seen = text(picker)
        assert not any(c in seen.replace("\n", "") for c in FORBIDDEN)
        return "1 of" in seen

    assert pick((clean, "\x1b"), find=search) is None
