"""What servers ask of the host, read from the protocol's JSON."""

import pytest

from agent_host.core.server_requests import (
    input_requested,
    sampling_prompt,
    sampling_result,
)
from agent_host.core.types import Audio, Image, Message, ModelResponse, Text, ToolCall

ASK = {"input_id": "i", "server": "w", "call_id": "c", "key": "k"}


def test_a_url_is_asked_for_as_the_server_sent_it():
    asked = input_requested(
        {"mode": "url", "message": "Log in", "url": "https://h.example/x?y#z"}, **ASK
    )
    assert (asked.mode, asked.url, asked.requested_schema) == (
        "url",
        "https://h.example/x?y#z",
        None,
    )
    assert (asked.call_id, asked.key) == ("c", "k")


def test_a_form_without_a_mode_is_a_form():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    asked = input_requested({"message": "?", "requestedSchema": schema}, **ASK)
    assert (asked.mode, asked.requested_schema) == ("form", schema)


@pytest.mark.parametrize(
    "url", ["https://h.example/a b", "https://h.example/\x1b[2J", "file:///x", 7]
)
def test_what_is_no_web_address_is_not_asked_for(url):
    assert isinstance(input_requested({"mode": "url", "message": "?", "url": url}, **ASK), str)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": "object"},
        {"type": "object", "properties": {"a": {"description": "x" * 70_000}}},
    ],
)
def test_what_is_no_form_is_not_asked_for(schema):
    problem = input_requested({"message": "?", "requestedSchema": schema}, **ASK)
    assert isinstance(problem, str)


def test_pictures_and_sounds_go_to_the_model_as_what_they_are():
    media = [
        {"type": "image", "data": "aGk=", "mimeType": "image/png"},
        {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
    ]
    prompt = sampling_prompt(
        {
            "messages": [
                {"role": "user", "content": media},
                {"role": "assistant", "content": {"type": "text", "text": "ok"}},
            ],
            "maxTokens": 5,
            "systemPrompt": 3,
        }
    )
    assert prompt.messages[0].content == (
        Image(data="aGk=", media_type="image/png"),
        Audio(data="aGk=", media_type="audio/wav"),
    )
    assert (prompt.messages[1].role, prompt.system, prompt.max_tokens) == ("assistant", "", 5)


@pytest.mark.parametrize("content", [None, "text", [], [{"type": "image", "data": 3}]])
def test_a_message_that_cannot_be_read_is_a_reason(content):
    params = {"messages": [{"role": "user", "content": content}], "maxTokens": 5}
    assert "cannot be read" in sampling_prompt(params)


@pytest.mark.parametrize("message", [None, {"role": "tool", "content": []}])
def test_a_message_of_nobody_is_a_reason(message):
    assert isinstance(sampling_prompt({"messages": [message], "maxTokens": 5}), str)


def answer(*blocks, stop="end_turn"):
    return ModelResponse(message=Message(role="assistant", content=blocks), stop_reason=stop)


def test_an_answer_says_who_gave_it_and_why_it_ended():
    result = sampling_result(answer(Text(text="a"), Text(text="b"), stop="max_tokens"), "m")
    assert result == {
        "role": "assistant",
        "content": {"type": "text", "text": "ab"},
        "model": "m",
        "stopReason": "maxTokens",
    }


def test_an_answer_without_text_is_none():
    assert sampling_result(answer(ToolCall(id="c", name="n", arguments={})), "m") is None
