"""The adapters under test: one row each. A new adapter is a subclass of Subject and a row.

A Subject turns a `Plan`, which names no wire, into an adapter whose provider plays it. `able` says
which plans it can play at all: an adapter without a network cannot be cut off, the offline one
cannot be told what to say. An adapter of another package comes with a module of its own:
`AGENT_HOST_SUBJECTS=module,...` adds the `SUBJECTS` of those modules, and runs only them.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import tomlkit

from agent_host.core.events import (
    Event,
    ModelRequested,
    ModelResponded,
    Record,
    RunStarted,
    UserSaid,
)
from agent_host.core.types import Message, Principal, Reasoning, Text, ToolCall
from agent_host.models import anthropic, offline, openai_chat, openai_responses, replay, script
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.table import built_in
from agent_host.records.codec import encode
from tests.fakes import chat_server as chat
from tests.fakes import messages_server as messages
from tests.fakes import responses_server as responses
from tests.fakes.asking import user
from tests.fakes.provider_server import ProviderServer

Ability = Literal["text", "verbatim", "calls", "reasoning", "length", "ends", "turns", "network"]
"""`verbatim`: says what the plan says; `length`, `ends`: these ends of a plan; `turns`: takes a
conversation that it did not see from its start."""


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    id: str = ""
    raw: str | None = None
    """The text of the arguments, if it is not the JSON of `arguments`."""


@dataclass(frozen=True)
class Plan:
    """What a provider does. `end`: `whole`; `length` (the limit of the answer); `silent` (the
    stream ends, nothing says why); `lost` (the connection goes); `hang`; a status refuses."""

    says: tuple[str, ...] = ()
    thinks: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    end: Literal["whole", "length", "silent", "lost", "hang"] = "whole"
    status: int = 200
    needs: frozenset[Ability] = frozenset({"verbatim"})


@dataclass(frozen=True)
class Playing:
    """An adapter and its provider; None where there is no network."""

    adapter: Any
    server: ProviderServer | None = None

    @property
    def provider(self) -> ProviderServer:
        assert self.server is not None
        return self.server

    @property
    def left(self) -> threading.Event:
        """Set when a client went before the end."""
        return self.provider.left

    @property
    def refused(self) -> list[str]:
        return [] if self.server is None else self.server.refused

    def bodies(self) -> list[Any]:
        """What the provider was sent, in order."""
        return [one.body for one in self.provider.received]


@dataclass(frozen=True)
class Subject:
    name: str
    able: frozenset[Ability]
    play: Callable[[Plan, Path], AbstractContextManager[Playing]]


def _chat_body(plan: Plan, rules: str = "plain") -> list[bytes]:
    """As `gemini`: each call whole and signed, and all at index 0."""
    body = [chat.chunk({"role": "assistant", "content": ""})]
    body += [chat.chunk({"reasoning_content": thought}) for thought in plan.thinks]
    body += [chat.text(said) for said in plan.says]
    for index, call in enumerate(plan.calls):
        raw = json.dumps(call.arguments) if call.raw is None else call.raw
        call_id = call.id or f"id_{index}"
        if rules == "gemini":
            more = chat.signed() if not index else {}
            body.append(chat.call(chat.piece(0, call_id, call.name, raw, **more)))
            continue
        body.append(chat.call(chat.piece(index, call_id, call.name, "")))
        half = len(raw) // 2
        body += [
            chat.call(chat.piece(index, None, None, part)) for part in (raw[:half], raw[half:])
        ]
    if plan.end in ("whole", "length"):
        reason = "length" if plan.end == "length" else "tool_calls" if plan.calls else "stop"
        body += [chat.finish(reason), chat.usage(), chat.DONE]
    return body


@contextmanager
def _openai_chat(
    plan: Plan, folder: Path, rules: str = "plain", model: str = "fake-1"
) -> Iterator[Playing]:
    """Chat Completions, by the rules of one provider and its profile."""
    if plan.status != 200:
        play = chat.refusal(plan.status, {"error": {"message": "no", "code": "x"}})
    else:
        ends: dict[str, Any] = {"lost": "cut", "hang": "hang"}
        play = chat.stream(*_chat_body(plan, rules), end=ends.get(plan.end, "whole"))
    with chat.ChatServer(play, rules=rules) as server:
        adapter = openai_chat.create(
            AdapterSettings(
                provider="fake",
                model=model,
                base_url=server.url,
                api_key="k-secret-123",
                profile=built_in().of(rules, model, "openai-chat"),
            )
        )
        yield Playing(adapter, server)


def _responses_play(plan: Plan) -> responses.Play:
    """Each with ids of items that no other answer has, as the provider makes them."""
    if plan.status != 200:
        return responses.refusal(plan.status, {"error": responses.error("no", "x")})
    parts = [responses.thought(*plan.thinks)] if plan.thinks else []
    parts += [responses.said(*plan.says)] if plan.says else []
    for index, call in enumerate(plan.calls):
        raw = json.dumps(call.arguments) if call.raw is None else call.raw
        pieces = (raw[: len(raw) // 2], raw[len(raw) // 2 :])
        parts.append(responses.called(call.id or f"id_{index}", call.name, *pieces))
    body = responses.answer(*parts, reason="max_output_tokens" if plan.end == "length" else "")
    if plan.end not in ("whole", "length"):
        del body[-1]
    ends: dict[str, Any] = {"lost": "cut", "hang": "hang"}
    return responses.stream(*body, end=ends.get(plan.end, "whole"))


@contextmanager
def _openai_responses(plan: Plan, folder: Path) -> Iterator[Playing]:
    with responses.ResponsesServer(*(_responses_play(plan) for _ in range(8))) as server:
        adapter = openai_responses.create(
            AdapterSettings(
                provider="fake",
                model="gpt-6",
                base_url=server.url,
                api_key="k-secret-123",
                profile=built_in().of("openai", "gpt-6", "openai-responses"),
            )
        )
        yield Playing(adapter, server)


def _messages_body(plan: Plan) -> list[bytes]:
    blocks = [messages.thought(0, *plan.thinks)] if plan.thinks else []
    if plan.says:
        blocks.append(messages.said(len(blocks), *plan.says))
    for index, call in enumerate(plan.calls):
        raw = json.dumps(call.arguments) if call.raw is None else call.raw
        half = len(raw) // 2
        call_id = call.id or f"id_{index}"
        parts = (raw[:half], raw[half:])
        blocks.append(messages.called(len(blocks), call_id, call.name, *parts))
    body = [messages.start(), messages.PING, *blocks]
    if plan.end in ("whole", "length"):
        reason = "max_tokens" if plan.end == "length" else "tool_use" if plan.calls else "end_turn"
        body += [messages.end(reason), messages.STOP]
    return body


@contextmanager
def _anthropic(plan: Plan, folder: Path) -> Iterator[Playing]:
    if plan.status != 200:
        play = messages.refusal(plan.status, messages.error("api_error"))
    else:
        ends: dict[str, Any] = {"lost": "cut", "hang": "hang"}
        play = messages.stream(*_messages_body(plan), end=ends.get(plan.end, "whole"))
    with messages.MessagesServer(play) as server:
        adapter = anthropic.create(
            AdapterSettings(
                provider="fake", model="fake-1", base_url=server.url, api_key="k-secret-123"
            )
        )
        yield Playing(adapter, server)


@contextmanager
def _offline(plan: Plan, folder: Path) -> Iterator[Playing]:
    yield Playing(offline.create(AdapterSettings(provider="offline", model="")))


@contextmanager
def _script(plan: Plan, folder: Path) -> Iterator[Playing]:
    turn: dict[str, Any] = {"chunk": 2}
    if plan.says:
        turn["say"] = "".join(plan.says)
    if plan.thinks:
        turn["reasoning"] = "".join(plan.thinks)
    if plan.calls:
        turn["call"] = [{"name": one.name, "arguments": one.arguments} for one in plan.calls]
    if plan.end == "length":
        turn["stop_reason"] = "max_tokens"
        for call in turn.get("call", ()):
            call |= {"raw": json.dumps(call.pop("arguments"))[:-1], "fault": "truncated_call"}
    path = folder / "script.toml"
    path.write_text(tomlkit.dumps({"turn": [turn, turn]}), encoding="utf-8")
    yield Playing(script.create(AdapterSettings(provider="script", model="", path=path)))


@contextmanager
def _replay(plan: Plan, folder: Path) -> Iterator[Playing]:
    content = (
        *(Reasoning(text=text) for text in ["".join(plan.thinks)] if text),
        *(Text(text=text) for text in ["".join(plan.says)] if text),
        *(
            ToolCall(id=f"id_{place}", name=one.name, arguments=one.arguments)
            for place, one in enumerate(plan.calls)
        ),
    )
    events: list[Event] = [
        RunStarted(
            run_id="run-1", principal=Principal(id="me"), provider="p", model="m", adapter="a"
        ),
        UserSaid(message=user("hello")),
        ModelRequested(request_id="r", provider="p", model="m"),
        ModelResponded(
            request_id="r",
            message=Message(role="assistant", content=content),
            stop_reason="tool_use" if plan.calls else "end_turn",
        ),
    ]
    lines = [
        encode(Record(seq=seq, at="2026-01-01T00:00:00.000000Z", run_id="run-1", event=event))
        for seq, event in enumerate(events)
    ]
    path = folder / "run-1.jsonl"
    path.write_bytes(b"\n".join([*lines, b""]))
    yield Playing(replay.create(AdapterSettings(provider="replay", model="", path=path)))


PLAYED: frozenset[Ability] = frozenset({"text", "verbatim", "calls", "reasoning"})
WIRE: frozenset[Ability] = PLAYED | {"length", "ends", "turns", "network"}
CHATS = {
    "openai": "gpt-6",
    "gemini": "gemini-3.8-flash",
    "mistral": "mistral-large-latest",
    "deepseek": "deepseek-v4-pro",
}
SUBJECTS = [
    Subject("openai-chat", WIRE, _openai_chat),
    *(
        Subject(f"openai-chat as {name}", WIRE, partial(_openai_chat, rules=name, model=model))
        for name, model in CHATS.items()
    ),
    Subject("openai-responses", WIRE, _openai_responses),
    Subject("anthropic", WIRE, _anthropic),
    Subject("offline", frozenset({"text"}), _offline),
    Subject("script", PLAYED | {"length", "turns"}, _script),
    Subject("replay", PLAYED, _replay),
]
if _others := os.environ.get("AGENT_HOST_SUBJECTS"):
    SUBJECTS = [s for name in _others.split(",") for s in import_module(name).SUBJECTS]
