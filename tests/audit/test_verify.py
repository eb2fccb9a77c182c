"""What was done to a log is named, where it was done."""

import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.audit.anchors import Anchor, anchors
from agent_host.audit.canonical import canonical
from agent_host.audit.chain import ZERO, seal
from agent_host.audit.files import files
from agent_host.audit.keys import Signer, statement
from agent_host.audit.retention import STUB, begins_at, retire, retired
from agent_host.audit.verify import verify
from agent_host.core.errors import UsageError
from tests.audit.made import entries_of, entry, lines_of, log_in, time_of, written

COUNT = 12


@cache
def original() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return lines_of(written(Path(folder), COUNT - 1))


def checked(lines: list[bytes], **options):
    """What is found in a log of one file with these lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit-000000000001.jsonl"
        path.write_bytes(b"".join(lines))
        return verify(Path(folder), **options)


def last_anchor() -> Anchor:
    found = json.loads(original()[-1])
    return Anchor(found["seq"], found["hash"])


def test_an_untouched_log_is_whole():
    report = checked(original(), anchors=[last_anchor()])
    assert report.finding is None
    assert (report.entries, report.first, report.last) == (COUNT, 1, COUNT)


positions = st.integers(0, COUNT - 1)


@given(positions, st.data())
def test_flipping_any_byte_is_found_at_its_entry(place, data):
    lines = list(original())
    changed = bytearray(lines[place])
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    lines[place] = bytes(changed)
    finding = checked(lines).finding
    assert finding is not None
    assert finding.line == place + 1
    assert finding.kind in {"changed", "cut_off"}


@given(positions, st.data())
def test_dropping_any_byte_is_found_at_its_entry(place, data):
    lines = list(original())
    at = data.draw(st.integers(0, len(lines[place]) - 1))
    lines[place] = lines[place][:at] + lines[place][at + 1 :]
    finding = checked(lines).finding
    assert (finding.line, finding.seq) == (place + 1, place + 1)


@given(st.integers(0, COUNT - 2), st.data())
def test_removing_entries_is_found_where_they_were(place, data):
    count = data.draw(st.integers(1, COUNT - 1 - place))
    lines = original()[:place] + original()[place + count :]
    finding = checked(lines).finding
    assert (finding.kind, finding.line) == ("removed", place + 1)
    assert finding.seq == place + 1 or place == 0


@given(st.data())
def test_swapping_two_entries_is_found_at_the_first(data):
    one = data.draw(st.integers(0, COUNT - 2))
    two = data.draw(st.integers(one + 1, COUNT - 1))
    lines = list(original())
    lines[one], lines[two] = lines[two], lines[one]
    finding = checked(lines).finding
    assert finding.line == one + 1
    assert finding.kind == ("reordered" if one else "removed")


@given(st.integers(0, COUNT), positions)
def test_repeating_an_entry_is_found_where_it_stands_again(place, which):
    lines = [*original()[:place], original()[which], *original()[place:]]
    finding = checked(lines).finding
    assert finding.line == (place + 2 if which == place else place + 1)
    assert finding.kind in {"inserted", "removed", "reordered"}


@given(st.integers(1, COUNT - 1), st.booleans())
def test_an_entry_that_was_forged_and_sealed_is_found(place, instead):
    before = json.loads(original()[place - 1])
    forged, _ = seal(entry(99, who="mallory"), before["seq"] + 1, before["hash"])
    rest = original()[place + 1 :] if instead else original()[place:]
    lines = [*original()[:place], forged, *rest]
    finding = checked(lines, anchors=[last_anchor()]).finding
    assert finding.seq == place + 1
    assert finding.line == place + 1
    if place < COUNT - 1:
        assert finding.kind == ("changed" if instead else "inserted")
    else:
        assert finding.kind == "changed"  # the last one: only the checkpoint shows it


@given(st.integers(1, COUNT - 1))
def test_an_end_that_was_cut_off_shows_against_a_checkpoint_only(left):
    lines = original()[:left]
    assert checked(lines).finding is None
    for anchor in (last_anchor(), Anchor(None, last_anchor().hash)):
        finding = checked(lines, anchors=[anchor]).finding
        assert (finding.kind, finding.seq, finding.line) == ("cut_off", left, left)


@given(st.integers(1, COUNT - 1), st.data())
def test_an_end_that_was_cut_in_the_middle_of_an_entry_is_found_there(left, data):
    part = original()[left][: data.draw(st.integers(1, len(original()[left]) - 1))]
    finding = checked([*original()[:left], part]).finding
    assert (finding.kind, finding.seq, finding.line) == ("cut_off", left + 1, left + 1)


@given(st.integers(1, COUNT - 1), st.binary(min_size=1, max_size=300))
def test_a_line_of_anything_that_was_put_in_is_found(place, data):
    line = data.replace(b"\n", b"?") + b"\n"
    finding = checked([*original()[:place], line, *original()[place:]]).finding
    assert (finding.kind, finding.line) == ("inserted", place + 1)


def test_a_log_that_was_written_anew_shows_against_a_checkpoint(tmp_path):
    # whoever has the key can write and sign another log; the noted hash is not in it
    folder = written(tmp_path, COUNT - 1)
    noted = Anchor(5, json.loads(original()[4])["hash"])
    assert verify(folder, anchors=[noted]).finding is None
    other = tmp_path / "other"
    log = log_in(other)
    for number in range(COUNT - 1):
        log.append([entry(number, who="somebody-else")])
    log.checkpoint()
    log.close()
    finding = verify(log.folder, anchors=[noted]).finding
    assert (finding.kind, finding.seq, finding.line) == ("changed", 5, 5)


def test_a_whole_file_that_is_missing_is_named(tmp_path):
    folder = written(tmp_path, 60, max_file=4096)
    there = files(folder)
    gone = there[2]
    first = json.loads(gone.read_bytes().splitlines()[0])["seq"]
    gone.unlink()
    finding = verify(folder).finding
    assert (finding.kind, finding.file, finding.line) == ("removed", there[3].name, 1)
    assert finding.seq == first


def test_a_beginning_that_somebody_removed_is_told_from_one_that_retention_did(tmp_path):
    folder = written(tmp_path, 60, max_file=4096)
    files(folder)[0].unlink()
    finding = verify(folder).finding
    assert finding.kind == "removed"
    assert "nothing says that retention removed" in finding.text
    assert verify(folder, since=files(folder)[0].name).finding is None


def test_the_log_can_be_verified_from_a_file_on(tmp_path):
    folder = written(tmp_path, 60, max_file=4096)
    there = files(folder)
    there[0].write_bytes(b"damaged\n")
    assert verify(folder).finding.line == 1
    report = verify(folder, since=there[1].name)
    assert report.finding is None
    assert report.files == len(there) - 1
    assert any("not looked at" in note for note in report.notes)


def test_a_signature_that_is_not_the_keys_is_found(tmp_path):
    log = log_in(tmp_path)
    log.append([entry()])
    log.checkpoint()
    log.close()
    other = Signer(tmp_path / "other.key").sign(b"x")
    (path,) = files(log.folder)
    *lines, last = path.read_bytes().splitlines(keepends=True)
    fields = json.loads(last)
    forged, _ = seal({**fields, "signature": other[0]}, fields["seq"], fields["prev"])
    path.write_bytes(b"".join(lines) + forged)
    finding = verify(log.folder).finding
    assert (finding.kind, finding.seq) == ("signature", 3)


def test_a_checkpoint_of_another_key_than_the_known_one_is_found(tmp_path):
    # somebody without the user's key rewrote a copy of the log and signed it with their own
    mine = Signer(tmp_path / "mine.key")
    mine.sign(b"")
    folder = written(tmp_path, 300)
    theirs = Signer(tmp_path / "audit.key").public()
    assert verify(folder).finding is None
    assert verify(folder, keys=[theirs]).finding is None
    finding = verify(folder, keys=[mine.public()]).finding
    assert (finding.kind, finding.seq) == ("signature", 256)


def retire_all(folder: Path, tmp_path: Path, before: str, **options) -> list[str]:
    log = log_in(tmp_path, max_file=4096)
    signer = Signer(tmp_path / "audit.key")
    gone = retire(log, signer, before=before, now=lambda: time_of(10_000), **options)
    log.close()
    return gone


def test_retention_removes_whole_old_files_and_leaves_a_signed_note(tmp_path):
    folder = written(tmp_path, 100, max_file=4096)
    there = [path.name for path in files(folder)]
    gone = retire_all(folder, tmp_path, time_of(50))
    assert gone == there[: len(gone)]
    assert 0 < len(gone) < len(there) - 1
    report = verify(folder)
    assert report.finding is None
    assert report.first == begins_at(folder) > 1
    assert any("removed by retention" in note for note in report.notes)
    noted = [e for e in entries_of(folder) if e["type"] == "file_retired"]
    assert [e["file"] for e in noted] == gone
    kept = json.loads(files(folder)[0].read_bytes().splitlines()[-1])
    assert kept["time"] >= time_of(50)


def test_retention_never_removes_the_file_that_is_written(tmp_path):
    folder = written(tmp_path, 5)
    assert retire_all(folder, tmp_path, time_of(10_000)) == []
    assert verify(folder).finding is None


def test_retention_leaves_what_a_collector_has_not_taken(tmp_path):
    folder = written(tmp_path, 100, max_file=4096)
    there = files(folder)
    second = json.loads(there[1].read_bytes().splitlines()[0])["seq"]
    assert retire_all(folder, tmp_path, time_of(10_000), kept=second) == [there[0].name]


def test_a_note_of_retention_that_nobody_signed_is_found(tmp_path):
    folder = written(tmp_path, 100, max_file=4096)
    first, second = files(folder)[:2]
    last = json.loads(first.read_bytes().splitlines()[-1])
    stub = {"last": last["seq"], "hash": last["hash"], "time": time_of(0), "before": time_of(0)}
    (folder / STUB).write_text("no note\n" + canonical(stub) + "\n")
    first.unlink()
    finding = verify(folder).finding
    assert (finding.kind, finding.file) == ("signature", second.name)
    signature, key = Signer(tmp_path / "another.key").sign(statement(last["seq"], last["hash"]))
    (folder / STUB).write_text(canonical({**stub, "signature": signature, "key": key}) + "\n")
    own = Signer(tmp_path / "audit.key").public() or "none"
    assert verify(folder, keys=[own]).finding.kind == "signature"
    assert verify(folder).finding is None
    assert len(retired(folder)) == 1


def test_a_checkpoint_of_what_retention_removed_cannot_be_compared_and_is_said(tmp_path):
    folder = written(tmp_path, 100, max_file=4096)
    noted = Anchor(2, entries_of(folder)[1]["hash"])
    retire_all(folder, tmp_path, time_of(50))
    report = verify(folder, anchors=[noted])
    assert report.finding is None
    assert any("cannot be compared" in note for note in report.notes)


@pytest.mark.parametrize("text", ["7:{h}", "7 {h}", "7\t{h}  key abc", "x\n7:{h}\n"])
def test_a_checkpoint_is_read_as_it_was_printed(text):
    assert anchors(text.format(h="a" * 64)) == [Anchor(7, "a" * 64)]
    assert anchors("a" * 64) == [Anchor(None, "a" * 64)]


def test_what_is_no_checkpoint_is_refused():
    with pytest.raises(UsageError, match="audit checkpoint"):
        anchors("7:abc")


def test_an_empty_folder_has_no_entries(tmp_path):
    assert verify(tmp_path / "nothing").entries == 0


@pytest.mark.parametrize("kind", ["checkpoint", "entries_missing", "torn_end"])
@pytest.mark.parametrize(
    "rest", [b"garbage", b'"n":' + b"9" * 6000, b'"x":' + b"[" * 30000 + b"]" * 30000]
)
def test_what_was_sealed_anew_and_is_no_json_is_named(tmp_path, kind, rest):
    first, prev = seal({"type": "file_begun", "time": "2026-11-25T10:00:00Z"}, 1, ZERO)
    body = b'{"seq":2,"prev":"%s","time":"2026-11-25T10:00:00Z","type":"%s","run":"",%s' % (
        prev.encode(),
        kind.encode(),
        rest,
    )
    own = hashlib.sha256(body).hexdigest().encode()
    (tmp_path / "audit-000000000001.jsonl").write_bytes(first + body + b',"hash":"' + own + b'"}\n')
    finding = verify(tmp_path).finding
    assert (finding.kind, finding.seq, finding.line) == ("changed", 2, 2)
