"""What a program reaches over the network in its sandbox."""

import contextlib
import ctypes
import os
import platform
import socket
import subprocess
import threading
from dataclasses import replace

import pytest

from agent_host.sandbox.confine import Sandbox
from agent_host.sandbox.wish import Wish
from tests.fakes.cells import REAL, in_each_kind, machine_of

REFUSED = {"PermissionError", "OSError", "ConnectionRefusedError", "FileNotFoundError"}

CONNECTING = """
def to(address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as s:
        s.settimeout(5)
        s.connect(address)
        return "connected"
port = int(sys.argv[1])
"""
FAR = ("192.0.2.1", 9)  # TEST-NET-1, RFC 5737


@pytest.fixture
def listener():
    """A server on the host's loopback that says hello."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listening.accept()
                    peer.sendall(b"hello")
                    peer.close()

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@in_each_kind
def test_without_network_nothing_is_reached(cell, listener):
    found = cell.tried(
        CONNECTING
        + """
attempt("loopback", lambda: to(("127.0.0.1", port)))
attempt("far", lambda: to(("192.0.2.1", 9)))
attempt("six", lambda: to(("2001:db8::1", 9), socket.AF_INET6))
attempt("abstract", lambda: to("\\0agent-host-test", socket.AF_UNIX))
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("packet", lambda: socket.socket(17, socket.SOCK_RAW))
attempt("kernel's ciphers", lambda: socket.socket(38, socket.SOCK_SEQPACKET))
def say():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return s.sendto(b"x", ("192.0.2.1", 9))
attempt("datagram", say)
""",
        listener,
    )
    assert set(found.values()) <= REFUSED


@in_each_kind
def test_processes_of_one_server_still_talk_over_pipes_and_socket_pairs(cell):
    found = cell.tried(
        """
def pair():
    one, other = socket.socketpair()
    one.sendall(b"x")
    return other.recv(1).decode()
attempt("pair", pair)
import subprocess
attempt("child", lambda: subprocess.check_output(["sh", "-c", "echo a | cat"]).decode())
"""
    )
    assert found == {"pair": "x", "child": "a\n"}


@in_each_kind
def test_loopback_is_the_hosts_own_and_no_further(cell, listener):
    if not REAL.loopback:
        assert any("loopback" in m for m in cell.sandbox(network="loopback").missing)
        return
    found = cell.tried(
        CONNECTING
        + """
def hello():
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        return s.recv(5).decode()
attempt("hello", hello)
attempt("by name", lambda: to(("localhost", port)))
attempt("mapped", lambda: to(("::ffff:127.0.0.1", port), socket.AF_INET6))
def waiting():
    s = socket.socket()
    s.setblocking(False)
    code = s.connect_ex(("127.0.0.1", port))
    import select
    select.select([], [s], [], 5)
    return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
attempt("not waiting", waiting)
def own():
    with socket.create_server(("127.0.0.1", 0)) as s, socket.create_connection(s.getsockname(), 5):
        return "listens"
attempt("own", own)
def threads():
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return len([*pool.map(lambda _: hello(), range(40))])
attempt("many", threads)
def child():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if hello() == "hello" else 1)
    return os.waitpid(pid, 0)[1]
attempt("child", child)
""",
        listener,
        network="loopback",
    )
    assert found == {
        "hello": "hello", "by name": "connected", "mapped": "connected", "not waiting": 0,
        "own": "listens", "many": 40, "child": 0,
    }  # fmt: skip


@in_each_kind
def test_beyond_the_loopback_there_is_no_way(cell, listener):
    if not REAL.loopback:
        assert cell.sandbox(network="loopback", mode="required").refusal
        return
    found = cell.tried(
        CONNECTING
        + """
