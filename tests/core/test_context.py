"""What one result may add to a context."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from agent_host.core.context import MEDIA_LIMIT, bound_content, described, joined_text
from agent_host.core.types import Audio, Image, Resource, Text

PICTURE = Image(data="AAAA", media_type="image/png")


def text(content):
    return "".join(block.text for block in content)


def test_what_fits_stays_as_it_is():
    blocks = (Text(text="x" * 80), Resource(uri="u", text="y" * 19), PICTURE)
    assert bound_content(blocks, limit=100) == (blocks, False)
    assert bound_content((), limit=0) == ((), False)


def test_head_and_tail_stay_and_what_is_between_is_counted():
    kept, cut = bound_content([Text(text="a" * 75 + "b" * 900 + "c" * 25)], limit=100)
    assert cut
    assert kept[0].text == (
        "a" * 75 + "\n[... 900 of 1,000 characters left out, lines 1 to 1 of 1 ...]\n" + "c" * 25
    )


def test_lines_are_not_cut_in_half_if_that_costs_little():
    log = "".join(f"line {n}\n" for n in range(1, 10_001))
    (block,), _ = bound_content([Text(text=log)], limit=6_000)
    head, note, tail = re.split(r"\n(?=\[\.\.\.)|(?<=\.\.\.\])\n", block.text)
    assert log.startswith(head)
    assert log.endswith(tail)
    first, last = int(head.split()[-1]), int(tail.split()[1])
    assert f"lines {first + 1:,} to {last:,} of 10,001" in note


def test_several_texts_are_one_head_and_one_tail_and_other_blocks_stay_between():
    blocks = (
        Text(text="x" * 60),
        Resource(uri="u", name="n", text="y" * 80),
        Resource(uri="link"),
        Text(text="lost"),
        Audio(data="AA", media_type="audio/wav"),
        Text(text="z" * 30),
    )
    kept, cut = bound_content(blocks, limit=100)
    assert cut
    assert kept[0] is blocks[0]
    assert kept[1].uri == "u"
    assert kept[1].text.startswith("y" * 14 + "\n[... 77 of 177 characters left out")
    assert kept[2:4] == (blocks[2], blocks[4])
    assert kept[4].text == "z" * 25


def test_a_thousand_blocks_are_told_of_once():
    kept, cut = bound_content([Text(text="x" * 1000)] * 1000)
    assert cut
    assert text(kept).count("left out") == 1
    assert len(text(kept)) < 61_000


def test_media_that_are_too_large_become_a_note():
    big = Image(data="A" * (MEDIA_LIMIT + 4), media_type="image/png")
    kept, cut = bound_content([big, PICTURE])
    assert cut
    assert kept == (
        Text(text="[image image/png, 3,750,003 bytes: too large for a model]"),
        PICTURE,
    )
    file = Resource(uri="file:///x.zip", media_type="application/zip", data="A" * 6_000_000)
    ((note,), cut) = bound_content([file])
    assert cut
    assert note.text.startswith("[resource file:///x.zip application/zip, 4,500,000 bytes")
    assert described(Text(text="")) == "text"


BLOCKS = st.lists(
    st.builds(Text, text=st.text(alphabet="ab\n\U0001f600\u0301", max_size=60))
    | st.builds(Resource, uri=st.just("u"), text=st.text(max_size=40) | st.none())
    | st.just(PICTURE),
    max_size=6,
)


@given(BLOCKS, st.integers(0, 120))
def test_what_is_kept_is_bounded_and_is_a_beginning_and_an_end_of_the_whole(blocks, limit):
    whole = joined_text(blocks)
    kept, cut = bound_content(blocks, limit)
    assert len(whole) > limit or not cut
    shown = joined_text(kept)
    shown.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    assert [b for b in kept if b is PICTURE] == [b for b in blocks if b is PICTURE]
    if not cut:
        assert kept == tuple(blocks)
        return
    note = re.search(r"\n\[\.\.\. ([\d,]+) of ([\d,]+) characters left out, lines .*\]\n", shown)
    assert note is not None
    left_out = int(note[1].replace(",", ""))
    assert len(whole) - left_out <= limit
    assert whole.startswith(shown[: note.start()].rstrip("\n"))
    assert whole.endswith(shown[note.end() :].lstrip("\n"))


def test_a_result_of_eight_million_characters_costs_milliseconds():
    content = [Text(text="0123456789\n" * 800_000)]
    began = time.process_time()
    bound_content(content)
    assert time.process_time() - began < 1.0
