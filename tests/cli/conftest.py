"""The command line in a folder of its own: `cli` as a process, as a user runs it; `here` in
this process, where the SDK is imported once for all tests."""

import os
import subprocess
import sys
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
        return subprocess.run(
            [sys.executable, "-m", "agent_host", *arguments],
            cwd=project,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

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
