"""No process of a server outlives the host, however either of them ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent_host.servers.transports.process import ServerProcess, start
from tests.fakes.hosting import DEADLINE, call, hostile, running, until

ROOT = Path(__file__).parents[2]
STUBBORN = "ignore_eof,ignore_term,grandchild"
ESCAPING = "ignore_eof,ignore_term,setsid"
IN_TIME = 8


def start_host(tmp_path, *options):
    pids = tmp_path / "pids"
    host = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/fakes/host_driver.py"), str(pids), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert host.stdout is not None
    with host.stdout as told:
        assert told.readline() == b"READY\n"
    return host, pids


def family(host, pids, count):
    """Every process below the host, also those that left its group; `count` announced theirs."""
    deadline = time.monotonic() + DEADLINE
    while len(pids.read_text().split()) < count if pids.exists() else True:
        assert time.monotonic() < deadline, "the servers did not start"
        time.sleep(0.005)
    found = {p.pid: p for p in psutil.Process(host.pid).children(recursive=True)}
    for pid in map(int, pids.read_text().split()):
        found.setdefault(pid, psutil.Process(pid))
    return list(found.values())


def assert_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=IN_TIME)
    left = [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    for process in left:
        process.kill()
    assert left == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_host_leaves_no_server_and_no_grandchild(tmp_path, number):
    host, pids = start_host(tmp_path, "", STUBBORN, ESCAPING)
    processes = family(host, pids, 5)
    assert len(processes) == 3 + 5
    host.send_signal(number)
    host.wait(IN_TIME)
    assert_gone(processes)


def test_a_host_killed_before_its_loop_runs_leaves_no_server(tmp_path):
    host, pids = start_host(tmp_path, ESCAPING, "--early")
    processes = family(host, pids, 2)
    host.kill()
    host.wait(IN_TIME)
    assert_gone(processes)


def test_a_normal_exit_ends_servers_that_ignore_eof_and_sigterm(tmp_path):
    host, pids = start_host(tmp_path, STUBBORN, ESCAPING, "--leave")
    announced = [
        psutil.Process(int(p)) for p in pids.read_text().split() if psutil.pid_exists(int(p))
    ]
    assert host.wait(IN_TIME) == 0
    assert_gone(announced)


def test_a_server_that_dies_takes_its_grandchildren_with_it(tmp_path):
    async def scenario():
        spec = hostile("setsid", "--pids", tmp_path / "pids")
        async with running(spec) as pool:
            pids = [int(p) for p in (tmp_path / "pids").read_text().split()]
            processes = [psutil.Process(pid) for pid in pids]
            await call(pool, "h__die")
            await until(
                lambda: all(not p.is_running() or p.status() == "zombie" for p in processes)
            )

    asyncio.run(scenario())


def test_closing_many_stubborn_servers_takes_as_long_as_closing_one(tmp_path):
    async def scenario():
        specs = [hostile(STUBBORN, name=f"s{i}") for i in range(4)]
        async with running(*specs) as pool:
            assert [h.state for h in pool.health()] == ["connected"] * 4
            began = time.monotonic()
        return time.monotonic() - began

    assert asyncio.run(scenario()) < 4


def test_a_keeper_that_is_killed_does_not_leave_its_server():
    process = start(hostile("ignore_eof"), os.environ)
    assert isinstance(process, ServerProcess)
    deadline = time.monotonic() + DEADLINE
    while not (children := psutil.Process(process.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert_gone(children)
    assert process.wait(IN_TIME) == -signal.SIGKILL
    process.discard()


def test_the_exit_code_of_the_server_is_told():
    process = start(hostile("die"), os.environ)
    assert isinstance(process, ServerProcess)
    assert process.wait(IN_TIME) == 9
    process.discard()
