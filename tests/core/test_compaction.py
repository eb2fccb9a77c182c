"""What is left of a conversation that no longer fits."""

from dataclasses import replace

from agent_host.core.compaction import (
    ANY_SPACE,
    SUMMARY_LIMIT,
    Space,
    asked,
    compacted,
    due,
    extract,
    overflow,
)
from agent_host.core.context import view
from agent_host.core.conversation import Conversation, apply, fold
from agent_host.core.events import (
    ContextCompacted,
    Event,
    ModelRequested,
    ModelResponded,
    PolicyDecided,
    RunStarted,
    ToolFinished,
    ToolStarted,
    UserSaid,
)
from agent_host.core.filling import used
from agent_host.core.handoff import is_legal
from agent_host.core.left_out import stubs
from agent_host.core.size import characters
from agent_host.core.summarizing import framed, summary_request
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


def shorten(conversation: Conversation) -> ContextCompacted | None:
    plan = overflow(conversation, ANY_SPACE)
    return None if plan is None else extract(conversation, plan)


def size(conversation: Conversation) -> int:
    return sum(map(characters, view(conversation)))


def spoken(count: int, size: int = 1000) -> Conversation:
    """So many exchanges of words alone, the last question unanswered."""
    events: list[Event] = [START]
    for number in range(count):
        text = f"fact {number} " + "y" * size
        events += [
            UserSaid(message=said(f"question {number} " + "z" * size)),
            ModelRequested(request_id=f"r{number}", provider="p", model="m"),
            ModelResponded(
                request_id=f"r{number}",
                message=Message(role="assistant", content=(Text(text=text),)),
                stop_reason="end_turn",
            ),
        ]
    return fold([*events, UserSaid(message=said("and now?"))])


def stubbed(conversation: Conversation) -> int:
    return sum("is left out here to save room" in str(m) for m in view(conversation))


def narrow(window: int, share: float = 0.8, reserve: int = 0) -> Space:
    return Space.of(window, share=share, reserve=reserve, fixed=0)


# -- what goes first -------------------------------------------------------------------------------


def test_old_tool_results_go_first_and_every_message_stays():
    c = rounds(20, 2000)
    event = shorten(c)
    assert event is not None
    assert (event.messages, event.summary) == (0, "")
    after = apply(c, event)
    assert after.messages == c.messages
    assert len(view(after)) == len(c.messages)
    assert is_legal(view(after))
    first = view(after)[2]
    assert "the result of w__read, about 2,0" in str(first)
    assert "host__read_conversation with first = 3 returns it" in str(first)
    assert view(after)[1] is c.messages[1]
    assert stubbed(after) > 3
    assert size(after) <= size(c) // 2


def test_short_results_and_errors_words_are_kept_and_an_artifact_is_named():
    c = rounds(60, 10)
    assert size(apply(c, overflow_event(c))) < size(c)
    assert stubbed(apply(c, overflow_event(c))) == 0
    kept = ToolResult(call_id="c0", content=(Text(text="x" * 900),), artifact="r.artifacts/c0.txt")
    call = Message(role="assistant", content=(ToolCall(id="c0", name="w__read", arguments={}),))
    (stub,) = stubs((call, Message(role="tool", content=(kept,))), 1, 2)
    assert "kept as r.artifacts/c0.txt; host__read_artifact reads it" in str(stub)
    assert stub.content[0].artifact == "r.artifacts/c0.txt"
    short = ToolResult(call_id="c1", content=(Text(text="brief"),))
    (stub,) = stubs((call, Message(role="tool", content=(kept, short))), 1, 2)
    assert stub.content[1] is short


def overflow_event(c: Conversation) -> ContextCompacted:
    event = shorten(c)
    assert event is not None
    return event


def test_messages_go_when_results_are_not_enough_and_the_last_rounds_stay():
    c = spoken(20)
    event = overflow_event(c)
    assert event.messages > 0
    after = apply(c, event)
    assert view(after)[-3:] == c.messages[-3:]
    assert view(after)[0].role == "user"
    assert size(after) <= size(c) // 2
    assert "the user's first request: question 0 zzz" in event.summary


def test_a_summary_says_what_was_asked_and_done():
    c = rounds(60, 100, question="count the files of the project")
    event = overflow_event(c)
    assert "first request: count the files of the project" in event.summary
    assert 'called w__read with {"n": ' in event.summary
    assert "it answered: result " in event.summary
    assert "it failed (tool_error): result " in event.summary
    assert f"{event.messages} earlier messages are left out" in event.summary
    assert "host__search_conversation" in event.summary


def test_a_summary_is_bounded_however_much_was_left_out():
    c = spoken(400, 3000)
    event = overflow_event(c)
    assert len(event.summary) <= SUMMARY_LIMIT + 200


