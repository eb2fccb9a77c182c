"""The replay model: the same conversation gets the recorded answers, another one does not."""

import asyncio
import json
from dataclasses import replace

import pytest

from agent_host.core.conversation import fold
from agent_host.core.errors import ConfigError
from agent_host.core.events import (
    ConversationRewound,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PolicyDecided,
    Record,
    RunStarted,
    TextDelta,
    ToolFinished,
    ToolStarted,
    UserSaid,
)
from agent_host.core.types import (
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Origin,
    Principal,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_host.models.replay import create
from agent_host.models.settings import AdapterSettings
from agent_host.records.codec import encode

ORIGIN = Origin(provider="openai", model="gpt", adapter="openai-chat")


def user(text):
    return Message(role="user", content=(Text(text=text),))


def result(call_id, text="ok", **more):
    return ToolResult(call_id=call_id, content=(Text(text=text),), **more)


def responded(request_id, *content, **more):
    return ModelResponded(
        request_id=request_id,
        message=Message(role="assistant", content=content, origin=ORIGIN),
        stop_reason=more.pop("stop_reason", "end_turn"),
        **more,
    )


def requested(request_id):
    return ModelRequested(request_id=request_id, provider="openai", model="gpt")


def ran(call_id, outcome):
    identity = {"server": "s", "tool": "t", "fingerprint": ""}
    return (
        PolicyDecided(call_id=call_id, decision="allow", rule="r"),
        ToolStarted(call_id=call_id, arguments={}, **identity),
        ToolFinished(result=outcome),
    )


CALLS = tuple(ToolCall(id=i, name="s__t", arguments={"of": i}) for i in ("call_1", "call_2"))
RUN = (
    RunStarted(
        run_id="run", principal=Principal(id="me"), provider="openai", model="gpt", adapter="a"
    ),
    UserSaid(message=user("Where is order 12345?")),
    requested("1"),
    ModelFailed(request_id="1", kind="rate_limit", message="", final=False),
    requested("2"),
    responded(
        "2",
        Reasoning(text="hmm", opaque={"signature": "x"}),
        *CALLS,
        stop_reason="tool_use",
        usage=Usage(input_tokens=5),
    ),
    *ran("call_2", result("call_2", "late \ud83d")),
    *ran("call_1", result("call_1", artifact="run.1.txt")),
    requested("3"),
    responded("3", Text(text="It was shipped yesterday via DHL."), response_id="r3"),
    UserSaid(message=user("Thanks")),
    requested("4"),
    responded("4", Text(text="Welcome.")),
)


@pytest.fixture
def record(tmp_path):
    """Write events as a transcript and make its model."""

    def model(events, tail=b"", name="run.jsonl"):
        path = tmp_path / name
        lines = [
            encode(Record(seq=seq, at="2026-11-22T10:00:00.000000Z", run_id="run", event=event))
            for seq, event in enumerate(events)
        ]
        path.write_bytes(b"".join(line + b"\n" for line in lines) + tail)
        return create(AdapterSettings(provider="again", model="", path=path))

    return model


def ask(model, messages):
    request = ModelRequest(request_id="r", system="", messages=tuple(messages), tools=())

    async def collect():
        return [item async for item in model.stream(request)]

    *deltas, last = asyncio.run(collect())
    return deltas, last


def requests_of(events):
    """The messages of each request of a run, and the answer that it got."""
    for place, event in enumerate(events):
        if isinstance(event, ModelResponded):
            yield fold(events[:place]).messages, event


def test_a_recorded_run_gets_its_answers_again(record):
    model = record(RUN)
    for messages, event in requests_of(RUN):
        deltas, answer = ask(model, messages)
        assert isinstance(answer, ModelResponse)
        assert answer.message.content == event.message.content
        assert (answer.stop_reason, answer.usage, answer.response_id) == (
            event.stop_reason,
            event.usage,
            event.response_id,
        )
        texts = "".join(d.text for d in deltas if isinstance(d, TextDelta))
        assert texts == "".join(b.text for b in event.message.content if isinstance(b, Text))


def test_it_says_that_it_is_a_replay(record):
    model = record(RUN)
    assert model.simulated is True
    assert model.origin == Origin(provider="again", model="run", adapter="replay")
    _, answer = ask(model, [user("Where is order 12345?")])
    assert answer.message.origin == model.origin


def test_what_a_user_says_otherwise_stops_the_replay_and_names_the_step(record):
    _, failure = ask(record(RUN), [user("Where is order 99999?")])
    assert failure.kind == "script"
    assert "run.jsonl: step 1 differs from the record: message 1 was …" in failure.message
    assert "12345" in failure.message
    assert "99999" in failure.message


@pytest.mark.parametrize(
    "outcome",
    [result("call_1", "other"), result("call_1", error="timeout"), result("call_9")],
)
def test_a_result_that_differs_stops_the_replay_and_names_the_step(record, outcome):
    messages = list(list(requests_of(RUN))[1][0])
    messages[-1] = replace(messages[-1], content=(outcome, messages[-1].content[1]))
    _, failure = ask(record(RUN), messages)
    assert isinstance(failure, ModelFailure)
    assert "step 2 differs from the record" in failure.message


def test_the_name_of_an_artifact_may_differ(record):
    messages = list(list(requests_of(RUN))[1][0])
    moved = replace(messages[-1].content[0], artifact="other.txt")
    messages[-1] = replace(messages[-1], content=(moved, messages[-1].content[1]))
    assert isinstance(ask(record(RUN), messages)[1], ModelResponse)


def test_a_message_too_many_or_past_the_end_is_told(record):
    model = record(RUN)
    _, failure = ask(model, [user("a"), user("b")])
    assert "step 2 differs from the record: it has 2 messages" in failure.message
    whole = fold(RUN).messages
    _, failure = ask(model, [*whole, user("more")])
    assert "the record has 3 answers and another one is asked for" in failure.message


def test_a_run_that_went_back_answers_what_was_said_again_and_what_was_said_first(record):
    again = (
        *RUN,
        ConversationRewound(messages=0, by="ana"),
        UserSaid(message=user("Where is order 12351?")),
        requested("5"),
        responded("5", Text(text="With GLS.")),
        ConversationRewound(messages=0, by="ana"),
        UserSaid(message=user("Where is order 12351?")),
        requested("6"),
        responded("6", Text(text="Still with GLS.")),
    )
    model = record(again)
    for messages, event in requests_of(again):
        _, answer = ask(model, messages)
        if event.request_id == "5":
            assert answer.message.content == (Text(text="Still with GLS."),)
        else:
            assert answer.message.content == event.message.content


def test_half_a_line_at_the_end_is_what_a_killed_run_leaves(record):
    model = record(RUN, tail=b'{"seq": 99, "ev')
    assert isinstance(ask(model, [user("Where is order 12345?")])[1], ModelResponse)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"hello\n", "no record"),
        (b"[]\n", "no record"),
        (b'{"event": {"type": "user_said"}}\n', "user_said record is damaged"),
        (
            b'{"event":{"type":"model_responded","message":{"content":[{"type":"text","text":5}]}}}\n',
            "model_responded record is damaged",
        ),
        (
            b'{"event":{"type":"model_responded","stop_reason":"x","message":{"content":[]}}}\n',
            "model_responded record is damaged",
        ),
        (b'{"event": {"type": "run_started", "schema": 99}}\n', "newer version"),
    ],
)
def test_a_transcript_that_cannot_be_used_names_file_and_line(record, line, what):
    with pytest.raises(ConfigError) as caught:
        record(RUN[:2], tail=line)
    assert "run.jsonl:3: " in str(caught.value)
    assert what in str(caught.value)


def test_a_transcript_that_is_not_there_or_has_no_answer_is_one_line(tmp_path, record):
    asked = AdapterSettings(provider="again", model="")
    with pytest.raises(ConfigError, match='needs `path = "FILE"`'):
        create(asked)
    with pytest.raises(ConfigError, match=r"none\.jsonl: the transcript cannot be read"):
        create(replace(asked, path=tmp_path / "none.jsonl"))
    for events in ((), RUN[:4]):
        with pytest.raises(ConfigError, match="no answer of a model"):
            record(events)


def test_events_that_it_does_not_know_are_passed_over(record):
    line = json.dumps({"seq": 9, "event": {"type": "from_the_future", "x": 1}}).encode()
    assert isinstance(
        ask(record(RUN, tail=line + b"\n"), [user("Where is order 12345?")])[1], ModelResponse
    )
