"""Tool definitions and results, judged one by one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.core.types import Audio, Image, Resource, Text
from agent_host.servers.spec import StdioSpec
from agent_host.servers.tools.definitions import read_definitions
from agent_host.servers.tools.results import MAX_RESULT, as_json, content_of

SPEC = StdioSpec(name="s", command="x", trust_annotations=True, parallel=False)


def read(*raw):
    problems = []
    return list(read_definitions(SPEC, raw, problems)), problems


def test_a_definition_keeps_what_identifies_it_and_what_the_config_says():
    raw = {
        "name": "get.it-now_1",
        "description": "Gets it.",
        "inputSchema": {"properties": {"a": {}}},
        "outputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True, "destructiveHint": "no", "title": "Get"},
        "icons": [{"src": "http://127.0.0.1/x.svg"}],
    }
    ((tool,), problems) = read(raw)
    assert problems == []
    assert tool.input_schema == {"type": "object", "properties": {"a": {}}}
    assert tool.output_schema == {"type": "object"}
    assert (tool.annotations.read_only, tool.annotations.destructive) == (True, None)
    assert (tool.trusted, tool.parallel, tool.annotations.title) == (True, False, "Get")
    assert len(tool.fingerprint) == 64


def test_the_fingerprint_follows_the_definition_alone():
    ((one,), _) = read({"name": "a", "description": "x", "icons": []})
    ((two,), _) = read({"name": "a", "description": "x", "inputSchema": {}})
    ((three,), _) = read({"name": "a", "description": "y"})
    assert one.fingerprint == two.fingerprint != three.fingerprint


@pytest.mark.parametrize(
    "name", ["", "a b", "b\u0430sh", "\uff42", "a\u200b", "a\n", "x" * 129, "a/b", "\x1b"]
)
def test_names_that_are_not_the_protocols_are_rejected(name):
    tools, problems = read({"name": name}, {"name": "good"})
    assert [tool.tool for tool in tools] == ["good"]
    assert len(problems) == 1
    assert problems[0].isascii() or "\u2026" in problems[0]


def test_a_tool_called_constructor_is_a_tool_like_any_other():
    tools, problems = read({"name": "constructor"}, {"name": "__proto__"})
    assert [tool.tool for tool in tools] == ["constructor", "__proto__"]
    assert problems == []


def test_a_definition_with_lone_surrogates_in_its_schema_is_withheld():
    tools, problems = read({"name": "a", "inputSchema": {"title": "\ud800"}})
    assert tools == []
    assert "Unicode" in problems[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from(
    ["name", "description", "inputSchema", "outputSchema", "annotations", "title"]
)


@given(st.lists(st.dictionaries(KEYS, JSON | st.just("ok")) | JSON, max_size=4))
def test_any_list_is_read_without_an_exception(raw):
    tools, problems = read(*raw)
    assert len(tools) + len(problems) <= 2 * len(raw)
    for tool in tools:
        json.dumps(tool.input_schema).encode()


RESULT_KEYS = st.sampled_from(
    ["type", "text", "data", "mimeType", "resource", "uri", "blob", "name"]
)
KINDS = st.sampled_from(["text", "image", "audio", "resource", "resource_link", "other"])
BLOCK = st.dictionaries(RESULT_KEYS, JSON | KINDS) | JSON


@given(
    st.fixed_dictionaries(
        {}, optional={"content": st.lists(BLOCK, max_size=4) | JSON, "structuredContent": JSON}
    )
)
def test_any_result_becomes_blocks_that_can_be_written(raw):
    blocks, is_error = content_of(raw)
    assert is_error is False
    for block in blocks:
        for value in (getattr(block, "text", ""), getattr(block, "uri", "")):
            (value or "").encode()


def test_every_content_type_becomes_its_block():
    raw = {
        "content": [
            {"type": "text", "text": "a"},
            {"type": "image", "data": "aGk=", "mimeType": "image/png"},
            {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
            {"type": "resource", "resource": {"uri": "x://1", "text": "t", "mimeType": "text/x"}},
            {"type": "resource", "resource": {"uri": "x://2", "blob": "aGk="}},
            {"type": "resource_link", "uri": "file:///etc/passwd", "name": "n"},
        ]
    }
    blocks, _ = content_of(raw)
    assert blocks == (
        Text(text="a"),
        Image(data="aGk=", media_type="image/png"),
        Audio(data="aGk=", media_type="audio/wav"),
        Resource(uri="x://1", text="t", media_type="text/x"),
        Resource(uri="x://2", data="aGk="),
        Resource(uri="file:///etc/passwd", name="n"),
    )


@pytest.mark.parametrize(
    ("text", "structured"),
    [('{"a": 1}', {"a": 1}), ("5", {"result": 5}), ("hello", {"content": "hello"})],
)
def test_structured_content_that_a_text_already_says_is_not_repeated(text, structured):
    raw = {"content": [{"type": "text", "text": text}], "structuredContent": structured}
    assert content_of(raw)[0] == (Text(text=text),)


def test_structured_content_alone_is_shown():
    assert content_of({"structuredContent": {"a": [1]}})[0] == (Text(text='{"a": [1]}'),)


def test_what_json_cannot_say_becomes_null():
    assert as_json({"a": float("inf"), "b": [float("nan"), 1.5]}) == '{"a": null, "b": [null, 1.5]}'


def test_a_result_over_the_cap_is_cut_and_says_so():
    block = {"type": "text", "text": "x" * (MAX_RESULT // 2)}
    blocks, _ = content_of({"content": [block, block, block, block]})
    assert len(blocks) == 3
    assert "larger than the host accepts" in blocks[-1].text


def test_more_blocks_than_sensible_are_counted_not_kept():
    blocks, _ = content_of({"content": ["x"] * 1500})
    assert len(blocks) == 1001
    assert blocks[-1] == Text(text="[500 more blocks are left out.]")


def test_a_server_that_wants_input_gets_an_error_for_the_model():
    blocks, is_error = content_of({"resultType": "input_required", "inputRequests": {}})
    assert is_error
    assert "input_required" in blocks[0].text
