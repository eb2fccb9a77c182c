"""Letters that only look like others are seen where they stand in a word."""

import time

import pytest

from agent_host.surfaces.arguments import editable, tree
from agent_host.surfaces.lookalikes import visible
from agent_host.surfaces.question import shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("p\u0430ypal.com", "p\\u{430}ypal.com"),
        ("user@ex\u0430mple.org", "user@ex\\u{430}mple.org"),
        ("\u03c1aypal", "\\u{3c1}aypal"),
        ("\uff50aypal", "\\u{ff50}aypal"),
        ("\U0001d41abc", "\\u{1d41a}bc"),
        ("rm \u0430b and \u043f\u0440\u0438\u0432\u0435\u0442", None),
    ],
)
def test_a_letter_of_another_alphabet_in_a_latin_word_is_seen(text: str, seen: str | None) -> None:
    assert visible(text) == (seen or text.replace("\u0430b", "\\u{430}b"))


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "größe café naïve Ångström",
        "Привет, мир",
        "αβγ",
        "Tシャツ",
        "中文abc",
        "m²",
        "naïve-тест",
        "",
    ],
)
def test_text_of_any_language_reads_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_what_is_escaped_is_escaped_once_and_everywhere_on_the_screen() -> None:
    once = shown("p\u0430y\u202e")
    assert once == "p\\u{430}y\\u{202e}"
    assert shown(once) == once
    lines = "\n".join(tree({"n\u0430me": "p\u0430y", "t": "a\np\u0430y"}, 80, whole=True).lines)
    assert "\u0430" not in lines
    assert "\u0430" not in editable({"a": "p\u0430y"})


def test_long_text_is_looked_at_in_linear_time() -> None:
    began = time.process_time()
    visible("é" + "a" * 1_000_000)
    visible("a" * 1_000_000 + " é")
    visible("é " * 300_000)
    assert time.process_time() - began < 5
