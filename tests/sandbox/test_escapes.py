"""What a hostile program tries in its sandbox: each attempt by a real process, in each kind."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_host.sandbox.wish import MissingPathError, grants
from tests.fakes.cells import in_each_kind

REFUSED = {"FileNotFoundError", "PermissionError", "OSError", "NotADirectoryError"}


@pytest.fixture
def elsewhere(tmp_path_factory):
    """A home folder with a key in it, outside of the sandbox."""
    home = tmp_path_factory.mktemp("home")
    key = home / ".ssh" / "id_rsa"
    key.parent.mkdir()
    key.write_text("PRIVATE KEY")
    return home


@in_each_kind
def test_a_key_in_the_home_folder_is_not_read(cell, elsewhere):
    found = cell.tried(
        """
home = sys.argv[1]
attempt("key", lambda: open(home + "/.ssh/id_rsa").read())
attempt("list", lambda: os.listdir(home))
attempt("dots", lambda: open("/usr/../" + home + "/.ssh/../.ssh/id_rsa").read())
attempt("process", lambda: open("/proc/self/root" + home + "/.ssh/id_rsa").read())
attempt("cwd", lambda: open("/proc/self/cwd/../../" + home + "/.ssh/id_rsa").read())
attempt("shadow", lambda: open("/etc/shadow").read())
attempt("own program", lambda: open(os.__file__).read(10))
""",
        elsewhere,
        home=str(elsewhere),
    )
    assert found.pop("own program")
    assert found.pop("list") in ([], *REFUSED)
    assert set(found.values()) <= REFUSED


@in_each_kind
def test_what_is_granted_to_read_is_read_and_not_written(cell, elsewhere):
    (elsewhere / "data").mkdir()
    (elsewhere / "data" / "a.txt").write_text("hello")
    found = cell.tried(
        """
data = sys.argv[1] + "/data"
attempt("read", lambda: open(data + "/a.txt").read())
attempt("list", lambda: os.listdir(data))
attempt("write", lambda: open(data + "/a.txt", "w"))
attempt("append", lambda: open(data + "/a.txt", "a"))
attempt("new", lambda: open(data + "/b.txt", "w"))
attempt("remove", lambda: os.unlink(data + "/a.txt"))
attempt("rename", lambda: os.rename(data + "/a.txt", data + "/c.txt"))
attempt("truncate", lambda: os.truncate(data + "/a.txt", 0))
attempt("folder", lambda: os.mkdir(data + "/d"))
attempt("mode", lambda: os.chmod(data + "/a.txt", 0o777))
attempt("key", lambda: open(sys.argv[1] + "/.ssh/id_rsa").read())
""",
        elsewhere,
        read=[elsewhere / "data"],
    )
    assert (found.pop("read"), found.pop("list")) == ("hello", ["a.txt"])
    assert set(found.values()) <= REFUSED
    assert [p.name for p in (elsewhere / "data").iterdir()] == ["a.txt"]
    assert (elsewhere / "data" / "a.txt").read_text() == "hello"
    assert (elsewhere / "data" / "a.txt").stat().st_mode & 0o777 != 0o777


@in_each_kind
def test_what_is_granted_to_write_is_written_and_nothing_beside_it(cell, elsewhere):
    (elsewhere / "out").mkdir()
    found = cell.tried(
        """
home = sys.argv[1]
def put(path):
    with open(path, "w") as file:
        return file.write("x")
