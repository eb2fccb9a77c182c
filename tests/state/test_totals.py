"""Running totals: exact, kept, and never exceeded by processes that race."""

import sqlite3
import subprocess
import sys

import pytest

from agent_host.core.errors import RecordError
from agent_host.state.totals import UNIT, Call, Share, Totals

NOW = 1_790_000_000.0
DAY = 86400.0


def share(units=UNIT, *, total="project:t", key="k", window=DAY):
    return Share(total=total, key=key, units=units, window=window)


def put(totals, call, *shares, now=NOW, run="r"):
    with totals.book() as book:
        book.put(Call(run=run, call=call), shares, now=now)


def counted(totals, *, now=NOW, apart=("", ""), **more):
    wanted = share(**more)
    with totals.book() as book:
        sums = book.sums([wanted], now=now, apart=Call(run=apart[0], call=apart[1]))
    assert totals.sums([wanted], now=now)[wanted.total] >= sums[wanted.total]
    return sums[wanted.total]


@pytest.fixture
def totals(tmp_path):
    made = Totals(tmp_path / "state.db")
    yield made
    made.close()


def test_calls_add_up_by_total_and_key(totals):
    put(totals, "a", share(3))
    put(totals, "b", share(4), share(9, total="user:u"))
    put(totals, "c", share(5, key="other"))
    assert counted(totals) == 7
    assert counted(totals, key="other") == 5
    assert counted(totals, total="user:u") == 9
    assert counted(totals, total="none") == 0


def test_a_call_is_not_counted_against_itself_and_never_twice(totals):
    put(totals, "a", share(3))
    put(totals, "a", share(5))
    assert counted(totals) == 5
    assert counted(totals, apart=("r", "a")) == 0
    assert counted(totals, apart=("other run", "a")) == 5
    put(totals, "a")
    assert counted(totals) == 0


def test_only_calls_of_the_window_count_and_a_longer_window_sees_them_again(totals):
    put(totals, "a", share(3), now=NOW)
    assert counted(totals, now=NOW + DAY - 1) == 3
    assert counted(totals, now=NOW + DAY) == 0
    assert counted(totals, now=NOW + DAY, window=2 * DAY) == 3


def test_a_clock_that_was_set_back_forgets_nothing_and_counts_for_one_window_at_most(totals):
    put(totals, "a", share(3), now=NOW + 400 * DAY)
    assert counted(totals, now=NOW) == 3
    assert counted(totals, now=NOW + DAY - 1) == 3
    assert counted(totals, now=NOW + DAY + 1) == 0


def test_a_clock_that_was_ahead_for_a_while_loses_nothing(totals):
    put(totals, "a", share(3), now=NOW)
    totals.prune(NOW + 8 * DAY)
    assert counted(totals, now=NOW + 60) == 3


def test_what_counts_no_more_is_deleted_in_the_end(totals, tmp_path):
    put(totals, "a", share(3), now=NOW)
    totals.prune(NOW + 40 * DAY)
    with sqlite3.connect(tmp_path / "state.db") as db:
        assert db.execute("SELECT COUNT(*) FROM totals").fetchone() == (0,)
    db.close()


def test_a_call_that_did_not_run_counts_no_more(totals):
    put(totals, "a", share(3))
    totals.remove(Call(run="r", call="b"))
    assert counted(totals) == 3
    totals.remove(Call(run="r", call="a"))
    assert counted(totals) == 0


def test_looking_makes_no_file(tmp_path):
    totals = Totals(tmp_path / "state.db")
    assert totals.sums([share()], now=NOW) == {"project:t": 0}
    totals.remove(Call(run="r", call="a"))
    assert not (tmp_path / "state.db").exists()


def test_an_exception_takes_back_what_was_written(totals):
    put(totals, "a", share(3))

    def interrupted():
        with totals.book() as book:
            book.put(Call(run="r", call="b"), [share(9)], now=NOW)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert counted(totals) == 3


def test_the_file_is_its_owners_alone(totals, tmp_path):
    put(totals, "a", share(3))
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


def test_a_sum_that_no_integer_holds_is_an_error_not_a_small_number(totals):
    for number in range(10):
        put(totals, f"c{number}", share(10**18))
    with pytest.raises(RecordError, match="cannot be kept"):
        counted(totals)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to look like one" * 40])
