import pytest

from agent_host.core.events import (
    ApprovalGiven,
    ApprovalRequested,
    ContextCompacted,
    Event,
    InputGiven,
    InputRequested,
    Interrupted,
    LimitReached,
    ModelChanged,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PolicyDecided,
    RunEnded,
    RunResumed,
    RunStarted,
    SamplingFinished,
    SamplingRequested,
    ServerConnected,
    ServerLog,
    ServerLost,
    ToolFinished,
    ToolPaused,
    ToolsChanged,
    ToolStarted,
    UserSaid,
)
from agent_host.core.types import (
    Image,
    JsonObject,
    Message,
    Principal,
    Resource,
    ServerRequest,
    Text,
    ToolCall,
    ToolResult,
)
from agent_host.surfaces.cards import Narrator, brief, brief_arguments, brief_result
from tests.fakes.screens import FORBIDDEN, HOSTILE, record, says


def lines(*events: Event, narrator: Narrator | None = None) -> list[str]:
    narrator = narrator or Narrator()
    return [f"{c.kind}: {c.text}" for event in events for c in narrator.tell(record(event))]


def started(arguments: JsonObject, call_id: str = "c1") -> ToolStarted:
    return ToolStarted(
        call_id=call_id, server="orders", tool="get", fingerprint="f", arguments=arguments
    )


def finished(text: str, call_id: str = "c1", **more: object) -> ToolFinished:
    return ToolFinished(
        result=ToolResult(call_id=call_id, content=(Text(text=text),), **more)  # type: ignore[arg-type]
    )


def test_a_call_and_its_result_are_two_lines_with_the_time_it_took() -> None:
    narrator = Narrator()
    begin = record(started({"order_id": "12345", "n": 2}), at="2026-11-22T10:00:00.000000+00:00")
    end = record(finished("shipped\n  yesterday"), at="2026-11-22T10:00:00.310000+00:00")
    cards = [*narrator.tell(begin), *narrator.tell(end)]
    assert [card.text for card in cards] == [
        'orders · get  order_id="12345" n=2',
        "orders · get  0.31 s  shipped yesterday",
    ]


def test_a_call_that_took_long_or_has_no_clear_time_is_shown_all_the_same() -> None:
    for at, shown in (("2026-11-22T10:01:05.000000+00:00", "  65 s"), ("yesterday", "")):
        narrator = Narrator()
        narrator.tell(record(started({})))
        assert f"orders · get{shown}" in narrator.tell(record(finished("ok"), at=at))[0].text


def test_a_refusal_is_told_once() -> None:
    call = ModelResponded(
        request_id="r",
        message=says("", ToolCall(id="c1", name="orders__drop", arguments={})),
        stop_reason="tool_use",
    )
    denied = finished("not executed", error="denied")
    decision = PolicyDecided(call_id="c1", decision="deny", rule="no-drops", reason="too risky")
    assert lines(call, decision, denied) == [
        "failure: orders__drop  denied by policy, rule no-drops: too risky"
    ]
    request = ApprovalRequested(
        call_id="c1", server="orders", tool="drop", fingerprint="f", arguments={}
    )
    answer = ApprovalGiven(call_id="c1", decision="deny", by="ann", feedback="use archive")
    assert lines(call, request, answer, denied) == [
        "failure: orders · drop  refused by ann: use archive"
    ]
    assert lines(denied) == ["failure: c1  denied: not executed"]