attempt("in it", lambda: put(home + "/out/a/../b"))
attempt("folder", lambda: os.mkdir(home + "/out/a"))
attempt("in it then", lambda: put(home + "/out/a/../b"))
attempt("rename", lambda: os.rename(home + "/out/b", home + "/out/a/b"))
attempt("beside", lambda: put(home + "/c"))
attempt("up", lambda: put(home + "/out/../c"))
attempt("link up", lambda: os.link(home + "/out/a/b", home + "/c"))
attempt("program", lambda: put(os.path.dirname(sys.executable) + "/pwned"))
attempt("library", lambda: put(os.__file__))
attempt("system", lambda: put("/usr/pwned"))
attempt("root", lambda: put("/pwned"))
""",
        elsewhere,
        write=[elsewhere / "out"],
    )
    assert found.pop("in it") == "FileNotFoundError"
    assert [found.pop(k) for k in ("folder", "in it then", "rename")] == [None, 1, None]
    # This test's folders are in /tmp, of which the server may have one of its own.
    in_tmp = [found.pop(k) for k in ("beside", "up", "link up")]
    assert cell.kind == "bubblewrap" or set(in_tmp) <= REFUSED
    assert set(found.values()) <= REFUSED
    assert sorted(p.name for p in elsewhere.rglob("*")) == [".ssh", "a", "b", "id_rsa", "out"]
    assert not Path(sys.executable).with_name("pwned").exists()


@in_each_kind
def test_a_symlink_that_a_server_makes_leads_nowhere(cell, elsewhere):
    (elsewhere / "out").mkdir()
    found = cell.tried(
        """
home = sys.argv[1]
os.symlink(home + "/.ssh", home + "/out/keys")
os.symlink("/", home + "/out/all")
attempt("key", lambda: open(home + "/out/keys/id_rsa").read())
attempt("all", lambda: open(home + "/out/all/" + home + "/.ssh/id_rsa").read())
attempt("write", lambda: open(home + "/out/keys/authorized_keys", "w"))
""",
        elsewhere,
        write=[elsewhere / "out"],
    )
    assert set(found.values()) <= REFUSED
    assert sorted(p.name for p in (elsewhere / ".ssh").iterdir()) == ["id_rsa"]


@in_each_kind
def test_a_granted_path_that_the_server_made_a_symlink_of_is_not_followed_at_its_next_start(
    cell, elsewhere
):
    out = elsewhere / "out"
    (out / "cache").mkdir(parents=True)
    code = """
attempt("key", lambda: open(sys.argv[1] + "/cache/id_rsa").read())
os.rename(sys.argv[1] + "/cache", sys.argv[1] + "/old")
os.symlink(sys.argv[2] + "/.ssh", sys.argv[1] + "/cache")
"""
    first = cell.tried(code, out, elsewhere, write=[out], read=[out / "cache"])
    again = cell.tried(
        code.partition("os.rename")[0], out, elsewhere, write=[out], read=[out / "cache"]
    )
    assert (first["key"], again["key"] in REFUSED) == ("FileNotFoundError", True)


@in_each_kind
def test_a_granted_symlink_grants_what_it_leads_to(cell, elsewhere):
    (elsewhere / "data").mkdir()
    (elsewhere / "data" / "a.txt").write_text("hello")
    (elsewhere / "link").symlink_to("data")
    found = cell.tried(
        """
attempt("by name", lambda: open(sys.argv[1] + "/link/a.txt").read())
attempt("itself", lambda: open(sys.argv[1] + "/data/a.txt").read())
attempt("beside", lambda: open(sys.argv[1] + "/.ssh/id_rsa").read())
""",
        elsewhere,
        read=[elsewhere / "link"],
    )
    assert (found["by name"], found["itself"]) == ("hello", "hello")
    assert found["beside"] in REFUSED


def test_a_path_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(MissingPathError, match="nowhere does not exist; create it"):
        grants(["nowhere"], tmp_path)


@in_each_kind
def test_the_environment_of_the_host_and_of_other_processes_is_out_of_reach(cell):
    other = subprocess.Popen(
        ["sleep", "60"], env={"PATH": os.environ["PATH"], "CANARY": "of another process"}
    )
    try:
        found = cell.tried(
            """
