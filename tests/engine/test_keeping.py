"""Results that are too large: whole in an artifact, in part for the model."""

import base64
import gc
import tracemalloc

import pytest

from agent_host.core.errors import RecordError
from agent_host.core.types import Audio, Image, Resource, Text, ToolResult
from agent_host.engine.keeping import bounded
from tests.fakes.rooms import MemoryJournal

BIG = base64.b64encode(b"\x89PNG" + bytes(4_000_000)).decode()


def bound(*content):
    journal = MemoryJournal()
    result = bounded(ToolResult(call_id="c", content=content), journal.keep)
    return result, journal.kept


def test_a_result_that_fits_is_not_touched():
    result = ToolResult(call_id="c", content=(Text(text="x"),))
    assert bounded(result, MemoryJournal().keep) is result


def test_text_is_kept_whole_and_the_model_is_told_how_to_read_it():
    result, kept = bound(Text(text="line\n" * 20_000), Resource(uri="u", text="end"))
    assert kept == {"c.txt": b"line\n" * 20_000 + b"\nend"}
    assert result.artifact == "artifacts/c.txt"
    assert result.content[-1].text == (
        "[the whole text (100,004 characters, 20,002 lines) is kept as artifacts/c.txt; "
        "host__read_artifact and host__search_artifact read it]"
    )
    assert sum(len(block.text) for block in result.content) < 61_000


@pytest.mark.parametrize(
    ("block", "name"),
    [
        (Image(data=BIG, media_type="image/png"), "c-2.png"),
        (Image(data=BIG, media_type="image/jpeg"), "c-2.jpg"),
        (Audio(data=BIG, media_type="audio/x-wav"), "c-2.wav"),
        (Resource(uri="u", media_type="application/pdf", data=BIG), "c-2.pdf"),
        (Resource(uri="u", media_type="video/mp4", data=BIG), "c-2.mp4"),
        (Resource(uri="u", media_type="x/../../etc", data=BIG), "c-2.bin"),
        (Resource(uri="u", data=BIG), "c-2.bin"),
    ],
)
def test_binary_content_is_kept_as_its_own_bytes_under_the_right_suffix(block, name):
    result, kept = bound(Text(text="see"), block)
    assert kept == {name: base64.b64decode(BIG)}
    assert result.artifact == f"artifacts/{name}"
    assert result.content[0] == Text(text="see")
    assert f"is kept as artifacts/{name}]" in result.content[-1].text
    assert all(len(item.text) < 300 for item in result.content)


def test_binary_content_that_is_none_is_kept_as_it_came():
    odd = BIG + "é"
    _, kept = bound(Image(data=odd, media_type="image/png"))
    assert kept == {"c-1.png": odd.encode()}


def test_text_and_media_are_kept_apart():
    result, kept = bound(Image(data=BIG, media_type="image/gif"), Text(text="x" * 70_000))
    assert list(kept) == ["c.txt", "c-1.gif"]
    assert result.artifact == "artifacts/c.txt"


def test_a_full_disk_costs_the_whole_and_not_the_result():
    def keep(name, data):
        raise RecordError("the disk is full")

    result = bounded(ToolResult(call_id="c", content=(Text(text="x" * 70_000),)), keep)
    assert result.artifact is None
    assert "could not be kept" in result.content[-1].text


def test_what_was_cut_is_not_kept_in_memory():
    def make():
        content = (Text(text="x" * 8_000_000), Image(data=BIG, media_type="image/png"))
        return bounded(ToolResult(call_id="c", content=content), lambda name, _: name)

    tracemalloc.start()
    result = make()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert result.artifact == "c.txt"
    assert held < 500_000
