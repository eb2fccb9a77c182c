"""A folder in which a model pays two sums, one after the other, and a bank that keeps a ledger."""

import json
import subprocess
import sys
from pathlib import Path

from agent_host.records.reader import read
from tests.fakes.programs import ROOT, Ended, environment

CONFIG = """
model = "actor"

[models.actor]
adapter = "script"
path = "script.toml"

[servers.bank]
command = {python}
args = [{server}, {ledger}]
"""

SCRIPT = """
[[turn]]
say = "I pay the first."
call = { name = "bank__pay", arguments = { amount = 5 } }
[[turn]]
say = "And the second."
call = { name = "bank__pay", arguments = { amount = 7 } }
[[turn]]
say = "All done."
"""

RUN = ("run", "--trust", "--approve", "all", "--output", "stream-json")


class Nursery:
    """See `nursery.py`."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, **job):
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class Stage:
    """What happens in one folder, which is the home as well."""

    def __init__(self, folder, nursery):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self._nursery = nursery
        self.transcripts = self.folder / "transcripts"
        self.ledger = self.folder / "ledger"
        self.heard = ""
        server = ROOT / "tests" / "fakes" / "paying_server.py"
        words = (sys.executable, str(server), str(self.ledger))
        python, path, ledger = map(json.dumps, words)
        config = CONFIG.format(python=python, server=path, ledger=ledger)
        (self.folder / "servers.toml").write_text(config)
        (self.folder / "script.toml").write_text(SCRIPT)

    def host(self, *arguments, fault=None, limits=None, closed=(), **more):
        """Run the program to its end. `fault`, `limits`, `closed`: see `nursery`; `more`:
        variables of its environment."""
        out, err = self.folder / "out", self.folder / "err"
        for file in (out, err, self.folder / "fired"):
            file.unlink(missing_ok=True)
        status = self._nursery.run(
            arguments=arguments,
            folder=str(self.folder),
            environment=environment(self.folder, **more),
            out=str(out),
            err=str(err),
            fault={**(fault or {}), "fired": str(self.folder / "fired")},
            limits=limits or {},
            closed=closed,
        )
        self.heard += err.read_text()
        return Ended(status, out.read_text(), err.read_text())

    def run(self, *arguments, **more):
        return self.host(*RUN, *(arguments or ("Pay both.",)), **more)

    @property
    def fired(self):
        return (self.folder / "fired").exists()

    def paid(self):
        return self.ledger.read_text().split() if self.ledger.exists() else []

    def file(self):
        """The transcript of the one run, None if there is none."""
        found = list(self.transcripts.glob("*.jsonl")) if self.transcripts.is_dir() else []
        assert len(found) <= 1
        return found[0] if found else None

    def check_kept(self, ended):
        """Whatever was shown as a fact is in the transcript."""
        shown = [i for i in whole_lines(ended.out) if "event" in i]
        if shown:
            kept = [(r.seq, r.at, r.event.type) for r in read(self.file())]
            assert [(i["seq"], i["at"], i["event"]["type"]) for i in shown] == kept[: len(shown)]

    def check_taken_up(self, *arguments):
        """The run is resumed, or begun anew if it left nothing, comes to its end, and no sum was
        paid twice. Returns what the resumed run said."""
        if self.file() and not begun(self.file()):
            refused = self.run("--resume", "last")
            told(refused, ".jsonl", "delete it")
            self.file().unlink()
        again = ("--resume", "last") if self.file() else ("Pay both.",)
        ended = self.run(*again, *arguments)
        if ended.status == 2:
            told(ended, "before it heard what to do", "--resume", status=2)
            ended = self.run(*again, "Pay both.")
        assert ended.status == 0, ended.err
        assert ended.reason == "done"
        paid = self.paid()
        assert len(paid) == len(set(paid)), paid
        unknown = [r for r in ended.results if r.get("error") == "outcome_unknown"]
        assert set(paid) <= {"5", "7"}
        if not unknown:
            assert paid == ["5", "7"]
        verified = self.host("audit", "verify")
        assert verified.status == 0, verified.out + verified.err
        return ended


def begun(transcript):
    """Whether a transcript holds one whole record."""
    return b"\n" in transcript.read_bytes()


def whole_lines(text):
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def told(ended, *parts, status=1):
    """The last line says, without a trace, what failed and holds `parts`; returns it."""
    assert ended.status == status, ended.err
    for word in ("Traceback", "a bug in agent-host", "Error:", "errno"):
        assert word not in ended.err
    said = [line for line in ended.err.splitlines() if line.startswith("agent-host: ")]
    assert said, ended.err
    for part in parts:
        assert part in said[-1], said[-1]
    return said[-1]
