"""A model with a small window, over the real wire: what it is no longer sent it finds again."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import chat_server
from tests.fakes.chat_server import DONE, ChatServer, call, finish, piece, stream, text, usage
from tests.fakes.ptys import Terminal

WINDOW = 4_000
QUESTION = "Which code opens the cellar?"


class SmallModel(ChatServer):
    """Refuses a prompt that is over its window; notes what it is told, and answers the question
    from what it is sent, else from what the host's tools find."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def judge(self, path: str, headers: dict[str, str], body: Any) -> str | None:
        if tokens(body) > WINDOW:
            return "the maximum context length is exceeded"
        return super().judge(path, headers, body)

    def default(self, body: Any) -> chat_server.Play:
        counted = usage(tokens(body), 4)
        last = body["messages"][-1]
        said = str(last["content"])
        if "write the summary" in str(body["messages"][0]["content"]):
            return stream(text("SUMMARY: they told about a house."), finish(), counted, DONE)
        asked = [str(m["content"]) for m in body["messages"] if m["role"] == "user"][-1]
        if asked != QUESTION:
            return stream(text("Noted."), finish(), counted, DONE)
        if code := re.search(r"ORCHID-\d+", json.dumps(body["messages"])):
            return stream(text(f"It is {code[0]}."), finish(), counted, DONE)
        if last["role"] == "tool" and (number := re.search(r"message (\d+):", said)):
            self.found.append(said)
            return calls("host__read_conversation", {"first": int(number[1])}, counted)
        offered = [tool["function"]["name"] for tool in body.get("tools", [])]
        if "host__search_conversation" in offered:
            return calls("host__search_conversation", {"query": "cellar code"}, counted)
        return stream(text("I do not know."), finish(), counted, DONE)


def tokens(body: Any) -> int:
    return len(json.dumps(body["messages"])) * 2 // 7


def calls(name: str, arguments: Any, counted: bytes) -> chat_server.Play:
    one = piece(0, f"call_{name[6]}", name, json.dumps(arguments))
    return stream(call(one), finish("tool_calls"), counted, DONE)


def config(folder: Path, url: str, more: str = "") -> Path:
    (folder / "servers.toml").write_text(
        f"""
model = "m"

[models.m]
provider = "tiny"
model = "fake-1"
api_key = "k-123456"

[providers.tiny]
base_url = "{url}"

[[providers.tiny.models]]
match = ["fake-1"]
context_window = {WINDOW}
{more}
"""
    )
    return folder


def told(number: int) -> str:
    """About 700 tokens, and in the middle of the second the only thing that matters."""
    side = f"room {number} has a window and a door; "
    fact = f"The cellar has a code, {side * 8} it is ORCHID-7, " if number == 1 else "and so on, "
    return f"{side * 30}{fact}{side * 30}"


def run(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command to its end, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "agent_host", "run", "--trust", "--output", "json", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def facts(folder: Path, kind: str) -> list[dict[str, Any]]:
    (path,) = (folder / "transcripts").glob("*.jsonl")
    events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    return [event for event in events if event["type"] == kind]


@pytest.mark.parametrize("summary", ["extract", "model"])
def test_a_fact_that_was_left_out_is_found_again_by_a_resumed_run(
    tmp_path: Path, summary: str
) -> None:
    with SmallModel() as model:
        folder = config(tmp_path, model.url, f'[context]\nsummary = "{summary}"\n')
        answer = run(folder, told(0))
        for number in range(1, 8):
            answer = run(folder, "--resume", answer["run_id"], told(number))
        answer = run(folder, "--resume", answer["run_id"], QUESTION)
    assert answer["answer"] == "It is ORCHID-7."
    assert model.refused == []  # it was compacted before the window was full
    assert len(model.found) == 1
    used = [(event["server"], event["tool"]) for event in facts(folder, "tool_started")]
    assert used == [("host", "search_conversation"), ("host", "read_conversation")]
    compacted = facts(folder, "context_compacted")
    assert compacted
    assert {event["reason"] for event in compacted} == {"window"}
    assert {event["summary_by"] for event in compacted} == {summary}
    written = facts(folder, "summary_finished")
    assert len(written) == (len(compacted) if summary == "model" else 0)


def test_a_chat_says_that_it_leaves_something_out_and_goes_on(tmp_path: Path) -> None:
    with SmallModel() as model:
        folder = config(tmp_path, model.url)
        with Terminal("chat", "--trust", cwd=folder) as terminal:
            terminal.wait("/help")
            for number in range(7):
                terminal.keys(told(number) + "\r")
                terminal.wait("Noted.", times=number + 1)
            terminal.wait("shortened for the model")
            terminal.keys(QUESTION + "\r")
            terminal.wait("It is ORCHID-7.")
            terminal.keys("/quit\r")
            assert terminal.exit_status() == 0
    assert model.refused == []
