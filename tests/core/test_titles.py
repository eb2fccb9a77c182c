import pytest

from agent_host.core.titles import titled

ABOUT = "Where is my order?"


@pytest.mark.parametrize("stray", ["y", "ok", "hello", "/help me", "/clear", "/docs:sum a b", "…"])
def test_the_title_is_the_first_message_that_says_something(stray: str) -> None:
    first = titled("", stray)
    assert first == stray
    assert titled(first, "n") == stray
    second = titled(first, ABOUT)
    assert second == ABOUT
    assert titled(second, "And the other one, which I ordered later?") == ABOUT


@pytest.mark.parametrize(
    "first", [ABOUT, "orders__list_refunds", "注文はどこ", "/usr/bin is full, why?", "fix bug 12"]
)
def test_a_first_message_that_says_something_stays(first: str) -> None:
    assert titled(titled("", first), ABOUT) == first


def test_a_message_without_text_is_no_title() -> None:
    assert titled("", "") == ""
    assert titled("y", "") == "y"
