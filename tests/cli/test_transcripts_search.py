import fcntl
import json
import os
from dataclasses import replace

import pytest

from agent_host.core.errors import ExitStatus
from agent_host.core.events import ApprovalRequested
from agent_host.core.types import Text, ToolCall
from agent_host.records.reader import conversation
from tests.cli.test_transcripts import NEW, OLD, command, folder, put
from tests.records.samples import APPROVALS, LEGAL, START, requested, responded, user

__all__ = ["folder"]

ONE = (START, user("Where is the green parcel?"), requested("r1"),
       responded("r1", Text(text="On a\x1b[2J shelf.")))  # fmt: skip
TWO = (*ONE, user("And the red one?"), requested("r2"), responded("r2", Text(text="Lost.")))


def test_search_shows_each_run_and_the_places(folder):
    put(folder, OLD, *TWO)
    put(folder, NEW, *LEGAL)
    done = command(folder, "search", "shelf", "red")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].startswith(OLD)
    assert done.stdout.splitlines()[1:] == [
        "    turn 1, model: On a [2J shelf.",
        "    turn 2, user: And the red one?",
    ]
    found = json.loads(command(folder, "search", "red", "--json").stdout)
    assert (found["total"], found["runs"][0]["run_id"]) == (1, OLD)
    assert found["runs"][0]["places"] == [{"turn": 2, "kind": "user", "text": "And the red one?"}]


def test_search_that_finds_nothing_says_so_and_one_without_words_is_a_mistake(folder):
    put(folder, OLD, *TWO)
    done = command(folder, "search", "nowhere")
    assert (done.returncode, done.stdout) == (1, f"Nothing found in {folder}.\n")
    assert command(folder, "search", "***").returncode == ExitStatus.USAGE
    assert command(folder, "list", "--since", "yesterday").returncode == ExitStatus.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ("parcel", "-red"),
        ("-red", "parcel"),
        ("parcel", "-n", "3", "-red"),
        ("parcel", "-n3", '-"red one"', "--user", "ana"),
        ("-red", "--user", "ana", "parcel"),
        ("--", "-red", "parcel"),
        ("parcel", "--", "-red"),
    ],
)
def test_a_word_with_a_dash_must_not_be_there_wherever_it_stands(folder, arguments):
    put(folder, OLD, *TWO)
    put(folder, NEW, *ONE)
    done = command(folder, "search", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line[:26] for line in done.stdout.splitlines() if line[0] != " "] == [NEW]


def test_what_lists_and_searches_loads_no_pydantic(folder):
    put(folder, OLD, *TWO)
    for arguments in (("list",), ("search", "red")):
        loaded = command(folder, *arguments, PYTHONPROFILEIMPORTTIME="1").stderr
        assert "agent_host.records.index" in loaded
        assert "pydantic" not in loaded


def test_a_list_has_filters(folder):
    put(folder, OLD, *TWO)
    (folder / f"{NEW}.jsonl").write_text("garbage")
    [line] = command(folder, "list", "--user", "ana", "--since", "2026-11-01").stdout.splitlines()
    assert line.startswith(OLD)
    [line] = command(folder, "list", "--outcome", "broken").stdout.splitlines()
    assert line.startswith(NEW)
    assert "No such run in" in command(folder, "list", "--user", "bo").stdout


def test_a_fork_at_a_turn_ends_there_and_names_its_parent(folder):
    path = put(folder, OLD, *TWO)
    before = path.read_bytes()
    made = json.loads(command(folder, "fork", OLD, "--at", "1", "--json").stdout)
    assert made["parent"] == OLD
    assert len(conversation(folder / f"{made['run_id']}.jsonl").messages) == 2
    assert path.read_bytes() == before
    listed = json.loads(command(folder, "list", "--json").stdout)
    assert listed[0]["parent"] == OLD
    done = command(folder, "fork", OLD, "--at", "7")
    assert done.returncode == ExitStatus.USAGE
    assert "no place to fork after turn 7; the user is awaited after: 0, 1, 2" in done.stderr


def test_delete_takes_the_artifacts_and_the_words_and_leaves_the_others(folder):
    path = put(folder, OLD, *TWO)
    put(folder, NEW, *LEGAL)
    path.with_name(f"{OLD}.artifacts").mkdir()
    path.with_name(f"{OLD}.artifacts").joinpath("a.txt").write_text("a")
    path.with_name(f"{OLD}.corrupt").write_text("torn")
    assert command(folder, "search", "shelf").returncode == 0
    done = command(folder, "delete", OLD)
    assert done.returncode == ExitStatus.USAGE
    assert "add --yes" in done.stderr
    done = command(folder, "delete", OLD, "--yes")
    assert (done.returncode, done.stdout) == (0, f"{OLD}\nDeleted 1 run.\n")
    assert [one.name for one in folder.iterdir()] == [f"{NEW}.jsonl"]
    assert command(folder, "search", "shelf").returncode == 1


