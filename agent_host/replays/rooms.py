"""The rooms of a session that give what is recorded: model, policy, people, prices.

Theory of operation: each answers only when the cursor stands at its own recorded event, with what
that event says; see `cursor`. What the engine does with the answer is its own, and is compared.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

from agent_host.core.conversation import Conversation
from agent_host.core.events import (
    ApprovalGiven,
    Delta,
    Event,
    InputGiven,
    InputRequested,
    LimitReached,
    ModelChanged,
    ModelFailed,
    ModelResponded,
    PolicyDecided,
    SamplingFinished,
    SamplingRequested,
    TextDelta,
    ToolFinished,
)
from agent_host.core.types import (
    JsonObject,
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Origin,
    Principal,
    StopReason,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_host.ports import (
    ApprovalQuestion,
    Deferred,
    PolicyAnswer,
    SamplingAnswer,
    SamplingQuestion,
)
from agent_host.replays.cursor import Cursor
from agent_host.replays.tools import refusal_of

NOT_ALLOWED = "it was not allowed"
WORDLESS = "the model answered without text"
_STOPS: Mapping[str, StopReason] = {"maxTokens": "max_tokens", "stopSequence": "stop_sequence"}
_GRANT = "session grant of call "


class RecordedModel:
    """Implements `ports.ModelAdapter` with recorded answers and failures."""

    def __init__(self, cursor: Cursor, origin: Origin, *, simulated: bool) -> None:
        self.origin = origin
        self.simulated = simulated
        self._cursor = cursor

    async def stream(
        self, request: ModelRequest
    ) -> AsyncGenerator[Delta | ModelResponse | ModelFailure, None]:
        """Yield the recorded answer, once it is due. What was cut off never ends by itself."""
        cursor, recording = self._cursor, self._cursor.recording
        place = recording.outcome(cursor.place, request.request_id)
        event = None if place is None else recording.events[place]
        stopped = place is not None and recording.stopped(place)
        kind = "sampling" if isinstance(event, SamplingFinished) else "model"
        if stopped and _cut(event):
            if isinstance(event, ModelResponded):
                yield TextDelta(text=_text(event.message))
            try:
                await cursor.reach(("nothing", request.request_id))
            except asyncio.CancelledError:
                await cursor.linger((kind, request.request_id))
                raise
        elif isinstance(event, ModelFailed) and _shown(event):
            yield TextDelta(text="")
        await cursor.reach((kind, request.request_id))
        yield self._item(cursor.event, cursor.place)

    def withheld(self, tools: tuple[Tool, ...]) -> Mapping[str, str]:
        """Nothing is sent."""
        return {}

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _item(self, event: Event | None, place: int) -> ModelResponse | ModelFailure:
        match event:
            case ModelResponded():
                return ModelResponse(
                    message=event.message,
                    stop_reason=event.stop_reason,
                    usage=event.usage,
                    response_id=event.response_id,
                    model_served=event.model_served,
                    provider_request_id=event.provider_request_id,
                )
            case ModelFailed():
                again = not event.final and _passed_on(self._cursor, place) is None
                wait = event.retry_after if again or event.final else None
                return ModelFailure(
                    kind=event.kind, message=event.message, retryable=again, retry_after=wait
                )
            case SamplingFinished():
                return _sampled(event)
            case _:
                return ModelFailure(kind="protocol", message="no answer is recorded")


def _cut(event: Event | None) -> bool:
    """Whether a stop is what ended a request, and not its answer."""
    match event:
        case ModelResponded():
            return event.stop_reason == "interrupted"
        case ModelFailed():
            return event.kind == "cancelled"
        case SamplingFinished():
            return event.error == "stopped"
        case _:
            return event is None


def _shown(event: ModelFailed) -> bool:
    """Whether a conversation that was too long could not be made shorter: the engine does not try
    where something of an answer was shown."""
    return event.final and event.kind == "context_window_exceeded"


def _text(message: Message) -> str:
    return "".join(block.text for block in message.content if isinstance(block, Text))


def _passed_on(cursor: Cursor, place: int) -> ModelChanged | None:
    """The model that was asked instead after the failure at `place`."""
    events = cursor.recording.events
    after = events[place + 1] if place + 1 < len(events) else None
    return after if isinstance(after, ModelChanged) and after.by == "fallback" else None


def _sampled(event: SamplingFinished) -> ModelResponse | ModelFailure:
    if event.outcome != "answered" and event.error != WORDLESS:
        return ModelFailure(kind="protocol", message=event.error)
    result = event.result or {}
    content = result.get("content")
    text = content.get("text", "") if isinstance(content, dict) else ""
    blocks = (Text(text=text),) if event.outcome == "answered" else ()
    return ModelResponse(
        message=Message(role="assistant", content=blocks),
        stop_reason=_STOPS.get(str(result.get("stopReason")), "end_turn"),
        usage=event.usage,
        model_served=str(result.get("model", "")),
    )


class RecordedFallback:
    """Implements `ports.Fallback`: the model that was asked instead, if one was."""

    waiting = False

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    async def next(self) -> RecordedModel | None:
        """See `ports.Fallback`."""
        event = _passed_on(self._cursor, self._cursor.place)
        if event is None:
            return None
        return recorded_model(self._cursor, event)


def recorded_model(cursor: Cursor, event: ModelChanged) -> RecordedModel:
    """Return the model that answers after a change."""
    origin = Origin(provider=event.provider, model=event.model, adapter=event.adapter)
    return RecordedModel(cursor, origin, simulated=event.simulated)


class RecordedPolicy:
    """Implements `ports.Policy` with recorded decisions. A grant of the session is found by the
    engine itself: policy had asked."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    @property
    def fingerprint(self) -> str:
        """The rules that were in force."""
        event = self._cursor.event
        return event.policy if isinstance(event, PolicyDecided) else ""

    def decide(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> PolicyAnswer:
        """See `ports.Policy`."""
        event = self._cursor.event
        if not (isinstance(event, PolicyDecided) and event.call_id == call.id):
            return PolicyAnswer(decision="allow", rule="no decision is recorded here")
        granted = event.rule.startswith(_GRANT)
        return PolicyAnswer(
            decision="ask" if granted else event.decision,
            rule=event.rule,
            reason=event.reason,
            rules=event.rules,
            origin=event.origin,
            terms=event.terms,
        )

    def begin(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> str | None:
        """See `ports.Policy`: a call that was not counted did not start."""
        event = self._cursor.event
        if isinstance(event, PolicyDecided) and event.call_id == call.id:
            return "the total moved"
        if isinstance(event, ToolFinished) and event.result.call_id == call.id:
            return refusal_of(event)
        return None

    def end(self, conversation: Conversation, call_id: str) -> None:
        """Nothing is counted."""


class RecordedVault:
    """Implements `ports.Vault`: what is recorded holds no secrets, and nothing is sent."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def conceal(self, result: ToolResult) -> ToolResult:
        """It was done when the run was recorded."""
        return result

    def reveal(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        """Nobody gets the arguments."""
        return arguments

    def missing(self, tool: Tool, arguments: JsonObject) -> str | None:
        """See `ports.Vault`."""
        event = self._cursor.event
        refused = isinstance(event, ToolFinished) and event.result.error == "invalid_arguments"
        return refusal_of(event) if refused else None


class RecordedPrices:
    """Implements `ports.Pricing`: what each answer had cost."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def begin(self, origin: Origin) -> None:
        """Nothing is read."""

    async def ready(self, origin: Origin) -> None:
        """Nothing is read."""

    def cost(self, origin: Origin, usage: Usage, served: str = "") -> float | None:
        """See `ports.Pricing`. An estimate costs what makes the recorded limit hold."""
        event = self._cursor.event
        if isinstance(event, ModelResponded | SamplingFinished):
            return event.cost
        reached = isinstance(event, LimitReached) and event.name == "cost"
        return float("inf") if reached else 0.0


class RecordedPeople:
    """Implements `ports.Approver` and `ports.Respondent` with recorded answers."""

    def __init__(self, cursor: Cursor, principal: Principal) -> None:
        self._cursor = cursor
        self._principal = principal

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        """See `ports.Approver`. A question that expired is answered too late."""
        if not await self._cursor.reach(("approval", question.call_id)):
            return Deferred()
        event = self._cursor.event
        if isinstance(event, ApprovalGiven):
            return event
        return ApprovalGiven(call_id=question.call_id, decision="approve", by=self._principal.id)

    async def answer(
        self,
        question: InputRequested,
        waiting: Callable[[], int],
    ) -> InputGiven | Deferred:
        """See `ports.Respondent`."""
        key = "input", question.input_id
        try:
            if not await self._cursor.reach(key):
                return Deferred()
        except asyncio.CancelledError:
            await self._cursor.linger(key)
            raise
        event = self._cursor.event
        assert isinstance(event, InputGiven)  # what the key stands for
        return event

    async def allow(self, question: SamplingQuestion) -> SamplingAnswer | Deferred:
        """See `ports.Respondent`: whoever was asked had said it when the request was recorded."""
        cursor = self._cursor
        begun = self._next_sampling(question.server)
        key = begun.sampling_id if begun is not None else ""
        if not await cursor.reach(("sampling", key)) or begun is None:
            return Deferred()
        place = cursor.recording.outcome(cursor.place, key)
        event = None if place is None else cursor.recording.events[place]
        if not isinstance(event, SamplingFinished):
            return SamplingAnswer(allowed=True, by=self._principal.id)
        refused = event.outcome == "refused" and event.error == NOT_ALLOWED
        return SamplingAnswer(allowed=not refused, by=event.by)

    def _next_sampling(self, server: str) -> SamplingRequested | None:
        events = self._cursor.recording.events
        for place in range(self._cursor.place, len(events)):
            event = events[place]
            if isinstance(event, SamplingRequested) and event.server == server:
                return event
        return None
