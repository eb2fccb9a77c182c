"""Everything untrusted is made visible before it is shown."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from agent_host.core.text import clean, clean_line, clip


def test_escape_sequences_bidi_overrides_and_tags_become_visible():
    text = "\x1b]52;c;AAAA\x07 \x9b2J \u202egnp.exe \U000e0041 \u200b"
    shown = clean(text)
    assert "\\u{1b}]52" in shown
    assert "\\u{202e}gnp" in shown
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in shown)


def test_carriage_returns_cannot_overwrite_a_line():
    assert clean("safe\rEVIL\r\nnext") == "safe\nEVIL\nnext"


def test_newlines_and_tabs_stay():
    assert clean("a\n\tb") == "a\n\tb"


def test_one_line_text_has_no_breaks_and_is_visibly_cut():
    assert clean_line("a\nb\r\tc") == "a b  c"
    assert clean_line("x" * 10, 5) == "xxxx…"


def test_text_within_the_limit_is_not_clipped():
    assert clip("abc", 3) == "abc"
    assert clip("abc", 0) == "…"


@given(st.text(alphabet=st.characters(), max_size=60))
def test_no_control_format_or_surrogate_character_survives(text):
    for char in clean(text):
        category = unicodedata.category(char)
        assert char in "\n\t" or category not in {"Cc", "Cs"}
        assert category != "Cf" or unicodedata.bidirectional(char) not in {
            "BN",
            "RLO",
            "LRO",
            "RLE",
        }


@given(st.text(alphabet=st.characters(), max_size=60))
def test_cleaning_twice_changes_nothing(text):
    assert clean(clean(text)) == clean(text)