attempt("own", lambda: sorted(os.environ))
attempt("host", lambda: open(f"/proc/{sys.argv[1]}/environ").read())
attempt("other", lambda: open(f"/proc/{sys.argv[2]}/environ").read())
attempt("command", lambda: open(f"/proc/{sys.argv[2]}/cmdline").read())
attempt("memory", lambda: open(f"/proc/{sys.argv[2]}/mem", "rb").read(1))
def every():
    texts = []
    for entry in os.listdir("/proc"):
        try:
            texts.append(open(f"/proc/{entry}/environ").read())
        except OSError:
            pass
    return "CANARY" in "".join(texts)
attempt("any", every)
""",
            os.getpid(),
            other.pid,
            environ={**os.environ, "HOST_SECRET": "x", "OPENAI_API_KEY": "sk-x"},
            env={"GIVEN": "y"},
        )
    finally:
        other.kill()
        other.wait()
    own = found.pop("own")
    assert "GIVEN" in own
    assert not {"HOST_SECRET", "OPENAI_API_KEY"} & set(own)
    assert found.pop("any") in (False, "PermissionError")
    assert set(found.values()) <= REFUSED


@in_each_kind
def test_a_secret_that_a_server_is_given_is_in_no_command_line(cell):
    # threat 55
    process = cell.start(
        "import os, sys; print(os.environ['TOKEN'], flush=True); sys.stdin.read()",
        env={"TOKEN": "canary-3f7a"},
    )
    assert process.stdout.readline() == b"canary-3f7a\n"
    lines = []
    for entry in Path("/proc").iterdir():
        try:
            lines.append((entry / "cmdline").read_bytes())
        except OSError:
            continue
    process.stdin.close()
    assert process.wait(30) == 0
    process.discard()
    assert any(b"launcher.py" in line for line in lines)
    assert not any(b"canary-3f7a" in line for line in lines)


@in_each_kind
def test_other_processes_are_neither_signalled_nor_traced(cell):
    other = subprocess.Popen(["sleep", "60"])
    try:
        found = cell.tried(
            """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
attempt("kill", lambda: os.kill(pid, 9))
attempt("everybody", lambda: os.kill(-1, 0))
attempt("trace", lambda: libc.ptrace(16, pid, 0, 0))
attempt("read", lambda: libc.process_vm_readv(pid, 0, 0, 0, 0, 0))
attempt("own child", lambda: os.waitpid(os.fork() or os._exit(3), 0)[1] >> 8)
""",
            other.pid,
        )
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    assert found["kill"] in ("ProcessLookupError", "PermissionError")
    assert (found["trace"], found["read"], found["own child"]) == (-1, -1, 3)


@in_each_kind
def test_calls_that_reach_into_the_kernel_are_refused(cell):
    found = cell.tried(
        """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    result = getattr(libc, name)(*arguments)
    return result if result >= 0 else os.strerror(ctypes.get_errno())
