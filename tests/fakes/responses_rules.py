"""What OpenAI's Responses API refuses a request with.

Theory of operation: see chat_rules.py. What this wire adds: items come in pairs. A call needs its
output and an output its call; a reasoning item needs the item that came after it, and an item with
an id the reasoning that it came after. The API knows both from what it gave out, not from anything
that it keeps: an id says which reasoning it belongs to (`sealed`), encrypted content what follows.
So does the fake, and any instance of it takes back what another one said.
"""

import base64
import json
import re
from collections.abc import Collection
from typing import Any

from tests.fakes.chat_rules import FILE, IMAGE, NAME
from tests.fakes.provider_server import RefusedError, must
from tests.fakes.schema_rules import illegal

MAX_TOOLS = 128
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
KEYS = {
    *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "stream"),
    *("store", "include", "max_output_tokens", "reasoning", "text", "prompt_cache_key"),
}
ID = re.compile(r"(msg|fc|rs)_[0-9a-z]+_\d+(?:r(\d+))?")
PREFIXES = {"message": "msg", "function_call": "fc", "reasoning": "rs"}


def sealed(item_id: str, following: str) -> str:
    """Encrypted content of a reasoning item; opened by `_opened`."""
    data = json.dumps([item_id, following]).encode()
    return "gAAAAA" + base64.urlsafe_b64encode(data).decode()


def _opened(secret: Any) -> list[str]:
    try:
        value: list[str] = json.loads(base64.urlsafe_b64decode(secret.removeprefix("gAAAAA")))
    except (ValueError, AttributeError):
        raise RefusedError("The encrypted content could not be verified.") from None
    return value


def judge(body: Any) -> str | None:
    """What the API would say of a request, or None."""
    try:
        must(isinstance(body, dict), "We could not parse the JSON body of your request.")
        must(isinstance(body.get("model"), str) and body["model"], "you must provide a model")
        unknown = body.keys() - KEYS
        must(not unknown, f"Unknown parameter: {unknown}")
        must(body.get("store") is False, "a host that keeps nothing elsewhere says store=false")
        must(isinstance(body.get("instructions", ""), str), "Invalid type for 'instructions'")
        _Items(body.get("input")).check()
        names = _tools(body.get("tools"))
        _choice(body, names)
        _options(body)
    except RefusedError as error:
        return str(error)
    return None


def _only(value: Any, keys: Collection[str], where: str) -> None:
    must(isinstance(value, dict), f"Invalid type for '{where}'")
    more = value.keys() - set(keys)
    must(not more, f"Unknown parameter: '{where}.{more}'")


