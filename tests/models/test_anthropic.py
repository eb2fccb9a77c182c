"""The Messages adapter on a real wire: what it sends, and what it makes of faults."""

import asyncio
import itertools
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from agent_host.core.events import TextDelta
from agent_host.core.types import (
    Message,
    Origin,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_host.models.anthropic import AnthropicModel, create
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.table import built_in
from tests.fakes.asking import Answered, answered, ask, request, tool, user
from tests.fakes.messages_server import (
    HEADERS,
    PING,
    STOP,
    MessagesServer,
    Play,
    called,
    end,
    error,
    hidden,
    refusal,
    said,
    signed,
    start,
    stream,
    thought,
    whole,
)

KEY = "sk-ant-very-secret-key"
CACHED = {"type": "ephemeral"}
ANTHROPIC = built_in().of("anthropic", "claude-sonnet-5")
OLDER = built_in().of("anthropic", "claude-haiku-4-5")
OWN = Origin(provider="fake", model="fake-1", adapter="anthropic")


def adapter(url: str, **options: Any) -> AnthropicModel:
    given: dict[str, Any] = {"provider": "fake", "model": "fake-1", "api_key": KEY} | options
    return create(AdapterSettings(base_url=url, **given))


@contextmanager
def serving(*plays: Play) -> Iterator[MessagesServer]:
    with MessagesServer(*plays) as server:
        yield server


def sent(*asked: Any, **options: Any) -> list[Any]:
    """The bodies of requests that the provider has nothing against."""
    with serving() as server:
        answers = ask(adapter(server.url, **options), *(asked or (request(),)))
        assert server.refused == []
    assert all(got.response for got in answers)
    return [got.body for got in server.received]


def failure_of(play: Play, **options: Any) -> Any:
    with serving(play) as server:
        [got] = ask(adapter(server.url, **options), request())
    return got.failure


# -- what is sent -------------------------------------------------------------------------------


def test_a_request_is_what_the_provider_documents() -> None:
    tools = [tool("orders__get", {"type": "object", "properties": {"id": {"type": "string"}}})]
    with serving() as server:
        ask(adapter(server.url), request(user("hi"), system="be brief", tools=tools))
        [got] = server.received
    assert got.body == {
        "model": "fake-1",
        "stream": True,
        "tools": [
            {
                "name": "orders__get",
                "description": "Does a thing.",
                "input_schema": {"type": "object", "properties": {"id": {"type": "string"}}},
                "cache_control": CACHED,
            }
        ],
        "system": [{"type": "text", "text": "be brief", "cache_control": CACHED}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "max_tokens": 32000,
        "cache_control": CACHED,
    }
    assert got.path == "/v1/messages"
    assert got.headers["x-api-key"] == KEY
    assert got.headers["anthropic-version"] == "2026-10-21"
    assert got.headers["content-type"] == "application/json"


def test_the_key_may_be_a_bearer_token() -> None:
    profile = replace(ANTHROPIC, auth="bearer")
    with serving() as server:
        ask(adapter(server.url, profile=profile), request())
        headers = server.received[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in headers


@pytest.mark.parametrize(
    "suffix",
    ["", "/", "/v1", "/v1/", "/v1/messages", "/v1/messages/"],
)
def test_a_base_url_is_understood_as_people_write_it(suffix: str) -> None:
    for below in ("", "/anthropic"):
        with serving() as server:
            server.paths = ("/v1/messages", "/anthropic/v1/messages")
            [got] = ask(adapter(server.url + below + suffix), request())
            assert server.received[0].path == f"{below}/v1/messages"
        assert got.text == "Hello, world"


def test_a_query_of_the_base_url_is_sent() -> None:
    with serving() as server:
        ask(adapter(server.url + "/v1?beta=true"), request())
        assert server.received[0].path == "/v1/messages?beta=true"


def test_a_profile_may_put_the_model_into_the_path() -> None:
    profile = replace(
        ANTHROPIC, path="/models/{model}:ask", body_model=False, body={"service_tier": "auto"}
    )
    with serving() as server:
        server.lenient = True
        ask(adapter(server.url + "/v1", profile=profile), request())
        [got] = server.received
    assert got.path == "/v1/models/fake-1:ask"
    assert "model" not in got.body
    assert got.body["service_tier"] == "auto"


def test_the_limit_of_the_answer_is_always_sent() -> None:
    bodies = sent(request(), request(max_output_tokens=5), max_output_tokens=7)
    assert [body["max_tokens"] for body in bodies] == [7, 5]
    assert sent(profile=replace(ANTHROPIC, max_output_tokens=0))[0]["max_tokens"] == 8192


def test_without_breakpoints_nothing_is_said_of_a_cache() -> None:
    profile = replace(ANTHROPIC, prompt_cache="none")
    [body] = sent(request(system="be brief", tools=[tool("a__b")]), profile=profile)
    assert body["system"] == "be brief"
    assert "cache_control" not in str(body)


def test_a_system_prompt_of_nothing_is_not_sent() -> None:
    for system in ("", "  \n"):
        assert "system" not in sent(request(system=system))[0]


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("auto", None),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("a__b", {"type": "tool", "name": "a__b"}),
        ("not__there", None),
    ],
)
def test_the_choice_of_a_tool_is_said(choice: str, wire: Any) -> None:
    [body] = sent(request(tools=[tool("a__b")], tool_choice=choice))
    assert body.get("tool_choice") == wire
    assert "tool_choice" not in sent(request(tool_choice=choice))[0]
    profile = replace(ANTHROPIC, tool_choice=())
    [body] = sent(request(tools=[tool("a__b")], tool_choice=choice), profile=profile)
    assert "tool_choice" not in body


def test_tools_that_may_not_run_at_once_are_called_one_by_one() -> None:
    alone = [replace(tool("a__b"), parallel=False)]
    for choice, wire in (
        ("auto", {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ):
        [body] = sent(request(tools=alone, tool_choice=choice), profile=ANTHROPIC)
        assert body["tool_choice"] == wire
    assert "tool_choice" not in sent(request(tools=alone))[0]


def test_effort_lets_the_model_think_as_much_as_it_likes() -> None:
    [body] = sent(effort="high", profile=ANTHROPIC)
    assert body["output_config"] == {"effort": "high"}
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert sent(profile=ANTHROPIC)[0].keys().isdisjoint({"thinking", "output_config"})
    [body] = sent(effort="high", profile=replace(ANTHROPIC, effort=""))
    assert body.keys().isdisjoint({"thinking", "output_config"})


@pytest.mark.parametrize(
    ("effort", "limit", "budget"),
    [("low", 32_000, 2048), ("high", 32_000, 16_384), ("high", 4096, 3072), ("high", 2048, 1024)],
)
def test_an_older_model_gets_a_budget_for_its_thoughts(
    effort: str, limit: int, budget: int
) -> None:
    [body] = sent(request(max_output_tokens=limit), effort=effort, profile=OLDER)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert "output_config" not in body


@pytest.mark.parametrize(("effort", "limit"), [("high", 2047), ("high", 100), ("odd", 32_000)])
def test_without_room_for_thoughts_there_are_none(effort: str, limit: int) -> None:
    [body] = sent(request(max_output_tokens=limit), effort=effort, profile=OLDER)
    assert "thinking" not in body


def test_a_forced_call_goes_without_thoughts() -> None:
    tools = [tool("a__b")]
    for profile in (ANTHROPIC, OLDER):
        for choice in ("required", "a__b"):
            asked = request(tools=tools, tool_choice=choice)
            assert "thinking" not in sent(asked, effort="high", profile=profile)[0]
        asked = request(tools=tools, tool_choice="none")
        assert "thinking" in sent(asked, effort="high", profile=profile)[0]


def turn(*first: Any, origin: Origin | None = OWN) -> tuple[Message, ...]:
    call = ToolCall(id="a", name="a__b", arguments={})
    result = ToolResult(call_id="a", content=(Text(text="ok"),))
    return (
        user("go"),
        Message(role="assistant", content=(*first, call), origin=origin),
        Message(role="tool", content=(result,)),
    )


THOUGHT = Reasoning(text="hm", opaque={"signature": signed("hm")})


@pytest.mark.parametrize(
    ("history", "thinks"),
    [
        (turn(THOUGHT), True),
        (turn(), False),
        (turn(Text(text="hm")), False),
        (turn(THOUGHT, origin=None), False),
        ((*turn(), user("and?")), True),
        (turn(THOUGHT)[1:], True),
    ],
)
def test_an_older_model_begins_to_think_only_at_the_beginning_of_a_turn(
    history: tuple[Message, ...], thinks: bool
) -> None:
    """It refuses a turn that begins with a call: after a switch of models."""
    [body] = sent(request(*history), effort="high", profile=OLDER)
    assert ("thinking" in body) is thinks


STRICT = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}


def test_the_schema_of_an_answer_is_said_where_the_provider_can_hold_to_it() -> None:
    [body] = sent(request(output_schema=STRICT), effort="low", profile=ANTHROPIC)
    assert body["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": STRICT},
    }
    assert "system" not in body


@pytest.mark.parametrize(
    ("schema", "profile"),
    [
        ({"type": "object", "patternProperties": {"a": {}}}, ANTHROPIC),
        (STRICT, replace(ANTHROPIC, structured="prompt")),
    ],
)
def test_the_schema_of_an_answer_is_said_in_words_elsewhere(schema: Any, profile: Any) -> None:
    [body] = sent(request(output_schema=schema, system="be brief"), profile=profile)
    assert "output_config" not in body
    assert body["system"][0]["text"].startswith("be brief\n\nYour final answer must be")
    assert json.dumps(schema) in body["system"][0]["text"]


def test_tools_that_cannot_be_said_are_withheld() -> None:
    model = adapter("http://127.0.0.1:1", profile=replace(ANTHROPIC, max_tools=1))
    assert list(model.withheld((tool("a__b"), tool("c__d")))) == ["c__d"]


# -- conversations ------------------------------------------------------------------------------


def test_thinking_and_calls_go_back_as_they_came_and_the_prefix_stays() -> None:
    """A whole conversation; the provider checks signatures, pairs and blocks."""
    tools = [tool("a__b")]
    plays = (
        whole(
            thought(0, "h", "m"),
            hidden(1),
            said(2, "Wait."),
            called(3, "toolu_1", "a__b", "{}"),
            called(4, "toolu_2", "a__b", "{}"),
            reason="tool_use",
        ),
        whole(thought(0), called(1, "toolu_3", "a__b", "{}"), reason="tool_use"),
        whole(said(0, "Done.")),
        whole(said(0, "Fine.")),
    )

    async def run(model: AnthropicModel) -> Answered:
        history = [user("go")]
        for _ in range(4):
            got = await answered(model, request(*history, tools=tools, system="be brief"))
            history.append(got.response.message)
            if got.calls:
                found = (ToolResult(call_id=c.id, content=(Text(text="ok"),)) for c in got.calls)
                history.append(Message(role="tool", content=tuple(found)))
            else:
                history.append(user("thanks"))
        await model.aclose()
        return got

    with serving(*plays) as server:
        got = asyncio.run(run(adapter(server.url, profile=ANTHROPIC, effort="high")))
        assert server.refused == []
        raws = [one.raw for one in server.received]
    assert got.text == "Fine."
    prefixes = [raw[: raw.index(b'],"max_tokens"')] for raw in raws]
    for before, after in itertools.pairwise(prefixes):
        assert after.startswith(before)
    first = json.loads(raws[1])["messages"][1]["content"]
    assert [block["type"] for block in first] == [
        *("thinking", "redacted_thinking", "text", "tool_use", "tool_use"),
    ]


def test_thinking_that_was_changed_is_refused_by_the_fake_provider() -> None:
    """Else the test above would prove nothing."""
    changed = Reasoning(text="HM", opaque=THOUGHT.opaque)
    with serving() as server:
        [got] = ask(adapter(server.url), request(*turn(changed)))
        assert "Invalid `signature` in `thinking` block" in server.refused[0]
    assert got.failure.kind == "bad_request"


def test_what_a_request_costs_does_not_grow_with_the_conversation_but_by_its_bytes() -> None:
    """Counted, not timed: the second request writes no message again."""
    history = [user(f"m{n}") for n in range(50)]

    async def run(model: AnthropicModel) -> int:
        await answered(model, request(*history))
        written_again = 0
        turns = model._encoder._turns
        original = turns._write

        def counting(message: Message) -> Any:
            nonlocal written_again
            written_again += 1
            return original(message)

        turns._write = counting  # type: ignore[method-assign]
        await answered(model, request(*history, user("new")))
        await model.aclose()
        return written_again

    with serving() as server:
        assert asyncio.run(run(adapter(server.url))) == 1


# -- what comes back ----------------------------------------------------------------------------


def test_an_answer_carries_usage_and_ids() -> None:
    play = whole(said(0, "a"), cache_read_input_tokens=100, cache_creation_input_tokens=8)
    with serving(play) as server:
        [got] = ask(adapter(server.url), request())
    assert got.response.usage == Usage(
        input_tokens=120, output_tokens=3, cache_read_tokens=100, cache_write_tokens=8
    )
    assert got.response.response_id == "msg_1"
    assert got.response.provider_request_id == "req_1"
    assert got.response.model_served == "fake-1"


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_an_answer_reads_the_same_however_it_is_framed_and_split(framing: Any) -> None:
    body = b"".join(
        [
            *(start(), PING, thought(0, "hm"), said(1, "é", "😀")),
            *(called(2, "toolu_1", "f", '{"x":', "1}"), end("tool_use"), STOP),
        ]
    )
    for size in (1, 2, 7, len(body)):
        parts = [body[n : n + size] for n in range(0, len(body), size)]
        with serving(stream(*parts, framing=framing)) as server:
            [got] = ask(adapter(server.url), request())
        assert [(c.name, c.arguments, c.fault) for c in got.calls] == [("f", {"x": 1}, None)]
        assert (got.text, got.thought) == ("é😀", "hm")


def test_an_answer_that_ends_at_any_byte_is_right_or_said_to_be_cut() -> None:
    """The network's own end, not only the stream's; some hundred cuts, evenly spread."""
    body = start() + said(0, "a") + called(1, "toolu_1", "f", '{"x":1}') + end("tool_use") + STOP
    cuts = range(0, len(body), 9)
    with serving(*(stream(body[:cut], end="cut") for cut in cuts)) as server:
        answers = ask(adapter(server.url), *(request() for _ in cuts))
    for got in answers:
        last = got.terminals[0]
        if hasattr(last, "kind"):
            assert last.kind == "protocol"
            assert last.retryable
        else:
            state = [(c.fault, c.arguments) for c in got.calls]
            assert state in ([("truncated_call", {})], [(None, {"x": 1})])
            assert (last.stop_reason == "tool_use") is (state[0][0] is None)


def test_many_tokens_of_one_read_are_few_deltas() -> None:
    play = whole(said(0, *["token "] * 5000))
    with serving(play) as server:
        [got] = ask(adapter(server.url), request())
    assert got.text == "token " * 5000
    assert len([d for d in got.deltas if isinstance(d, TextDelta)]) < 500


def test_one_connection_serves_one_request_after_another() -> None:
    with serving() as server:
        ask(adapter(server.url), request(), request(), request())
        assert {got.connection for got in server.received} == {1}


def test_an_answer_without_a_stream_is_read() -> None:
    body = {
        "type": "message",
        "id": "msg_7",
        "content": [{"type": "text", "text": "a"}],
        "stop_reason": "end_turn",
    }
    with serving(Play(body=[json.dumps(body).encode()], headers=HEADERS)) as server:
        [got] = ask(adapter(server.url), request())
    assert (got.text, got.response.response_id) == ("a", "msg_7")


# -- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "said_", "expected", "retryable"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", "bad_request", False),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 200251 tokens > 200000 maximum",
            "context_window_exceeded",
            False,
        ),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 199000 + 32000 > 200000",
            "context_window_exceeded",
            False,
        ),
        (400, "invalid_request_error", "Your credit balance is too low", "auth", False),
        (401, "authentication_error", "invalid x-api-key", "auth", False),
        (402, "billing_error", "pay first", "auth", False),
        (403, "permission_error", "not yours", "auth", False),
        (404, "not_found_error", "model: fake-1", "not_found", False),
        (413, "request_too_large", "Request exceeds 32 MB", "context_window_exceeded", False),
        (429, "rate_limit_error", "slow down", "rate_limit", True),
        (429, "rate_limit_error", "the spend limit is reached", "rate_limit", False),
        (500, "api_error", "Internal server error", "unavailable", True),
        (504, "timeout_error", "Timed out", "unavailable", True),
        (529, "overloaded_error", "Overloaded", "overloaded", True),
    ],
)
def test_a_refusal_is_a_failure_of_its_kind(
    status: int, kind: str, said_: str, expected: str, retryable: bool
) -> None:
    failure = failure_of(refusal(status, error(kind, said_)))
    assert (failure.kind, failure.retryable) == (expected, retryable)
    assert f"(HTTP {status}): {said_}" in failure.message
    assert failure.message.startswith("fake ")


