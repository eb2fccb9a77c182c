"""Records become spans and measurements.

Theory of operation: one `invoke_agent` span from a user's message (or from a resumed run's first
step) to the last fact before the next one; below it one `chat` span for each request to a model and
one `execute_tool` span for each call, also for one that was refused. What policy and humans say of
a call, limits, interruptions and changes of model are events of the agent's span. Names and
attributes: OpenTelemetry semantic conventions, GenAI (agent spans, client spans, execute tool) and
MCP (`mcp.method.name`). Times are those of the records.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from agent_host.core import events as e
from agent_host.core.types import Message, Text, ToolCall

_MAX_CONTENT = 64 * 1024
"""Characters of one content attribute."""

_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
_TOKENS = [
    1,
    4,
    16,
    64,
    256,
    1024,
    4096,
    16384,
    65536,
    262144,
    1048576,
    4194304,
    16777216,
    67108864,
]
_PROVIDERS = {"gemini": "gcp.gemini", "mistral": "mistral_ai", "bedrock": "aws.bedrock"}
"""Our names of providers whose well-known value is another (gen_ai.provider.name)."""

Attributes = dict[str, AttributeValue]


class Spans:
    """Traces one run. `parent`: the caller's trace (W3C trace context), as in `traceparent`;
    `content`: whether messages, arguments and results are sent."""

    def __init__(
        self, tracer: Tracer, meter: Meter, *, content: bool = False, parent: str = ""
    ) -> None:
        self._tracer = tracer
        self._content = content
        self._parent = extract({"traceparent": parent}) if parent else None
        self._measures = _Measures(meter)
        self._run: Attributes = {}
        self._agent: Span | None = None
        self._chat: tuple[Span, int, Attributes] | None = None
        self._calls: dict[str, _Call] = {}
        self._last = 0

    def take(self, item: e.Record | int) -> None:
        """Take a record, or the time of the first piece of an answer."""
        if isinstance(item, int):
            self._first_piece(item)
            return
        self._last = _nanoseconds(item.at, self._last)
        event = item.event
        match event:
            case e.UserSaid():
                self._end_agent()
                self._begin_agent(event.message)
            case e.ModelRequested() | e.ModelResponded() | e.ModelFailed():
                self._tell_model(event)
            case e.PolicyDecided() | e.ApprovalRequested() | e.ApprovalGiven():
                self._tell_decision(event)
            case e.ToolStarted() | e.ToolFinished():
                self._tell_call(event)
            case _:
                self._tell_run(event, item.run_id)

    def close(self) -> None:
        """End what is open, at the time of the last record."""
        self._end_agent()

    # -- the run -------------------------------------------------------------------------------

    def _tell_run(self, event: e.Event, run_id: str) -> None:
        match event:
            case e.RunStarted():
                self._begin_run(event)
            case e.RunResumed():
                self._run.setdefault("gen_ai.conversation.id", run_id)
                self._run["enduser.id"] = event.principal.id
            case e.ModelChanged():
                self._model(event)
                self._note("model_changed", {"agent_host.reason": event.reason})
            case e.LimitReached():
                self._note("limit_reached", {"agent_host.limit": event.name})
            case e.Interrupted():
                self._note("interrupted", {})
            case e.RunEnded():
                self._end_agent(event.reason)
            case _:
                pass  # nothing that the conventions have a word for

    def _begin_run(self, event: e.RunStarted) -> None:
        self._run = {
            "gen_ai.conversation.id": event.run_id,
            "gen_ai.agent.name": "agent-host",
            "enduser.id": event.principal.id,
        }
        self._model(event)

    def _model(self, event: e.RunStarted | e.ModelChanged) -> None:
        name = event.provider or event.adapter
        self._run["gen_ai.provider.name"] = _PROVIDERS.get(name, name)
        self._run["gen_ai.request.model"] = event.model

    def _begin_agent(self, message: Message | None = None) -> None:
        attributes: Attributes = {"gen_ai.operation.name": "invoke_agent", **self._run}
        if self._content and message is not None:
            attributes["gen_ai.input.messages"] = _messages(message)
        self._agent = self._tracer.start_span(
            "invoke_agent agent-host",
            context=self._parent,
            kind=SpanKind.INTERNAL,
            attributes=attributes,
            start_time=self._last,
        )

    def _end_agent(self, reason: str = "") -> None:
        if self._chat is not None:
            self._chat[0].end(self._last)
            self._chat = None
        for call in self._calls.values():
            if call.span is not None:
                call.span.end(self._last)
        self._calls.clear()
        if self._agent is None:
            return
        if reason and reason not in {"done", "interrupted"}:
            self._agent.set_attribute("error.type", reason)
            self._agent.set_status(Status(StatusCode.ERROR))
        self._agent.end(self._last)
        self._agent = None

    def _below(self) -> Any:
        if self._agent is None:
            self._begin_agent()
        assert self._agent is not None
        return set_span_in_context(self._agent)

    def _note(self, name: str, attributes: Attributes) -> None:
        if self._agent is not None:
            self._agent.add_event(f"agent_host.{name}", attributes, timestamp=self._last)

    # -- the model -----------------------------------------------------------------------------

    def _tell_model(self, event: e.ModelRequested | e.ModelResponded | e.ModelFailed) -> None:
        if isinstance(event, e.ModelRequested):
            attributes: Attributes = {**self._run, "gen_ai.operation.name": "chat"}
            attributes["gen_ai.request.model"] = event.model
            attributes["gen_ai.request.stream"] = True
            span = self._tracer.start_span(
                f"chat {event.model}".rstrip(),
                context=self._below(),
                kind=SpanKind.CLIENT,
                attributes=attributes,
                start_time=self._last,
            )
            self._chat = (span, self._last, attributes)
            return
        if self._chat is None:
            return
        span, began, attributes = self._chat
        self._chat = None
        if isinstance(event, e.ModelResponded):
            self._answered(span, event, attributes)
        else:
            _failed(span, event.kind)
            attributes = {**attributes, "error.type": event.kind}
        self._measures.operation(self._last - began, attributes)
        span.end(self._last)

    def _answered(self, span: Span, event: e.ModelResponded, attributes: Attributes) -> None:
        usage = event.usage
        said: Attributes = {
            "gen_ai.response.finish_reasons": [event.stop_reason],
            "gen_ai.response.model": event.model_served or event.model_asked,
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        }
        if event.response_id:
            said["gen_ai.response.id"] = event.response_id
        if event.cost is not None:
            said["agent_host.cost.usd"] = event.cost
        if self._content:
            said["gen_ai.output.messages"] = _messages(event.message)
        span.set_attributes(said)
        for block in event.message.content:
            if isinstance(block, ToolCall):
                self._calls[block.id] = _Call(block.name)
        self._measures.tokens(usage.input_tokens, "input", attributes)
        self._measures.tokens(usage.output_tokens, "output", attributes)

    def _first_piece(self, at: int) -> None:
        if self._chat is not None:
            span, began, attributes = self._chat
            span.set_attribute("gen_ai.response.time_to_first_chunk", max(at - began, 0) / 1e9)
            self._measures.first_piece(at - began, attributes)

    # -- calls ---------------------------------------------------------------------------------

    def _tell_decision(
        self, event: e.PolicyDecided | e.ApprovalRequested | e.ApprovalGiven
    ) -> None:
        call = self._calls.setdefault(event.call_id, _Call(event.call_id))
        attributes: Attributes = {"gen_ai.tool.call.id": event.call_id}
        match event:
            case e.PolicyDecided():
                call.named(event.server, event.tool)
                attributes |= {
                    "agent_host.policy.decision": event.decision,
                    "agent_host.policy.rule": event.rule,
                }
                self._measures.decision(event.decision)
                self._note("policy_decided", attributes)
            case e.ApprovalRequested():
                call.named(event.server, event.tool)
                self._note("approval_requested", attributes)
            case e.ApprovalGiven():
                attributes |= {
                    "agent_host.approval.decision": event.decision,
                    "agent_host.approval.by": event.by,
                }
                self._measures.approval(event.decision)
                self._note("approval_given", attributes)

    def _tell_call(self, event: e.ToolStarted | e.ToolFinished) -> None:
        if isinstance(event, e.ToolStarted):
            call = self._calls.setdefault(event.call_id, _Call(event.tool))
            call.named(event.server, event.tool)
            if call.span is None:  # a call that was paused goes on in its span
                self._begin_call(call, event.call_id)
            if self._content and call.span is not None:
                call.span.set_attribute("gen_ai.tool.call.arguments", _json(event.arguments))
            return
        result = event.result
        call = self._calls.pop(result.call_id, _Call(result.call_id))
        ran = call.span is not None
        span = call.span or self._begin_call(call, result.call_id)
        if result.error is not None:
            _failed(span, result.error)
        if self._content:
            texts = [block.text for block in result.content if isinstance(block, Text)]
            span.set_attribute("gen_ai.tool.call.result", "\n".join(texts)[:_MAX_CONTENT])
        if ran:
            self._measures.call(self._last - call.began, call, result.error)
        span.end(self._last)

    def _begin_call(self, call: "_Call", call_id: str) -> Span:
        attributes: Attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.tool,
            "gen_ai.tool.call.id": call_id,
            "gen_ai.tool.type": "extension",
            "mcp.method.name": "tools/call",
            "gen_ai.conversation.id": self._run.get("gen_ai.conversation.id", ""),
        }
        if call.server:
            attributes["agent_host.server"] = call.server
        call.span = self._tracer.start_span(
            f"execute_tool {call.tool}",
            context=self._below(),
            kind=SpanKind.INTERNAL,
            attributes=attributes,
            start_time=self._last,
        )
        call.began = self._last
        return call.span


class _Call:
    """A call and its span, once it has one; `began` in nanoseconds."""

    def __init__(self, tool: str) -> None:
        self.tool = tool
        self.server = ""
        self.span: Span | None = None
        self.began = 0

    def named(self, server: str, tool: str) -> None:
        self.server, self.tool = server or self.server, tool or self.tool


class _Measures:
    """The metrics of the conventions, and two of our own."""

    def __init__(self, meter: Meter) -> None:
        self._operation = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time until the first piece of an answer.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._call = meter.create_histogram(
            "mcp.client.operation.duration",
            unit="s",
            description="Duration of an MCP request as its sender sees it.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._decisions = meter.create_counter(
            "agent_host.policy.decisions", unit="{decision}", description="Decisions of policy."
        )
        self._approvals = meter.create_counter(
            "agent_host.approvals", unit="{approval}", description="Answers of people."
        )

    def operation(self, nanoseconds: int, said: Attributes) -> None:
        self._operation.record(_positive(nanoseconds), _few(said))

    def tokens(self, count: int, kind: str, said: Attributes) -> None:
        self._tokens.record(count, {**_few(said), "gen_ai.token.type": kind})

    def first_piece(self, nanoseconds: int, said: Attributes) -> None:
        self._first.record(_positive(nanoseconds), _few(said))

    def call(self, nanoseconds: int, call: _Call, error: str | None) -> None:
        said: Attributes = {"mcp.method.name": "tools/call", "gen_ai.tool.name": call.tool}
        if error is not None:
            said["error.type"] = error
        self._call.record(_positive(nanoseconds), said)

    def decision(self, decision: str) -> None:
        self._decisions.add(1, {"agent_host.policy.decision": decision})

    def approval(self, decision: str) -> None:
        self._approvals.add(1, {"agent_host.approval.decision": decision})


_FEW = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "error.type")


def _few(said: Attributes) -> Attributes:
    """The attributes of a measurement: none that has a value for each run."""
    return {key: said[key] for key in _FEW if key in said}


def _positive(nanoseconds: int) -> float:
    """Seconds; a clock that was set back gives none."""
    return max(nanoseconds, 0) / 1e9


def _failed(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _nanoseconds(at: str, last: int) -> int:
    """A record's time; one that goes back in time stands still, so that no span has a negative
    length."""
    try:
        return max(int(datetime.fromisoformat(at).timestamp() * 1_000_000) * 1000, last)
    except ValueError:
        return last


def _messages(message: Message) -> str:
    parts: list[Mapping[str, Any]] = []
    for block in message.content:
        if isinstance(block, Text):
            parts.append({"type": "text", "content": block.text})
        elif isinstance(block, ToolCall):
            parts.append(
                {
                    "type": "tool_call",
                    "id": block.id,
                    "name": block.name,
                    "arguments": block.arguments,
                }
            )
        else:
            parts.append({"type": block.type})
    return _json([{"role": message.role, "parts": parts}])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:_MAX_CONTENT]
