import os
import sqlite3
import stat
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from agent_host.core.errors import UsageError
from agent_host.core.types import Text, ToolCall
from agent_host.records.codec import encode
from agent_host.records.index import Index
from agent_host.records.index_search import Filters, newest, search
from agent_host.records.looked_for import looked_for
from agent_host.records.reader import summary
from tests.records.samples import (
    APPROVALS,
    LEGAL,
    START,
    finished,
    records,
    requested,
    responded,
    started,
    user,
)

OLD, MIDDLE, NEW = (f"01KAP{n}AAAA0000000000000001" for n in (4, 5, 6))
ASKED = (START, user("Where is the green parcel?"), requested("r1"))
ANSWERED = (*ASKED, responded("r1", Text(text="It is in Zürich, on a shelf.")))


def put(folder, run_id, *events):
    path = folder / f"{run_id}.jsonl"
    path.write_bytes(b"".join(encode(one) + b"\n" for one in records(*events, run_id=run_id)))
    return path


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "transcripts"
    made.mkdir()
    return made


def find(folder, *words, place=None, **filters):
    index = Index(folder, place)
    try:
        index.refresh()
        wanted = looked_for(words) if words else None
        return [one.run.run_id for one in search(index, wanted, Filters(**filters), None)[0]]
    finally:
        index.close()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "state" / "index.db"


def reads(folder, place, monkeypatch):
    """The bytes that a refresh reads of each run."""
    seen = {}
    take = Index._take

    def noted(self, row, state, scan, tell):
        first = scan.whole.end
        take(self, row, state, scan, tell)
        seen[state.name] = state.whole.end - first

    monkeypatch.setattr(Index, "_take", noted)
    index = Index(folder, place)
    index.refresh()
    index.close()
    monkeypatch.undo()
    return seen


def test_words_are_found_wherever_they_stand_in_a_run_in_any_case_and_without_accents(folder):
    put(folder, OLD, *ANSWERED)
    put(folder, NEW, *ASKED)
    assert find(folder, "parcel") == [NEW, OLD]
    assert find(folder, "PARCEL", "zurich") == [OLD]
    assert find(folder, "parcel", "-shelf") == [NEW]
    assert find(folder, '"green parcel"') == [NEW, OLD]
    assert find(folder, '"parcel green"') == []
    assert find(folder, "parc*") == [NEW, OLD]
    assert find(folder, "parc") == []


def test_long_answers_are_searched_whole_and_letters_in_either_form(folder):
    put(folder, OLD, *ASKED, responded("r1", Text(text="word " * 12_000 + "farend")))
    put(folder, NEW, START, user(unicodedata.normalize("NFD", "\ud55c\uad6d\uc5b4 caf\u00e9")))
    assert find(folder, "farend") == [OLD]
    assert find(folder, "\ud55c\uad6d*", "caf\u00e9") == [NEW]


WRITTEN = {
    "Done\U0001f389 and \U0001f44d\U0001f3fd from \U0001f468\u200d\U0001f469\u200d\U0001f467": (
        "\U0001f389 \U0001f44d \U0001f44d\U0001f3fd done\U0001f389 \U0001f469 DONE",
        "\U0001f388 -\U0001f389",
    ),
    "\u2764\ufe0f at 20\u00b0C, 5\u20ac \u2192 \u221e": (
        "\u2764 \u2764\ufe0f 20\u00b0C \u20ac 5\u20ac \u2192 \u221e c",
        "\u00a3 -5",
    ),
    "\u4eca\u5929\u9000\u6b3e\u4e86\uff0c\u30c6\u30b9\u30c8\u3067\u3059": (
        "\u9000\u6b3e \u9000 \u30c6\u30b9\u30c8 \u4eca\u5929",
        "\u6b3e\u9000 \u30b9\u30c6",
    ),
    "\uc11c\uc6b8\uc5d0\uc11c \uc654\ub2e4": (
        "\uc11c\uc6b8 \uc11c\uc6b8\uc5d0\uc11c",
        "\uc6b8\uc11c",
    ),
    "Z\u00fcrich caf\u00e9 NA\u00cfVE \u041c\u043e\u0441\u043a\u0432\u0430": (
        "zurich Z\u00dcRICH cafe cafe\u0301 naive \u043c\u043e\u0441\u043a\u0432\u0430",
        "caf",
    ),
    "call foo_bar(x) in /etc/app/main.py; mail ana.b@example.com --dry-run a=b c|d $HOME": (
        "foo_bar() foo_bar foo /etc/app/main.py main.py app/main* example.com --dry-run a=b d home",
        "bar_foo() /etc/main.py b@ana -foo_bar()",
    ),
    "\u250c\u2500\u2500\u2510\n\u2502ok\u2502\n\u2514\u2500\u2500\u2518": ("ok", ""),
}


