"""The program as a process of its own, started at once: what `subprocess` does, from a nursery.

`Program` is to `start` what `Popen` is to `subprocess`. What the interpreter reads when it starts
(`PYTHON...`, a language) cannot be given to a process that has started already: then, and for
everything but `python -m agent_host`, there is `subprocess`.
"""

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LANGUAGE = ("LANG", "LC_ALL", "LC_CTYPE")


def can_start(environment: Mapping[str, str]) -> bool:
    """Whether a nursery can give a program this environment."""
    said = {environment[name] for name in _LANGUAGE if name in environment}
    python = {name for name in environment if name.startswith("PYTHON")}
    return (
        said <= {"C.UTF-8"}
        and python <= {"PYTHONPATH"}
        and environment.get("PYTHONPATH") == str(ROOT)
    )


@functools.cache
def _nursery(measured: bool) -> socket.socket:
    """One for all tests of this process, and one for those without coverage."""
    ours, theirs = socket.socketpair()
    kept = {name: text for name, text in os.environ.items() if _measures(name)} if measured else {}
    with theirs:
        subprocess.run(
            [sys.executable, "-m", "tests.fakes.nursery"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **kept},
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    atexit.register(ours.close)
    return ours


def _measures(name: str) -> bool:
    return name.startswith("COVERAGE_")


class Program:
    """`python -m agent_host` that runs."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        streams: tuple[int, int, int],
        terminal: bool = False,
    ) -> None:
        """`streams`: its standard streams, which stay open here too. `terminal`: it is in a session
        of its own, whose terminal is its standard error."""
        self._channel, theirs = socket.socketpair()
        job = {
            "arguments": arguments,
            "folder": str(cwd),
            "environment": dict(env),
            "session": terminal,
            "terminal": terminal,
        }
        with theirs:
            socket.send_fds(_nursery(any(map(_measures, env))), [b"."], [theirs.fileno(), *streams])
        self._channel.sendall(json.dumps(job).encode())
        self._channel.shutdown(socket.SHUT_WR)
        self._said = b""
        self._read_lines(1, None)
        self.pid = int(self._said.splitlines()[0])
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its status if it has ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Its status when it has ended, within `timeout` seconds."""
        if self.returncode is None:
            self._read_lines(2, timeout)
            self._channel.close()
            self.returncode = int(self._said.splitlines()[1])
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read_lines(self, wanted: int, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._said.count(b"\n") < wanted:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            if not select.select([self._channel], [], [], left)[0]:
                raise subprocess.TimeoutExpired("agent-host", timeout or 0)
            said = self._channel.recv(64)
            assert said, "the nursery is gone"
            self._said += said


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes | int = subprocess.DEVNULL,
    timeout: float = 60,
) -> subprocess.CompletedProcess[bytes]:
    """Run the program to its end. `stdin`: bytes for a pipe, a file descriptor, or DEVNULL."""
    with contextlib.ExitStack() as files, ThreadPoolExecutor(2) as readers:
        feed = None
        if isinstance(stdin, bytes):
            given, feed = os.pipe()
            files.callback(os.close, given)
        elif stdin == subprocess.DEVNULL:
            given = os.open(os.devnull, os.O_RDWR)
            files.callback(os.close, given)
        else:
            given = stdin
        pipes = [os.pipe(), os.pipe()]
        try:
            program = Program(
                arguments, cwd=cwd, env=env, streams=(given, pipes[0][1], pipes[1][1])
            )
        finally:
            files.close()
            for _, writer in pipes:
                os.close(writer)
        told = [readers.submit(_read, reader) for reader, _ in pipes]
        try:
            if feed is not None:
                _write(feed, stdin)
            status = program.wait(timeout)
        finally:
            program.kill()
        return subprocess.CompletedProcess(arguments, status, *(one.result() for one in told))


def _read(file: int) -> bytes:
    with os.fdopen(file, "rb") as stream:
        return stream.read()


def _write(file: int, text: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(file, "wb") as stream:
        stream.write(text)
