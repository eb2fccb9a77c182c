"""What a Chat Completions provider refuses a request with: OpenAI, and four that are stricter.

Theory of operation: a request is walked as the provider's own validation does, and the first thing
that it would refuse is the answer. What differs from provider to provider is a row of `RULES`.
`plain` is a careful reading of what every compatible server takes: what goes through there goes
through anywhere that has no rule of its own.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.provider_server import RefusedError, must
from tests.fakes.schema_rules import illegal

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*")
FILE = re.compile(r"data:application/pdf;base64,[A-Za-z0-9+/]+=*")
STANDS_IN = "skip_thought_signature_validator"
SIGNATURE = "c2lnbmVkIGJ5IGdlbWluaQ=="
"""What signs each call here."""
_EVERYWHERE = {
    *("model", "messages", "tools", "tool_choice", "stream", "max_tokens", "response_format"),
    "temperature",
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`keys`: of a request; `user`: kinds of parts that a user's message may hold; `strict`: a tool
    may have it; `unknown`: other keys of messages are refused."""

    keys: frozenset[str]
    roles: frozenset[str] = frozenset({"system", "user", "assistant", "tool"})
    user: frozenset[str] = frozenset({"text", "image_url"})
    name: re.Pattern[str] = NAME
    call_id: re.Pattern[str] = re.compile(r".{1,128}", re.DOTALL)
    dialect: Any = "plain"
    tools: int = 0
    strict: bool = False
    tool_parts: bool = False
    unknown: bool = True
    signatures: bool = False
    reasoning: bool = False
    schema_with_tools: bool = True
    user_after_tool: bool = True
    efforts: tuple[str, ...] = ()


def _keys(*more: str) -> frozenset[str]:
    return frozenset({*_EVERYWHERE, *more})


RULES: Mapping[str, Rules] = {
    "plain": Rules(keys=_keys("stream_options", "reasoning_effort")),
    "openai": Rules(
        keys=_keys(
            *("stream_options", "max_completion_tokens", "parallel_tool_calls"),
            *("reasoning_effort", "prompt_cache_key"),
        ),
        roles=frozenset({"system", "developer", "user", "assistant", "tool"}),
        user=frozenset({"text", "image_url", "input_audio", "file"}),
        call_id=re.compile(r".{1,40}", re.DOTALL),
        dialect="openai",
        tools=128,
        strict=True,
        tool_parts=True,
        efforts=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    ),
    "gemini": Rules(
        keys=_keys("stream_options", "reasoning_effort"),
        user=frozenset({"text", "image_url", "input_audio"}),
        name=re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}"),
        dialect="gemini",
        signatures=True,
        schema_with_tools=False,
        efforts=("none", "minimal", "low", "medium", "high"),
    ),
    "mistral": Rules(
        keys=_keys("parallel_tool_calls", "prompt_cache_key", "reasoning_effort", "random_seed"),
        call_id=re.compile(r"[A-Za-z0-9]{9}"),
        strict=True,
        user_after_tool=False,
        efforts=("none", "high"),
    ),
    "deepseek": Rules(
        keys=_keys("stream_options", "reasoning_effort"),
        user=frozenset({"text"}),
        tools=128,
        reasoning=True,
        efforts=("low", "medium", "high", "max"),
    ),
}


def judge(body: Any, rules: str = "plain") -> str | None:
    """What a provider would say of a request, or None."""
    rule = RULES[rules]
    try:
        must(isinstance(body, dict), "We could not parse the JSON body of your request.")
        must(isinstance(body.get("model"), str) and body["model"], "you must provide a model")
        unknown = body.keys() - rule.keys
        must(not unknown, f"Unrecognized request argument supplied: {unknown}")
        _Conversation(rule).check(body.get("messages"))
        names = _tools(body.get("tools"), rule)
        _options(body, names, rule)
    except RefusedError as error:
        return str(error)
    return None


