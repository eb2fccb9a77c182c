import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent_host.cli.transcripts_list import table
from agent_host.core.errors import ExitStatus
from agent_host.core.types import Text
from agent_host.records.codec import encode
from agent_host.records.reader import Summary
from tests.fakes import programs
from tests.records.samples import LEGAL, START, finished, records, requested, responded, user

OLD = "01KAP4AAAA0000000000000001"
NEW = "01KAP5ZZZZ0000000000000003"
ROOT = Path(__file__).parents[2]


def put(folder, run_id, *events):
    path = folder / f"{run_id}.jsonl"
    items = records(*(events or LEGAL), run_id=run_id)
    path.write_bytes(b"".join(encode(item) + b"\n" for item in items))
    return path


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "transcripts"
    folder.mkdir()
    (tmp_path / "servers.toml").write_text('model = "offline"\n')
    return folder


def command(folder, *arguments, **environment):
    state = str(folder.parent / "state")
    env = programs.environment(folder.parent, AGENT_HOST_STATE=state, **environment)
    return programs.completed("transcripts", *arguments, cwd=folder.parent, env=env)


def test_the_list_names_each_run_newest_first(folder):
    put(folder, OLD)
    put(folder, NEW, *LEGAL[:4])
    done = command(folder, "list")
    assert (done.returncode, done.stderr) == (0, "")
    new, old = done.stdout.splitlines()
    assert new == (
        f"{NEW}  2026-11-22 10:00  cut off (the model was to answer): "
        "Where is my order 12345? Refund the shipping. (0 turns, 0 calls, local:llama)"
    )
    assert old.startswith(f"{OLD}  2026-11-22 10:00  waiting for the user: ")


def test_a_list_can_be_short_or_json(folder):
    put(folder, OLD)
    put(folder, NEW)
    assert command(folder, "list", "-n", "1").stdout.splitlines()[1:] == [
        "… and 1 older (-n 2 lists all)"
    ]
    found = json.loads(command(folder, "list", "--json").stdout)
    assert [run["run_id"] for run in found] == [NEW, OLD]
    assert found[0]["usage"]["input_tokens"] == 240
    assert command(folder, "list", "-n", "0").returncode == ExitStatus.USAGE
    assert command(folder, "list", "-n", "x").returncode == ExitStatus.USAGE


def test_an_empty_or_missing_folder_is_no_error(folder):
    for _ in range(2):
        done = command(folder, "list")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"No transcripts yet in {folder}.\n"
        assert json.loads(command(folder, "list", "--json").stdout) == []
        if folder.exists():
            folder.rmdir()


def test_broken_transcripts_are_listed_with_the_reason(folder):
    put(folder, OLD)
    (folder / f"{NEW}.jsonl").write_text("garbage\x1b[2J")
    (folder / "bad\x1bname.jsonl").write_text("")
    done = command(folder, "list")
    assert done.returncode == 0
    assert f"{NEW}  broken: {folder}/{NEW}.jsonl:1: cut off" in done.stdout.replace("\n", " ")
    assert "\x1b" not in done.stdout


def test_show_tells_the_run_and_what_it_came_to(folder):
    put(folder, OLD)
    for asked in (OLD, OLD[:8].lower(), "last"):
        done = command(folder, "show", asked)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert lines[0] == f"run {OLD} in {folder}/{OLD}.jsonl"
        assert "    Where is my order 12345? Refund the shipping." in lines
        assert lines[-1].startswith("waiting for the user; 2 turns, 3 calls, 240 tokens in")
        assert lines[-1].endswith(f'agent-host run --resume {OLD} "..."')
    put(folder, NEW, *LEGAL[:4])
    assert command(folder, "show", NEW).stdout.endswith(f"agent-host run --resume {NEW}\n")


def test_show_as_json_and_raw_hold_everything(folder):
    path = put(folder, OLD)
    document = json.loads(command(folder, "show", OLD, "--json").stdout)
    assert document["run_id"] == OLD
    assert document["torn"] == ""
    lines = path.read_text().splitlines()
    assert document["records"] == [json.loads(line) for line in lines]
    assert command(folder, "show", OLD, "--raw").stdout.splitlines() == lines


def test_raw_shows_damaged_files_too_but_cleaned(folder):
    (folder / f"{OLD}.jsonl").write_bytes(b"\x1b[2J\xff\n{torn")
    done = command(folder, "show", OLD, "--raw")
    assert (done.returncode, done.stdout) == (0, "\\u{1b}[2J\\xff\n{torn\n")


def test_a_torn_end_is_reported_and_the_rest_is_shown(folder):
    with put(folder, OLD).open("ab") as file:
        file.write(b'{"torn')
    done = command(folder, "show", OLD)
    assert done.returncode == 0
    assert "ended, done" in done.stdout
    assert done.stderr.startswith(f"agent-host: {folder}/{OLD}.jsonl:29: the last 6 bytes")


