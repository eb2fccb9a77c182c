"""The rules of the house that no linter knows."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import agent_host
from agent_host.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("mcp", "mcp_types", "openai", "anthropic", "prompt_toolkit", "asyncio")

PROBE = """
import json, os, sys
from agent_host.cli.main import main
try:
    status = main(sys.argv[1:])
except SystemExit as left:
    status = left.code
sys.stdout.flush()
sys.stderr.write("\\n" + json.dumps([status or 0, sorted(sys.modules)]))
"""


def loaded_by(arguments: list[str], folder: Path, *, measured: bool = True) -> tuple[int, set[str]]:
    """Run a command in a fresh process: its status, and the modules loaded at its end. Unless
    it is `measured`, coverage loads nothing of its own there."""
    kept = (
        {}
        if not measured
        else {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    )
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=folder,
        env=kept | {"HOME": str(folder), "PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    status, modules = json.loads(done.stderr.rpartition("\n")[2])
    return int(status), set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["config", "--help"],
        ["config", "show"],
        ["transcripts", "--help"],
        ["transcripts", "list"],
        ["trust", "--help"],
        ["doctor", "--help"],
    ],
    ids=" ".join,
)
def test_a_command_that_talks_to_nobody_loads_no_sdk_no_screen_and_no_event_loop(
    arguments: list[str], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "servers.toml", tmp_path)
    status, modules = loaded_by(arguments, tmp_path)
    assert status == 0
    assert sorted(modules.intersection(HEAVY)) == []


@pytest.mark.parametrize("command", list(COMMANDS))
def test_the_help_of_any_command_loads_no_sdk_and_no_screen(command: str, tmp_path: Path) -> None:
    status, modules = loaded_by([command, "--help"], tmp_path)
    assert status == 0
    assert sorted(modules.intersection(HEAVY) - {"asyncio"}) == []


def test_help_loads_no_third_party_package_at_all(tmp_path: Path) -> None:
    _, modules = loaded_by(["--help"], tmp_path, measured=False)
    packages = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    # Besides ours: what an environment itself may put into each process.
    assert packages <= {"agent_host", "__main__", "sitecustomize", "_distutils_hack"}


def test_every_public_name_can_be_had() -> None:
    assert len(set(agent_host.__all__)) == len(agent_host.__all__)
    assert dir(agent_host) == sorted(agent_host.__all__)
    for name in agent_host.__all__:
        assert getattr(agent_host, name) is not None


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = agent_host.no_such_name


def test_importing_the_package_loads_none_of_its_rooms(tmp_path: Path) -> None:
    code = "import sys, agent_host; print([m for m in sys.modules if m.startswith('agent_host.')])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def check_size() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_size", ROOT / "scripts/check_size.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def function(lines: int) -> str:
    return "def long():\n" + "    pass\n" * (lines - 1)


def test_a_function_of_sixty_lines_is_the_longest_that_passes(check_size: ModuleType) -> None:
    assert check_size.findings("a.py", function(60)) == ([], [])
    failures, _ = check_size.findings("a.py", "\n\n" + function(61))
    assert failures == ["a.py:3: long has 61 lines; a function has at most 60"]


def test_methods_and_coroutines_are_measured_too(check_size: ModuleType) -> None:
    method = "class A:\n    async def long(self):\n" + "        pass\n" * 60
    failures, _ = check_size.findings("a.py", method)
    assert len(failures) == 1


def test_a_file_is_reported_above_500_lines_and_fails_above_800(check_size: ModuleType) -> None:
    assert check_size.findings("a.py", "pass\n" * 500) == ([], [])
    assert check_size.findings("a.py", "pass\n" * 501) == (
        [],
        ["a.py:1: 501 lines; 500 are wanted"],
    )
    failures, reports = check_size.findings("a.py", "pass\n" * 801)
    assert len(failures) == 1
    assert reports == []


def test_the_size_check_fails_on_a_planted_violation_wherever_it_is(
    check_size: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "agent_host" / "core"
    place.mkdir(parents=True)
    (place / "good.py").write_text(function(10))
    assert check_size.main(tmp_path) == 0
    (place / "bad.py").write_text(function(61))
    assert check_size.main(tmp_path) == 1
    assert "agent_host/core/bad.py:1: long has 61 lines" in capsys.readouterr().out
