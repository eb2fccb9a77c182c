import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.surfaces.cells import Line, fit, plain, rows, width_of
from agent_host.surfaces.live import Live, elapsed
from tests.fakes.screens import FORBIDDEN, HOSTILE
from tests.fakes.work import calls

WORDS = (
    st.sampled_from([*HOSTILE, "日本語", "👩‍👩‍👧‍👦 ⚠️", "e" + "\u0301" * 300, "x" * 500, ""])
    | st.text()
)


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for _, text in line) for line in lines]


def shown(live: Live, width: int = 80, now: float = 0.0, height: int = 8) -> list[str]:
    return texts(live.lines(width, now, height))


def test_nothing_is_shown_where_nothing_is_under_way() -> None:
    live = Live()
    assert shown(live) == []
    assert not live.busy


def test_what_the_model_does_is_a_line_with_the_time_it_takes() -> None:
    live = Live()
    live.work("asking big-model", 10.0)
    assert shown(live, now=10.5) == ["⠧ asking big-model"]
    assert "asking big-model  12 s" in shown(live, now=22.0)[0]
    live.work("asking big-model", 20.0, note="again")
    assert "12 s  again" in shown(live, now=22.0)[0]
    live.rest()
    assert shown(live) == []


def test_each_running_call_has_its_line_with_progress_and_message() -> None:
    live = Live()
    live.start("a", "orders · get", "id=1", 0.0)
    live.start("b", "mill · grind", 'what="corn"', 2.0)
    live.progress("b", 3, 10, "half a sack")
    live.progress("unknown", 1, 2, "nothing")
    first, second = shown(live, now=5.0)
    assert first.endswith(" orders · get  id=1  5 s")
    assert second.endswith('mill · grind  what="corn"  3 s  ███░░░░░░░ 30 %  half a sack')
    live.finish("a")
    live.finish("a")
    assert len(shown(live)) == 1


def test_progress_without_a_sound_total_is_a_number_or_nothing() -> None:
    live = Live()
    live.start("a", "s · t", "", 0.0)
    for total in (None, 0, -5, float("nan"), float("inf")):
        live.progress("a", 7, total, "")
        assert shown(live)[0].endswith("s · t  7")
    live.progress("a", float("nan"), 10, "lost")
    assert shown(live)[0].endswith("s · t  lost")
    live.progress("a", 400, 10, "")
    assert shown(live)[0].endswith("██████████ 100 %")
    live.progress("a", -4, 10, "")
    assert shown(live, 40)[0].endswith(" 0 %")


def test_on_a_narrow_screen_the_name_has_half_and_the_message_gives_way() -> None:
    live = Live()
    live.start("a", "mill · slow_grind", "id=1", 0.0)
    live.progress("a", 1, 2, "half of all the corn")
    assert [shown(live, width, 3.0)[0][2:] for width in (60, 40, 30, 20, 12)] == [
        "mill · slow_grind  3 s  █████░░░░░ 50 %  half of all the …",
        "mill · slow_grind  3 s  50 %  half of…",
        "mill · slow_grind  3 s  50 %",
        "mill · slow_…  3 s",
        "mill · sl…",
    ]


def test_a_call_that_waits_says_for_what_and_does_not_turn() -> None:
    live = Live()
    live.start("a", "s · t", "", 0.0)
    live.pause("a", "waits for 1 answer")
    live.pause("b", "nobody")
    assert shown(live, now=0.0) == shown(live, now=0.5) == ["? s · t  waits for 1 answer"]


def test_a_flood_of_calls_is_counted() -> None:
    live = Live()
    for number in range(200):
        live.start(str(number), f"s · t{number}", "", 0.0)
    assert len(shown(live)) == 4
    assert shown(live)[-1].strip() == "… and 197 more running"
    assert shown(live, height=1) == ["  … and 199 more running"]


