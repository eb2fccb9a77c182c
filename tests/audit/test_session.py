"""A run as a user starts it, and what its audit log then holds."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_host.audit.entries import Facts, Projection
from agent_host.audit.verify import verify
from agent_host.core.errors import RecordError
from agent_host.host.audit import Audited
from agent_host.records.redact import Redactor
from agent_host.state.disk import DISK, Disk
from tests.audit.made import entries_of, log_in, types_of
from tests.audit.runs import EVENTS, STARTED, records, started
from tests.audit.test_log import failing
from tests.fakes.log_collector import OK, LogCollector
from tests.fakes.programs import agent_host, command, environment
from tests.fakes.rooms import MemoryJournal
from tests.journeys.stage import call, stage

SAY = {"say": "Done."}


def log_of(folder: Path) -> Path:
    return folder / ".local" / "share" / "agent-host" / "audit"


def configured(folder: Path, *turns, more: str = "") -> Path:
    stage(folder, *turns)
    path = folder / "servers.toml"
    path.write_text(path.read_text() + more)
    return folder


def run(folder: Path, *options: str, **more):
    return agent_host("run", "go", "--trust", *options, folder=folder, **more)


def test_a_run_is_in_the_log_from_its_start_to_its_end(tmp_path):
    configured(tmp_path, {"call": [call("look"), call("refund", order="1")]}, SAY)
    assert run(tmp_path, "--approve", "all").status == 0
    folder = log_of(tmp_path)
    kinds = types_of(folder)
    assert kinds[:2] == ["file_begun", "run_started"]
    assert kinds[-2:] == ["run_ended", "checkpoint"]
    for kind in ("server_connected", "policy_decided", "approval_requested", "approval_given"):
        assert kind in kinds
    assert kinds.count("call_started") == kinds.count("call_finished") == 2
    report = verify(folder)
    assert (report.finding, report.signed) == (None, 1)
    assert all(e["project"] == str(tmp_path / "servers.toml") for e in entries_of(folder)[1:-1])
    begun = entries_of(folder)[1]
    assert begun["host"]
    assert begun["policy"]
    assert begun["config"]


def test_a_run_without_calls_signs_nothing_and_needs_no_key(tmp_path):
    configured(tmp_path, SAY)
    assert run(tmp_path).status == 0
    assert "checkpoint" not in types_of(log_of(tmp_path))
    assert not (log_of(tmp_path).parent / "audit.key").exists()


def test_what_nobody_allowed_is_in_the_log_as_refused(tmp_path):
    # attack 47: no terminal and no rule that allows
    configured(tmp_path, {"call": [call("refund", order="1"), call("nope")]}, SAY)
    run(tmp_path)
    found = entries_of(log_of(tmp_path))
    refused = {e["name"]: e["outcome"] for e in found if e["type"] == "call_refused"}
    assert refused == {"shop__refund": "denied", "shop__nope": "unknown_tool"}
    given = next(e for e in found if e["type"] == "approval_given")
    assert given["decision"] == "deny"


WITNESS = """
import json, os, sys
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m:
        continue
    if m["method"] == "tools/call":
        with open(os.environ["LOG"]) as log, open(os.environ["SEEN"], "w") as seen:
            seen.write(log.read())
    tool = {"name": "look", "inputSchema": {"type": "object"}}
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "w", "version": "1"}},
        "tools/list": {"tools": [tool]},
        "tools/call": {"content": [{"type": "text", "text": "seen"}]},
    }.get(m["method"])
    answer = {"result": result} if result else {"error": {"code": -32601, "message": "no"}}
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], **answer}), flush=True)
"""


def test_a_call_is_in_the_log_before_the_server_hears_of_it(tmp_path):
    configured(tmp_path, {"call": {"name": "w__look", "arguments": {"a": 1}}}, SAY)
    (tmp_path / "witness.py").write_text(WITNESS)
    log = log_of(tmp_path) / "audit-000000000001.jsonl"
    with (tmp_path / "servers.toml").open("a") as file:
        file.write(
            f"[servers.w]\ncommand = {json.dumps(sys.executable)}\nargs = ['witness.py']\n"
            f"[servers.w.env]\nLOG = {json.dumps(str(log))}\n"
            f"SEEN = {json.dumps(str(tmp_path / 'seen'))}\n"
        )
    assert run(tmp_path, "--approve", "all", "--server", "w").status == 0
    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    assert seen[-1]["type"] == "call_started"
    assert seen[-1]["arguments"] == {"a": 1}


def test_a_killed_run_goes_on_in_the_same_chain(tmp_path):
    # faults 1 and 2
    configured(tmp_path, {"call": call("wait")}, SAY)
    host = subprocess.Popen(
        command("run", "go", "--trust", "--output", "stream-json"),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with host:
        for line in host.stdout:
            if json.loads(line).get("event", {}).get("type") == "tool_started":
                os.kill(host.pid, signal.SIGKILL)
                break
    folder = log_of(tmp_path)
    assert types_of(folder)[-1] == "call_started"
    done = agent_host("run", "--resume", "last", "--trust", folder=tmp_path)
    assert done.status == 0, done.err
    kinds = types_of(folder)
    assert kinds.index("run_resumed") > kinds.index("call_started")
    last = [e for e in entries_of(folder) if e["type"] == "call_finished"][-1]
    assert last["outcome"] == "outcome_unknown"
    assert (last["name"], last["model"]) == ("shop__wait", "actor")
    assert verify(folder).finding is None


def test_a_log_that_cannot_be_written_stops_the_run_before_anything_happens(tmp_path):
    configured(tmp_path, {"call": call("look")}, SAY, more='[audit]\nfolder = "servers.toml"\n')
    done = run(tmp_path)
    assert done.status == 1
    assert "audit log" in done.err
    assert "Traceback" not in done.err
    assert not list((tmp_path / "transcripts").glob("*.jsonl"))


def test_the_log_can_be_turned_off_and_be_elsewhere(tmp_path):
    configured(tmp_path, SAY, more="[audit]\nenabled = false\n")
    assert run(tmp_path).status == 0
    assert not log_of(tmp_path).exists()
    configured(tmp_path, SAY, more='[audit]\nfolder = "kept/audit"\n')
    assert run(tmp_path).status == 0
    assert types_of(tmp_path / "kept" / "audit")[1] == "run_started"
    shown = agent_host("audit", "show", folder=tmp_path)
    assert "run begun" in shown.out


def test_arguments_can_be_left_out(tmp_path):
    configured(
        tmp_path,
        {"call": call("look", who="a private name")},
        SAY,
        more="[audit]\narguments=false\n",
    )
    assert run(tmp_path).status == 0
    text = b"".join(p.read_bytes() for p in log_of(tmp_path).iterdir())
    assert b"private name" not in text
    assert b"arguments_sha256" in text


def test_no_configured_secret_and_none_that_is_found_is_in_the_log(tmp_path):
    # attack 55
    token = "ghp_" + "a1B2" * 9
    configured(tmp_path, {"call": call("look", key="hunter-of-secrets", token=token)}, SAY)
    path = tmp_path / "servers.toml"
    path.write_text(path.read_text().replace("env = {", 'env = { KEY = "${env:KEY}",'))
    assert run(tmp_path, KEY="hunter-of-secrets").status == 0
    text = b"".join(p.read_bytes() for p in log_of(tmp_path).iterdir())
    assert b"call_started" in text
    assert b"hunter-of-secrets" not in text
    assert token.encode() not in text


def test_hostile_text_of_a_server_is_shown_harmlessly(tmp_path):
    # attacks 23, 24
    configured(tmp_path, {"call": call("rude")}, SAY)
    run(tmp_path)
    for arguments in (("show",), ("show", "3"), ("query",), ("export", "--format", "cef")):
        out = agent_host("audit", *arguments, folder=tmp_path).out
        assert not set(out) & {"\x1b", "\u202e", "\x9b", "\u200b"}


def test_a_call_by_hand_is_in_the_log(tmp_path):
    configured(tmp_path, SAY)
    done = agent_host("tools", "call", "shop__look", "a=1", "--trust", folder=tmp_path)
    assert done.status == 0, done.err
    begun, ended = entries_of(log_of(tmp_path))[1:]
    assert (begun["type"], begun["tool"], begun["arguments"]) == ("call_started", "look", {"a": 1})
    assert begun["by_hand"] is True
    assert begun["run"] == ""
    assert begun["who"]
    assert (ended["type"], ended["outcome"]) == ("call_finished", "ok")


def test_old_files_are_removed_at_the_end_of_a_run(tmp_path):
    more = "[audit]\nmax_file = 65536\nretention = '1d'\n"
    configured(tmp_path, SAY, more=more)
    folder = log_of(tmp_path)
    long_ago = "2020-01-01T00:00:00.000000Z"
    log = log_in(folder.parent, max_file=4000, clock=lambda: long_ago)
    for _ in range(40):
        log.append([{"type": "x", "time": long_ago, "pad": "x" * 300}])
    log.close()
    old = sorted(path.name for path in folder.glob("audit-*"))
    assert run(tmp_path).status == 0
    assert sorted(path.name for path in folder.glob("audit-*")) == old[-1:]
    report = verify(folder)
    assert report.finding is None
    assert any("removed by retention" in note for note in report.notes)
    assert agent_host("audit", "verify", folder=tmp_path).status == 0


# -- a collector ---------------------------------------------------------------------------------


def test_a_run_brings_its_entries_to_the_collector(tmp_path):
    with LogCollector() as collector:
        more = (
            f'[audit]\nsend_to = "{collector.url}"\n'
            'send_headers = { authorization = "Bearer ${env:KEY}" }\n'
        )
        configured(tmp_path, {"call": call("look")}, SAY, more=more)
        done = run(tmp_path, KEY="hunter-of-secrets")
        assert done.status == 0, done.err
        count = len(entries_of(log_of(tmp_path)))
        assert sorted(collector.numbers) == list(range(1, count + 1))
        assert collector.headers[0]["authorization"] == "Bearer hunter-of-secrets"
        assert "hunter" not in done.err


def test_a_collector_that_is_down_delays_no_run_and_loses_nothing(tmp_path):
    collector = LogCollector()
    collector.stop()
    more = f'[audit]\nsend_to = "{collector.url}"\n'
    configured(tmp_path, {"call": call("look")}, SAY, more=more)
    done = run(tmp_path)
    assert done.status == 0
    assert "audit entries wait to be sent" in done.err
    status = agent_host("audit", "send", "--status", folder=tmp_path)
    assert status.status == 1
    assert "cannot be reached" in status.out
    failed = agent_host("audit", "send", "--trust", folder=tmp_path)
    assert failed.status == 1
    assert "wait" in failed.out
    collector.start()
    with collector:
        done = agent_host("audit", "send", "--trust", folder=tmp_path)
        assert done.status == 0, done.err
        count = len(entries_of(log_of(tmp_path)))
        assert collector.numbers == list(range(1, count + 1))
        assert f"{count} sent" in done.out
        assert agent_host("audit", "send", "--status", folder=tmp_path).status == 0


def test_sending_waits_for_a_busy_collector_as_long_as_it_is_told_to(tmp_path):
    answers = iter([(503, {"retry-after": "0"}, b""), OK])
    with LogCollector(lambda _: next(answers)) as collector:
        configured(tmp_path, SAY, more=f'[audit]\nsend_to = "{collector.url}"\nenabled = true\n')
        log_in(log_of(tmp_path).parent).close()
        done = agent_host("audit", "send", "--trust", "--wait", "30", folder=tmp_path)
        assert done.status == 0, done.err
        assert collector.asked == [[1], [1]]


def test_what_a_collector_refuses_for_good_is_said(tmp_path):
    def answer(batch):
        return (400, {}, b"no such field") if 2 in batch else OK

    with LogCollector(answer) as collector:
        configured(tmp_path, SAY, more=f'[audit]\nsend_to = "{collector.url}"\n')
        run(tmp_path)
        done = agent_host("audit", "send", "--trust", folder=tmp_path)
        assert done.status == 1
        assert "1 were refused for good" in done.out


def test_another_projects_entries_do_not_reach_this_projects_collector(tmp_path):
    with LogCollector() as collector:
        one, two = tmp_path / "one", tmp_path / "two"
        one.mkdir()
        two.mkdir()
        configured(one, SAY)
        configured(two, SAY, more=f'[audit]\nsend_to = "{collector.url}"\n')
        for project in (one, two):
            done = agent_host("run", "go", "--trust", folder=project, HOME=str(tmp_path))
            assert done.status == 0, done.err
        sent = b"".join(collector.bodies).decode()
        assert str(two) in sent
        assert str(one) not in sent


def test_sending_without_a_collector_says_what_to_write(tmp_path):
    configured(tmp_path, SAY)
    done = agent_host("audit", "send", "--trust", folder=tmp_path)
    assert (done.status, "write send_to in [audit]" in done.err) == (2, True)


# -- the journal between a session and its transcript --------------------------------------------


def audited(tmp_path, inner=None, disk=DISK):
    log = log_in(tmp_path, disk=disk)
    inner = MemoryJournal() if inner is None else inner
    return Audited(inner, log, Projection(Facts()), Redactor({})), inner, log


def test_an_entry_is_in_the_log_before_its_record_is_in_the_transcript(tmp_path):
    seen = []

    class Looking(MemoryJournal):
        def append(self, record):
            seen.append(types_of(tmp_path / "audit")[-1])
            super().append(record)

    journal, inner, log = audited(tmp_path, Looking())
    made = records(*EVENTS)
    for record in made:
        journal.append(record)
    assert inner.records == made
    assert seen[0] == "run_started"
    assert "call_started" in seen
    journal.sync()
    assert inner.synced == len(made)
    assert journal.keep("x", b"y") == "artifacts/x"
    log.close()


def test_a_log_that_is_full_stops_the_run_and_nothing_is_recorded(tmp_path):
    journal, inner, log = audited(tmp_path, disk=failing(3, 28))
    first, second = records(STARTED, started("c1", "look", {}))
    journal.append(first)
    with pytest.raises(RecordError, match="free space"):
        journal.append(second)
    assert inner.records == [first]
    log.close()


@pytest.mark.parametrize("fails", ["log", "transcript"])
def test_a_call_waits_for_both_and_an_error_of_either_stops_the_run(tmp_path, fails):
    def sync(fd):
        raise OSError(5, "Input/output error")

    class Failing(MemoryJournal):
        def sync(self):
            raise RecordError("the transcript's disk failed")

    inner = Failing() if fails == "transcript" else None
    journal, _, log = audited(tmp_path, inner, Disk(sync=sync) if fails == "log" else DISK)
    journal.append(records(STARTED)[0])
    with pytest.raises(RecordError, match="disk failed"):
        journal.sync()
    log.close()


def test_what_the_transcript_could_not_take_is_void_in_the_log(tmp_path):
    journal, _, log = audited(tmp_path, MemoryJournal(full_at=1))
    first, second = records(STARTED, started("c1", "look", {}))
    journal.append(first)
    with pytest.raises(RecordError):
        journal.append(second)
    log.close()
    assert types_of(log.folder)[-2:] == ["call_started", "not_recorded"]
    assert entries_of(log.folder)[-1]["event"] == "tool_started"


def test_who_accepts_changed_tools_is_in_the_log(tmp_path):
    configured(tmp_path, SAY)
    done = agent_host("servers", "lock", "--accept", "--yes", "--trust", folder=tmp_path)
    assert done.status == 0, done.err
    (accepted,) = [e for e in entries_of(log_of(tmp_path)) if e["type"] == "pins_accepted"]
    assert (accepted["server"], accepted["who_from"]) == ("shop", "os")
    assert any(name.startswith("look (") for name in accepted["names"])


def test_who_answers_from_elsewhere_is_in_the_log_also_if_the_run_never_takes_it(tmp_path):
    configured(tmp_path, {"call": call("refund", order="1")}, SAY)
    assert run(tmp_path, "--approve", "defer").status == 7
    question = next(e for e in entries_of(log_of(tmp_path)) if e["type"] == "approval_requested")
    listed = json.loads(agent_host("approvals", "list", "--json", folder=tmp_path).out)
    name = str(listed[0]["id"])
    done = agent_host("approvals", "deny", name, "--reason", "no", "--trust", folder=tmp_path)
    assert done.status == 0, done.err
    last = entries_of(log_of(tmp_path))[-1]
    assert (last["type"], last["decision"], last["binding"]) == (
        "approval_answered",
        "deny",
        question["binding"],
    )
    assert last["run"] == question["run"]
    assert agent_host("run", "--resume", "last", "--trust", folder=tmp_path).status == 4
    kinds = types_of(log_of(tmp_path))
    assert kinds.index("approval_given") > kinds.index("approval_answered")
    assert verify(log_of(tmp_path)).finding is None
