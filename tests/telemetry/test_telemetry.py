"""What a collector of OpenTelemetry is sent of a run, and what it costs when there is none."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_host.core import events as e
from agent_host.core.types import Message, Principal, Text
from agent_host.telemetry.sink import MAX_EARLY, TelemetrySink
from tests.fakes.otlp_collector import Collector, said
from tests.journeys.stage import call, stage

ROOT = Path(__file__).parents[2]


def run(
    folder: Path, *options: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent_host", "run", "Hello", "--trust", *options]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def staged(folder: Path, url: str, more: str = "") -> Path:
    stage(
        folder,
        {"say": "I look.", "call": call("look", k=1)},
        {"call": call("refund", order="o-77-secretive", amount=1)},
        {"say": "All done."},
    )
    config = folder / "servers.toml"
    config.write_text(f'{config.read_text()}\n[telemetry]\nendpoint = "{url}"\n{more}')
    return folder


def test_a_run_is_one_trace_of_an_agent_its_chats_and_its_calls(tmp_path: Path) -> None:
    with Collector() as collector:
        done = run(staged(tmp_path, collector.url, 'headers = { X-Key = "${env:TEL_KEY}" }'),
                   env={"TEL_KEY": "key-of-the-collector"})  # fmt: skip
    assert done.returncode == 4, done.stderr
    [agent] = collector.named("invoke_agent")
    chats, calls = collector.named("chat"), collector.named("execute_tool")
    assert [span.name for span in calls] == ["execute_tool look", "execute_tool refund"]
    assert len(chats) == 3
    assert {span.trace_id for span in collector.spans} == {agent.trace_id}
    assert {span.parent_span_id for span in (*chats, *calls)} == {agent.span_id}
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in collector.spans)
    assert all(
        agent.start_time_unix_nano <= span.start_time_unix_nano
        and span.end_time_unix_nano <= agent.end_time_unix_nano
        for span in (*chats, *calls)
    )
    for headers in collector.headers:
        assert headers["x-key"] == "key-of-the-collector"
    assert "key-of-the-collector" not in done.stderr


def test_names_and_attributes_are_those_of_the_conventions(tmp_path: Path) -> None:
    with Collector() as collector:
        run(staged(tmp_path, collector.url))
    agent, chat = said(collector.named("invoke_agent")[0]), said(collector.named("chat")[0])
    look, refund = map(said, collector.named("execute_tool"))
    assert agent["gen_ai.operation.name"] == "invoke_agent"
    assert agent["gen_ai.agent.name"] == "agent-host"
    assert agent["gen_ai.conversation.id"] == chat["gen_ai.conversation.id"]
    assert agent["error.type"] == "refused"
    assert chat["gen_ai.operation.name"] == "chat"
    assert chat["gen_ai.response.finish_reasons"] == ["tool_use"]
    assert {"gen_ai.provider.name", "gen_ai.request.model", "gen_ai.usage.input_tokens"} <= set(
        chat
    )
    assert look["gen_ai.operation.name"] == "execute_tool"
    assert (look["gen_ai.tool.name"], look["mcp.method.name"]) == ("look", "tools/call")
    assert "error.type" not in look
    assert refund["error.type"] == "denied"
    names = [event.name for event in collector.named("invoke_agent")[0].events]
    assert names.count("agent_host.policy_decided") == 2
    assert "agent_host.approval_given" in names


def test_measurements_have_the_conventions_names_and_no_attribute_of_one_run(
    tmp_path: Path,
) -> None:
    with Collector() as collector:
        run(staged(tmp_path, collector.url))
    assert {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "mcp.client.operation.duration",
        "agent_host.policy.decisions",
        "agent_host.approvals",
    } <= set(collector.metrics)
    calls = collector.metrics["mcp.client.operation.duration"].histogram.data_points
    assert [said(point)["gen_ai.tool.name"] for point in calls] == ["look"]  # what ran
    for metric in collector.metrics.values():
        points = [*metric.histogram.data_points, *metric.sum.data_points]
        assert all("conversation" not in key for point in points for key in said(point))


def test_no_content_leaves_unless_it_is_asked_for(tmp_path: Path) -> None:
    with Collector() as collector:
        run(staged(tmp_path, collector.url))
    sent = b"".join(collector.bodies)
    for content in (b"Hello", b"All done", b"o-77-secretive", b"I look."):
        assert content not in sent


def test_content_that_is_asked_for_comes_without_secrets(tmp_path: Path) -> None:
    folder = staged(tmp_path, "x")
    config = folder / "servers.toml"
    with Collector() as collector:
        text = config.read_text().replace('endpoint = "x"', f'endpoint = "{collector.url}"')
        config.write_text(f"{text}content = true\n")
        shop = 'env = { KEY = "${env:CANARY}", '
        config.write_text(config.read_text().replace("env = { ", shop))
        run(folder, env={"CANARY": "o-77-secretive"})
    refund = said(collector.named("execute_tool refund")[0])
    sent = b"".join(collector.bodies)
    assert b"Hello" in sent
    assert b"All done" in sent
    assert b"o-77-secretive" not in sent
    assert refund["error.type"] == "denied"


def test_a_callers_trace_goes_on(tmp_path: Path) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Collector() as collector:
        run(staged(tmp_path, collector.url), env={"TRACEPARENT": parent})
    [agent] = collector.named("invoke_agent")
    assert agent.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert agent.parent_span_id.hex() == "b7ad6b7169203331"


@pytest.mark.parametrize("status", [None, 503, 401])
def test_a_collector_that_does_not_take_it_costs_one_line(
    tmp_path: Path, status: int | None
) -> None:
    with Collector(status or 200) as collector:
        url = collector.url if status else "http://127.0.0.1:9"
        done = run(staged(tmp_path, url))
    assert done.stdout == "All done.\n"
    assert done.returncode == 4
    assert done.stderr.count("telemetry was not sent") == 1
    assert "Traceback" not in done.stderr


def test_without_an_endpoint_nothing_of_the_sdk_is_imported(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "Done."})
    script = (
        "import sys\nfrom agent_host.cli.main import main\n"
        "main(['run', 'Hello', '--trust'])\n"
        "print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


# -- the sink ---------------------------------------------------------------------------------


def record(event: e.Event) -> e.Record:
    return e.Record(seq=0, at="2026-01-01T00:00:00.000000Z", run_id="r", event=event)


def test_what_comes_before_the_sdk_is_kept_in_order_and_within_a_bound() -> None:
    sink = TelemetrySink(clock=lambda: 7)
    said_first = record(e.UserSaid(message=Message(role="user", content=(Text(text="x"),))))
    sink.emit(said_first)
    sink.emit(e.TextDelta(text="a"))
    sink.emit(e.TextDelta(text="b"))
    for _ in range(MAX_EARLY):
        sink.emit(record(e.RunResumed(principal=Principal(id="p"))))
    taken: list[Any] = []
    sink.connect(taken.append)
    assert taken[:2] == [said_first, 7]
    assert len(taken) == MAX_EARLY
    assert sink.dropped == 2
    sink.emit(said_first)
    assert taken[-1] is said_first
