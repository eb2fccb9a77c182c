"""Reading and searching what was too large for a result."""

import asyncio
import io
import os
import random
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.builtin.artifacts import Artifacts, UnreadableError
from agent_host.builtin.paging import MAX_PAGE, page
from agent_host.builtin.searching import MAX_ANSWER, Query, search
from agent_host.builtin.source import WithHostTools
from agent_host.core.context import RESULT_LIMIT
from agent_host.core.offering import READ_ARTIFACT, SEARCH_ARTIFACT
from tests.fakes.hosting import context
from tests.fakes.rooms import World

RUN = "01JDX0000000000000000000"
LOG = "".join(f"line {n} of the log\n" for n in range(1, 1001))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / f"{RUN}.artifacts"
    made.mkdir()
    (made / "call-1.txt").write_text(LOG)
    return made


def run(folder, called, **arguments):
    source = WithHostTools(World(), folder)
    result = asyncio.run(source.call(source.tools()[called], arguments, context()))
    return result.content[0].text, result.error


# -- names --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["call-1.txt", f"{RUN}.artifacts/call-1.txt"])
def test_an_artifact_is_read_by_its_name_or_as_the_result_names_it(folder, name):
    text, error = run(folder, READ_ARTIFACT, name=name, limit=2)
    assert error is None
    assert text.splitlines()[1:] == ["line 1 of the log", "line 2 of the log"]


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt", "..", ".", "/etc/passwd", "call-1.txt/", f"{RUN}.artifacts/../secret.txt",
        "other.artifacts/call-1.txt", "link.txt", "fifo", "folder", "", "a\0b", "%2e%2e/secret.txt",
        f"../{RUN}.jsonl", "call-1.txt\n", "\u202e",
    ],
)  # fmt: skip
def test_nothing_but_this_runs_own_files_is_opened(folder, name):
    (folder.parent / "secret.txt").write_text("hunter2")
    (folder.parent / "other.artifacts").mkdir()
    (folder.parent / "other.artifacts" / "call-1.txt").write_text("hunter2")
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    for tool, more in ((READ_ARTIFACT, {}), (SEARCH_ARTIFACT, {"query": "h"})):
        text, error = run(folder, tool, name=name, **more)
        assert error == "tool_error"
        assert "hunter2" not in text
        assert text.endswith("there is call-1.txt.")
        assert text.isprintable()


def test_a_folder_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.txt").write_text("hunter2")
    (tmp_path / "r.artifacts").symlink_to(tmp_path / "real")
    with pytest.raises(UnreadableError), Artifacts(tmp_path / "r.artifacts").open("x.txt"):
        pass


def test_a_run_without_artifacts_says_so(tmp_path):
    text, error = run(tmp_path / "none.artifacts", READ_ARTIFACT, name="call-1.txt")
    assert (text, error) == (
        "This run has no artifact 'call-1.txt'; there is none.",
        "tool_error",
    )


def test_what_is_no_text_is_left_to_people(folder):
    (folder / "picture.png").write_bytes(b"\x89PNG\0\0" * 10)
    text, error = run(folder, READ_ARTIFACT, name="picture.png")
    assert text == "picture.png is no text (60 bytes); a person can open it"
    assert error == "tool_error"


def test_what_is_not_utf_8_is_replaced(folder):
    (folder / "odd.txt").write_bytes(b"caf\xe9\xff\n")
    text, _ = run(folder, READ_ARTIFACT, name="odd.txt")
    assert text.endswith("caf\ufffd\ufffd\n")


# -- pages --------------------------------------------------------------------------------


def test_a_page_says_where_it_stands_and_how_to_go_on():
    first = page(io.StringIO(LOG), limit=3)
    assert first.splitlines()[0] == (
        "[lines 1 to 3 of 1,000, characters 0 to 54 of 19,893; go on with line 4]"
    )
    last = page(io.StringIO(LOG), line=999)
    assert last == (
        "[lines 999 to 1,000 of 1,000, characters 19,852 to 19,893 of 19,893; the end]\n"
        "line 999 of the log\nline 1000 of the log\n"
    )


def test_beyond_the_end_there_is_nothing():
    for place in ({"line": 1001}, {"offset": 19893}, {"line": 10**9}):
        said = page(io.StringIO(LOG), **place)
        assert said == "[nothing there: the whole has 1,000 lines and 19,893 characters]"
    assert page(io.StringIO("")) == "[nothing there: the whole has 0 lines and 0 characters]"


def test_a_page_that_is_full_ends_with_a_whole_line():
    heading, _, text = page(io.StringIO(LOG * 2), limit=2000).partition("\n")
    assert MAX_PAGE - 100 < len(text) <= MAX_PAGE
    assert text.endswith(" of the log\n")
    assert heading.endswith(f"go on with line {text.count(chr(10)) + 1}]")


