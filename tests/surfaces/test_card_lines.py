import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.surfaces.card_lines import card_lines
from agent_host.surfaces.cells import width_of
from agent_host.surfaces.notices import Card, Finished
from tests.fakes.screens import FORBIDDEN, HOSTILE

WORDS = st.sampled_from([*HOSTILE, "日本語" * 30, "e" + "\u0301" * 99, "x" * 300, ""]) | st.text()


def done(kind: str = "result", *, number: int = 3, **more: object) -> Card:
    parts: dict[str, object] = {
        "title": "orders · get",
        "arguments": 'order_id="12345"',
        "took": "0.31 s",
        "what": "shipped yesterday with DHL and not yet delivered to anybody",
        **more,
    }
    return Card(kind=kind, text="", number=number, finished=Finished(**parts))  # type: ignore[arg-type]


def shown(card: Card, width: int) -> list[str]:
    return ["".join(text for _, text in line) for line in card_lines(card, width)]


def test_a_call_that_went_well_is_one_line() -> None:
    (line,) = shown(done(), 120)
    assert line.startswith('✓ #3 orders · get  order_id="12345"  0.31 s  shipped yesterday')
    assert line.endswith("delivered to anybody")
    assert shown(done(), 80) == [
        '✓ #3 orders · get  order_id="12345"  0.31 s  shipped yesterday with DHL and not…'
    ]
    assert shown(done(number=0, arguments="", took=""), 40)[0].startswith("✓ orders · get")


def test_on_a_narrow_screen_the_result_has_a_line_of_its_own() -> None:
    assert shown(done(), 40) == [
        '✓ #3 orders · get  order_id="12…  0.31 s',
        "  shipped yesterday with DHL and not ye…",
    ]
    assert shown(done(), 20)[0].startswith("✓ #3 orders · get")


def test_what_failed_is_never_cut() -> None:
    why = "no such order, look at the list of orders first, or ask who wrote it " * 3
    for width in (20, 40, 80):
        lines = shown(done("failure", what=why), width)
        assert lines[0].startswith("✗ #3 orders")
        assert all(line.startswith("  ") for line in lines[1:])
        assert "".join(lines).replace(" ", "").endswith(why.replace(" ", ""))


def test_an_edited_call_and_a_kept_result_say_so() -> None:
    assert "orders · get (edited)" in shown(done(edited=True), 80)[0]
    assert shown(done(kept="artifacts/1.txt"), 80)[1] == "  whole result: artifacts/1.txt"
    assert "(whole result: a/1)" in " ".join(shown(done("failure", kept="a/1"), 200))


@pytest.mark.parametrize(("kind", "mark"), [("notice", "·"), ("failure", "✗"), ("call", "→")])
def test_a_notice_is_a_line_that_goes_on_below_itself(kind: str, mark: str) -> None:
    card = Card(kind=kind, text="some words " * 12)  # type: ignore[arg-type]
    first, *more = shown(card, 40)
    assert first.startswith(f"{mark} some words")
    assert more
    assert all(line.startswith(("  some", "  words")) for line in more)
    assert shown(Card(kind="notice", text=""), 40) == ["· "]


@given(WORDS, WORDS, WORDS, st.sampled_from(["result", "failure"]), st.integers(8, 130))
def test_no_line_is_wider_than_the_screen(
    one: str, two: str, three: str, kind: str, width: int
) -> None:
    card = done(kind, title=one, arguments=two, what=three, kept=two, took=one[:8], edited=True)
    for line in shown(card, width):
        assert width_of(line) <= width
        assert not set(FORBIDDEN + "\n\r") & set(line)
