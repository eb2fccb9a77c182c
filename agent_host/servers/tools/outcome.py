"""What becomes of a call: from a server's reply to the one result that the model gets.

Theory of operation: each way in which a call can end has its kind of error and a text that tells
the model, and whoever reads along, what is known of the outcome and what is not. Only a call that
wants answers first has no result yet.
"""

from agent_host.core.text import clip
from agent_host.core.types import Content, JsonObject, Text, Tool, ToolErrorKind, ToolResult
from agent_host.ports import CallContext, CallPaused
from agent_host.servers.spec import Reply
from agent_host.servers.tools.labelling import labels_in
from agent_host.servers.tools.results import content_of, for_user
from agent_host.servers.tools.validation import Validation

MAX_REASON = 3000


def outcome(
    tool: Tool, context: CallContext, reply: Reply, validation: Validation
) -> ToolResult | CallPaused:
    """What a reply means for the call."""
    match reply.kind:
        case "result":
            return _answer(tool, context, reply.raw, validation)
        case "paused":
            return CallPaused(requests=reply.requests, state=reply.state)
        case "error":
            code = f" (error {reply.code})" if reply.code else ""
            text = f"The server answered with an error: {reply.text}{code}"
            return failed(context, "tool_error", text)
        case "refused":
            text = f"Server {tool.server} is not available: {reply.text}"
            return failed(context, "server_unavailable", text)
        case "timeout":
            text = f"{reply.text}; whether the tool ran to its end is unknown."
            return failed(context, "timeout", text)
        case "lost":
            return _lost(tool, context, reply)


def _lost(tool: Tool, context: CallContext, reply: Reply) -> ToolResult:
    if tool.repeatable:
        text = f"Server {tool.server} went away during the call: {reply.text}"
        return failed(context, "server_unavailable", text)
    text = (
        f"Server {tool.server} went away during the call ({reply.text}). Whether the tool took "
        "effect is unknown: check before trying again."
    )
    return failed(context, "outcome_unknown", text)


def _answer(
    tool: Tool, context: CallContext, raw: JsonObject, validation: Validation
) -> ToolResult:
    content, is_error = content_of(raw)
    structured = raw.get("structuredContent")
    if structured is not None and not is_error:
        note = validation.result(tool, structured)
        if note is not None:
            content = (*content, Text(text=note))
    error: ToolErrorKind | None = "tool_error" if is_error else None
    return ToolResult(
        call_id=context.call_id,
        content=content,
        error=error,
        for_user=for_user(raw),
        labels=labels_in(raw) if tool.trusted else (),
    )


def failed(context: CallContext, kind: ToolErrorKind, text: str) -> ToolResult:
    """A result that is an error, in words."""
    content: tuple[Content, ...] = (Text(text=clip(text, MAX_REASON)),)
    return ToolResult(call_id=context.call_id, content=content, error=kind)
