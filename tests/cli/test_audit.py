"""`agent-host audit` as a user types it."""

import json
import subprocess
import sys

import pytest

from agent_host.audit.files import files
from agent_host.cli.audit_folder import moment
from agent_host.core.errors import UsageError
from tests.audit.made import entries_of, entry, log_in, time_of
from tests.test_house import loaded_by

RUN = "01KAP4ZZZZ0000000000000000"


@pytest.fixture
def folder(environment, tmp_path):
    """The user's log, of a run with a call that policy allowed and one that it denied."""
    data = tmp_path / "home" / ".local" / "share" / "agent-host"
    log = log_in(data)
    allow = {"decision": "allow", "rule": "reads", "tool": "get_order", "run": RUN}
    log.append([entry(1, type="policy_decided", **allow)])
    log.append([entry(2, tool="get_order")])
    log.append([entry(3, type="call_finished", outcome="ok", duration_ms=4, tool="get_order")])
    denied = {"decision": "deny", "rule": "no-mail", "server": "mail", "tool": "send"}
    log.append([entry(4, type="policy_decided", who="bo", run="OTHER", reason="never", **denied)])
    log.append([entry(5, type="approval_given", decision="approve", approver="cy")])
    log.checkpoint()
    log.close()
    return log.folder


def test_show_prints_the_newest_entries_as_sentences(here, folder):
    done = here("audit", "show")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    assert "policy allowed orders/get_order" in lines[1]
    assert "by reads" in lines[1]
    assert lines[4].startswith("!")
    assert len(here("audit", "show", "--last", "2").stdout.splitlines()) == 2


def test_show_prints_one_entry_whole_by_number_or_hash(here, folder):
    wanted = entries_of(folder)[4]
    for name in ("5", wanted["hash"][:12]):
        done = here("audit", "show", name)
        assert done.returncode == 0
        assert "policy denied mail/send" in done.stdout
        assert wanted["hash"] in done.stdout
    assert json.loads(here("audit", "show", "5", "--json").stdout)["reason"] == "never"
    unknown = here("audit", "show", "77")
    assert (unknown.returncode, "there is no entry" in unknown.stderr) == (2, True)


def test_show_prints_a_run(here, folder):
    assert len(here("audit", "show", "--run", "OTHER").stdout.splitlines()) == 1
    assert len(json.loads(here("audit", "show", "--run", RUN, "--json").stdout)) == 4


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--who", "bo"), 1),
        (("--server", "mail"), 1),
        (("--tool", "get_*"), 3),
        (("--decision", "deny"), 1),
        (("--rule", "no-mail"), 1),
        (("--approver", "cy"), 1),
        (("--run", RUN), 4),
        (("--type", "call_finished"), 1),
        (("--since", time_of(4)), 2),
        (("--until", time_of(2), "--type", "policy_decided"), 1),
        (("--since", "2020-01-01", "--who", "ana"), 4),
        (("--since", "2030-01-01"), 0),
    ],
)
def test_a_query_prints_what_matches(here, folder, arguments, count):
    found = json.loads(here("audit", "query", "--json", *arguments).stdout)
    kinds = {"checkpoint", "file_begun"}
    assert len([e for e in found if e["type"] not in kinds]) == count
    table = here("audit", "query", *arguments)
    assert table.returncode == 0
    assert len(table.stdout.splitlines()) == len(found)
    assert found or "no entry matches" in table.stderr


@pytest.mark.parametrize("text", ["yesterday", "24", "2026-13-01", "h", ""])
def test_what_is_no_time_is_refused_with_what_is_one(text):
    with pytest.raises(UsageError, match="24h"):
        moment(text)


def test_times_may_be_relative_or_local_and_are_utc_in_the_end():
    assert moment("2026-11-25T10:00:00Z") == "2026-11-25T10:00:00.000000Z"
    assert moment("2026-11-25T12:00:00+02:00") == "2026-11-25T10:00:00.000000Z"
    assert moment("1h") < moment("1m")


def test_verify_says_that_a_log_is_whole_and_what_it_cannot_see(here, folder):
    done = here("audit", "verify")
    assert done.returncode == 0
    assert done.stdout.startswith("whole: 7 entries in 1 file")
    assert "this user's key" in done.stdout
    assert "--checkpoint" in done.stdout
    said = json.loads(here("audit", "verify", "--json").stdout)
    assert (said["ok"], said["entries"], said["signed"]) == (True, 7, 1)


def test_verify_names_file_line_and_entry_of_what_was_changed(here, folder):
    (path,) = files(folder)
    path.write_bytes(path.read_bytes().replace(b'"reason":"never"', b'"reason":"nev3r"'))
    done = here("audit", "verify")
    assert done.returncode == 1
    assert f"NOT WHOLE: {path.name}:5: entry 5 was changed" in done.stdout
    assert "up to 4, are as they were written" in done.stdout
    said = json.loads(here("audit", "verify", "--json").stdout)
    assert said["ok"] is False
    assert (said["finding"]["kind"], said["finding"]["line"]) == ("changed", 5)