attempt("far", lambda: to(("192.0.2.1", 9)))
attempt("own address", lambda: to((sys.argv[2], port)))
attempt("six", lambda: to(("2001:db8::1", 9), socket.AF_INET6))
attempt("mapped", lambda: to(("::ffff:192.0.2.1", 9), socket.AF_INET6))
attempt("nowhere", lambda: to(("0.0.0.0", port)))
attempt("datagram", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("multipath", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("everywhere", lambda: socket.create_server(("0.0.0.0", 0)))
def unbound():
    with socket.socket() as s:
        s.listen()
        return "listens"
attempt("unbound", unbound)
def fast():
    with socket.socket() as s:
        return s.sendto(b"x", socket.MSG_FASTOPEN, ("192.0.2.1", 9))
attempt("fast open", fast)
def fast_message():
    with socket.socket() as s:
        return s.sendmsg([b"x"], [], socket.MSG_FASTOPEN, ("192.0.2.1", 9))
attempt("fast open message", fast_message)
import ctypes
def short():
    libc = ctypes.CDLL(None, use_errno=True)
    with socket.socket() as s:
        result = libc.connect(s.fileno(), b"\\2\\0", 2)
        return "connected" if result == 0 else "OSError"
attempt("short address", short)
def nothing():
    libc = ctypes.CDLL(None, use_errno=True)
    address = b"\\2\\0\\0\\x09\\x7f\\0\\0\\1" + bytes(8)
    return "connected" if libc.connect(999, address, 16) == 0 else "OSError"
attempt("no socket", nothing)
""",
        listener,
        own_address(),
        network="loopback",
    )
    assert (found.pop("short address"), found.pop("no socket")) == ("OSError", "OSError")
    # Refused by the sandbox, and not by whoever would have been reached.
    assert set(found.values()) == {"PermissionError"}


def test_the_loopback_is_held_wherever_the_kernel_can():
    held = REAL.filters and can_copy_a_childs_descriptor()
    assert REAL.loopback == held


def can_copy_a_childs_descriptor():
    """Whether seccomp_unotify(2) and pidfd_getfd(2) can be had, found out in another way."""
    libc = ctypes.CDLL(None, use_errno=True)
    notify = 0x7FC00000
    action = ctypes.c_uint32(notify)
    number = 317 if platform.machine() == "x86_64" else 277
    if libc.syscall(number, 2, 0, ctypes.byref(action)) != 0:  # SECCOMP_GET_ACTION_AVAIL
        return False
    with subprocess.Popen(["sleep", "60"]) as child:
        pidfd = os.pidfd_open(child.pid)
        copy = libc.syscall(438, pidfd, 0, 0)
        os.close(pidfd)
        if copy >= 0:
            os.close(copy)
        child.kill()
    return copy >= 0


@in_each_kind
def test_an_address_that_changes_while_it_is_looked_at_leads_nowhere_else(cell, listener):
    if not REAL.loopback:
        assert cell.sandbox(network="loopback", mode="required").refusal
        return
    found = cell.tried(
        CONNECTING
        + """
import ctypes, struct, threading
libc = ctypes.CDLL(None, use_errno=True)
start = struct.pack("=H", 2) + struct.pack(">H", port)
address = ctypes.create_string_buffer(start + bytes([127, 0, 0, 1]) + bytes(8))
over = False
def change():
    while not over:
        address[4:8] = bytes([192, 0, 2, 1])
        address[4:8] = bytes([127, 0, 0, 1])
threading.Thread(target=change, daemon=True).start()
def race():
    peers = set()
    for _ in range(300):
        with socket.socket() as s:
            if libc.connect(s.fileno(), address, 16) == 0:
                peers.add(s.getpeername()[0])
    return sorted(peers)
attempt("peers", race)
over = True
""",
        listener,
        network="loopback",
    )
    assert found["peers"] in ([], ["127.0.0.1"])


@in_each_kind
def test_with_the_whole_network_the_hosts_own_sockets_stay_out_of_reach(cell, listener):
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0agent-host-test-{listener}")
        abstract.listen()
        found = cell.tried(
            CONNECTING
            + """
attempt("loopback", lambda: to(("127.0.0.1", port)))
attempt("abstract", lambda: to(f"\\0agent-host-test-{port}", socket.AF_UNIX))
attempt("interfaces", lambda: len(socket.if_nameindex()) > 0)
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
""",
            listener,
            network="all",
        )
    assert (found.pop("loopback"), found.pop("interfaces")) == ("connected", True)
    assert set(found.values()) <= REFUSED


def test_where_connections_cannot_be_held_that_is_said_and_required_is_refused(tmp_path):
    machine = replace(machine_of("landlock"), landlock=4, filters=True, loopback=False)
    wish = Wish(server="s", network="loopback")
    sandbox = Sandbox(wish=wish, machine=machine)
    assert 'does not enforce network = "loopback"' in sandbox.warning
    strict = Sandbox(wish=replace(wish, mode="required"), machine=machine)
    assert 'this machine lacks network = "loopback"' in strict.refusal
    assert strict.wrap("/bin/true", (), {}, str(tmp_path)) == strict.refusal


def own_address():
    """An address of this machine that is not its loopback, or one of nobody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(FAR)
        except OSError:
            return FAR[0]
        return s.getsockname()[0]


@in_each_kind
def test_a_socket_in_a_folder_that_is_granted_is_reached_by_bubblewrap_alone(cell):
    folder = cell.folder / "run"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as database:
        database.bind(str(folder / "db"))
        database.listen()
        code = CONNECTING + 'attempt("db", lambda: to(sys.argv[2], socket.AF_UNIX))\n'
        granted = cell.tried(code, 0, folder / "db", read=[folder])
        other = cell.tried(code, 0, folder / "db")
    assert granted["db"] == ("connected" if cell.kind == "bubblewrap" else "PermissionError")
    assert other["db"] in REFUSED


@in_each_kind
def test_without_scopes_the_hosts_abstract_sockets_stay_out_of_reach_too(cell):
    older = replace(machine_of(cell.kind), landlock=min(REAL.landlock, 5))
    if Sandbox(wish=Wish(server="s"), machine=older).kind != cell.kind:
        return
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0agent-host-older")
        abstract.listen()
        code = CONNECTING + 'attempt("abstract", lambda: to("\\0agent-host-older", 1))\n'
        found = cell.tried(code, 0, network="all", machine=older)
    assert found["abstract"] in REFUSED
