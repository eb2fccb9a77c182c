import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.surfaces.cells import width_of
from agent_host.surfaces.markdown import render
from agent_host.surfaces.palette import Palette, palette
from tests.fakes.screens import FORBIDDEN, HOSTILE
from tests.surfaces.test_terminal import SGR, Watched

MARKDOWN = [
    "# ", "> ", ">> ", "- ", "1. ", "| a | b |\n|---|---|\n| ", " | ", "**", "`", "```py\n", "\n\n",
    "[", "](", ")", "<", ">", "&#27;", "&rlm;", "&#x202e;", "&zwj;", "~~", "---\n", "    ", "\\",
    "http://a.example/", "%1b]0;x%07", "%E2%80%AE", "日本語", "👩‍👩‍👧", "⚠️", "e" + "\u0301" * 40,
]  # fmt: skip
TEXT = st.lists(st.sampled_from([*HOSTILE, *MARKDOWN]) | st.text(max_size=8), max_size=25)


def plain(source: str, width: int = 80, number: int = 0) -> list[str]:
    return render(source, width, styled=False, number=number).splitlines()


@settings(deadline=None, max_examples=300)
@given(TEXT.map("".join), st.sampled_from([20, 40, 80, 200]))
def test_whatever_the_source_is_nothing_but_colours_comes_of_it(source: str, width: int) -> None:
    shown = render(source, width, styled=True)
    bare = SGR.sub("", shown)
    assert not set(FORBIDDEN + "\r") & set(bare)
    assert SGR.sub("", shown) == render(source, width, styled=False)
    assert bare == "" or bare.endswith("\n")


@settings(deadline=None, max_examples=100)
@given(TEXT.map("".join))
def test_a_screen_that_shows_it_has_its_cursor_where_it_should_be(source: str) -> None:
    seen = Watched(80, 24)
    seen.feed(render(source, 79, styled=True))
    assert seen.cursor_column == 0
    assert seen.title == ""


@pytest.mark.parametrize("depth", [3, 12, 60])
@pytest.mark.parametrize("sign", ["> ", "- ", "1. "])
def test_what_is_nested_deeply_is_shown_all_the_same(sign: str, depth: int) -> None:
    for width in (20, 40, 80):
        assert "needle" in "".join(plain(sign * depth + "needle", width))


def test_a_table_has_its_columns_where_every_terminal_sees_them() -> None:
    table = "| a | b |\n|---|---|\n| ⚠️ | x |\n| 日本 | x |\n| 😀 | x |\n| é | x |\n"
    rows = plain(table)[2:]
    assert {width_of(row[: row.index("x")]) for row in rows} == {width_of(rows[0][:-1])}
    assert "\ufe0f" not in "".join(rows)


@pytest.mark.parametrize("width", [20, 40])
def test_a_broad_table_is_folded_on_a_narrow_screen(width: int) -> None:
    cells = [f"cell{n}" + "x" * 30 for n in range(4)]
    table = f"| {' | '.join('abcd')} |\n|{'---|' * 4}\n| {' | '.join(cells)} |\n"
    shown = plain(table, width)
    assert max(map(width_of, shown)) <= width
    assert "".join(shown).count("x") == 120


def test_a_table_that_is_too_broad_to_be_read_is_a_list_of_its_rows() -> None:
    table = (
        "| item | price | note |\n|---|--:|---|\n| Desk | 250 | a long note |\n| Chair | 9 | - |\n"
    )
    assert plain(table, 20) == [
        "item: Desk",
        "price: 250",
        "note: a long note",
        "",
        "item: Chair",
        "price: 9",
        "note: -",
    ]
    assert plain("| only | a | head | here |\n|---|---|---|---|\n", 20) == [
        "only",
        "a",
        "head",
        "here",
    ]


def test_a_numbered_item_goes_on_with_the_number_it_is_given() -> None:
    assert plain("1. again", number=7) == ["  7 again"]
    assert plain("9. nine") == ["  9 nine"]
    assert plain("10. ten") == [" 10 ten"]
    assert plain("- no number", number=7) == [" • no number"]


def test_a_heading_stands_where_the_text_begins() -> None:
    assert plain("# Title")[0] == "Title"


def test_code_inside_of_a_quote_or_an_item_is_coloured_by_our_palette_and_whole() -> None:
    source = "> ```python\n> x = 'a' # " + "y" * 90 + "\n> ```\n\n- a\n\n      indented  code\n"
    shown = render(source, 40, styled=True, palette=Palette(string="92"))
    assert "92m" in shown
    assert "48;" not in shown
    bare = SGR.sub("", shown)
    assert bare.count("y") == 90
    assert "indented  code" in bare


@pytest.mark.parametrize(
    ("theme", "ground", "code"),
    [
        ("auto", "", "36"),
        ("auto", "15;0", "96"),
        ("auto", "0;default;15", "34"),
        ("auto", "0;what", "36"),
        ("light", "15;0", "34"),
        ("dark", "0;15", "96"),
    ],
)
def test_colours_suit_the_background(theme: str, ground: str, code: str) -> None:
    chosen = palette(theme, {"COLORFGBG": ground})  # type: ignore[arg-type]
    assert chosen.code == code
    assert f"\x1b[{code}mx\x1b[0m" in render("`x`", 40, styled=True, palette=chosen)


def test_only_the_sixteen_colours_are_used_and_no_background() -> None:
    source = "# t\n\n`c` [l](http://x.example) **b**\n\n> q\n\n- i\n\n|a|b|\n|-|-|\n|c|d|\n\n---\n"
    for theme in ("auto", "dark", "light"):
        shown = render(source, 60, styled=True, palette=palette(theme, {}))  # type: ignore[arg-type]
        numbers = {int(n) for sgr in SGR.findall(shown) for n in sgr[2:-1].split(";") if n}
        assert numbers <= {0, 1, 2, 3, 4, 7, 9, *range(30, 38), *range(90, 98)}
