"""Filters of system calls, as programs for the kernel (seccomp(2), BPF).

Theory of operation: a filter is a list of 8-byte instructions that the kernel runs before each
system call of the server and its descendants; it cannot be taken off. Everything is allowed but
what is named here: calls that reach into other processes, the kernel or its namespaces, and sockets
of families that are no plain network. A 32-bit or x32 program would count its calls differently, so
it is ended, or refused. Written by hand because libseccomp would be a shared library that a wheel
cannot bring, and what is needed of BPF are five instructions. The numbers are those of
asm/unistd_64.h and asm-generic/unistd.h, which never change.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

EPERM, EACCES, ENOSYS = 1, 13, 38
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NOTIFY = 0x7FC00000
_KILL = 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_FASTOPEN = 0x20000000  # MSG_FASTOPEN: a send that connects
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # types into a terminal
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
_SOCK_STREAM = 1
_SOCK_FLAGS = 0x80800  # SOCK_CLOEXEC, SOCK_NONBLOCK

_CALLS: dict[str, tuple[int | None, int | None]] = {
    # name: (x86_64, the generic table of aarch64 and riscv64)
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bind": (49, 200),
    "bpf": (321, 280), "chmod": (90, None), "chown": (92, None), "chroot": (161, 51),
    "clock_adjtime": (305, 266), "clock_settime": (227, 112), "clone": (56, 220),
    "clone3": (435, 435), "connect": (42, 203), "create_module": (174, None),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "fchownat": (260, 54), "finit_module": (313, 273),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433),
    "init_module": (175, 105), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425), "ioctl": (16, 29), "ioperm": (173, None), "iopl": (172, None),
    "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104),
    "keyctl": (250, 219), "lchown": (94, None), "listen": (50, 201), "lookup_dcookie": (212, 18),
    "lremovexattr": (198, 15), "lsetxattr": (189, 6), "migrate_pages": (256, 238),
    "modify_ldt": (154, None), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "mq_open": (240, 180),
    "msgget": (68, 186), "name_to_handle_at": (303, 264), "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265), "open_tree": (428, 428), "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438), "pivot_root": (155, 41), "prlimit64": (302, 261),
    "process_madvise": (440, 440), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "ptrace": (101, 117), "quotactl": (179, 60), "quotactl_fd": (443, 443), "reboot": (169, 142),
    "removexattr": (197, 14), "removexattrat": (466, 466), "request_key": (249, 218),
    "semget": (64, 190), "sendmmsg": (307, 269), "sendmsg": (46, 211), "sendto": (44, 206),
    "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268),
    "settimeofday": (164, 170), "setxattr": (188, 5), "setxattrat": (463, 463),
    "shmat": (30, 196), "shmget": (29, 194), "socket": (41, 198), "swapoff": (168, 225),
    "swapon": (167, 224), "syslog": (103, 116), "truncate": (76, 45), "umount2": (166, 39),
    "unshare": (272, 97), "uselib": (134, None), "userfaultfd": (323, 282), "vhangup": (153, 58),
}  # fmt: skip
_COLUMNS = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "riscv64": (1, 0xC00000F3)}
"""Machine -> its column above, and what the kernel calls it (linux/audit.h)."""

_DANGEROUS = (
    "acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime",
    "create_module", "delete_module", "fanotify_init", "finit_module", "fsconfig", "fsmount",
    "fsopen", "fspick", "init_module", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load",
    "keyctl", "lookup_dcookie", "migrate_pages", "modify_ldt", "mount", "mount_setattr",
    "move_mount", "move_pages", "name_to_handle_at", "nfsservctl", "open_by_handle_at",
    "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise",
    "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "quotactl_fd", "reboot",
    "request_key", "setdomainname", "sethostname", "setns", "settimeofday", "swapoff", "swapon",
    "syslog", "umount2", "unshare", "uselib", "userfaultfd", "vhangup",
)  # fmt: skip
_NOT_THERE = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")
"""Answered as by a kernel that lacks them: programs then use the calls that can be filtered."""
_SHARED = ("mq_open", "msgget", "semget", "shmat", "shmget")
_METADATA = (
    "chmod", "chown", "fchmodat", "fchmodat2", "fchownat", "lchown", "lremovexattr", "lsetxattr",
    "removexattr", "removexattrat", "setxattr", "setxattrat",
)  # fmt: skip

Sockets = Literal["any", "none", "internet", "notify"]
"""What socket(2) may make. `any`: of the usual families; `internet`: those without AF_UNIX;
`notify`: TCP alone, whose connect, bind and listen are put to the listener of the filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a filter refuses. `dangerous`: see the module. `shared`: memory
    and queues that processes share by number or name. `metadata`: modes, owners and attributes of
    files by path. `truncate`: truncate(2). `others`: limits of other processes."""

    dangerous: bool = True
    shared: bool = False
    metadata: bool = False
    truncate: bool = False
    others: bool = False
    sockets: Sockets = "any"


def supported(machine: str) -> bool:
    """Whether there is a filter for this kind of processor, as os.uname names it."""
    return machine in _COLUMNS


def program(wanted: Filter, machine: str) -> bytes:
    """Return a filter as the kernel takes it. Raises KeyError where it is not `supported`."""
    column, arch = _COLUMNS[machine]
    code = [_op(_LOAD, _ARCH), _jump(_EQUAL, arch, 1, 0), _op(_RETURN, _KILL)]
    code.append(_op(_LOAD, _NUMBER))
    if machine == "x86_64":
        code += [_jump(_AT_LEAST, _X32, 0, 1), _op(_RETURN, _ERRNO | ENOSYS)]
    for action, names in _refused(wanted):
        for name in names:
            code += _if_call(_CALLS[name][column], [_op(_RETURN, action)])
    if wanted.dangerous:
        no = _op(_RETURN, _ERRNO | EPERM)
        code += _if_call(
            _CALLS["clone"][column], [*_low(0), _jump(_ANY_BIT, _NEW_NAMESPACES, 0, 1), no, *_yes()]
        )
        typing = [_jump(_EQUAL, _TIOCSTI, 1, 0), _jump(_EQUAL, _TIOCLINUX, 0, 1), no]
        code += _if_call(_CALLS["ioctl"][column], [*_low(1), *typing, *_yes()])
    if wanted.others:
        refuse = [*_low(0), _jump(_EQUAL, 0, 1, 0), _op(_RETURN, _ERRNO | EPERM), *_yes()]
        code += _if_call(_CALLS["prlimit64"][column], refuse)
    code += _sockets(wanted.sockets, column)
    code.append(_op(_RETURN, _ALLOW))
    return b"".join(code)


def _refused(wanted: Filter) -> Iterable[tuple[int, tuple[str, ...]]]:
    if wanted.dangerous:
        yield _ERRNO | EPERM, _DANGEROUS
        yield _ERRNO | ENOSYS, _NOT_THERE
    if wanted.shared:
        yield _ERRNO | EPERM, _SHARED
    if wanted.metadata:
        yield _ERRNO | EPERM, _METADATA
    if wanted.truncate:
        yield _ERRNO | EPERM, ("truncate",)
    if wanted.sockets == "notify":
        yield _NOTIFY, ("connect", "bind", "listen")


def _sockets(wanted: Sockets, column: int) -> list[bytes]:
    no = _op(_RETURN, _ERRNO | EACCES)
    families = {
        "any": (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK),
        "internet": (AF_INET, AF_INET6, AF_NETLINK),
        "notify": (AF_INET, AF_INET6),
        "none": (),
    }[wanted]
    code = _low(0)
    for left, family in reversed([*enumerate(reversed(families))]):
        code.append(_jump(_EQUAL, family, left + 1, 0))
    code.append(no)
    if wanted == "notify":
        # TCP alone: of anything else the address could stand in each message.
        code += [*_low(1), _op(0x54, ~_SOCK_FLAGS & 0xFFFFFFFF), _jump(_EQUAL, _SOCK_STREAM, 1, 0)]
        code += [no, *_low(2), _jump(_EQUAL, 0, 2, 0), _jump(_EQUAL, 6, 1, 0), no]
    elif wanted != "none":
        # Of netlink only what lists the machine's own interfaces (NETLINK_ROUTE).
        code += [*_low(0), _jump(_EQUAL, AF_NETLINK, 0, 3), *_low(2), _jump(_EQUAL, 0, 1, 0), no]
    found = _if_call(_CALLS["socket"][column], [*code, *_yes()])
    if wanted == "notify":
        for name, argument in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
            fast = [*_low(argument), _jump(_ANY_BIT, _FASTOPEN, 0, 1), no, *_yes()]
            found += _if_call(_CALLS[name][column], fast)
    return found


def _op(code: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, value)


def _jump(code: int, value: int, then: int, otherwise: int) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _low(argument: int) -> list[bytes]:
    """Load the low half of an argument (both byte orders in use here are little-endian)."""
    return [_op(_LOAD, _ARGUMENTS + 8 * argument)]


def _yes() -> list[bytes]:
    return [_op(_RETURN, _ALLOW)]


def _if_call(number: int | None, code: list[bytes]) -> list[bytes]:
    """What is done for one system call; `code` must end with a return."""
    if number is None:
        return []
    return [_jump(_EQUAL, number, 0, len(code)), *code]
