"""`agent-host run` as a script meets it: what is on stdout, how it ends, who approved."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.fakes import chat_server as wire
from tests.fakes.chat_server import ChatServer
from tests.fakes.programs import ROOT, Ended, agent_host
from tests.journeys.stage import call, stage

SCHEMA = jsonschema_rs.validator_for(
    json.loads((ROOT / "docs" / "reference" / "stream-json.schema.json").read_text())
)
REFUND = call("refund", order="12345", amount=250)
ALONE = """
model = "actor"

[models.actor]
adapter = "script"
path = "script.toml"
"""
STREAM = ("--output", "stream-json")

Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs with a script of turns; the shop's server is there unless `alone`."""

    def start(*arguments: str, turns: Any = ({"say": "Hello."},), **more: Any) -> Ended:
        alone = more.pop("alone", False)
        if turns is not None:
            stage(tmp_path, *turns)
            if alone:
                (tmp_path / "servers.toml").write_text(ALONE)
        ended = agent_host("run", "--trust", *arguments, folder=tmp_path, **more)
        assert "Traceback" not in ended.out + ended.err
        return ended

    return start


def transcript(folder: Path) -> Path:
    [path] = (folder / "transcripts").glob("*.jsonl")
    return path


# -- what stdout gets -------------------------------------------------------------------------


def test_stdout_gets_the_answer_alone_and_stderr_all_else(run: Run) -> None:
    turns = ({"say": "I look.", "call": call("look", order="12345")}, {"say": "It is *here*."})
    ended = run("Where is it?", turns=turns)
    assert ended.out == "It is *here*.\n"
    lines = ended.err.splitlines()
    assert lines[0].startswith("· script: no AI")
    assert 'order="12345"' in next(line for line in lines if line.startswith("→ shop · look"))
    assert any(line.startswith("← shop · look") for line in lines)
    assert ended.status == 0


def test_json_is_one_object_that_says_how_it_went(run: Run, tmp_path: Path) -> None:
    turns = (
        {"call": call("look", k=1), "usage": {"input_tokens": 10, "output_tokens": 5}},
        {"say": "Found.", "usage": {"input_tokens": 20, "output_tokens": 2}},
    )
    ended = run("--output", "json", "Where?", turns=turns)
    [found] = ended.items
    assert found["answer"] == "Found."
    assert (found["outcome"], found["exit_status"], ended.status) == ("done", 0, 0)
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"]) == (30, 7)
    assert found["simulated"] is True
    assert found["transcript"] == str(transcript(tmp_path))
    [made] = found["calls"]
    assert (made["server"], made["tool"], made["error"]) == ("shop", "look", None)
    assert made["content"][0]["text"] == 'look: {"k": 1}'


def test_a_stream_follows_its_schema_and_its_records_are_the_transcript(
    run: Run, tmp_path: Path
) -> None:
    turns = (
        {"reasoning": "Hm.", "say": "I look.", "call": [call("look", k="é\x7f"), REFUND]},
        {"say": "Done."},
    )
    ended = run(*STREAM, "--approve", "all", "Go.", turns=turns)
    assert ended.status == 0
    for item in ended.items:
        SCHEMA.validate(item)
    kept = [json.loads(line) for line in transcript(tmp_path).read_text().splitlines()]
    assert [item for item in ended.items if "event" in item] == kept
    shown = {item["ephemeral"]["type"] for item in ended.items if "ephemeral" in item}
    assert shown >= {"reasoning_delta", "text_delta", "tool_arguments_delta"}
    assert ended.out.isascii()


def test_a_transcript_is_for_its_owner_only(run: Run, tmp_path: Path) -> None:
    assert run("Hi.", alone=True).status == 0
    path = transcript(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


# -- approval ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("ask", "there is no terminal to ask at"),
        ("policy", "--approve policy asks nobody"),
        ("none", "--approve none asks nobody"),
    ],
)
def test_without_a_human_a_call_is_refused_and_the_model_is_told(
    run: Run, mode: str, why: str
) -> None:
    turns = ({"call": REFUND}, {"expect": {"error": "denied", "contains": why}, "say": "Well."})
    ended = run(*STREAM, "--approve", mode, "Refund it.", turns=turns)
    assert ended.status == 4
    assert ended.reason == "refused"
    assert [result["error"] for result in ended.results] == ["denied"]
    assert ended.of("tool_started") == []


