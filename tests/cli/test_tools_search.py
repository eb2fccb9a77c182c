"""A catalogue that is too large to be sent, and a result that is too large to be shown."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.fakes import catalogue_server

Run = Callable[..., CompletedProcess[str]]
SERVER = catalogue_server.__file__
LOGS = {
    "name": "read_logs",
    "description": "Reads the logs of a machine.",
    "inputSchema": {"type": "object", "properties": {"result_size": {"type": "integer"}}},
}
MANY = [LOGS, *({"name": f"do_{n}", "description": f"Does number {n}."} for n in range(80))]


@pytest.fixture
def big(project: Path) -> Path:
    """A project with one server of 81 tools and a script in place of a model."""
    (project / "tools.json").write_text(json.dumps(MANY))
    args = json.dumps(["-I", "-S", SERVER, str(project / "tools.json")])
    (project / "servers.toml").write_text(
        'model = "script"\n[models.script]\nadapter = "script"\npath = "script.toml"\n'
        f"[servers.ops]\ncommand = {json.dumps(sys.executable)}\nargs = {args}\n"
        "trust_annotations = true\n[policy]\ndefault = 'allow'\n"
    )
    return project


def script(project: Path, *turns: str) -> None:
    (project / "script.toml").write_text("".join(f"[[turn]]\n{turn}\n" for turn in turns))


def call(tool: str, **arguments: Any) -> str:
    given = ", ".join(f"{key} = {json.dumps(value)}" for key, value in arguments.items())
    return f'call = {{ name = "{tool}", arguments = {{ {given} }} }}'


def say(text: str) -> str:
    return f"say = {json.dumps(text)}"


def results(done: CompletedProcess[str]) -> list[tuple[str, str, str | None]]:
    calls = json.loads(done.stdout)["calls"]
    return [(c["name"], "\n".join(b["text"] for b in c["content"]), c["error"]) for c in calls]


TURNS = (
    call("host__search_tools", query="logs of a machine", limit=3),
    call("ops__read_logs", result_size=200_000),
    call("host__read_artifact", name="call_2.txt", line=5000, limit=2),
    call("host__search_artifact", name="call_2.txt", query="LINE 9999 ", context=0),
    say("I saw it."),
)


def test_a_tool_is_found_and_called_and_its_large_result_read_and_searched(
    big: Path, here: Run
) -> None:
    script(big, *TURNS)
    done = here("run", "Look at the logs.", "--output", "json", "--trust")
    assert done.returncode == 0, done.stderr
    search, logs, page, found = results(done)
    assert search[1].startswith("1 of 1 tools that speak of it, the best first:\n- ops__read_logs:")
    assert len(logs[1]) < 61_000
    assert "call_2.txt; host__read_artifact and host__search_artifact read it]" in logs[1]
    assert page[1].split("\n")[1:3] == ["line 5000 of a long log", "line 5001 of a long log"]
    assert found[1] == "[1 matches of 'LINE 9999']\n9999: line 9999 of a long log"
    assert [error for _, _, error in (search, logs, page, found)] == [None] * 4
    run_id = json.loads(done.stdout)["run_id"]

    script(
        big,
        *TURNS,
        call("host__read_artifact", name="call_2.txt", line=10_000),
        call("host__read_artifact", name="../servers.toml"),
        say("Seen again."),
    )
    again = here("run", "Once more.", "--resume", run_id, "--output", "json", "--trust")
    assert again.returncode == 0, again.stderr
    page, outside = results(again)
    assert "line 10000 of a long log" in page[1]
    assert outside[2] == "tool_error"
    assert "there is call_2.txt" in outside[1]


def test_tools_are_found_from_the_command_line(big: Path, here: Run) -> None:
    script(big, say("x"))
    found = here("tools", "search", "logs", "of", "a", "machine", "--trust")
    assert found.returncode == 0
    assert found.stdout == (
        "name            server  what it does\n"
        "ops__read_logs  ops     Reads the logs of a machine.\n"
    )
    some = here("tools", "search", "does", "number", "--limit", "2", "--trust")
    assert some.stdout.count("\n") == 3
    assert some.stderr == "2 of 80; --limit shows more\n"
    as_json = json.loads(here("tools", "search", "logs", "--json", "--trust").stdout)
    assert (as_json["total"], as_json["tools"][0]["name"]) == (1, "ops__read_logs")
    none = here("tools", "search", "xyzzy", "--trust")
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr == "no tool speaks of 'xyzzy'; try other words\n"


def test_no_server_may_be_called_host(big: Path, here: Run) -> None:
    config = big / "servers.toml"
    config.write_text(config.read_text().replace("[servers.ops]", "[servers.host]"))
    done = here("tools", "list", "--trust")
    assert done.returncode == 2
    assert "the name of the host's own tools; choose another" in done.stderr


def test_an_unknown_way_to_search_is_an_error_with_its_line(big: Path, here: Run) -> None:
    config = big / "servers.toml"
    config.write_text(config.read_text() + '[tools]\nsearch = "sometimes"\n')
    done = here("tools", "list", "--trust")
    assert done.returncode == 2
    assert "servers.toml:" in done.stderr
    assert "sometimes" in done.stderr or "always" in done.stderr


def test_a_tool_says_whether_it_is_as_it_was_when_it_was_first_seen(big: Path, here: Run) -> None:
    def state() -> str:
        shown = here("tools", "show", "read_logs", "--json", "--trust")
        return str(json.loads(shown.stdout)["state"])

    assert state() == "new"
    assert state() == "known"
    (big / "tools.json").write_text(json.dumps([{**LOGS, "description": "Other."}]))
    shown = here("tools", "show", "read_logs", "--trust")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "failed (changed)" in shown.stderr
    assert "servers lock" in shown.stderr
    (big / "tools.json").write_text(json.dumps([LOGS]))
    assert state() == "known"
    listed = json.loads(here("tools", "list", "--json", "--trust").stdout)
    assert [tool["state"] for tool in listed] == ["known"]
