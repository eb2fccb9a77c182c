"""Streams of the Responses wire, and what servers make of it, read from bytes."""

import json
from typing import Any

import pytest

from agent_host.core.events import Delta, ReasoningDelta, TextDelta, ToolArgumentsDelta
from agent_host.core.types import (
    ModelFailure,
    ModelResponse,
    Origin,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from agent_host.models.failures import Endpoint, RefusedError
from agent_host.models.responses_stream import ResponsesStream
from agent_host.models.schemas import ToolTable, tool_table
from tests.fakes import work
from tests.fakes.asking import tool
from tests.fakes.responses_server import (
    answer,
    called,
    created,
    error,
    event,
    item_events,
    items,
    response,
    said,
    terminal,
    thought,
    usage,
)

ORIGIN = Origin(provider="fake", model="fake-1", adapter="openai-responses")
ENDPOINT = Endpoint(
    provider="fake", model="fake-1", url="https://u:pw@fake.example/v1?k=1", secrets=("sk-secret",)
)
LATE = ModelFailure(kind="timeout", message="late", retryable=True)
NO_TOOLS = tool_table((), "plain")


def deltas_and_result(
    *reads: bytes,
    failure: ModelFailure | None = None,
    table: ToolTable = NO_TOOLS,
    limit: int = 0,
) -> tuple[list[Delta], ModelResponse | ModelFailure]:
    stream = ResponsesStream(ENDPOINT, ORIGIN, (), table, limit)
    deltas: list[Delta] = []
    try:
        for data in reads:
            deltas += stream.feed(data)
        deltas += stream.finish()
    except RefusedError as refused:
        return deltas, refused.failure
    return deltas, stream.result(failure)


def read(*reads: bytes, **options: Any) -> ModelResponse | ModelFailure:
    return deltas_and_result(*reads, **options)[1]


def whole(*reads: bytes, **options: Any) -> ModelResponse:
    deltas, result = deltas_and_result(*reads, **options)
    assert isinstance(result, ModelResponse), result
    texts = [block.text for block in result.message.content if isinstance(block, Text)]
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == "".join(texts)
    return result


def failed(*reads: bytes) -> ModelFailure:
    result = read(*reads)
    assert isinstance(result, ModelFailure), result
    return result


def calls(response: ModelResponse) -> list[tuple[str, Any]]:
    return [
        (block.name, block.fault or block.arguments)
        for block in response.message.content
        if isinstance(block, ToolCall)
    ]


def text_of(response: ModelResponse) -> str:
    return "".join(block.text for block in response.message.content if isinstance(block, Text))


F = called("a", "f", '{"order_id":"12345","amount"', ":25.75}")
G = called("b", "g", '{"list":[1,2],"text":"cut', ' here"}')
PARTS = (thought("h", "m"), said("Let me see é ", "😀", phase="commentary"), F, G)
SAMPLE = b"".join(answer(*PARTS, stem="5"))
RIGHT = [("f", {"order_id": "12345", "amount": 25.75}), ("g", {"list": [1, 2], "text": "cut here"})]

UNKNOWN = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    {"type": "custom_tool_call", "id": "ctc_1", "call_id": "x", "name": "y", "input": "z"},
    {"type": "mcp_call", "id": "mcp_1", "name": "y", "arguments": "{}", "server_label": "s"},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
    {"type": 7, "id": []},
    None,
    "item",
]


# -- whole answers --------------------------------------------------------------------------------


def test_everything_of_an_answer_is_kept_in_order() -> None:
    found = whole(SAMPLE)
    assert found.stop_reason == "tool_use"
    assert found.usage == Usage(
        input_tokens=12, output_tokens=3, cache_read_tokens=4, cache_write_tokens=5
    )
    assert (found.response_id, found.model_served) == ("resp_1", "fake-1")
    assert [type(block) for block in found.message.content] == [
        Reasoning,
        Text,
        ToolCall,
        ToolCall,
    ]
    assert found.message.origin == ORIGIN
    assert text_of(found) == "Let me see é 😀"
    assert calls(found) == RIGHT


