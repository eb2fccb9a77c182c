"""The first policy that is offered for a server that is added."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

from tests.fakes.ptys import Terminal

ROOT = Path(__file__).parents[2]
FAKE = ROOT / "tests/fakes/catalogue_server.py"
CATALOGUE = ROOT / "tests/data/catalogue"
BASE = "# Ours.\nmodel = 'offline'   # any\n\n[policy] # rules\ndefault = 'ask'\n"


@pytest.fixture
def file(project: Path) -> Path:
    path = project / "servers.toml"
    path.write_text(BASE)
    return path


def program(folder: Path, name: str, tools: list) -> str:
    """A program of that name whose server has these tools."""
    listed = folder / f"{name}.json"
    listed.write_text(json.dumps(tools))
    path = folder / name
    path.write_text(f"#!/bin/sh\nexec {sys.executable} {FAKE} {listed}\n")
    path.chmod(0o755)
    return str(path)


def real(server: str) -> list:
    return json.loads((CATALOGUE / f"{server}.json").read_text())["tools"]


@pytest.fixture
def filesystem(tmp_path: Path) -> str:
    return program(tmp_path, "mcp-server-filesystem", real("filesystem"))


def said(file: Path) -> dict:
    return tomllib.loads(file.read_text())


def rules(file: Path) -> dict:
    return {rule["id"]: rule for rule in said(file)["policy"].get("rules", [])}


def test_without_a_flag_and_a_terminal_nothing_is_added_but_said(here, file, filesystem):
    done = here("servers", "add", "files", "--", filesystem)
    assert done.returncode == 0, done.stderr
    assert "there is a first policy for it (files on this machine" in done.stderr
    assert "--policy adds it" in done.stderr
    assert rules(file) == {}
    assert "labels" not in said(file)["servers"]["files"]


def test_no_policy_says_nothing(here, file, filesystem):
    done = here("servers", "add", "files", "--no-policy", "--", filesystem)
    assert "first policy" not in done.stdout + done.stderr
    assert rules(file) == {}


def test_policy_adds_labels_and_what_asks_and_nothing_that_allows(here, file, filesystem):
    done = here("servers", "add", "files", "--policy", "--", filesystem)
    assert done.returncode == 0, done.stderr
    assert "added 2 rules to servers.toml" in done.stdout
    assert {one["effect"] for one in rules(file).values()} == {"ask"}
    assert set(rules(file)) == {"files-changes", "files-keys"}
    assert said(file)["servers"]["files"]["labels"]["read_*"] == ["private"]
    assert file.read_text().startswith(BASE)


def test_allow_reads_is_a_flag_of_its_own(here, file, filesystem):
    done = here("servers", "add", "files", "--policy", "--allow-reads", "--", filesystem)
    assert done.returncode == 0, done.stderr
    assert rules(file)["files-reads"]["effect"] == "allow"
    alone = here("servers", "add", "more", "--allow-reads", "--", filesystem)
    assert alone.returncode == 2
    assert "--allow-reads goes with --policy" in alone.stderr


def test_what_was_added_is_trusted_and_nothing_else(here, file, filesystem):
    here("servers", "add", "files", "--policy", "--allow-reads", "--", filesystem)
    assert here("servers", "test", "files").returncode == 0
    wider = file.read_text().replace('"get_file_info"', '"get_file_info", "write_file"', 1)
    assert wider != file.read_text()
    file.write_text(wider)
    assert "not trusted yet: policy;" in here("servers", "test", "files").stderr


def test_a_policy_that_nobody_trusted_is_not_trusted_along(here, file, filesystem):
    """The lines that were seen are not the file's only ones."""
    lax = "[[policy.rules]]\nid = 'all'\neffect = 'allow'\n"
    file.write_text(BASE + lax + "[servers.other]\ncommand = 'other'\n")
    done = here("servers", "add", "files", "--policy", "--allow-reads", "--", filesystem)
    assert done.returncode == 0, done.stderr
    told = here("servers", "test", "files").stderr
    assert "not trusted yet: servers.other, policy;" in told


TURNS = """\
[[turn]]
call = [
    { name = "files__read_text_file", arguments = { path = "notes.txt" } },
    { name = "files__read_text_file", arguments = { path = "/home/ada/.ssh/id_rsa" } },
    { name = "files__write_file", arguments = { path = "a", content = "b" } },
]
[[turn]]
say = "Done."
"""


