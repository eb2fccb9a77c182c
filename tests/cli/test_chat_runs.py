import asyncio
import hashlib

import pytest

from agent_host.cli.chat_runs import ChatRuns
from agent_host.core.types import Text
from tests.cli.test_transcripts import NEW, OLD, folder, put
from tests.records.samples import START, requested, responded, user

__all__ = ["folder"]

PARCEL = (START, user("Where is the green parcel?"), requested("r1"),
          responded("r1", Text(text="On a shelf in Ystad.")))  # fmt: skip
WEATHER = (START, user("Will it rain?"), requested("r1"), responded("r1", Text(text="It will.")))
UNANSWERED = (START, user("Anybody? A parcel?"))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENT_HOST_STATE", str(tmp_path / "state"))


def found(runs, words, limit=10):
    listed, total = asyncio.run(runs.find(words, limit))
    return [run.run_id for run in listed], total


def test_a_run_is_found_by_anything_said_in_it_while_the_word_is_typed(folder):
    put(folder, OLD, *PARCEL)
    put(folder, NEW, *WEATHER)
    runs = ChatRuns(folder)
    assert found(runs, "") == ([NEW, OLD], 2)
    for words in ("yst", "Ystad", "shelf gre", '"green parcel"', '"green par', "parcel -rain"):
        assert found(runs, words) == ([OLD], 1)
    assert found(runs, "zebra") == ([], 0)
    (run,), _ = asyncio.run(runs.find("ystad", 10))
    assert run.title == "Where is the green parcel?"
    assert run.found == "turn 1, model: On a shelf in Ystad."


def test_a_run_is_found_by_the_beginning_of_its_id(folder):
    put(folder, OLD, *PARCEL)
    put(folder, NEW, *WEATHER)
    assert found(ChatRuns(folder), OLD[:10].lower()) == ([OLD], 1)


def test_what_cannot_be_gone_on_with_is_not_listed(folder):
    put(folder, OLD, *UNANSWERED)
    path = put(folder, NEW, *PARCEL)
    path.write_text(path.read_text()[:-40] + "\n{}\n")
    runs = ChatRuns(folder)
    assert found(runs, "") == ([], 0)
    assert found(runs, "parcel") == ([], 0)


def test_what_is_said_after_the_first_search_is_found_by_the_next(folder):
    put(folder, OLD, *WEATHER)
    runs = ChatRuns(folder, fresh=0.0)
    assert found(runs, "ystad") == ([], 0)
    put(folder, NEW, *PARCEL)
    assert found(runs, "ystad") == ([NEW], 1)


def test_every_run_is_searched_however_many_there_are(folder):
    put(folder, OLD, *PARCEL)
    for number in range(320):
        digest = hashlib.sha256(str(number).encode()).hexdigest()[:10].upper()
        put(folder, f"{NEW[:12]}{number:04d}{digest}", *WEATHER)
    runs = ChatRuns(folder)
    assert found(runs, "ystad") == ([OLD], 1)
    listed, total = found(runs, "", limit=5)
    assert len(listed) == 5
    assert total == 321
    assert found(runs, "rain", limit=5)[1] == 320


def test_a_search_that_nobody_waits_for_stops_reading(folder):
    """A chat that is left must not wait until ten thousand transcripts are read."""
    for number in range(3):
        put(folder, f"{NEW[:-1]}{number}", *PARCEL)
    runs = ChatRuns(folder)

    async def leave():
        task = asyncio.create_task(runs.find("ystad", 10))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert runs.reading() == ""
    assert found(runs, "ystad")[1] == 3


def test_files_are_looked_at_once_while_somebody_types(folder):
    put(folder, OLD, *WEATHER)
    runs = ChatRuns(folder, fresh=1000.0)
    assert found(runs, "rain") == ([OLD], 1)
    put(folder, NEW, *PARCEL)
    assert found(runs, "ystad") == ([], 0)
    assert found(ChatRuns(folder), "ystad") == ([NEW], 1)


def test_a_word_of_which_one_letter_is_typed_is_not_looked_for_yet(folder):
    put(folder, OLD, *PARCEL)
    put(folder, NEW, *WEATHER)
    runs = ChatRuns(folder)
    assert found(runs, "z") == ([NEW, OLD], 2)
    assert found(runs, "shelf z") == ([OLD], 1)
    assert found(runs, "shelf ze") == ([], 0)
