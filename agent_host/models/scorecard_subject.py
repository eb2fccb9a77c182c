"""What a scorecard is about: an endpoint, the answers that it gave, and what is said of each check.

Theory of operation: an `Examination` asks one model through its adapter, as a session would, and
keeps what several checks need: the first answer, the last one with calls, what was used. A check
turns answers into a `Verdict`. A provider that is busy is asked again while the check's time lasts;
nothing else is asked twice, so that what is unreliable shows.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agent_host.core.events import Delta, ReasoningDelta, ServerLog, TextDelta
from agent_host.core.text import clean_line
from agent_host.core.types import (
    JsonObject,
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Origin,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from agent_host.ports import ModelAdapter
from agent_host.profiles.profile import Profile

State = Literal["ok", "failed", "not taken", "note"]
"""`not taken`: the model or its server says that it cannot. `note`: worth knowing, no fault."""

Twin = Callable[[], AbstractAsyncContextManager[ModelAdapter]]
"""Makes another adapter for the same endpoint."""

_BUSY = frozenset({"rate_limit", "overloaded"})
_TRIES = 3
_LIMIT = 1024
_THINKING_LIMIT = 4096
_QUOTED = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The endpoint that is examined.

    `credential`: what says who asks, for people, empty for nothing. `wrong_key` and
    `unknown_model` make the same endpoint with another key (None: there is no way to send one) or
    another model's name. `problem` says what is wrong with a text as JSON under a schema, empty if
    nothing is.
    """

    adapter: ModelAdapter
    profile: Profile
    effort: str | None
    credential: str
    wrong_key: Twin | None
    unknown_model: Twin
    problem: Callable[[JsonObject, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check found, with one line of detail."""

    state: State
    detail: str


def ok(detail: str) -> Verdict:
    """It works."""
    return Verdict(state="ok", detail=detail)


def failed(detail: str) -> Verdict:
    """It does not do what it should."""
    return Verdict(state="failed", detail=detail)


def not_taken(detail: str) -> Verdict:
    """The model or its server says that it cannot."""
    return Verdict(state="not taken", detail=detail)


def note(detail: str) -> Verdict:
    """Worth knowing, and no fault."""
    return Verdict(state="note", detail=detail)


def refused(failure: ModelFailure, cannot: re.Pattern[str] | None = None) -> Verdict:
    """What a failure means. `cannot`: words by which a server says that it has no such thing."""
    if cannot is not None and cannot.search(failure.message):
        return not_taken(failure.message)
    return failed(failure.message)


def quoted(text: str) -> str:
    """The beginning of a model's own words, safe to show."""
    return f'"{clean_line(text, _QUOTED)}"' if text.strip() else "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. `pieces`: of text; `first`: seconds to the first piece of anything; `closing`:
    seconds that closing it took, if it was closed after its first piece: then it counts as a
    failure (`cancelled`)."""

    item: ModelResponse | ModelFailure
    pieces: int
    first: float | None
    seconds: float
    reasoned: bool
    closing: float | None = None

    @property
    def text(self) -> str:
        """What the model said."""
        return "".join(b.text for b in self._content() if isinstance(b, Text))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls that the model asks for."""
        return tuple(b for b in self._content() if isinstance(b, ToolCall))

    def _content(self) -> tuple[Any, ...]:
        return self.item.message.content if isinstance(self.item, ModelResponse) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What one answer used, for its price. `usage` is None where nobody counted: the answer was
    not waited for, or did not come."""

    origin: Origin
    usage: Usage | None
    served: str = ""


@dataclass(slots=True, kw_only=True)
class Examination:
    """Asks the subject, and remembers. `seconds`: what the running check may take; `deadline`: when
    that is over, by the event loop's clock. `again`: how often a busy provider was asked again."""

    subject: Subject
    seconds: float = 0.0
    deadline: float = 0.0
    used: list[Used] = field(default_factory=list)
    greeting: Answer | None = None
    called: tuple[Message, Answer] | None = None
    """The last question that was answered with calls alone that can be run, and its answer."""
    reasoned: bool = False
    again: int = 0

    @property
    def limit(self) -> int:
        """Tokens that an answer may have: what thinks needs more."""
        return _THINKING_LIMIT if self.subject.profile.effort else _LIMIT

    async def ask(
        self,
        *messages: Message,
        adapter: ModelAdapter | None = None,
        close: bool = False,
        **options: Any,
    ) -> Answer:
        """Ask, and again while the provider is busy and there is time. `close`: close the answer
        after its first piece."""
        loop = asyncio.get_running_loop()
        request = self.request(*messages, **options)
        asked = adapter or self.subject.adapter
        for attempt in range(1, _TRIES):
            answer = await self._once(request, asked, close=close)
            wait = _wait(answer, attempt)
            if wait is None or loop.time() + wait >= self.deadline:
                return answer
            self.again += 1
            await asyncio.sleep(wait)
        return await self._once(request, asked, close=close)

    def request(self, *messages: Message, **options: Any) -> ModelRequest:
        """Return a request as a session makes it."""
        options = {"tools": (), "max_output_tokens": self.limit, "system": "", **options}
        number = len(self.used) + 1
        return ModelRequest(request_id=f"request-{number}", messages=messages, **options)

    def allow(self, seconds: float) -> None:
        """Let what is asked from here on take this long in all."""
        self.seconds = seconds
        self.deadline = asyncio.get_running_loop().time() + seconds

    async def _once(self, request: ModelRequest, adapter: ModelAdapter, *, close: bool) -> Answer:
        now = asyncio.get_running_loop().time
        started, first, pieces, thought = now(), None, 0, False
        closed: float | None = None
        answered = ModelFailure(kind="protocol", message="the adapter gave no answer")
        item: Delta | ServerLog | ModelResponse | ModelFailure = answered
        place = len(self.used)
        self.used.append(Used(origin=adapter.origin, usage=None))
        try:
            async with (
                asyncio.timeout_at(self.deadline),
                aclosing(adapter.stream(request)) as stream,
            ):
                async for item in stream:
                    if isinstance(item, ModelResponse | ModelFailure):
                        continue
                    first = now() - started if first is None else first
                    pieces += isinstance(item, TextDelta)
                    thought = thought or isinstance(item, ReasoningDelta)
                    if close:
                        closed = now()
                        answered = ModelFailure(kind="cancelled", message="closed after a piece")
                        break
        except TimeoutError:
            item = self._too_late()
        answer = Answer(
            item=item if isinstance(item, ModelResponse | ModelFailure) else answered,
            pieces=pieces,
            first=first,
            seconds=now() - started,
            reasoned=thought or _has_reasoning(item),
            closing=None if closed is None else now() - closed,
        )
        self._remember(answer, place)
        return answer

    def _too_late(self) -> ModelFailure:
        return ModelFailure(
            kind="timeout",
            message=f"no whole answer within {self.seconds:g} s; --timeout allows for more",
        )

    def _remember(self, answer: Answer, place: int) -> None:
        item = answer.item
        self.reasoned = self.reasoned or answer.reasoned
        if isinstance(item, ModelResponse):
            counted = item.usage if item.usage != Usage() else None
            self.used[place] = replace(self.used[place], usage=counted, served=item.model_served)
        elif answer.first is None and item.kind != "timeout":
            del self.used[place]  # refused: nothing was used


def _wait(answer: Answer, attempt: int) -> float | None:
    """Seconds after which to ask again, None: the provider is not busy."""
    failure = answer.item
    if not isinstance(failure, ModelFailure) or failure.kind not in _BUSY:
        return None
    if not failure.retryable or answer.first is not None:
        return None
    return 2.0**attempt if failure.retry_after is None else failure.retry_after


def _has_reasoning(item: object) -> bool:
    return isinstance(item, ModelResponse) and any(
        isinstance(block, Reasoning) for block in item.message.content
    )


def user(text: str, *more: Any) -> Message:
    """Return what a user says, with pictures and the like behind it."""
    return Message(role="user", content=(Text(text=text), *more))
