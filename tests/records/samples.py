"""One record of every event type, with every optional field used once somewhere."""

from dataclasses import replace

from agent_host.core import events as e
from agent_host.core.types import (
    ApprovalTerms,
    Audio,
    Image,
    LabelSeen,
    Message,
    Origin,
    Principal,
    Reasoning,
    Resource,
    ServerRequest,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)

RUN = "01KAP4ZZZZ0000000000000000"
ORIGIN = Origin(provider="local", model="llama", adapter="openai-chat")
ANA = Principal(id="ana", authenticated_by="https://idp.example", roles=("desk",), claims={"n": 1})


def user(text: str) -> e.UserSaid:
    return e.UserSaid(message=Message(role="user", content=(Text(text=text),)))


def responded(request_id: str, *blocks: object, stop: str = "end_turn") -> e.ModelResponded:
    return e.ModelResponded(
        request_id=request_id,
        message=Message(role="assistant", content=blocks, origin=ORIGIN),
        stop_reason=stop,
        usage=Usage(input_tokens=120, output_tokens=12, cache_read_tokens=3, cache_write_tokens=4),
        response_id="resp-1",
        model_asked="llama",
        model_served="llama-8b",
    )


def requested(request_id: str) -> e.ModelRequested:
    return e.ModelRequested(request_id=request_id, provider="local", model="llama")


def finished(call_id: str, text: str, error: str | None = None) -> e.ToolFinished:
    return e.ToolFinished(
        result=ToolResult(call_id=call_id, content=(Text(text=text),), error=error)
    )


def started(call_id: str, tool: str, arguments: dict[str, object]) -> e.ToolStarted:
    return e.ToolStarted(
        call_id=call_id, server="orders", tool=tool, fingerprint="f" * 64, arguments=arguments
    )


START = e.RunStarted(
    run_id=RUN,
    principal=ANA,
    provider="local",
    model="llama",
    adapter="openai-chat",
    config_fingerprint="c" * 64,
    system="Be brief.",
)

READ = ToolCall(id="call-1", name="orders__get_order", arguments={"order_id": "12345"})
REFUND = ToolCall(
    id="call-2", name="orders__refund", arguments={"order_id": "12345", "amount": 20.5}
)
TORN = ToolCall(
    id="call-3",
    name="orders__refund",
    arguments={},
    fault="truncated_call",
    raw='{"order_id": "12',
    opaque={"index": 2},
)

LEGAL: tuple[e.Event, ...] = (
    START,
    e.ServerConnected(server="orders", version="1.0", protocol="2025-11-25", seconds=0.21),
    e.ToolsChanged(server="orders", added=("refund",), removed=("void",), changed=("get_order",)),
    user("Where is my order 12345? Refund the shipping."),
    requested("r1"),
    e.ModelFailed(
        request_id="r1", kind="rate_limit", message="slow down", final=False, retry_after=1.5
    ),
    requested("r2"),
    responded(
        "r2",
        Reasoning(text="Look first.", opaque={"signature": "abc"}),
        Text(text="I look.", opaque={"id": "m1"}),
        READ,
        REFUND,
        TORN,
        stop="tool_use",
    ),
    e.PolicyDecided(call_id="call-1", decision="allow", rule="trusted-read-only", reason="reads"),
    e.PolicyDecided(call_id="call-2", decision="ask", rule="default"),
    started("call-1", "get_order", {"order_id": "12345"}),
    e.ApprovalRequested(
        call_id="call-2",
        server="orders",
        tool="refund",
        fingerprint="f" * 64,
        arguments={"order_id": "12345", "amount": 20.5},
        in_doubt=False,
    ),
    e.ToolFinished(
        result=ToolResult(
            call_id="call-1",
            content=(
                Text(text="shipped via DHL"),
                Image(data="aGk=", media_type="image/png"),
                Audio(data="aGk=", media_type="audio/wav"),
                Resource(uri="file:///a", name="a", media_type="text/plain", text="t", data="aGk="),
            ),
            artifact=f"{RUN}.artifacts/call-1.txt",
        )
    ),
    e.InputRequested(
        input_id="i1",
        server="orders",
        mode="form",
        message="Which reason?",
        requested_schema={"type": "object"},
        url="https://example.com/form",
    ),
    e.InputGiven(input_id="i1", action="accept", by="ana", content={"reason": "late"}),
    e.ApprovalGiven(
        call_id="call-2",
        decision="approve",
        by="ana",
        scope="session_tool",
        arguments={"order_id": "12345", "amount": 4.9},
        feedback="shipping only",
    ),
    started("call-2", "refund", {"order_id": "12345", "amount": 4.9}),
    finished("call-2", "refunded"),
    finished("call-3", "The call was cut off.", "truncated_call"),
    requested("r3"),
    responded("r3", Text(text="It ships; 4.90 refunded.")),
    e.ContextCompacted(messages=1, summary="The user asked about order 12345."),
    e.ModelChanged(provider="x", model="y", adapter="script", by="ana", simulated=True),
    e.ServerLost(server="orders", reason="exit code 1", will_restart=True),
    e.LimitReached(name="turns", limit=50.0),
    e.Interrupted(by="ana"),
    e.RunEnded(reason="done", detail="all said"),
    e.RunResumed(principal=ANA),
)
"""A legal run in which every event type occurs."""