def test_the_rules_hold_in_a_run(here, file, filesystem, project):
    here("servers", "add", "files", "--policy", "--allow-reads", "--", filesystem)
    (project / "turns.toml").write_text(TURNS)
    here("run", "--model", "script:turns.toml", "--approve", "none", "Read my notes.")
    [transcript] = (project / "transcripts").glob("*.jsonl")
    events = [json.loads(line)["event"] for line in transcript.read_text().splitlines()]
    decided = [(e["decision"], e["rule"]) for e in events if e["type"] == "policy_decided"]
    assert decided == [
        ("allow", "files-reads"),
        ("ask", "files-keys"),
        ("ask", "files-changes"),
    ]


def test_a_dry_run_shows_the_policy_and_writes_nothing(here, file):
    words = ("servers", "add", "git", "--dry-run", "--policy", "--", "uvx", "mcp-server-git==1.0")
    done = here(*words)
    assert done.returncode == 0
    shown = tomllib.loads(done.stdout)
    assert shown["servers"]["git"]["labels"]["git_log"] == ["private"]
    assert [rule["id"] for rule in shown["policy"]["rules"]] == ["git-changes"]
    assert file.read_text() == BASE


def test_a_server_of_no_known_kind_is_asked_about_by_its_own_hints(here, file, tmp_path):
    schema = {"type": "object"}
    tools = [
        {"name": "look", "inputSchema": schema, "annotations": {"readOnlyHint": True}},
        {"name": "drop", "inputSchema": schema, "annotations": {"destructiveHint": True}},
        {"name": "odd", "inputSchema": schema},
    ]
    done = here("servers", "add", "own", "--policy", "--", program(tmp_path, "mine", tools))
    assert done.returncode == 0, done.stderr
    found = rules(file)
    assert found["own-destroys"]["tools"] == ["drop"]
    assert found["own-destroys"]["reason"] == "the server says that it may destroy"
    assert found["own-changes"]["tools"] == ["odd"]
    assert {rule["effect"] for rule in found.values()} == {"ask"}


def test_tools_with_known_names_are_no_leave(here, file, tmp_path):
    """A server that calls its tools as another does gets that one's questions, not its leave."""
    mine = program(tmp_path, "mine", real("filesystem"))
    done = here("servers", "add", "files", "--policy", "--allow-reads", "--", mine)
    assert done.returncode == 0, done.stderr
    assert {rule["effect"] for rule in rules(file).values()} == {"ask"}


def test_ids_that_any_file_has_are_not_taken_twice(here, file, filesystem, environment):
    own = Path(environment["HOME"]) / ".config/agent-host/policy.toml"
    own.parent.mkdir(parents=True)
    own.write_text("[[policy.rules]]\nid = 'files-changes'\neffect = 'ask'\n")
    done = here("servers", "add", "files", "--policy", "--", filesystem)
    assert done.returncode == 0, done.stderr
    assert set(rules(file)) == {"files-changes-2", "files-keys"}


def test_a_file_that_cannot_be_added_to_keeps_its_server_and_says_what_to_write(
    here, file, filesystem
):
    file.write_text("policy = { rules = [] }\n")
    done = here("servers", "add", "files", "--policy", "--", filesystem)
    assert done.returncode == 0
    assert "the policy was not added:" in done.stderr
    assert "[[policy.rules]]" in done.stderr
    assert "files" in said(file)["servers"]
    assert said(file)["policy"] == {"rules": []}


def test_at_a_terminal_what_asks_and_what_allows_are_two_questions(
    project, environment, file, filesystem
):
    words = ("servers", "add", "files", "--", filesystem)
    with Terminal(*words, cwd=project, environ=environment, columns=120, lines=60) as screen:
        screen.wait("Add this? [y/N]")
        screen.keys("y\r")
        shown = screen.wait("Add these? [y/N]")
        assert "[servers.files.labels]" in shown
        assert 'effect = "ask"' in shown
        assert 'effect = "allow"' not in shown
        before = file.read_text()
        assert "policy.rules" not in before
        screen.keys("y\r")
        shown = screen.wait("Add these, too? [y/N]")
        assert 'effect = "allow"' in shown
        screen.keys("\r")
        assert screen.exit_status() == 0
    assert set(rules(file)) == {"files-changes", "files-keys"}


def test_nothing_is_wrong_with_the_policies_of_real_servers(here, file, tmp_path):
    """Against the schemas that those servers have: types, names, and rules that never match."""
    names = ("filesystem", "git", "fetch", "sqlite", "memory", "playwright", "time")
    for name in names:
        path = program(tmp_path, f"mcp-server-{name}", real(name))
        done = here("servers", "add", name, "--policy", "--allow-reads", "--", path)
        assert "added" in done.stdout.splitlines()[-1], done.stderr
    done = here("policy", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is wrong" in done.stdout