def test_one_endless_line_is_paged_by_characters():
    text = "".join(random.Random(1).choices("abc \U0001f600", k=300_000))
    read, offset = "", 0
    while "the end" not in (shown := page(io.StringIO(text), offset=offset)).split("\n", 1)[0]:
        heading, _, part = shown.partition("\n")
        read += part
        offset = int(heading.rpartition(" ")[2].rstrip("]"))
    assert read + shown.partition("\n")[2] == text
    assert len(shown) < MAX_PAGE + 200 < RESULT_LIMIT


@given(
    st.text(alphabet="ab\n\U0001f600", max_size=300),
    st.integers(1, 5),
    st.integers(1, 9) | st.none(),
)
def test_pages_one_after_another_are_the_whole(text, limit, start):
    lines = text.split("\n")
    line = start or 1
    wanted = "\n".join(lines[line - 1 :])
    read = ""
    while wanted:
        heading, _, part = page(io.StringIO(text), line=line, limit=limit).partition("\n")
        read += part
        assert part.count("\n") <= limit
        if heading.endswith("the end]"):
            break
        line = int(heading.rpartition(" ")[2].rstrip("]"))
    assert read == wanted


def test_reading_a_large_artifact_takes_little_memory_and_time(folder):
    (folder / "big.txt").write_text("0123456789abcde\n" * 300_000)
    tracemalloc.start()
    began = time.process_time()
    text, _ = run(folder, READ_ARTIFACT, name="big.txt", line=299_999)
    assert text.startswith("[lines 299,999 to 300,000 of 300,000")
    text, _ = run(folder, SEARCH_ARTIFACT, name="big.txt", query="9ABC", limit=3)
    assert text.startswith("[300,000 matches of '9ABC', 3 of them shown; go on with line 4]")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    assert time.process_time() - began < 60


# -- searches -----------------------------------------------------------------------------


def found(text, query, **more):
    return search(io.StringIO(text), Query(text=query, **more)).split("\n")


def test_matches_are_shown_with_the_lines_around_them():
    assert found(LOG, "LINE 500") == [
        "[1 matches of 'LINE 500']",
        "499- line 499 of the log",
        "500: line 500 of the log",
        "501- line 501 of the log",
    ]
    assert found("a\nb\nc\na\n", "a", context=0) == ["[2 matches of 'a']", "1: a", "4: a"]
    assert found("a\n1\n2\n3\na\n", "a") == [
        "[2 matches of 'a']", "1: a", "2- 1", "--", "4- 3", "5: a"
    ]  # fmt: skip
    assert found("a\n", "x") == ["No line matches 'x'."]


def test_a_search_goes_on_where_the_last_one_stopped():
    heading = found(LOG, "line", limit=20, context=0)[0]
    assert heading == "[1,000 matches of 'line', 20 of them shown; go on with line 21]"
    assert found(LOG, "line", limit=20, context=0, line=21)[1] == "21: line 21 of the log"


def test_a_match_within_an_endless_line_is_shown_with_its_offset_wherever_it_stands():
    for place in (0, 1_500, 1_533, 1_536, 2_000, 99_990):
        text = f"{'x' * place}needle{'y' * (100_000 - place)}"
        for query in ({"query": "NEEDLE"}, {"query": "ne+dle", "regex": True}):
            heading, line = found(text, **query)
            assert heading.startswith("[1 matches")
            where = int(line.partition("(offset ")[2].partition(")")[0])
            assert "needle" in line
            assert where <= place < where + 400


def test_an_expression_is_matched_within_each_line():
    assert found("a1\nb22\n", r"^b\d+$", regex=True, context=0) == [
        r"[1 matches of '^b\\d+$']",
        "2: b22",
    ]


def test_an_expression_that_would_stop_the_host_does_not():
    text = "a" * 100_000 + "!"
    began = time.process_time()
    assert found(text, "^(a+)+$", regex=True) == ["No line matches '^(a+)+$'."]
    assert found(text, "^a+!$", regex=True)[0] == "[1 matches of '^a+!$']"
    assert time.process_time() - began < 5


@pytest.mark.parametrize("pattern", ["(", "(?=a)b", r"(a)\1", "a{1,99999999}"])
def test_an_expression_that_cannot_be_used_is_an_error_with_its_reason(folder, pattern):
    text, error = run(folder, SEARCH_ARTIFACT, name="call-1.txt", query=pattern, regex=True)
    assert error == "tool_error"
    assert text.startswith("the expression cannot be used: ")


def test_an_answer_is_bounded_whatever_matches():
    text = ("x" * 390 + "\n") * 1000
    answer = "\n".join(found(text, "x", limit=100, context=10))
    assert len(answer) < MAX_ANSWER + 1_000 < RESULT_LIMIT


def test_arguments_are_checked_as_everyones(folder):
    source = WithHostTools(World(), folder)
    tool = source.tools()[READ_ARTIFACT]
    assert source.validate(tool, {"bad": 1}) == "bad is not allowed"
