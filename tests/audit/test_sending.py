"""Entries reach a collector, each at least once, whatever the collector does."""

import itertools
import json
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agent_host.audit.collector import Collector
from agent_host.audit.files import files
from agent_host.audit.keys import Signer
from agent_host.audit.retention import retire
from agent_host.audit.sender import Background, Pace, Sender
from agent_host.audit.spool import Cursor, Spool, shown_url, states
from agent_host.core.errors import RecordError
from tests.audit.made import ended, entry, in_process, log_in, time_of, written
from tests.fakes.log_collector import OK, LogCollector

QUICK = Pace(first=0.01, longest=0.02, asked=0.05, busy=0.01)
LATER = (503, {}, b"busy")


@pytest.fixture
def collector():
    with LogCollector() as made:
        yield made


def sender(folder, collector, project="", pace=QUICK, headers=None, **options):
    url = collector if isinstance(collector, str) else collector.url
    to = Collector(url, headers or {}, timeout=5.0, **options)
    return Sender(Spool(folder, url, project), to, "1.2", pace=pace)


def numbers(count):
    return list(range(1, count + 1))


def test_every_entry_is_sent_once_in_order_when_all_is_well(tmp_path, collector):
    folder = written(tmp_path, 600, max_file=20_000)
    total = Spool(folder, collector.url).waiting(Spool(folder, collector.url).state())
    sent = sender(folder, collector, headers={"authorization": "Bearer x"}).send()
    assert (sent.entries, sent.problem, sent.busy) == (total, "", False)
    assert collector.numbers == numbers(total)
    assert max(map(len, collector.seen)) <= 256
    assert set(collector.paths) == {"/v1/logs"}
    assert collector.headers[0]["authorization"] == "Bearer x"
    assert collector.headers[0]["content-type"] == "application/json"
    again = sender(folder, collector).send()
    assert again.entries == 0
    assert collector.numbers == numbers(total)


def test_a_url_with_a_path_is_used_as_it_is(tmp_path, collector):
    folder = written(tmp_path, 1)
    sender(folder, collector.url + "/own/path").send()
    assert collector.paths == ["/own/path"]


def test_what_is_written_later_follows(tmp_path, collector):
    folder = written(tmp_path, 3)
    sender(folder, collector).send()
    written(tmp_path, 3)
    sender(folder, collector).send()
    assert collector.seen == [[1, 2, 3, 4], [5, 6, 7]]


def test_a_torn_end_is_not_sent(tmp_path, collector):
    folder = written(tmp_path, 2)
    with files(folder)[-1].open("ab") as file:
        file.write(b'{"seq":4,')
    sender(folder, collector).send()
    assert collector.numbers == [1, 2, 3]


@pytest.mark.parametrize("fault", [LATER, (502, {}, b""), (504, {}, b""), (429, {}, b""), None])
def test_after_an_outage_sending_goes_on_where_it_was(tmp_path, collector, fault):
    folder = written(tmp_path, 300)
    batches = iter([OK, fault, fault, OK, OK])
    collector.answer = lambda _: next(batches)
    here = sender(folder, collector)
    first = here.send()
    assert first.entries == 256
    assert first.problem
    state = here.spool.state()
    assert (state.failures, state.cursor.seq) == (1, 256)
    assert here.send(at_once=True).problem
    assert here.spool.state().failures == 2
    assert here.send(at_once=True).problem == ""
    assert collector.numbers == numbers(302)
    assert here.spool.state().problem == ""
    assert here.spool.state().failures == 0


def test_a_collector_that_is_down_loses_nothing(tmp_path, collector):
    folder = written(tmp_path, 5)
    collector.stop()
    here = sender(folder, collector)
    assert "cannot be reached" in here.send().problem
    written(tmp_path, 5)
    collector.start()
    assert here.send(at_once=True).problem == ""
    assert collector.numbers == numbers(11)


def test_what_was_taken_without_an_acknowledgement_is_sent_again_and_can_be_told(
    tmp_path, collector
):
    folder = written(tmp_path, 5)
    answers = iter([None, OK])
    collector.answer = lambda _: next(answers)
    here = sender(folder, collector)
    assert here.send().problem
    here.send(at_once=True)
    assert collector.asked == [numbers(6), numbers(6)]
    assert collector.bodies[0] == collector.bodies[1]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_collector_that_says_when_is_not_asked_before(tmp_path, collector, form):
    folder = written(tmp_path, 2)
    now = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
    said = (
        "120" if form == "seconds" else format_datetime(now + timedelta(seconds=120), usegmt=True)
    )
    headers = {"retry-after": said}
    if form == "date":
        headers["date"] = format_datetime(now, usegmt=True)
    collector.answer = lambda _: (429, headers, b"")
    clock = [1000.0]
    to = Collector(collector.url, {})
    here = Sender(Spool(folder, collector.url), to, "1", pace=Pace(), wall=lambda: clock[0])
    assert here.send().wait >= (119 if form == "seconds" else 1)
    waiting = here.spool.state().not_before - clock[0]
    assert 0 < waiting <= 120
    asked = len(collector.asked)
    clock[0] += waiting - 0.5
    assert here.send().problem
    assert len(collector.asked) == asked
    collector.answer = lambda _: OK
    clock[0] += 1
    assert here.send().problem == ""


