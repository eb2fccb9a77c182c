"""`agent-host transcripts replay`: what is said of runs, and the exit status."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.fakes.programs import ROOT

TRANSCRIPTS = sorted((ROOT / "transcripts").glob("*.jsonl"))
FIRST = TRANSCRIPTS[0].name.removesuffix(".jsonl")


@pytest.fixture
def folder(project: Path) -> Path:
    shutil.copytree(ROOT / "transcripts", project / "transcripts")
    (project / "servers.toml").write_text('model = "offline"\n')
    return project / "transcripts"


def tampered(folder: Path, old: str, new: str) -> str:
    path = folder / TRANSCRIPTS[0].name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return FIRST


def test_every_transcript_of_the_repository_is_replayed_byte_for_byte(here):
    done = here("transcripts", "replay", *map(str, TRANSCRIPTS))
    assert done.returncode == 0
    *lines, total = done.stdout.splitlines()
    assert len(lines) == len(TRANSCRIPTS)
    assert all(line.endswith("byte for byte") for line in lines)
    assert total == f"{len(TRANSCRIPTS)} of {len(TRANSCRIPTS)} runs as recorded"


def test_a_run_is_named_by_its_id_or_a_beginning_or_as_the_last(here, folder):
    done = here("transcripts", "replay", FIRST, FIRST[:12], "last")
    assert done.returncode == 0
    named = [line.split()[0] for line in done.stdout.splitlines()[:3]]
    assert named == [FIRST, FIRST, TRANSCRIPTS[-1].name.removesuffix(".jsonl")]


def test_where_a_run_leaves_its_record_the_step_and_both_sides_are_shown(here, folder):
    run = tampered(
        folder,
        '"type":"tool_started","call_id":"call_1"',
        '"type":"tool_started","call_id":"call_1","x":1',
    )
    done = here("transcripts", "replay", run)
    assert done.returncode == 0  # what this version does not know is not compared

    tampered(folder, '"principal_id":"demo"', '"principal_id":"somebody else"')
    done = here("transcripts", "replay", run)
    assert done.returncode == 1
    head, where, path, *sides = done.stdout.splitlines()
    assert head.startswith(f"{run}  leaves the record at turn 1, call call_1")
    assert ".jsonl: it differs from the record" in where
    assert path.strip() == "principal_id"
    assert [side.split() for side in sides[:2]] == [
        ["-", "recorded", '"somebody', 'else"'],
        ["+", "came", '"demo"'],
    ]


def test_a_program_gets_the_same_as_json(here, folder):
    run = tampered(folder, '"principal_id":"demo"', '"principal_id":"somebody else"')
    done = here("transcripts", "replay", run, "last", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["passed"] is False
    bad, good = document["runs"]
    assert (good["outcome"], good["identical"], good["divergence"]) == ("same", True, None)
    assert bad["outcome"] == "diverged"
    found = bad["divergence"]
    assert (found["turn"], found["call"]) == (1, "call_1")
    assert found["line"] == found["record"] + 1 == bad["same"] + 1
    assert found["recorded"]["principal_id"] == "somebody else"
    assert found["came"]["principal_id"] == "demo"


def test_a_damaged_transcript_fails_and_the_others_are_replayed(here, folder):
    path = folder / TRANSCRIPTS[0].name
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"{}\n", *lines[4:]]))
    done = here("transcripts", "replay", FIRST, "last")
    assert done.returncode == 1
    bad, good, total = done.stdout.splitlines()
    assert f"{FIRST}  cannot be replayed: " in bad
    assert ":4: damaged record" in bad
    assert "as recorded" in good
    assert total == "1 of 2 runs as recorded"


def test_a_torn_end_is_said_and_what_is_whole_is_replayed(here, folder):
    path = folder / TRANSCRIPTS[0].name
    path.write_bytes(path.read_bytes()[:-20])
    done = here("transcripts", "replay", FIRST)
    assert done.returncode == 0
    assert "are no whole record" in done.stdout


def test_a_run_that_is_not_there_is_a_wrong_command_line(here, folder):
    assert here("transcripts", "replay", "nosuch").returncode == 2
    done = here("transcripts", "replay", "transcripts/nosuch.jsonl")
    assert done.returncode == 2
    assert "there is no such transcript" in done.stderr
    done = here("transcripts", "replay", "./transcripts")
    assert done.returncode == 2
    assert "./transcripts/*.jsonl" in done.stderr


def asked_again(here, run, *options):
    done = here("transcripts", "replay", run, "--model", *options, "--json")
    (one,) = json.loads(done.stdout)["runs"]
    return done.returncode, one


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_model_of_each_transcript_makes_the_same_calls_again(here, project, path):
    shutil.copy(ROOT / "servers.toml", project)
    shutil.copy(ROOT / "servers.lock", project)
    status, one = asked_again(here, str(path), f"replay:{path}", "--exact", "--trust")
    assert (status, one["outcome"], one["failure"]) == (0, "same", "")
    assert (one["turns"], one["calls"]) == (one["recorded_turns"], one["recorded_calls"])
    assert one["answer"] == one["recorded_answer"]


SCRIPT = """
[[turn]]
call = { name = "orders__get_order", arguments = { order_id = "1" } }

