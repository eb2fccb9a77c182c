import pytest

from agent_host.core.types import Image, Resource, Text, ToolCall
from agent_host.surfaces.invocations import (
    Invocation,
    arguments_of,
    invocation,
    shown_turn,
    turn_of,
    usage,
)
from tests.fakes.offers import Argument, Prompt, said
from tests.fakes.screens import FORBIDDEN, HOSTILE, says

TWO = (Argument("from", required=True), Argument("to"))


def test_a_line_calls_a_prompt_if_it_names_server_and_prompt() -> None:
    assert invocation("/docs:sum  a b ") == Invocation("docs", "sum", "a b")
    assert invocation("/docs:a:b") == Invocation("docs", "a:b", "")
    for line in ("/docs", "/docs:", "/:x", "/help docs:x"):
        assert invocation(line) is None


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("", {}),
        ("from=a to=b", {"from": "a", "to": "b"}),
        ("a b", {"from": "a", "to": "b"}),
        ("to=b a", {"from": "a", "to": "b"}),
        ("from='a b' \"c d\"", {"from": "a b", "to": "c d"}),
        ("x=1", {"from": "x=1"}),
        ("$HOME `id`", {"from": "$HOME", "to": "`id`"}),
    ],
)
def test_arguments_are_given_by_name_or_in_their_order(text: str, given: dict[str, str]) -> None:
    assert arguments_of(TWO, text) == given


def test_a_prompt_of_one_argument_takes_the_whole_line() -> None:
    one = (Argument("topic"),)
    assert arguments_of(one, "it's a=b all of it") == {"topic": "it's a=b all of it"}
    assert arguments_of(one, "topic='a b'") == {"topic": "a b"}
    assert arguments_of(one, "'a b'") == {"topic": "a b"}
    assert arguments_of(one, "'a' and 'b'") == {"topic": "'a' and 'b'"}


def test_what_is_no_argument_is_said() -> None:
    assert "'c' is one too many; its arguments: from, to" in arguments_of(TWO, "a b c")
    assert "its arguments: none" in arguments_of((), "a")
    assert "cannot be read" in arguments_of(TWO, "'a")


def test_the_messages_of_a_prompt_are_one_turn_of_the_user() -> None:
    image = Image(data="aGk=", media_type="image/png")
    note = Resource(uri="note:1", text="the note")
    turn = turn_of([said("user", "Look."), said("user", "Well?")])
    assert turn.role == "user"
    assert [getattr(b, "text", b) for b in turn.content] == ["Look.", "Well?"]
    both = turn_of([said("user", "Look."), said("assistant", "I do.")])
    assert [getattr(b, "text", b) for b in both.content] == [
        "[user]",
        "Look.",
        "[assistant]",
        "I do.",
    ]
    assert turn_of([says("", ToolCall(id="1", name="x", arguments={}))]).content == (
        Text(text="[assistant]"),
    )
    rich = turn_of([turn, type(turn)(role="user", content=(image, note))])
    assert shown_turn(rich) == (
        "Look.\nWell?\n[image, image/png, 3 bytes]\n[resource note:1]\nthe note"
    )


def test_a_turn_is_bounded() -> None:
    turn = turn_of([said("user", "x" * 200_000)])
    assert len(shown_turn(turn)) < 61_000


def test_usage_shows_what_is_needed_and_what_is_not_and_nothing_hostile() -> None:
    assert usage(Prompt("sum", TWO)) == "/w:sum from=… [to=…]"
    for text in HOSTILE:
        shown = usage(Prompt(text, (Argument(text),), server=text))
        assert not set(FORBIDDEN) & set(shown)
        wrong = arguments_of((), text + " x")
        assert isinstance(wrong, str)
        assert not set(FORBIDDEN) & set(wrong)
