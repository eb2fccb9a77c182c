"""Starting and ending one process, also where there is no keeper."""

import asyncio
import gc
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent_host.servers.connection import connect
from agent_host.servers.spec import Hooks, StdioSpec
from agent_host.servers.transports import keeper, process
from agent_host.servers.transports.process import (
    ServerProcess,
    SpawnFailure,
    child_environment,
    describe_exit,
    start,
)
from tests.fakes.hosting import hostile

SLEEPER = ("-I", "-S", "-c", "import time; time.sleep(600)")


def spec(**more):
    return StdioSpec(name="s", command=sys.executable, args=SLEEPER, **more)


def started(found):
    assert isinstance(found, ServerProcess)
    return found


def test_a_discarded_server_is_ended_and_its_exit_is_told():
    server = started(start(spec(), os.environ))
    server.discard()
    assert server.wait(8) == 128 + 15
    server.discard()


def test_without_a_keeper_the_server_itself_is_ended():
    server = process._start_alone(spec(), sys.executable, dict(os.environ))
    child = psutil.Process(server.pid)
    server.end()
    assert server.wait(8) == -15
    assert not child.is_running()
    server.discard()


def test_killing_is_the_last_resort_and_works():
    server = started(start(spec(), os.environ))
    deadline = time.monotonic() + 8
    while not (children := psutil.Process(server.pid).children()):
        assert time.monotonic() < deadline
    server.kill()
    assert server.wait(8) == -9
    _, alive = psutil.wait_procs(children, timeout=8)
    assert alive == []
    server.kill()
    server.discard()


def test_the_working_directory_is_the_configured_one(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\npwd > here\n")
    tool.chmod(0o755)
    server = started(start(StdioSpec(name="s", command="./tool", cwd=str(tmp_path)), os.environ))
    assert server.wait(8) == 0
    server.discard()
    assert Path((tmp_path / "here").read_text().strip()) == tmp_path.resolve()


def test_the_path_of_the_child_decides_what_a_command_is(tmp_path):
    tool = tmp_path / "only-here"
    tool.write_text("#!/bin/sh\nexit 5\n")
    tool.chmod(0o755)
    found = start(StdioSpec(name="s", command="only-here", env={"PATH": str(tmp_path)}), os.environ)
    server = started(found)
    assert server.wait(8) == 5
    server.discard()


@pytest.mark.parametrize("command", ["./no-interpreter", "./text"])
def test_a_file_the_system_cannot_run_is_told_by_its_exit(tmp_path, command):
    (tmp_path / "no-interpreter").write_text("#!/nowhere/at/all\n")
    (tmp_path / "text").write_bytes(b"\x00\x01")
    for file in tmp_path.iterdir():
        file.chmod(0o755)
    server = started(start(StdioSpec(name="s", command=command, cwd=str(tmp_path)), os.environ))
    assert server.stderr.read(200).startswith(b"cannot start ")
    assert server.wait(8) == 127
    server.discard()


def test_a_folder_that_is_not_there_is_a_failure_that_names_it(tmp_path):
    found = start(spec(cwd=str(tmp_path / "none")), os.environ)
    assert isinstance(found, SpawnFailure)
    assert "is not a directory" in found.reason


def test_an_empty_command_is_a_failure_that_says_so():
    found = start(StdioSpec(name="s", command=""), os.environ)
    assert isinstance(found, SpawnFailure)
    assert "the command is empty" in found.reason


def test_a_nul_in_an_argument_is_a_failure_and_no_exception():
    found = start(StdioSpec(name="s", command="true", args=("a\0b",)), os.environ)
    assert isinstance(found, SpawnFailure)


def test_exported_functions_are_not_inherited():
    seen = child_environment(spec(env={"A": "1"}), {"HOME": "() { x; }", "PATH": "/bin", "B": "2"})
    assert seen == {"PATH": "/bin", "A": "1"}


@pytest.mark.parametrize(
    ("code", "text"),
    [(None, "still running"), (3, "exit code 3"), (-9, "killed by signal 9"), (139, "signal 11")],
)
def test_exits_are_described(code, text):
    assert text in describe_exit(code)


def test_the_keeper_sees_descendants_in_every_generation():
    server = started(start(hostile("setsid"), os.environ))
    deadline = time.monotonic() + 8
    while len(keeper.descendants(server.pid)) < 2:
        assert time.monotonic() < deadline
    family = psutil.Process(server.pid).children(recursive=True)
    assert set(keeper.descendants(server.pid)) <= {p.pid for p in family}
    server.discard()
    assert server.wait(8) is not None
    _, alive = psutil.wait_procs(family, timeout=8)
    assert alive == []


def test_where_there_is_no_process_descriptor_the_exit_is_polled():
    async def scenario():
        found = started(start(hostile(), os.environ))
        os.close(found.exit_fd)
        found.exit_fd = None
        changed, told = [], []
        hooks = Hooks(tools_changed=lambda: changed.append(1), log=lambda *log: told.append(log))
        async with connect(hostile(), found, hooks) as connection:
            await connection.handshake(None)
            tools, problems = await connection.definitions()
            reply = await connection.call("die", {}, print)
            assert (len(tools), problems, reply.kind) == (5, (), "lost")
            assert "exit code 7" in reply.text
        return found.exit_code(), changed, told

    assert asyncio.run(scenario()) == (7, [], [])


def test_a_server_that_is_closed_before_any_handshake_is_gone():
    async def scenario():
        found = started(start(hostile("ignore_eof"), os.environ))
        hooks = Hooks(tools_changed=list, log=lambda *log: list(log))
        async with connect(hostile(), found, hooks) as connection:
            assert not connection.ended
        return found.exit_code()

    assert asyncio.run(scenario()) is not None


def test_a_server_that_was_given_up_is_no_zombie_for_long(recwarn):
    given_up = start(StdioSpec(name="a", command="sleep", args=("60",)), dict(os.environ))
    assert isinstance(given_up, ServerProcess)
    pid = given_up.pid
    given_up.discard()
    del given_up
    gc.collect()
    assert [w for w in recwarn if issubclass(w.category, ResourceWarning)] == []
    # Its keeper ends it; the next start notices.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    again = start(StdioSpec(name="b", command="true"), dict(os.environ))
    assert isinstance(again, ServerProcess)
    again.wait(10)
    again.discard()
    assert not psutil.pid_exists(pid)
