"""The fake provider refuses what the real one refuses: else the suite beside proves nothing."""

import json
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from tests.fakes.responses_server import (
    answer,
    called,
    error,
    event,
    items,
    judge,
    said,
    terminal,
    thought,
)

USER = {"role": "user", "content": "hi"}
TOOL = {
    "type": "function",
    "name": "f",
    "description": "",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}
PICTURE = {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AAAA"}
FILE = {
    "type": "input_file",
    "filename": "a.pdf",
    "file_data": "data:application/pdf;base64,AAAA",
}


def call(call_id: str = "a", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **more}


def output(call_id: str = "a", said: Any = "ok") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": said}


def without(item: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in keys}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


THINKS, CALLS = items(thought("hm"), called("a", "f", "{}"), stem="7")
SECOND = items(thought("hm"), said("x"), called("a", "f", "{}"), stem="8")

GOOD: dict[str, Any] = {
    "a message": {"input": [USER]},
    "a call with its output": {"input": [USER, call(), output()]},
    "a call after its reasoning": {"input": [USER, THINKS, CALLS, output()]},
    "reasoning, the next item without its id": {"input": [THINKS, without(CALLS, "id"), output()]},
    "a whole answer": {"input": [*SECOND, output(), USER]},
    "a message without an id": {"input": [{"role": "assistant", "content": "x"}, USER]},
    "pictures and files": {"input": [user(PICTURE, FILE), call(), output(said=[PICTURE, FILE])]},
    "a tool": {"input": [USER], "tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}},
}
BAD: dict[str, Any] = {
    "nothing": {"input": []},
    "an unknown key": {"input": [USER], "messages": []},
    "the answer is to be kept": {"input": [USER], "store": True},
    "an unknown item": {"input": [{"type": "tool_result"}]},
    "an unknown role": {"input": [{"role": "tool", "content": "x"}]},
    "a call without an output": {"input": [call()]},
    "an output without a call": {"input": [USER, output()]},
    "an output before its call": {"input": [output(), call()]},
    "two outputs": {"input": [call(), output(), output()]},
    "one call twice": {"input": [call(), output(), call()]},
    "a long call id": {"input": [call("x" * 65), output("x" * 65)]},
    "a bad name": {"input": [call(name="a b"), output()]},
    "arguments as an object": {"input": [call(arguments={}), output()]},
    "arguments that are cut": {"input": [call(arguments="{"), output()]},
    "an id of another kind": {"input": [call(id="msg_7_1"), output()]},
    "an id that it never gave": {"input": [call(id="fc_other"), output()]},
    "reasoning alone": {"input": [USER, THINKS]},
    "reasoning, then a user": {"input": [THINKS, USER]},
    "reasoning, then another item": {"input": [THINKS, SECOND[1], USER]},
    "reasoning, then something of another kind": {
        "input": [THINKS, {"role": "assistant", "content": "x"}, CALLS, output()]
    },
    "reasoning that is not encrypted": {
        "input": [{**THINKS, "encrypted_content": None}, CALLS, output()]
    },
    "reasoning that was changed": {
        "input": [{**THINKS, "encrypted_content": "gAAAAAx"}, CALLS, output()]
    },
    "reasoning under another id": {"input": [{**THINKS, "id": "rs_9_0"}, CALLS, output()]},
    "reasoning without a summary": {"input": [without(THINKS, "summary"), CALLS, output()]},
    "reasoning with its text": {
        "input": [{**THINKS, "content": [{"type": "reasoning_text", "text": "x"}]}, CALLS, output()]
    },
    "a call without its reasoning": {"input": [USER, CALLS, output()]},
    "a later call without its reasoning": {"input": [SECOND[2], output()]},
    "an answer twice": {"input": [THINKS, CALLS, output(), THINKS, CALLS]},
    "an assistant's picture": {"input": [{"role": "assistant", "content": [PICTURE]}]},
    "an assistant's input": {
        "input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]
    },
    "a user's output": {"input": [user({"type": "output_text", "text": "x", "annotations": []})]},
    "a picture of another type": {
        "input": [user({**PICTURE, "image_url": "data:image/svg+xml;base64,AAAA"})]
    },
    "a picture without detail": {"input": [user(without(PICTURE, "detail"))]},
    "a file without a name": {"input": [user(without(FILE, "filename"))]},
    "no parts": {"input": [user()]},
    "no tools": {"input": [USER], "tools": []},
    "129 tools": {"input": [USER], "tools": [{**TOOL, "name": f"t{n}"} for n in range(129)]},
    "strict is left out": {"input": [USER], "tools": [without(TOOL, "strict")]},
    "a tool as Chat Completions has it": {
        "input": [USER],
        "tools": [{"type": "function", "function": TOOL}],
    },
    "a schema that is no object": {
        "input": [USER],
        "tools": [{**TOOL, "parameters": {"type": "array"}}],
    },
    "strict, and the schema is not": {
        "input": [USER],
        "tools": [{**TOOL, "strict": True}],
    },
    "a forced tool that is not there": {
        "input": [USER],
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "g"},
    },
    "a format without a schema": {
        "input": [USER],
        "text": {"format": {"type": "json_schema", "name": "a"}},
    },
    "a format of a list": {
        "input": [USER],
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "array"}}},
    },
    "an unknown effort": {"input": [USER], "reasoning": {"effort": "huge"}},
    "a long cache key": {"input": [USER], "prompt_cache_key": "x" * 65},
    "too small an answer": {"input": [USER], "max_output_tokens": 1},
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_a_legal_request_is_taken(body: Any) -> None:
    assert judge({"model": "m", "store": False, **body}) is None


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_an_illegal_request_is_refused(body: Any) -> None:
    assert judge({"model": "m", "store": False, **body})


PARTS = (
    thought("a", "b"),
    thought("as it is", raw=True),
    thought(),
    said("x", phase="commentary"),
    said("no", refused=True),
    called("a", "f", '{"x":', "1}"),
)
EVENTS = [
    *answer(*PARTS),
    *answer(said("a"), reason="max_output_tokens"),
    terminal(error=error("it broke")),
    event("error", code="x", message="y", param=None),
]


def _known_events() -> dict[str, Any]:
    """The classes of the openai package by what they are called on the wire."""
    responses = pytest.importorskip("openai.types.responses")
    classes = get_args(get_args(responses.ResponseStreamEvent)[0])
    return {get_args(one.model_fields["type"].annotation)[0]: one for one in classes}


def test_each_event_is_one_that_the_openai_package_knows() -> None:
    known = _known_events()
    for one in EVENTS:
        data = json.loads(one.partition(b"data: ")[2])
        checked = known[data["type"]].model_validate(data)
        assert set(checked.model_extra or {}) <= {"obfuscation", "logprobs"}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_each_legal_request_is_one_that_the_openai_package_knows(body: Any) -> None:
    params = pytest.importorskip("openai.types.responses.response_create_params")
    sent = {"model": "m", "store": False, "stream": True, **body}
    checked = TypeAdapter(params.ResponseCreateParamsStreaming).validate_python(sent)
    assert len(list(checked["input"])) == len(body["input"])
