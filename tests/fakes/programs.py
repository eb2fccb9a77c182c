"""`python -m agent_host` as a process of its own: what its environment is, and how it is run."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def agent_host(
    *arguments: str,
    folder: Path,
    stdin: bytes | int = subprocess.DEVNULL,
    python: tuple[str, ...] = (),
    before: Sequence[str] = (),
    **more: str,
) -> Ended:
    """Run the program to its end, in `folder`, which is the home as well. `stdin`: bytes for a
    pipe, or a file descriptor. `before`: words before the command. `more`: variables."""
    done = subprocess.run(
        [*before, sys.executable, *python, *command(*arguments)[1:]],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        timeout=60,
        check=False,
        **({"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}),
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
