"""What a server answers, as the model and the user get it."""

import base64
import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.core.types import Audio, Image, Resource, Text
from agent_host.servers.tools.media import base64_of, media_type_of
from agent_host.servers.tools.results import as_json, content_of, for_user
from agent_host.servers.tools.saying import says
from tests.core.test_hidden import TAGS

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(60))).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(60)).decode()


def blocks(*items, **more):
    return content_of({"content": list(items), **more})[0]


def text(value, **more):
    return {"type": "text", "text": value, **more}


# -- text or structured ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "structured"),
    [
        ('{"a": 1, "b": [true, null]}', {"a": 1, "b": [True, None]}),
        ('{\n  "b": [true, null],\n  "a": 1\n}', {"a": 1, "b": [True, None]}),
        ("5", {"result": 5}),
        ("hello", {"content": "hello"}),
        ("Order 12345 was shipped on 2026-01-02.", {"order": 12345, "on": "2026-01-02"}),
        ("# Issues\n- Broken link (#7, open)", {"issues": [{"n": 7, "title": "Broken link"}]}),
        ("No orders found.", {"orders": []}),
    ],
)
def test_a_text_that_says_as_much_stands_alone(said, structured):
    assert blocks(text(said), structuredContent=structured) == (Text(text=said),)


@pytest.mark.parametrize("said", ["", " \n", "2 orders", "orders: 1, 2"])
def test_a_text_that_says_nothing_more_gives_way_to_the_structured_form(said):
    structured = {"orders": [{"id": 1, "total": 9.5}, {"id": 2, "total": 3}]}
    assert blocks(text(said), structuredContent=structured) == (Text(text=as_json(structured)),)


def test_where_each_says_what_the_other_does_not_both_are_shown():
    structured = {"id": 17}
    shown = blocks(text("Created. Tell the customer about the fee."), structuredContent=structured)
    assert [block.text for block in shown] == [
        "Created. Tell the customer about the fee.",
        '{"id": 17}',
    ]


def test_pictures_stay_when_the_text_gives_way():
    image = {"type": "image", "data": PNG, "mimeType": "image/png"}
    shown = blocks(text(""), image, structuredContent={"w": 1})
    assert [block.type for block in shown] == ["image", "text"]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_result_of_900_kilobytes_that_comes_twice_is_shown_once(indent):
    rows = [{"id": n, "name": f"customer {n}", "note": "x" * 40} for n in range(9_000)]
    structured = {"rows": rows}
    said = json.dumps(structured, indent=indent)
    assert len(said) > 750_000
    tracemalloc.start()
    began = time.process_time()
    (block,) = blocks(text(said), structuredContent=structured)
    took = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert block.text == said
    assert took < 2
    assert peak < 20_000_000


def test_comparing_is_linear_whatever_the_text():
    words = " ".join(f"w{n}" for n in range(200_000))
    began = time.process_time()
    assert says({"a": words.replace("w", "v")}, [words]) == "both"
    assert time.process_time() - began < 3


DEEP = json.loads("[" * 900 + "1" + "]" * 900)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=5), inner, max_size=3)))  # fmt: skip
def test_the_json_of_a_value_always_says_it(value):
    if json.dumps(value).strip():
        assert says(value, [json.dumps(value)]) == "text"
    assert says(DEEP, ["[" * 100_000]) in ("structured", "both", "text")


# -- pictures, sounds, files --------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        PNG,
        f"data:image/png;base64,{PNG}",
        "\n".join(PNG[i : i + 76] for i in range(0, len(PNG), 76)),
        PNG.rstrip("="),
        PNG.replace("+", "-").replace("/", "_"),
    ],
)
def test_base64_is_understood_as_servers_write_it(data):
    assert blocks({"type": "image", "data": data, "mimeType": "image/png"}) == (
        Image(data=PNG, media_type="image/png"),
    )


@pytest.mark.parametrize(
    ("said", "data", "media_type"),
    [
        ("image/png", JPEG, "image/jpeg"),
        ("image/jpg", "AAAA", "image/jpeg"),
        ("IMAGE/PNG; charset=x", "AAAA", "image/png"),
        (None, PNG, "image/png"),
        ("application/octet-stream", PNG, "image/png"),
    ],
)
def test_a_picture_is_what_its_first_bytes_say(said, data, media_type):
    assert blocks({"type": "image", "data": data, "mimeType": said}) == (
        Image(data=data, media_type=media_type),
    )


