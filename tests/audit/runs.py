"""Runs of which every event that is an entry occurs, in records."""

from agent_host.core import events as e
from agent_host.core.types import (
    ApprovalTerms,
    Message,
    Origin,
    Principal,
    ServerRequest,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)

RUN = "01KAP4ZZZZ0000000000000000"
ORIGIN = Origin(provider="acme", model="big", adapter="openai-chat")
ANA = Principal(id="ana", authenticated_by="https://idp.example", roles=("desk",))
BINDING = "b" * 64
DEFINITION = "d" * 64
READ = ToolCall(id="c1", name="orders__get_order", arguments={"order_id": "1"})
REFUND = ToolCall(id="c2", name="orders__refund", arguments={"order_id": "1", "amount": 20.5})
MAIL = ToolCall(id="c3", name="mail__send", arguments={"to": "x@example.com"})
NONE = ToolCall(id="c4", name="orders__nope", arguments={"n": 1})
TERMS = ApprovalTerms(approvers=("lead",), needed=2, self_approval=False, seconds=60)


def decided(call_id: str, decision: str, server: str, tool: str, **more) -> e.PolicyDecided:
    return e.PolicyDecided(
        call_id=call_id,
        decision=decision,
        server=server,
        tool=tool,
        fingerprint=DEFINITION,
        principal_id="ana",
        policy="p" * 64,
        **more,
    )


def started(call_id: str, tool: str, arguments: dict) -> e.ToolStarted:
    return e.ToolStarted(
        call_id=call_id,
        server="orders",
        tool=tool,
        fingerprint=DEFINITION,
        arguments=arguments,
        principal_id="ana",
    )


def finished(call_id: str, text: str, error=None, **more) -> e.ToolFinished:
    result = ToolResult(call_id=call_id, content=(Text(text=text),), error=error, **more)
    return e.ToolFinished(result=result)


def question(**more) -> e.ApprovalRequested:
    asked = {
        "call_id": "c2",
        "server": "orders",
        "tool": "refund",
        "fingerprint": DEFINITION,
        "arguments": REFUND.arguments,
        "rules": ("large-refunds",),
        "reason": "over 10",
        "terms": TERMS,
        "requester": "ana",
        "requester_from": "https://idp.example",
        "expires_at": "2026-11-25T11:00:00Z",
        "binding": BINDING,
    }
    return e.ApprovalRequested(**{**asked, **more})


def yes(by: str, **more) -> e.ApprovalGiven:
    return e.ApprovalGiven(
        call_id="c2",
        decision="approve",
        by=by,
        authenticated_by="https://idp.example",
        roles=("lead",),
        binding=BINDING,
        via="approvals approve",
        **more,
    )


STARTED = e.RunStarted(
    run_id=RUN,
    principal=ANA,
    provider="acme",
    model="big",
    adapter="openai-chat",
    config_fingerprint="c" * 64,
    system="Be brief.",
)

EVENTS: tuple[e.Event, ...] = (
    STARTED,
    e.ServerConnected(server="orders", version="2.1", protocol="2025-11-25", seconds=0.2),
    e.ToolsChanged(server="orders", added=("refund",), removed=("void",), changed=("get_order",)),
    e.UserSaid(message=Message(role="user", content=(Text(text="a private sentence"),))),
    e.ModelRequested(request_id="r1", provider="acme", model="big"),
    e.ModelFailed(request_id="r1", kind="overloaded", message="busy", final=False),
    e.ModelRequested(request_id="r2", provider="acme", model="big"),
    e.ModelResponded(
        request_id="r2",
        message=Message(
            role="assistant",
            content=(Text(text="a private answer"), READ, REFUND, MAIL, NONE),
            origin=ORIGIN,
        ),
        stop_reason="tool_use",
        model_asked="big",
        model_served="big-2026-11",
    ),
    decided("c1", "allow", "orders", "get_order", rule="reads", rules=("reads",)),
    started("c1", "get_order", READ.arguments),
    decided(
        "c2",
        "ask",
        "orders",
        "refund",
        rule="large-refunds",
        rules=("large-refunds", "refunds"),
        origin="/etc/agent-host/policy.toml:4",
        reason="over 10",
        terms=TERMS,
    ),
    decided("c3", "deny", "mail", "send", rule="no-mail", rules=("no-mail",), reason="never"),
    finished("c3", "not executed: policy denies it", "denied"),
    finished("c4", "not executed: there is no such tool", "unknown_tool"),
    finished("c1", "a private result", labels=("private",)),
    question(),
    yes("bo"),
    yes("cy", arguments={"order_id": "1", "amount": 9.5}, feedback="less"),
    question(arguments={"order_id": "1", "amount": 9.5}),
    yes("bo"),
    started("c2", "refund", {"order_id": "1", "amount": 9.5}),
    e.InputRequested(input_id="i1", server="orders", mode="form", message="Why?", call_id="c2"),
    e.InputGiven(
        input_id="i1", action="accept", by="ana", content={"why": "a private reason", "pin": 1234}
    ),
    e.ToolPaused(
        call_id="c2",
        requests=(ServerRequest(method="sampling/createMessage", params={"x": 1}, key="k"),),
    ),
    e.SamplingRequested(sampling_id="s1", server="orders", params={"x": 1}, call_id="c2", key="k"),
    e.SamplingFinished(
        sampling_id="s1",
        outcome="answered",
        by="ana",
        result={"text": "a private answer"},
        usage=Usage(input_tokens=3, output_tokens=1),
        cost=0.01,
    ),
    started("c2", "refund", {"order_id": "1", "amount": 9.5}),
    finished("c2", "refunded"),
    e.ContextCompacted(messages=1, summary="a private summary"),
    e.ModelChanged(provider="x", model="y", adapter="script", by="ana", simulated=True),
    e.ServerLost(server="orders", reason="exit code 1", will_restart=True),
    e.LimitReached(name="turns", limit=50.0),
    e.Interrupted(by="ana"),
    e.RunEnded(reason="limit", detail="50 turns"),
    e.RunResumed(principal=ANA),
    question(),
    e.ApprovalExpired(call_id="c2"),
    e.ApprovalGiven(call_id="c2", decision="deny", by="ana", feedback="no"),
)


def records(*events: e.Event, run_id: str = RUN) -> list[e.Record]:
    return [
        e.Record(seq=n, at=f"2026-11-25T10:00:{n % 60:02}.{n:06}Z", run_id=run_id, event=event)
        for n, event in enumerate(events)
    ]
