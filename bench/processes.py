"""Starting what is measured, and what the operating system says of it afterwards."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
TIMEOUT = 90


@dataclass(frozen=True)
class Outcome:
    """One process from its start to its end; CPU includes the children it has waited for, and
    `peak_rss` is that of the largest of them. Seconds and bytes."""

    started: float
    wall: float
    cpu: float
    peak_rss: float
    output: str


def environment(home: Path) -> dict[str, str]:
    """A user's environment with an empty home, so that nothing of this machine is read."""
    return {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT) if ours()[0] == sys.executable else "",
    }


def ours() -> list[str]:
    """The command as installed beside this Python, else the module."""
    script = Path(sys.executable).with_name("agent-host")
    return [str(script)] if script.exists() else [sys.executable, "-m", "agent_host"]


def run(
    command: list[str], folder: Path, started_as: Callable[[int], None] | None = None
) -> Outcome:
    """Run a command to its end; RuntimeError with what it said when it fails. `started_as` gets
    its process id at once."""
    output, errors = folder / "stdout", folder / "stderr"
    with output.open("wb") as out, errors.open("wb") as err:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        if started_as:
            started_as(process.pid)
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        watchdog.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        text = errors.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{command[:4]} ended with {process.returncode}: {text}")
    cpu = usage.ru_utime + usage.ru_stime
    return Outcome(started, wall, cpu, usage.ru_maxrss * 1024, output.read_text())


class Asked(NamedTuple):
    """One request to the model: when it came, when its answer had left (monotonic seconds), and
    the CPU seconds that the asking process, without its children, had used when it came."""

    came: float
    left: float
    cpu: float


class Model:
    """The fake model server, in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(BENCH / "fake_model.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def asked(self) -> list[Asked]:
        """The requests since the last time."""
        with urllib.request.urlopen(f"{self.url}/asked", timeout=30) as response:
            return [Asked(*numbers) for numbers in json.load(response)]

    def watch(self, pid: int) -> None:
        """Note the CPU time of this process with each request from now on."""
        with urllib.request.urlopen(f"{self.url}/watch/{pid}", timeout=30):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()
