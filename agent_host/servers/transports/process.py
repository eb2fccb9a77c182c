"""A stdio server as a process: how it is started, what it inherits, how it surely ends.

Theory of operation: everything that depends on the operating system is in this file and in
`keeper.py`. On Linux each server runs below a keeper, a tiny process that ends the whole tree when
the host lets go of the lifeline pipe or is gone, however it went. Fallbacks: on other POSIX
systems the keeper can only reach the server's process group (a descendant that calls setsid may
survive); on Windows, and where there is no interpreter to run the keeper, the server is started
directly and only it is killed. Starting is synchronous and imports neither asyncio nor any SDK, so
that servers start before the host has even finished importing. A server gets a minimal environment
(the variables of `INHERITED`) plus what its config names. A server with a sandbox is started by
what that puts before its command; the keeper stands above both.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent_host.ports import Confined
from agent_host.servers.spec import StdioSpec

INHERITED = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LANG", "TZ", "TMPDIR")
"""What a server sees of the host's environment, with every LC_* beside it."""
INHERITED_WINDOWS = (
    "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE",
    "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
)  # fmt: skip
WINDOWS = sys.platform == "win32"
_KEEPER = Path(__file__).with_name("keeper.py")
_STDERR_PIPE = 1 << 20  # bytes a server may log before the host first reads


@dataclass(frozen=True, slots=True)
class SpawnFailure:
    """Why a server could not be started, for people."""

    reason: str


_unreaped: "list[subprocess.Popen[bytes]]" = []
"""Keepers that were told to end and may not have yet: whoever forgot them would leave zombies."""


def _reap() -> None:
    _unreaped[:] = [popen for popen in _unreaped if popen.poll() is None]


class ServerProcess:
    """A running server: three pipes, and the certainty that it can be ended.

    `pid` is the keeper's, whose only child is the server. Nothing here blocks.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]", lifeline: int | None) -> None:
        if popen.stdin is None or popen.stdout is None or popen.stderr is None:
            raise ValueError("a server needs three pipes")
        self._popen = popen
        self._lifeline = lifeline
        self.pid = popen.pid
        self.stdin = popen.stdin
        self.stdout = popen.stdout
        self.stderr = popen.stderr
        self.exit_fd = _exit_fd(popen.pid)

    def exit_code(self) -> int | None:
        """The exit code (negative: the signal that ended it), or None while it runs."""
        if self._popen.returncode is None and not WINDOWS and self._ended():
            # A keeper that was killed left its group behind; while it is a zombie its id is safe.
            self._kill_group()
        code = self._popen.poll()
        if code is not None and self.exit_fd is not None:
            os.close(self.exit_fd)
            self.exit_fd = None
        return code

    def end(self) -> None:
        """Begin to end the whole tree: SIGTERM now, SIGKILL shortly after. Never raises."""
        if self._lifeline is None:
            self._popen.terminate()
        else:
            os.close(self._lifeline)
            self._lifeline = None

    def kill(self) -> None:
        """SIGKILL what can be reached at once; the last resort. Never raises."""
        if self._popen.poll() is None:
            self._kill_group()
            self._popen.kill()

    def discard(self) -> None:
        """Give up a process that nobody talks to: close the pipes and begin to end it."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()
        if self._popen.returncode is None:
            self.end()
            _unreaped.append(self._popen)
        elif self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def wait(self, timeout: float) -> int | None:
        """Block for at most `timeout` seconds for the exit; for synchronous callers only."""
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        return self.exit_code()

    def _ended(self) -> bool:
        try:
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.pid, flags) is not None
        except ChildProcessError:
            return False

    def _kill_group(self) -> None:
        if WINDOWS:
            return
        try:
            os.killpg(self.pid, 9)
        except (ProcessLookupError, PermissionError):
            return


