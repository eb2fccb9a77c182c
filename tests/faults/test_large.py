"""A transcript that is large: what it takes to look at it and to go on with it.

Measured in CPU time and memory of the real program, on a size that a test has time for;
`python bench/large.py` does it with a gigabyte.
"""

import pytest

from agent_host.records.reader import conversation
from bench.large import measure, write

MEGABYTES = 24
SMALL = 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small run, and a large one of the same kind, each in a folder."""
    made = tmp_path_factory.mktemp("runs")
    for megabytes in (SMALL, MEGABYTES):
        (made / str(megabytes)).mkdir()
        write(made / str(megabytes), megabytes)
    return made / str(SMALL), made / str(MEGABYTES)


@pytest.mark.parametrize(
    "arguments",
    [
        ("transcripts", "list"),
        ("transcripts", "show", "last"),
        ("transcripts", "search", "monday"),
        ("run", "--resume", "last", "Where are we?"),
    ],
    ids=" ".join,
)
def test_a_large_run_takes_little_more_memory_than_a_small_one(folders, arguments):
    small, large = (measure(folder, *arguments) for folder in folders)
    for done in (small, large):
        assert done.status == 0, done.said
    assert large.megabytes < small.megabytes + MEGABYTES / 2


def test_a_large_run_is_gone_on_with_and_nothing_of_it_is_changed(tmp_path):
    path = write(tmp_path, SMALL)
    before = path.read_bytes()
    done = measure(tmp_path, "run", "--resume", "last", "Where are we?")
    assert done.status == 0, done.said
    assert "Here I am again." in done.said
    assert path.read_bytes().startswith(before)


def test_twice_as_long_a_run_takes_about_twice_as_long(tmp_path):
    seconds = []
    for megabytes in (MEGABYTES, 2 * MEGABYTES):
        folder = tmp_path / str(megabytes)
        folder.mkdir()
        path = write(folder, megabytes)
        assert len(conversation(path).messages) > megabytes * 90
        done = measure(folder, "run", "--resume", "last", "Where are we?")
        assert done.status == 0, done.said
        seconds.append(done.cpu)
    assert seconds[1] < 3 * seconds[0]
