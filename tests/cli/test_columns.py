"""Plain tables."""

from agent_host.cli.columns import columns


def test_columns_are_as_wide_as_their_text_also_where_characters_are_wide():
    table = columns(("name", "n"), [("a", 1), ("日本", 22), ("e\u0301", 3)])
    assert table == "name  n\na     1\n日本  22\ne\u0301     3"


def test_a_cell_is_one_clean_line_and_bounded():
    lines = columns(("a", "b"), [("x\x1b[2J\ny", "z" * 500)], cell=20).split("\n")
    assert len(lines) == 2
    assert lines[1] == "x\\u{1b}[2J y  " + "z" * 19 + "…"
