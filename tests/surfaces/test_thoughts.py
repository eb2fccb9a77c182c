import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent_host.surfaces.thoughts import Thoughts


def test_a_thought_is_one_line_with_its_time_and_its_words() -> None:
    thoughts = Thoughts("folded")
    assert thoughts.feed("let me th", 10.0) == []
    assert thoughts.feed("ink about it", 12.0) == []
    assert (thoughts.under_way, thoughts.tail(), thoughts.note) == (
        True,
        "let me think about it",
        "5 words",
    )
    assert thoughts.end(22.0) == ([], "thought for 12 s (5 words)")
    assert not thoughts.under_way
    assert thoughts.end(23.0) == ([], "")
    assert thoughts.feed("again", 30.0) == []
    assert thoughts.end(30.1) == ([], "thought (1 word)")


def test_a_thought_is_shown_line_by_line_where_that_is_wanted() -> None:
    thoughts = Thoughts("shown")
    assert thoughts.feed("one\ntw", 0.0) == ["one"]
    assert thoughts.tail() == ""
    assert thoughts.feed("o\n\nthree", 0.0) == ["two", ""]
    assert thoughts.end(0.0) == (["three"], "")
    assert len(thoughts.feed("x" * 5000, 0.0)) == 1


def test_a_thought_is_hidden_where_that_is_wanted() -> None:
    thoughts = Thoughts("hidden")
    assert thoughts.feed("one\ntwo\n", 0.0) == []
    assert (thoughts.tail(), thoughts.note) == ("", "")
    assert thoughts.end(9.0) == ([], "")


def test_nothing_thought_is_nothing_said() -> None:
    thoughts = Thoughts("folded")
    thoughts.feed("", 0.0)
    assert thoughts.end(9.0) == ([], "")


@given(st.text(st.sampled_from("ab \n"), max_size=60), st.lists(st.integers(0, 60)))
def test_words_are_counted_however_they_come(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    thoughts = Thoughts("folded")
    for start, end in itertools.pairwise(places):
        thoughts.feed(text[start:end], 0.0)
    count = len(text.split())
    said = f"thought ({count} word{'' if count == 1 else 's'})" if count else ""
    assert thoughts.end(0.0) == ([], said)


def test_what_is_kept_of_a_thought_is_bounded() -> None:
    thoughts = Thoughts("folded")
    for _ in range(1000):
        thoughts.feed("word " * 10, 0.0)
    assert len(thoughts.tail()) == 1000
    assert thoughts.note == "10,000 words"


def test_a_thought_cannot_do_anything() -> None:
    thoughts = Thoughts("shown")
    lines = thoughts.feed("\x1b]0;x\x07\u202e\n", 0.0)
    assert lines == ["\\u{1b}]0;x\\u{7}\\u{202e}"]
