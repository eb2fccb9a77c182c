"""Whether a run's process is alive."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent_host.records.holder import holder
from agent_host.records.transcript import Transcript
from agent_host.state import locks
from tests.fakes.programs import ROOT
from tests.records.samples import LEGAL, RUN, records

HOLDS = """
import sys
from pathlib import Path
from agent_host.records.transcript import Transcript
transcript = Transcript.open(Path(sys.argv[1]), sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Transcript.create(tmp_path, RUN) as transcript:
        for record in records(*LEGAL):
            transcript.append(record)
    return tmp_path / f"{RUN}.jsonl"


def test_a_transcript_that_nobody_writes_has_no_holder(path: Path) -> None:
    assert holder(path) is None
    assert holder(path.with_name("none.jsonl")) is None
    with Transcript.open(path.parent, RUN):  # looking at it has not kept it
        pass


def test_a_process_that_writes_a_transcript_holds_it_until_it_dies(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path.parent), RUN],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        assert re.fullmatch(r"another process|process \d+", holder(path) or "")
        other.kill()
    assert holder(path) is None


def test_the_kernels_table_of_locks_is_read_where_there_is_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "locks"
    monkeypatch.setattr(locks, "TABLE", table)
    inode = path.stat().st_ino
    table.write_text(f"1: FLOCK  ADVISORY  WRITE 4711 08:01:{inode} 0 EOF\n")
    assert holder(path) == "process 4711"
    table.write_text(f"1: FLOCK  ADVISORY  WRITE 4711 08:01:{inode}1 0 EOF\n")
    assert holder(path) is None
