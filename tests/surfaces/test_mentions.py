import asyncio

import pytest

from agent_host.core.types import Image, LabelSeen, Principal, Resource, Text
from agent_host.surfaces.mentions import MOST, Attached, Mention, attach, mentions
from tests.fakes.offers import Failure, Servers
from tests.fakes.screens import FORBIDDEN, HOSTILE

WHO = Principal(id="ann")


@pytest.mark.parametrize(
    ("text", "uris"),
    [
        ("@w:file:///a b", ["file:///a"]),
        ("see (@w:note:1), please", ["note:1"]),
        ("@w:note:1. @w:note:2! @w:note:1?", ["note:1", "note:2"]),
        ('"@w:note:1"', ["note:1"]),
        ("ann@w:note:1 and @other:note:1 and @w: x", []),
        ("@w:https://a.example/x?y=z", ["https://a.example/x?y=z"]),
        ("@w:odd.", ["odd."]),
    ],
)
def test_a_mention_stands_at_the_start_of_a_word_and_names_a_server(
    text: str, uris: list[str]
) -> None:
    found = mentions(text, {"w"}, {Mention("w", "odd.")})
    assert [mention.uri for mention in found] == uris


def attached(servers: Servers, *uris: str) -> Attached:
    return asyncio.run(attach([Mention("w", uri) for uri in uris], servers, WHO))


def test_what_is_attached_is_what_the_server_has_and_is_noted() -> None:
    held = (Resource(uri="note:1", text="abc"), Image(data="aGk=", media_type="image/png"))
    found = attached(Servers(contents=held), "note:1")
    assert found.content == held
    assert found.notes == ("w · note:1  3 characters, image/png, 3 bytes",)


def test_what_is_attached_has_the_labels_that_its_server_gives_it() -> None:
    found = attached(Servers(labels=("private", "untrusted")), "note:1", "note:2")
    source = {"server": "w", "tool": "resources/read"}
    assert found.labels == (
        LabelSeen(label="private", **source),
        LabelSeen(label="untrusted", **source),
    )


def test_a_large_resource_is_shortened_and_that_is_said() -> None:
    found = attached(Servers(contents=(Resource(uri="note:1", text="x" * 100_000),)), "note:1")
    assert sum(len(getattr(block, "text", "") or "") for block in found.content) < 61_000
    assert "shortened" in found.notes[0]


def test_an_empty_resource_is_said_to_be_empty() -> None:
    found = attached(Servers(contents=()), "note:1")
    assert found.content == (Text(text="[the resource note:1 is empty]"),)
    assert found.notes == ("w · note:1  empty",)


def test_what_cannot_be_read_or_is_too_much_attaches_nothing() -> None:
    assert attached(Servers(contents=Failure("gone")), "a").problem.endswith("gone")
    assert "at most" in attached(Servers(), *map(str, range(MOST + 1))).problem


def test_no_hostile_text_gets_into_a_note_or_a_problem() -> None:
    for text in HOSTILE:
        failed = attached(Servers(contents=Failure(text)), text).problem
        noted = attached(Servers(contents=(Resource(uri=text, media_type=text),)), text).notes[0]
        assert not set(FORBIDDEN) & set(failed + noted)