class _Conversation:
    """The messages of a request."""

    def __init__(self, rule: Rules) -> None:
        self._rule = rule
        self._waiting: list[str] = []
        self._seen: set[str] = set()

    def check(self, messages: Any) -> None:
        must(isinstance(messages, list) and messages, "'messages' must hold at least one message")
        last = ""
        for place, message in enumerate(messages):
            where = f"messages.[{place}]"
            must(isinstance(message, dict), f"Invalid type for '{where}'")
            role = message.get("role")
            must(role in self._rule.roles, f"Invalid value: '{role}'")
            if role == "user" and last == "tool":
                must(self._rule.user_after_tool, "Unexpected role 'user' after role 'tool'")
            self._message(role, message, where)
            last = role
        must(not self._waiting, f"tool_call_ids without response messages: {self._waiting}")
        must(last != "assistant" or self._rule.user_after_tool, "Expected last role User or Tool")

    def _message(self, role: str, message: Any, where: str) -> None:
        if role == "tool":
            self._result(message, where)
            return
        must(
            not self._waiting,
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            f"to each 'tool_call_id'. The following had no response messages: {self._waiting}",
        )
        if role == "assistant":
            self._assistant(message, where)
        else:
            _only(message, {"role", "content"}, where)
            _content(message.get("content"), where, self._rule.user if role == "user" else {"text"})

    def _result(self, message: Any, where: str) -> None:
        _only(message, {"role", "content", "tool_call_id"}, where)
        call_id = message.get("tool_call_id")
        must(
            call_id in self._waiting,
            "messages with role 'tool' must be a response to a preceding message with "
            f"'tool_calls' ({where})",
        )
        self._waiting.remove(call_id)
        content = message.get("content")
        if self._rule.tool_parts and isinstance(content, list):
            _content(content, where, {"text"})
        else:
            must(isinstance(content, str), f"Invalid content in '{where}': text")

    def _assistant(self, message: Any, where: str) -> None:
        more = {"reasoning_content"} if self._rule.reasoning else set()
        more |= {"extra_content"} if self._rule.signatures else set()
        _only(message, {"role", "content", "tool_calls", *more}, where)
        calls = message.get("tool_calls")
        content = message.get("content")
        must(content is None or isinstance(content, str), f"Invalid content in '{where}'")
        must(content is not None or calls, f"Invalid value for 'content' in '{where}': null")
        if calls is None:
            return
        must(isinstance(calls, list) and calls, f"[] is too short - '{where}.tool_calls'")
        if self._rule.reasoning:
            must(
                isinstance(message.get("reasoning_content"), str),
                "The `reasoning_content` in the thinking mode must be passed back to the API.",
            )
        if self._rule.signatures:
            extra = calls[0].get("extra_content") or {}
            must(
                extra.get("google", {}).get("thought_signature") in (SIGNATURE, STANDS_IN),
                "Function call is missing a thought_signature in functionCall parts.",
            )
        for one in calls:
            self._call(one, where)

    def _call(self, one: Any, where: str) -> None:
        more = {"extra_content"} if self._rule.signatures else set()
        _only(one, {"id", "type", "function", *more}, where)
        must(one.get("type") == "function", f"Invalid type in '{where}.tool_calls'")
        call_id = one.get("id")
        must(isinstance(call_id, str) and call_id, f"Missing '{where}.tool_calls.id'")
        must(self._rule.call_id.fullmatch(call_id), f"Invalid '{where}.tool_calls.id': {call_id}")
        must(call_id not in self._seen, f"Duplicate id '{call_id}'")
        self._seen.add(call_id)
        self._waiting.append(call_id)
        function = one.get("function", {})
        _only(function, {"name", "arguments"}, where)
        must(self._rule.name.fullmatch(function.get("name", "")), f"Invalid name in '{where}'")
        arguments = function.get("arguments")
        must(isinstance(arguments, str), f"Invalid '{where}...function.arguments'")
        try:
            parsed = json.loads(arguments)
        except ValueError:
            parsed = None
        must(isinstance(parsed, dict), f"'{where}': arguments are no JSON object")


