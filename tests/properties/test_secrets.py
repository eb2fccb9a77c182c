"""Whatever a secret is, however it is encoded, wherever it stands and however its stream is cut."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from agent_host.core import events as e
from agent_host.records.detect import Detector
from agent_host.records.forms import LEAST_FORM, forms
from agent_host.records.marks import Marks
from agent_host.records.redact import Redactor
from agent_host.records.streamed import Stream, redacted
from tests.records.samples import records, user
from tests.records.secrets import SAMPLES

values = st.text(
    st.sampled_from("abcXYZ019 /+=&<>\"'%\\-_.~é\u20ac\U0001f600"), min_size=5, max_size=24
).filter(lambda value: value.strip() == value)
around = st.text(st.sampled_from("abAB01 =:;,.\n\"'<>&%é"), max_size=12)
ENCODINGS = {
    "plain": str,
    "json": lambda v: json.dumps(v)[1:-1],
    "json, not ascii": lambda v: json.dumps(v, ensure_ascii=False)[1:-1],
    "json in json": lambda v: json.dumps(json.dumps(v))[3:-3],
    "url": lambda v: quote(v, safe=""),
    "url path": quote,
    "url lower": lambda v: (
        quote(v, safe="").replace("%2F", "%2f").replace("%3D", "%3d").replace("%2B", "%2b")
    ),
    "url plus": quote_plus,
    "url twice": lambda v: quote(quote(v, safe=""), safe=""),
    "html": html.escape,
    "hex": lambda v: v.encode().hex(),
    "HEX": lambda v: v.encode().hex().upper(),
}


def streamed(redactor: Redactor, pieces: list[str]) -> str:
    stream = Stream(redactor)
    return "".join([*map(stream.take, pieces), stream.end()])


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places} | {len(text)})
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


_unused = None
places = st.lists(st.integers(0, 400), max_size=12)


@settings(max_examples=300, deadline=None)
@given(values, st.sampled_from(sorted(ENCODINGS)), around, around, places)
@example("abc 1/2", "url plus", "", "", [])
@example("000 0", "url plus", "", "", [])
def test_a_known_secret_gets_through_in_no_encoding_and_no_pieces(value, name, before, after, at):
    form = ENCODINGS[name](value)
    assume("%" not in form or name != "url lower" or form in forms(value))
    redactor = Redactor({"KEY": value})
    text = before + form + after
    assert form not in redactor.text(text).replace("[secret:KEY]", "\0")
    assert form not in streamed(redactor, cut(text, at)).replace("[secret:KEY]", "\0")


@settings(max_examples=300, deadline=None)
@given(values, st.binary(max_size=7), st.binary(max_size=7), st.booleans(), st.booleans(), places)
@example("abcXY", b"a", b"", False, False, [])
def test_no_base64_of_something_that_holds_a_secret_gets_through(
    value, before, after, url_safe, padded, at
):
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    text = encode(before + value.encode() + after).decode()
    text = text if padded else text.rstrip("=")
    redactor = Redactor({"KEY": value})
    for shown in (redactor.text(text), streamed(redactor, cut(text, at))):
        assert shown.count("[secret:KEY]") == 1
        left = shown.replace("[secret:KEY]", "")
        # What is left are the characters that the bytes beside it decide with.
        assert len(left) <= len(text) - max(LEAST_FORM, len(value.encode()) * 8 // 6 - 1)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), places, values)
def test_text_without_a_secret_is_shown_as_it_came(text, at, value):
    redactor = Redactor({"KEY": value}, Detector())
    assume(redactor.text(text) == text)
    assert streamed(redactor, cut(text, at)) == text


@settings(max_examples=200, deadline=None)
@given(values, st.lists(around, min_size=1, max_size=4), places)
def test_a_stream_shows_what_the_record_of_the_whole_says(value, parts, at):
    redactor = Redactor({"KEY": value})
    text = value.join(parts)
    assert streamed(redactor, cut(text, at)) == redactor.text(text)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(SAMPLES)), around, st.sampled_from(["", " ", "\n", '", "', ")"]), places
)
def test_no_secret_of_a_known_form_is_streamed(kind, before, after, at):
    sample = SAMPLES[kind]
    text = f"{before} {sample.text}{after}"
    redactor = Redactor({}, Detector(), Marks(lambda: b"k" * 32))
    assert sample.secret not in streamed(redactor, cut(text, at))
    assert sample.secret not in redactor.text(text)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(1, 9))
def test_no_secret_of_a_known_form_is_shown_by_any_sink(kind, size):
    sample = SAMPLES[kind]
    text = f"It is {sample.text} as you asked."
    redactor = Redactor({}, Detector(), Marks(lambda: b"k" * 32))
    first: list[object] = []
    second: list[object] = []
    sinks = redacted([Sink(first), Sink(second)], redactor)
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    for item in (*(e.TextDelta(text=piece) for piece in pieces), *records(user(text))):
        for sink in sinks:
            sink.emit(item)
    assert first == second
    shown = "".join(getattr(item, "text", "") for item in first)
    assert sample.secret not in shown
    assert "[secret:" in shown
    assert shown.endswith("as you asked.")


class Sink:
    def __init__(self, seen: list[object]) -> None:
        self.emit = seen.append


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), around, around)
def test_what_was_redacted_is_not_redacted_again(kind, before, after):
    redactor = Redactor({}, Detector(), Marks(lambda: b"k" * 32))
    once = redactor.text(f"{before} {SAMPLES[kind].text} {after}")
    assert redactor.text(once) == once
