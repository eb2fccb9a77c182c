"""What is left of a conversation that no longer fits."""

from agent_host.core.compaction import SUMMARY_LIMIT, shorten
from agent_host.core.context import view
from agent_host.core.conversation import Conversation, apply, fold
from agent_host.core.events import (
    Event,
    ModelRequested,
    ModelResponded,
    PolicyDecided,
    RunStarted,
    ToolFinished,
    ToolStarted,
    UserSaid,
)
from agent_host.core.handoff import is_legal
from agent_host.core.size import characters
from agent_host.core.types import (
    Image,
    Message,
    Reasoning,
    Resource,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from tests.fakes.rooms import TESTER, said

START = RunStarted(run_id="r", principal=TESTER, provider="p", model="m", adapter="a")


def rounds(count: int, size: int = 100, *, question: str = "count the files") -> Conversation:
    """A user's message, then so many rounds of a call and its result, the last unanswered."""
    events: list[Event] = [START, UserSaid(message=said(question))]
    for number in range(count):
        name = f"c{number}"
        call = ToolCall(id=name, name="w__read", arguments={"n": number})
        text = Text(text=f"result {number} " + "x" * size)
        error = "tool_error" if number % 2 else None
        events += [
            ModelRequested(request_id=name, provider="p", model="m"),
            ModelResponded(
                request_id=name,
                message=Message(role="assistant", content=(Reasoning(text="hm"), call)),
                stop_reason="tool_use",
                usage=Usage(input_tokens=50, output_tokens=5),
            ),
            PolicyDecided(call_id=name, decision="allow", rule="x"),
            ToolStarted(call_id=name, server="w", tool="read", fingerprint="f", arguments={}),
            ToolFinished(result=ToolResult(call_id=name, content=(text,), error=error)),
        ]
    return fold(events)


def size(conversation: Conversation) -> int:
    return sum(map(characters, view(conversation)))


def test_each_step_leaves_a_legal_view_of_about_half_until_nothing_can_go():
    c = rounds(40, 2000)
    steps = 0
    while (event := shorten(c)) is not None:
        before = size(c)
        c = apply(c, event)
        assert is_legal(view(c))
        assert size(c) <= before // 2 + SUMMARY_LIMIT + 2500
        assert view(c)[0].role == "user"
        steps += 1
    assert 3 <= steps <= 8
    assert [m.role for m in view(c)[1:]] == ["assistant", "tool"]


def test_the_summary_says_what_was_asked_and_done():
    c = rounds(10, question="count the files of the project")
    event = shorten(c)
    assert event is not None
    assert "user said: count the files of the project" in event.summary
    assert 'called w__read with {"n": 0}' in event.summary
    assert "it answered: result 0" in event.summary
    assert "it failed (tool_error): result 1" in event.summary
    assert f"{event.messages} earlier messages are left out" in event.summary


def test_a_summary_is_bounded_however_much_was_left_out():
    event = shorten(rounds(400, 3000, question="q" * 100_000))
    assert event is not None
    assert len(event.summary) <= SUMMARY_LIMIT + 200


def test_the_newest_turn_alone_cannot_be_shortened():
    assert shorten(fold([START, UserSaid(message=said("x" * 10_000))])) is None
    assert shorten(fold([START])) is None


def test_what_was_said_before_a_new_question_goes_first():
    c = rounds(3)
    answered = ModelResponded(
        request_id="z",
        message=Message(role="assistant", content=(Text(text="three"),)),
        stop_reason="end_turn",
    )
    c = apply(apply(c, ModelRequested(request_id="z", provider="p", model="m")), answered)
    c = apply(c, UserSaid(message=said("and now? " + "y" * 4000)))
    event = shorten(c)
    assert event is not None
    c = apply(c, event)
    assert [m.role for m in view(c)] == ["user", "user"]
    assert "assistant said: three" in event.summary


def test_the_message_that_stands_for_the_rest_keeps_its_identity():
    c = rounds(10)
    event = shorten(c)
    assert event is not None
    c = apply(c, event)
    assert view(c)[0] is view(apply(c, UserSaid(message=said("more"))))[0]
    assert c.counted == 0
    assert c.uncounted >= size(c) - 100


def test_the_size_of_a_message_counts_what_a_model_reads():
    call = ToolCall(id="a", name="w__read", arguments={"deep": [{"text": "x" * 100}, 1, None]})
    assert characters(Message(role="assistant", content=(call,))) > 100
    picture = Image(data="A" * 1_000_000, media_type="image/png")
    assert 1000 < characters(Message(role="user", content=(picture,))) < 10_000
    link = Resource(uri="file:///a")
    whole = Resource(uri="file:///a", text="x" * 500)
    data = Resource(uri="file:///a", data="AAAA")
    sizes = [characters(Message(role="user", content=(one,))) for one in (link, whole, data)]
    assert sizes[0] < 200 < sizes[1] < 1000 < sizes[2]
