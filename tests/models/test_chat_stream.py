"""Streams of every dialect, and of none, read from bytes."""

import json
from typing import Any

import pytest

from agent_host.core.types import (
    ModelFailure,
    ModelResponse,
    Origin,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from agent_host.models import event_stream
from agent_host.models.chat_stream import ChatStream
from agent_host.models.failures import Endpoint, RefusedError
from agent_host.models.schemas import ToolTable, tool_table
from tests.fakes.asking import tool
from tests.fakes.chat_server import DONE, HEAD, call, chunk, event, finish, piece, text, usage

ORIGIN = Origin(provider="fake", model="fake-1", adapter="openai-chat")
ENDPOINT = Endpoint(
    provider="fake", model="fake-1", url="https://u:pw@fake.example/v1?k=1", secrets=("sk-secret",)
)
LATE = ModelFailure(kind="timeout", message="late", retryable=True)


NO_TOOLS = tool_table((), "plain")


def read(
    *reads: bytes, failure: ModelFailure | None = None, table: ToolTable = NO_TOOLS
) -> ModelResponse | ModelFailure:
    stream = ChatStream(ENDPOINT, ORIGIN, (), table)
    try:
        for data in reads:
            stream.feed(data)
        stream.finish()
    except RefusedError as refused:
        return refused.failure
    return stream.result(failure)


def whole(*reads: bytes) -> ModelResponse:
    result = read(*reads)
    assert isinstance(result, ModelResponse), result
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


SAMPLE = b"".join(
    [
        b": OPENROUTER PROCESSING\n\n",
        chunk({"role": "assistant", "content": None, "reasoning_content": "hm"}),
        text("Let me see é 😀"),
        call(piece(0, "a", "f", "")),
        call(piece(0, None, None, '{"order_id":"12345","amount"')),
        call(piece(0, None, None, ":25.75}")),
        call(piece(1, "b", "g", '{"list":[1,2],"text":"cut')),
        call(piece(1, None, None, ' here"}')),
        finish("tool_calls"),
        usage(),
        DONE,
    ]
)
RIGHT = [("f", {"order_id": "12345", "amount": 25.75}), ("g", {"list": [1, 2], "text": "cut here"})]


def test_a_stream_cut_at_any_byte_is_the_right_calls_or_says_that_it_was_cut() -> None:
    sound = 0
    for cut in range(len(SAMPLE)):
        result = read(SAMPLE[:cut])
        if isinstance(result, ModelFailure):
            assert result.kind == "protocol"
            assert result.retryable
        elif result.stop_reason == "unknown":
            assert {state for _, state in calls(result)} == {"truncated_call"}
        else:
            assert (result.stop_reason, calls(result)) == ("tool_use", RIGHT)
            sound += 1
    assert 0 < sound < len(SAMPLE) - SAMPLE.index(b"tool_calls")


def test_a_stream_split_at_any_byte_reads_the_same() -> None:
    for line_end in (b"\n", b"\r\n", b"\r"):
        sample = SAMPLE.replace(b"\n", line_end)
        expected = whole(sample)
        assert calls(expected) == RIGHT
        for split in range(len(sample)):
            assert read(sample[:split], sample[split:]) == expected
        assert read(*(sample[n : n + 1] for n in range(len(sample)))) == expected


def test_everything_of_an_answer_is_kept() -> None:
    response = whole(SAMPLE)
    assert response.usage == Usage(input_tokens=12, output_tokens=3, cache_read_tokens=4)
    assert (response.response_id, response.model_served) == ("chatcmpl-1", "fake-1")
    assert [type(block) for block in response.message.content] == [
        Reasoning,
        Text,
        ToolCall,
        ToolCall,
    ]


END = finish() + DONE
F = call(piece(0, "a", "f", '{"x":1}'))

FINE: dict[str, tuple[bytes, str, list[tuple[str, Any]]]] = {
    "finish stop with calls": (F + END, "tool_use", [("f", {"x": 1})]),
    "finish function_call": (F + finish("function_call"), "tool_use", [("f", {"x": 1})]),
    "finish tool_calls without calls": (text("a") + finish("tool_calls"), "end_turn", []),
    "finish in the chunk of the text": (chunk({"content": "a"}, "stop"), "end_turn", []),
    "no [DONE]": (text("a") + finish(), "end_turn", []),
    "no last line end": (text("a") + finish()[:-2], "end_turn", []),
    "[DONE] alone ends text": (text("a") + DONE, "end_turn", []),
    "[DONE] alone does not make a call sound": (F + DONE, "unknown", [("f", "truncated_call")]),
    "finish length": (F + finish("length"), "max_tokens", [("f", "truncated_call")]),
    "finish content_filter": (F + finish("content_filter"), "refusal", [("f", "truncated_call")]),
    "finish of another kind": (F + finish("MALFORMED"), "unknown", [("f", "truncated_call")]),
    "finish model_length": (text("a") + finish("model_length"), "context_window_exceeded", []),
    "a refusal": (chunk({"refusal": "no"}) + finish(), "refusal", []),
    "delta null": (chunk(None) + text("a") + chunk(None, "stop"), "end_turn", []),
    "content null": (chunk({"content": None}) + text("a") + END, "end_turn", []),
    "choices empty": (event({**HEAD, "choices": []}) + text("a") + END, "end_turn", []),
    "choices null": (event({**HEAD, "choices": None}) + text("a") + END, "end_turn", []),
    "choices odd": (event({**HEAD, "choices": ["x"]}) + text("a") + END, "end_turn", []),
    "tool_calls null": (chunk({"tool_calls": None}) + text("a") + END, "end_turn", []),
    "tool_calls odd": (chunk({"tool_calls": [None, 7, {}]}) + text("a") + END, "end_turn", []),
    "function null": (
        F + chunk({"tool_calls": [{"function": None}]}) + END,
        "tool_use",
        [("f", {"x": 1})],
    ),
    "index a string": (
        call({**piece(0, "a", "f", "{}"), "index": "0"}) + END,
        "tool_use",
        [("f", {})],
    ),
    "arguments as an object": (
        call(piece(0, "a", "f", {"x": 1})) + END,
        "tool_use",
        [("f", {"x": 1})],
    ),
    "parallel in one delta, all index 0": (
        call(piece(0, "a", "f", '{"x":1}'), piece(0, "b", "g", '{"y":2}')) + END,
        "tool_use",
        [("f", {"x": 1}), ("g", {"y": 2})],
    ),
    "parallel in one delta, nothing but names": (
        call(piece(None, None, "f"), piece(None, None, "f")) + END,
        "tool_use",
        [("f", {}), ("f", {})],
    ),
    "the older function_call": (
        chunk({"function_call": {"name": "f", "arguments": '{"x"'}})
        + chunk({"function_call": {"arguments": ":1}"}})
        + finish("function_call"),
        "tool_use",
        [("f", {"x": 1})],
    ),
    "two events without an empty line": (
        (text("a") + finish()).replace(b"\n\n", b"\n") + b"\n" + DONE,
        "end_turn",
        [],
    ),
    "another choice": (
        text("a") + event({**HEAD, "choices": [{"index": 1, "delta": {"content": "no"}}]}) + END,
        "end_turn",
        [],
    ),
    "after [DONE]": (text("a") + END + text("no") + b"data: junk\n\n", "end_turn", []),
    "content in parts": (
        chunk({"content": [{"type": "text", "text": "a"}, None, {"type": "odd"}]}) + END,
        "end_turn",
        [],
    ),
    "bytes that are no UTF-8": (
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"x":"\xff"}\n\n',
        "end_turn",
        [],
    ),
    "usage odd": (
        text("a")
        + event({"choices": [], "usage": {"prompt_tokens": "7", "completion_tokens": -1}})
        + event({"choices": [], "usage": [1]})
        + END,
        "end_turn",
        [],
    ),
}


