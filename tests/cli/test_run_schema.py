"""`run --schema`: the answer is JSON that was validated, or the run fails and says why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_host.cli.answers import read_schema, shown_json
from agent_host.core.errors import UsageError
from tests.fakes.programs import Ended, agent_host
from tests.journeys.stage import stage

SCHEMA = {
    "type": "object",
    "properties": {"status": {"enum": ["open", "shipped"]}},
    "required": ["status"],
    "additionalProperties": False,
}
ALONE = 'model = "actor"\n[models.actor]\nadapter = "script"\npath = "script.toml"\n'
GOOD, BAD = '{"status": "shipped"}', '{"status": "lost"}'

Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def start(*turns: str, output: str = "text", schema: Any = SCHEMA, **more: Any) -> Ended:
        stage(tmp_path, *({"say": text} for text in turns))
        (tmp_path / "servers.toml").write_text(ALONE)
        (tmp_path / "schema.json").write_text(
            schema if isinstance(schema, str) else json.dumps(schema)
        )
        ended = agent_host(
            *("run", "--trust", "--schema", "schema.json", "--output", output, "What is it?"),
            folder=tmp_path,
            **more,
        )
        assert "Traceback" not in ended.out + ended.err
        return ended

    return start


def test_a_valid_answer_is_written_as_json_alone(run: Run) -> None:
    ended = run(GOOD)
    assert ended.out == '{"status": "shipped"}\n'
    assert ended.status == 0


def test_a_code_fence_around_the_value_is_no_part_of_it(run: Run) -> None:
    assert json.loads(run(f"```json\n{GOOD}\n```").out) == {"status": "shipped"}


def test_an_invalid_answer_goes_back_once_and_only_the_valid_one_is_written(run: Run) -> None:
    ended = run(BAD, GOOD)
    assert json.loads(ended.out) == {"status": "shipped"}
    assert ended.status == 0


def test_two_invalid_answers_fail_the_run_with_what_is_wrong(run: Run) -> None:
    ended = run("It was shipped.", BAD)
    assert ended.out == ""
    assert ended.status == 1
    assert "not valid under --schema, also when asked again: status:" in ended.err
    assert "lost" in ended.err


def test_what_is_asked_again_is_part_of_the_conversation(run: Run, tmp_path: Path) -> None:
    run(BAD, GOOD)
    [path] = (tmp_path / "transcripts").glob("*.jsonl")
    said = [
        record["event"]["message"]["content"][0]["text"]
        for record in map(json.loads, path.read_text().splitlines())
        if record["event"]["type"] == "user_said"
    ]
    assert said[0] == "What is it?"
    assert "not valid under the JSON Schema" in said[1]
    assert "status" in said[1]


def test_a_repair_that_does_not_come_ends_as_that_ended(run: Run) -> None:
    ended = run(BAD)  # the script has no second turn
    assert ended.status == 1
    assert ended.out == ""


def test_the_summary_holds_the_last_answer_and_the_reason(run: Run) -> None:
    [summary] = run(BAD, BAD, output="json").items
    assert summary["outcome"] == "failed"
    assert "not valid" in summary["detail"]
    [summary] = run(BAD, GOOD, output="json").items
    assert (summary["answer"], summary["outcome"]) == (GOOD, "done")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[1]", "has to be an object"),
        ('{"type": "nonsense"}', "is no JSON Schema"),
        ('{"$ref": "https://example.org/x.json"}', "is no JSON Schema"),
        ('{"const": NaN}', "is no JSON"),
    ],
    ids=["broken", "a list", "no such type", "elsewhere", "not a number"],
)
def test_a_schema_that_cannot_be_used_is_said_before_anything_starts(
    run: Run, text: str, said: str, tmp_path: Path
) -> None:
    ended = run(GOOD, schema=text)
    assert ended.status == 2
    assert "--schema schema.json" in ended.err
    assert said in ended.err
    assert not (tmp_path / "transcripts").exists()


def test_a_schema_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.json: No such file .* check the path"):
        read_schema(str(tmp_path / "gone.json"))


def test_a_schema_of_a_megabyte_and_more_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.json").write_text(json.dumps({"title": "x" * (1024 * 1024)}))
    with pytest.raises(UsageError, match="larger than"):
        read_schema(str(tmp_path / "big.json"))


def test_text_that_could_fake_a_line_is_escaped_and_still_the_same_json() -> None:
    value = {"a": "x\u202ey\x9b"}
    shown = shown_json(value)
    assert "\u202e" not in shown
    assert "\x9b" not in shown
    assert json.loads(shown) == value
    assert shown_json({"a": "ü"}) == '{"a": "ü"}'
