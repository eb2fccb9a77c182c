"""A confined server ends as any other does, and so does everything below it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from agent_host.servers.spec import StdioSpec
from agent_host.servers.transports.process import ServerProcess, start
from tests.fakes.cells import DEADLINE, finished, in_each_kind

ROOT = Path(__file__).parents[2]

DETACHING = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
there, here = os.pipe()
def stay():
    os.write(here, b"x")
    while True:
        time.sleep(60)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stay()
for _ in range(4):
    os.read(there, 1)
print("READY", flush=True)
stay()
"""
"""A server of five processes in three sessions, none of which ends when it is asked to."""


def below(pid):
    return psutil.Process(pid).children(recursive=True)


def assert_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=8)
    left = [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    for process in left:
        process.kill()
    assert left == []


def started(cell, code, *args, **more):
    process = cell.start(code, *args, **more)
    assert isinstance(process, ServerProcess), process
    assert process.stdout.readline() == b"READY\n"
    return process


@in_each_kind
def test_what_left_its_session_and_ignores_signals_ends_with_the_server(cell):
    # threat 56
    for network in ("none", "loopback"):
        process = started(cell, DETACHING, network=network)
        family = below(process.pid)
        assert len(family) >= 5
        process.discard()
        assert process.wait(8) is not None
        assert_gone(family)


@in_each_kind
def test_a_host_that_is_killed_leaves_nothing_confined_behind(cell):
    script = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.fakes.cells import Cell
process = Cell({cell.kind!r}, Path({str(cell.folder)!r})).start({DETACHING!r})
process.stdout.readline()
print("READY", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as host:
        assert host.stdout.readline() == b"READY\n"
        family = below(host.pid)
        assert len(family) >= 6
        host.kill()
    assert_gone(family)


@in_each_kind
def test_a_keeper_that_is_killed_does_not_leave_a_confined_server(cell):
    # What detached itself only a namespace of processes still reaches.
    alone = "import time; print('READY', flush=True); time.sleep(600)"
    code = DETACHING if cell.kind == "bubblewrap" else alone
    process = started(cell, code, environ={**os.environ, "TMPDIR": str(cell.folder)})
    family = below(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    assert_gone(family)
    assert process.wait(8) == -signal.SIGKILL
    process.discard()


@in_each_kind
def test_the_end_of_its_input_reaches_a_server(cell):
    process = started(cell, "import sys; print('READY', flush=True); sys.stdin.read(); sys.exit(5)")
    process.stdin.close()
    assert process.wait(DEADLINE) == 5
    process.discard()


@in_each_kind
def test_a_server_that_is_told_to_end_may_still_put_its_things_in_order(cell):
    out = cell.folder / "out"
    out.mkdir()
    code = """
import signal, sys, time
def end(*_):
    open(sys.argv[1] + "/saved", "w").write("in order")
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("READY", flush=True)
while True:
    time.sleep(60)
"""
    for network in ("none", "loopback"):
        (out / "saved").unlink(missing_ok=True)
        process = started(cell, code, out, write=[out], network=network)
        process.end()
        assert process.wait(8) == 3
        process.discard()
        assert (out / "saved").read_text() == "in order"


@in_each_kind
def test_how_a_server_ended_is_told_as_without_a_sandbox(cell):
    for network in ("none", "loopback"):
        assert cell.run("import sys; sys.exit(9)", network=network).status == 9
        died = cell.run("import os; os.kill(os.getpid(), 11)", network=network)
        assert died.status == 128 + 11


@in_each_kind
def test_what_a_server_logs_arrives(cell):
    ended = cell.run("import sys; sys.stderr.write('a log line\\n')")
    assert (ended.status, ended.err) == (0, "a log line\n")


@in_each_kind
def test_a_program_that_the_system_cannot_run_is_told_by_its_exit(cell):
    tool = cell.folder / "tool"
    tool.write_text("#!/nowhere/at/all\n")
    tool.chmod(0o755)
    spec = StdioSpec(name="s", command="./tool", cwd=str(cell.folder), sandbox=cell.sandbox())
    ended = finished(start(spec, os.environ))
    assert ended.status in (1, 126, 127)
    assert "tool: No such file or directory" in ended.err


@in_each_kind
def test_its_folder_for_temporary_files_is_removed_whatever_is_in_it(cell):
    process = started(
        cell,
        """
import os
folder = os.environ.get("TMPDIR", "/tmp")
os.makedirs(folder + "/a/b")
os.symlink("/usr", folder + "/a/usr")
os.symlink(folder, folder + "/a/b/up")
open(folder + "/a/b/c", "w").write("x")
os.chdir(folder + "/a/b")
print("READY", flush=True)
while True:
    input()
""",
        environ={**os.environ, "TMPDIR": str(cell.folder)},
        write=[],
    )
    mine = [p for p in cell.folder.iterdir() if p.name.startswith("agent-host-")]
    assert len(mine) == (cell.kind == "landlock")
    process.stdin.close()
    assert process.wait(DEADLINE) is not None
    process.discard()
    assert [p for p in mine if p.exists()] == []
    assert Path("/usr/bin").is_dir()
