"""Several processes at once: on one transcript, and in one folder."""

import re
import subprocess

import pytest

from agent_host.records.reader import read
from tests.fakes.programs import command, environment
from tests.faults.stage import RUN, Stage, told

HANG = """
[[turn]]
say = "I pay."
call = { name = "bank__pay", arguments = { amount = 5, hang = true } }
[[turn]]
say = "All done."
"""


class Held:
    """A run that is under way, as long as the block lasts."""

    def __init__(self, stage):
        self.stage = stage

    def __enter__(self):
        (self.stage.folder / "script.toml").write_text(HANG)
        self.process = started(self.stage, "Pay.")
        for line in self.process.stdout:
            if b'"tool_progress"' in line:
                return self
        raise AssertionError(self.process.stderr.read().decode())

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def started(stage, *arguments):
    return subprocess.Popen(
        command(*RUN, *arguments),
        cwd=stage.folder,
        env=environment(stage.folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_run_under_way_is_not_taken_over_and_who_has_it_is_named(stage):
    with Held(stage) as held:
        before = stage.file().read_bytes()
        ended = stage.run("--resume", "last")
        told(ended, f"in use by process {held.process.pid}", "end that one first")
        assert stage.file().read_bytes() == before
        assert stage.paid() == ["5"]


@pytest.mark.parametrize("action", ["list", "show"])
def test_a_run_under_way_can_be_looked_at(stage, action):
    with Held(stage):
        ended = stage.host("transcripts", action, *(["last"] if action == "show" else []))
        assert ended.status == 0, ended.err
        assert ended.out


def test_another_run_begins_beside_one_that_is_under_way(tmp_path, nursery):
    stage = Stage(tmp_path / "work", nursery)
    with Held(stage) as held:
        (stage.folder / "script.toml").write_text('[[turn]]\nsay = "Hello."\n')
        ended = stage.run("Hello.")
        assert ended.status == 0, ended.err
        assert held.process.poll() is None
        assert len(list(stage.transcripts.glob("*.jsonl"))) == 2


def test_of_several_that_take_up_one_run_at_once_one_gets_it(stage):
    assert stage.run(fault={"kind": "kill-after", "nth": 14, "of": "/transcripts/"}).status == -9
    (stage.folder / "script.toml").write_text("")
    several = [started(stage, "--resume", "last", "--max-turns", "1") for _ in range(4)]
    ended = [(one.communicate(), one.returncode) for one in several]
    refused = [err.decode() for (_, err), status in ended if b"in use by" in err]
    assert len({*range(4)}) - len(refused) >= 1
    for text in refused:
        assert "Traceback" not in text
        assert re.search(r"in use by (process \d+|another process);", text)  # who let go meanwhile
    seqs = [record.seq for record in read(stage.file())]
    assert seqs == list(range(len(seqs)))


def test_runs_that_begin_in_one_folder_at_once_each_have_their_file(stage):
    (stage.folder / "script.toml").write_text('[[turn]]\nsay = "Hello."\n')
    several = [started(stage, "Hello.") for _ in range(4)]
    for one in several:
        _, err = one.communicate()
        assert one.returncode == 0, err.decode()
    files = list(stage.transcripts.glob("*.jsonl"))
    assert len(files) == 4
    assert all(read(file)[-1].event.type == "run_ended" for file in files)
    assert stage.host("audit", "verify").status == 0
