"""The Responses adapter on a real wire: what it sends, and what it makes of what comes back."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from agent_host.core.events import TextDelta
from agent_host.core.types import (
    Image,
    Message,
    ModelFailure,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_host.models.openai_responses import OpenAIResponses, create
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import built_in
from tests.fakes.asking import Answered, answered, ask, request, tool, user
from tests.fakes.responses_server import (
    Play,
    ResponsesServer,
    answer,
    called,
    error,
    event,
    refusal,
    said,
    stream,
    terminal,
    thought,
    usage,
    whole,
)

KEY = "sk-very-secret-key"


def as_openai(model: str = "gpt-6") -> Profile:
    return built_in().of("openai", model, "openai-responses")


def adapter(url: str, **options: Any) -> OpenAIResponses:
    given: dict[str, Any] = {"provider": "fake", "model": "fake-1", "api_key": KEY} | options
    given.setdefault("profile", as_openai())
    return create(AdapterSettings(base_url=url, **given))


# -- what is sent ---------------------------------------------------------------------------------


def test_a_request_is_what_the_provider_documents() -> None:
    schema = {"type": "object", "properties": {"id": {"type": "string"}}}
    with ResponsesServer() as server:
        asked = request(
            user("hi"),
            system="be brief",
            tools=[tool("orders__get", schema)],
            conversation="run-1",
            max_output_tokens=64,
        )
        ask(adapter(server.url, effort="high"), asked)
        assert server.refused == []
        [got] = server.received
    assert got.body == {
        "model": "fake-1",
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"summary": "auto", "effort": "high"},
        "instructions": "be brief",
        "tools": [
            {
                "type": "function",
                "name": "orders__get",
                "description": "Does a thing.",
                "parameters": schema,
                "strict": False,
            }
        ],
        "input": [{"role": "user", "content": "hi"}],
        "max_output_tokens": 64,
        "prompt_cache_key": "run-1",
    }
    assert got.path == "/v1/responses"
    assert got.headers["authorization"] == f"Bearer {KEY}"


def test_a_request_says_no_more_than_it_must() -> None:
    with ResponsesServer() as server:
        ask(adapter(server.url), request())
        [got] = server.received
    assert got.body.keys() == {"model", "stream", "store", "include", "input"}


def test_only_what_the_config_says_is_sent_to_another_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-gateway: gateway-secret")
    with ResponsesServer() as server:
        ask(adapter(server.url, headers={"x-title": "mine"}), request())
        headers = server.received[0].headers
    assert "secret" not in str({**headers, "authorization": ""})
    assert headers["x-title"] == "mine"


@pytest.mark.parametrize("suffix", ["", "/", "/responses", "/responses/"])
def test_a_base_url_is_understood_as_people_write_it(suffix: str) -> None:
    with ResponsesServer() as server:
        [got] = ask(adapter(server.url + suffix), request())
        assert server.received[0].path == "/v1/responses"
    assert got.text == "Hello, world"


@pytest.mark.parametrize(
    ("body", "effort", "sent"),
    [
        ({}, None, None),
        ({}, "low", {"effort": "low", "summary": "auto"}),
        ({"reasoning": {}}, "low", {"effort": "low"}),
        ({"reasoning": {"summary": "concise"}}, None, {"summary": "concise"}),
        ({"reasoning": {"summary": "concise"}}, "low", {"summary": "concise", "effort": "low"}),
    ],
)
def test_effort_and_summary_are_asked_for_as_the_config_says(
    body: Any, effort: str | None, sent: Any
) -> None:
    with ResponsesServer() as server:
        profile = replace(as_openai(), body=body)
        ask(adapter(server.url, profile=profile, effort=effort), request())
        assert server.refused == []
        assert server.received[0].body.get("reasoning") == sent


def test_a_model_that_does_not_reason_is_asked_for_no_reasoning() -> None:
    with ResponsesServer() as server:
        ask(adapter(server.url, profile=as_openai("gpt-4.1-mini"), effort="low"), request())
        [got] = server.received
    assert got.body.keys() == {"model", "stream", "store", "input"}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", None),
        ("none", "none"),
        ("required", "required"),
        ("x__y", {"type": "function", "name": "x__y"}),
        ("not__offered", None),
    ],
)
def test_the_choice_of_a_tool_is_said(choice: str, sent: Any) -> None:
    with ResponsesServer() as server:
        asked = request(tools=[tool("x__y")], tool_choice=choice)
        ask(adapter(server.url), asked, request(tool_choice=choice))
        assert server.refused == []
        assert [one.body.get("tool_choice") for one in server.received] == [sent, None]


def test_a_choice_that_the_model_does_not_know_is_not_said() -> None:
    with ResponsesServer() as server:
        model = adapter(server.url, profile=replace(as_openai(), tool_choice=("none",)))
        choices = ("required", "x__y", "none")
        ask(model, *(request(tools=[tool("x__y")], tool_choice=one) for one in choices))
        assert [one.body.get("tool_choice") for one in server.received] == [None, None, "none"]


@pytest.mark.parametrize(("model", "sent"), [("gpt-6", False), ("o4-mini", None)])
def test_tools_that_may_not_run_side_by_side_are_not_asked_for_side_by_side(
    model: str, sent: Any
) -> None:
    tools = [replace(tool(name), parallel=False) for name in ("x__a", "x__b")]
    with ResponsesServer() as server:
        asked = (request(tools=tools), request(tools=[*tools, tool("x__c")]), request())
        ask(adapter(server.url, profile=as_openai(model)), *asked)
        assert server.refused == []
        got = [one.body.get("parallel_tool_calls") for one in server.received]
    assert got == [sent, None, None]


STRICT = {
    "type": "object",
    "properties": {"total": {"type": "number"}},
    "required": ["total"],
    "additionalProperties": False,
}
LOOSE = {"type": "object", "properties": {"total": {"type": "number"}}}


@pytest.mark.parametrize(("schema", "strict"), [(STRICT, True), (LOOSE, False)])
def test_an_answer_in_json_is_asked_for_by_its_schema(schema: Any, strict: bool) -> None:
    with ResponsesServer() as server:
        asked = request(output_schema=schema, tools=[tool("x__y")], system="s")
        ask(adapter(server.url), asked)
        assert server.refused == []
        [got] = server.received
    assert got.body["text"] == {
        "format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": strict}
    }
    assert got.body["instructions"] == "s"


@pytest.mark.parametrize(
    ("profile", "schema", "sent"),
    [
        (as_openai(), {"type": "array", "items": {}}, None),
        (replace(as_openai(), structured="prompt"), STRICT, None),
        (
            replace(as_openai(), structured="json_object"),
            STRICT,
            {"format": {"type": "json_object"}},
        ),
        (replace(as_openai(), structured_with_tools=False), STRICT, None),
    ],
)
def test_where_a_schema_cannot_be_given_it_is_said_in_words(
    profile: Profile, schema: Any, sent: Any
) -> None:
    with ResponsesServer() as server:
        asked = request(output_schema=schema, tools=[tool("x__y")], system="s")
        ask(adapter(server.url, profile=profile), asked)
        assert server.refused == []
        [got] = server.received
    assert got.body.get("text") == sent
    assert got.body["instructions"].startswith("s\n\nYour final answer must be one JSON value")


def test_tools_beyond_what_the_provider_takes_are_withheld() -> None:
    tools = tuple(tool(f"t{n}") for n in range(130))
    with ResponsesServer() as server:
        model = adapter(server.url)
        withheld = model.withheld(tools)
        [got] = ask(model, request(tools=tools))
        assert server.refused == []
        assert len(server.received[0].body["tools"]) == 128
    assert got.text == "Hello, world"
    assert set(withheld) == {"t128", "t129"}


def test_a_request_begins_with_the_bytes_of_the_one_before_it() -> None:
    tools = (tool("x__y"),)
    first = (user("a"),)
    more = (*first, Message(role="assistant", content=(Text(text="b"),)), user("c"))
    with ResponsesServer() as server:
        ask(
            adapter(server.url),
            *(request(*history, tools=tools, system="s") for history in (first, more)),
        )
        bodies = [one.raw for one in server.received]
    end = bodies[0].index(b"]", bodies[0].index(b'"input":'))
    assert bodies[1].startswith(bodies[0][:end])


def test_no_message_is_encoded_again() -> None:
    """Counted, not timed."""
    history = [user(f"m{n}") for n in range(50)]

    async def run(model: OpenAIResponses) -> int:
        await answered(model, request(*history))
        again = 0
        joined = model._encoder._joined
        original = joined._write

        def counting(message: Message) -> Any:
            nonlocal again
            again += 1
            return original(message)

        joined._write = counting
        await answered(model, request(*history, user("new")))
        await model.aclose()
        return again

    with ResponsesServer() as server:
        assert asyncio.run(run(adapter(server.url))) == 1


# -- conversations --------------------------------------------------------------------------------


def test_reasoning_and_the_calls_that_it_led_to_return_to_the_provider() -> None:
    """The fake refuses reasoning without its item, items without their reasoning, and what was
    changed; see responses_rules.py."""
    picture = Image(data="iVBORw0KGgo=", media_type="image/png")

    async def run(model: OpenAIResponses) -> list[Answered]:
        history: list[Message] = []
        found: list[Answered] = []
        for said_now in ('call x__y {"n":1}', "call x__y", "thanks"):
            history.append(user(said_now))
            got = await answered(model, request(*history, tools=[tool("x__y")]))
            while got.calls:
                found.append(got)
                history.append(got.response.message)
                results = tuple(
                    ToolResult(call_id=one.id, content=(Text(text="ok"), picture))
                    for one in got.calls
                )
                history.append(Message(role="tool", content=results))
                got = await answered(model, request(*history, tools=[tool("x__y")]))
            found.append(got)
            history.append(got.response.message)
        await model.aclose()
        return found

    with ResponsesServer() as server:
        found = asyncio.run(run(adapter(server.url)))
        assert server.refused == []
        sent = server.received[-1].body["input"]
    assert [bool(one.calls) for one in found] == [True, False, True, False, False]
    assert [one.get("type", "user") for one in sent] == [
        *("user", "reasoning", "function_call", "function_call_output", "reasoning", "message"),
        *("user", "reasoning", "function_call", "function_call_output", "reasoning", "message"),
        "user",
    ]
    assert {"type": "input_image", "detail": "auto"}.items() <= sent[3]["output"][1].items()


def test_another_model_of_the_same_provider_gets_the_conversation_without_the_reasoning() -> None:
    with ResponsesServer() as server:
        [got] = ask(adapter(server.url), request(user("call x__y"), tools=[tool("x__y")]))
        message = got.response.message
        results = ToolResult(call_id=got.calls[0].id, content=(Text(text="ok"),))
        history = (user("call x__y"), message, Message(role="tool", content=(results,)))
        ask(adapter(server.url, model="fake-2"), request(*history))
        assert server.refused == []
        sent = server.received[-1].body["input"]
    assert any(isinstance(block, Reasoning) and block.opaque for block in message.content)
    assert [one.get("type", "user") for one in sent] == [
        *("user", "function_call", "function_call_output"),
    ]
    assert "id" not in sent[1]


# -- what comes back ------------------------------------------------------------------------------


def test_an_answer_carries_usage_and_ids() -> None:
    with ResponsesServer() as server:
        [got] = ask(adapter(server.url), request())
    assert got.response.usage == Usage(
        input_tokens=12, output_tokens=3, cache_read_tokens=4, cache_write_tokens=5
    )
    assert got.response.response_id == "resp_1"
    assert got.response.provider_request_id == "req-1"
    assert got.response.model_served == "fake-1"


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_an_answer_reads_the_same_however_it_is_framed_and_split(framing: Any) -> None:
    body = b"".join(answer(thought("hm"), said("é😀"), called("a", "f", '{"x":', "1}")))
    for size in (1, 7, len(body)):
        parts = [body[n : n + size] for n in range(0, len(body), size)]
        with ResponsesServer(stream(*parts, framing=framing)) as server:
            [got] = ask(adapter(server.url), request())
        assert [(c.name, c.arguments, c.fault) for c in got.calls] == [("f", {"x": 1}, None)]
        assert (got.text, got.thought) == ("é😀", "hm")


def test_many_tokens_of_one_read_are_few_deltas() -> None:
    body = answer(said(*("token " for _ in range(5000))))
    with ResponsesServer(stream(b"".join(body))) as server:
        [got] = ask(adapter(server.url), request())
    assert got.text == "token " * 5000
    assert len([d for d in got.deltas if isinstance(d, TextDelta)]) < 500


def test_a_connection_serves_one_request_after_another() -> None:
    with ResponsesServer() as server:
        ask(adapter(server.url), request(), request(), request())
        assert {got.connection for got in server.received} == {1}


def test_a_call_of_an_answer_that_was_cut_is_kept_and_not_sound() -> None:
    call = called("a", "f", '{"x":1}')
    with ResponsesServer(whole(said("x"), call, reason="max_output_tokens")) as server:
        [got] = ask(adapter(server.url), request())
    assert got.response.stop_reason == "max_tokens"
    assert [one.fault for one in got.calls] == ["truncated_call"]
    assert isinstance(got.response.message.content[1], ToolCall)


def test_an_answer_that_used_all_its_tokens_is_cut_where_the_server_has_no_word_for_it() -> None:
    sent = {"id": "r", "status": "completed", "usage": usage(completion=20)}
    end = event("response.completed", response=sent)
    with ResponsesServer(stream(*answer(said("a"))[:-1], end)) as server:
        model = adapter(server.url, max_output_tokens=20)
        asked = (request(), request(max_output_tokens=21))
        got = ask(model, *asked)
        assert server.refused == []
    assert [one.response.stop_reason for one in got] == ["max_tokens", "end_turn"]


# -- faults ---------------------------------------------------------------------------------------


def failure_of(*plays: Play, **options: Any) -> ModelFailure:
    with ResponsesServer(*plays) as server:
        [got] = ask(adapter(server.url, **options), request())
    assert KEY not in got.failure.message
    return got.failure


def test_a_refused_key_is_said_without_the_key() -> None:
    refused = {"message": f"Incorrect API key provided: {KEY}.", "code": "invalid_api_key"}
    failure = failure_of(refusal(401, {"error": refused}))
    assert failure.kind == "auth"
    assert "refused the key (HTTP 401): Incorrect API key provided: ***" in failure.message


def test_an_account_that_may_not_see_summaries_is_told_how_to_do_without() -> None:
    said_by_openai = "Your organization must be verified to generate reasoning summaries."
    failure = failure_of(refusal(400, {"error": {"message": said_by_openai}}))
    assert failure.kind == "bad_request"
    assert "body = { reasoning = {} }" in failure.message


def test_a_failed_response_is_a_failure_of_its_kind() -> None:
    play = stream(terminal(error=error("slow down", "rate_limit_exceeded")))
    failure = failure_of(play)
    assert (failure.kind, failure.retryable) == ("rate_limit", True)


def test_a_server_without_this_wire_is_named_with_the_place() -> None:
    failure = failure_of(refusal(404, b"404 page not found"))
    assert failure.kind == "not_found"
    assert "http://127.0.0.1:" in failure.message


def test_a_page_in_a_success_is_no_answer() -> None:
    page = Play(body=[b"<html><title>Portal</title>"], headers={"content-type": "text/html"})
    failure = failure_of(page)
    assert (failure.kind, failure.retryable) == ("protocol", False)
    assert "Portal" in failure.message


def test_silence_ends_at_the_timeout() -> None:
    failure = failure_of(stream(*answer(said("a"))[:5], end="hang"), timeout=0.2)
    assert (failure.kind, failure.retryable) == ("timeout", True)


def test_an_answer_does_not_wait_for_a_stream_that_stays_open_after_its_end() -> None:
    with ResponsesServer(stream(*answer(said("a")), end="hang")) as server:
        [got] = ask(adapter(server.url, timeout=30), request())
    assert got.text == "a"