def test_a_collector_cannot_ask_for_ever(tmp_path, collector):
    folder = written(tmp_path, 2)
    collector.answer = lambda _: (503, {"retry-after": "999999"}, b"")
    here = sender(folder, collector, pace=Pace(asked=300))
    assert here.send().wait <= 300


def test_waits_grow_and_are_bounded(tmp_path, collector):
    folder = written(tmp_path, 2)
    collector.answer = lambda _: LATER
    clock = [0.0]
    to = Collector(collector.url, {})
    here = Sender(Spool(folder, collector.url), to, "1", pace=Pace(), wall=lambda: clock[0])
    waits = [here.send(at_once=True).wait for _ in range(10)]
    assert waits[0] <= 1.0
    assert all(a < b * 1.5 for a, b in itertools.pairwise(waits))
    assert 45 <= waits[-1] <= 60


def test_an_entry_that_the_collector_will_not_have_does_not_hold_up_the_others(tmp_path, collector):
    folder = written(tmp_path, 100)
    poison = {7, 50}
    collector.answer = lambda batch: (400, {}, b"bad") if poison & set(batch) else OK
    here = sender(folder, collector)
    assert here.send().problem == ""
    assert sorted(collector.numbers) == [n for n in numbers(101) if n not in poison]
    state = here.spool.state()
    assert (state.refused, state.sent) == (2, 99)
    (aside,) = folder.glob("refused-*.jsonl")
    lines = [json.loads(line) for line in aside.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [7, 50]
    assert "answered 400: bad" in lines[0]["why"]
    assert aside.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("count", [1, 4, 100])
def test_a_collector_that_refuses_everything_is_at_fault_and_nothing_is_given_up(
    tmp_path, collector, count
):
    folder = written(tmp_path, count)
    collector.answer = lambda _: (400, {}, b"no such tenant")
    here = sender(folder, collector)
    assert "no such tenant" in here.send().problem
    assert len(collector.asked) < 40
    state = here.spool.state()
    assert (state.refused, state.cursor.seq) == (0, 0)
    collector.answer = lambda _: OK
    here.send(at_once=True)
    assert sorted(set(collector.numbers)) == numbers(count + 1)


@pytest.mark.parametrize("status", [401, 403, 404, 301])
def test_a_collector_that_wants_something_else_first_is_said_and_nothing_is_given_up(
    tmp_path, collector, status
):
    folder = written(tmp_path, 3)
    collector.answer = lambda _: (status, {"location": collector.url + "/elsewhere"}, b"")
    here = sender(folder, collector)
    assert f"answered {status}" in here.send().problem
    assert len(collector.asked) == 1
    assert here.spool.state().cursor.seq == 0


def test_what_a_collector_rejects_of_a_batch_is_counted_and_not_sent_again(tmp_path, collector):
    folder = written(tmp_path, 3)
    partly = json.dumps({"partialSuccess": {"rejectedLogRecords": "2", "errorMessage": "old"}})
    collector.answer = lambda _: (200, {}, partly.encode())
    here = sender(folder, collector)
    here.send()
    state = here.spool.state()
    assert (state.refused, state.sent, state.cursor.seq) == (2, 2, 4)


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'{"partialSuccess":3}', b"[" * 10**5])
def test_an_acknowledgement_may_say_anything(tmp_path, collector, body):
    folder = written(tmp_path, 3)
    collector.answer = lambda _: (200, {}, body)
    here = sender(folder, collector)
    assert here.send().problem == ""
    assert here.spool.state().cursor.seq == 4


def test_one_process_sends_at_a_time(tmp_path, collector):
    folder = written(tmp_path, 3)
    holds, done = threading.Event(), threading.Event()

    def slow(_):
        holds.set()
        done.wait(10)
        return OK

    collector.answer = slow
    thread = threading.Thread(target=sender(folder, collector).send)
    thread.start()
    assert holds.wait(10)
    second = sender(folder, collector).send()
    assert (second.busy, second.entries) == (True, 0)
    done.set()
    thread.join()
    assert collector.asked == [numbers(4)]


