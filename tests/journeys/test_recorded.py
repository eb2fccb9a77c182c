"""The recorded runs in transcripts/: readable, and played again they come out the same."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent_host.host import user_name
from agent_host.records.codec import encode
from agent_host.records.decode import decode
from agent_host.records.reader import conversation, read
from tests.fakes.programs import ROOT, Ended, agent_host
from tests.journeys.recordings import FOLDER, RECORDED, SCENES, USER, Scene, play, prepare

by_name = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)

# Which config, which model, when and for how long: not what happened.
_OF_ITS_OWN = ("run_id", "config_fingerprint", "seconds", "expires_at", "binding")
_OF_THE_MODEL = ("provider", "model", "adapter", "simulated", "origin", "model_asked")


def recording(scene: Scene) -> Path:
    return FOLDER / f"{RECORDED[scene.name]}.jsonl"


def recorded(scene: Scene) -> list[dict[str, Any]]:
    return [json.loads(line)["event"] for line in recording(scene).read_text().splitlines()]


def without(value: Any, keys: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {k: without(item, keys) for k, item in value.items() if k not in keys}
    return [without(item, keys) for item in value] if isinstance(value, list) else value


def comparable(events: list[dict[str, Any]], *, model: bool) -> list[str]:
    """What has to be the same, byte for byte. When a server was up, and which of several calls
    ended first, is left to chance: those facts are put in a place of their own."""
    keys = _OF_ITS_OWN if model else _OF_ITS_OWN + _OF_THE_MODEL
    lines: list[str] = []
    connected: list[str] = []
    finished: list[str] = []
    for event in events:
        # Recordings name no user of the machine that they were made on.
        line = json.dumps(without(event, keys)).replace(f'"{user_name()}"', f'"{USER}"')
        if event["type"] == "server_connected":
            connected.append(line)
        elif event["type"] == "tool_finished":
            finished.append(line)
        else:
            if event["type"] == "model_requested":
                lines += sorted(finished)
                finished.clear()
            lines.append(line)
    return [*connected, *lines, *sorted(finished)]


def played(folder: Path, scene: Scene, model: str = "") -> Ended:
    prepare(folder, scene)
    ended = play(folder, scene, model)
    assert ended.status == scene.status, ended.err
    return ended


@by_name
def test_a_replay_reproduces_the_recorded_run(scene: Scene, tmp_path: Path) -> None:
    ended = played(tmp_path, scene, f"replay:{recording(scene)}")
    assert comparable(ended.events, model=False) == comparable(recorded(scene), model=False)


def test_the_offline_model_says_today_what_it_said(tmp_path: Path) -> None:
    ended = played(tmp_path, SCENES[0])
    assert comparable(ended.events, model=True) == comparable(recorded(SCENES[0]), model=True)


def test_a_replay_that_leaves_the_record_stops_and_says_where(tmp_path: Path) -> None:
    offline = SCENES[0]
    prepare(tmp_path, offline)
    config = (tmp_path / "servers.toml").read_text()
    (tmp_path / "servers.toml").write_text(config.replace("2026-11-22", "2026-11-23"))
    ended = play(tmp_path, offline, f"replay:{recording(offline)}")
    assert ended.status == 1
    assert "step 2 differs from the record" in ended.err
    assert "Traceback" not in ended.err


@by_name
def test_a_recording_is_read_and_written_back_byte_for_byte(scene: Scene) -> None:
    for line in recording(scene).read_bytes().splitlines():
        assert encode(decode(line)) == line


@by_name
def test_a_recording_is_a_legal_run_that_ended(scene: Scene) -> None:
    state = conversation(recording(scene))
    assert state.awaiting == "nothing"
    assert read(recording(scene))[0].run_id == RECORDED[scene.name]


@by_name
def test_a_recording_says_nothing_of_the_machine(scene: Scene) -> None:
    text = recording(scene).read_text()
    assert str(ROOT) not in text
    assert "/tmp" not in text
    assert {e["principal"]["id"] for e in recorded(scene) if "principal" in e} == {"demo"}


@by_name
def test_a_recording_is_shown(scene: Scene, tmp_path: Path) -> None:
    ended = agent_host(
        *("--config", str(ROOT / "servers.toml"), "transcripts", "show", RECORDED[scene.name]),
        folder=tmp_path,
    )
    assert ended.status == 0, ended.err
    assert scene.prompt[:30] in ended.out
    for event in recorded(scene):
        if event["type"] == "tool_started":
            assert event["tool"] in ended.out


def test_the_list_shows_every_recording(tmp_path: Path) -> None:
    ended = agent_host(
        "--config", str(ROOT / "servers.toml"), "transcripts", "list", folder=tmp_path
    )
    assert ended.status == 0, ended.err
    assert set(RECORDED.values()) <= set(ended.out.split())


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_git_keeps_the_recordings_and_leaves_a_users_own_runs_alone() -> None:
    def ignored(name: str) -> bool:
        path = f"transcripts/{name}"
        asked = ["git", "check-ignore", "-q", "--no-index", path]
        return subprocess.run(asked, cwd=ROOT, check=False).returncode == 0

    assert not any(ignored(f"{run_id}.jsonl") for run_id in RECORDED.values())
    assert ignored("01M9ZZZZZZZZZZZZZZZZZZZZZZ.jsonl")
    assert ignored("01M9ZZZZZZZZZZZZZZZZZZZZZZ.artifacts/call_1.txt")
