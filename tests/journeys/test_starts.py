"""A program from a nursery is what one is that Python started, so that the tests may use either."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fakes import starts
from tests.fakes.programs import command, environment
from tests.fakes.ptys import PROGRAM, Terminal
from tests.journeys.stage import call, stage

RUN = ("run", "--trust", "--approve", "all", "--output", "text")


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("--version",), subprocess.DEVNULL),
        (("--no-such-option",), subprocess.DEVNULL),
        (("config", "show"), subprocess.DEVNULL),
        (("transcripts", "list"), subprocess.DEVNULL),
        ((*RUN, "--server", "no", "Hi."), subprocess.DEVNULL),
        ((*RUN, "Hi. äöü"), subprocess.DEVNULL),
        (RUN, b"From a pipe: \xc3\xa4 and \xff"),
        (("policy", "test"), subprocess.DEVNULL),
    ],
)
def test_it_says_the_same_and_ends_the_same(tmp_path, arguments, stdin):
    ended = []
    for name in ("started", "forked"):
        (folder := tmp_path / name / "same").mkdir(parents=True)
        stage(folder, {"say": "ünï 日本"})
        env = environment(folder)
        assert starts.can_start(env)
        if name == "started":
            given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
            done = subprocess.run(
                command(*arguments), cwd=folder, env=env, capture_output=True, check=False, **given
            )
        else:
            done = starts.run(arguments, cwd=folder, env=env, stdin=stdin)
        told = [text.replace(str(folder).encode(), b"") for text in (done.stdout, done.stderr)]
        ended.append((done.returncode, *told))
    assert ended[0] == ended[1]


def chatted(folder, program):
    """What a chat without servers, in which nothing goes on, has open, and then shows."""
    folder.mkdir()
    (folder / "servers.toml").write_text('model = "offline"\n')
    with Terminal("chat", "--trust", cwd=folder, program=program) as terminal:
        terminal.wait("\n>")
        assert os.getsid(terminal.pid) == terminal.pid
        files = [path.readlink() for path in Path(f"/proc/{terminal.pid}/fd").iterdir()]
        terminal.keys("/quit\r")
        assert terminal.exit_status() == 0
        kinds = sorted(file.suffix or file.name.partition(":")[0] for file in files)
        return kinds, [line for line in terminal.text.splitlines() if "sign" not in line]


def test_at_a_terminal_it_shows_the_same_and_has_no_files_but_its_own(tmp_path):
    assert chatted(tmp_path / "one", PROGRAM) == chatted(tmp_path / "two", None)


def test_a_signal_ends_it_and_is_its_status(tmp_path):
    stage(tmp_path, {"call": call("wait")})
    with Terminal(*RUN, "Wait.", cwd=tmp_path) as terminal:
        terminal.wait("wait")
        os.kill(terminal.pid, signal.SIGKILL)
        assert terminal.exit_status() == -signal.SIGKILL


@pytest.mark.parametrize("name", ["PYTHONOPTIMIZE", "PYTHONPROFILEIMPORTTIME", "LANG", "LC_ALL"])
def test_what_only_a_start_of_python_reads_is_given_to_one(tmp_path, name):
    assert not starts.can_start(environment(tmp_path, **{name: "1"}))
    assert not starts.can_start({**environment(tmp_path), "PYTHONPATH": str(tmp_path)})