@pytest.mark.parametrize("text", WRITTEN, ids=range(len(WRITTEN)))
def test_what_people_type_finds_what_stands_there(folder, text):
    put(folder, OLD, START, user(text))
    put(folder, NEW, START, user("Something else"))
    found, not_found = WRITTEN[text]
    for words in found.split():
        assert find(folder, words) == [OLD], words
    for words in not_found.split():
        assert OLD not in find(folder, *([words] if words[0] != "-" else ["something*", words]))
    call = started("c1", "write", {"text": f"before\n{text}\tafter", "path": "C:\\new\\table"})
    asked = responded("r1", ToolCall(id="c1", name="x", arguments={}), stop="tool_use")
    put(folder, "01KAP4ZZZZ0000000000000009", *ASKED, asked, call)
    for words in (*found.split(), "before", "after", "new\\table", "table"):
        assert find(folder, words)[0] == "01KAP4ZZZZ0000000000000009", words


def test_lines_and_half_characters_are_no_words(folder, place):
    put(folder, OLD, START, user("\u2500" * 50 + " \ud83d \u28ff ok"))
    index = Index(folder, place)
    index.refresh()
    index.db.execute("CREATE VIRTUAL TABLE words USING fts5vocab(said, row)")
    terms = {term for (term,) in index.db.execute("SELECT term FROM words")}
    index.close()
    assert {one for one in terms if not one.isalnum()} == set()
    with pytest.raises(UsageError, match="an emoji"):
        looked_for(["\u2500\u2500", "=>", "..."])


def test_a_place_says_its_turn_and_who_speaks(folder, place):
    put(folder, OLD, *ANSWERED, user("And the red one?"))
    index = Index(folder, place)
    index.refresh()
    [one], total = search(index, looked_for(["red"]), Filters(), 5)
    index.close()
    assert total == 1
    [hit] = one.places
    assert (hit.turn, hit.kind, hit.text) == (2, "user", "And the \x02red\x03 one?")


def test_runs_are_found_by_tool_server_model_user_time_cost_and_outcome(folder):
    call = ToolCall(id="c1", name="orders__look", arguments={})
    put(folder, OLD, *ASKED, responded("r1", call, stop="tool_use"),
        started("c1", "look", {}), finished("c1", "found"))  # fmt: skip
    put(folder, NEW, *ANSWERED)
    server = started("c1", "look", {}).server
    for wanted in ({"tool": "look"}, {"tool": f"{server}/l*"}, {"server": server.upper()}):
        assert find(folder, **wanted) == [OLD], wanted
    assert find(folder, tool="other") == []
    model = f"{START.provider}:{START.model}"
    for wanted in ({"model": model}, {"model": START.model}, {"user": "ana"}, {"cost": 0}):
        assert find(folder, **wanted) == [NEW, OLD], wanted
    assert find(folder, user="bo") == find(folder, cost=1e9) == find(folder, model="[a-z]*") == []
    assert find(folder, outcome="cut off") == [OLD]
    assert find(folder, since="2026-11-23") == find(folder, until="2026-11-21") == []
    assert find(folder, since="2026-11-22", until="2026-11-23") == [NEW, OLD]


def test_names_are_found_in_any_script_and_with_a_colon_in_them(folder):
    person = replace(START.principal, id="Ärztin")
    put(folder, OLD, replace(START, provider="ollama", model="llama3:8b", principal=person))
    for wanted in ("llama3:8b", "ollama:llama3:8b", "llama3*", "LLAMA3:8B"):
        assert find(folder, model=wanted) == [OLD], wanted
    for wanted in ("Ärztin", "ärztin", "ÄRZ*"):
        assert find(folder, user=wanted) == [OLD], wanted
    assert find(folder, user="*" * 60_000) == [OLD]


