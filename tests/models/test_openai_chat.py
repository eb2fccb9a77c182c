"""The Chat Completions adapter on a real wire: what it sends, and what it makes of faults."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agent_host.core.errors import ConfigError
from agent_host.core.events import TextDelta
from agent_host.core.types import (
    Image,
    Message,
    ModelFailure,
    Origin,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_host.models.chat_messages import ChatEncoder
from agent_host.models.openai_chat import OpenAIChat, create
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import built_in
from tests.fakes.asking import answered, ask, request, tool, user
from tests.fakes.chat_server import (
    DONE,
    ChatServer,
    Play,
    call,
    chunk,
    finish,
    piece,
    refusal,
    stream,
    text,
    usage,
)

KEY = "sk-very-secret-key"


def adapter(url: str, **options: Any) -> OpenAIChat:
    given: dict[str, Any] = {"provider": "fake", "model": "fake-1", "api_key": KEY} | options
    return create(AdapterSettings(base_url=url, **given))


@contextmanager
def serving(*plays: Play) -> Iterator[ChatServer]:
    with ChatServer(*plays) as server:
        yield server


# -- what is sent -------------------------------------------------------------------------------


def test_a_request_is_what_a_provider_documents() -> None:
    tools = [tool("orders__get", {"type": "object", "properties": {"id": {"type": "string"}}})]
    with serving() as server:
        ask(adapter(server.url), request(user("hi"), system="be brief", tools=tools))
        [got] = server.received
    assert got.body == {
        "model": "fake-1",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "orders__get",
                    "description": "Does a thing.",
                    "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
                },
            }
        ],
    }
    assert got.path == "/v1/chat/completions"
    assert got.headers["authorization"] == f"Bearer {KEY}"
    assert got.headers["content-type"] == "application/json"


def test_only_what_the_config_says_is_sent_to_another_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "admin-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-gateway: gateway-secret\nAuthorization: other")
    with serving() as server:
        [got] = ask(adapter(server.url, headers={"x-title": "mine"}), request())
        headers = server.received[0].headers
    assert got.text == "Hello, world"
    assert "secret" not in str({**headers, "authorization": ""})
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-title"] == "mine"
    assert not [name for name in headers if name.startswith("x-stainless")]


def test_without_a_key_none_is_sent() -> None:
    with serving() as server:
        [got] = ask(adapter(server.url, api_key=None), request())
        assert "authorization" not in server.received[0].headers
    assert got.text == "Hello, world"


@pytest.mark.parametrize("suffix", ["", "/", "/chat/completions", "/chat/completions/"])
def test_a_base_url_is_understood_as_people_write_it(suffix: str) -> None:
    with serving() as server:
        [got] = ask(adapter(server.url + suffix), request())
        assert server.received[0].path == "/v1/chat/completions"
    assert got.text == "Hello, world"


def test_a_query_of_the_base_url_is_sent() -> None:
    with serving() as server:
        ask(adapter(server.url + "?api-version=2026-01-01"), request())
        assert server.received[0].path == "/v1/chat/completions?api-version=2026-01-01"


def test_the_limit_of_the_answer_is_sent_only_when_set() -> None:
    with serving() as server:
        ask(adapter(server.url, max_output_tokens=7), request(), request(max_output_tokens=5))
        assert [got.body["max_tokens"] for got in server.received] == [7, 5]


def test_one_connection_serves_one_request_after_another() -> None:
    with serving() as server:
        ask(adapter(server.url), request(), request(), request())
        assert {got.connection for got in server.received} == {1}


def test_many_sessions_at_once_each_keep_a_connection() -> None:
    async def run(model: OpenAIChat) -> None:
        for _ in range(3):
            async with asyncio.TaskGroup() as group:
                for _ in range(40):
                    group.create_task(answered(model, request()))
        assert [lane.active for lane in model._lanes] == [0] * 5
        await model.aclose()

    with serving() as server:
        asyncio.run(run(adapter(server.url)))
        assert len({got.connection for got in server.received}) == 40


def test_a_connection_that_the_server_closed_is_replaced() -> None:
    with serving(stream(text("a"), finish(), DONE, framing="close")) as server:
        answers = ask(adapter(server.url), request(), request())
    assert [got.text for got in answers] == ["a", "a"]


def test_a_batch_of_results_stands_together_and_its_pictures_after_it() -> None:
    picture = Image(data="iVBORw0KGgo=", media_type="image/png")
    calls = tuple(ToolCall(id=one, name="x__y", arguments={"n": 1}) for one in ("a", "b"))
    results = (
        ToolResult(call_id="a", content=(Text(text="seen"), picture)),
        ToolResult(call_id="b", content=(Text(text="no"),), error="timeout"),
    )
    history = (
        user("go"),
        Message(role="assistant", content=(Text(text="Wait."), *calls)),
        Message(role="tool", content=results[:1]),
        Message(role="tool", content=results[1:]),
    )
    with serving() as server:
        ask(adapter(server.url), request(*history))
        assert server.refused == []
        sent = server.received[0].body["messages"][1:]
    assert [message["role"] for message in sent] == ["assistant", "tool", "tool", "user"]
    assert sent[0]["content"] == "Wait."
    assert sent[1]["content"] == "seen\n[image image/png] (shown in the next user message)"
    assert sent[2]["content"] == "Error (timeout): no"
    assert sent[3]["content"][1]["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="


SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
OWN = Origin(provider="fake", model="fake-1", adapter="openai-chat")
OTHER = Origin(provider="fake", model="fake-2", adapter="openai-chat")


def encoded(message: Message, profile: Profile = Profile()) -> Any:  # noqa: B008
    sent, _ = ChatEncoder(OWN, profile).messages("", [message])
    return json.loads(sent)


@pytest.mark.parametrize(("origin", "kept"), [(OWN, True), (OTHER, False), (None, False)])
def test_a_providers_own_data_returns_to_its_origin_only(origin: Origin, kept: bool) -> None:
    message = Message(
        role="assistant",
        origin=origin,
        content=(
            Reasoning(text="hm"),
            Text(text="a", opaque=SIGNED),
            ToolCall(id="a", name="f", arguments={}, opaque=SIGNED),
        ),
    )
    [wire] = encoded(message)
    assert ("extra_content" in wire) == kept
    assert ("extra_content" in wire["tool_calls"][0]) == kept
    assert "hm" not in str(wire)


def test_reasoning_returns_where_the_provider_wants_it() -> None:
    profile = built_in().of("deepseek", "deepseek-chat")
    for origin, expected in ((OWN, "hm"), (OTHER, "")):
        message = Message(
            role="assistant",
            origin=origin,
            content=(Reasoning(text="hm"), ToolCall(id="a", name="f", arguments={})),
        )
        [wire] = encoded(message, profile)
        assert wire["reasoning_content"] == expected


def test_a_foreign_call_gets_the_signature_that_stands_in() -> None:
    profile = built_in().of("gemini", "gemini-3")
    calls = tuple(ToolCall(id=one, name="f", arguments={}) for one in "ab")
    [wire] = encoded(Message(role="assistant", content=calls, origin=OTHER), profile)
    assert wire["tool_calls"][0]["extra_content"]["google"]["thought_signature"].startswith("skip")
    assert "extra_content" not in wire["tool_calls"][1]


def test_ids_of_calls_are_as_the_provider_takes_them_and_match_their_results() -> None:
    profile = built_in().of("mistral", "mistral-large")
    encoder = ChatEncoder(OWN, profile)
    ids = ["call_1", "abc123XYZ", "x" * 100]
    sent, known = encoder.messages(
        "",
        [
            Message(
                role="assistant",
                content=tuple(ToolCall(id=one, name="f", arguments={}) for one in ids),
            ),
            Message(role="tool", content=tuple(ToolResult(call_id=i, content=()) for i in ids)),
        ],
    )
    wire = json.loads(sent)
    made = [one["id"] for one in wire[0]["tool_calls"]]
    assert made == [one["tool_call_id"] for one in wire[1:]]
    assert all(len(one) == 9 and one.isalnum() for one in made)
    assert made[1] == "abc123XYZ"
    assert known == set(ids)


def test_a_message_is_serialized_once_while_it_is_the_same_object() -> None:
    encoder = ChatEncoder(OWN, Profile())
    said = user("a")
    cache = encoder._joined._cache
    encoder.messages("", [said])
    first = cache.get(said)
    assert first is not None
    encoder.messages("s", [user("b"), said])
    assert cache.get(said) is first
    assert cache.get(user("a")) is None


def test_the_cache_of_messages_is_bounded_and_stays_right() -> None:
    encoder = ChatEncoder(OWN, Profile(), limit=1000)
    history = [user(f"message {n} " + "x" * 50) for n in range(100)]
    for end in range(1, 100):
        sent, _ = encoder.messages("", history[:end])
        assert len(json.loads(sent)) == end
    kept = (*encoder._joined._cache._young.values(), *encoder._joined._cache._old.values())
    assert sum(len(one.body) for one in kept) < 2500


# -- what comes back ----------------------------------------------------------------------------


def test_an_answer_carries_usage_and_ids() -> None:
    with serving() as server:
        [got] = ask(adapter(server.url), request())
    assert got.response.usage == Usage(input_tokens=12, output_tokens=3, cache_read_tokens=4)
    assert got.response.response_id == "chatcmpl-1"
    assert got.response.provider_request_id == "req-1"
    assert got.response.model_served == "fake-1"


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_an_answer_reads_the_same_however_it_is_framed_and_split(framing: Any) -> None:
    body = b"".join(
        [
            chunk({"reasoning_content": "hm"}),
            text("é😀"),
            call(piece(0, "a", "f", '{"x":')),
            call(piece(0, None, None, "1}")),
            finish("tool_calls"),
            usage(),
            DONE,
        ]
    )
    for size in (1, 2, 7, len(body)):
        parts = [body[n : n + size] for n in range(0, len(body), size)]
        with serving(stream(*parts, framing=framing)) as server:
            [got] = ask(adapter(server.url), request())
        assert [(c.name, c.arguments, c.fault) for c in got.calls] == [("f", {"x": 1}, None)]
        assert (got.text, got.thought) == ("é😀", "hm")


def test_many_tokens_of_one_read_are_few_deltas() -> None:
    body = [text("token ") for _ in range(5000)]
    with serving(stream(b"".join(body), finish(), DONE)) as server:
        [got] = ask(adapter(server.url), request())
    assert got.text == "token " * 5000
    assert len([d for d in got.deltas if isinstance(d, TextDelta)]) < 500


def test_small_http_chunks_of_one_read_are_joined() -> None:
    """Tells when another version of the HTTP client takes our connections no more."""
    model = adapter("http://127.0.0.1:9/v1")
    model.prepare()
    [lane] = model._lanes
    backend = lane.client._client._transport._pool._network_backend  # type: ignore[attr-defined]
    assert type(backend).__name__ == "JoiningBackend"
    asyncio.run(model.aclose())


def test_an_answer_does_not_wait_for_a_stream_that_stays_open_after_its_end() -> None:
    with serving(stream(text("a"), finish(), DONE, end="hang")) as server:
        started = time.monotonic()
        [got] = ask(adapter(server.url, timeout=30), request())
    assert got.text == "a"
    assert time.monotonic() - started < 10


# -- faults -------------------------------------------------------------------------------------


def failure_of(*plays: Play, **options: Any) -> ModelFailure:
    with serving(*plays) as server:
        [got] = ask(adapter(server.url, **options), request())
    assert KEY not in got.failure.message
    return got.failure


def test_a_refused_key_is_said_without_the_key() -> None:
    error = {"message": f"Incorrect API key provided: {KEY}\x1b[31m.", "code": "invalid_api_key"}
    failure = failure_of(refusal(401, {"error": error}))
    assert failure.kind == "auth"
    assert "refused the key (HTTP 401): Incorrect API key provided: ***" in failure.message
    assert "\x1b" not in failure.message


def test_an_unknown_model_is_named_with_the_place() -> None:
    failure = failure_of(refusal(404, {"error": {"message": "model not found"}}))
    assert failure.kind == "not_found"
    assert "'fake-1'" in failure.message
    assert "http://127.0.0.1:" in failure.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "200"}, 200.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        (
            {
                "date": "Sun, 06 Nov 1994 08:49:37 GMT",
                "retry-after": "Sun, 06 Nov 1994 08:50:07 GMT",
            },
            30.0,
        ),
        (
            {
                "date": "Sun, 06 Nov 1994 08:49:37 GMT",
                "retry-after": "Sun, 06 Nov 1994 08:00:00 GMT",
            },
            0.0,
        ),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_a_provider_asks_for_is_passed_on(
    headers: dict[str, str], seconds: float | None
) -> None:
    play = refusal(429, {"error": {"message": "slow down"}}, **headers)
    failure = failure_of(play)
    assert (failure.kind, failure.retryable) == ("rate_limit", True)
    assert failure.retry_after == seconds


def test_a_spent_quota_is_not_asked_again() -> None:
    error = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
    failure = failure_of(refusal(429, {"error": error}))
    assert (failure.kind, failure.retryable) == ("rate_limit", False)
    assert "billing" in failure.message


def test_what_the_provider_says_of_a_retry_wins() -> None:
    assert not failure_of(refusal(500, {}, x_should_retry="false")).retryable
    assert failure_of(refusal(400, {}, x_should_retry="true")).retryable


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser',
            "start vLLM with --enable-auto-tool-choice",
        ),
        ("tools param requires --jinja flag", "start llama-server with --jinja"),
        ("gemma does not support tools", "choose a model that can call tools"),
    ],
)
def test_a_server_that_was_started_wrong_is_explained(said: str, hint: str) -> None:
    failure = failure_of(refusal(400, {"object": "error", "message": said}))
    assert failure.kind == "bad_request"
    assert hint in failure.message


@pytest.mark.parametrize(
    "error",
    [
        {"message": "too long", "code": "context_length_exceeded"},
        {"message": "This model's maximum context length is 8192 tokens."},
        {"message": "the request exceeds the available context size"},
    ],
)
def test_a_conversation_that_is_too_long_has_its_own_kind(error: Any) -> None:
    assert failure_of(refusal(400, {"error": error})).kind == "context_window_exceeded"


@pytest.mark.parametrize(
    "body",
    [b"<html><title>502 Bad Gateway</title>", b"", b"\xff\xfe", b"[" * 60_000, b"[{}]", b"null"],
)
def test_an_error_may_have_any_body(body: bytes) -> None:
    failure = failure_of(refusal(502, body))
    assert (failure.kind, failure.retryable) == ("unavailable", True)
    assert len(failure.message) < 700


def test_an_endless_error_is_read_in_part() -> None:
    play = Play(body=[b"x" * 100_000], status=500, headers={}, framing="chunked", end="hang")
    assert failure_of(play).kind == "unavailable"


def test_a_redirect_is_not_followed() -> None:
    with serving() as other:
        play = refusal(307, b"", location=other.url + "/chat/completions")
        failure = failure_of(play)
        assert other.received == []
    assert "set `base_url`" in failure.message


def test_nothing_that_listens_is_said_with_the_place() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        [got] = ask(adapter(f"http://127.0.0.1:{port}/v1"), request())
    assert (got.failure.kind, got.failure.retryable) == ("unavailable", True)
    assert f"127.0.0.1:{port}/v1" in got.failure.message
    assert "is it running?" in got.failure.message


def test_a_server_that_hangs_up_without_an_answer_is_a_failure() -> None:
    failure = failure_of(Play(end="drop"))
    assert (failure.kind, failure.retryable) == ("unavailable", True)


def test_silence_ends_at_the_timeout() -> None:
    failure = failure_of(stream(text("a"), end="hang"), timeout=0.2)
    assert (failure.kind, failure.retryable) == ("timeout", True)
    assert "0.2 s" in failure.message


def test_a_stream_of_nothing_but_comments_is_silence() -> None:
    comments = [b": still here\n\n"] * 300_000
    failure = failure_of(stream(text("a"), *comments, end="hang"), timeout=0.3)
    assert failure.kind == "timeout"


def test_an_answer_that_never_ends_ends_at_its_own_bound() -> None:
    endless = [text("a") for _ in range(200_000)]
    failure = failure_of(stream(*endless, end="hang"), timeout=30, answer_timeout=0.3)
    assert (failure.kind, failure.retryable) == ("timeout", False)
    assert "raise `answer_timeout`" in failure.message


def test_speaking_tls_to_a_plain_server_is_a_failure() -> None:
    with serving() as server:
        [got] = ask(adapter(server.url.replace("http:", "https:")), request())
    assert got.failure.kind == "unavailable"


def test_certificates_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    [got] = ask(adapter("https://127.0.0.1:9/v1"), request())
    assert (got.failure.kind, got.failure.retryable) == ("unavailable", False)
    assert "SSL_CERT_FILE" in got.failure.message


@pytest.mark.parametrize("url", ["ftp://x/v1", "localhost:11434", "http://", "http://[::1", "x"])
def test_a_base_url_that_is_none_is_an_error_of_the_config(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        adapter(url)


@pytest.mark.parametrize("key", ["sk-“quoted”", "sk-a\nb"])
def test_a_key_that_cannot_be_sent_is_an_error_that_does_not_show_it(key: str) -> None:
    with pytest.raises(ConfigError, match="api_key") as caught:
        adapter("http://127.0.0.1:1/v1", api_key=key)
    assert "sk-" not in str(caught.value)


def test_a_line_end_after_the_key_does_no_harm() -> None:
    with serving() as server:
        ask(adapter(server.url, api_key=KEY + "\n"), request())
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_what_a_request_costs_does_not_grow_with_the_conversation_but_by_its_bytes() -> None:
    """Counted, not timed: the second request encodes no message again."""
    history = [user(f"m{n}") for n in range(50)]

    async def run(model: OpenAIChat) -> int:
        await answered(model, request(*history))
        encoded_again = 0
        joined = model._encoder._joined
        original = joined._write

        def counting(message: Message) -> Any:
            nonlocal encoded_again
            encoded_again += 1
            return original(message)

        joined._write = counting
        await answered(model, request(*history, user("new")))
        await model.aclose()
        return encoded_again

    with serving() as server:
        assert asyncio.run(run(adapter(server.url))) == 1
