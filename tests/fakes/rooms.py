"""Small rooms that keep everything in memory: implementations of the ports for tests of the
engine, whose world can be looked at, stopped and crashed at any point."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_host.core.conversation import Conversation, fold
from agent_host.core.errors import RecordError
from agent_host.core.events import (
    ApprovalGiven,
    Delta,
    Ephemeral,
    Record,
    RunResumed,
    RunStarted,
    TextDelta,
)
from agent_host.core.limits import Limits
from agent_host.core.types import (
    Annotations,
    ApprovalTerms,
    JsonObject,
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Origin,
    Principal,
    ServerRequest,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_host.engine.feed import Feed
from agent_host.engine.rooms import Retry, Rooms
from agent_host.engine.session import Session
from agent_host.ports import ApprovalQuestion, CallContext, CallPaused, Deferred, PolicyAnswer

ORIGIN = Origin(provider="test", model="planned", adapter="planned")
TESTER = Principal(id="tester")


class Crash(BaseException):
    """The process dies here."""


class MemoryJournal:
    """Keeps records in a list; dies at the `crash_at`-th append, or is full from `full_at` on."""

    def __init__(
        self,
        records: Sequence[Record] = (),
        *,
        crash_at: int | None = None,
        full_at: int | None = None,
    ) -> None:
        self.records = list(records)
        self.crash_at = crash_at
        self.full_at = full_at
        self.synced = 0
        self.kept: dict[str, bytes] = {}

    def append(self, record: Record) -> None:
        if self.crash_at is not None and len(self.records) >= self.crash_at:
            raise Crash
        if self.full_at is not None and len(self.records) >= self.full_at:
            raise RecordError("the disk is full")
        self.records.append(record)

    def sync(self) -> None:
        self.synced = len(self.records)

    def keep(self, name: str, data: bytes) -> str:
        self.kept[name] = data
        return f"artifacts/{name}"


def tool(name: str, **hints: bool) -> Tool:
    """A tool of server `w`; with hints it is of a server whose annotations are trusted."""
    return Tool(
        name=f"w__{name}",
        server="w",
        tool=name,
        description=name,
        input_schema={"type": "object"},
        annotations=Annotations(**hints),
        trusted=bool(hints),
        fingerprint=f"print-of-{name}",
    )


TOOLS = {
    t.name: t
    for t in (
        tool("read", read_only=True),
        tool("put", idempotent=True),
        tool("pay"),
        tool("ask_me"),
        tool("never"),
        tool("form"),
    )
}
"""`form` pauses once with a question before it does anything."""

SIZE_FORM = ServerRequest(
    method="elicitation/create",
    params={"message": "Which size?", "requestedSchema": {"type": "object", "properties": {}}},
    key="size",
)


def call(call_id: str, name: str, **arguments: object) -> ToolCall:
    return ToolCall(id=call_id, name=f"w__{name}", arguments=dict(arguments))


@dataclass
class World:
    """What tools did. `gates` hold a tool back until its event is set; `started` tells."""

    done: list[tuple[str, str]] = field(default_factory=list)
    arguments: dict[str, JsonObject] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    started: dict[str, asyncio.Event] = field(default_factory=dict)
    results: dict[str, ToolResult] = field(default_factory=dict)
    tools_table: Mapping[str, Tool] = field(default_factory=lambda: TOOLS)
    cancelled: list[str] = field(default_factory=list)
    kept_back: dict[str, str] = field(default_factory=dict)
    is_ready: asyncio.Event | None = None

    async def ready(self) -> None:
        if self.is_ready is not None:
            await self.is_ready.wait()

    def tools(self) -> Mapping[str, Tool]:
        return self.tools_table

    def withheld(self, name: str) -> str | None:
        return self.kept_back.get(name)

    def validate(self, tool: Tool, arguments: JsonObject) -> str | None:
        return "bad is not allowed" if "bad" in arguments else None

    async def call(
        self, tool: Tool, arguments: JsonObject, context: CallContext
    ) -> ToolResult | CallPaused:
        if tool.tool == "form" and context.answers is None:
            return CallPaused(requests=(SIZE_FORM,), state="size?")
        self.done.append((context.call_id, tool.tool))
        self.arguments[context.call_id] = arguments
        if tool.tool in self.started:
            self.started[tool.tool].set()
        context.progress(1, 2, "half")
        try:
            if tool.tool in self.gates:
                await self.gates[tool.tool].wait()
            else:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.append(context.call_id)
            raise
        known = self.results.get(tool.tool)
        return known or ToolResult(call_id=context.call_id, content=(Text(text="ok"),))


class PlannedModel:
    """Answers by the number of assistant messages so far, so a resumed run goes on where it was.

    A turn of the plan is a list of tool names to call, a ModelResponse, or a list of stream items.
    """

    simulated = True

    def __init__(self, plan: Sequence[object], origin: Origin = ORIGIN) -> None:
        self.plan = plan
        self.origin = origin
        self.cannot: Mapping[str, str] = {}
        self.requests: list[ModelRequest] = []
        self.hold: asyncio.Event | None = None
        self.reached = asyncio.Event()
        self.closed = 0

    async def stream(
        self, request: ModelRequest
    ) -> AsyncGenerator[Delta | ModelResponse | ModelFailure, None]:
        self.requests.append(request)
        turn = sum(m.role == "assistant" for m in request.messages)
        step = self.plan[turn] if turn < len(self.plan) else []
        try:
            if isinstance(step, ModelResponse):
                yield step
                return
            if isinstance(step, tuple):
                for item in step:
                    yield item
                return
            yield TextDelta(text=f"t{turn}")
            if self.hold is not None:
                self.reached.set()
                await self.hold.wait()
            yield answer(f"t{turn}", *(call(f"c{turn}.{i}", n) for i, n in enumerate(step)))
        finally:
            self.closed += 1

    def withheld(self, tools: tuple[Tool, ...]) -> Mapping[str, str]:
        return self.cannot

    async def aclose(self) -> None:
        pass


def answer(text: str, *calls: ToolCall, **more: object) -> ModelResponse:
    content = (*((Text(text=text),) if text else ()), *calls)
    return ModelResponse(
        message=Message(role="assistant", content=content, origin=ORIGIN),
        stop_reason=more.get("stop_reason", "tool_use" if calls else "end_turn"),
        usage=Usage(input_tokens=1, output_tokens=1),
    )


class PriceList:
    """Prices by model: US dollars for an input and an output token; None is not known."""

    def __init__(self, table: Mapping[str, tuple[float, float] | None]) -> None:
        self.table = table
        self.read = False
        self.begun = False
        self.asked: list[tuple[Origin, Usage, str]] = []

    def begin(self, origin: Origin) -> None:
        self.begun = True

    async def ready(self, origin: Origin) -> None:
        self.read = True

    def cost(self, origin: Origin, usage: Usage, served: str = "") -> float | None:
        assert self.read
        self.asked.append((origin, usage, served))
        price = self.table.get(origin.model)
        if price is None:
            return None
        return usage.input_tokens * price[0] + usage.output_tokens * price[1]


class Substitutes:
    """The models that stand by, in order."""

    def __init__(self, *models: PlannedModel) -> None:
        self.models = list(models)

    @property
    def waiting(self) -> bool:
        return bool(self.models)

    async def next(self) -> PlannedModel | None:
        return self.models.pop(0) if self.models else None


class TablePolicy:
    """Answers by the tool's own name; what is not in the table is allowed."""

    def __init__(self, table: Mapping[str, str] | None = None) -> None:
        self.table = {"ask_me": "ask", "never": "deny"} if table is None else table
        self.terms: dict[str, ApprovalTerms] = {}
        self.counted: list[str] = []
        self.taken_back: list[str] = []
        self.uncountable: str | None = None
        self.fingerprint = "table"

    def decide(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> PolicyAnswer:
        if "forbidden" in arguments:
            return PolicyAnswer(decision="deny", rule="no-forbidden", reason="not that")
        decision = self.table.get(tool.tool, "allow")
        return PolicyAnswer(decision=decision, rule="table", terms=self.terms.get(tool.tool))

    def begin(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> str | None:
        self.counted.append(call.id)
        return self.uncountable

    def end(self, conversation: Conversation, call_id: str) -> None:
        self.taken_back.append(call_id)


class AnsweringApprover:
    """Answers each question with what `answers` says for its tool, else yes once; what is in
    doubt is not repeated unless `answers` says so under "in doubt"."""

    def __init__(self, answers: Mapping[str, object] | None = None) -> None:
        self.answers = answers or {}
        self.questions: list[ApprovalQuestion] = []
        self.waiting: list[int] = []
        self.asked = asyncio.Event()

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        self.questions.append(question)
        self.asked.set()
        await asyncio.sleep(0)
        self.waiting.append(question.waiting())
        given = self.answers.get(question.tool.tool, {})
        if question.in_doubt:
            given = self.answers.get("in doubt", {"decision": "deny"})
        if isinstance(given, asyncio.Event):
            await given.wait()
            given = {}
        if isinstance(given, Deferred):
            return given
        fields = {"decision": "approve", "by": "tester", **given}
        return ApprovalGiven(call_id=question.call_id, **fields)


class Watcher:
    """A sink that keeps what it saw, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.items: list[Record | Ephemeral] = []
        self.fails = fails

    def emit(self, item: Record | Ephemeral) -> None:
        if self.fails:
            raise OSError("the screen is gone")
        self.items.append(item)


def session(
    journal: MemoryJournal,
    *,
    plan: Sequence[object] = (),
    world: World | None = None,
    model: PlannedModel | None = None,
    policy: TablePolicy | None = None,
    approver: AnsweringApprover | None = None,
    sinks: Sequence[Watcher] = (),
    limits: Limits | None = None,
    monotonic: Callable[[], float] = lambda: 0.0,
    retry: Retry | None = None,
    fallback: Substitutes | None = None,
    prices: PriceList | None = None,
    respondent: Any = None,
    **options: Any,
) -> Session:
    """A session on what the journal holds; it starts the run, or takes it over."""
    ids = itertools.count(len(journal.records))
    conversation = fold(r.event for r in journal.records)
    feed = Feed(
        run_id="run",
        journal=journal,
        sinks=sinks,
        clock=lambda: "2026-01-01T00:00:00.000000Z",
        next_seq=len(journal.records),
    )
    made = Session(
        conversation=conversation,
        feed=feed,
        rooms=Rooms(
            model=model or PlannedModel(plan),
            tools=world or World(),
            policy=policy or TablePolicy(),
            approver=approver or AnsweringApprover(),
            fallback=fallback,
            prices=prices,
            respondent=respondent,
        ),
        principal=TESTER,
        monotonic=monotonic,
        new_id=lambda: f"r{next(ids)}",
        limits=limits or Limits(max_turns=6),
        retry=retry or Retry(first_wait=0.0, longest_wait=0.0),
        **options,
    )
    if not journal.records:
        made.record(
            RunStarted(
                run_id="run", principal=TESTER, provider="test", model="planned", adapter="planned"
            )
        )
    else:
        made.record(RunResumed(principal=TESTER))
    return made


def said(text: str) -> Message:
    return Message(role="user", content=(Text(text=text),))
