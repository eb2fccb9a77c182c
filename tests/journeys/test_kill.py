"""The host is killed (SIGKILL) at the points that matter, and the run is taken up again."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import chat_server as wire
from tests.fakes.chat_server import ChatServer

ROOT = Path(__file__).parents[2]
BANK = ROOT / "tests" / "fakes" / "paying_server.py"
CONFIG = """
model = "fake"

[models.fake]
adapter = "openai-chat"
base_url = "{url}"
model = "fake-1"

[servers.bank]
command = {python}
args = [{server}, {ledger}]
"""

HANG = wire.stream(end="hang")
DONE = wire.stream(wire.text("All done."), wire.finish(), wire.DONE)


def pay(amount: int, *, hang: bool = False) -> wire.Play:
    arguments = json.dumps({"amount": amount, "hang": hang})
    asked = wire.call(wire.piece(0, "call_pay", "bank__pay", arguments))
    return wire.stream(asked, wire.finish("tool_calls"), wire.DONE)


class Stage:
    """A folder with a config, a model that plays, and a bank whose ledger counts."""

    def __init__(self, folder: Path, model: ChatServer) -> None:
        self.folder = folder
        self.model = model
        self.ledger = folder / "ledger"
        config = CONFIG.format(
            url=model.url,
            python=json.dumps(sys.executable),
            server=json.dumps(str(BANK)),
            ledger=json.dumps(str(self.ledger)),
        )
        (folder / "servers.toml").write_text(config)

    def command(self, *arguments: str) -> list[str]:
        return [
            *(sys.executable, "-m", "agent_host", "run", "--trust", "--approve", "all"),
            *("--output", "stream-json", *arguments),
        ]

    def environment(self) -> dict[str, str]:
        kept = ("PATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE")
        inherited = {name: os.environ[name] for name in kept if name in os.environ}
        return {**inherited, "HOME": str(self.folder), "PYTHONPATH": str(ROOT)}

    def run_and_kill(self, is_the_point: Callable[[dict[str, Any]], bool]) -> str:
        """Run until a line of the stream is the point, kill the host, return the run's id."""
        with subprocess.Popen(
            self.command("Pay 5."),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as host:
            run_id = ""
            for line in host.stdout:
                item = json.loads(line)
                run_id = item.get("run_id", run_id)
                if is_the_point(item):
                    os.kill(host.pid, signal.SIGKILL)
                    break
            else:
                raise AssertionError(host.stderr.read().decode())
        return run_id

    def resume(self, run_id: str, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        done = subprocess.run(
            self.command("--resume", run_id, *arguments),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, [i["event"] for i in lines if "event" in i], done.stderr.decode()

    def paid(self) -> list[str]:
        return self.ledger.read_text().split() if self.ledger.exists() else []


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ChatServer() as model:
        yield Stage(tmp_path, model)


def event_is(kind: str, count: int = 1) -> Callable[[dict[str, Any]], bool]:
    seen = 0

    def is_the_point(item: dict[str, Any]) -> bool:
        nonlocal seen
        seen += item.get("event", {}).get("type") == kind
        return seen == count

    return is_the_point


def progressed(item: dict[str, Any]) -> bool:
    return item.get("ephemeral", {}).get("type") == "tool_progress"


def results(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [e["result"] for e in events if e["type"] == "tool_finished"]


def test_killed_while_the_model_answers_the_run_asks_it_again(stage: Stage) -> None:
    stage.model.plays = [HANG]
    run_id = stage.run_and_kill(event_is("model_requested"))
    stage.model.plays = [pay(5), DONE]
    status, events, _ = stage.resume(run_id)
    assert status == 0
    assert events[-1] == {"type": "run_ended", "reason": "done", "detail": ""}
    assert stage.paid() == ["5"]


def test_killed_while_a_tool_runs_its_effect_is_in_doubt_and_never_repeated(stage: Stage) -> None:
    stage.model.plays = [pay(5, hang=True)]
    run_id = stage.run_and_kill(progressed)
    assert stage.paid() == ["5"]
    stage.model.plays = [DONE]
    status, events, stderr = stage.resume(run_id)
    [result] = results(events)
    assert result["error"] == "outcome_unknown"
    assert "may or may not" in result["content"][0]["text"]
    assert stage.paid() == ["5"]
    assert "outcome_unknown" in stderr
    assert status == 0
    told = json.dumps(stage.model.received[-1].body["messages"])
    assert "outcome unknown" in told


def test_killed_after_a_tool_ran_the_run_goes_on_behind_it(stage: Stage) -> None:
    stage.model.plays = [pay(5), HANG]
    run_id = stage.run_and_kill(event_is("model_requested", 2))
    stage.model.plays = [DONE]
    status, events, _ = stage.resume(run_id)
    assert status == 0
    assert results(events) == []
    assert stage.paid() == ["5"]
    assert [m["role"] for m in stage.model.received[-1].body["messages"]] == [
        "user",
        "assistant",
        "tool",
    ]


def test_a_new_prompt_to_a_killed_run_closes_what_was_open(stage: Stage) -> None:
    stage.model.plays = [pay(5, hang=True)]
    run_id = stage.run_and_kill(progressed)
    stage.model.plays = [DONE]
    status, events, _ = stage.resume(run_id, "Never mind. What did you do?")
    assert [r["error"] for r in results(events)] == ["outcome_unknown"]
    assert status == 0
    assert stage.paid() == ["5"]


def test_a_run_that_another_process_writes_cannot_be_taken_over(stage: Stage) -> None:
    stage.model.plays = [HANG]
    with subprocess.Popen(
        stage.command("Pay 5."),
        cwd=stage.folder,
        env=stage.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as host:
        run_id = next(
            item["run_id"] for line in host.stdout if "run_id" in (item := json.loads(line))
        )
        status, _, stderr = stage.resume(run_id)
        host.kill()
        host.stdout.read()
    assert status == 1
    assert f"in use by process {host.pid}" in stderr