def test_all_approves_and_says_so_in_the_record(run: Run) -> None:
    ended = run(
        *STREAM, "--approve", "all", "Refund it.", turns=({"call": REFUND}, {"say": "Done."})
    )
    assert ended.status == 0
    [given] = ended.of("approval_given")
    assert (given["decision"], given["by"]) == ("approve", "--approve all")
    assert ended.results[0]["error"] is None


def test_a_deferred_run_parks_and_goes_on_when_it_is_resumed(run: Run) -> None:
    turns = ({"call": [REFUND, call("look", k=1)]}, {"say": "Done."})
    parked = run(*STREAM, "--approve", "defer", "Refund it.", turns=turns)
    assert parked.status == 7
    assert [event["tool"] for event in parked.of("tool_started")] == ["look"]
    assert parked.of("run_ended") == []
    run_id = parked.items[0]["run_id"]
    assert f"agent-host run --resume {run_id}" in parked.err
    again = run(*STREAM, "--approve", "defer", "--resume", run_id, turns=None)
    assert again.status == 7
    done = run(*STREAM, "--approve", "all", "--resume", run_id[:20].lower(), turns=None)
    assert done.status == 0
    assert [event["tool"] for event in done.of("tool_started")] == ["refund"]
    assert done.reason == "done"


def test_json_says_that_a_run_is_parked_and_what_waits(run: Run) -> None:
    ended = run("--approve", "defer", "--output", "json", "Refund it.", turns=({"call": REFUND},))
    [found] = ended.items
    assert (found["outcome"], found["exit_status"], ended.status) == ("parked", 7, 7)
    assert found["answer"] == ""
    [waits] = found["calls"]
    assert (waits["name"], waits["error"], waits["content"]) == ("shop__refund", None, None)


def test_a_new_prompt_to_a_parked_run_drops_what_waited(run: Run) -> None:
    turns = (
        {"call": REFUND},
        {"expect": {"contains": "Leave it", "user": True}, "say": "Left."},
    )
    assert run("--approve", "defer", "Refund it.", turns=turns).status == 7
    ended = run(*STREAM, "--resume", "last", "Leave it.", turns=None)
    assert ended.status == 0
    assert [result["error"] for result in ended.results] == ["cancelled"]
    assert ended.of("tool_started") == []


# -- limits -----------------------------------------------------------------------------------

AGAIN = {"call": call("look"), "usage": {"input_tokens": 60, "output_tokens": 50}}


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--max-turns", "1", "turns"),
        ("--max-tool-calls", "1", "tool_calls"),
        ("--max-tokens", "100", "tokens"),
    ],
)
def test_a_limit_ends_the_run_with_its_own_status(
    run: Run, option: str, value: str, name: str
) -> None:
    ended = run(*STREAM, option, value, "Go on.", turns=(AGAIN, AGAIN, {"say": "Done."}))
    assert ended.status == 3
    [reached] = ended.of("limit_reached")
    assert (reached["name"], reached["limit"]) == (name, float(value))
    assert ended.reason == "limit"
    assert "--resume" in ended.err


def test_a_run_that_reached_a_limit_can_go_on_with_a_higher_one(run: Run) -> None:
    assert run("--max-turns", "1", "Go on.", turns=(AGAIN, {"say": "Done."})).status == 3
    ended = run("--max-turns", "5", "--resume", "last", turns=None)
    assert (ended.status, ended.out) == (0, "Done.\n")


def test_a_limit_on_time_stops_what_is_running(run: Run) -> None:
    ended = run(*STREAM, "--max-time", "0.5", "Wait.", turns=({"call": call("wait")},))
    assert ended.status == 3
    assert ended.of("limit_reached")[0]["name"] == "seconds"
    assert len(ended.results) == len(ended.of("tool_started"))


@pytest.mark.parametrize(
    ("option", "value"),
    [("--max-turns", "0"), ("--max-turns", "many"), ("--max-tokens", "-1"), ("--max-time", "nan")],
)
def test_a_limit_that_is_none_is_told_with_its_option(run: Run, option: str, value: str) -> None:
    ended = run(f"{option}={value}", "Hi.", alone=True)
    assert ended.status == 2
    assert ended.err.startswith("agent-host: --max-")
    assert ended.err.count("\n") == 1


# -- which model, which servers ---------------------------------------------------------------


