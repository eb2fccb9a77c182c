import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.surfaces.blocks import Block, BlockSplitter
from tests.fakes.work import calls

LINES = st.lists(
    st.sampled_from(
        [
            "a paragraph",
            "",
            "  ",
            "- item",
            "1. first",
            "  continued",
            "```python",
            "```",
            "~~~",
            "````",
            "| a | b |",
            "|---|---|",
            "# title",
            "> quote",
            "    code",
            "x" * 5000,
            "y " * 3000,
        ]
    ),
    max_size=30,
)


def split(text: str, cuts: list[int]) -> list[Block]:
    splitter = BlockSplitter()
    blocks: list[Block] = []
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        blocks += splitter.feed(text[start:end])
    return [*blocks, *splitter.finish()]


def kinds(text: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in split(text, [])]


@settings(deadline=None, max_examples=150)
@given(LINES, st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
def test_the_blocks_put_together_are_the_text(
    lines: list[str], cuts: list[int], ended: bool
) -> None:
    text = "\n".join(lines) + ("\n" if ended else "")
    assert "".join(block.text for block in split(text, cuts)) == text


@settings(deadline=None, max_examples=100)
@given(LINES.map(lambda lines: [line for line in lines if len(line) < 100]), st.data())
def test_markdown_is_cut_in_the_same_places_however_it_comes(
    lines: list[str], data: st.DataObject
) -> None:
    text = "\n".join(lines)
    cuts = data.draw(st.lists(st.integers(0, 1000), max_size=8))
    whole, pieces = split(text, []), split(text, cuts)
    assert [b for b in whole if b.kind == "markdown"] == [b for b in pieces if b.kind == "markdown"]


def test_a_paragraph_is_finished_by_a_blank_line() -> None:
    splitter = BlockSplitter()
    assert splitter.feed("one\ntwo") == []
    assert splitter.tail == "two"
    assert splitter.feed("\n\nthree") == [Block("markdown", "one\ntwo\n\n")]


def test_a_list_goes_on_over_blank_lines_while_it_is_one() -> None:
    text = "- a\n\n  more of a\n\n- b\n\nno list\n\n"
    assert kinds(text) == [
        ("markdown", "- a\n\n  more of a\n\n"),
        ("markdown", "- b\n\n"),
        ("markdown", "no list\n\n"),
    ]


def test_the_lines_of_a_fence_do_not_wait_for_its_end() -> None:
    splitter = BlockSplitter()
    assert splitter.feed("text\n```py\nx = 1\n") == [
        Block("markdown", "text\n"),
        Block("fence", "```py\n"),
        Block("code", "x = 1\n"),
    ]
    assert splitter.feed("\n# no title\n~~~\n```\nafter\n\n") == [
        Block("code", "\n# no title\n~~~\n"),
        Block("fence", "```\n"),
        Block("markdown", "after\n\n"),
    ]


def test_a_line_with_code_in_it_opens_no_fence() -> None:
    assert kinds("```x``` is code\n") == [("markdown", "```x``` is code\n")]


def test_a_list_is_shown_item_by_item_with_what_belongs_to_each() -> None:
    text = "Steps:\n- one\n  - inner\n    1. deep\n- two\nlazy\n * still two's\n- three"
    assert [part for _, part in kinds(text)] == [
        "Steps:\n",
        "- one\n  - inner\n    1. deep\n",
        "- two\nlazy\n",
        " * still two's\n",
        "- three",
    ]
    splitter = BlockSplitter()
    assert splitter.feed("- one\n- tw") == []
    assert splitter.feed("o\n") == [Block("markdown", "- one\n")]


def test_the_items_of_a_numbered_list_are_counted_whatever_their_source_says() -> None:
    def numbers(text: str) -> list[int]:
        return [block.number for block in split(text, [])]

    assert numbers("1. a\n1. b\n1. c\n") == [0, 2, 3]
    assert numbers("7. a\n\n8. b\n\n\nText\n1. c\n2. d") == [0, 8, 0, 0, 2]
    assert numbers("1. a\n2) b\n3) c\n- d\n- e\n") == [0, 0, 3, 0, 0]


def test_what_looks_like_an_item_and_is_none_stays_in_its_paragraph() -> None:
    for text in ("Title\n-\n", "the year was\n1986. A good one\n", "a -\n-b\n"):
        assert len(kinds(text)) == 1, text


def test_each_part_of_a_long_table_knows_its_head() -> None:
    head = "| a | b |\n|---|:-:|\n"
    blocks = split(head + "| 1 | 2 |\n" * 500 + "\nText\n" + "\nmore " * 400, [])
    assert [block.head for block in blocks[:4]] == ["", head, head, ""]
    assert {block.head for block in blocks[4:]} <= {""}
    assert not any(block.head for block in split("no | table\n" * 500, []))


@settings(deadline=None, max_examples=100)
@given(LINES, st.lists(st.integers(0, 10_000), max_size=12), st.integers(1, 300))
def test_what_is_pending_is_the_end_of_what_is_in_no_block(
    lines: list[str], cuts: list[int], limit: int
) -> None:
    text = "\n".join(lines)
    splitter = BlockSplitter()
    done = 0
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        done += sum(len(block.text) for block in splitter.feed(text[start:end]))
        assert splitter.pending(limit) == text[done:end][-limit:]


def test_a_text_without_line_ends_is_shown_in_parts() -> None:
    blocks = kinds("word " * 10_000)
    assert len(blocks) > 5
    assert all(len(text) <= 4200 for _, text in blocks)


def test_a_finished_text_leaves_nothing_behind() -> None:
    splitter = BlockSplitter()
    splitter.feed("```\nopen")
    assert splitter.finish() == [Block("code", "open")]
    assert splitter.feed("# new\n\n") == [Block("markdown", "# new\n\n")]


def test_the_work_is_linear_in_the_text() -> None:
    def cost(pieces: int) -> int:
        splitter = BlockSplitter()

        def feed() -> None:
            for _ in range(pieces):
                splitter.feed("words with no end of line ")
                splitter.feed("\n")
            splitter.finish()

        return calls(feed)

    assert cost(20_000) < 5 * cost(5_000)
