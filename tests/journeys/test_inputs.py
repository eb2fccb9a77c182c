"""What servers ask for, at a real terminal: forms, pages, requests for the model, prompts and
resources, with a real server made with the SDK, in both ways that the protocol has to ask."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes.programs import agent_host
from tests.fakes.ptys import Terminal
from tests.journeys.stage import stage

PROTOCOLS = ("legacy", "auto")
PROMPTED = "send to desk? [s/"
REVIEW = "send to desk? [s/1/d/c/?]"

Open = Callable[..., Terminal]


def staged(folder: Path, *tools: str, protocol: str = "auto", sampling: bool = True) -> Path:
    """A folder with the server of forms, and a script that calls these tools and then ends."""
    turns: list[dict[str, Any]] = [
        {"say": f"I call {tool}.", "call": {"name": f"desk__{tool}", "arguments": {}}}
        for tool in tools
    ]
    stage(folder, *turns, {"say": "All done."}, {"say": "Again."})
    config = f"""
model = "actor"
[models.actor]
adapter = "script"
path = "script.toml"
[servers.desk]
command = {json.dumps(sys.executable)}
args = ["-m", "tests.fakes.form_server"]
env = {{ PYTHONPATH = {json.dumps(str(Path(__file__).parents[2]))} }}
protocol = "{protocol}"
sampling = {str(sampling).lower()}
[policy]
default = "allow"
"""
    (folder / "servers.toml").write_text(config)
    return folder


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Open:
    """Runs a prompt at a terminal."""

    def open_run(
        *tools: str,
        arguments: tuple[str, ...] = (),
        protocol: str = "auto",
        command: str = "run",
        **more: Any,
    ) -> Terminal:
        staged(tmp_path, *tools, protocol=protocol)
        words = ["Go."] if command == "run" else []
        terminal = Terminal(command, "--trust", *arguments, *words, cwd=tmp_path, **more)
        request.addfinalizer(lambda: terminal.__exit__(None, None, None))
        return terminal

    return open_run


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    (path,) = (folder / "transcripts").glob("*.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [r["event"] for r in records if r["event"]["type"] == kind]


def results(folder: Path) -> list[dict[str, Any]]:
    """What the server said that it got."""
    finished = events(folder, "tool_finished")
    return [json.loads(event["result"]["content"][0]["text"]) for event in finished]


def last_line(text: str) -> str:
    """The line that the cursor is in: below a chat's line there is nothing but its status."""
    lines = [line for line in text.split("\n") if line and not line.startswith("script (no AI)")]
    return lines[-1] if lines else ""


def answer(terminal: Terminal, prompt: str, text: str) -> str:
    """Wait for a prompt and answer it; what is typed before it is shown is thrown away."""
    shown = terminal.wait(lambda text: last_line(text).startswith(prompt))
    terminal.keys(f"{text}\r")
    return shown