def test_what_came_with_one_read_is_shown_in_few_deltas() -> None:
    deltas, _ = deltas_and_result(SAMPLE)
    assert deltas == [
        ReasoningDelta(text="hm"),
        TextDelta(text="Let me see é 😀"),
        ToolArgumentsDelta(index=0, name="f", text="".join(F.pieces)),
        ToolArgumentsDelta(index=1, name="g", text="".join(G.pieces)),
    ]


def test_a_stream_cut_at_any_byte_is_the_right_calls_or_says_that_it_was_cut() -> None:
    sound = 0
    for cut in range(len(SAMPLE)):
        result = read(SAMPLE[:cut])
        if isinstance(result, ModelFailure):
            assert result.kind == "protocol"
            assert result.retryable
        elif result.stop_reason == "unknown":
            assert {state for _, state in calls(result)} == {"truncated_call"}
            assert not any(getattr(one, "opaque", None) for one in result.message.content)
        else:
            assert (result.stop_reason, calls(result)) == ("tool_use", RIGHT)
            sound += 1
    assert 0 < sound < 5


def test_a_stream_split_at_any_byte_reads_the_same() -> None:
    frames = ("created", "in_progress", "content_part.added", "content_part.done")
    body = without(answer(thought("h", "m"), said("é ", "😀"), F, stem="5")[:-1], *frames)
    body += terminal()
    for line_end in (b"\n", b"\r\n", b"\r"):
        sample = body.replace(b"\n", line_end)
        expected = whole(sample)
        assert calls(expected) == RIGHT[:1]
        for split in range(len(sample)):
            assert read(sample[:split], sample[split:]) == expected
        assert read(*(sample[n : n + 1] for n in range(len(sample)))) == expected


def without(body: list[bytes], *kinds: str) -> bytes:
    return b"".join(
        one
        for one in body
        if not any(f"event: response.{kind}\n".encode() in one for kind in kinds)
    )


@pytest.mark.parametrize(
    "lost",
    [
        ("output_text.delta", "function_call_arguments.delta", "reasoning_summary_text.delta"),
        ("output_text.done", "function_call_arguments.done", "reasoning_summary_text.done"),
        ("output_item.added",),
        ("output_item.done",),
        ("output_item.added", "content_part.added", "output_text.delta"),
        ("created", "in_progress", "content_part.added", "content_part.done"),
        (
            *("output_item.added", "output_item.done", "content_part.added", "content_part.done"),
            *("output_text.delta", "output_text.done", "reasoning_summary_part.added"),
            *("function_call_arguments.delta", "function_call_arguments.done"),
            *("reasoning_summary_text.delta", "reasoning_summary_text.done"),
        ),
    ],
    ids=[
        "deltas",
        "done texts",
        "begin of items",
        "end of items",
        "begins",
        "frames",
        "all but one",
    ],
)
def test_events_that_a_server_leaves_out_are_made_up_by_the_others(lost: tuple[str, ...]) -> None:
    assert whole(without(answer(*PARTS, stem="5"), *lost)) == whole(SAMPLE)


def test_a_call_whose_end_nothing_says_is_not_sound() -> None:
    body = answer(said("x"), F, G)
    body = [one for one in body if b"response.output_item.done" not in one]
    found = whole(*body[:-1], terminal(items(said("x"), F)))
    assert calls(found)[0] == RIGHT[0]
    assert calls(found)[1] == ("g", "truncated_call")


def test_what_done_says_of_arguments_counts() -> None:
    [item] = items(called("a", "f", '{"x":2}'))
    body = item_events(0, item, called("a", "f", '{"x":', "1}"))
    assert calls(whole(created(), *body, terminal([item]))) == [("f", {"x": 2})]


def test_an_item_that_is_done_incomplete_is_not_sound() -> None:
    [item] = items(called("a", "f", '{"x":2}'))
    body = item_events(0, {**item, "status": "incomplete"}, called("a", "f", '{"x":2}'))
    assert calls(whole(*body, terminal())) == [("f", "truncated_call")]