@pytest.mark.parametrize(("stream", "stop", "expected"), FINE.values(), ids=FINE.keys())
def test_dialects_are_understood(stream: bytes, stop: str, expected: list[tuple[str, Any]]) -> None:
    response = whole(stream)
    assert (response.stop_reason, calls(response)) == (stop, expected)
    texts = [block.text for block in response.message.content if isinstance(block, Text)]
    if not expected:
        assert texts in (["a"], ["no"])
    assert response.usage.input_tokens >= 0


BAD: dict[str, tuple[bytes, str, str, bool]] = {
    "nothing": (b"", "protocol", "without an answer", True),
    "[DONE] alone": (DONE, "protocol", "without an answer", True),
    "comments alone": (b": hi\n\n", "protocol", "without an answer", True),
    "no end": (text("a"), "protocol", "middle of the answer", True),
    "no end in a call": (F, "protocol", "middle of the answer", True),
    "bad JSON": (text("a") + b"data: {bad\n\n" + END, "protocol", "no JSON", True),
    "JSON of another kind": (b"data: [1]\n\n" + END, "protocol", "no JSON", True),
    "nested JSON": (b"data: " + b"[" * 50_000 + b"\n\n", "protocol", "no JSON", True),
    "error in the stream": (
        text("a") + event({"error": {"message": "overloaded", "code": 503}}),
        "overloaded",
        "overloaded",
        True,
    ),
    "error text": (event({"error": "CUDA out of memory"}), "unavailable", "CUDA", True),
    "error with a code of words": (
        event({"error": {"message": "slow down", "type": "rate_limit_error"}}),
        "rate_limit",
        "slow down",
        True,
    ),
    "error as a message": (
        event({"object": "error", "message": "bad"}),
        "unavailable",
        "bad",
        True,
    ),
    "error as a detail": (event({"detail": "bad thing"}), "unavailable", "bad thing", True),
    "finish error": (text("a") + finish("error"), "unavailable", "error", True),
    "a page": (
        b"<!doctype html><html><title>Sign in\x1b[2J</title>",
        "protocol",
        "a web page (Sign in\\u{1b}[2J); check `base_url`",
        False,
    ),
    "words": (b"Not the API", "protocol", "Not the API; check `base_url`", False),
    "an error in a success": (
        json.dumps({"error": {"message": "no such model", "code": 404}}).encode(),
        "not_found",
        "no such model",
        False,
    ),
    "JSON of something else": (b'{"status":"ok"}', "protocol", "check `base_url`", False),
    "JSON that is cut": (b'{"choices":[', "protocol", "check `base_url`", False),
    "a list": (b"[]", "protocol", "check `base_url`", False),
    "too many calls": (
        b"".join(call(piece(n, f"a{n}", "f", "{}")) for n in range(200)),
        "protocol",
        "more than 128 calls",
        False,
    ),
}


