import asyncio
import json
from typing import get_args

import jsonschema_rs
import pytest

from agent_host.core.events import (
    ApprovalRequested,
    Ephemeral,
    LimitReached,
    ModelFailed,
    ModelResponded,
    ReasoningDelta,
    Record,
    RunEnded,
    RunStarted,
    ServerLog,
    TextDelta,
    ToolArgumentsDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    UserSaid,
)
from agent_host.core.types import (
    ApprovalTerms,
    JsonObject,
    Message,
    Principal,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_host.records.codec import encode, encode_value
from agent_host.surfaces.jsonl import JsonLines, JsonSummary
from agent_host.surfaces.schema import stream_schema
from tests.fakes.screens import FORBIDDEN, HOSTILE, outlet, record, says
from tests.records.samples import LEGAL

CALL = ToolCall(id="c1", name="orders__get", arguments={"id": 1})


def written(*items: Record | Ephemeral) -> list[JsonObject]:
    out, screen = outlet()
    sink = JsonLines(out, encode=encode_value)

    async def stream() -> None:
        for item in items:
            sink.emit(item)

    asyncio.run(stream())
    sink.close()
    return [json.loads(line) for line in screen.getvalue().splitlines()]


def test_a_record_is_the_transcripts_line_byte_for_byte() -> None:
    out, screen = outlet()
    sink = JsonLines(out, encode=encode_value)
    for event in LEGAL:
        sink.emit(record(event))
    lines = screen.getvalue().splitlines()
    assert [line.encode() for line in lines] == [encode(record(event)) for event in LEGAL]


def test_every_line_is_as_the_schema_says() -> None:
    schema = jsonschema_rs.validator_for(stream_schema())
    ephemerals: list[Ephemeral] = [
        TextDelta(text="a"),
        ReasoningDelta(text="b"),
        ToolArgumentsDelta(index=0, name="n", text="{"),
        ToolProgress(call_id="c", progress=0.5),
        ServerLog(server="s", level="info", text="t"),
    ]
    lines = written(*[record(event) for event in LEGAL], *ephemerals)
    assert len(lines) == len(LEGAL) + len(get_args(Ephemeral))
    for line in lines:
        schema.validate(line)
    assert not schema.is_valid({"ephemeral": {"type": "gossip"}})
    assert not schema.is_valid({"ephemeral": {"type": "text_delta"}})
    assert not schema.is_valid(lines[0] | {"seq": "0"})


def test_the_schema_names_every_event() -> None:
    text = json.dumps(stream_schema())
    for event in LEGAL:
        assert f'"const": "{event.type}"' in text


def test_deltas_of_one_tick_are_joined_and_keep_their_place() -> None:
    assert written(
        TextDelta(text="a"),
        TextDelta(text="b"),
        ReasoningDelta(text="c"),
        TextDelta(text="d"),
        ToolArgumentsDelta(index=0, name="n", text="{"),
        ToolArgumentsDelta(index=0, name="n", text="}"),
        ToolArgumentsDelta(index=1, name="n", text="{"),
        record(RunEnded(reason="done")),
        TextDelta(text="e"),
    ) == [
        {"ephemeral": {"type": "text_delta", "text": "ab"}},
        {"ephemeral": {"type": "reasoning_delta", "text": "c"}},
        {"ephemeral": {"type": "text_delta", "text": "d"}},
        {"ephemeral": {"type": "tool_arguments_delta", "index": 0, "name": "n", "text": "{}"}},
        {"ephemeral": {"type": "tool_arguments_delta", "index": 1, "name": "n", "text": "{"}},
        json.loads(encode(record(RunEnded(reason="done")))),
        {"ephemeral": {"type": "text_delta", "text": "e"}},
    ]


def test_no_hostile_text_reaches_the_screen_raw_and_none_is_lost() -> None:
    out, screen = outlet(tty=True)
    sink = JsonLines(out, encode=encode_value)
    for text in HOSTILE:
        sink.emit(record(UserSaid(message=Message(role="user", content=(Text(text=text),)))))
        sink.emit(ServerLog(server="s", level="info", text=text))
    sink.close()
    lines = screen.getvalue()
    assert not set(FORBIDDEN) & set(lines)
    said = [json.loads(line) for line in lines.splitlines()]
    assert [s["ephemeral"]["text"] for s in said[1::2]] == list(HOSTILE)


def summary(*items: Record | Ephemeral, status: int = 0) -> JsonObject:
    out, screen = outlet()
    sink = JsonSummary(out, encode=encode_value)
    for item in items:
        sink.emit(item)
    assert screen.getvalue() == ""
    sink.finish(run_id="run", exit_status=status, transcript="transcripts/run.jsonl")
    (line,) = screen.getvalue().splitlines()
    return dict(json.loads(line))


STARTED = RunStarted(
    run_id="run",
    principal=Principal(id="a"),
    provider="offline",
    model="m",
    adapter="offline",
    simulated=True,
)


def responded(text: str, *calls: ToolCall) -> Record:
    usage = Usage(input_tokens=10, output_tokens=2)
    return record(
        ModelResponded(
            request_id="r", message=says(text, *calls), stop_reason="end_turn", usage=usage
        )
    )


def test_the_summary_holds_the_answer_and_what_was_done_for_it() -> None:
    result = ToolResult(call_id="c1", content=(Text(text="shipped"),))
    started = ToolStarted(
        call_id="c1", server="orders", tool="get", fingerprint="f", arguments={"id": 2}
    )
    assert summary(
        record(STARTED),
        TextDelta(text="let me"),
        responded("let me see", CALL),
        record(started),
        record(ToolFinished(result=result)),
        responded("It is shipped."),
        record(RunEnded(reason="done")),
    ) == {
        "run_id": "run",
        "answer": "It is shipped.",
        "outcome": "done",
        "detail": "",
        "exit_status": 0,
        "provider": "offline",
        "model": "m",
        "simulated": True,
        "cost": None,
        "usage": {
            "input_tokens": 20,
            "output_tokens": 4,
            "cache_read_tokens": 0,
            "cache_write_tokens": 0,
        },
        "calls": [
            {
                "id": "c1",
                "name": "orders__get",
                "server": "orders",
                "tool": "get",
                "arguments": {"id": 2},
                "error": None,
                "content": [{"type": "text", "text": "shipped", "opaque": None}],
                "artifact": None,
            }
        ],
        "waiting": [],
        "transcript": "transcripts/run.jsonl",
    }


def test_the_summary_of_a_run_that_waits_says_so_and_shows_the_open_call() -> None:
    parked = summary(record(STARTED), responded("", CALL), status=7)
    assert (parked["outcome"], parked["exit_status"], parked["answer"]) == ("parked", 7, "")
    assert parked["calls"][0]["content"] is None


@pytest.mark.parametrize(
    ("event", "detail"),
    [
        (ModelFailed(request_id="r", kind="auth", message="no key"), "auth: no key"),
        (LimitReached(name="turns", limit=5), "turns limit of 5"),
    ],
)
def test_the_summary_says_why_there_is_no_answer(
    event: ModelFailed | LimitReached, detail: str
) -> None:
    assert summary(record(event), record(RunEnded(reason="failed")))["detail"] == detail
    assert summary(record(event), record(RunEnded(reason="failed", detail="x")))["detail"] == "x"


def test_a_reused_call_id_is_two_calls_and_what_is_of_no_interest_is_left_out() -> None:
    result = ToolResult(call_id="c1", content=(Text(text="ok"),))
    both = summary(
        record(UserSaid(message=Message(role="user", content=(Text(text="hi"),)))),
        responded("", CALL),
        record(ToolFinished(result=result)),
        responded("", CALL),
        record(ToolFinished(result=result)),
        responded("Done."),
    )
    assert [call["id"] for call in both["calls"]] == ["c1", "c1"]
    assert both["answer"] == "Done."


def test_the_summary_of_a_parked_run_says_what_waits_for_whom() -> None:
    asked = ApprovalRequested(
        call_id="c1",
        server="orders",
        tool="refund",
        fingerprint="f",
        arguments={"amount": 250},
        terms=ApprovalTerms(approvers=("lead",)),
        binding="b" * 64,
    )
    document = summary(record(STARTED), responded("", CALL), record(asked), status=7)
    assert document["outcome"] == "parked"
    [waiting] = document["waiting"]
    assert (waiting["binding"], waiting["terms"]["approvers"]) == ("b" * 64, ["lead"])
    done = record(ToolFinished(result=ToolResult(call_id="c1", content=())))
    assert summary(record(STARTED), responded("", CALL), record(asked), done)["waiting"] == []