def test_a_sender_that_is_killed_loses_nothing(tmp_path, collector):
    folder = written(tmp_path, 300)
    holds = threading.Event()

    def second_hangs(batch):
        if batch[0] > 1:
            holds.set()
            threading.Event().wait(30)
        return OK

    collector.answer = second_hangs
    code = (
        "from agent_host.audit.collector import Collector\n"
        "from agent_host.audit.sender import Sender\n"
        "from agent_host.audit.spool import Spool\n"
        "folder, url = Path(sys.argv[1]), sys.argv[2]\n"
        "Sender(Spool(folder, url), Collector(url, {}), '1').send()\n"
    )
    process = in_process(code, str(folder), collector.url)
    assert holds.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    collector.answer = lambda _: OK
    assert sender(folder, collector).send(at_once=True).problem == ""
    assert sorted(set(collector.numbers)) == numbers(302)


def test_processes_that_write_and_send_at_once_bring_every_entry(tmp_path, collector):
    code = (
        "from agent_host.audit.collector import Collector\n"
        "from agent_host.audit.sender import Background, Sender\n"
        "from agent_host.audit.spool import Spool\n"
        "folder, url = Path(sys.argv[1]), sys.argv[2]\n"
        "log = log_in(folder)\n"
        "to = Sender(Spool(log.folder, url), Collector(url, {}), '1')\n"
        "sending = Background(to, gather=0.001)\n"
        "for n in range(200):\n"
        "    log.append([entry(n)]); sending.wake()\n"
        "assert sending.close(30) == ''\n"
    )
    ended([in_process(code, str(tmp_path), collector.url) for _ in range(3)])
    last = log_in(tmp_path)
    assert sorted(collector.numbers) == numbers(last.last[0])
    last.close()


def test_a_cursor_that_does_not_fit_the_log_begins_again(tmp_path, collector):
    folder = written(tmp_path, 5)
    here = sender(folder, collector)
    here.send()
    for path in files(folder):
        path.unlink()
    written(tmp_path, 2)
    here.send()
    assert collector.seen[-1] == [1, 2, 3]


def test_entries_that_are_gone_before_they_were_sent_are_counted(tmp_path, collector):
    folder = written(tmp_path, 60, max_file=4096)
    here = sender(folder, collector)
    second = files(folder)[1]
    first = json.loads(second.read_bytes().splitlines()[0])["seq"]
    files(folder)[0].unlink()
    here.send()
    assert here.spool.state().lost == first - 1
    assert collector.numbers[0] == first


def test_a_file_that_was_sent_and_removed_is_not_missed(tmp_path, collector):
    folder = written(tmp_path, 60, max_file=4096)
    here = sender(folder, collector)
    here.send()
    total = len(collector.numbers)
    log = log_in(tmp_path, max_file=4096)
    signer = Signer(tmp_path / "audit.key")
    kept = here.spool.state().cursor.seq
    assert retire(log, signer, before=time_of(10**6), now=lambda: time_of(0), kept=kept)
    log.append([entry(1)])
    here.send()
    state = here.spool.state()
    assert state.lost == 0
    assert collector.numbers == numbers(log.last[0])
    assert len(collector.numbers) > total
    log.close()


def test_what_was_not_sent_is_kept_from_retention(tmp_path, collector):
    folder = written(tmp_path, 60, max_file=4096)
    collector.answer = lambda _: LATER
    here = sender(folder, collector)
    here.send()
    log = log_in(tmp_path, max_file=4096)
    gone = retire(
        log,
        Signer(tmp_path / "audit.key"),
        before=time_of(10**6),
        now=lambda: time_of(0),
        kept=here.spool.state().cursor.seq,
    )
    log.close()
    assert gone == []


def test_a_projects_collector_gets_that_projects_entries_and_the_logs_own(tmp_path, collector):
    log = log_in(tmp_path)
    for n in range(10):
        log.append([entry(n, project="/mine" if n % 2 else "/theirs")])
    log.checkpoint()
    log.close()
    sender(log.folder, collector, project="/mine").send()
    assert collector.numbers == [1, 3, 5, 7, 9, 11, 12]
    assert b"/theirs" not in b"".join(collector.bodies)
    (state,) = states(log.folder)
    assert (state.project, state.cursor.seq) == ("/mine", 12)


def test_two_collectors_each_have_their_own_place(tmp_path, collector):
    folder = written(tmp_path, 3)
    with LogCollector() as other:
        sender(folder, collector).send()
        written(tmp_path, 1)
        sender(folder, other).send()
        sender(folder, collector).send()
        assert collector.numbers == other.numbers == numbers(5)


