"""A transcript that is large: what it takes to look at it and to go on with it.

Measured in CPU time and memory of the real program, on a size that a test has time for;
`python bench/large.py` does it with a gigabyte.
"""

import pytest

from agent_host.records.reader import conversation
from bench.large import measure, write

MEGABYTES = 24


def test_a_large_run_is_gone_on_with_in_about_its_own_size_of_memory(tmp_path):
    path = write(tmp_path, MEGABYTES)
    before = path.read_bytes()
    nothing = measure(tmp_path, "transcripts", "--help").megabytes
    done = measure(tmp_path, "run", "--resume", "last", "Where are we?")
    assert done.status == 0, done.said
    assert "Here I am again." in done.said
    assert done.megabytes < nothing + 60 + 3 * MEGABYTES
    assert path.read_bytes().startswith(before)


@pytest.mark.parametrize("arguments", [("list",), ("show", "last")])
def test_a_large_run_is_looked_at_in_bounded_memory(tmp_path, arguments):
    write(tmp_path, MEGABYTES)
    nothing = measure(tmp_path, "transcripts", "--help").megabytes
    done = measure(tmp_path, "transcripts", *arguments)
    assert done.status == 0, done.said
    assert done.megabytes < nothing + 60 + 3 * MEGABYTES


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
