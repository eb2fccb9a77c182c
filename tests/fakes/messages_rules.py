"""What Anthropic's Messages API refuses a request with, in its own words.

Theory of operation: written from the docstrings of the anthropic package's parameter types and
from the error messages that users report, without a look at how requests are made here: a second
opinion. Signatures of thinking are checked as the provider checks them: made by this "provider",
for this text, by this model (`signed`), so that any change, and any other model's, is found.
"""

import binascii
import hashlib
import re
from collections.abc import Sequence
from typing import Any

from tests.fakes.provider_server import RefusedError, must
from tests.fakes.schema_rules import illegal

NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
ID = re.compile(r"[a-zA-Z0-9_-]+")
PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
EFFORTS = {"low", "medium", "high", "xhigh", "max"}
MAX_BREAKPOINTS = 4
TTLS = ("5m", "1h")
KEYS = {
    *("model", "messages", "max_tokens", "metadata", "stop_sequences", "stream", "system"),
    *("thinking", "tool_choice", "tools", "cache_control", "output_config", "service_tier"),
    *("container", "diagnostics", "inference_geo", "speed"),
}
REQUIRED: dict[str, set[str]] = {
    "text": {"text"},
    "image": {"source"},
    "document": {"source"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
    "tool_use": {"id", "name", "input"},
    "tool_result": {"tool_use_id"},
}
ALLOWED: dict[str, set[str]] = {
    "text": {"citations", "cache_control"},
    "image": {"transformations", "cache_control"},
    "document": {"title", "context", "citations", "cache_control"},
    "thinking": set(),
    "redacted_thinking": set(),
    "tool_use": {"caller", "toolset_name", "cache_control"},
    "tool_result": {"content", "is_error", "toolset_name", "cache_control"},
}
SPEAKERS = {
    "user": {"text", "image", "document", "tool_result"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use"},
}
THOUGHTS = ("thinking", "redacted_thinking")


def signed(thinking: str, model: str = "fake-1") -> str:
    """The signature of a text of thinking."""
    return "sig_" + hashlib.sha256(f"{model}:{thinking}".encode()).hexdigest()


def sealed(model: str = "fake-1") -> str:
    """Thinking that nobody may read."""
    return f"sealed_{signed('sealed', model)}"


def judge(body: Any, *, automatic_cache: bool = True) -> str | None:
    """What the API would say of a request, or None. The clouds have no automatic cache, and the
    model's name stands in their path."""
    try:
        must(isinstance(body, dict), "The request body is not valid JSON")
        unknown = sorted(body.keys() - KEYS)
        must(not unknown, f"{unknown}: Extra inputs are not permitted")
        must(automatic_cache or "cache_control" not in body, "cache_control: Extra inputs")
        must(isinstance(body.get("model"), str) and body["model"], "model: Field required")
        limit = body.get("max_tokens")
        must(isinstance(limit, int) and limit > 0, "max_tokens: Field required")
        _system(body.get("system"))
        _tools(body)
        _thinking(body)
        _output(body.get("output_config"))
        _messages(body)
        _breakpoints(body)
    except RefusedError as error:
        return str(error)
    return None


def _system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    must(isinstance(system, list), "system: Input should be a valid list")
    for block in system:
        must(block.get("type") == "text", "system: Input should be a text block")
        _block(block, "system")


# -- tools ------------------------------------------------------------------------------------


def _tools(body: Any) -> None:
    tools = body.get("tools", [])
    must(isinstance(tools, list), "tools: Input should be a valid list")
    names: list[str] = []
    for place, tool in enumerate(tools):
        where = f"tools.{place}.custom"
        known = {"name", "description", "input_schema", "cache_control", "strict", "type"}
        must(isinstance(tool, dict) and tool.keys() <= known, f"{where}: Extra inputs {tool}")
        name = tool.get("name", "")
        must(NAME.fullmatch(name), f"{where}.name: String should match pattern: {name!r}")
        must(isinstance(tool.get("description", ""), str), f"{where}.description: string")
        schema = tool.get("input_schema")
        must(isinstance(schema, dict), f"{where}.input_schema: Field required")
        must(schema.get("type") == "object", f"{where}.input_schema.type: should be 'object'")
        problem = illegal(schema, "anthropic")
        must(problem is None, f"{where}.input_schema: {problem}")
        names.append(name)
    must(len(set(names)) == len(names), "tools: Tool names must be unique.")
    _choice(body.get("tool_choice"), names, body.get("thinking") or {})


def _choice(choice: Any, names: Sequence[str], thinking: Any) -> None:
    if choice is None:
        return
    must(names, "tool_choice may only be specified while providing tools.")
    kind = choice.get("type")
    must(kind in ("auto", "any", "tool", "none"), f"tool_choice: {kind!r}")
    known = {"type", "disable_parallel_tool_use"} if kind != "none" else {"type"}
    must(choice.keys() <= known | ({"name"} if kind == "tool" else set()), "tool_choice: Extra")
    if kind == "tool":
        must(choice.get("name") in names, f"Tool '{choice.get('name')}' not found")
    if kind in ("any", "tool"):
        must(
            thinking.get("type") not in ("enabled", "adaptive"),
            "Thinking may not be enabled when tool_choice forces tool use.",
        )


def _thinking(body: Any) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    known = {
        "adaptive": {"display"},
        "enabled": {"display", "budget_tokens"},
        "disabled": set(),
        "between_tools": set(),
    }
    must(kind in known, f"thinking.type: {kind!r}")
    must(thinking.keys() <= known[kind] | {"type"}, "thinking: Extra inputs are not permitted")
    must(thinking.get("display") in (None, "summarized", "omitted"), "thinking.display")
    if kind == "enabled":
        budget = thinking.get("budget_tokens", 0)
        must(budget >= 1024, "thinking.enabled.budget_tokens: at least 1024")
        must(budget < body["max_tokens"], "`max_tokens` must be greater than `budget_tokens`")


def _output(config: Any) -> None:
    if config is None:
        return
    must(config.keys() <= {"effort", "format"}, "output_config: Extra inputs")
    must(config.get("effort") is None or config["effort"] in EFFORTS, "output_config.effort")
    if (form := config.get("format")) is not None:
        must(form.keys() == {"type", "schema"}, "output_config.format: Extra inputs")
        must(form["type"] == "json_schema", "output_config.format.type")
        problem = illegal(form["schema"], "anthropic-strict")
        must(problem is None, f"output_config.format.schema: {problem}")


# -- messages ---------------------------------------------------------------------------------


def _messages(body: Any) -> None:
    messages = body.get("messages")
    must(isinstance(messages, list) and messages, "messages: at least one message is required")
    waiting: list[str] = []
    seen: set[str] = set()
    for place, message in enumerate(messages):
        where = f"messages.{place}"
        must(isinstance(message, dict), f"{where}: Input should be an object")
        must(message.keys() == {"role", "content"}, f"{where}: Extra inputs are not permitted")
        role = message["role"]
        must(role in SPEAKERS, f'{where}: Unexpected role "{role}"')
        must(place or role == "user", 'messages: first message must use the "user" role')
        blocks = _blocks(message["content"], where)
        for block in blocks:
            must(block["type"] in SPEAKERS[role], f"{where}: {block['type']} of {role}")
            _block(block, where)
        if role == "user":
            _answered(blocks, waiting, where)
            waiting = []
        else:
            must(not waiting, _unanswered(where, waiting))
            waiting = _asked(blocks, body["model"], where, seen)
    must(not waiting, _unanswered("messages", waiting))
    must(
        messages[-1]["role"] == "user",
        "This model does not support assistant message prefill. The conversation must end with a "
        "user message.",
    )
    if (body.get("thinking") or {}).get("type") == "enabled":
        _begins_with_thoughts(messages)


def _blocks(content: Any, where: str) -> list[Any]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    must(isinstance(content, list) and content, f"{where}: must have non-empty content")
    for block in content:
        must(isinstance(block, dict) and block.get("type") in REQUIRED, f"{where}: {block}")
    return content


def _unanswered(where: str, ids: Sequence[str]) -> str:
    return (
        f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}"
    )


def _answered(blocks: Sequence[Any], waiting: Sequence[str], where: str) -> None:
    results = [block for block in blocks if block["type"] == "tool_result"]
    ids = [block["tool_use_id"] for block in results]
    for one in ids:
        must(one in waiting, f"{where}: unexpected `tool_use_id` found in `tool_result`: {one}")
    must(len(set(ids)) == len(ids), f"{where}: each tool_use must have a single result: {ids}")
    must(set(ids) == set(waiting), _unanswered(where, sorted(set(waiting) - set(ids))))
    must(
        list(blocks[: len(results)]) == results,
        f"{where}: tool_result blocks must come first in the content",
    )


def _asked(blocks: Sequence[Any], model: str, where: str, seen: set[str]) -> list[str]:
    must(
        blocks[-1]["type"] not in THOUGHTS,
        f"{where}: The final block in an assistant message cannot be `thinking`.",
    )
    for block in blocks:
        if block["type"] == "thinking":
            good = block["signature"] == signed(block["thinking"], model)
            must(good, f"{where}: Invalid `signature` in `thinking` block")
        if block["type"] == "redacted_thinking":
            must(block["data"] == sealed(model), f"{where}: Invalid `data` in redacted_thinking")
    ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
    must(len(set(ids)) == len(ids) and seen.isdisjoint(ids), "`tool_use` ids must be unique")
    seen.update(ids)
    return ids


def _begins_with_thoughts(messages: Sequence[Any]) -> None:
    first = None
    for message in reversed(messages):
        if message["role"] == "assistant":
            first = message
        elif not isinstance(message["content"], list) or any(
            block["type"] != "tool_result" for block in message["content"]
        ):
            break
    if first is not None:
        found = _blocks(first["content"], "messages")[0]["type"]
        must(
            found in THOUGHTS,
            f"messages: Expected `thinking` or `redacted_thinking`, but found `{found}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block",
        )


# -- blocks -----------------------------------------------------------------------------------


def _block(block: Any, where: str) -> None:
    kind = block["type"]
    where = f"{where}.{kind}"
    keys = block.keys() - {"type"}
    must(keys >= REQUIRED[kind], f"{where}: Field required: {REQUIRED[kind] - keys}")
    must(keys <= REQUIRED[kind] | ALLOWED[kind], f"{where}: Extra inputs {keys}")
    if kind == "text":
        text = block["text"]
        must(isinstance(text, str) and text, "text content blocks must be non-empty")
        must(text.strip(), "text content blocks must contain non-whitespace text")
    elif kind == "image":
        _source(block["source"], PICTURES, where)
    elif kind == "document":
        _source(block["source"], {"application/pdf"}, where)
    elif kind == "tool_use":
        must(ID.fullmatch(block["id"]), f"{where}.id: String should match pattern")
        must(NAME.fullmatch(block["name"]), f"{where}.name: String should match pattern")
        must(isinstance(block["input"], dict), f"{where}.input: should be a valid dictionary")
    elif kind == "tool_result":
        _result(block, where)


def _result(block: Any, where: str) -> None:
    must(ID.fullmatch(block["tool_use_id"]), f"{where}.tool_use_id: should match pattern")
    failed = block.get("is_error", False)
    must(isinstance(failed, bool), f"{where}.is_error: should be a valid boolean")
    content = block.get("content", "")
    must(content or not failed, f"{where}: content cannot be empty if `is_error` is true")
    if isinstance(content, str):
        return
    must(isinstance(content, list), f"{where}.content: Input should be a valid list")
    for part in content:
        kind = part.get("type")
        must(kind in ("text", "image", "document"), f"{where}.content: {kind}")
        must(
            kind == "text" or not failed,
            f"{where}: all content must be type `text` if `is_error` is true",
        )
        _block(part, where)


def _source(source: Any, types: set[str], where: str) -> None:
    must(source.keys() == {"type", "media_type", "data"}, f"{where}.source: {sorted(source)}")
    must(source["type"] == "base64", f"{where}.source.type")
    must(source["media_type"] in types, f"{where}.source.base64.media_type")
    try:
        data = binascii.a2b_base64(source["data"], strict_mode=True)
    except ValueError:
        data = b""
    must(data, f"{where}.source.base64: invalid base64 data")


# -- cache ------------------------------------------------------------------------------------


def _breakpoints(body: Any) -> None:
    found = list(_marks(body))
    for mark in found:
        good = mark in ({"type": "ephemeral"}, *({"type": "ephemeral", "ttl": t} for t in TTLS))
        must(good, f"cache_control: {mark}")
    must(
        len(found) <= MAX_BREAKPOINTS,
        f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. "
        f"Found {len(found)}.",
    )


def _marks(body: Any) -> Any:
    if "cache_control" in body:
        yield body["cache_control"]
    for tool in body.get("tools", ()):
        if "cache_control" in tool:
            yield tool["cache_control"]
    system = body.get("system")
    contents = [system] if isinstance(system, list) else []
    contents += [m["content"] for m in body["messages"] if isinstance(m["content"], list)]
    for blocks in contents:
        for block in blocks:
            if "cache_control" in block:
                yield block["cache_control"]