def test_a_run_whose_process_is_alive_is_shown_as_under_way(folder):
    path = put(folder, OLD, *TWO[:-1])
    assert "cut off" in command(folder, "list").stdout
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for action in (("list",), ("list", "--user", "ana"), ("search", "red"), ("show", OLD)):
            done = command(folder, *action)
            assert "under way in process " in done.stdout, action
            assert "cut off" not in done.stdout
            assert "--resume" not in done.stdout
    assert "--resume" in command(folder, "show", OLD).stdout


def test_a_run_that_is_under_way_is_not_deleted_pruned_or_resumed(folder):
    path = put(folder, OLD, *TWO)
    put(folder, NEW, *TWO)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = command(folder, "delete", OLD, NEW, "--yes")
        assert done.returncode == ExitStatus.FAILED
        assert f"{path}: the run is under way in " in done.stderr
        assert "Deleted 1 run." in done.stdout
        done = command(folder, "prune", "--keep", "1s", "--yes")
        assert (done.returncode, done.stdout) == (0, "Nothing to delete.\n")
        done = command(folder, "resume", OLD)
        assert "under way" in done.stderr
    assert path.exists()


@pytest.mark.parametrize("option", [("--keep", "30d"), ("--keep-runs", "1"), ()])
def test_prune_deletes_what_is_old_by_option_or_config(folder, option):
    old, new = put(folder, OLD, *TWO), put(folder, NEW, *TWO)
    text = old.read_text().replace("2026-11-22", "2001-11-22")
    old.write_text(text)
    os.utime(old, (1e9, 1e9))
    config = folder.parent / "servers.toml"
    config.write_text(f"{config.read_text()}[records]\nkeep_runs = 1\n")
    done = command(folder, "prune", *option, "--dry-run")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [OLD], done.stderr
    assert old.exists()
    assert command(folder, "prune", *option, "--yes").returncode == 0
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize(
    ("until", "stays"),
    [("", True), ("2999-01-01T00:00:00Z", True), ("2026-11-22T11:00:00Z", False)],
)
def test_prune_leaves_a_run_whose_call_waits_for_an_approval_until_that_expires(
    folder, until, stays
):
    call = ToolCall(id="c1", name="orders__look", arguments={})
    asked = replace(next(e for e in APPROVALS if isinstance(e, ApprovalRequested)),
                    call_id="c1", arguments={}, expires_at=until)  # fmt: skip
    path = put(folder, OLD, *ONE[:3], responded("r1", call, stop="tool_use"), asked)
    put(folder, NEW, *ONE)
    assert "waiting for approval" in command(folder, "list").stdout
    done = command(folder, "prune", "--keep-runs", "1", "--yes")
    assert done.returncode == 0
    assert ("waits for approval: kept" in done.stdout, path.exists()) == (stays, stays)


def test_transcripts_can_be_kept_for_decades(folder):
    old = put(folder, OLD, *TWO)
    old.write_text(old.read_text().replace("2026-11-22", "2001-11-22"))
    os.utime(old, (1e9, 1e9))
    put(folder, NEW, *TWO)
    config = folder.parent / "servers.toml"
    config.write_text(f'{config.read_text()}[records]\nkeep = "3650d"\n')
    for option in ((), ("--keep", "3650d")):
        done = command(folder, "prune", *option, "--dry-run")
        assert [line.split()[0] for line in done.stdout.splitlines()] == [OLD], done.stderr
    done = command(folder, "prune", "--keep", "36526d", "--dry-run")
    assert done.returncode == ExitStatus.USAGE
    assert "at most 36,525 days" in done.stderr


def test_prune_without_a_limit_deletes_nothing(folder):
    put(folder, OLD, *TWO)
    done = command(folder, "prune", "--yes")
    assert done.returncode == ExitStatus.USAGE
    assert "nothing says what to keep" in done.stderr


def test_resume_goes_on_with_the_run_and_a_prompt(folder):
    (folder.parent / "servers.toml").write_text('model = "offline"\n')
    path = put(folder, OLD, *TWO)
    before = path.read_bytes()
    done = command(folder, "resume", OLD, "And now?", AGENT_HOST_TRUST="")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes().startswith(before)
    assert b"And now?" in path.read_bytes()
