"""The fake provider refuses what the real one refuses: else the suite beside proves nothing."""

from typing import Any

import pytest

from tests.fakes.chat_server import judge, signed

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USER = {"role": "user", "content": "hi"}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "ok"}


def calling(*calls: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **more}


def altered(**changes: Any) -> dict[str, Any]:
    return {**CALL, **changes}


def named(name: Any = "f", arguments: Any = "{}") -> dict[str, Any]:
    return altered(function={"name": name, "arguments": arguments})


def tool(name: str = "f", **schema: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}} | schema
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def image(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


GOOD: list[Any] = [
    {"messages": [USER]},
    {"messages": [USER, calling(CALL), RESULT, USER]},
    {"messages": [USER], "tools": [tool(a={"type": "array", "items": {}})]},
    {"messages": [image("data:image/png;base64,AAAA")]},
]
BAD: dict[str, Any] = {
    "no messages": {"messages": []},
    "an unknown key": {"messages": [USER], "top_q": 1},
    "an unknown role": {"messages": [{"role": "robot", "content": "x"}]},
    "a call without a result": {"messages": [USER, calling(CALL)]},
    "a call without a result, then a user": {"messages": [calling(CALL), USER]},
    "a result without a call": {"messages": [USER, RESULT]},
    "two results of one call": {"messages": [calling(CALL), RESULT, RESULT]},
    "a result of something else": {
        "messages": [calling(CALL), {**RESULT, "tool_call_id": "b"}],
    },
    "a result in parts": {"messages": [calling(CALL), {**RESULT, "content": [USER]}]},
    "one id twice": {"messages": [calling(CALL, CALL), RESULT, RESULT]},
    "one id in two turns": {"messages": [calling(CALL), RESULT, calling(CALL), RESULT]},
    "an id too long": {
        "messages": [calling(altered(id="x" * 41)), {**RESULT, "tool_call_id": "x" * 41}]
    },
    "no calls": {"messages": [calling()]},
    "a bad name in history": {"messages": [calling(named("a b")), RESULT]},
    "arguments as an object": {"messages": [calling(named(arguments={})), RESULT]},
    "arguments that are cut": {"messages": [calling(named(arguments='{"a":')), RESULT]},
    "an assistant without content": {"messages": [{"role": "assistant", "content": None}]},
    "a picture of another type": {"messages": [image("data:image/svg+xml;base64,AAAA")]},
    "a picture that is no base64": {"messages": [image("data:image/png;base64,%%")]},
    "an empty list of parts": {"messages": [{"role": "user", "content": []}]},
    "no tools": {"messages": [USER], "tools": []},
    "129 tools": {"messages": [USER], "tools": [tool(f"t{n}") for n in range(129)]},
    "a tool twice": {"messages": [USER], "tools": [tool(), tool()]},
    "a bad tool name": {"messages": [USER], "tools": [tool("a.b")]},
    "a long tool name": {"messages": [USER], "tools": [tool("a" * 65)]},
    "no properties": {"messages": [USER], "tools": [tool(properties=None)]},
    "no object": {"messages": [USER], "tools": [tool(type="array")]},
    "a root anyOf": {"messages": [USER], "tools": [tool(anyOf=[])]},
    "an array without items": {
        "messages": [USER],
        "tools": [tool(properties={"a": {"anyOf": [{"type": ["array", "null"]}]}})],
    },
    "a foreign reference": {
        "messages": [USER],
        "tools": [tool(properties={"a": {"$ref": "https://x.example/"}})],
    },
}


@pytest.mark.parametrize("body", GOOD)
def test_a_legal_request_is_taken(body: Any) -> None:
    assert judge({"model": "m", **body}, "openai") is None


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_an_illegal_request_is_refused(body: Any) -> None:
    assert judge({"model": "m", **body}, "openai")


NINE = altered(id="abcDEF123")
NINE_RESULT = {**RESULT, "tool_call_id": "abcDEF123"}
THOUGHT = {"reasoning_content": ""}
STRICT_TOOL = {
    "type": "function",
    "function": {**tool()["function"], "strict": False},
}
OWN_GOOD: list[tuple[str, Any]] = [
    ("gemini", {"messages": [USER, calling({**CALL, **signed()}), RESULT, USER]}),
    (
        "mistral",
        {"messages": [USER, calling(NINE), NINE_RESULT, {**USER, "role": "assistant"}, USER]},
    ),
    ("deepseek", {"messages": [USER, calling(CALL, **THOUGHT), RESULT, USER]}),
    ("plain", {"messages": [{"role": "system", "content": "s"}, USER], "tools": [tool()]}),
    ("openai", {"messages": [{"role": "developer", "content": "s"}, USER], "tools": [STRICT_TOOL]}),
]
OWN_BAD: dict[str, tuple[str, Any]] = {
    "gemini: no signature": ("gemini", {"messages": [USER, calling(CALL), RESULT]}),
    "gemini: a signature that it never gave": (
        "gemini",
        {
            "messages": [
                USER,
                calling({**CALL, "extra_content": {"google": {"thought_signature": "x"}}}),
                RESULT,
            ]
        },
    ),
    "gemini: a signature on the second call alone": (
        "gemini",
        {
            "messages": [
                calling(CALL, {**altered(id="b"), **signed()}),
                RESULT,
                {**RESULT, "tool_call_id": "b"},
            ]
        },
    ),
    "gemini: a keyword it does not know": (
        "gemini",
        {"messages": [USER], "tools": [tool(properties={"a": {"type": "number", "const": 1}})]},
    ),
    "gemini: a schema together with tools": (
        "gemini",
        {"messages": [USER], "tools": [tool()], "response_format": {"type": "json_object"}},
    ),
    "mistral: an id of another form": (
        "mistral",
        {"messages": [USER, calling(CALL), RESULT, USER]},
    ),
    "mistral: a user after a result": (
        "mistral",
        {"messages": [USER, calling(NINE), NINE_RESULT, USER]},
    ),
    "mistral: usage asked for": (
        "mistral",
        {"messages": [USER], "stream_options": {"include_usage": True}},
    ),
    "mistral: another key of a message": ("mistral", {"messages": [{**USER, "name": "x"}]}),
    "deepseek: no reasoning": ("deepseek", {"messages": [USER, calling(CALL), RESULT]}),
    "deepseek: a picture": ("deepseek", {"messages": [image("data:image/png;base64,AAAA")]}),
    "plain: strict": ("plain", {"messages": [USER], "tools": [STRICT_TOOL]}),
    "plain: a developer": ("plain", {"messages": [{"role": "developer", "content": "x"}]}),
    "plain: a picture in a result": (
        "plain",
        {
            "messages": [
                calling(CALL),
                {**RESULT, "content": image("data:image/png;base64,AAAA")["content"]},
            ]
        },
    ),
    "openai: a forced tool that is not there": (
        "openai",
        {
            "messages": [USER],
            "tools": [tool()],
            "tool_choice": {"type": "function", "function": {"name": "g"}},
        },
    ),
    "openai: a schema of a list": (
        "openai",
        {
            "messages": [USER],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"type": "array", "items": {}}},
            },
        },
    ),
}


@pytest.mark.parametrize(("rules", "body"), OWN_GOOD)
def test_what_one_provider_wants_is_taken(rules: str, body: Any) -> None:
    assert judge({"model": "m", **body}, rules) is None


@pytest.mark.parametrize(("rules", "body"), OWN_BAD.values(), ids=OWN_BAD.keys())
def test_what_one_provider_does_not_take_is_refused(rules: str, body: Any) -> None:
    assert judge({"model": "m", **body}, rules)
