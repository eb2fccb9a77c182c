"""`python -m agent_host` as a process of its own: what its environment is, and how it is run.

It comes from a nursery, at once, where that makes no difference: see `starts`."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes import starts

ROOT = Path(__file__).parents[2]


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a program gets: nothing of the user's, but what measures coverage."""
    kept = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}
    own = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
    return {**kept, **own, **more}


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    status: int
    out: str
    err: str

    @property
    def items(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [item["event"] for item in self.items if "event" in item]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a type, of a stream of JSON."""
        return [event for event in self.events if event["type"] == kind]

    @property
    def results(self) -> list[dict[str, Any]]:
        return [event["result"] for event in self.of("tool_finished")]

    @property
    def reason(self) -> str:
        return str(self.of("run_ended")[-1]["reason"])


def bound_by_permissions() -> list[str]:
    """What to put before a command so that permissions bind it, also for root."""
    if os.geteuid() != 0:
        return []
    without = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "agent_host", *arguments]


def completed(
    *arguments: str, cwd: Path, env: Mapping[str, str], stdin: bytes | int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end; the environment is `env`. `stdin`: bytes for a pipe, or a file
    descriptor."""
    if starts.can_start(env):
        done = starts.run(arguments, cwd=cwd, env=env, stdin=stdin)
    else:
        done = _run(command(*arguments), cwd, env, stdin)
    out, err = (text.decode().replace("\r\n", "\n") for text in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(arguments, done.returncode, out, err)


def _run(
    words: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: bytes | int
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        words,
        cwd=cwd,
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
        **({"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}),
    )


def agent_host(
    *arguments: str,
    folder: Path,
    stdin: bytes | int = subprocess.DEVNULL,
    python: tuple[str, ...] = (),
    before: Sequence[str] = (),
    **more: str,
) -> Ended:
    """Run the program to its end, in `folder`, which is the home as well. `stdin`: bytes for a
    pipe, or a file descriptor. `python`: options of the interpreter. `before`: words before the
    command. `more`: variables."""
    env = environment(folder, **more)
    if before or python or not starts.can_start(env):
        words = [*before, sys.executable, *python, *command(*arguments)[1:]]
        done = _run(words, folder, env, stdin)
    else:
        done = starts.run(arguments, cwd=folder, env=env, stdin=stdin)
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
