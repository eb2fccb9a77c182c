"""Confines itself and then becomes a server.

Run as a script with a bare interpreter (`python -I -S launcher.py OPTION... -- PROGRAM ARGV0 ...`),
never imported; start-up time matters, so it imports next to nothing. Its options say what
`bubblewrap` or `landlock` decided; they hold paths and numbers and no secret, for every user of the
machine can read them. Each step is taken on this process, which has one thread and has run nothing
of the server; a step that fails ends it, with a line on stderr and status 126, so that nothing ever
runs with less than was decided. In this order: limits (setrlimit(2)), capabilities dropped,
no_new_privs, Landlock, the filter, and exec, directly or by bubblewrap, which puts the filter on
behind its own work. With a `listener` a parent stays, which makes the server's connections (see
`loopback`).

Options, each once but `rule` and `bwrap`: `data=BYTES`, `core=BYTES`, `nproc=N` (limits);
`inside=N` (processes in bubblewrap's own count); `handled=FILES:TCP:SCOPES` and `rule=RIGHTS:PATH`
(Landlock); `filter=HEX`, `listener=HEX` (seccomp); `bwrap=ARGUMENT`, the first is its path.
"""

import ctypes
import os
import sys

FAILED = 126
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
SECCOMP = {"x86_64": 317}
O_PATH = 0o10000000
"""What the kernel calls a descriptor that is only a place; `os.O_PATH`."""
FILE_RIGHTS = 0x1 | 0x2 | 0x4 | 1 << 14 | 1 << 15
"""The rights that mean something for a file; of a folder there are more."""

libc = ctypes.CDLL(None, use_errno=True)


class StepFailedError(Exception):
    """A step that could not be taken."""


def check(result: int, what: str) -> int:
    """Return what a system call returned. Raises StepFailedError for a failure."""
    if result < 0:
        raise StepFailedError(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def limit(name: str, value: int) -> None:
    """Lower a limit of this process, and never raise it."""
    import resource  # noqa: PLC0415  # only where there is a limit

    kind = getattr(resource, f"RLIMIT_{name.upper()}")
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(kind, (value, value))


def drop_capabilities() -> None:
    """Give up what root may beside being the owner of its files; for others there is nothing."""
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break  # past the last one, or not allowed, and then the exec gives none either
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    check(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def no_new_privileges() -> None:
    """Whatever is executed from here on cannot gain rights (setuid programs)."""
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def restrict(handled: tuple[int, int, int], rules: list[tuple[int, str]]) -> None:
    """Put Landlock on: `handled` are the rights over files, TCP and scopes that are refused where
    no rule (rights, path) grants them."""
    size = 24 if handled[2] else 16 if handled[1] else 8
    attributes = (ctypes.c_uint64 * 3)(*handled)
    ruleset = check(
        libc.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0), "Landlock"
    )
    for rights, path in rules:
        add_rule(ruleset, rights & handled[0], path)
    check(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0), "Landlock")
    os.close(ruleset)


def add_rule(ruleset: int, rights: int, path: str) -> None:
    """Grant rights to a file, or to a folder and all below it."""
    try:
        place = os.open(path, O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise StepFailedError(f"{path}: {error.strerror}") from None
    if os.fstat(place).st_mode & 0o170000 != 0o040000:
        rights &= FILE_RIGHTS
    rule = rights.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder)
    check(libc.syscall(LANDLOCK_ADD_RULE, ruleset, 1, rule, 0), f"Landlock: {path}")
    os.close(place)