def test_a_file_that_was_changed_in_its_middle_is_read_anew(folder, place):
    path = put(folder, OLD, *ANSWERED, user("x " * 4000))
    assert find(folder, "green", place=place) == [OLD]
    with path.open("r+b") as file:
        file.write(path.read_bytes().replace(b"green", b"black"))
    os.utime(path, ns=(1, 1))
    assert find(folder, "green", place=place) == []
    assert find(folder, "black", place=place) == [OLD]
    assert b"green" not in place.read_bytes()


@pytest.mark.parametrize("row", ["{", '{"x":1}', "[]"])
def test_a_damaged_row_is_made_anew(folder, place, row):
    put(folder, OLD, *ANSWERED)
    assert find(folder, "green", place=place) == [OLD]
    for look in (newest, lambda index, limit: search(index, None, Filters(), limit)):
        db = sqlite3.connect(place)
        db.execute("UPDATE runs SET tally = ?", (row,))
        db.commit()
        db.close()
        index = Index(folder, place)
        index.refresh()
        assert look(index, 5)[1] == 1
        index.close()


@pytest.mark.parametrize("events", [LEGAL, APPROVALS, ANSWERED, ASKED, (START,)])
def test_a_list_from_the_index_says_what_a_list_from_the_file_says(folder, place, events):
    path = put(folder, OLD, *events)
    index = Index(folder, place)
    index.refresh()
    [found], total = newest(index, 5)
    index.close()
    assert (found, total) == (summary(path), 1)


def test_only_what_is_new_is_read(folder, place, monkeypatch):
    put(folder, OLD, *LEGAL)
    path = put(folder, NEW, *ASKED)
    first = path.stat().st_size
    assert set(reads(folder, place, monkeypatch)) == {OLD, NEW}
    assert reads(folder, place, monkeypatch) == {}
    more = records(*ANSWERED, run_id=NEW)[-1]
    with path.open("ab") as file:
        file.write(encode(more) + b"\n")
    assert reads(folder, place, monkeypatch) == {NEW: path.stat().st_size - first}
    assert find(folder, "shelf", "green", place=place) == [NEW]


def test_a_torn_end_is_read_once_it_is_whole(folder, place):
    path = put(folder, NEW, *ASKED)
    line = encode(records(*ANSWERED, run_id=NEW)[-1]) + b"\n"
    with path.open("ab") as file:
        file.write(line[:40])
    assert find(folder, "shelf", place=place) == []
    with path.open("ab") as file:
        file.write(line[40:])
    assert find(folder, "shelf", place=place) == [NEW]