def test_a_file_that_is_no_database_is_said_to_be_none_and_stays_as_it_is(tmp_path, content):
    path = tmp_path / "state.db"
    path.write_bytes(content)
    totals = Totals(path)
    with pytest.raises(RecordError, match=r"state\.db"):
        put(totals, "a", share())
    with pytest.raises(RecordError, match=r"state\.db"):
        totals.sums([share()], now=NOW)
    with pytest.raises(RecordError, match=r"state\.db"):
        totals.remove(Call(run="r", call="a"))
    assert path.read_bytes() == content


def test_what_is_no_file_is_an_error(tmp_path):
    (tmp_path / "state.db").mkdir()
    with pytest.raises(RecordError):
        put(Totals(tmp_path / "state.db"), "a", share())


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError):
        put(Totals(tmp_path / "file" / "state.db"), "a", share())


def test_a_database_that_breaks_while_it_is_open_is_an_error_and_tried_again(tmp_path):
    path = tmp_path / "state.db"
    totals = Totals(path)
    put(totals, "a", share(3))
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE totals RENAME TO hidden")
    db.close()
    with pytest.raises(RecordError):
        put(totals, "b", share(4))
    reader, remover = Totals(path), Totals(path)
    for one in (reader, remover):
        one.prune(NOW)
        put(one, "x", share(0))
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE IF EXISTS totals")
    with pytest.raises(RecordError):
        reader.sums([share()], now=NOW)
    with pytest.raises(RecordError):
        remover.remove(Call(run="r", call="a"))
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE IF EXISTS totals")
        db.execute("ALTER TABLE hidden RENAME TO totals")
    db.close()
    put(totals, "b", share(4))
    assert counted(totals) == 7
    totals.close()


def test_a_file_that_was_put_in_its_place_is_the_one_that_counts(tmp_path):
    path = tmp_path / "state.db"
    one, other = Totals(path), Totals(path)
    put(one, "a", share(3))
    for file in list(tmp_path.iterdir()):
        file.unlink()
    put(other, "b", share(4))
    assert counted(one) == 4
    one.close()
    other.close()


def test_a_database_that_another_process_holds_is_waited_for_and_then_an_error(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("agent_host.state.database.BUSY_SECONDS", 0.1)
    path = tmp_path / "state.db"
    totals = Totals(path)
    put(totals, "a", share(3))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    fresh = Totals(path)
    with pytest.raises(RecordError, match="locked"):
        put(fresh, "b", share(4))
    holder.execute("ROLLBACK")
    holder.close()
    put(fresh, "b", share(4))
    assert counted(totals) == 7
    totals.close()
    fresh.close()


RACER = """
import sys
from pathlib import Path
from agent_host.state.totals import UNIT, Call, Share, Totals

totals, name, limit = Totals(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
one = Share(total="t", key="k", units=UNIT, window=86400.0)
sys.stdin.readline()
allowed = 0
for number in range(60):
    with totals.book() as book:
        call = Call(run=name, call=str(number))
        if book.sums([one], now=1000.0, apart=call)["t"] + one.units <= limit * UNIT:
            book.put(call, [one], now=1000.0)
            allowed += 1
print(allowed)
"""


def test_processes_that_race_never_count_on_the_same_rest(tmp_path):
    path, limit = tmp_path / "state.db", 70
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(path), f"run{number}", str(limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    allowed = [int(racer.communicate(timeout=120)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert sum(allowed) == limit
    wanted = Share(total="t", key="k", units=0, window=DAY)
    totals = Totals(path)
    assert totals.sums([wanted], now=1000.0) == {"t": limit * UNIT}
    totals.close()


def test_a_process_that_dies_leaves_what_it_counted(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from agent_host.state.totals import Call, Share, Totals\n"
        "totals = Totals(Path(sys.argv[1]))\n"
        "with totals.book() as book:\n"
        "    one = Share(total='t', key='k', units=5, window=86400.0)\n"
        "    book.put(Call(run='r', call='a'), [one], now=1000.0)\n"
        "with totals.book() as book:\n"
        "    book.put(Call(run='r', call='b'), [one], now=1000.0)\n"
        "    os._exit(9)\n"
    )
    path = tmp_path / "state.db"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert done.returncode == 9
    totals = Totals(path)
    assert totals.sums([Share(total="t", key="k", units=0, window=DAY)], now=1000.0) == {"t": 5}
    totals.close()
