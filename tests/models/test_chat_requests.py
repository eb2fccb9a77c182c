"""What a Chat Completions request says beside its messages, as each provider's profile wants it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent_host.models.openai_chat import OpenAIChat, create
from agent_host.models.schemas import tool_table
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import built_in
from tests.fakes.asking import ask, request, tool, user
from tests.fakes.chat_server import DONE, ChatServer, call, finish, piece, stream


def adapter(url: str, **options: Any) -> OpenAIChat:
    given: dict[str, Any] = {"provider": "fake", "model": "fake-1", "api_key": "k"} | options
    return create(AdapterSettings(base_url=url, **given))


def as_provider(name: str, model: str = "m") -> Profile:
    return built_in().of(name, model, "openai-chat")


def test_a_request_to_openai_says_what_openai_documents() -> None:
    tools = [tool("orders__get")]
    with ChatServer(rules="openai") as server:
        model = adapter(
            server.url, profile=as_provider("openai"), effort="high", max_output_tokens=7
        )
        ask(
            model,
            request(user("hi"), system="be brief", tools=tools, conversation="run-1"),
        )
        assert server.refused == []
        [got] = server.received
    assert got.body["messages"][0] == {"role": "developer", "content": "be brief"}
    assert got.body["tools"][0]["function"]["strict"] is False
    assert got.body["max_completion_tokens"] == 7
    assert "max_tokens" not in got.body
    assert got.body["reasoning_effort"] == "high"
    assert got.body["prompt_cache_key"] == "run-1"
    assert "parallel_tool_calls" not in got.body


def test_only_openai_is_told_of_strict_and_of_developers() -> None:
    for rules in ("plain", "gemini", "mistral", "deepseek"):
        with ChatServer(rules=rules) as server:
            model = adapter(server.url, profile=as_provider(rules), effort="high")
            asked = request(system="s", tools=[tool("x__y")], conversation="run-1")
            ask(model, asked)
            assert server.refused == []
            [got] = server.received
        assert got.body["messages"][0]["role"] == "system"
        assert "strict" not in got.body["tools"][0]["function"]
        assert ("reasoning_effort" in got.body) == (rules != "mistral")


def test_at_most_128_tools_go_to_openai_and_the_others_are_said_to_be_withheld() -> None:
    tools = tuple(tool(f"t{n}") for n in range(130))
    with ChatServer(rules="openai") as server:
        model = adapter(server.url, profile=as_provider("openai"))
        withheld = model.withheld(tools)
        assert model.withheld(tools) is withheld
        [got] = ask(model, request(tools=tools))
        sent = [one["function"]["name"] for one in server.received[0].body["tools"]]
    assert got.text == "Hello, world"
    assert sent == [f"t{n}" for n in range(128)]
    assert set(withheld) == {"t128", "t129"}
    assert "128" in withheld["t128"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", None),
        ("none", "none"),
        ("required", "required"),
        ("x__y", {"type": "function", "function": {"name": "x__y"}}),
        ("not__offered", None),
    ],
)
def test_the_choice_of_a_tool_is_said(choice: str, sent: Any) -> None:
    with ChatServer() as server:
        ask(adapter(server.url), request(tools=[tool("x__y")], tool_choice=choice))
        ask(adapter(server.url), request(tool_choice=choice))
        assert server.refused == []
        assert [one.body.get("tool_choice") for one in server.received] == [sent, None]


def test_a_choice_that_the_model_does_not_know_is_not_said() -> None:
    with ChatServer() as server:
        model = adapter(server.url, profile=Profile(tool_choice=("none",)))
        choices = ("required", "x__y", "none")
        ask(model, *(request(tools=[tool("x__y")], tool_choice=one) for one in choices))
        sent = [one.body.get("tool_choice") for one in server.received]
    assert sent == [None, None, "none"]


def test_tools_that_may_not_run_side_by_side_are_not_asked_for_side_by_side() -> None:
    tools = [replace(tool(name), parallel=False) for name in ("x__a", "x__b")]
    with ChatServer(rules="openai") as server:
        model = adapter(server.url, profile=as_provider("openai"))
        ask(model, request(tools=tools), request(tools=[*tools, tool("x__c")]))
        assert server.refused == []
        sent = [one.body.get("parallel_tool_calls") for one in server.received]
    assert sent == [False, None]


SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}},
    "required": ["total"],
    "additionalProperties": False,
}
LOOSE = {"type": "object", "properties": {"total": {"type": "number"}}}


@pytest.mark.parametrize(("schema", "strict"), [(SCHEMA, True), (LOOSE, None)])
def test_an_answer_in_json_is_asked_for_by_its_schema(schema: Any, strict: bool) -> None:
    with ChatServer(rules="openai") as server:
        ask(adapter(server.url, profile=as_provider("openai")), request(output_schema=schema))
        assert server.refused == []
        [got] = server.received
    asked = got.body["response_format"]["json_schema"]
    assert (asked["name"], asked["schema"], asked.get("strict")) == ("answer", schema, strict)
    assert len(got.body["messages"]) == 1


@pytest.mark.parametrize(
    ("rules", "tools", "sent"),
    [
        ("plain", 0, None),
        ("gemini", 0, "json_schema"),
        ("gemini", 1, None),
        ("deepseek", 1, "json_object"),
        ("mistral", 1, "json_schema"),
    ],
)
def test_where_a_schema_cannot_be_given_it_is_said_in_words(
    rules: str, tools: int, sent: str | None
) -> None:
    with ChatServer(rules=rules) as server:
        model = adapter(server.url, profile=as_provider(rules))
        asked = request(system="s", output_schema=SCHEMA, tools=[tool("x__y")][:tools])
        ask(model, asked)
        assert server.refused == []
        [got] = server.received
    assert got.body.get("response_format", {}).get("type") == sent
    assert ('"total"' in got.body["messages"][0]["content"]) == (sent != "json_schema")


def test_openai_takes_no_schema_of_a_list_so_that_one_is_said_in_words() -> None:
    with ChatServer(rules="openai") as server:
        model = adapter(server.url, profile=as_provider("openai"))
        ask(model, request(output_schema={"type": "array", "items": {"type": "string"}}))
        assert server.refused == []
        [got] = server.received
    assert "response_format" not in got.body
    assert '"array"' in got.body["messages"][0]["content"]


def test_effort_goes_only_where_the_model_takes_it() -> None:
    for model, sent in (("gpt-6", "low"), ("gpt-4o-mini", None)):
        with ChatServer(rules="openai") as server:
            ask(adapter(server.url, profile=as_provider("openai", model), effort="low"), request())
            assert server.received[0].body.get("reasoning_effort") == sent


def test_arguments_of_a_renamed_tool_come_back_as_its_server_calls_them() -> None:
    schema = {"type": "object", "properties": {"Straße nr": {"type": "string"}}}
    profile = Profile(schema="gemini")
    offered = tool_table((tool("x__y", schema),), "gemini").offered[0]
    [shown] = offered.compiled.schema["properties"]
    play = stream(call(piece(0, "a", "x__y", json.dumps({shown: "5"}))), finish("tool_calls"), DONE)
    with ChatServer(play) as server:
        [got] = ask(adapter(server.url, profile=profile), request(tools=[tool("x__y", schema)]))
    assert [one.arguments for one in got.calls] == [{"Straße nr": "5"}]