def test_a_file_that_is_another_one_is_read_anew_and_a_removed_one_is_forgotten(folder, place):
    put(folder, OLD, *ANSWERED)
    path = put(folder, NEW, *ASKED)
    assert find(folder, "green", place=place) == [NEW, OLD]
    before = path.stat()
    text = path.read_bytes().replace(b"green", b"black")
    path.write_bytes(text + encode(records(*ANSWERED, run_id=NEW)[-1]) + b"\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert find(folder, "green", place=place) == [OLD]
    assert find(folder, "black", "shelf", place=place) == [NEW]
    (folder / f"{OLD}.jsonl").unlink()
    assert find(folder, "green", place=place) == []
    assert b"green" not in place.read_bytes()


def test_a_damaged_transcript_is_listed_as_damaged_and_hides_no_other(folder, place):
    put(folder, OLD, *ANSWERED)
    path = put(folder, NEW, *ANSWERED, user("afterwards"))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"{garbage\n"
    path.write_bytes(b"".join(lines))
    put(folder, MIDDLE, *ASKED).write_bytes(b"")
    assert find(folder, "green", place=place) == [NEW, OLD]
    assert find(folder, "afterwards", place=place) == []
    assert find(folder, outcome="broken", place=place) == [NEW, MIDDLE]
    index = Index(folder, place)
    index.refresh()
    runs = {run.run_id: run for run in newest(index, 5)[0]}
    index.close()
    assert f"{NEW}.jsonl:4: " in runs[NEW].broken
    assert "empty" in runs[MIDDLE].broken
    assert not runs[OLD].broken


def test_what_is_no_regular_file_or_cannot_be_read_is_listed_and_tried_again(folder, place):
    os.mkfifo(folder / f"{OLD}.jsonl")
    (folder / f"{MIDDLE}.jsonl").symlink_to("nowhere")
    put(folder, NEW, *ANSWERED)
    assert find(folder, outcome="broken", place=place) == [MIDDLE, OLD]
    (folder / f"{MIDDLE}.jsonl").unlink()
    put(folder, MIDDLE, *ASKED)
    assert find(folder, "green", place=place) == [NEW, MIDDLE]


@pytest.mark.parametrize("damage", ["garbage", "cut", "middle", "version", "tables", "lost"])
def test_an_index_that_is_lost_damaged_or_of_another_version_is_made_anew(folder, place, damage):
    for number in range(40):
        put(folder, f"01KAP4AAAA00000000000000{number:02}", *LEGAL)
    put(folder, NEW, *ANSWERED)
    assert find(folder, "shelf", place=place) == [NEW]
    if damage == "lost":
        place.unlink()
    elif damage in {"version", "tables"}:
        db = sqlite3.connect(place)
        db.execute("PRAGMA user_version = 99" if damage == "version" else "DROP TABLE traits")
        db.commit()
        db.close()
    else:
        data = bytearray(place.read_bytes())
        if damage == "garbage":
            data = bytearray(b"no database at all " * 100)
        elif damage == "cut":
            del data[len(data) // 2 :]
        else:
            data[4096:-4096] = b"\xff" * len(data[4096:-4096])
        place.write_bytes(data)
    assert find(folder, "shelf", place=place) == [NEW]
    assert len(find(folder, user="ana", place=place)) == 41
    assert find(folder, "shelf", place=place) == [NEW]


def test_the_index_is_its_owners_alone(folder, place):
    put(folder, NEW, *ANSWERED)
    find(folder, "shelf", place=place)
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    for file in place.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_where_no_index_can_be_kept_it_is_made_for_once(folder, place):
    put(folder, NEW, *ANSWERED)
    place.parent.parent.joinpath("state").write_text("a file is in the way")
    index = Index(folder, place)
    index.refresh()
    found, _ = search(index, looked_for(["shelf"]), Filters(), 5)
    index.close()
    assert [one.run.run_id for one in found] == [NEW]
    assert "no index can be kept" in index.reason


def test_a_process_that_keeps_the_file_to_itself_keeps_nobody_waiting_for_ever(folder, place):
    put(folder, NEW, *ANSWERED)
    held = Index(folder, place, patience=0)
    with held._writing():
        index = Index(folder, place, patience=0)
        index.refresh()
        found, _ = search(index, looked_for(["shelf"]), Filters(), 5)
        index.close()
        held_out = Index(folder, None)
    assert [one.run.run_id for one in found] == [NEW]
    assert "process" in index.reason
    assert "is at work on it" in index.reason
    held.refresh()
    assert held.reason == held_out.reason == ""
    held.close()
    held_out.close()


def test_a_file_that_is_taken_after_it_was_opened_is_done_without(folder, place):
    put(folder, NEW, *ANSWERED)
    held, index = Index(folder, place), Index(folder, place, patience=0)
    with held._writing():
        index.refresh()
    assert search(index, looked_for(["shelf"]), Filters(), 5)[1] == 1
    assert "is at work on it" in index.reason
    index.close()
    held.close()


def test_processes_that_index_at_once_agree(folder, place):
    for number in range(60):
        put(folder, f"01KAP4AAAA00000000000000{number:02}", *LEGAL)
    code = (
        "import sys; from pathlib import Path; from agent_host.records.index import Index\n"
        "i = Index(Path(sys.argv[1]), Path(sys.argv[2])); i.refresh()\n"
        "print(i.db.execute('SELECT count(*) FROM runs').fetchone()[0])"
    )
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(place)],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [one.communicate()[0] for one in running] == ["60\n"] * 4
    assert len(find(folder, "refund*", place=place)) == 60


def test_progress_is_told_in_bytes(folder, place):
    size = put(folder, NEW, *ANSWERED).stat().st_size
    told = []
    index = Index(folder, place)
    index.refresh(lambda done, todo: told.append((done, todo)))
    index.close()
    assert told[-1] == (size, size)


def test_the_newest_alone_can_be_brought_up_to_date(folder, place, monkeypatch):
    put(folder, OLD, *ANSWERED)
    put(folder, NEW, *ANSWERED)
    index = Index(folder, place)
    index.refresh(newest=1)
    found, total = newest(index, 1)
    index.close()
    assert ([run.run_id for run in found], total) == ([NEW], 2)
    assert set(reads(folder, place, monkeypatch)) == {OLD}