def say(terminal: Terminal, text: str) -> None:
    """Say something in a chat once it waits for that."""
    terminal.wait(lambda text: last_line(text) == ">" and "/help" in text)
    terminal.keys(f"{text}\r")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "environ", [{}, {"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["colour", "dumb", "plain"]
)
def test_every_kind_of_field_is_asked_for_checked_and_sent_as_typed(
    run: Open, tmp_path: Path, protocol: str, environ: dict[str, str]
) -> None:
    terminal = run("book", protocol=protocol, environ=environ, lines=50)
    answer(terminal, "Full name:", "An")
    terminal.wait("too short: 2 of at least 3 characters")
    answer(terminal, "Full name:", "" if environ.get("TERM") == "dumb" else " Lee")
    if environ.get("TERM") == "dumb":
        answer(terminal, "Full name:", "An Lee")
    answer(terminal, "email:", "ann@example.com")
    answer(terminal, "site:", "https://ann.example/")
    answer(terminal, "day [2026-12-24]:", "")
    answer(terminal, "at:", "2026-12-24T19:30:00Z")
    answer(terminal, "code:", "AB12")
    answer(terminal, "guests [2]:", "3")
    answer(terminal, "tip:", "2.5")
    answer(terminal, "At the window? [yes]:", "n")
    answer(terminal, "Table [Small (s)]:", "2")
    answer(terminal, "room:", "garden")
    answer(terminal, "extras [Cake (cake)]:", "2,3")
    review = answer(terminal, PROMPTED, "s")
    assert "nothing was sent yet" in review
    assert "10  Table           Large (l)" in review
    terminal.wait("All done.")
    assert terminal.exit_status() == 0
    (got,) = results(tmp_path)
    assert got["action"] == "accept"
    assert got["content"] == {
        "name": "An Lee",
        "email": "ann@example.com",
        "site": "https://ann.example/",
        "day": "2026-12-24",
        "at": "2026-12-24T19:30:00Z",
        "code": "AB12",
        "guests": 3,
        "tip": 2.5,
        "window": False,
        "table": "l",
        "room": "garden",
        "extras": ["wine", "music"],
    }
    if environ:
        assert b"\x1b[1;33m" not in terminal.raw


def test_a_form_fits_a_small_screen_a_page_at_a_time(run: Open, tmp_path: Path) -> None:
    terminal = run("book", columns=40, lines=14)
    answer(terminal, "Full name:", "An Lee")
    names = ["email", "site", "day", "at", "code", "guests", "tip"]
    for name in names:
        answer(terminal, name, "")
    for name, key in {"At the window?": "n", "Table": "2", "room": "1", "extras": "1"}.items():
        answer(terminal, name, key)
    assert "more lines [Enter/all/d/c]" in answer(terminal, "…", "all")
    answer(terminal, PROMPTED, "s")
    terminal.wait("All done.")
    assert results(tmp_path)[0]["content"]["extras"] == ["cake"]


@pytest.mark.parametrize(
    ("keys", "action"), [("/decline\r", "decline"), ("\x03", "cancel"), ("\x04", "cancel")]
)
@pytest.mark.parametrize("command", ["run", "chat"])
@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_leaving_a_form_ends_the_form_and_not_the_program(
    run: Open, tmp_path: Path, keys: str, action: str, command: str, term: str
) -> None:
    terminal = run("name", command=command, environ={"TERM": term})
    if command == "chat":
        say(terminal, "Go.")
    terminal.wait("name:")
    terminal.keys(keys)
    terminal.wait("All done.")
    if command == "chat":
        say(terminal, "/quit")
    assert terminal.exit_status() == 0
    assert results(tmp_path) == [{"action": action}]


def test_control_c_again_stops_the_step(run: Open, tmp_path: Path) -> None:
    terminal = run("name", "name")
    terminal.wait("name:")
    terminal.keys("\x03")
    terminal.wait("name:", times=2)
    os.kill(terminal.pid, signal.SIGINT)
    terminal.wait("All done.")
    assert terminal.exit_status() == 0
    assert [got["action"] for got in results(tmp_path)] == ["cancel", "cancel"]


def test_what_is_typed_before_a_form_is_shown_fills_nothing_in(run: Open, tmp_path: Path) -> None:
    terminal = run("name", command="chat")
    say(terminal, "Go.\rEve\rs\r")
    answer(terminal, "name:", "Ann")
    answer(terminal, REVIEW, "s")
    terminal.wait("All done.")
    assert results(tmp_path)[0]["content"] == {"name": "Ann"}


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_password_is_declined_by_itself_and_hidden_if_the_person_insists(
    run: Open, tmp_path: Path, term: str
) -> None:
    terminal = run("secret", "secret", environ={"TERM": term})
    answer(terminal, "fill it in all the same?", "")
    terminal.wait("input declined by")
    terminal.wait("fill it in all the same?", times=2)
    terminal.keys("y\r")
    answer(terminal, "Password:", "hunter2hunter2")
    shown = answer(terminal, REVIEW, "s")
    assert "••••••••" in shown
    terminal.wait("All done.")
    assert terminal.exit_status() == 0
    assert b"hunter2" not in terminal.raw
    (path,) = (tmp_path / "transcripts").glob("*.jsonl")
    assert "hunter2" not in path.read_text()
    assert [given["action"] for given in events(tmp_path, "input_given")] == ["decline", "accept"]


def test_a_form_that_cannot_be_shown_is_declined_with_its_reason(run: Open, tmp_path: Path) -> None:
    terminal = run("odd")
    terminal.wait('field "home" is object')
    assert terminal.exit_status() == 0
    assert results(tmp_path) == [{"action": "decline"}]


def browser(folder: Path) -> dict[str, str]:
    """A browser that keeps the address that it was given."""
    program = folder / "browser"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {folder}/opened\n')
    program.chmod(0o755)
    return {"BROWSER": str(program)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("columns", [80, 40])
def test_a_page_is_opened_after_it_was_shown_whole_and_a_yes(
    run: Open, tmp_path: Path, protocol: str, columns: int
) -> None:
    environ = browser(tmp_path)
    terminal = run("pay", protocol=protocol, environ=environ, columns=columns)
    terminal.wait("lines not shown yet")
    terminal.keys("y\r")
    terminal.wait("not everything was shown yet")
    assert not (tmp_path / "opened").exists()
    terminal.keys("all\r")
    terminal.wait("/end")
    answer(terminal, "open it?", "y")
    terminal.wait("All done.")
    assert terminal.exit_status() == 0
    url = "https://pay.example.com/session/" + "0123456789" * 450 + "/end"
    assert (tmp_path / "opened").read_text() == url
    text = terminal.text
    assert "  host      pay.example.com" in text
    rows = [row[2:] for row in text.split("\n") if row.startswith("│ ") and "… " not in row]
    assert url in "".join(rows)
    assert results(tmp_path) == [{"action": "accept"}]


def test_a_page_is_not_opened_without_a_yes_or_without_a_browser(run: Open, tmp_path: Path) -> None:
    terminal = run("pay", "pay", environ=browser(tmp_path), lines=80)
    answer(terminal, "open it?", "d")
    terminal.wait("open it?", times=2)
    terminal.keys("\x04")
    terminal.wait("All done.")
    assert terminal.exit_status() == 0
    assert not (tmp_path / "opened").exists()
    assert [got["action"] for got in results(tmp_path)] == ["decline", "cancel"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_model_answers_a_server_when_a_person_lets_it(
    run: Open, tmp_path: Path, protocol: str
) -> None:
    terminal = run("think", "think", "think", protocol=protocol, lines=60)
    shown = answer(terminal, "let the model answer it?", "n")
    for line in ("  system prompt:", "│ Be brief.", "  user:", "│ What is a tide?"):
        assert line in shown
    terminal.wait("let the model answer it?", times=2)
    terminal.keys("a\r")
    terminal.wait("got the model's answer", times=1)
    terminal.exit_status()
    outcomes = [event["outcome"] for event in events(tmp_path, "sampling_finished")]
    assert outcomes[0] == "refused"
    assert terminal.text.count("let the model answer it?") == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_a_terminal_a_server_is_told_no(tmp_path: Path, protocol: str) -> None:
    staged(tmp_path, "name", "pay", protocol=protocol)
    ended = agent_host(
        "run", "--trust", "--output", "stream-json", "Go.", folder=tmp_path, stdin=b""
    )
    assert ended.status == 0
    assert [given["action"] for given in ended.of("input_given")] in ([], ["decline", "decline"])
    for result in ended.results:
        said = result["content"][0]["text"]
        assert result["error"] == "tool_error" or json.loads(said)["action"] == "decline"


def test_what_was_asked_and_answered_is_in_the_transcript_that_people_read(
    run: Open, tmp_path: Path
) -> None:
    terminal = run("name")
    answer(terminal, "name:", "Ann")
    answer(terminal, REVIEW, "s")
    terminal.exit_status()
    shown = agent_host("transcripts", "show", "last", folder=tmp_path).out
    assert "server desk asks for input (form), for desk__name" in shown
    assert "Who are you?" in shown
    assert "input, accept by" in shown
    assert '"name": "Ann"' in shown


def test_a_form_parks_the_run_and_is_asked_again_when_it_goes_on(
    run: Open, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    staged(tmp_path, "name", protocol="auto")
    ended = agent_host("run", "--trust", "--approve", "defer", "Go.", folder=tmp_path)
    assert ended.status == 7, ended.err
    assert "this run waits for input; go on with" in ended.err
    terminal = Terminal("run", "--trust", "--resume", "last", cwd=tmp_path)
    request.addfinalizer(lambda: terminal.__exit__(None, None, None))
    answer(terminal, "name:", "Ann")
    answer(terminal, REVIEW, "s")
    terminal.wait("All done.")
    assert terminal.exit_status() == 0
    assert results(tmp_path)[0]["content"] == {"name": "Ann"}


def test_prompts_and_resources_are_used_and_completed_in_a_chat(run: Open, tmp_path: Path) -> None:
    terminal = run(command="chat", lines=60)
    say(terminal, "/prompts")
    terminal.wait("/desk:summarise topic=… [length=…]  Sum a topic up.")
    say(terminal, "/resources")
    terminal.wait("@desk:note://by/{author}")
    terminal.keys("/desk:su")
    terminal.wait("/desk:summarise  Sum a topic up.")
    terminal.keys("\t")
    terminal.wait("> /desk:summarise")
    terminal.keys("to")
    terminal.wait("topic=", times=2)
    terminal.keys("\t")
    terminal.wait("> /desk:summarise topic=")
    terminal.keys("ti")
    terminal.wait("> /desk:summarise topic=ti")
    terminal.keys("\t")
    terminal.wait(" tin")
    terminal.keys("\t")
    terminal.wait("> /desk:summarise topic=tides")
    terminal.keys("\x15\x15/desk:summarise\r")
    answer(terminal, "topic:", "tides")
    terminal.wait("│ Sum up tides, short.")
    answer(terminal, "send it?", "")
    terminal.wait("All done.")
    say(terminal, "What is in @desk:note://first?")
    terminal.wait("attached desk · note://first")
    terminal.wait("Again.")
    say(terminal, "/quit")
    assert terminal.exit_status() == 0
    said = [event["message"]["content"] for event in events(tmp_path, "user_said")]
    assert said[0][0]["text"] == "Sum up tides, short."
    assert said[1][1]["text"] == "Buy milk.\x1b[2J\n"
    assert b"\x1b[2J" not in terminal.raw.replace(b"\x1b[2J\x1b[0;0H", b"")


def test_a_closed_window_leaves_no_server_behind_an_open_form(run: Open) -> None:
    terminal = run("name")
    terminal.wait("name:")
    servers = psutil.Process(terminal.pid).children(recursive=True)
    assert servers
    terminal.hang_up()
    gone, alive = psutil.wait_procs(servers, timeout=10)
    assert len(gone) == len(servers), alive


def test_a_form_is_filled_in_at_the_terminal_while_stdin_and_stdout_are_pipes(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    staged(tmp_path, "name")
    with (tmp_path / "in").open("w+b") as given, (tmp_path / "out").open("w+b") as out:
        given.write(b"Go.")
        given.seek(0)
        words = ("run", "--trust", "--output", "json")
        terminal = Terminal(*words, cwd=tmp_path, stdin=given.fileno(), stdout=out.fileno())
        request.addfinalizer(lambda: terminal.__exit__(None, None, None))
        answer(terminal, "name:", "Ann")
        answer(terminal, REVIEW, "s")
        assert terminal.exit_status() == 0
    summary = json.loads((tmp_path / "out").read_text())
    assert json.loads(summary["calls"][0]["content"][0]["text"])["content"] == {"name": "Ann"}


@pytest.mark.parametrize("command", ["run", "chat"])
def test_esc_in_a_line_of_a_form_cancels_the_form_and_not_the_program(
    run: Open, tmp_path: Path, command: str
) -> None:
    terminal = run("name", command=command, columns=40, lines=12)
    if command == "chat":
        say(terminal, "Go.")
    terminal.wait("name:")
    terminal.keys("An\x1b")
    terminal.wait("All done.")
    if command == "chat":
        say(terminal, "/quit")
    assert terminal.exit_status() == 0
    assert results(tmp_path) == [{"action": "cancel"}]


@pytest.mark.parametrize("command", ["run", "chat"])
@pytest.mark.parametrize("key", ["\x03", "\x1b"], ids=["control-c", "esc"])
def test_a_single_key_in_the_review_cancels_the_form_and_not_the_program(
    run: Open, tmp_path: Path, command: str, key: str
) -> None:
    terminal = run("name", command=command, columns=40, lines=12)
    if command == "chat":
        say(terminal, "Go.")
    answer(terminal, "name:", "Ann")
    terminal.wait(lambda text: last_line(text).startswith(REVIEW))
    terminal.keys(key)
    terminal.wait("All done.")
    if command == "chat":
        say(terminal, "/quit")
    assert terminal.exit_status() == 0
    assert results(tmp_path) == [{"action": "cancel"}]