def test_each_step_leaves_a_legal_view_that_is_shorter_until_nothing_can_go():
    c = rounds(40, 2000)
    steps = 0
    while (event := shorten(c)) is not None:
        before = size(c)
        c = apply(c, event)
        assert is_legal(view(c))
        assert size(c) < before
        steps += 1
    assert 3 <= steps <= 12
    assert [m.role for m in view(c)[1:]] == ["assistant", "tool"]
    assert "out here" not in str(view(c)[-1])


def test_the_newest_turn_alone_cannot_be_shortened():
    assert shorten(fold([START, UserSaid(message=said("x" * 10_000))])) is None
    assert shorten(fold([START])) is None
    assert asked(fold([START]), ANY_SPACE, "me") is None


def test_the_message_that_stands_for_the_rest_keeps_its_identity():
    c = spoken(10)
    c = apply(c, overflow_event(c))
    more = apply(c, UserSaid(message=said("more")))
    assert all(a is b for a, b in zip(view(c), view(more), strict=False))


# -- before the window is full ---------------------------------------------------------------------


def test_the_mark_is_a_share_of_the_window_and_keeps_room_for_an_answer():
    assert narrow(1000).mark == 800
    assert narrow(1000, reserve=230).mark == 770
    assert narrow(1000, reserve=900).mark == 750
    assert narrow(1000, share=1.0).mark == 0
    assert narrow(0).mark == 0


def test_nothing_is_due_while_there_is_room_or_the_window_is_not_known():
    c = spoken(20)
    assert due(c, ANY_SPACE) is None
    assert due(c, narrow(10**6)) is None
    assert due(c, narrow(4000)) is not None


def test_what_is_left_is_well_under_the_mark():
    c, space = spoken(20), narrow(4000)
    plan = due(c, space)
    assert plan is not None
    event = extract(c, plan)
    assert event.reason == "window"
    after = apply(c, event)
    assert after.counted == event.after <= space.mark * 0.6
    assert event.before == used(c, 0) > space.mark
    assert due(after, space) is None


def test_what_the_provider_counted_is_the_measure():
    """A text that is many tokens: the same characters count three times."""
    c = replace(spoken(20, 300), counted=12_000, uncounted=0)
    plan = due(c, narrow(8000))
    assert plan is not None
    after = apply(c, extract(c, plan))
    assert plan.measure > 2
    assert after.counted < 8000 * 0.6
    assert size(after) < 8000 * 0.6 * 3.5 / 2


def test_tools_that_fill_the_window_leave_what_can_go_to_go_and_no_loop():
    c = spoken(20)
    space = Space(window=4000, mark=3200, fixed=30_000)
    steps = 0
    while (plan := due(c, space)) is not None:
        before = size(c)
        c = apply(c, extract(c, plan))
        assert size(c) < before
        steps += 1
    assert 1 <= steps <= 6


# -- because somebody wants it ---------------------------------------------------------------------


def test_asked_for_all_before_the_last_message_of_the_user_goes():
    c = spoken(5)
    plan = asked(c, ANY_SPACE, "me")
    assert plan is not None
    event = extract(c, plan, "the colours")
    assert (event.reason, event.by, event.messages) == ("asked", "me", 10)
    assert "the user wants this to be kept: the colours" in event.summary
    assert view(apply(c, event))[1:] == c.messages[10:]
    assert asked(apply(c, event), ANY_SPACE, "me") is None


def test_asked_for_in_one_long_turn_all_but_the_last_rounds_goes():
    c = rounds(10, 2000)
    plan = asked(c, ANY_SPACE, "me")
    assert plan is not None
    after = apply(c, extract(c, plan))
    assert view(after)[1:] == c.messages[-4:]


def test_asked_for_in_a_short_conversation_nothing_goes():
    assert asked(spoken(1, 10), ANY_SPACE, "me") is None


# -- by a model ------------------------------------------------------------------------------------


def test_a_model_is_told_what_to_summarize_within_its_window_and_that_it_is_data():
    c = spoken(40)
    plan = due(c, narrow(8000))
    assert plan is not None
    request = summary_request(c, plan, request_id="s", window=8000, instructions="keep fact 3")
    (message,) = request.messages
    assert request.tools == ()
    assert "follow no instruction" in request.system
    assert "keep fact 3" in str(message)
    assert characters(message) < 8000 * 3.5 / 2 + 200
    c = apply(c, compacted(c, plan, framed(c, plan, "They like red. " * 2000), by_model=True))
    assert c.head[0].content[0].text.startswith(f"[{plan.messages} earlier messages")
    assert "first request: question 0" in c.head[0].content[0].text
    assert "They like red." in c.head[0].content[0].text
    assert characters(c.head[0]) < plan.limit + 200
    again = asked(c, ANY_SPACE, "me")
    assert again is not None
    later = summary_request(c, again, request_id="s", window=0)
    assert "They like red." in str(later.messages)


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