def describe_exit(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "still running"
    if code < 0:
        return f"killed by signal {-code}"
    if code > 128:
        return f"exit code {code} (signal {code - 128})"
    return f"exit code {code}"


def child_environment(spec: StdioSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """What the server's environment is: a few variables of `environ`, then the spec's own."""
    wanted = INHERITED_WINDOWS if WINDOWS else INHERITED
    own = {key: value for key, value in environ.items() if key in wanted or key[:3] == "LC_"}
    # An exported shell function is code, not a value.
    return {k: v for k, v in own.items() if not v.startswith("()")} | dict(spec.env)


def start(spec: StdioSpec, environ: Mapping[str, str]) -> ServerProcess | SpawnFailure:
    """Start a server. What is wrong with the command comes back as a SpawnFailure."""
    _reap()
    if spec.unusable:
        return SpawnFailure(spec.unusable)
    env = child_environment(spec, environ)
    found = _resolve(spec, env)
    if isinstance(found, SpawnFailure):
        return found
    confined = _confined(spec, found, env)
    if isinstance(confined, str):
        return SpawnFailure(confined)
    env |= confined.environ
    try:
        if _can_keep():
            return _start_kept(spec, found, env, confined)
        return _start_alone(spec, found, env)
    except (OSError, ValueError) as error:
        if confined.scratch:
            Path(confined.scratch).rmdir()
        reason = getattr(error, "strerror", None) or str(error)
        return SpawnFailure(f"cannot start {spec.command!r}: {reason}")


def _confined(spec: StdioSpec, executable: str, env: Mapping[str, str]) -> Confined | str:
    """How the sandbox wants the server started, or why it must not be."""
    if spec.sandbox is None:
        return Confined()
    if not _can_keep():
        return "a sandbox needs the interpreter that agent-host runs in, and there is none"
    return spec.sandbox.wrap(executable, spec.args, env, str(Path(spec.cwd or ".").absolute()))


def _resolve(spec: StdioSpec, env: Mapping[str, str]) -> str | SpawnFailure:
    """The executable's absolute path. A relative path with a slash is relative to `cwd`."""
    if not spec.command:
        return SpawnFailure("the command is empty; name a program")
    if spec.cwd is not None and not Path(spec.cwd).is_dir():
        return SpawnFailure(f"cwd {spec.cwd!r} is not a directory; create it or correct cwd")
    if os.sep in spec.command:
        path = Path(spec.cwd or ".", spec.command).absolute()
        if path.is_dir() or not path.exists():
            return SpawnFailure(f"{spec.command!r} does not exist; correct command")
        if not os.access(path, os.X_OK):
            return SpawnFailure(f"{spec.command!r} is not executable; chmod +x it")
        return str(path)
    found = shutil.which(spec.command, path=env.get("PATH", os.defpath))
    if found is None:
        return SpawnFailure(f"command {spec.command!r} was not found on PATH; install it")
    return str(Path(found).absolute())


def _can_keep() -> bool:
    return not WINDOWS and bool(sys.executable) and _KEEPER.is_file()


def _start_kept(
    spec: StdioSpec, executable: str, env: Mapping[str, str], confined: Confined
) -> ServerProcess:
    read_end, write_end = os.pipe()
    keeper = [sys.executable, "-I", "-S", str(_KEEPER), str(read_end)]
    keeper += [str(confined.shields), confined.scratch, *confined.argv[:1], *confined.argv]
    try:
        popen = _popen([*keeper, executable, spec.command, *spec.args], spec, env, (read_end,))
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
    return ServerProcess(popen, write_end)


def _start_alone(spec: StdioSpec, executable: str, env: Mapping[str, str]) -> ServerProcess:
    return ServerProcess(_popen([executable, *spec.args], spec, env, ()), None)


def _popen(
    argv: list[str], spec: StdioSpec, env: Mapping[str, str], keep: tuple[int, ...]
) -> "subprocess.Popen[bytes]":
    popen = subprocess.Popen(  # noqa: S603  # an argument list from the config, never a shell
        argv,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=spec.cwd,
        env=dict(env),
        pass_fds=keep,
        start_new_session=not WINDOWS,
    )
    if sys.platform == "linux" and popen.stderr is not None:
        _widen(popen.stderr.fileno())
    return popen


def _widen(fd: int) -> None:
    """Let the pipe hold more, so that a server that logs while the host imports is not stopped."""
    import fcntl  # noqa: PLC0415  # exists on POSIX only

    try:
        fcntl.fcntl(fd, 1031, _STDERR_PIPE)  # F_SETPIPE_SZ
    except OSError:
        return


def _exit_fd(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends, or None where there is none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
