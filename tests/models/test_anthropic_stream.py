"""Streams of the Messages wire, and of what calls itself compatible, read from bytes."""

import json
from typing import Any

import pytest

from agent_host.core.events import ReasoningDelta, TextDelta, ToolArgumentsDelta
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
from agent_host.models.anthropic_stream import MessagesStream, RefusedError
from agent_host.models.failures import Endpoint
from agent_host.models.schemas import tool_table
from tests.fakes.asking import tool
from tests.fakes.messages_server import (
    PING,
    STOP,
    begin,
    called,
    close,
    delta,
    end,
    error,
    hidden,
    named,
    said,
    sealed,
    signed,
    start,
    thought,
)
from tests.fakes.provider_server import event

ORIGIN = Origin(provider="fake", model="fake-1", adapter="anthropic")
ENDPOINT = Endpoint(
    provider="fake", model="fake-1", url="https://u:pw@fake.example/v1?k=1", secrets=("sk-secret",)
)
NO_TOOLS = tool_table((), "anthropic")
LATE = ModelFailure(kind="timeout", message="late", retryable=True)


def read(
    *reads: bytes, failure: ModelFailure | None = None, taken: Any = (), table: Any = NO_TOOLS
) -> ModelResponse | ModelFailure:
    stream = MessagesStream(ENDPOINT, ORIGIN, taken, table)
    try:
        for data in reads:
            stream.feed(data)
        stream.finish()
    except RefusedError as refused:
        return refused.failure
    return stream.result(failure)


def whole(*reads: bytes, **options: Any) -> ModelResponse:
    result = read(*reads, **options)
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


def texts(response: ModelResponse) -> str:
    return "".join(block.text for block in response.message.content if isinstance(block, Text))