class _Items:
    """The input of a request."""

    def __init__(self, items: Any) -> None:
        must(isinstance(items, list) and items, "One of 'input' or 'prompt' must be provided.")
        self._items = items
        self._calls: set[str] = set()
        self._answered: set[str] = set()
        self._ids: set[str] = set()

    def check(self) -> None:
        for place, item in enumerate(self._items):
            where = f"input[{place}]"
            must(isinstance(item, dict), f"Invalid type for '{where}'")
            kind = item.get("type", "message")
            if kind == "message":
                self._message(item, where)
            elif kind == "function_call":
                self._call(item, where)
            elif kind == "function_call_output":
                self._output(item, where)
            elif kind == "reasoning":
                self._reasoning(item, place, where)
            else:
                raise RefusedError(f"Invalid value: '{kind}' ({where}.type)")
        lost = self._calls - self._answered
        must(not lost, f"No tool output found for function call {lost}.")

    def _identity(self, item: Any, kind: str, where: str) -> None:
        """An id is one that the API gave, and the reasoning that it came after is there."""
        item_id = item.get("id")
        if item_id is None:
            return
        must(
            isinstance(item_id, str) and item_id.startswith(PREFIXES[kind] + "_"),
            f"Invalid '{where}.id': '{item_id}'. Expected an ID that begins with "
            f"'{PREFIXES[kind]}'.",
        )
        found = ID.fullmatch(item_id)
        must(found, f"Item with id '{item_id}' not found.")
        must(item_id not in self._ids, f"Duplicate item found with id {item_id}.")
        self._ids.add(item_id)
        assert found is not None
        if found[2] is not None:
            stem = item_id.split("_")[1]
            wanted = f"rs_{stem}_{found[2]}"
            must(
                any(one == wanted or one.startswith(f"{wanted}r") for one in self._ids),
                f"Item '{item_id}' of type '{kind}' was provided without its required 'reasoning' "
                f"item: '{wanted}'.",
            )

    def _message(self, item: Any, where: str) -> None:
        role = item.get("role")
        must(role in ("user", "assistant", "system", "developer"), f"Invalid value: '{role}'")
        _only(item, {"type", "role", "content", "id", "status", "phase"}, where)
        content = item.get("content")
        if role == "assistant":
            self._identity(item, "message", where)
            must(item.get("phase") in (None, "commentary", "final_answer"), f"Invalid '{where}'")
            if "id" in item:
                must(isinstance(content, list), f"Invalid type for '{where}.content'")
                must(item.get("status") == "completed", f"Missing '{where}.status'")
            else:
                must("status" not in item, f"Missing required parameter: '{where}.id'")
        else:
            _only(item, {"type", "role", "content"}, where)
        _content(content, f"{where}.content", assistant=role == "assistant")

    def _call(self, item: Any, where: str) -> None:
        known = {"type", "id", "call_id", "name", "arguments", "status", "namespace", "caller"}
        _only(item, known, where)
        self._identity(item, "function_call", where)
        call_id = item.get("call_id")
        must(isinstance(call_id, str) and call_id, f"Missing required parameter: '{where}.call_id'")
        must(len(call_id) <= 64, f"Invalid '{where}.call_id': string too long (64)")
        must(call_id not in self._calls, f"Duplicate call_id '{call_id}'")
        self._calls.add(call_id)
        must(NAME.fullmatch(item.get("name") or ""), f"Invalid '{where}.name'")
        must(isinstance(item.get("arguments"), str), f"Invalid type for '{where}.arguments'")
        try:
            parsed = json.loads(item["arguments"])
        except ValueError:
            parsed = None
        must(isinstance(parsed, dict), f"'{where}.arguments' is no JSON object")

    def _output(self, item: Any, where: str) -> None:
        _only(item, {"type", "call_id", "output"}, where)
        call_id = item.get("call_id")
        must(
            call_id in self._calls,
            f"No tool call found for function call output with call_id {call_id}.",
        )
        must(call_id not in self._answered, f"Duplicate output for call_id {call_id}.")
        self._answered.add(call_id)
        _content(item.get("output"), f"{where}.output")

    def _reasoning(self, item: Any, place: int, where: str) -> None:
        _only(item, {"type", "id", "summary", "encrypted_content", "status"}, where)
        must(isinstance(item.get("id"), str), f"Missing required parameter: '{where}.id'.")
        must(
            isinstance(item.get("summary"), list), f"Missing required parameter: '{where}.summary'"
        )
        for part in item["summary"]:
            _only(part, {"type", "text"}, f"{where}.summary")
            must(part.get("type") == "summary_text", f"Invalid value '{where}.summary'")
        must(
            item.get("encrypted_content"),
            f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set "
            "to false.",
        )
        own, following = _opened(item["encrypted_content"])
        must(own == item["id"], "The encrypted content could not be verified.")
        self._identity(item, "reasoning", where)
        after = self._items[place + 1] if place + 1 < len(self._items) else {}
        kind = after.get("type", "message")
        fits = PREFIXES.get(kind) == following.partition("_")[0] and after.get("role") != "user"
        must(
            fits and after.get("id", following) == following,
            f"Item '{own}' of type 'reasoning' was provided without its required following item.",
        )


