"""Plain tables."""

from hypothesis import given
from hypothesis import strategies as st

from agent_host.cli.columns import columns
from agent_host.surfaces.cells import width_of


def test_columns_are_as_wide_as_their_text_also_where_characters_are_wide():
    table = columns(("name", "n"), [("a", 1), ("日本", 22), ("e\u0301", 3)])
    assert table == "name  n\na     1\n日本  22\ne\u0301     3"


def test_a_cell_is_one_clean_line_and_bounded():
    lines = columns(("a", "b"), [("x\x1b[2J\ny", "z" * 500)], cell=20).split("\n")
    assert len(lines) == 2
    assert lines[1] == "x\\u{1b}[2J y  " + "z" * 19 + "…"


def test_on_a_narrow_screen_the_last_column_is_broken_into_rows_of_its_own():
    table = columns(("name", "what it does"), [("read", "one two three four five six")], room=30)
    assert table.split("\n") == ["name  what it does", "read  one two three four five", "      six"]


def test_where_nothing_is_left_for_a_last_column_each_row_becomes_a_list():
    rows = [("orders", "connected", "", "0.5 s"), ("desk", "a long state that goes on", "x", "")]
    table = columns(("name", "state", "era", "took"), rows, room=30)
    assert table.split("\n") == [
        "orders",
        "  state  connected",
        "  took   0.5 s",
        "desk",
        "  state  a long state that",
        "         goes on",
        "  era    x",
    ]


def test_names_that_leave_no_room_for_values_stand_above_them():
    table = columns(("id", "a very long name of a column"), [("1", "and its value")], room=20)
    assert table.split("\n") == ["1", "  a very long name of a column", "    and its value"]


@given(
    st.lists(st.lists(st.text(max_size=40), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(20, 90),
)
def test_no_line_of_a_table_is_wider_than_the_screen(rows: list[list[str]], room: int):
    for line in columns(("one", "two", "three"), rows, room=room).split("\n"):
        assert width_of(line) <= room