def test_a_failed_call_says_how_it_failed() -> None:
    assert lines(started({}), finished("took too long", error="timeout"))[1].endswith(
        "  timeout: took too long"
    )
    assert lines(started({}), finished("no such order", error="tool_error"))[1].endswith(
        "s  no such order"
    )


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            RunStarted(
                run_id="r",
                principal=Principal(id="a"),
                provider="offline",
                model="",
                adapter="offline",
                simulated=True,
            ),
            "offline: no AI: a keyword matcher answers",
        ),
        (
            ModelChanged(provider="p", model="m", adapter="script", by="a", simulated=True),
            "script: no AI: a script answers",
        ),
        (ModelChanged(provider="p", model="m", adapter="openai-chat", by="a"), None),
        (RunResumed(principal=Principal(id="a")), "the run goes on"),
        (
            ModelFailed(
                request_id="r", kind="rate_limit", message="slow", final=False, retry_after=1.5
            ),
            "model: rate_limit: slow (asked again in 1.5 s)",
        ),
        (ModelFailed(request_id="r", kind="auth", message="no key"), "model: auth: no key"),
        (
            ServerLost(server="s", reason="it died", will_restart=True),
            "server s: it died (it is being started again)",
        ),
        (ToolsChanged(server="s", added=("a",), changed=("c",)), "server s: tools changed: +a ~c"),
        (
            ToolsChanged(server="s", removed=("a", "b"), withheld=("b",)),
            "server s: tools changed: -a withheld: b",
        ),
        (ServerConnected(server="s", version="1", protocol="p", seconds=0.1), None),
        (LimitReached(name="tool_calls", limit=200), "limit reached: 200 tool calls"),
        (Interrupted(by="a"), "interrupted"),
        (ContextCompacted(messages=4, summary="s"), "the first 4 messages were shortened"),
        (RunEnded(reason="failed", detail="disk"), "disk"),
        (RunEnded(reason="done"), None),
        (InputRequested(input_id="i", server="s", mode="form", message="name?"), "s asks: name?"),
        (InputGiven(input_id="i", action="accept", by="a"), "server ?: input given by a"),
        (SamplingRequested(sampling_id="i", server="s", params={}), "server s asks the model"),
        (
            SamplingFinished(sampling_id="i", outcome="answered", by="a"),
            "got the model's answer, allowed by a",
        ),
        (
            SamplingFinished(sampling_id="i", outcome="failed", by="a", error="no model"),
            "the model did not answer: no model",
        ),
        (
            ToolPaused(call_id="c", requests=(ServerRequest(method="m", params={}),)),
            "c  waits for 1 answer before it goes on",
        ),
        (ModelRequested(request_id="r", provider="p", model="m"), None),
        (UserSaid(message=Message(role="user", content=(Text(text="hi"),))), None),
        (PolicyDecided(call_id="c", decision="ask", rule="r"), None),
        (ApprovalGiven(call_id="c", decision="approve", by="a"), None),
        (
            ModelResponded(request_id="r", message=says("x"), stop_reason="max_tokens"),
            "the answer was cut off",
        ),
        (
            ModelResponded(request_id="r", message=says("x"), stop_reason="refusal"),
            "the model declined",
        ),
        (
            ModelResponded(request_id="r", message=says("x"), stop_reason="unknown"),
            "the answer may be incomplete",
        ),
        (
            ModelResponded(
                request_id="r", message=says("x"), stop_reason="context_window_exceeded"
            ),
            "the answer was cut off",
        ),
    ],
)
def test_each_fact_is_told_in_one_line_or_not_at_all(event: Event, said: str | None) -> None:
    told = lines(event)
    assert (len(told) == 1 and said in told[0]) if said else told == []


def test_what_became_of_a_servers_request_names_the_server_that_asked() -> None:
    told = lines(
        InputRequested(input_id="i1", server="shop", mode="form", message="Size?"),
        SamplingRequested(sampling_id="s1", server="mill", params={}),
        InputGiven(input_id="i1", action="decline", by="no terminal"),
        SamplingFinished(sampling_id="s1", outcome="refused", by="ann", error="too long"),
    )
    assert told[2:] == [
        "failure: server shop: input declined by no terminal",
        "failure: server mill: the model refused by ann: too long",
    ]


def test_a_flood_of_server_logs_is_cut_and_said_to_be() -> None:
    narrator = Narrator()
    logs = [
        card.text
        for n in range(50)
        for card in narrator.tell_log(ServerLog(server="s", level="error", text=f"e{n}"))
    ]
    assert len(logs) == 21
    assert logs[-1] == "server s: more of its log is not shown"
    assert narrator.tell_log(ServerLog(server="s", level="info", text="quiet")) == ()


def test_no_hostile_text_gets_into_a_card() -> None:
    for text in HOSTILE:
        told = lines(
            started({text: text, "deep": [{"a": text}]}),
            finished(text),
            ServerLost(server=text, reason=text),
            ModelFailed(request_id="r", kind="auth", message=text),
            PolicyDecided(call_id="c9", decision="deny", rule=text, reason=text),
        )
        assert len(told) == 5
        assert not set(FORBIDDEN + "\n") & set("".join(told))


def test_large_values_are_cut_visibly_and_cheaply() -> None:
    assert brief("x" * 1_000_000).endswith("…")
    assert len(brief([["y" * 100] * 100_000])) == 48
    assert brief_arguments({f"k{n}": n for n in range(1000)}).endswith("…")
    result = ToolResult(
        call_id="c",
        content=(
            Image(data="A" * 1000, media_type="image/png"),
            Resource(uri="file:///x"),
            Text(text="z " * 10_000),
        ),
        artifact="c.txt",
    )
    assert brief_result(result).startswith("[image image/png] [resource file:///x] z z")
    assert len(brief_result(result)) == 160
    assert brief_result(ToolResult(call_id="c", content=())) == "(empty)"
    assert "(whole result: c.txt)" in lines(ToolFinished(result=result))[0]


def test_a_warning_that_is_of_no_server_names_none():
    log = ServerLog(server="", level="warning", text="servers.lock: cannot be written")
    assert [card.text for card in Narrator().tell_log(log)] == ["servers.lock: cannot be written"]
