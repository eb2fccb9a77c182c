"""`agent-host run` when it is told to stop: the status, a legal conversation, no server left."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent_host.cli import run as run_module
from agent_host.records.reader import conversation
from tests.fakes.chat_server import ChatServer, stream, text
from tests.fakes.programs import agent_host, command, environment
from tests.journeys.stage import call, stage

DEADLINE = 20
WAIT = {"say": "I wait.", "call": call("wait")}


class Running:
    """A run in a folder, whose stream is read until something happened."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            command("run", "--trust", "--output", "stream-json", *arguments),
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.events: list[dict[str, Any]] = []
        self.servers: list[psutil.Process] = []

    def until(self, kind: str) -> None:
        """Read until an event, or something shown, of that type."""
        for line in self.process.stdout:
            item = json.loads(line)
            self.events += [item["event"]] if "event" in item else []
            if kind in (item.get("event", {}).get("type"), item.get("ephemeral", {}).get("type")):
                self.servers = psutil.Process(self.process.pid).children(recursive=True)
                return
        raise AssertionError(f"no {kind}: {self.process.stderr.read().decode()}")

    def end(self, *signals: signal.Signals) -> int:
        """Send signals, read to the end, and return the exit status once every server is gone."""
        for number in signals:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=DEADLINE)
        self.events += [i["event"] for i in map(json.loads, out.splitlines()) if "event" in i]
        assert b"Traceback" not in err
        assert not psutil.wait_procs(self.servers, timeout=DEADLINE)[1]
        return self.process.returncode

    def results(self) -> list[dict[str, Any]]:
        return [event["result"] for event in self.events if event["type"] == "tool_finished"]

    def transcript(self) -> Path:
        [path] = (self.folder / "transcripts").glob("*.jsonl")
        return path


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Running]:
    """A run whose tool hangs."""
    stage(tmp_path, WAIT, {"say": "Done."})
    run = Running(tmp_path, "Wait.")
    try:
        run.until("tool_started")
        assert run.servers
        yield run
    finally:
        run.process.kill()
        run.process.communicate()


def test_control_c_stops_the_step_and_the_conversation_stays_legal(waiting: Running) -> None:
    assert waiting.end(signal.SIGINT) == 130
    [result] = waiting.results()
    assert result["error"] in {"cancelled", "outcome_unknown"}
    assert [event["type"] for event in waiting.events][-1] == "run_ended"
    assert waiting.events[-1]["reason"] == "interrupted"
    resumed = agent_host("run", "--trust", "--resume", "last", "Go on.", folder=waiting.folder)
    assert (resumed.status, resumed.out) == (0, "Done.\n")


def test_control_c_twice_leaves(waiting: Running) -> None:
    assert waiting.end(signal.SIGINT, signal.SIGINT) == 130
    conversation(waiting.transcript())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_leaves_at_once_with_every_server(
    waiting: Running, number: signal.Signals
) -> None:
    assert waiting.end(number) == 130
    assert waiting.results() == []
    conversation(waiting.transcript())
    resumed = agent_host("run", "--trust", "--resume", "last", folder=waiting.folder)
    assert resumed.status == 0
    assert "outcome_unknown" in resumed.err


def test_control_c_while_the_model_answers_keeps_what_it_said(tmp_path: Path) -> None:
    with ChatServer(stream(text("Once upon a time"), end="hang")) as model:
        stage(tmp_path, {"say": "unused"})
        run = Running(tmp_path, "--server", "shop", "--model", f"{model.url}:fake-1", "Tell.")
        run.until("text_delta")
        assert run.end(signal.SIGINT) == 130
        assert model.left.wait(DEADLINE)
    [said] = [event for event in run.events if event["type"] == "model_responded"]
    assert said["stop_reason"] == "interrupted"
    assert said["message"]["content"][0]["text"].startswith("Once upon")


def test_control_c_while_a_server_does_not_answer_the_handshake(tmp_path: Path) -> None:
    config = stage(tmp_path, {"say": "unused"}) / "servers.toml"
    silent = f"[servers.silent]\ncommand = {json.dumps(sys.executable)}\n"
    silent += 'args = ["-c", "import sys; sys.stdin.read()"]\n'
    config.write_text(config.read_text() + silent)
    run = Running(tmp_path, "--server", "silent", "Hi.")
    run.until("user_said")
    assert run.servers
    assert run.end(signal.SIGINT) == 130
    assert run.events[-1]["reason"] == "interrupted"


def test_who_is_told_to_leave_while_leaving_goes_at_once() -> None:
    gone: list[int] = []

    async def scene() -> None:
        interrupts = run_module._Interrupts(gone.append)
        interrupts.listen()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            # What would end servers hangs.
            os.kill(os.getpid(), signal.SIGINT)
            while not gone:
                await asyncio.sleep(0)

    asyncio.run(scene())
    assert gone == [130]
