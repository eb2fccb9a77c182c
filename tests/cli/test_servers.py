"""`agent-host servers` and `agent-host tools`, on real servers."""

import json
import socket
import sys
from pathlib import Path

import pytest

from agent_host.core.text import clean

ROOT = Path(__file__).parents[2]
GOOD = (
    f'[servers.good]\ncommand = "{sys.executable}"\nargs = ["-m", "agent_host", "demo-server"]\n'
    f'env = {{ PYTHONPATH = "{ROOT}" }}\ntrust_annotations = true\n'
)
DIES = '[servers.dies]\ncommand = "sh"\nargs = ["-c", "printf \'oo\\\\033[2Jps\' >&2; exit 3"]\n'
HANGS = '[servers.hangs]\ncommand = "sleep"\nargs = ["100"]\nconnect_timeout = 0.5\n'
GONE = '[servers.gone]\ncommand = "no-such-command"\n'
SHOP = (
    f'command = "{sys.executable}"\nargs = ["-m", "tests.fakes.shop_server"]\n'
    f'env = {{ PYTHONPATH = "{ROOT}" }}\ntimeout = 5\n'
)
OFF = '[servers.off]\ncommand = "x"\nenabled = false\n'


def test_one_list_tells_how_every_server_is_doing(here, project):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refuses = f'[servers.refuses]\nurl = "http://127.0.0.1:{port}/mcp"\n'
    (project / "servers.toml").write_text(GOOD + DIES + HANGS + GONE + OFF + refuses)
    done = here("servers", "list", "--json", "--trust")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 5
    assert {name: row["state"] for name, row in rows.items()} == {
        "good": "connected",
        "dies": "failed",
        "hangs": "failed",
        "gone": "failed",
        "off": "disabled",
        "refuses": "failed",
    }
    assert rows["good"]["tools"] == 11
    assert rows["good"]["connect_seconds"] > 0
    assert "exit code 3" in rows["dies"]["error"]
    assert "no-such-command" in rows["gone"]["error"]
    assert rows["refuses"]["transport"] == "http"


@pytest.mark.parametrize(
    ("name", "step", "said"),
    [
        ("dies", "handshake", "exit code 3"),
        ("hangs", "handshake", "0.5 s"),
        ("gone", "command", 'there is no program "no-such-command" on the PATH'),
        ("plain", "command", "is not executable"),
        ("nofile", "command", "no file "),
        ("folder", "command", "no folder "),
        ("secret", "references", "NOT_THERE, which is not set"),
    ],
)
def test_a_test_names_the_step_that_fails_and_the_fix(name, step, said, here, project):
    (project / "notes.txt").write_text("")
    (project / "servers.toml").write_text(
        DIES + HANGS + GONE + '[servers.plain]\ncommand = "./notes.txt"\n'
        '[servers.nofile]\ncommand = "./gone.sh"\n'
        '[servers.folder]\ncommand = "sh"\ncwd = "gone"\n'
        '[servers.secret]\ncommand = "sh"\nenv = { A = "${env:NOT_THERE}" }\n'
    )
    done = here("servers", "test", name, "--trust", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 5
    assert not report["ok"]
    failed = report["steps"][-1]
    assert (failed["name"], failed["ok"]) == (step, False)
    assert said in failed["text"]
    assert failed["fix"]


def test_a_test_shows_the_end_of_stderr_escaped(here, project):
    (project / "servers.toml").write_text(DIES)
    done = here("servers", "test", "dies", "--trust")
    assert "its stderr ended with:\n  oo\\u{1b}[2Jps" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_test_of_a_sound_server_times_its_steps(here, project):
    (project / "servers.toml").write_text(GOOD)
    done = here("servers", "test", "good", "--trust", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    names = [step["name"] for step in report["steps"]]
    assert names == ["config", "references", "command", "handshake", "tools"]
    assert report["steps"][-1]["text"] == "11 tools"


def test_an_unknown_or_disabled_server_is_said_so(here, project):
    (project / "servers.toml").write_text(GOOD + OFF)
    done = here("servers", "test", "god")
    assert done.returncode == 2
    assert done.stderr == ('agent-host: servers.toml has no server "god"; did you mean "good"?\n')
    done = here("servers", "test", "off")
    assert done.returncode == 2
    assert done.stderr.startswith("agent-host: servers.toml:8: servers.off has enabled = false")


def test_the_tools_of_the_healthy_are_listed_and_the_others_named(here, project):
    (project / "servers.toml").write_text(GOOD + GONE)
    done = here("tools", "list", "--trust")
    assert done.returncode == 0
    assert "good__get_order" in done.stdout
    assert "gone: failed: " in done.stderr
    listed = json.loads(here("tools", "list", "--trust", "--json", "--server", "good").stdout)
    names = {tool["tool"]: tool for tool in listed}
    assert names["get_order"]["annotations"]["read_only"] is True
    assert names["get_order"]["annotations_trusted"] is True


def test_a_tool_is_shown_with_its_arguments(here, project):
    (project / "servers.toml").write_text(GOOD)
    done = here("tools", "show", "get_order", "--trust")
    assert done.returncode == 0
    assert done.stdout.startswith("good__get_order  (get_order of good)\nhints: reads\n")
    assert "order_id" in done.stdout


def test_a_call_by_hand_prints_the_result_and_records_nothing(here, project):
    (project / "servers.toml").write_text(GOOD)
    done = here("tools", "call", "get_order", "order_id=12345", "--trust")
    assert done.returncode == 0
    assert "DE4839201" in done.stdout
    assert not (project / "transcripts").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["gett_order"], 2, 'there is no tool "gett_order"; did you mean "good__get_order"?'),
        (["get_order"], 2, '"order_id" is a required property'),
        (["get_order", "order_id"], 2, '"order_id" is no KEY=VALUE'),
        (["get_order", "--args", "{"], 2, "--args is not JSON"),
        (["get_order", "--args", "[]"], 2, "--args must be a JSON object"),
        (["get_order", "a=1", "--args", "{}"], 2, "not both"),
        (["get_order", "--args", '{"order_id": "99999"}'], 1, "failed (tool_error):"),
    ],
)
def test_a_call_that_cannot_be_made_says_why(arguments, status, said, here, project):
    (project / "servers.toml").write_text(GOOD)
    done = here("tools", "call", *arguments, "--trust")
    assert done.returncode == status
    assert said in done.stderr
    assert done.stdout == ""
    assert "bug" not in done.stderr


