"""The command line in a folder of its own: `cli` as a process, as a user runs it (from a nursery
where that makes no difference: see `tests.fakes.starts`); `here` in this process."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_host.cli.main import main
from tests.fakes import programs

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return programs.environment(home)


@pytest.fixture
def cli(project: Path, environment: dict[str, str]) -> Run:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return programs.completed(*arguments, cwd=project, env=environment | variables)

    return run


@pytest.fixture
def here(
    project: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    monkeypatch.chdir(project)
    for name in list(os.environ):
        monkeypatch.delenv(name)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        for name, value in (environment | variables).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        status = main(arguments)
        for name in variables:
            monkeypatch.delenv(name)
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run