def _only(value: Any, keys: Collection[str], where: str) -> None:
    must(isinstance(value, dict), f"Invalid type in '{where}'")
    must(value.keys() <= set(keys), f"Extra inputs in '{where}': {value.keys() - set(keys)}")


def _content(content: Any, where: str, kinds: Collection[str]) -> None:
    if isinstance(content, str):
        return
    must(isinstance(content, list) and content, f"Invalid content in '{where}'")
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        must(kind in kinds, f"Invalid content type in '{where}': {kind}")
        if kind == "text":
            must(isinstance(part.get("text"), str), f"Missing text in '{where}'")
        elif kind == "image_url":
            must(IMAGE.fullmatch(part["image_url"]["url"]), f"Invalid image in '{where}'")
        elif kind == "input_audio":
            must(part["input_audio"]["format"] in ("wav", "mp3"), f"Invalid audio in '{where}'")
        else:
            must(part["file"].keys() == {"filename", "file_data"}, f"Invalid file in '{where}'")
            must(FILE.fullmatch(part["file"]["file_data"]), f"Invalid file in '{where}'")


def _tools(tools: Any, rule: Rules) -> set[str]:
    names: set[str] = set()
    if tools is None:
        return names
    must(isinstance(tools, list) and tools, "[] is too short - 'tools'")
    must(not rule.tools or len(tools) <= rule.tools, f"'tools' too long, at most {rule.tools}")
    for tool in tools:
        _only(tool, {"type", "function"}, "tools")
        must(tool.get("type") == "function", "Invalid type in 'tools'")
        function = tool.get("function", {})
        name = function.get("name", "")
        must(isinstance(name, str) and rule.name.fullmatch(name), f"Invalid name {name!r}")
        must(name not in names, f"Duplicate tool {name}")
        names.add(name)
        strict = {"strict"} if rule.strict else set()
        _only(function, {"name", "description", "parameters", *strict}, name)
        must(isinstance(function.get("description", ""), str), f"Invalid description of '{name}'")
        problem = illegal(function.get("parameters"), rule.dialect)
        must(problem is None, f"Invalid schema for function '{name}': {problem}")
    return names


def _options(body: Any, names: Collection[str], rule: Rules) -> None:
    choice = body.get("tool_choice")
    if choice is not None:
        must(names, "'tool_choice' is only allowed when 'tools' are specified")
        if isinstance(choice, dict):
            must(choice.get("function", {}).get("name") in names, "Tool choice not found in tools")
        else:
            must(choice in ("auto", "none", "required"), f"Invalid tool_choice {choice!r}")
    if "parallel_tool_calls" in body:
        must(names, "'parallel_tool_calls' is only allowed when 'tools' are specified")
    effort = body.get("reasoning_effort")
    must(
        effort is None or effort in (rule.efforts or [effort]),
        f"Unsupported reasoning_effort {effort!r}",
    )
    wanted = body.get("response_format")
    if wanted is None:
        return
    must(rule.schema_with_tools or not names, "Function calling with a response mime type")
    must(wanted.get("type") in ("json_schema", "json_object"), "Invalid response_format.type")
    if wanted["type"] == "json_schema":
        named = wanted.get("json_schema", {})
        must(NAME.fullmatch(named.get("name", "")), "Missing response_format.json_schema.name")
        must(isinstance(named.get("schema"), dict), "Missing response_format.json_schema.schema")
        if rule.dialect == "openai":
            must(named["schema"].get("type") == "object", "schema must be of type 'object'")
            if named.get("strict"):
                problem = illegal(named["schema"], "openai-strict")
                must(problem is None, f"Invalid schema for response_format: {problem}")
    else:
        must("json" in json.dumps(body["messages"]).lower(), "'messages' must contain 'json'")