def test_a_cut_off_end_shows_against_what_checkpoint_printed(here, folder, tmp_path):
    printed = here("audit", "checkpoint").stdout
    kept = tmp_path / "kept.txt"
    kept.write_text(f"a note of ours\n{printed}")
    assert here("audit", "verify", "--checkpoint", str(kept)).returncode == 0
    (path,) = files(folder)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:5]))
    assert here("audit", "verify").returncode == 0
    done = here("audit", "verify", "--checkpoint", str(kept))
    assert done.returncode == 1
    assert "the log ends at entry 5" in done.stdout
    typed = printed.split()[0]
    assert here("audit", "verify", "--checkpoint", typed).returncode == 1
    said = json.loads(here("audit", "checkpoint", "--json").stdout)
    assert said["seq"] == 5
    assert here("audit", "verify", "--checkpoint", "x").returncode == 2


def test_verify_can_begin_with_a_file_and_trust_a_key(here, folder):
    (path,) = files(folder)
    assert here("audit", "verify", "--since", str(path)).returncode == 0
    done = here("audit", "verify", "--since", "audit-000000000099.jsonl")
    assert (done.returncode, path.name in done.stderr) == (2, True)
    done = here("audit", "verify", "--key", "AAAA")
    assert (done.returncode, "another key" in done.stdout) == (1, True)


@pytest.mark.parametrize("form", ["ocsf", "cef", "otel", "jsonl"])
def test_export_writes_lines_to_a_private_file_or_the_output(here, folder, form, tmp_path):
    printed = here("audit", "export", "--format", form).stdout
    target = tmp_path / "out.log"
    done = here("audit", "export", "--format", form, "-o", str(target))
    assert done.returncode == 0
    assert target.read_text() == printed
    assert target.stat().st_mode & 0o777 == 0o600
    assert len(printed.splitlines()) == (1 if form == "otel" else 7)
    assert here("audit", "export", "--format", form, "--who", "bo").stdout.count("mail") >= 1
    assert [p.name for p in tmp_path.glob("out*")] == ["out.log"]


def test_an_export_that_cannot_be_written_says_so_and_leaves_nothing(here, folder, tmp_path):
    done = here("audit", "export", "--format", "cef", "-o", str(tmp_path / "no" / "out"))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    (tmp_path / "here").mkdir()
    done = here("audit", "export", "--format", "cef", "-o", str(tmp_path / "here"))
    assert done.returncode == 1
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".new")]


def test_a_copy_of_a_log_is_looked_at_with_its_folder(here, folder, tmp_path):
    copy = tmp_path / "copy"
    folder.rename(copy)
    assert here("audit", "show").returncode == 1
    for action in (("show",), ("verify",), ("query",), ("checkpoint",)):
        assert here("audit", *action, "--folder", str(copy)).returncode == 0


def test_without_a_log_it_is_said_how_one_begins(here):
    done = here("audit", "show")
    assert done.returncode == 1
    assert "no audit log yet" in done.stderr


def test_the_folder_is_the_one_that_the_config_names(here, folder, project):
    (project / "servers.toml").write_text('[audit]\nfolder = "own"\n')
    assert "no audit log yet" in here("audit", "show").stderr
    folder.rename(project / "own")
    assert here("audit", "show").returncode == 0
    (project / "servers.toml").write_text("[audit]\nfolder = 3\n")
    assert here("audit", "show").returncode == 1


def test_a_reader_that_leaves_early_is_no_fault(cli, folder, environment, project):
    command = f"{sys.executable} -m agent_host audit export --format ocsf | head -1"
    done = subprocess.run(
        command,
        shell=True,
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["class_uid"] == 6003


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "show"],
        ["audit", "verify"],
        ["audit", "query", "--who", "x"],
        ["audit", "export", "--format", "ocsf"],
        ["audit", "checkpoint"],
    ],
    ids=" ".join,
)
def test_looking_at_the_log_loads_no_sdk_no_event_loop_and_no_config(arguments, tmp_path):
    log = log_in(tmp_path / ".local" / "share" / "agent-host")
    log.append([entry()])
    log.close()
    status, modules = loaded_by(arguments, tmp_path)
    assert status == 0
    heavy = {"mcp", "openai", "anthropic", "prompt_toolkit", "asyncio", "pydantic", "httpx2"}
    assert modules.isdisjoint(heavy)


def test_a_run_that_sends_nothing_does_not_pay_for_sending_or_signing():
    code = (
        "import sys, agent_host.cli.run\n"
        "late = ('sender', 'collector', 'spool', 'otel', 'ocsf', 'cef', 'verify', 'reading')\n"
        "print([m for m in late if 'agent_host.audit.' + m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