@pytest.mark.parametrize(("stream", "kind", "said", "retryable"), BAD.values(), ids=BAD.keys())
def test_what_is_no_answer_is_a_failure(
    stream: bytes, kind: str, said: str, retryable: bool
) -> None:
    for reads in ([stream], [stream[n : n + 1] for n in range(min(len(stream), 500))]):
        if len(reads) < len(stream) and len(reads) != 1:
            continue
        failure = failed(*reads)
        assert (failure.kind, failure.retryable) == (kind, retryable)
        assert said in failure.message
        assert "\x1b" not in failure.message
        assert "pw" not in failure.message


def test_a_body_that_is_no_stream_is_read_too() -> None:
    message = {
        "role": "assistant",
        "content": "a",
        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"x":1}'}}],
    }
    body = {**HEAD, "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    data = json.dumps({**body, "usage": {"prompt_tokens": 5}}, indent=1).encode()
    response = whole(*(data[n : n + 7] for n in range(0, len(data), 7)))
    assert calls(response) == [("f", {"x": 1})]
    assert response.usage.input_tokens == 5


def test_endless_bodies_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_EVENT", 1000)
    assert "1000 bytes" in failed(b"{" + b" " * 1000).message
    assert "1000 bytes" in failed(b"data: " + b" " * 1000).message
    monkeypatch.setattr(event_stream, "MAX_BYTES", 1000)
    assert "1000 bytes" in failed(*[b": comment\n\n"] * 200).message
    assert failed(b"<" + b"x" * 900, b"y" * 90).kind == "protocol"


def test_reasoning_comes_under_two_names_and_in_parts() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "c"}, None]}]
    response = whole(
        chunk({"reasoning_content": "a"}),
        chunk({"reasoning": "b"}),
        chunk({"content": parts}),
        text("d"),
        END,
    )
    assert [b.text for b in response.message.content] == ["abc", "d"]  # type: ignore[union-attr]


SIGNED = {"google": {"thought_signature": "c2ln"}}


def test_a_thought_signature_is_kept_with_its_call() -> None:
    response = whole(
        call(piece(0, "a", "f", "{}", extra_content=SIGNED)), call(piece(0, "b", "g", "{}")), END
    )
    found = [block for block in response.message.content if isinstance(block, ToolCall)]
    assert [block.opaque for block in found] == [{"extra_content": SIGNED}, None]


@pytest.mark.parametrize(
    "trailing", [call({"extra_content": SIGNED}), chunk({"extra_content": SIGNED})]
)
def test_a_thought_signature_may_come_after_its_call(trailing: bytes) -> None:
    response = whole(call(piece(0, "a", "f", "{}")), trailing, END)
    [block] = response.message.content
    assert block.opaque == {"extra_content": SIGNED}  # type: ignore[union-attr]


def test_a_thought_signature_of_text_is_kept_with_the_text() -> None:
    response = whole(text("a"), chunk({"extra_content": SIGNED}), END)
    assert response.message.content == (Text(text="a", opaque={"extra_content": SIGNED}),)


def test_a_network_fault_after_the_end_was_said_does_not_matter() -> None:
    assert isinstance(read(text("a"), finish(), failure=LATE), ModelResponse)
    assert read(text("a"), failure=LATE) == LATE


def test_secrets_that_a_provider_quotes_are_blotted_out() -> None:
    failure = failed(event({"error": {"message": "bad key sk-secret", "code": 401}}))
    assert failure.kind == "auth"
    assert "sk-secret" not in failure.message
    assert "***" in failure.message


def test_arguments_come_back_under_the_names_of_the_tools_own_schema() -> None:
    schema = {"type": "object", "properties": {"Straße nr": {"type": "string"}}}
    table = tool_table((tool("f", schema),), "anthropic")
    [sent] = table.offered[0].compiled.schema["properties"]
    assert sent != "Straße nr"
    raw = json.dumps({sent: "5"})
    result = read(call(piece(0, "a", "f", raw)), END, table=table)
    assert isinstance(result, ModelResponse)
    assert calls(result) == [("f", {"Straße nr": "5"})]