ASKING: tuple[e.Event, ...] = (
    START,
    user("Refund 12345"),
    requested("r1"),
    responded("r1", REFUND, stop="tool_use"),
    e.PolicyDecided(call_id="call-2", decision="allow", rule="refunds"),
    e.ToolStarted(
        call_id="call-2",
        server="orders",
        tool="refund",
        fingerprint="f" * 64,
        arguments=REFUND.arguments,
        principal_id="ana",
    ),
    e.InputRequested(
        input_id="i1",
        server="orders",
        mode="url",
        message="Log in there",
        url="https://example.com/login",
        call_id="call-2",
    ),
    e.InputGiven(input_id="i1", action="accept", by="ana"),
    e.ToolPaused(
        call_id="call-2",
        requests=(
            ServerRequest(method="elicitation/create", params={"message": "Sure?"}, key="sure"),
            ServerRequest(method="sampling/createMessage", params={"maxTokens": 5}, key="words"),
        ),
        state="opaque",
    ),
    e.InputRequested(
        input_id="i2",
        server="orders",
        mode="form",
        message="Sure?",
        requested_schema={"type": "object", "properties": {}},
        call_id="call-2",
        key="sure",
    ),
    e.InputGiven(input_id="i2", action="accept", by="ana", content={}),
    e.SamplingRequested(
        sampling_id="s1", server="orders", params={"maxTokens": 5}, call_id="call-2", key="words"
    ),
    e.SamplingFinished(
        sampling_id="s1",
        outcome="answered",
        by="ana",
        result={"role": "assistant"},
        usage=Usage(input_tokens=3, output_tokens=1),
        cost=0.01,
    ),
    e.SamplingRequested(sampling_id="s2", server="orders", params={}),
    e.SamplingFinished(sampling_id="s2", outcome="refused", by="ana", error="not allowed"),
    e.ToolStarted(
        call_id="call-2",
        server="orders",
        tool="refund",
        fingerprint="f" * 64,
        arguments=REFUND.arguments,
        principal_id="ana",
    ),
    finished("call-2", "refunded"),
)
"""A legal run with everything that a server may ask for."""


LEADS = ApprovalTerms(approvers=("lead", "owner"), needed=2, self_approval=False, seconds=3600.0)


def large_refund(call_id: str, *, amount: float = 20.5) -> e.ApprovalRequested:
    return e.ApprovalRequested(
        call_id=call_id,
        server="orders",
        tool="refund",
        fingerprint="f" * 64,
        arguments={"order_id": "12345", "amount": amount},
        rules=("large-refunds", "night"),
        reason="more than 10",
        terms=LEADS,
        requester="ana",
        requester_from="https://idp.example",
        expires_at="2026-11-22T11:00:00Z",
        binding="b" * 64,
    )


