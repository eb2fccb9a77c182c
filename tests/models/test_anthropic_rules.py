"""The fake provider refuses what the real one refuses: else the adapter's tests prove nothing."""

from typing import Any

import pytest

from tests.fakes.messages_rules import judge, sealed, signed
from tests.fakes.messages_server import MessagesServer

USER = {"role": "user", "content": "hi"}
CALL = {"type": "tool_use", "id": "toolu_a", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_a", "content": "ok"}
SECOND = {**CALL, "id": "b"}
ANSWER = {**RESULT, "tool_use_id": "b"}
TEXT = {"type": "text", "text": "a"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": signed("hm", "m")}
HIDDEN = {"type": "redacted_thinking", "data": sealed("m")}
CACHED = {"cache_control": {"type": "ephemeral"}}
ADAPTIVE = {"thinking": {"type": "adaptive", "display": "summarized"}}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}


def said(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def users(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def image(data: str = "AAAA", media_type: str = "image/png", **more: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "image", "source": source, **more}


def pdf(**more: Any) -> dict[str, Any]:
    return {**image(media_type="application/pdf"), "type": "document", **more}


def tools(**schema: Any) -> dict[str, Any]:
    whole = {"type": "object", "properties": {}} | schema
    return {"tools": [{"name": "f", "input_schema": whole}]}


def asks(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [USER, *messages], **more}


def turn(call: Any = CALL, *results: Any, **more: Any) -> dict[str, Any]:
    return asks(said(call), users(*(results or (RESULT,))), **more)


def form(schema: Any) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


CLOSED = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
GOOD: list[Any] = [
    asks(),
    asks(system="be brief", stream=True),
    asks(system=[{**TEXT, **CACHED}], **CACHED),
    asks(said(TEXT), USER, USER),
    turn(),
    turn(CALL, {**RESULT, "content": [TEXT, image(), pdf(title="a")]}, TEXT, image()),
    turn(CALL, {**RESULT, "is_error": True}),
    turn(CALL, {"type": "tool_result", "tool_use_id": "toolu_a"}),
    asks(said(THOUGHT, HIDDEN, CALL), users(RESULT), **ADAPTIVE),
    asks(said(THOUGHT, CALL), users(RESULT), said(SECOND), users(ANSWER), **BUDGET),
    asks(said(TEXT), USER, **BUDGET),
    asks(**tools(properties={"a": {"anyOf": [{"type": "string"}]}})),
    asks(**tools(), tool_choice={"type": "tool", "name": "f"}),
    asks(**tools(), tool_choice={"type": "auto", "disable_parallel_tool_use": True}),
    asks(output_config={"effort": "max"}),
    asks(**form(CLOSED)),
]
BAD: dict[str, Any] = {
    "no object": [],
    "an unknown key": asks(temperature=1),
    "no model": asks(model=""),
    "no limit": asks(max_tokens=None),
    "a limit of nothing": asks(max_tokens=0),
    "no messages": {"model": "m", "max_tokens": 9, "messages": []},
    "an unknown role": asks({"role": "system", "content": "x"}),
    "a key too many": asks({**USER, "name": "x"}),
    "the assistant first": {"model": "m", "max_tokens": 9, "messages": [said(TEXT), USER]},
    "the assistant last": asks(said(TEXT)),
    "no content": asks(users()),
    "empty content": asks({"role": "user", "content": ""}),
    "empty text": asks(users({"type": "text", "text": ""})),
    "blank text": asks(users({"type": "text", "text": " \n"})),
    "a blank system prompt": asks(system=[{"type": "text", "text": " "}]),
    "an unknown block": asks(users({"type": "input_text", "text": "a"})),
    "a key too many in a block": asks(users({**TEXT, "opaque": 1})),
    "a picture of the assistant": asks(said(image()), USER),
    "a call of the user": asks(users(CALL)),
    "a picture of another type": asks(users(image(media_type="image/svg+xml"))),
    "a picture that is no base64": asks(users(image("%%"))),
    "an empty picture": asks(users(image(""))),
    "a document of another type": asks(users({**pdf(), "source": image()["source"]})),
    "a call without a result": asks(said(CALL), USER),
    "a call without a result at the end": asks(said(CALL)),
    "a result without a call": asks(users(RESULT)),
    "a result too late": asks(said(CALL), USER, users(RESULT)),
    "a result in two messages": asks(said(CALL, SECOND), users(RESULT), users(ANSWER)),
    "two results of one call": turn(CALL, RESULT, RESULT),
    "a result of something else": turn(CALL, RESULT | {"tool_use_id": "b"}),
    "a result after text": turn(CALL, TEXT, RESULT),
    "an error that says nothing": turn(CALL, RESULT | {"content": "", "is_error": True}),
    "an error with a picture": turn(CALL, RESULT | {"content": [image()], "is_error": True}),
    "a result in a result": turn(CALL, RESULT | {"content": [RESULT]}),
    "empty text in a result": turn(CALL, RESULT | {"content": [{"type": "text", "text": ""}]}),
    "an odd id": turn(CALL | {"id": "a|b"}, RESULT | {"tool_use_id": "a|b"}),
    "one id twice": asks(said(CALL), users(RESULT), said(CALL), users(RESULT)),
    "a bad name in history": turn(CALL | {"name": "a b"}),
    "arguments as text": turn(CALL | {"input": "{}"}),
    "thinking that was changed": asks(said({**THOUGHT, "thinking": "HM"}, TEXT), USER),
    "thinking of another model": asks(said(THOUGHT, TEXT), USER, model="n"),
    "thinking without a signature": asks(said({**THOUGHT, "signature": ""}, TEXT), USER),
    "hidden thinking of another model": asks(said(HIDDEN, TEXT), USER, model="n"),
    "thinking with a breakpoint": asks(said({**THOUGHT, **CACHED}, TEXT), USER),
    "thinking at the end": asks(said(TEXT, THOUGHT), USER),
    "a budget, and a turn that begins without thinking": turn(**BUDGET),
    "a budget too small": asks(max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1}),
    "a budget beyond the limit": asks(thinking={"type": "enabled", "budget_tokens": 1024}),
    "a budget for adaptive thinking": asks(thinking={"type": "adaptive", "budget_tokens": 1024}),
    "thinking of an unknown kind": asks(thinking={"type": "deep"}),
    "thinking where a call is forced": asks(**tools(), **ADAPTIVE, tool_choice={"type": "any"}),
    "an unknown effort": asks(output_config={"effort": "extreme"}),
    "a schema that is open": asks(**form({"type": "object", "properties": {}})),
    "a choice without tools": asks(tool_choice={"type": "auto"}),
    "an unknown choice": asks(**tools(), tool_choice={"type": "required"}),
    "a choice of no tool": asks(**tools(), tool_choice={"type": "tool", "name": "g"}),
    "a tool twice": asks(tools=tools()["tools"] * 2),
    "a bad name": asks(tools=[{"name": "a.b", "input_schema": {"type": "object"}}]),
    "a long name": asks(tools=[{"name": "a" * 129, "input_schema": {"type": "object"}}]),
    "a tool of another wire": asks(tools=[{"type": "function", "function": {"name": "f"}}]),
    "no schema": asks(tools=[{"name": "f"}]),
    "a schema of no object": asks(**tools(type="array")),
    "a root anyOf": asks(**tools(anyOf=[{}])),
    "a bad key": asks(**tools(properties={"a b": {}})),
    "an odd breakpoint": asks(cache_control={"type": "forever"}),
    "five breakpoints": asks(users(*[{**TEXT, **CACHED}] * 4), **CACHED),
}


@pytest.mark.parametrize("body", GOOD)
def test_a_legal_request_is_taken(body: Any) -> None:
    assert judge(body) is None


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_an_illegal_request_is_refused(body: Any) -> None:
    assert judge(body)


def test_the_clouds_have_no_automatic_cache() -> None:
    assert judge(asks(**CACHED)) is None
    assert judge(asks(**CACHED), automatic_cache=False)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/messages", {"x-api-key": "k", "anthropic-version": "2026-10-21"}, None),
        ("/v1/messages?beta=true", {"authorization": "k", "anthropic-version": "2026-10-21"}, None),
        ("/v1/messages", {"anthropic-version": "2026-10-21"}, 401),
        ("/v1/messages", {"x-api-key": "k"}, 400),
        ("/v1/messages", {"x-api-key": "k", "anthropic-version": "latest"}, 400),
        ("/v1/v1/messages", {"x-api-key": "k", "anthropic-version": "2026-10-21"}, 404),
    ],
)
def test_headers_and_path_are_judged(
    path: str, headers: dict[str, str], status: int | None
) -> None:
    server = MessagesServer()
    problem = server.judge(path, headers, asks())
    assert (problem and server.refusal(problem).status) == status