SAMPLE = b"".join(
    [
        start(cache_read_input_tokens=100, cache_creation_input_tokens=20),
        PING,
        thought(0, "h", "m"),
        hidden(1),
        said(2, "Let me see é", " 😀"),
        called(3, "toolu_a", "f", "", '{"order_id":"12345","amount"', ":25.75}"),
        called(4, "toolu_b", "g", '{"list":[1,2],"text":"cut', ' here"}'),
        end("tool_use", output_tokens=9),
        STOP,
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
    assert 0 < sound < len(SAMPLE) - SAMPLE.index(b'"tool_use", "stop_sequence"')


def test_a_stream_split_at_any_byte_reads_the_same() -> None:
    for line_end in (b"\n", b"\r\n", b"\r"):
        sample = SAMPLE.replace(b"\n", line_end)
        expected = whole(sample)
        assert calls(expected) == RIGHT
        for split in range(len(sample)):
            assert read(sample[:split], sample[split:]) == expected
        assert read(*(sample[n : n + 1] for n in range(len(sample)))) == expected


def test_everything_of_an_answer_is_kept_in_its_order() -> None:
    response = whole(SAMPLE)
    assert response.usage == Usage(
        input_tokens=132, output_tokens=9, cache_read_tokens=100, cache_write_tokens=20
    )
    assert (response.response_id, response.model_served) == ("msg_1", "fake-1")
    assert response.message.origin == ORIGIN
    assert response.message.content == (
        Reasoning(text="hm", opaque={"signature": signed("hm")}),
        Reasoning(text="", opaque={"data": sealed()}),
        Text(text="Let me see é 😀"),
        ToolCall(id="toolu_a", name="f", arguments=RIGHT[0][1]),
        ToolCall(id="toolu_b", name="g", arguments=RIGHT[1][1]),
    )


def test_what_came_is_shown_once_a_read() -> None:
    stream = MessagesStream(ENDPOINT, ORIGIN, (), NO_TOOLS)
    shown = stream.feed(SAMPLE)
    assert shown == [
        ReasoningDelta(text="hm"),
        TextDelta(text="Let me see é 😀"),
        ToolArgumentsDelta(index=0, name="f", text='{"order_id":"12345","amount":25.75}'),
        ToolArgumentsDelta(index=1, name="g", text='{"list":[1,2],"text":"cut here"}'),
    ]
    assert stream.finish() == []
    assert stream.done


HEAD, TEXT, END = start(), said(0, "a"), end() + STOP
F = called(0, "toolu_1", "f", '{"x":1}')
CUT = [("f", "truncated_call")]

FINE: dict[str, tuple[bytes, str, list[tuple[str, Any]]]] = {
    "text": (HEAD + TEXT + END, "end_turn", []),
    "a call": (HEAD + F + end("tool_use") + STOP, "tool_use", [("f", {"x": 1})]),
    "end_turn with a call": (HEAD + F + END, "tool_use", [("f", {"x": 1})]),
    "tool_use without a call": (HEAD + TEXT + end("tool_use") + STOP, "end_turn", []),
    "stop_sequence": (HEAD + TEXT + end("stop_sequence") + STOP, "stop_sequence", []),
    "max_tokens": (HEAD + F + end("max_tokens") + STOP, "max_tokens", CUT),
    "refusal": (HEAD + TEXT + end("refusal") + STOP, "refusal", []),
    "the window is full": (
        HEAD + TEXT + end("model_context_window_exceeded") + STOP,
        "context_window_exceeded",
        [],
    ),
    "pause_turn is unfinished": (HEAD + TEXT + end("pause_turn") + STOP, "unknown", []),
    "pause_turn does not make a call sound": (HEAD + F + end("pause_turn") + STOP, "unknown", CUT),
    "another stop reason": (HEAD + F + end("odd") + STOP, "unknown", CUT),
    "no message_stop": (HEAD + TEXT + end(), "end_turn", []),
    "no last line end": (HEAD + TEXT + end()[:-2], "end_turn", []),
    "message_stop alone ends nothing": (HEAD + TEXT + STOP, "unknown", []),
    "message_stop alone makes no call sound": (HEAD + F + STOP, "unknown", CUT),
    "no stop reason": (HEAD + F + end(None) + STOP, "unknown", CUT),
    "[DONE] in place of message_stop": (HEAD + TEXT + end() + b"data: [DONE]\n\n", "end_turn", []),
    "no message_start": (TEXT + END, "end_turn", []),
    "no arguments": (
        HEAD + called(0, "t", "f") + end("tool_use") + STOP,
        "tool_use",
        [("f", {})],
    ),
    "empty arguments": (
        HEAD + called(0, "t", "f", "", "") + end("tool_use") + STOP,
        "tool_use",
        [("f", {})],
    ),
    "arguments given whole at the start": (
        HEAD + begin(0, "tool_use", id="t", name="f", input={"x": 1}) + close(0) + END,
        "tool_use",
        [("f", {"x": 1})],
    ),
    "arguments given whole, as text": (
        HEAD + begin(0, "tool_use", id="t", name="f", input='{"x":1}') + close(0) + END,
        "tool_use",
        [("f", {"x": 1})],
    ),
    "arguments given twice": (
        HEAD
        + begin(0, "tool_use", id="t", name="f", input={"x": 1})
        + delta(0, "input_json_delta", partial_json='{"x":1}')
        + close(0)
        + END,
        "tool_use",
        [("f", {"x": 1})],
    ),
    "arguments as an object in a delta": (
        HEAD
        + begin(0, "tool_use", id="t", name="f", input={})
        + delta(0, "input_json_delta", partial_json={"x": 1})
        + close(0)
        + END,
        "tool_use",
        [("f", {"x": 1})],
    ),
    "arguments that are cut": (
        HEAD + called(0, "t", "f", '{"order_id":"12345","amount":25') + end("tool_use") + STOP,
        "tool_use",
        [("f", "malformed_call")],
    ),
    "arguments twice in a row": (
        HEAD + called(0, "t", "f", '{"x":1}', '{"y":2}') + end("tool_use") + STOP,
        "tool_use",
        [("f", "malformed_call")],
    ),
    "a key twice": (
        HEAD + called(0, "t", "f", '{"x":1,"x":2}') + end("tool_use") + STOP,
        "tool_use",
        [("f", "malformed_call")],
    ),
    "a call that is not closed": (
        HEAD
        + begin(0, "tool_use", id="t", name="f", input={})
        + delta(0, "input_json_delta", partial_json='{"x":1}')
        + end("tool_use")
        + STOP,
        "tool_use",
        CUT,
    ),
    "a call without a name": (
        HEAD + begin(0, "tool_use", id="t", input={}) + close(0) + END,
        "tool_use",
        [("unnamed", "malformed_call")],
    ),
    "index always 0": (
        HEAD + said(0, "a") + F + called(0, "toolu_2", "g", '{"y":2}') + END,
        "tool_use",
        [("f", {"x": 1}), ("g", {"y": 2})],
    ),
    "index missing": (
        HEAD + said(None, "a") + called(None, "t", "f", '{"x":1}') + END,  # type: ignore[arg-type]
        "tool_use",
        [("f", {"x": 1})],
    ),
    "index odd": (
        HEAD + begin([1], "text", text="a") + delta({}, "text_delta", text="") + close([1]) + END,
        "end_turn",
        [],
    ),
    "interleaved blocks": (
        HEAD
        + begin(0, "tool_use", id="t", name="f", input={})
        + begin(1, "tool_use", id="u", name="g", input={})
        + delta(0, "input_json_delta", partial_json='{"x"')
        + delta(1, "input_json_delta", partial_json='{"y"')
        + delta(0, "input_json_delta", partial_json=":1}")
        + delta(1, "input_json_delta", partial_json=":2}")
        + close(1)
        + close(0)
        + END,
        "tool_use",
        [("f", {"x": 1}), ("g", {"y": 2})],
    ),
    "text that was not begun": (
        HEAD + delta(0, "text_delta", text="") + delta(0, "text_delta", text="a") + END,
        "end_turn",
        [],
    ),
    "text given whole at the start": (
        HEAD + begin(0, "text", text="a") + close(0) + END,
        "end_turn",
        [],
    ),
    "closed twice": (HEAD + TEXT + close(0) + close(7) + END, "end_turn", []),
    "begun and left": (
        HEAD + begin(0, "text", text="") + close(0) + said(1, "a") + END,
        "end_turn",
        [],
    ),
    "pings": (PING + HEAD + PING + TEXT + PING + END, "end_turn", []),
    "an unknown event": (HEAD + named({"type": "news", "x": 1}) + TEXT + END, "end_turn", []),
    "an event of no type": (HEAD + event({"x": 1}) + TEXT + END, "end_turn", []),
    "an unknown delta": (
        HEAD + begin(0, "text", text="a") + delta(0, "odd_delta", odd=1) + close(0) + END,
        "end_turn",
        [],
    ),
    "a delta of no type": (
        HEAD
        + begin(0, "text", text="a")
        + named({"type": "content_block_delta", "index": 0, "delta": {"type": [1]}})
        + named({"type": "content_block_delta", "index": 0, "delta": None})
        + named({"type": "content_block_delta"})
        + close(0)
        + END,
        "end_turn",
        [],
    ),
    "a delta of another kind of block": (
        HEAD
        + begin(0, "text", text="a")
        + delta(0, "input_json_delta", partial_json="{}")
        + delta(0, "thinking_delta", thinking="b")
        + delta(0, "signature_delta", signature="c")
        + close(0)
        + END,
        "end_turn",
        [],
    ),
    "citations": (
        HEAD
        + begin(0, "text", text="", citations=[])
        + delta(0, "citations_delta", citation={"type": "page_location", "cited_text": "no"})
        + delta(0, "text_delta", text="a")
        + close(0)
        + END,
        "end_turn",
        [],
    ),
    "a tool of the provider, and its result": (
        HEAD
        + begin(0, "server_tool_use", id="srvtoolu_1", name="web_search", input={})
        + delta(0, "input_json_delta", partial_json='{"query":"x"}')
        + close(0)
        + begin(1, "web_search_tool_result", tool_use_id="srvtoolu_1", content=[])
        + close(1)
        + said(2, "a")
        + END,
        "end_turn",
        [],
    ),
    "an unknown block": (
        HEAD + begin(0, "hologram", text="no") + delta(0, "text_delta", text="no") + close(0)
        + said(1, "a") + END,
        "end_turn",
        [],
    ),
    "block null": (
        HEAD + named({"type": "content_block_start", "index": 0, "content_block": None})
        + close(0) + said(1, "a") + END,
        "end_turn",
        [],
    ),
    "two events without an empty line": (
        (HEAD + TEXT + END).replace(b"\n\n", b"\n") + b"\n",
        "end_turn",
        [],
    ),
    "after message_stop": (HEAD + TEXT + END + TEXT + b"data: junk\n\n", "end_turn", []),
    "an error after the stop reason": (
        HEAD + TEXT + end() + named(error("overloaded_error")),
        "end_turn",
        [],
    ),
    "bytes that are no UTF-8": (
        HEAD + TEXT + END.replace(b'"message_stop"}', b'"message_stop","x":"\xff"}'),
        "end_turn",
        [],
    ),
    "usage odd": (
        HEAD
        + TEXT
        + named({"type": "message_delta", "delta": None, "usage": [1]})
        + end(input_tokens="7", output_tokens=-1)  # type: ignore[arg-type]
        + STOP,
        "end_turn",
        [],
    ),
    "message null": (
        named({"type": "message_start", "message": None}) + TEXT + END,
        "end_turn",
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("stream", "stop", "expected"), FINE.values(), ids=FINE.keys())
def test_dialects_are_understood(stream: bytes, stop: str, expected: list[tuple[str, Any]]) -> None:
    for reads in ([stream], [stream[n : n + 3] for n in range(0, len(stream), 3)]):
        response = whole(*reads)
        assert (response.stop_reason, calls(response)) == (stop, expected)
        if not expected:
            assert texts(response) == "a"


BAD: dict[str, tuple[bytes, str, str, bool]] = {
    "nothing": (b"", "protocol", "without an answer", True),
    "pings alone": (PING * 3, "protocol", "without an answer", True),
    "message_start alone": (HEAD, "protocol", "without an answer", True),
    "message_stop alone": (HEAD + STOP, "protocol", "without an answer", True),
    "no end": (HEAD + TEXT, "protocol", "middle of the answer", True),
    "no end in a call": (HEAD + F, "protocol", "middle of the answer", True),
    "bad JSON": (HEAD + TEXT + b"data: {bad\n\n" + END, "protocol", "no JSON", True),
    "JSON of another kind": (b"data: [1]\n\n" + END, "protocol", "no JSON", True),
    "arguments without a call": (
        HEAD + delta(3, "input_json_delta", partial_json='{"x":1}') + END,
        "protocol",
        "a call that it did not begin",
        True,
    ),
    "overloaded in the stream": (
        HEAD + TEXT + named(error("overloaded_error", "Overloaded")),
        "overloaded",
        "Overloaded",
        True,
    ),
    "overloaded at once": (
        named(error("overloaded_error", "Overloaded")),
        "overloaded",
        "(HTTP 529): Overloaded",
        True,
    ),
    "an error of no form": (HEAD + named({"type": "error"}), "unavailable", "failed", True),
    "an error of words": (event({"error": "CUDA out of memory"}), "unavailable", "CUDA", True),
    "an error as a detail": (event({"detail": "bad thing"}), "unavailable", "bad thing", True),
    "a page": (
        b"<!doctype html><html><title>Sign in\x1b[2J</title>",
        "protocol",
        "a web page (Sign in\\u{1b}[2J); check `base_url`",
        False,
    ),
    "words": (b"Not the API", "protocol", "Not the API; check `base_url`", False),
    "an error in a success": (
        json.dumps(error("not_found_error", "model: claude-9")).encode(),
        "not_found",
        "claude-9",
        False,
    ),
    "JSON of something else": (b'{"status":"ok"}', "protocol", "check `base_url`", False),
    "JSON that is cut": (b'{"type":"message","content":[', "protocol", "check `base_url`", False),
    "a list": (b"[]", "protocol", "check `base_url`", False),
    "too many calls": (
        HEAD + b"".join(called(n, f"a{n}", "f", "{}") for n in range(200)),
        "protocol",
        "more than 128 calls",
        False,
    ),
    "too many blocks": (
        HEAD + b"".join(begin(n, "text", text="") for n in range(5000)),
        "protocol",
        "more than 4096 blocks",
        False,
    ),
}


@pytest.mark.parametrize(("stream", "kind", "said_", "retryable"), BAD.values(), ids=BAD.keys())
def test_what_is_no_answer_is_a_failure(
    stream: bytes, kind: str, said_: str, retryable: bool
) -> None:
    failure = failed(stream)
    assert (failure.kind, failure.retryable) == (kind, retryable)
    assert said_ in failure.message
    assert "\x1b" not in failure.message
    assert "pw" not in failure.message


@pytest.mark.parametrize(
    ("kind", "expected", "retryable"),
    [
        ("authentication_error", "auth", False),
        ("permission_error", "auth", False),
        ("billing_error", "auth", False),
        ("not_found_error", "not_found", False),
        ("invalid_request_error", "bad_request", False),
        ("request_too_large", "context_window_exceeded", False),
        ("rate_limit_error", "rate_limit", True),
        ("timeout_error", "unavailable", True),
        ("api_error", "unavailable", True),
        ("overloaded_error", "overloaded", True),
        ("an_error_of_tomorrow", "unavailable", True),
    ],
)
def test_an_error_in_the_stream_is_of_its_kind(kind: str, expected: str, retryable: bool) -> None:
    failure = failed(HEAD, named(error(kind, "no")))
    assert (failure.kind, failure.retryable) == (expected, retryable)


def test_a_full_window_in_the_stream_is_told_from_other_bad_requests() -> None:
    said_ = "prompt is too long: 200251 tokens > 200000 maximum"
    assert failed(named(error("invalid_request_error", said_))).kind == "context_window_exceeded"


def test_a_body_that_is_no_stream_is_read_too() -> None:
    body = {
        "id": "msg_2",
        "type": "message",
        "model": "fake-2",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
            None,
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 2},
    }
    data = json.dumps(body, indent=1).encode()
    response = whole(*(data[n : n + 7] for n in range(0, len(data), 7)))
    assert (response.stop_reason, calls(response)) == ("tool_use", [("f", {"x": 1})])
    assert response.message.content[0] == Reasoning(text="hm", opaque={"signature": "sig"})
    assert response.usage == Usage(input_tokens=9, output_tokens=2, cache_read_tokens=4)
    assert (response.response_id, response.model_served) == ("msg_2", "fake-2")


@pytest.mark.parametrize("content", [None, "words", [], [7]])
def test_a_body_without_content_is_an_empty_answer(content: Any) -> None:
    body = {"type": "message", "content": content, "stop_reason": "end_turn"}
    response = whole(json.dumps(body).encode())
    assert (response.stop_reason, response.message.content) == ("end_turn", ())


def test_a_body_without_a_stop_reason_is_not_whole() -> None:
    body = {"type": "message", "content": [{"type": "text", "text": "a"}], "stop_reason": None}
    assert failed(json.dumps(body).encode()).kind == "protocol"


def test_endless_bodies_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_EVENT", 1000)
    assert "1000 bytes" in failed(b"{" + b" " * 1000).message
    assert "1000 bytes" in failed(b"data: " + b" " * 1000).message
    monkeypatch.setattr(event_stream, "MAX_BYTES", 1000)
    assert "1000 bytes" in failed(*[PING] * 200).message


def test_counts_of_tokens_are_totals_and_never_shrink() -> None:
    response = whole(
        start(input_tokens=10, cache_read_input_tokens=5),
        TEXT,
        end(input_tokens=0, cache_read_input_tokens=0, output_tokens=4),
        STOP,
    )
    assert response.usage == Usage(input_tokens=15, output_tokens=4, cache_read_tokens=5)
    late = whole(start(input_tokens=0), TEXT, end(input_tokens=8, output_tokens=4), STOP)
    assert late.usage == Usage(input_tokens=8, output_tokens=4)


# -- thinking -----------------------------------------------------------------------------------


def reasoning(*parts: bytes) -> list[Reasoning]:
    return [b for b in whole(*parts).message.content if isinstance(b, Reasoning)]


def test_thinking_that_is_left_out_of_the_answer_keeps_its_signature() -> None:
    [block] = reasoning(HEAD, thought(0), TEXT, END)
    assert block == Reasoning(text="", opaque={"signature": signed("")})


def test_thinking_that_was_cut_has_nothing_to_send_back() -> None:
    cut = begin(0, "thinking", thinking="", signature="") + delta(0, "thinking_delta", thinking="h")
    [block] = reasoning(HEAD, cut, close(0), end("max_tokens"), STOP)
    assert block == Reasoning(text="h", opaque=None)


def test_whole_thinking_of_a_server_that_signs_nothing_goes_back_unsigned() -> None:
    unsigned = begin(0, "thinking", thinking="h") + close(0)
    [block] = reasoning(HEAD, unsigned, said(1, "a"), END)
    assert block == Reasoning(text="h", opaque={"signature": ""})


def test_a_signature_given_at_the_start_is_kept() -> None:
    [block] = reasoning(HEAD, begin(0, "thinking", thinking="h", signature="s"), close(0), END)
    assert block == Reasoning(text="h", opaque={"signature": "s"})


def test_thinking_that_was_not_begun_is_shown() -> None:
    [block] = reasoning(HEAD, delta(0, "thinking_delta", thinking="h"), said(1, "a"), END)
    assert block.text == "h"


# -- calls --------------------------------------------------------------------------------------


def test_ids_that_the_conversation_has_are_replaced() -> None:
    sample = (HEAD, F, called(1, "toolu_1", "g", "{}"), called(2, "bad id!", "h"), END)
    found = [b.id for b in whole(*sample, taken={"toolu_1"}).message.content]  # type: ignore[union-attr]
    assert len(set(found)) == 3
    assert "toolu_1" not in found


def test_arguments_come_back_under_the_keys_of_the_server() -> None:
    schema = {"type": "object", "properties": {"größe": {"type": "string"}}}
    table = tool_table((tool("orders__get", schema),), "anthropic")
    [key] = table.offered[0].compiled.schema["properties"]
    assert key != "größe"
    response = whole(HEAD, called(0, "t", "orders__get", json.dumps({key: "L"})), END, table=table)
    assert calls(response) == [("orders__get", {"größe": "L"})]


def test_a_network_fault_after_the_end_was_said_does_not_matter() -> None:
    assert isinstance(read(HEAD, TEXT, end(), failure=LATE), ModelResponse)
    assert read(HEAD, TEXT, failure=LATE) == LATE


def test_text_and_calls_that_were_cut_are_kept_as_cut() -> None:
    response = whole(HEAD, said(0, "a"), called(1, "t", "f", '{"x":1}'), failure=LATE)
    assert (response.stop_reason, calls(response)) == ("unknown", CUT)


def test_secrets_that_a_provider_quotes_are_blotted_out() -> None:
    failure = failed(named(error("authentication_error", "invalid x-api-key sk-secret")))
    assert failure.kind == "auth"
    assert "sk-secret" not in failure.message
    assert "***" in failure.message
