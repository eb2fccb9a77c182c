"""One pass makes any history legal for any provider, and loses nothing that can be said."""

import hypothesis.strategies as st
from hypothesis import given

from agent_host.core.handoff import is_legal, legal
from agent_host.core.types import Message, Text, ToolCall, ToolResult
from tests.fakes.rooms import said


def call(call_id: str) -> ToolCall:
    return ToolCall(id=call_id, name="w__read", arguments={})


def result(call_id: str, text: str = "ok") -> ToolResult:
    return ToolResult(call_id=call_id, content=(Text(text=text),))


def assistant(*blocks: object) -> Message:
    return Message(role="assistant", content=blocks)


def results(*blocks: ToolResult) -> Message:
    return Message(role="tool", content=blocks)


GOOD = (
    said("hi"),
    assistant(Text(text="wait"), call("a"), call("b")),
    results(result("a"), result("b")),
    assistant(Text(text="done")),
    said("more"),
)


def test_a_legal_history_is_returned_as_it_is():
    assert legal(GOOD) is GOOD


def test_a_call_without_a_result_gets_one_that_says_so():
    mended = legal((said("hi"), assistant(call("a"), call("b")), results(result("a")), said("x")))
    assert is_legal(mended)
    first, second = mended[2].content
    assert first == result("a")
    assert (second.call_id, second.error) == ("b", "outcome_unknown")


def test_a_call_at_the_end_gets_its_result_too():
    mended = legal((said("hi"), assistant(call("a"))))
    assert [m.role for m in mended] == ["user", "assistant", "tool"]


def test_results_follow_the_order_of_their_calls_in_one_message():
    mended = legal((assistant(call("a"), call("b")), results(result("b")), results(result("a"))))
    assert is_legal(mended)
    assert mended[1].content == (result("a"), result("b"))


def test_a_result_without_its_call_becomes_words():
    mended = legal((said("hi"), results(result("gone", "the secret is 7")), assistant(call("a"))))
    assert is_legal(mended)
    assert mended[1].role == "user"
    assert any("the secret is 7" in block.text for block in mended[1].content)


def test_a_second_result_of_a_call_is_kept_as_words():
    mended = legal((assistant(call("a")), results(result("a", "one"), result("a", "two"))))
    assert is_legal(mended)
    assert mended[1].content == (result("a", "one"),)
    assert any("two" in block.text for block in mended[2].content)


def test_ids_that_two_calls_share_are_told_apart():
    history = (
        assistant(call("a"), call("a")),
        results(result("a", "one"), result("a", "two")),
        assistant(call("a"), call("")),
        results(result("a", "three"), result("", "four")),
    )
    mended = legal(history)
    assert is_legal(mended)
    assert mended[0].content[0].id == "a"
    assert mended[1].content[0].content[0].text == "one"
    ids = [b.id for m in mended for b in m.content if isinstance(b, ToolCall)]
    assert len(set(ids)) == 4


def test_messages_that_are_legal_keep_their_identity_when_others_are_mended():
    mended = legal((*GOOD, assistant(call("z"))))
    assert all(new is old for new, old in zip(mended, GOOD, strict=False))


def test_what_is_checked_can_go_on_where_it_stopped():
    seen: set[str] = set()
    assert is_legal(GOOD[:3], seen)
    assert is_legal(GOOD[3:], seen)
    assert not is_legal((assistant(call("a")), results(result("a"))), seen)


IDS = st.sampled_from(["a", "b", "c", ""])
BLOCKS = st.one_of(
    st.builds(Text, text=st.text(max_size=5)),
    st.builds(call, IDS),
    st.builds(result, IDS, st.text(max_size=5)),
)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["user", "assistant", "tool"]),
    content=st.lists(BLOCKS, max_size=4).map(tuple),
)


@given(st.lists(MESSAGES, max_size=8).map(tuple))
def test_any_history_becomes_legal_and_stays_so(history: tuple[Message, ...]):
    mended = legal(history)
    assert is_legal(mended)
    assert legal(mended) is mended


@given(st.lists(MESSAGES, max_size=8).map(tuple))
def test_no_call_text_or_result_that_can_be_said_is_lost(history: tuple[Message, ...]):
    mended = legal(history)

    def texts(messages: tuple[Message, ...]) -> list[str]:
        found: list[str] = []
        for message in messages:
            for block in message.content:
                if isinstance(block, Text):
                    found.append(block.text)
                elif isinstance(block, ToolResult):
                    found += [b.text for b in block.content]
        return sorted(text for text in found if text)

    # A result in the middle of an assistant's message is not one that anybody gave.
    given_texts = texts(
        tuple(
            Message(
                role=m.role,
                content=tuple(
                    b
                    for b in m.content
                    if not (m.role == "assistant" and isinstance(b, ToolResult))
                ),
            )
            for m in history
        )
    )
    kept = texts(mended)
    for text in given_texts:
        assert text in kept
        kept.remove(text)