@pytest.mark.parametrize(
    "said", ["", "x", "image/", "/png", "a b/c", "\x1b[31m/x", "i/" + "x" * 99, 5]
)
def test_a_media_type_that_is_none_is_not_passed_on(said):
    assert media_type_of(said, "AAAA") == ""


@pytest.mark.parametrize(
    "item",
    [
        {"type": "video", "data": "AAAA", "mimeType": "video/mp4"},
        {"type": "image", "data": "AAAA"},
        {"type": "image", "data": "AAAA", "mimeType": "application/x-thing"},
        {"type": "thing", "blob": "AAAA"},
        {"type": ["odd"], "data": "AAAA"},
    ],
)
def test_data_of_an_unknown_kind_is_a_file_and_not_lost(item):
    (block,) = blocks(item)
    assert isinstance(block, Resource)
    assert block.data == "AAAA"


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image", "data": "\u00e4" * 50_000, "mimeType": "image/png"},
        {"type": "image", "data": "=" * 50_000, "mimeType": "image/png"},
        {"type": "resource", "resource": 5, "data": "!" * 50_000},
        {"type": "audio", "blob": ["x"], "data": "?" * 50_000},
    ],
)
def test_what_claims_to_be_data_and_is_none_never_becomes_a_long_text(item):
    (block,) = blocks(item)
    assert isinstance(block, Text)
    assert len(block.text) < 300
    assert "50000 characters" in block.text


@given(st.binary(min_size=1, max_size=200))
def test_data_survives_as_it_is(data):
    encoded = base64.b64encode(data).decode()
    assert base64.b64decode(base64_of(encoded)) == data


@pytest.mark.parametrize(
    "value", [None, 5, "", "A", "data:image/png;base64,", "a b c \u00e4", "===="]
)
def test_what_is_no_base64_is_none(value):
    assert base64_of(value) is None


def test_a_sound_and_an_embedded_file_are_what_they_are():
    assert blocks(
        {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "u", "blob": PNG, "mimeType": "x/y"}},
    ) == (
        Audio(data="AAAA", media_type="audio/wav"),
        Resource(uri="u", data=PNG, media_type="image/png"),
    )


def test_a_link_says_what_is_behind_it():
    shown = blocks(
        {"type": "resource_link", "uri": "file:///a", "name": "a", "title": "The A",
         "description": "All about a.", "mimeType": "text/plain", "size": 1234},
        {"type": "resource_link", "uri": "file:///b", "size": True, "description": 5},
    )  # fmt: skip
    assert shown == (
        Resource(uri="file:///a", name="The A", media_type="text/plain"),
        Text(text="[All about a., 1,234 bytes]"),
        Resource(uri="file:///b"),
    )


# -- for whom -----------------------------------------------------------------------------


def test_what_is_for_the_user_alone_is_not_shown_to_the_model():
    raw = {
        "content": [
            text("for both"),
            text("for you", annotations={"audience": ["user"]}),
            text("for all", annotations={"audience": ["user", "assistant"]}),
            text("for it", annotations={"audience": ["assistant"]}),
        ]
    }
    shown, _ = content_of(raw)
    assert [block.text for block in shown] == [
        "for both",
        "for all",
        "for it",
        "[A part of the result is shown to the user only.]",
    ]
    assert for_user(raw) == (Text(text="for you"),)


@pytest.mark.parametrize("hints", [None, 5, {"audience": "user"}, {"audience": [["user"]]}, []])
def test_odd_annotations_hide_nothing(hints):
    assert blocks(text("a", annotations=hints)) == (Text(text="a"),)
    assert for_user({"content": [text("a", annotations=hints)]}) == ()


def test_what_is_for_the_user_is_bounded():
    item = text("x" * 400_000, annotations={"audience": ["user"]})
    shown = for_user({"content": [item] * 5})
    assert len(shown) == 3
    assert "larger than the host accepts" in shown[-1].text


# -- characters ----------------------------------------------------------------------------


def test_a_text_hidden_in_a_result_is_told_and_not_shown():
    (block,) = blocks(text(f"all fine{TAGS}"))
    assert block.text == "all fine[13 invisible characters are left out]"


def test_halves_of_surrogate_pairs_never_come_through():
    (block,) = blocks(text("a\ud83d\ude00b\ud800c"))
    block.text.encode()
    assert block.text.endswith("b\ufffdc")