def _content(content: Any, where: str, *, assistant: bool = False) -> None:
    if isinstance(content, str):
        return
    must(isinstance(content, list) and content, f"Invalid type for '{where}'")
    for part in content:
        must(isinstance(part, dict), f"Invalid type for '{where}'")
        kind = part.get("type")
        if assistant:
            must(kind in ("output_text", "refusal"), f"Invalid value: '{kind}' ({where})")
            _only(part, {"type", "text", "refusal", "annotations"}, where)
            must(isinstance(part.get("text", part.get("refusal")), str), f"Missing '{where}.text'")
            must(kind == "refusal" or part.get("annotations") == [], f"Missing '{where}.annot...'")
        elif kind == "input_text":
            _only(part, {"type", "text"}, where)
            must(isinstance(part.get("text"), str), f"Missing '{where}.text'")
        elif kind == "input_image":
            _only(part, {"type", "image_url", "detail"}, where)
            must(part.get("detail") in ("low", "high", "auto"), f"Missing '{where}.detail'")
            must(IMAGE.fullmatch(part.get("image_url", "")), f"Invalid '{where}.image_url'")
        elif kind == "input_file":
            _only(part, {"type", "filename", "file_data"}, where)
            must(part.get("filename"), f"Missing '{where}.filename'")
            must(FILE.fullmatch(part.get("file_data", "")), f"Invalid '{where}.file_data'")
        else:
            raise RefusedError(f"Invalid value: '{kind}' ({where})")


def _tools(tools: Any) -> set[str]:
    names: set[str] = set()
    if tools is None:
        return names
    must(isinstance(tools, list) and tools, "[] is too short - 'tools'")
    must(len(tools) <= MAX_TOOLS, f"Invalid 'tools': array too long, at most {MAX_TOOLS}")
    for tool in tools:
        _only(tool, {"type", "name", "description", "parameters", "strict"}, "tools")
        name = tool.get("name")
        must(tool.get("type") == "function", "Invalid value 'tools.type'")
        must(isinstance(name, str) and NAME.fullmatch(name), f"Invalid 'tools.name': {name!r}")
        must(name not in names, f"Duplicate tool {name}")
        names.add(name)
        must(isinstance(tool.get("strict"), bool), f"Missing required parameter: strict of {name}")
        must(isinstance(tool.get("description", ""), str), f"Invalid description of {name}")
        dialect = "openai-strict" if tool["strict"] else "openai"
        problem = illegal(tool.get("parameters"), dialect)
        must(problem is None, f"Invalid schema for function '{name}': {problem}")
    return names


def _choice(body: Any, names: Collection[str]) -> None:
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        _only(choice, {"type", "name"}, "tool_choice")
        must(choice.get("name") in names, f"Tool choice '{choice.get('name')}' not found in tools.")
    else:
        must(choice in ("auto", "none", "required"), f"Invalid value: {choice!r}")
        must(names or choice == "auto", "Tool choice must not be set without tools.")


def _options(body: Any) -> None:
    must(set(body.get("include", [])) <= {"reasoning.encrypted_content"}, "Invalid 'include'")
    must(body.get("max_output_tokens", 16) >= 16, "'max_output_tokens': below the minimum of 16")
    must(len(body.get("prompt_cache_key", "")) <= 64, "'prompt_cache_key': string too long (64)")
    reasoning = body.get("reasoning", {})
    _only(reasoning, {"effort", "summary"}, "reasoning")
    must(reasoning.get("effort") in (None, *EFFORTS), "Invalid value: 'reasoning.effort'")
    must(reasoning.get("summary") in (None, "auto", "concise", "detailed"), "Invalid 'summary'")
    wanted = body.get("text", {})
    _only(wanted, {"format"}, "text")
    if wanted:
        _format(wanted["format"], body)


def _format(wanted: Any, body: Any) -> None:
    if wanted.get("type") == "json_object":
        said = json.dumps([body["input"], body.get("instructions")]).lower()
        must("json" in said, "Response input messages must contain the word 'json'")
        return
    must(wanted.get("type") == "json_schema", "Invalid value: 'text.format.type'")
    _only(wanted, {"type", "name", "schema", "strict", "description"}, "text.format")
    must(NAME.fullmatch(wanted.get("name", "")), "Missing required parameter: 'text.format.name'")
    schema = wanted.get("schema")
    must(isinstance(schema, dict), "Missing required parameter: 'text.format.schema'")
    must(schema.get("type") == "object", "schema must be a JSON Schema of 'type: \"object\"'")
    if wanted.get("strict"):
        problem = illegal(schema, "openai-strict")
        must(problem is None, f"Invalid schema for response_format 'answer': {problem}")