@pytest.mark.parametrize("status", [400, 402])
def test_who_has_not_paid_is_told_so(status: int) -> None:
    failure = failure_of(refusal(status, error("billing_error", "Your credit balance is too low")))
    assert "wants to be paid" in failure.message
    assert "check the plan and billing" in failure.message


def test_a_refused_key_is_said_without_the_key() -> None:
    failure = failure_of(refusal(401, error("authentication_error", f"bad {KEY}\x1b[31m")))
    assert "refused the key (HTTP 401): bad ***" in failure.message
    assert "\x1b" not in failure.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "200"}, 200.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({}, None),
    ],
)
def test_the_wait_that_the_provider_asks_for_is_passed_on(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Never slept: the package would."""
    failure = failure_of(refusal(429, error("rate_limit_error"), **headers))
    assert (failure.kind, failure.retryable) == ("rate_limit", True)
    assert failure.retry_after == seconds


def test_what_the_provider_says_of_a_retry_wins() -> None:
    assert not failure_of(refusal(529, error("x"), x_should_retry="false")).retryable
    assert failure_of(refusal(400, error("x"), x_should_retry="true")).retryable


def test_a_refused_request_is_sent_once() -> None:
    with serving(refusal(529, error("overloaded_error"))) as server:
        ask(adapter(server.url), request())
        assert len(server.received) == 1


@pytest.mark.parametrize("body", [b"<html><title>502 Bad Gateway</title>", b"", b"\xff", b"[{}]"])
def test_an_error_may_have_any_body(body: bytes) -> None:
    failure = failure_of(refusal(502, body))
    assert (failure.kind, failure.retryable) == ("unavailable", True)


def test_a_page_with_status_200_is_no_answer() -> None:
    page = Play(body=[b"<!doctype html><title>Sign in</title>"], headers={}, framing="length")
    failure = failure_of(page)
    assert failure.kind == "protocol"
    assert "a web page (Sign in); check `base_url`" in failure.message


def test_an_error_object_with_status_200_is_of_its_kind() -> None:
    play = Play(
        body=[json.dumps(error("overloaded_error", "Overloaded")).encode()],
        headers={"content-type": "application/json"},
        framing="length",
    )
    assert failure_of(play).kind == "overloaded"


def test_a_redirect_is_not_followed() -> None:
    with serving() as other:
        failure = failure_of(refusal(307, b"", location=other.url + "/v1/messages"))
        assert other.received == []
    assert "set `base_url`" in failure.message


def test_nothing_that_listens_is_said_with_the_place() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        [got] = ask(adapter(f"http://127.0.0.1:{port}/v1"), request())
    assert (got.failure.kind, got.failure.retryable) == ("unavailable", True)
    assert f"127.0.0.1:{port}" in got.failure.message
    assert "is it running?" in got.failure.message


def test_a_server_that_hangs_up_without_an_answer_is_a_failure() -> None:
    failure = failure_of(Play(end="drop"))
    assert (failure.kind, failure.retryable) == ("unavailable", True)


def test_silence_ends_at_the_timeout() -> None:
    failure = failure_of(stream(start(), end="hang"), timeout=0.2)
    assert (failure.kind, failure.retryable) == ("timeout", True)
    assert "0.2 s" in failure.message


def test_a_server_that_never_answers_ends_at_the_timeout() -> None:
    failure = failure_of(Play(status=200, end="hang"), timeout=0.2)
    assert failure.kind == "timeout"


def test_speaking_tls_to_a_plain_server_is_a_failure() -> None:
    with serving() as server:
        [got] = ask(adapter(server.url.replace("http:", "https:")), request())
    assert got.failure.kind == "unavailable"


def test_an_argument_that_is_no_json_fails_the_request_and_nothing_else() -> None:
    call = ToolCall(id="a", name="f", arguments={"x": float("nan")})
    history = (
        user("go"),
        Message(role="assistant", content=(call,)),
        Message(role="tool", content=(ToolResult(call_id="a", content=()),)),
    )
    with serving() as server:
        bad, good = ask(adapter(server.url), request(*history), request())
    assert bad.failure.kind == "bad_request"
    assert good.text == "Hello, world"
