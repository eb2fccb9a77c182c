"""What the documents say is what the program does."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jsonschema_rs
import pytest

from agent_host.cli.main import COMMANDS
from agent_host.core.events import SCHEMA, Record, RunStarted, UserSaid
from agent_host.core.types import Message, Principal, Text
from agent_host.records.codec import encode

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command_lines() -> list[str]:
    """The lines of the README's shell blocks."""
    blocks = re.findall(
        r"^```(?:sh|console|bash)\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE
    )
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return script("make_reference")


def test_the_reference_pages_are_what_the_code_says(reference: ModuleType) -> None:
    assert reference.outdated(reference.REFERENCE) == []


def test_a_page_that_is_old_missing_or_no_longer_made_is_noticed(
    reference: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "PAGES", {"a.md": lambda: "a\n", "b.md": lambda: "b\n"})
    (tmp_path / "a.md").write_text("old\n")
    (tmp_path / "c.md").write_text("c\n")
    assert [line.split(":")[0] for line in reference.outdated(tmp_path)] == [
        "c.md",
        "a.md",
        "b.md",
    ]
    (tmp_path / "a.md").write_text("a\n")
    (tmp_path / "b.md").write_text("b\n")
    (tmp_path / "c.md").unlink()
    assert reference.outdated(tmp_path) == []


def test_the_schema_of_events_accepts_what_a_transcript_holds() -> None:
    schema = json.loads((ROOT / "docs/reference/events.schema.json").read_text())
    validator = jsonschema_rs.validator_for(schema)
    started = RunStarted(
        run_id="r", principal=Principal(id="u"), provider="p", model="m", adapter="a"
    )
    said = UserSaid(message=Message(role="user", content=(Text(text="hi"),)))
    for seq, event in enumerate((started, said)):
        record = Record(seq=seq, at="2026-01-01T00:00:00.000000Z", run_id="r", event=event)
        line = json.loads(encode(record))
        assert validator.is_valid(line)
        line["event"]["type"] = "something_else"
        assert not validator.is_valid(line)


RECORDED = [*(ROOT / "tests/goldens").glob("*.jsonl"), *(ROOT / "transcripts").glob("*.jsonl")]


@pytest.mark.parametrize("file", RECORDED, ids=[file.name for file in RECORDED])
def test_the_published_schema_accepts_every_record_of_its_version(file: Path) -> None:
    schema = json.loads((ROOT / "docs/reference/events.schema.json").read_text())
    assert schema["$id"] == f"urn:agent-host:transcript:{SCHEMA}"
    validator = jsonschema_rs.validator_for(schema)
    for line in file.read_text().splitlines():
        assert [error.message for error in validator.iter_errors(json.loads(line))] == []


def test_the_readme_gives_the_two_commands_a_newcomer_needs() -> None:
    lines = command_lines()
    assert 'scripts/setup && .venv/bin/agent-host run "What is the status of my order 12345?"' in (
        lines
    )
    assert "scripts/check" in lines


def test_every_command_in_the_readme_exists_with_its_options() -> None:
    reference_text = (ROOT / "docs/reference/commands.md").read_text()
    for line in command_lines():
        words = [w for w in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", w)]
        if words[:1] != ["agent-host"]:
            continue
        assert words[1] in COMMANDS or words[1].startswith("-"), line
        for word in words[2:]:
            if word.startswith("--"):
                assert word.partition("=")[0] in reference_text, line


def test_the_readmes_first_command_answers_without_a_key_and_without_a_question(
    tmp_path: Path,
) -> None:
    shutil.copy(ROOT / "servers.toml", tmp_path)
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    environ = kept | {"HOME": str(tmp_path), "PATH": path, "PYTHONPATH": str(ROOT)}
    prompt = "What is the status of my order 12345?"
    done = subprocess.run(
        [sys.executable, "-m", "agent_host", "run", prompt],
        cwd=tmp_path,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "DE4839201" in done.stdout
    assert "Thursday" in done.stdout