attempt("unshare", lambda: call("unshare", 0x10000000))
attempt("setns", lambda: call("setns", 0, 0))
attempt("mount", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
attempt("chroot", lambda: call("chroot", b"/tmp"))
attempt("reboot", lambda: call("reboot", 0))
attempt("hostname", lambda: call("sethostname", b"x", 1))
""",
    )
    assert set(found.values()) == {os.strerror(1)}


@in_each_kind
def test_what_processes_share_by_number_does_not_reach_the_hosts(cell):
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0x5EC0DE, 4096, 0o1600)
    assert segment >= 0
    try:
        found = cell.tried(
            """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
attempt("memory", lambda: libc.shmget(0x5EC0DE, 4096, 0o600))
limits = (ctypes.c_uint64 * 2)()
attempt("limits", lambda: libc.prlimit(int(sys.argv[1]), 4, None, limits))
""",
            os.getpid(),
        )
    finally:
        libc.shmctl(segment, 0, None)  # IPC_RMID
    assert found == {"memory": -1, "limits": -1}


@in_each_kind
def test_ways_around_the_filter_are_answered_as_by_a_kernel_that_lacks_them(cell):
    if os.uname().machine != "x86_64":
        return  # the numbers below are that one's
    found = cell.tried(
        """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result == 0 and number in (56, 435):
        os._exit(0)
    return result if result >= 0 else os.strerror(ctypes.get_errno())
attempt("io_uring", lambda: call(425, 1, 0))
attempt("clone3", lambda: call(435, bytes(88), 88))
attempt("x32", lambda: call(0x40000000 + 41, 2, 1, 0))
attempt("namespace", lambda: call(56, 0x10000000 | 17, 0, 0, 0, 0))
attempt("terminal", lambda: call(16, 0, 0x5412, b"x"))
attempt("high half", lambda: call(16, 0, (1 << 32) | 0x5412, b"x"))
"""
    )
    lacks, forbidden = os.strerror(38), os.strerror(1)
    assert [found[k] for k in ("io_uring", "clone3", "x32")] == [lacks] * 3
    assert [found[k] for k in ("namespace", "terminal", "high half")] == [forbidden] * 3


@in_each_kind
def test_what_runs_has_no_capabilities_and_gains_none(cell):
    lines = cell.answer(
        """
import json
print(json.dumps(dict(l.split(":\\t") for l in open("/proc/self/status").read().splitlines())))
"""
    )
    assert int(lines["CapEff"], 16) == int(lines["CapPrm"], 16) == int(
        lines["CapBnd"], 16
    ) == 0 or (os.geteuid() != 0 and int(lines["CapEff"], 16) == 0)
    assert (lines["NoNewPrivs"], lines["Seccomp"]) == ("1", "2")


@in_each_kind
def test_files_that_the_host_has_open_are_not_inherited(cell, elsewhere):
    with (elsewhere / ".ssh" / "id_rsa").open() as key:
        os.set_inheritable(key.fileno(), True)
        found = cell.tried(
            """
fds = [fd for fd in range(3, 256) if os.path.exists(f"/proc/self/fd/{fd}")]
attempt("open", lambda: [os.readlink(f"/proc/self/fd/{fd}") for fd in fds])
""",
        )
    assert found["open"] == []


@in_each_kind
def test_it_has_a_folder_for_temporary_files_of_its_own_that_is_gone_with_it(cell):
    before = set(Path("/tmp").iterdir())
    found = cell.tried(
        """
folder = os.environ.get("TMPDIR", "/tmp")
def put():
    open(folder + "/mine", "w").write("x")
    os.mkdir(folder + "/d")
    open(folder + "/d/deep", "w").write("x")
    return sorted(os.listdir(folder))
attempt("own", put)
attempt("host's", lambda: open(sys.argv[1] + "/x", "w").write("x"))
""",
        cell.folder,
    )
    assert {"d", "mine"} <= set(found["own"])
    assert not (cell.folder / "x").exists()
    new = {p for p in set(Path("/tmp").iterdir()) - before if p.name.startswith("agent-host-")}
    assert not [p for p in new if (p / "mine").exists()]


@in_each_kind
def test_what_decides_over_servers_stays_as_it_is_in_a_folder_that_may_be_written(cell):
    project = cell.folder / "project"
    project.mkdir()
    (project / "servers.toml").write_text("mine")
    (project / "transcripts").mkdir()
    (project / "transcripts" / "run.jsonl").write_text("what others said")
    (project / "transcripts" / "tool").mkdir()
    (project / "transcripts" / "tool" / "main").write_text("its own program")
    wish = {
        "program": (str(project / "transcripts" / "tool"),),
        "write": [project],
        "guarded": (str(project / "servers.toml"), str(project / "servers.lock")),
        "hidden": (str(project / "transcripts"),),
    }
    # Landlock can only grant whole folders; then that is said.
    gaps = "\n".join(cell.sandbox(**wish).gaps)
    assert (f"it can change {project}/servers.toml" in gaps) == (cell.kind == "landlock")
    assert (f"it can read {project}/transcripts" in gaps) == (cell.kind == "landlock")
    found = cell.tried(
        """
project = sys.argv[1]
attempt("write", lambda: open(project + "/servers.toml", "w").write("theirs"))
attempt("replace", lambda: os.rename(project + "/servers.toml", project + "/old"))
attempt("read", lambda: open(project + "/transcripts/run.jsonl").read())
attempt("beside", lambda: open(project + "/other", "w").write("x"))
attempt("own", lambda: open(project + "/transcripts/tool/main").read())
""",
        project,
        **wish,
    )
    assert (found.pop("beside"), found.pop("own")) == (1, "its own program")
    if cell.kind == "bubblewrap":
        assert set(found.values()) <= REFUSED
        assert (project / "servers.toml").read_text() == "mine"


@in_each_kind
def test_who_may_read_everything_still_changes_and_reaches_nothing(cell, elsewhere):
    found = cell.tried(
        """
home = sys.argv[1]
attempt("key", lambda: open(home + "/.ssh/id_rsa").read())
attempt("write", lambda: open(home + "/new", "w"))
attempt("cwd", lambda: open("new", "w"))
attempt("system", lambda: open("/usr/new", "w"))
attempt("sockets", lambda: socket.socket(socket.AF_UNIX))
attempt("other", lambda: open(f"/proc/{sys.argv[2]}/environ").read())
attempt("network", lambda: socket.create_connection(("192.0.2.1", 9), 5))
attempt("own", lambda: open(os.environ.get("TMPDIR", "/tmp") + "/x", "w").write("x"))
""",
        elsewhere,
        os.getpid(),
        read=["/", elsewhere / ".ssh"],
    )
    assert (found.pop("key"), found.pop("own")) == ("PRIVATE KEY", 1)
    new = found.pop("cwd"), found.pop("write")
    assert cell.kind == "bubblewrap" or set(new) <= REFUSED
    assert not (elsewhere / "new").exists()
    assert not (cell.folder / "new").exists()
    assert set(found.values()) <= REFUSED


@in_each_kind
def test_the_kernel_is_not_set_up_anew_not_even_as_root(cell):
    found = cell.tried(
        """
attempt("cores", lambda: open("/proc/sys/kernel/core_pattern", "r+"))
attempt("helper", lambda: open("/proc/sys/kernel/modprobe", "r+"))
attempt("trigger", lambda: open("/proc/sysrq-trigger", "w"))
attempt("still read", lambda: open("/proc/sys/kernel/ostype").read())
"""
    )
    found.pop("still read")
    assert set(found.values()) <= REFUSED


@in_each_kind
def test_what_is_guarded_is_reached_by_no_other_name_and_not_replaced_with_its_folder(cell):
    project, link = cell.folder / "project", cell.folder / "link"
    for folder in (project / ".git" / "hooks", project / "transcripts"):
        folder.mkdir(parents=True)
    link.symlink_to(project)
    (project / "servers.toml").write_text("mine")
    (project / "transcripts" / "run.jsonl").write_text("secret")
    found = cell.tried(
        """
project, link = sys.argv[1:]
attempt("config", lambda: open(link + "/servers.toml", "a"))
attempt("hook", lambda: open(link + "/.git/hooks/x", "w"))
attempt("run", lambda: open(link + "/transcripts/run.jsonl").read())
attempt("folder", lambda: os.rename(project + "/.git", project + "/old"))
attempt("its other name", lambda: os.rename(link + "/.git", link + "/old"))
attempt("inside", lambda: open(link + "/.git/index", "w").write("x"))
""",
        project,
        link,
        write=[link],
        guarded=(str(project / "servers.toml"), str(project / ".git" / "hooks")),
        hidden=(str(project / "transcripts"),),
    )
    assert found.pop("inside") == 1 or cell.kind == "landlock"  # where .git was renamed
    if cell.kind == "bubblewrap":
        assert set(found.values()) <= REFUSED