def approved(call_id: str, by: str, *, amount: float | None = None) -> e.ApprovalGiven:
    return e.ApprovalGiven(
        call_id=call_id,
        decision="approve",
        by=by,
        arguments=None if amount is None else {"order_id": "12345", "amount": amount},
        feedback="shipping only",
        authenticated_by="https://idp.example",
        roles=("lead",),
        binding="b" * 64,
        via="approvals",
    )


APPROVALS: tuple[e.Event, ...] = (
    START,
    e.UserSaid(
        message=Message(role="user", content=(Text(text="Refund 12345"),)),
        labels=(LabelSeen(label="private", server="crm", tool=""),),
    ),
    requested("r1"),
    responded("r1", READ, REFUND, replace(REFUND, id="call-3"), stop="tool_use"),
    e.PolicyDecided(call_id="call-1", decision="allow", rule="reads", policy="p" * 64),
    started("call-1", "get_order", {"order_id": "12345"}),
    e.ToolFinished(
        result=ToolResult(
            call_id="call-1",
            content=(Text(text="shipped"),),
            for_user=(Text(text="for your eyes"),),
            labels=("private", "untrusted"),
        )
    ),
    *(
        e.PolicyDecided(
            call_id=call_id,
            decision="ask",
            rule="large-refunds",
            reason="more than 10",
            rules=("large-refunds", "night"),
            origin="servers.toml:12",
            terms=LEADS,
            server="orders",
            tool="refund",
            fingerprint="f" * 64,
            principal_id="ana",
            policy="p" * 64,
        )
        for call_id in ("call-2", "call-3")
    ),
    large_refund("call-2"),
    large_refund("call-3"),
    approved("call-2", "bob", amount=4.9),
    large_refund("call-2", amount=4.9),
    approved("call-2", "eve"),
    started("call-2", "refund", {"order_id": "12345", "amount": 4.9}),
    finished("call-2", "refunded"),
    e.ApprovalExpired(call_id="call-3"),
    finished("call-3", "nobody approved this call in time", "denied"),
    requested("r2"),
    responded("r2", Text(text="One is refunded.")),
)
"""A legal run with everything that an approval may have: roles, two people, an edit, an end."""


CONTEXT: tuple[e.Event, ...] = (
    START,
    user("Where is my order 12345?"),
    requested("r1"),
    responded("r1", READ, stop="tool_use"),
    e.PolicyDecided(call_id="call-1", decision="allow", rule="x"),
    started("call-1", "get_order", {"order_id": "12345"}),
    finished("call-1", "shipped " + "a" * 700),
    e.ContextCompacted(messages=0, summary="", results=3, reason="window", before=9000, after=4000),
    requested("r2"),
    responded("r2", Text(text="It is shipped.")),
    e.SummaryRequested(
        request_id="r3",
        provider="local",
        model="llama",
        messages=4,
        by="ana",
        instructions="keep the numbers",
    ),
    e.SummaryFinished(
        request_id="r3",
        text="Order 12345 is shipped.",
        usage=Usage(input_tokens=90, output_tokens=9),
        cost=0.01,
        model_served="llama-8b",
    ),
    e.ContextCompacted(
        messages=4,
        summary="Order 12345 is shipped.",
        results=4,
        reason="asked",
        by="ana",
        before=4100,
        after=600,
        summary_by="model",
    ),
    user("And 12346?"),
    requested("r4"),
    responded("r4", Text(text="That one, too.")),
    e.SummaryRequested(request_id="r5", provider="local", model="llama", messages=4),
    e.SummaryFinished(request_id="r5", error="the provider is overloaded"),
    e.ConversationRewound(messages=4, by="ana"),
    user("And 12347?"),
    requested("r6"),
    responded("r6", Text(text="That one is not.")),
)
"""A legal run with everything that may happen to what the model is sent."""


def records(*events: e.Event, run_id: str = RUN) -> list[e.Record]:
    return [
        e.Record(
            seq=seq, at=f"2026-11-22T10:00:{seq % 60:02}.{seq:06}Z", run_id=run_id, event=event
        )
        for seq, event in enumerate(events)
    ]
