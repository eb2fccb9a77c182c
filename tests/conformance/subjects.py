"""The adapters under test: one row each. A new adapter is a subclass of Subject and a row.

A Subject turns a `Plan`, which names no wire, into an adapter whose provider plays it. `able` says
which plans it can play at all: an adapter without a network cannot be cut off.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agent_host.models import openai_chat
from agent_host.models.settings import AdapterSettings
from tests.fakes import chat_server as chat

Ability = Literal["text", "calls", "reasoning", "ends", "network"]


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
    needs: frozenset[Ability] = frozenset({"text"})


@dataclass(frozen=True)
class Playing:
    """An adapter and its provider. `left`: set when a client went before the end."""

    adapter: Any
    left: threading.Event
    refused: list[str]


@dataclass(frozen=True)
class Subject:
    name: str
    able: frozenset[Ability]
    play: Callable[[Plan, Path], AbstractContextManager[Playing]]


def _chat_body(plan: Plan) -> list[bytes]:
    body = [chat.chunk({"role": "assistant", "content": ""})]
    body += [chat.chunk({"reasoning_content": thought}) for thought in plan.thinks]
    body += [chat.text(said) for said in plan.says]
    for index, call in enumerate(plan.calls):
        raw = json.dumps(call.arguments) if call.raw is None else call.raw
        body.append(chat.call(chat.piece(index, call.id or f"id_{index}", call.name, "")))
        half = len(raw) // 2
        body += [
            chat.call(chat.piece(index, None, None, part)) for part in (raw[:half], raw[half:])
        ]
    if plan.end in ("whole", "length"):
        reason = "length" if plan.end == "length" else "tool_calls" if plan.calls else "stop"
        body += [chat.finish(reason), chat.usage(), chat.DONE]
    return body


@contextmanager
def _openai_chat(plan: Plan, folder: Path) -> Iterator[Playing]:  # noqa: ARG001
    if plan.status != 200:
        play = chat.refusal(plan.status, {"error": {"message": "no", "code": "x"}})
    else:
        ends: dict[str, Any] = {"lost": "cut", "hang": "hang"}
        play = chat.stream(*_chat_body(plan), end=ends.get(plan.end, "whole"))
    with chat.ChatServer(play) as server:
        adapter = openai_chat.create(
            AdapterSettings(
                provider="fake", model="fake-1", base_url=server.url, api_key="k-secret-123"
            )
        )
        yield Playing(adapter, server.left, server.refused)


SUBJECTS = [
    Subject(
        "openai-chat",
        frozenset({"text", "calls", "reasoning", "ends", "network"}),
        _openai_chat,
    ),
]