def test_reasoning_has_a_line_between_its_parts() -> None:
    at = {"output_index": 0, "item_id": "rs_1"}
    name = "response.reasoning_summary_text.delta"
    [item] = items(thought())
    item["summary"] = [{"type": "summary_text", "text": one} for one in ("ab", "c")]
    pieces = [
        event(name, **at, summary_index=place, delta=text)
        for place, text in ((0, "a"), (0, "b"), (1, "c"))
    ]
    for body in (pieces, []):
        done = event("response.output_item.done", output_index=0, item={**item, "id": "rs_1"})
        deltas, result = deltas_and_result(*body, done, terminal())
        assert isinstance(result, ModelResponse)
        assert [block.text for block in result.message.content] == ["ab\n\nc"]  # type: ignore[union-attr]
        assert "".join(d.text for d in deltas if isinstance(d, ReasoningDelta)) == "ab\n\nc"


def test_reasoning_as_it_is_comes_too() -> None:
    found = whole(*answer(thought("I ", "think", raw=True, sealed=False), said("x")))
    assert found.message.content[0] == Reasoning(text="I think")


def test_halves_of_a_surrogate_pair_meet() -> None:
    at = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
    name = "response.output_text.delta"
    body = [event(name, **at, delta=one) for one in ("a\ud83d", "\ude00b")]
    found = whole(*body, terminal())
    assert text_of(found) == "a😀b"


def test_arguments_come_back_under_the_names_of_the_tools_own_schema() -> None:
    schema = {"type": "object", "properties": {"Straße nr": {"type": "string"}}}
    table = tool_table((tool("f", schema),), "anthropic")
    [sent] = table.offered[0].compiled.schema["properties"]
    result = whole(*answer(called("a", "f", json.dumps({sent: "5"}))), table=table)
    assert calls(result) == [("f", {"Straße nr": "5"})]


# -- how it ends ----------------------------------------------------------------------------------

ENDS: dict[str, tuple[list[bytes], str, list[tuple[str, Any]]]] = {
    "text": (answer(said("a")), "end_turn", []),
    "nothing": (answer(), "end_turn", []),
    "a call without arguments": (answer(called("a", "f")), "tool_use", [("f", {})]),
    "arguments that are no object": (
        answer(called("a", "f", "[1]")),
        "tool_use",
        [("f", "malformed_call")],
    ),
    "over the limit": (answer(said("a"), reason="max_output_tokens"), "max_tokens", []),
    "over the limit in a call": (
        answer(called("a", "f", '{"x":1}'), reason="max_output_tokens"),
        "max_tokens",
        [("f", "truncated_call")],
    ),
    "filtered": (answer(said("a"), reason="content_filter"), "refusal", []),
    "incomplete for another reason": (
        answer(F, reason="steered"),
        "unknown",
        [("f", "truncated_call")],
    ),
    "a refusal": (answer(said("no", refused=True)), "refusal", []),
    "a refusal said at the end alone": (
        [terminal(items(said("no", refused=True)))],
        "refusal",
        [],
    ),
    "[DONE] after the end": ([*answer(said("a")), b"data: [DONE]\n\n"], "end_turn", []),
    "more after the end": ([*answer(said("a")), b"data: junk\n\n"], "end_turn", []),
}


@pytest.mark.parametrize(("body", "stop", "expected"), ENDS.values(), ids=ENDS.keys())
def test_how_an_answer_ended_is_said(
    body: list[bytes], stop: str, expected: list[tuple[str, Any]]
) -> None:
    found = whole(*body)
    assert (found.stop_reason, calls(found)) == (stop, expected)


@pytest.mark.parametrize(
    ("limit", "details", "stop"),
    [
        (3, {}, "max_tokens"),
        (4, {}, "tool_use"),
        (0, {}, "tool_use"),
        (3, {"incomplete_details": None}, "tool_use"),
    ],
)
def test_a_server_that_knows_no_incomplete_answers_is_told_by_its_tokens(
    limit: int, details: Any, stop: str
) -> None:
    """llama.cpp: what was cut off is `completed`."""
    sent = {"id": "r", "status": "completed", "usage": usage(completion=3), **details}
    end = event("response.completed", response=sent)
    found = whole(*answer(F)[:-1], end, limit=limit)
    assert found.stop_reason == stop
    assert calls(found) == ([("f", "truncated_call")] if stop == "max_tokens" else RIGHT[:1])


def test_a_network_fault_after_the_end_was_said_does_not_matter() -> None:
    assert isinstance(read(*answer(said("a")), failure=LATE), ModelResponse)
    assert read(*answer(said("a"))[:-1], failure=LATE) == LATE