def test_the_end_of_an_unfinished_text_is_seen_in_a_few_lines() -> None:
    live = Live()
    live.work("writing", 0.0)
    live.show_tail(lambda: "one " * 500 + "the end")
    lines = shown(live, 40)
    assert len(lines) == 5
    assert "the end" in " ".join(lines[-3:-1])
    assert lines[-1].endswith("writing")
    live.rest()
    assert shown(live) == []


def test_messages_that_wait_are_shown_and_counted() -> None:
    live = Live()
    live.queue(["first\nwith a line", "second", "third", "fourth"])
    assert shown(live) == ["queued first with a line", "queued second", "… and 2 more queued"]
    live.work("asking", 0.0)
    live.clear()
    assert len(shown(live)) == 3
    live.queue([])
    assert shown(live) == []


def test_whoever_draws_is_told_of_each_change() -> None:
    live, told = Live(), []
    live.changed = lambda: told.append(1)
    live.work("asking", 0.0)
    live.start("a", "s · t", "", 0.0)
    live.progress("a", 1, 2, "")
    live.pause("a", "waits")
    live.show_tail(lambda: "x")
    live.queue(["q"])
    live.finish("a")
    live.rest()
    live.clear()
    assert len(told) == 9


def test_nothing_moves_for_who_cannot_use_it() -> None:
    live = Live(still=True)
    live.work("asking", 0.0)
    live.start("a", "s · t", "", 0.0)
    assert shown(live) == []


@given(WORDS, WORDS, WORDS, st.integers(1, 130), st.integers(0, 12))
def test_no_line_is_wider_than_the_screen_and_nothing_in_it_does_anything(
    one: str, two: str, three: str, width: int, height: int
) -> None:
    live = Live()
    live.work(one, 0.0, note=two)
    live.show_tail(lambda: three + one)
    for number in range(6):
        live.start(str(number), one, two, 0.0)
        live.progress(str(number), 1, 3, three)
    live.pause("2", one)
    live.queue([one, two, three])
    lines = shown(live, width, 100.0, height)
    assert len(lines) <= height
    for line in lines:
        assert width_of(line) <= max(width, 2)
        assert not set(FORBIDDEN + "\n\r\t") & set(line)


@given(WORDS, st.integers(2, 60))
def test_rows_lose_nothing_but_blanks_at_their_ends(text: str, width: int) -> None:
    parts = list(rows(text, width))
    assert all(width_of(part) <= width for part in parts)
    lines = map(plain, text.split("\n"))
    assert "".join(parts).replace(" ", "") == "".join(lines).replace(" ", "")


def test_a_word_that_follows_a_blank_is_broken_where_it_has_to_be() -> None:
    assert list(rows("a 000000⿰𠀀", 9)) == ["a", "000000⿰", "𠀀"]


def test_a_picture_costs_the_same_whatever_has_happened() -> None:
    def cost(flood: int) -> int:
        live = Live()
        live.work("w" * flood, 0.0)
        for number in range(flood):
            live.start(str(number), "s · t", "a" * 50, 0.0)
        live.start("long", "t" * flood, "a" * flood, 0.0)
        for _ in range(flood):
            live.progress("0", 1, 2, "m" * flood)
        live.show_tail(lambda: "word " * flood)
        return calls(lambda: live.lines(80, 1.0))

    cost(10)
    assert cost(5_000) < cost(500) * 1.5


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, ""),
        (0.9, ""),
        (59.9, "59 s"),
        (65, "1 m 05 s"),
        (3600, "1 h 00 m"),
        (90_000, "25 h 00 m"),
    ],
)
def test_times_are_said_in_words_of_people(seconds: float, said: str) -> None:
    assert elapsed(seconds) == said


def test_text_is_cut_where_a_wide_character_would_stand_half() -> None:
    assert fit("日本語", 6) == "日本語"
    assert fit("日本語", 5) == "日本…"
    assert fit("日本語", 4) == "日…"
    assert fit("abc", 0) == ""
    assert fit("a" + "\u0301" * 50 + "b", 20) == "a" + "\u0301" * 6 + "[+44 marks]b"
    assert fit("a" + "\u0301" * 500, 20) == "a" + "\u0301" * 6 + "[+93 marks]…"