def test_records_that_make_no_legal_run_are_shown_with_what_is_wrong(folder):
    put(folder, OLD, LEGAL[0], finished("x", "some text"))
    done = command(folder, "show", OLD)
    assert done.returncode == ExitStatus.FAILED
    assert "    some text" in done.stdout
    assert "no legal conversation" in done.stderr


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda text: text.replace('"schema":1', '"schema":2'), "newer agent-host"),
        (lambda _: "", "empty"),
        (lambda text: text[1:], ".jsonl:1: damaged"),
    ],
)
def test_what_cannot_be_shown_is_one_line_that_says_why(folder, break_it, says):
    path = put(folder, OLD)
    path.write_text(break_it(path.read_text()))
    done = command(folder, "show", OLD)
    assert (done.returncode, done.stdout) == (ExitStatus.FAILED, "")
    assert done.stderr.startswith("agent-host: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("new", "says"),
    [('"user_said', ".jsonl:4: damaged"), ('"user_sang"', ".jsonl:4: unknown event type")],
)
def test_a_damaged_run_is_shown_up_to_the_damage(folder, new, says):
    path = put(folder, OLD)
    path.write_text(path.read_text().replace('"user_said"', new, 1))
    done = command(folder, "show", OLD)
    assert done.returncode == ExitStatus.FAILED
    assert "server orders connected" in done.stdout
    assert "Where is my order" not in done.stdout
    assert done.stderr.startswith("agent-host: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    document = json.loads(command(folder, "show", OLD, "--json").stdout)
    assert len(document["records"]) == 3
    assert says in document["broken"]
    assert says in command(folder, "list").stdout


def test_an_unknown_run_is_one_line_with_the_nearest(folder):
    put(folder, OLD)
    done = command(folder, "show", OLD[:-1] + "9")
    assert (done.returncode, done.stdout) == (ExitStatus.USAGE, "")
    assert f"did you mean {OLD}?" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_working_folder_that_is_gone_is_one_line(folder):
    gone = folder / "gone"
    gone.mkdir()
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            'rmdir "$PWD" && exec "$0" -m agent_host transcripts list',
            sys.executable,
        ],
        cwd=gone,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == ExitStatus.USAGE
    assert done.stderr.count("\n") == 1
    assert "the working folder does not exist any more" in done.stderr


def test_an_unreadable_folder_is_one_line(folder):
    folder.rmdir()
    folder.write_text("a file")
    for arguments in (["list"], ["show", "last"]):
        done = command(folder, *arguments)
        assert (done.returncode, done.stdout) == (ExitStatus.FAILED, "")
        assert "cannot be listed" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_terminal_that_knows_only_ascii_gets_escapes(folder):
    put(folder, OLD, LEGAL[0], finished("x", "grüße"))
    done = command(folder, "show", OLD, PYTHONIOENCODING="ascii")
    assert "gr\\xfc\\xdfe" in done.stdout


def test_the_command_imports_nothing_slow(folder):
    put(folder, OLD)
    code = (
        "import sys\n"
        "from agent_host.cli.main import main\n"
        "main(['transcripts', 'list'])\n"
        "main(['transcripts', 'show', 'last'])\n"
        "slow = {'asyncio', 'mcp', 'mcp_types', 'openai', 'anthropic', 'prompt_toolkit', 'rich'}\n"
        "sys.exit(f'imported: {slow & set(sys.modules)}' if slow & set(sys.modules) else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_narrow_screen_gets_two_lines_for_a_run_and_both_fit():
    at = "2026-11-25T13:40:00.000000Z"
    runs = [Summary(run_id="0" * 26, path=Path("x"), started_at=at, words="w" * 80)]
    for width in (40, 71):
        first, second = table(runs, width)
        assert first.startswith(f"{'0' * 26}  11-2")
        assert len(first) <= width
        assert second.startswith("  : www")
        assert len(second) <= width
    [line] = table(runs, 72)
    assert ":40  : www" in line


def test_a_run_is_called_after_the_first_message_that_says_something(folder):
    stray = (START, user("y"), requested("r1"), responded("r1", Text(text="Yes?")))
    put(folder, OLD, *stray)
    put(folder, NEW, *stray, user("Where is the green parcel?"))
    new, old = command(folder, "list").stdout.splitlines()
    assert "Where is the green parcel? (1 turn" in new
    assert "waiting for the user: y (1 turn" in old


def test_an_index_of_an_older_program_is_made_anew_with_its_titles(folder):
    stray = (START, user("y"), requested("r1"), responded("r1", Text(text="Yes?")))
    put(folder, NEW, *stray, user("Where is the green parcel?"))
    command(folder, "list")
    (place,) = (folder.parent / "state").glob("**/indexes/*.db")
    with closing(sqlite3.connect(place)) as db:
        db.execute("UPDATE runs SET tally = replace(tally, 'Where is', 'Who has')")
        db.execute("PRAGMA user_version = 5")
        db.commit()
    assert "Where is the green parcel?" in command(folder, "list").stdout