# -- a body that is no stream ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [7, 100_000])
def test_a_body_that_is_no_stream_is_read_too(size: int) -> None:
    body = json.dumps(response(items(*PARTS, stem="5")), indent=1).encode()
    found = whole(*(body[n : n + size] for n in range(0, len(body), size)))
    assert found == whole(SAMPLE)


def test_a_body_says_as_well_that_it_is_incomplete_or_failed() -> None:
    cut = json.dumps(response(items(F), "incomplete", "max_output_tokens")).encode()
    assert whole(cut).stop_reason == "max_tokens"
    assert calls(whole(cut)) == [("f", "truncated_call")]
    assert failed(json.dumps(response(status="failed", error=error("no"))).encode()).retryable
    waiting = failed(json.dumps(response(status="queued")).encode())
    assert waiting.kind == "protocol"


# -- what returns to the provider -----------------------------------------------------------------


def kept(*reads: bytes) -> list[Any]:
    found = read(*reads)
    assert isinstance(found, ModelResponse)
    return [getattr(block, "opaque", None) for block in found.message.content]


def test_reasoning_is_kept_with_its_id_and_the_items_that_it_led_to() -> None:
    made = items(*PARTS, stem="5")
    assert kept(SAMPLE) == [
        {
            "id": made[0]["id"],
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": made[0]["encrypted_content"],
        },
        {"id": made[1]["id"], "phase": "commentary"},
        {"id": made[2]["id"]},
        {"id": made[3]["id"]},
    ]


def test_reasoning_without_a_summary_is_kept_too() -> None:
    found = whole(*answer(thought(), said("x")))
    assert isinstance(found.message.content[0], Reasoning)
    assert found.message.content[0].text == ""
    assert found.message.content[0].opaque is not None


PHASE = {"phase": "final_answer"}
ALONE: dict[str, tuple[list[bytes], list[Any]]] = {
    "no reasoning": (answer(said("a", phase="final_answer"), F), [PHASE, None]),
    "reasoning that is not encrypted": (answer(thought("hm", sealed=False), F), [None, None]),
    "reasoning at the end": (answer(said("x"), thought("hm")), [None, None]),
    "one of two is not encrypted": (
        answer(thought("a"), said("x"), thought("b", sealed=False), F),
        [None] * 4,
    ),
    "an answer that was cut": (answer(thought("a"), F, reason="max_output_tokens"), [None, None]),
    "an item that is not known": (
        [
            *answer(thought("a"), F)[:-1],
            event("response.output_item.done", output_index=2, item=UNKNOWN[0]),
            terminal(),
        ],
        [None, None],
    ),
}


@pytest.mark.parametrize(("body", "expected"), ALONE.values(), ids=ALONE.keys())
def test_what_could_not_return_together_is_not_kept(body: list[bytes], expected: list[Any]) -> None:
    assert kept(*body) == expected


def test_what_a_call_needs_beside_its_id_is_kept() -> None:
    [item] = items(F)
    item |= {"namespace": "n", "caller": {"type": "direct"}, "other": 1}
    assert kept(terminal([item])) == [{"namespace": "n", "caller": {"type": "direct"}}]


# -- cost -----------------------------------------------------------------------------------------


def test_twenty_thousand_pieces_cost_little() -> None:
    """Of the parsing alone, counted: functions called for each piece."""
    pieces = tuple("token " for _ in range(20_000))
    body = b"".join(answer(said(*pieces)))
    reads = [body[n : n + 65_536] for n in range(0, len(body), 65_536)]
    assert text_of(whole(*reads)) == "token " * 20_000
    assert work.calls(lambda: whole(*reads)) < 20_000 * 60


def test_the_cost_of_pieces_does_not_grow_with_the_answer() -> None:
    """Counted: what came is joined for the ends of parts, not for pieces."""
    pieces = tuple("x" for _ in range(3000))
    stream = ResponsesStream(ENDPOINT, ORIGIN, (), NO_TOOLS)
    deltas = [stream.feed(one) for one in answer(said(*pieces))[:-5]]
    assert [len(one) for one in deltas].count(1) >= 2990
