"""The parent of one server process: it sees to it that nothing of the server outlives the host.

Run as a script with a bare interpreter (`python -I -S keeper.py LIFELINE SHIELDS SCRATCH EXECUTABLE
ARGV0 ...`), never imported; start-up time is all that matters, so it imports next to nothing.
LIFELINE is the read end of a pipe whose only write end the host holds: it reads as ended when the
host closes it or is gone, however it went (also by SIGKILL). Then, and when the server exits, every
descendant gets SIGTERM, shortly after SIGKILL, until none is left. As a child subreaper (prctl(2))
it stays the ancestor also of those that called setsid or forked twice. Elsewhere than on Linux the
process group is all that can be reached. The first SHIELDS processes between it and the server are
a sandbox, which ends as the server does, and would take it along at once: they get no SIGTERM.
SCRATCH, unless empty, is the server's folder for temporary files: it is removed at the end. Exits
with the server's status, or 128 + the signal that ended it.
"""

import _signal as signal  # type: ignore[import-not-found]  # `signal` costs an `enum` import
import os
import select
import sys
import time

GRACE = 0.4  # seconds between SIGTERM and SIGKILL
GIVE_UP = 5.0  # seconds after which what cannot be killed is left (uninterruptible sleep, setuid)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LINUX = sys.platform == "linux"
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def prctl(option: int, value: int) -> None:
    """Set a process attribute (Linux only); a kernel that refuses leaves the group kill."""
    if LINUX:
        import ctypes  # noqa: PLC0415  # only where it is needed: it costs a third of the start

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def run_server(keeper: int, lifeline: int, executable: str, argv: list[str]) -> None:
    """Become the server; only returns by exiting."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)
        os.close(lifeline)
        for number in (*FORWARDED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execv(executable, argv)  # noqa: S606  # the host's config says what to run
    except OSError as error:
        os.write(2, f"cannot start {executable}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def descendants(root: int, skip: int = 0) -> list[int]:
    """The processes below `root` that are not zombies, without the first `skip` generations."""
    children: dict[int, list[tuple[int, bytes]]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208  # pathlib costs more than all this
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        children.setdefault(int(parent), []).append((int(entry), state))
    found: list[int] = []
    stack = [(root, 0)]
    while stack:
        parent_pid, depth = stack.pop()
        for pid, state in children.get(parent_pid, ()):
            stack.append((pid, depth + 1))
            if state != b"Z" and depth >= skip:
                found.append(pid)
    return found


def signal_all(number: int, shields: int = 0) -> None:
    """Send a signal to every descendant, and wake those that are stopped."""
    if not LINUX:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if number == signal.SIGTERM:
            os.killpg(0, number)
        return
    for pid in descendants(os.getpid(), shields if number == signal.SIGTERM else 0):
        try:
            os.kill(pid, number)
            if number == signal.SIGTERM:
                os.kill(pid, signal.SIGCONT)
        except OSError:
            pass


class Keeper:
    """Waits for the server and for the host, whichever ends first."""

    def __init__(self, lifeline: int, server: int, shields: int) -> None:
        self.server = server
        self.shields = shields
        self.status: int | None = None
        self.lifeline = lifeline
        self.wake, write_end = os.pipe()
        os.set_blocking(write_end, False)
        os.set_blocking(self.wake, False)
        self.poll = select.poll()
        self.poll.register(self.wake, select.POLLIN)
        self.poll.register(lifeline, select.POLLIN)
        self.told = False
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

    def on_signal(self, number: int, frame: object) -> None:
        """Note a request to stop; SIGCHLD only wakes the poll."""
        if number != signal.SIGCHLD:
            self.told = True

    def reap(self) -> bool:
        """Collect the dead; return whether no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self.server:
                self.status = os.waitstatus_to_exitcode(status)

    def pause(self, seconds: float | None) -> None:
        """Wait for a signal or the lifeline; None waits for ever."""
        for fd, _ in self.poll.poll(None if seconds is None else max(seconds * 1000, 1)):
            if fd == self.lifeline:
                self.told = True
                self.poll.unregister(self.lifeline)
            else:
                os.read(self.wake, 4096)

    def end_all(self) -> None:
        """SIGTERM, and after the grace SIGKILL, until nothing is left or nothing helps."""
        if self.reap():
            return
        signal_all(signal.SIGTERM, self.shields)
        start = time.monotonic()
        while not self.reap():
            waited = time.monotonic() - start
            if waited >= GIVE_UP:
                return
            if waited >= GRACE:
                signal_all(signal.SIGKILL)
            self.pause(max(GRACE - waited, 0.01))

    def run(self) -> int:
        """Watch until the server or the host is gone, end the rest, return the exit code."""
        while not self.told and self.status is None:
            if self.reap():
                break
            if self.status is None:
                self.pause(None)
        self.end_all()
        status = self.status if self.status is not None else -signal.SIGKILL
        return status if status >= 0 else 128 - status


def main() -> None:
    """Fork the server and keep it."""
    lifeline, shields, scratch = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    executable, argv = sys.argv[4], sys.argv[5:]
    keeper = os.getpid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    server = os.fork()
    if server == 0:
        run_server(keeper, lifeline, executable, argv)
    watch = Keeper(lifeline, server, shields)
    for number in (*FORWARDED, signal.SIGCHLD):
        signal.signal(number, watch.on_signal)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    status = watch.run()
    if scratch:
        import shutil  # noqa: PLC0415  # only for a server that has such a folder

        shutil.rmtree(scratch, ignore_errors=True)
    os._exit(status)


if __name__ == "__main__":
    main()
