"""Lets a server talk to this machine's loopback and to nothing else.

Loaded by `launcher` alone, below a bare interpreter. Neither Landlock nor a filter can look at an
address, and a network of its own has a loopback of its own. So the server's connect(2), bind(2) and
listen(2) are put to this process (seccomp_unotify(2)), which stays as the server's parent: it reads
the address, once, and if that is of the loopback it makes the very call itself, with its own copy
of the address, on its own copy of the descriptor (pidfd_getfd(2)). The server's call is never
let through, so nothing that changes meanwhile is believed. The filter allows TCP sockets alone, and
none of the calls that connect by sending. Names are resolved by files (/etc/hosts): a name server
could carry messages out.
"""

import ctypes
import errno
import fcntl
import os
import select
import struct
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
NEW_LISTENER, WAIT_KILLABLE = 1 << 3, 1 << 5
RECEIVE, SEND, IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
NOTICE = struct.Struct("=QIIiIQ6Q")
ANSWER = struct.Struct("=QqiI")
PIDFD_OPEN, PIDFD_GETFD = 434, 438
CONNECT, BIND = {"x86_64": (42, 49)}.get(os.uname().machine, (203, 200))
AF_INET, AF_INET6 = 2, 10
LONGEST_ADDRESS = 128
MAPPED = bytes(10) + b"\xff\xff"

libc = ctypes.CDLL(None, use_errno=True)


def stay_between(
    code: bytes, put_filter: Callable[..., int], no_new_privileges: Callable[[], None]
) -> None:
    """Fork. Return in the child, which has the filter on; the parent answers it and never
    returns: it ends as the child does, and the child with it."""
    told_read, told = os.pipe()
    taken_read, taken = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        os.close(taken)
        no_new_privileges()
        try:
            listener = put_filter(code, NEW_LISTENER | WAIT_KILLABLE)
        except Exception:  # noqa: BLE001  # a kernel before 5.19
            listener = put_filter(code, NEW_LISTENER)
        os.write(told, str(listener).encode())
        if not os.read(taken_read, 1):
            os._exit(1)
        for fd in (told_read, told, taken_read, listener):
            os.close(fd)
        return
    os.close(told)
    os.close(taken_read)
    try:
        number = os.read(told_read, 16)
        pidfd = os.pidfd_open(child)
        listener = copied(pidfd, int(number)) if number else -1
        if listener < 0:
            os.write(2, b"sandbox: the loopback cannot be opened on its own here\n")
        else:
            os.write(taken, b"1")
        os.close(taken)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nowhere, fd)
        answer_until_end(listener, pidfd)
    finally:
        _, status = os.waitpid(child, 0)
        ended = os.waitstatus_to_exitcode(status)
        os._exit(ended if ended >= 0 else 128 - ended)


def copied(pidfd: int, fd: int) -> int:
    """A copy of another process's descriptor, or -1."""
    return int(libc.syscall(PIDFD_GETFD, pidfd, fd, 0))


def answer_until_end(listener: int, pidfd: int) -> None:
    """Answer every notice until the server ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if listener >= 0:
        poll.register(listener, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if pidfd in ready:
            return
        if ready.get(listener, 0) & select.POLLIN:
            answer_one(listener)
        elif listener in ready:
            poll.unregister(listener)


def answer_one(listener: int) -> None:
    """Take one notice and answer it."""
    notice = bytearray(NOTICE.size)
    try:
        fcntl.ioctl(listener, RECEIVE, notice)
    except OSError:  # whoever asked is gone
        return
    key, pid, _, number, _, _, *arguments = NOTICE.unpack(notice)
    error = done(listener, key, pid, number, arguments)
    try:
        fcntl.ioctl(listener, SEND, bytearray(ANSWER.pack(key, 0, -error, 0)))
    except OSError:
        return


def done(listener: int, key: int, pid: int, number: int, arguments: list[int]) -> int:
    """Do what is asked if it stays on the loopback; return 0 or the error's number."""
    address = b""
    fd = -1
    try:
        if number in (CONNECT, BIND):
            address = read_memory(pid, arguments[1], min(arguments[2], LONGEST_ADDRESS))
        pidfd = os.pidfd_open(process_of(pid))
        fd = copied(pidfd, ctypes.c_int(arguments[0]).value)
        os.close(pidfd)
        # Only now it is certain that `pid` was whoever asked.
        fcntl.ioctl(listener, IS_VALID, key.to_bytes(8, sys.byteorder))
        if fd < 0:
            return errno.EBADF
        return act(number, fd, address, arguments)
    except (OSError, ValueError) as error:
        return getattr(error, "errno", None) or errno.EACCES
    finally:
        if fd >= 0:
            os.close(fd)


def act(number: int, fd: int, address: bytes, arguments: list[int]) -> int:
    """Make the call on our copies; return 0 or the error's number."""
    if number in (CONNECT, BIND):
        if not is_loopback(address):
            return errno.EACCES
        call = libc.connect if number == CONNECT else libc.bind
        return ctypes.get_errno() if call(fd, address, len(address)) < 0 else 0
    name, length = ctypes.create_string_buffer(LONGEST_ADDRESS), ctypes.c_uint32(LONGEST_ADDRESS)
    if libc.getsockname(fd, name, ctypes.byref(length)) < 0:
        return ctypes.get_errno()
    if not is_loopback(name.raw[: length.value]):
        return errno.EACCES
    return ctypes.get_errno() if libc.listen(fd, ctypes.c_int(arguments[1]).value) < 0 else 0


def is_loopback(address: bytes) -> bool:
    """Whether a socket address is of 127.0.0.0/8 or ::1."""
    family = int.from_bytes(address[:2], sys.byteorder)
    if family == AF_INET and len(address) >= 16:
        return address[4] == 127
    if family == AF_INET6 and len(address) >= 24:
        host = address[8:24]
        return host == bytes(15) + b"\1" or (host[:12] == MAPPED and host[12] == 127)
    return False


def read_memory(pid: int, place: int, size: int) -> bytes:
    """Read another process's memory. Raises OSError."""
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, place)
    finally:
        os.close(fd)


def process_of(thread: int) -> int:
    """The process that a thread belongs to. Raises OSError, ValueError."""
    fd = os.open(f"/proc/{thread}/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(fd, 4096).partition(b"\nTgid:")[2].split()[0])
    finally:
        os.close(fd)
