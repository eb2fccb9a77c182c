"""The table of commands, and what becomes of whatever a command raises."""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

import agent_host
from agent_host.cli import crash
from agent_host.cli.main import COMMANDS, main, script
from agent_host.core.errors import ConfigError, ExitStatus, UnavailableError
from tests.fakes import programs


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command `try` that does what a test says."""
    module = ModuleType("tests_try")
    module.configure = lambda parser: parser.add_argument("--flag", action="store_true")
    monkeypatch.setitem(sys.modules, "tests_try", module)
    monkeypatch.setitem(COMMANDS, "try", ("tests_try", "try something"))
    return module


def raises(error: BaseException):
    def execute(options: argparse.Namespace) -> int:
        raise error

    return execute


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_can_be_asked_for_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert f"usage: agent-host {name}" in capsys.readouterr().out


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown and text in shown for name, (_, text) in COMMANDS.items())


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"agent-host {agent_host.__version__}\n"


def test_an_unknown_command_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["rnu"])
    assert left.value.code == ExitStatus.USAGE
    assert "invalid choice: 'rnu'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "run", "try"],
        ["--config=run", "try"],
        ["try", "--config", "run"],
        ["try", "--config=run"],
        ["--config", "no", "try", "--config", "run"],
    ],
    ids=" ".join,
)
def test_the_config_is_named_before_or_after_the_command(
    command: ModuleType, arguments: list[str]
) -> None:
    seen: list[argparse.Namespace] = []
    command.execute = lambda options: seen.append(options) or ExitStatus.PARKED
    assert main(arguments) == 7
    assert seen[0].config == "run"
    assert seen[0].flag is False


@pytest.mark.parametrize(
    ("error", "status"),
    [(ConfigError("x:1: \x1b[2Jno"), 2), (UnavailableError("x:1: \x1b[2Jno"), 5)],
)
def test_an_error_for_the_user_is_one_clean_line_and_its_own_status(
    command: ModuleType, capsys: pytest.CaptureFixture[str], error: Exception, status: int
) -> None:
    command.execute = raises(error)
    assert main(["try"]) == status
    assert capsys.readouterr().err == "agent-host: x:1: \\u{1b}[2Jno\n"


def test_an_interruption_says_nothing(
    command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    command.execute = raises(KeyboardInterrupt())
    assert main(["try"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_reported_in_short(
    command: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    command.execute = raises(ZeroDivisionError("oh"))
    assert main(["try"]) == 1
    [kept] = tmp_path.iterdir()
    assert capsys.readouterr().err == (
        "agent-host: a bug in agent-host: ZeroDivisionError: oh\n"
        f"  the trace is kept in {kept}; please report it\n"
    )
    assert "ZeroDivisionError: oh" in kept.read_text()
    assert agent_host.__version__ in kept.read_text()


def test_a_bug_whose_trace_cannot_be_kept_is_reported_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    told = crash.report(ZeroDivisionError("oh"))
    assert "ZeroDivisionError: oh" in told
    assert "could not be kept: No such file or directory" in told.replace("[Errno 2] ", "")


def test_a_reader_that_has_left_is_not_told(tmp_path: Path) -> None:
    """Of a pipe that nobody reads, as after `| head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        programs.command("--config", str(programs.ROOT / "servers.toml"), "models", "list"),
        cwd=tmp_path,
        env=programs.environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writer)
        said = process.stderr.read()
    assert process.returncode == 1
    assert b"pipe" not in said.lower()
    assert b"bug" not in said


def test_the_pipe_may_break_in_the_command_itself(tmp_path: Path) -> None:
    plant = "import sys; sys.modules['tests_try'] = m = type(sys)('tests_try'); "
    plant += "m.configure = lambda p: None; m.execute = lambda o: exec('raise BrokenPipeError'); "
    plant += "from agent_host.cli import main as c; c.COMMANDS['try'] = ('tests_try', ''); "
    plant += "sys.argv = ['x', 'try']; c.script()"
    done = subprocess.run(
        [sys.executable, "-c", plant],
        cwd=tmp_path,
        env=programs.environment(tmp_path),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_the_config_is_named_after_a_commands_own_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "list", "--config", str(programs.ROOT / "servers.toml")]) == 0
    assert "offline" in capsys.readouterr().out


def test_what_follows_two_dashes_is_no_config(command: ModuleType) -> None:
    seen: list[argparse.Namespace] = []
    command.configure = lambda parser: parser.add_argument("word")
    command.execute = lambda options: seen.append(options) or 0
    assert main(["try", "--", "--config=run"]) == 0
    assert (seen[0].config, seen[0].word) == (None, "--config=run")


def test_a_config_option_without_a_file_is_a_wrong_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "list", "--config"]) == ExitStatus.USAGE
    assert capsys.readouterr().err.startswith("agent-host: --config names no file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (("--version",), {}),
        (("models", "list"), {}),
        (("models", "list"), {"PYTHONUNBUFFERED": "1"}),
        (("config", "schema"), {"PYTHONUNBUFFERED": "1"}),
    ],
)
def test_output_that_cannot_be_written_is_no_success(
    tmp_path: Path, arguments: tuple[str, ...], more: dict[str, str]
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            programs.command("--config", str(programs.ROOT / "servers.toml"), *arguments),
            cwd=tmp_path,
            env=programs.environment(tmp_path, **more),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last == "agent-host: standard output cannot be written: No space left on device"
    assert "bug" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"), [((), 0), (("--help",), 0), (("nope",), 2), (("config", "show"), 2)]
)
def test_the_process_leaves_with_the_commands_status(
    tmp_path: Path, arguments: tuple[str, ...], status: int
) -> None:
    assert programs.agent_host(*arguments, folder=tmp_path).status == status


@pytest.mark.parametrize(("raised", "status"), [(SystemExit(3), 3), (SystemExit("text"), 2)])
def test_leaving_flushes_and_skips_the_shutdown(
    command: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    status: int,
) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(sys, "argv", ["agent-host", "try"])
    command.execute = raises(raised)
    script()
    assert left == [status]


# -- the package ------------------------------------------------------------------------------


def test_every_public_name_loads_on_first_use() -> None:
    for name in agent_host.__all__:
        assert getattr(agent_host, name) is not None
    assert set(agent_host.__all__) <= set(dir(agent_host))
    assert agent_host.open_session is importlib.import_module("agent_host.host").open_session


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = agent_host.nope


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, agent_host; print([m for m in sys.modules if 'agent_host.' in m])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(programs.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "pressed",
    [
        "m.main = lambda: (os.kill(os.getpid(), signal.SIGINT), 0)[1]",
        "m._flushed = lambda s: (os.kill(os.getpid(), signal.SIGINT), s)[1]",
    ],
)
def test_control_c_while_all_has_ended_already_shows_no_traceback(pressed: str) -> None:
    code = (
        "import os, signal, sys; import agent_host.cli.main as m; "
        f"sys.argv = ['agent-host', '--version']; {pressed}; m.script()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in {ExitStatus.DONE, ExitStatus.INTERRUPTED}
    assert done.stderr == ""
