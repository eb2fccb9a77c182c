"""Logs to look at: a clock that counts, entries, folders of them, and other processes."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent_host.audit.chain import Fields
from agent_host.audit.files import files
from agent_host.audit.keys import Signer
from agent_host.audit.log import AuditLog

BEGIN = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def time_of(seconds: float) -> str:
    at = BEGIN + timedelta(seconds=seconds)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def counting() -> Callable[[], str]:
    seconds = itertools.count()
    return lambda: time_of(next(seconds))


def entry(number: int = 0, **more: Any) -> Fields:
    return {
        "type": "call_started",
        "time": time_of(number),
        "run": "01KAP4ZZZZ0000000000000000",
        "who": "ana",
        "who_from": "os",
        "server": "orders",
        "tool": "refund",
        "arguments": {"order_id": str(number), "amount": 20.5},
        **more,
    }


def log_in(folder: Path, **options: Any) -> AuditLog:
    """A log in `folder/audit`, whose key is beside it."""
    usual = {"clock": counting(), "signer": Signer(folder / "audit.key")}
    return AuditLog(folder / "audit", **(usual | options))


def written(folder: Path, count: int, **options: Any) -> Path:
    """A log with that many entries of calls; its folder."""
    now = 0
    log = log_in(folder, **{"clock": lambda: time_of(now), **options})
    for number in range(count):
        now = number
        log.append([entry(number)])
    log.close()
    return log.folder


def lines_of(folder: Path) -> list[bytes]:
    return [line for path in files(folder) for line in path.read_bytes().splitlines(keepends=True)]


def entries_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(folder)]


def types_of(folder: Path) -> list[str]:
    return [found["type"] for found in entries_of(folder)]


def in_process(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """Python code in a process of its own, with this module's names."""
    start = "import sys; from pathlib import Path; from tests.audit.made import *\n"
    return subprocess.Popen(
        [sys.executable, "-c", start + code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ended(processes: Sequence["subprocess.Popen[str]"]) -> None:
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