def test_no_servers_is_no_failure(here, project):
    (project / "servers.toml").write_text("")
    done = here("servers", "list")
    assert done.returncode == 0
    assert done.stderr == "servers.toml has no servers; add a [servers.NAME] table\n"


@pytest.mark.parametrize(
    "command",
    [
        ("servers", "list"),
        ("servers", "test", "shop"),
        ("tools", "list"),
        ("tools", "show", "rude"),
        ("tools", "call", "rude"),
    ],
    ids=" ".join,
)
def test_no_text_of_a_server_reaches_the_terminal_unescaped(command, here, project):
    (project / "servers.toml").write_text(f"[servers.shop]\n{SHOP}")
    done = here(*command, "--trust")
    assert done.returncode == 0
    shown = done.stdout + done.stderr
    assert clean(shown) == shown
    assert "shop" in shown or "rude" in command


def test_a_name_that_two_servers_have_must_be_said_whole(here, project):
    (project / "servers.toml").write_text(f"[servers.a]\n{SHOP}[servers.b]\n{SHOP}")
    done = here("tools", "call", "look", "--trust")
    assert done.returncode == 2
    assert "several servers have that tool; say which: a__look, b__look" in done.stderr
    done = here("tools", "call", "b__look", "x=1", "y=text", "--json", "--trust")
    assert done.returncode == 0
    assert json.loads(done.stdout)["error"] is None
    assert here("tools", "show", "look", "--server", "a", "--json", "--trust").returncode == 0


def test_a_server_that_ends_during_a_call_is_its_own_exit_status(here, project):
    (project / "servers.toml").write_text(f"[servers.shop]\n{SHOP}")
    done = here("tools", "call", "vanish", "--trust")
    assert done.returncode in (1, 5)
    assert done.stderr.startswith("failed (")


def test_with_no_server_up_a_tool_is_unavailable_and_not_unknown(here, project):
    (project / "servers.toml").write_text(GONE)
    assert here("tools", "list", "--trust").returncode == 5
    done = here("tools", "call", "look", "--trust")
    assert done.returncode == 5
    assert "no server is up (gone); `agent-host servers test NAME` tells why" in done.stderr


def test_the_list_for_people_has_every_server(here, project):
    (project / "servers.toml").write_text(f"[servers.shop]\n{SHOP}" + GONE + OFF)
    done = here("servers", "list", "--trust")
    assert done.returncode == 5
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:3] for line in lines[1:]] == [
        ["shop", "stdio", "connected"],
        ["gone", "stdio", "failed"],
        ["off", "stdio", "disabled"],
    ]
    assert done.stderr == "`agent-host servers test NAME` tells what to do\n"