def test_no_secret_of_a_url_or_an_answer_is_kept(tmp_path, collector):
    folder = written(tmp_path, 1)
    url = collector.url.replace("//", "//user:hunter22@") + "/v1/logs?key=hunter22"
    collector.answer = lambda _: (403, {}, b"no such key: hunter22 \x1b[2J")
    hide = lambda text: text.replace("hunter22", "***")  # noqa: E731
    here = sender(folder, url, redact=hide)
    problem = here.send().problem
    kept = b"".join(path.read_bytes() for path in folder.glob("sent-*"))
    assert b"hunter22" not in kept
    assert "hunter22" not in problem
    assert "\x1b" not in problem
    assert shown_url(url) == collector.url + "/v1/logs"


def test_the_place_of_a_collector_is_private_and_survives_damage(tmp_path, collector):
    folder = written(tmp_path, 3)
    here = sender(folder, collector)
    here.send()
    (kept,) = folder.glob("sent-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    for damage in (b"", b"{", b"[]", b'{"cursor":1}', b'{"cursor":{"x":1}}'):
        kept.write_bytes(damage)
        assert here.spool.state().cursor == Cursor()
    here.send()
    assert collector.seen == [numbers(4), numbers(4)]


@pytest.mark.parametrize(
    "text",
    [
        '{"cursor": {"file": 5}}',
        '{"cursor": {"file": "../../etc/passwd", "offset": -5, "seq": "x"}}',
        '{"cursor": {}, "not_before": "x", "failures": "y"}',
        '{"cursor": {}, "failures": 1e999, "sent": null, "problem": 5}',
        '{"cursor": {"file": "audit-000000000001.jsonl", "offset": 1e300}}',
        '{"cursor": {"hash": "\\ud800", "file": "a\\u0000b"}}',
    ],
)
def test_a_place_of_a_collector_that_nobody_wrote_so_begins_again(tmp_path, collector, text):
    folder = written(tmp_path, 3)
    made = sender(folder, collector)
    made.send()
    [path] = folder.glob("sent-*.json")
    path.write_text(text)
    assert made.send().problem == ""
    assert states(folder)[0].cursor.seq == made.spool.state().cursor.seq > 0


def test_a_folder_that_cannot_be_written_stops_the_sender_and_says_so(tmp_path, collector):
    folder = written(tmp_path, 1)
    here = sender(folder, collector)
    here.spool._path.with_suffix(".new").mkdir()
    with pytest.raises(RecordError, match="what was sent cannot be kept"):
        here.send()


# -- in the background of a run ------------------------------------------------------------------


def test_a_background_sender_brings_what_is_written_while_it_runs(tmp_path, collector):
    log = log_in(tmp_path)
    background = Background(sender(log.folder, collector), gather=0.001)
    background.wake()
    assert collector.arrived.acquire(timeout=10)
    for n in range(20):
        log.append([entry(n)])
        background.wake()
    assert background.close(10) == ""
    assert collector.numbers == numbers(21)
    log.close()


def test_the_end_of_a_run_waits_for_a_slow_collector_only_for_so_long(tmp_path, collector):
    folder = written(tmp_path, 3)
    never = threading.Event()
    collector.answer = lambda _: never.wait(20) or OK
    background = Background(sender(folder, collector), gather=0.001)
    background.wake()
    assert "in time" in background.close(0.05)
    never.set()


def test_a_collector_that_is_down_ends_the_wait_at_once(tmp_path, collector):
    folder = written(tmp_path, 3)
    collector.stop()
    background = Background(sender(folder, collector, pace=Pace(first=30)), gather=0.001)
    background.wake()
    assert "cannot be reached" in background.close(20)
    assert not background._thread.is_alive()
    collector.start()


def test_a_collector_that_comes_back_during_the_run_gets_everything(tmp_path, collector):
    folder = written(tmp_path, 3)
    failed = threading.Event()

    def busy(_):
        failed.set()
        return LATER

    collector.answer = busy
    background = Background(sender(folder, collector), gather=0.001)
    background.wake()
    assert failed.wait(10)
    collector.answer = lambda _: OK
    while not collector.seen:
        assert collector.arrived.acquire(timeout=10)
    assert background.close(10) == ""
    assert collector.numbers == numbers(4)


def test_nothing_is_started_when_nothing_is_written(tmp_path, collector):
    folder = written(tmp_path, 1)
    background = Background(sender(folder, collector))
    assert background.close(1) == ""
    assert background._thread is None
    background.wake()
    assert background._thread is None