[[turn]]
say = "Shipped."
"""


@pytest.fixture
def script(folder, project):
    def write(text):
        (project / "model.toml").write_text(text)
        return "script:model.toml"

    return write


def test_a_model_that_calls_otherwise_leaves_the_record_at_that_turn_and_runs_nothing(
    here, folder, script
):
    status, one = asked_again(here, FIRST, script(SCRIPT))
    assert (status, one["outcome"], one["unrecorded_calls"]) == (1, "diverged", 1)
    found = one["divergence"]
    assert (found["turn"], found["reason"]) == (1, "other calls than recorded")
    assert found["came"] == {
        "calls": [{"tool": "orders__get_order", "arguments": {"order_id": "1"}}]
    }
    assert one["answer"] == "Shipped."
    assert one["turns"] == 2


def test_a_model_with_other_words_passes_unless_words_count(here, folder, script):
    model = script(SCRIPT.replace('order_id = "1"', 'order_id = "12345"'))
    status, one = asked_again(here, FIRST, model)
    assert (status, one["outcome"]) == (0, "same")
    status, one = asked_again(here, FIRST, model, "--exact")
    assert (status, one["divergence"]["turn"]) == (1, 2)
    assert one["divergence"]["reason"] == "other words than recorded"


def test_people_see_both_answers(here, folder, script):
    model = script(SCRIPT.replace('order_id = "1"', 'order_id = "12345"'))
    done = here("transcripts", "replay", FIRST, "--model", model)
    assert done.returncode == 0
    head, *rest = done.stdout.splitlines()
    assert "makes the same calls: 2 turns, 1 call (recorded: 2, 1)" in head
    assert rest[-1] == "  answered  Shipped."


def test_asking_again_writes_nothing(here, folder, script):
    before = sorted(folder.iterdir())
    asked_again(here, FIRST, script(SCRIPT))
    assert sorted(folder.iterdir()) == before


def test_exact_without_a_model_is_a_wrong_command_line(here, folder):
    assert here("transcripts", "replay", FIRST, "--exact").returncode == 2


CONFIG = f"""
model = "offline"
[servers.orders]
command = {json.dumps(sys.executable)}
args = ["-m", "agent_host", "demo-server", "--today", "%s"]
trust_annotations = true
[policy]
default = "%s"
"""
DAY = "2026-11-22"


def live(here, folder, run, day, default, *options):
    (folder.parent / "servers.toml").write_text(CONFIG % (day, default))
    before = {path.name for path in folder.iterdir()}
    more = ("--live-tools", "--trust", "--json", *options)
    done = here("transcripts", "replay", run, *more)
    assert done.stdout, done.stderr
    (one,) = json.loads(done.stdout)["runs"]
    new = {path.name for path in folder.iterdir() if path.suffix == ".jsonl"} - before
    assert new == {f"{one['kept_as']}.jsonl"}
    return done.returncode, one


def test_live_tools_that_return_the_same_pass_and_the_run_is_kept(here, folder):
    status, one = live(here, folder, FIRST, DAY, "ask")
    assert (status, one["outcome"], one["same"], one["results"]) == (0, "same", 1, 1)


def test_a_live_tool_that_returns_something_else_is_the_step_that_is_shown(here, folder):
    status, one = live(here, folder, FIRST, "2026-11-25", "ask")
    assert (status, one["outcome"], one["same"]) == (1, "diverged", 0)
    found = one["divergence"]
    assert (found["turn"], found["call"]) == (1, "call_1")
    assert found["reason"] == "the tool returned something else"


def test_policy_judges_live_tools_whatever_the_record_says(here, folder):
    with_refund = next(p for p in TRANSCRIPTS if '"name":"orders__refund_order"' in p.read_text())
    run = with_refund.stem
    status, one = live(here, folder, run, DAY, "ask", "--approve", "none")
    assert (status, one["outcome"]) == (1, "diverged")
    assert one["divergence"]["tool"] == "orders__refund_order"
    assert one["divergence"]["came"]["error"] == "denied"
    status, one = live(here, folder, run, DAY, "ask", "--approve", "all")
    assert (status, one["outcome"]) == (0, "same")


def test_a_live_run_that_ends_before_the_recorded_calls_does_not_pass(here, folder, monkeypatch):
    run = next(p.stem for p in TRANSCRIPTS if p.read_text().count('"stop_reason":"tool_use"') == 2)
    monkeypatch.setenv("AGENT_HOST_MAX_TURNS", "1")
    status, one = live(here, folder, run, DAY, "ask", "--approve", "all")
    assert (status, one["outcome"], one["divergence"]["turn"]) == (1, "diverged", 2)
    assert one["divergence"]["reason"] == "the run ended before this call (limit)"


def test_a_model_and_live_tools_together_are_a_wrong_command_line(here, folder):
    done = here("transcripts", "replay", FIRST, "--live-tools", "--model", "offline")
    assert done.returncode == 2
