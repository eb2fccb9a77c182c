from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.text import clean
from agent_host.surfaces.prose import ProseStream, clean_prose
from tests.fakes.screens import FORBIDDEN, HOSTILE

EMOJI = ("⚠️", "👨‍👩‍👧", "👍🏽", "1️⃣", "❤️‍🔥")
PIECES = st.lists(
    st.sampled_from([*HOSTILE, *EMOJI, "\ufe0f", "\u200d", "\r", "\n", "\r\n", "7", "a"])
)


def test_an_emoji_stays_an_emoji() -> None:
    for emoji in EMOJI:
        assert clean_prose(f"a {emoji} b") == f"a {emoji} b"


def test_a_selector_or_joiner_anywhere_else_is_shown() -> None:
    assert clean_prose("a\ufe0fb\u200dc ⚠️\ufe0f") == "a\\u{fe0f}b\\u{200d}c ⚠️\\u{fe0f}"


def test_nothing_hostile_gets_through() -> None:
    for text in HOSTILE:
        shown = clean_prose(f"⚠️ {text}")
        assert not set(FORBIDDEN) & set(shown)
        assert shown == f"⚠️ {clean(text)}"


@settings(deadline=None, max_examples=200)
@given(PIECES)
def test_pieces_show_the_same_as_the_whole(pieces: list[str]) -> None:
    stream = ProseStream()
    shown = "".join(map(stream.feed, pieces)) + stream.finish()
    assert shown == clean_prose("".join(pieces))
    assert not set(FORBIDDEN) & set(shown)


def test_only_what_may_still_change_is_held_back() -> None:
    stream = ProseStream()
    assert stream.feed("it costs 12345") == "it costs 1234"
    assert stream.feed(" euro") == "5 euro"
    assert stream.feed("⚠") == ""
    assert stream.feed("️") == ""
    assert stream.finish() == "⚠️"


def test_a_pile_of_marks_is_cut_and_counted_and_a_language_is_not() -> None:
    zalgo = "Z" + "\u0301\u0327" * 500 + "algo"
    assert clean_prose(zalgo) == "Z" + "\u0301\u0327" * 3 + "[+994 marks]algo"
    for text in ("ả̂ñ", "ภาษาไทยที่นี่", "עִבְרִית", "العَرَبِيَّة", "नमस्ते"):
        assert clean_prose(text) == text
    stream = ProseStream()
    whole = "".join(stream.feed(piece) for piece in zalgo) + stream.finish()
    assert clean_prose(whole) == clean_prose(zalgo)