def test_another_model_is_named_on_the_command_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('[[turn]]\nsay = "I am another."\n')
    assert run("--model", "script:other.toml", "Hi.", alone=True).out == "I am another.\n"
    offline = run(*STREAM, "--model", "offline", "Hi.", turns=None)
    assert offline.of("run_started")[0]["adapter"] == "offline"
    assert offline.status == 0


def test_a_model_behind_a_url_answers_over_the_wire(run: Run) -> None:
    arguments = json.dumps({"k": 1})
    with ChatServer(
        wire.stream(
            wire.call(wire.piece(0, "call_a", "shop__look", arguments)),
            wire.finish("tool_calls"),
            wire.DONE,
        ),
        wire.HELLO,
    ) as model:
        ended = run("--model", f"{model.url}:fake-1", "Say hello.")
    assert (ended.status, ended.out) == (0, "Hello, world\n")
    assert "no AI" not in ended.err
    assert model.refused == []
    assert model.received[-1].body["messages"][-1]["content"] == 'look: {"k": 1}'


def test_going_on_is_told_with_the_model_that_the_config_does_not_name(run: Run) -> None:
    turns = ({"call": call("refund", order="1")}, {"say": "Done."})
    parked = run("--approve", "defer", "Refund.", turns=turns)
    assert re.search(r"run --resume \w+\n", parked.err)
    parked = run("--approve", "defer", "--model", "script:./script.toml", "Refund.", turns=None)
    assert re.search(r"run --resume \w+ --model script:\./script\.toml\n", parked.err)


def test_a_run_is_resumed_with_another_model(run: Run) -> None:
    assert run("Hi.", alone=True).status == 0
    ended = run(*STREAM, "--resume", "last", "--model", "offline", "What can you do?", turns=None)
    [changed] = ended.of("model_changed")
    assert (changed["adapter"], changed["simulated"]) == ("offline", True)
    assert ended.status == 0


def test_only_the_servers_that_were_asked_for_are_started(run: Run, tmp_path: Path) -> None:
    stage(tmp_path, {"say": "Hi."})
    with (tmp_path / "servers.toml").open("a") as config:
        config.write('[servers.other]\ncommand = "no-such-program"\n')
    ended = run(*STREAM, "--server", "shop", "Hi.", turns=None)
    assert [event["server"] for event in ended.of("server_connected")] == ["shop"]
    assert ended.of("server_lost") == []


# -- calls that go wrong ----------------------------------------------------------------------


def test_whatever_happens_to_a_call_is_a_result_that_the_model_can_act_on(
    run: Run, tmp_path: Path
) -> None:
    long = "long " * 40_000
    calls = [
        {"name": "shop__lok", "arguments": {}},
        call("refund", amount=1),
        {"name": "shop__look", "raw": '{"k": ', "fault": "truncated_call"},
        {"name": "shop__look", "raw": "{]", "fault": "malformed_call"},
        call("wait"),
        call("look", k=long),
    ]
    stage(
        tmp_path,
        {"call": calls},
        {"call": call("vanish")},
        {"call": call("look", k=2)},
        {"say": "I see."},
    )
    config = tmp_path / "servers.toml"
    slow, quick = "trust_annotations", "timeout = 1\ntrust_annotations"
    config.write_text(config.read_text().replace(slow, quick))
    ended = run(*STREAM, "Do all of it.", turns=None)
    assert (ended.status, ended.reason) == (0, "done")
    errors = {result["call_id"]: result["error"] for result in ended.results}
    assert len(errors) == len(ended.results) == 8
    assert errors["call_1"] == "unknown_tool"
    assert errors["call_2"] == "invalid_arguments"
    assert errors["call_3"] == "truncated_call"
    assert errors["call_4"] == "malformed_call"
    assert errors["call_5"] == "timeout"
    assert errors["call_7"] == "outcome_unknown"
    assert errors["call_8"] is None
    texts = {r["call_id"]: r["content"][0]["text"] for r in ended.results}
    assert "shop__look" in texts["call_1"]
    assert '"order" is a required property' in texts["call_2"]
    assert [e["call_id"] for e in ended.of("tool_started")] == [
        "call_5",
        "call_6",
        "call_7",
        "call_8",
    ]
    [whole] = [result for result in ended.results if result["call_id"] == "call_6"]
    assert len(json.dumps(whole)) < 100_000
    kept = tmp_path / "transcripts" / whole["artifact"]
    assert kept.parent.name == f"{ended.items[0]['run_id']}.artifacts"
    assert long in kept.read_text()