class Program(ctypes.Structure):
    """What the kernel takes as a filter (struct sock_fprog)."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def put_filter(code: bytes, flags: int = 0) -> int:
    """Put a filter on; return the descriptor of its listener if `flags` ask for one, or 0."""
    number = SECCOMP.get(os.uname().machine, 277)
    found = Program(len(code) // 8, code)
    return check(libc.syscall(number, 1, flags, ctypes.byref(found)), "seccomp")


def in_memory(data: bytes) -> int:
    """A descriptor that reads as `data` and stays open over an exec."""
    fd = os.memfd_create("filter", 0)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def limit_inside(processes: int) -> list[str]:
    """Have a child limit the processes of the sandbox once it is there; return what tells
    bubblewrap to wait for that. Before, the limit would count what the user runs elsewhere."""
    import resource  # noqa: PLC0415  # only where there is a limit

    info_read, info = os.pipe()
    wait, go = os.pipe()
    if os.fork() == 0:
        try:
            os.close(info)
            os.close(wait)
            libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
            told = b""
            while part := os.read(info_read, 4096):
                told += part
            pid = int(told.partition(b'"child-pid":')[2].partition(b",")[0].strip(b" \n}"))
            resource.prlimit(pid, resource.RLIMIT_NPROC, (processes, processes))
            os.write(go, b"1")
        finally:
            os._exit(0)  # without a word through `go` bubblewrap starts nothing
    os.close(info_read)
    os.close(go)
    os.set_inheritable(info, True)
    os.set_inheritable(wait, True)
    return ["--info-fd", str(info), "--block-fd", str(wait)]


class Plan:
    """The options, read."""

    def __init__(self, options: list[str]) -> None:
        self.limits: list[tuple[str, int]] = []
        self.handled = (0, 0, 0)
        self.rules: list[tuple[int, str]] = []
        self.filter = self.listener = b""
        self.inside = 0
        self.bubblewrap: list[str] = []
        for option in options:
            name, _, value = option.partition("=")
            if name == "bwrap":
                self.bubblewrap.append(value)
            elif name == "rule":
                rights, _, path = value.partition(":")
                self.rules.append((int(rights), path))
            elif name == "handled":
                files, tcp, scopes = value.split(":")
                self.handled = (int(files), int(tcp), int(scopes))
            elif name == "filter":
                self.filter = bytes.fromhex(value)
            elif name == "listener":
                self.listener = bytes.fromhex(value)
            elif name == "inside":
                self.inside = int(value)
            elif name in ("data", "nproc", "core"):
                self.limits.append((name, int(value)))
            else:
                raise StepFailedError(f"unknown option {name}")


def become(plan: Plan, program: str, argv: list[str]) -> None:
    """Confine this process as planned and become the server. Only returns by raising."""
    for name, value in plan.limits:
        limit(name, value)
    if not plan.bubblewrap:
        drop_capabilities()
    no_new_privileges()
    if any(plan.handled):
        restrict(plan.handled, plan.rules)
    if plan.bubblewrap:
        more = limit_inside(plan.inside) if plan.inside else []
        if plan.filter:
            fd = in_memory(plan.filter)
            os.set_inheritable(fd, True)
            more += ["--seccomp", str(fd)]
        program, argv = plan.bubblewrap[0], [*plan.bubblewrap, *more, "--", program, *argv[1:]]
    elif plan.filter:
        put_filter(plan.filter)
    try:
        os.execv(program, argv)  # noqa: S606  # the host's config says what to run
    except OSError as error:
        raise StepFailedError(f"cannot start {program}: {error.strerror}") from None


def main() -> None:
    """Read the options and do it."""
    try:
        end = sys.argv.index("--")
        plan = Plan(sys.argv[1:end])
        program, argv = sys.argv[end + 1], sys.argv[end + 2 :]
        if plan.listener:
            sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120  # pathlib costs too much
            import loopback  # type: ignore[import-not-found]  # noqa: PLC0415  # rarely needed

            loopback.stay_between(plan.listener, put_filter, no_new_privileges)
        become(plan, program, argv)
    except (StepFailedError, OSError, ValueError) as error:
        os.write(2, f"sandbox: {error}\n".encode(errors="replace"))
        os._exit(FAILED)


if __name__ == "__main__":
    main()
