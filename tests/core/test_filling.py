"""What fills a context, for people."""

from dataclasses import replace

from agent_host.core.compaction import ANY_SPACE, asked, extract
from agent_host.core.conversation import Conversation, apply
from agent_host.core.filling import filling, fixed_size, used
from agent_host.core.types import Audio, Image, Message, Resource, Text
from tests.core.test_compaction import rounds, spoken
from tests.fakes.rooms import tool


def kinds(f):
    return [(part.kind, part.server) for part in f.parts]


def test_the_parts_add_up_to_what_the_engine_goes_by():
    tools = (tool("read"), replace(tool("more"), server="z", description="d" * 500))
    c = replace(rounds(5, 2000), system="Be brief. " * 30)
    shown = filling(c, tools, window=10_000, mark=8_000)
    assert shown.used == used(c, fixed_size(c.system, tools)) == sum(p.tokens for p in shown.parts)
    assert (shown.window, shown.mark) == (10_000, 8_000)
    assert kinds(shown) == [
        ("system", ""),
        ("tools", "z"),
        ("tools", "w"),
        ("user", ""),
        ("assistant", ""),
        ("results", "w"),
    ]
    by_kind = {(p.kind, p.server): p.tokens for p in shown.parts}
    assert by_kind["results", "w"] > by_kind["assistant", ""] > by_kind["user", ""]


def test_the_parts_add_up_to_what_the_provider_counted():
    c = replace(rounds(5, 2000), counted=12_345, uncounted=0)
    shown = filling(c, ())
    assert shown.used == 12_346 == sum(part.tokens for part in shown.parts)


def test_results_of_a_tool_that_is_gone_are_of_the_server_in_its_name():
    assert ("results", "w") in kinds(filling(rounds(2), ()))


def test_a_summary_and_attachments_are_parts_of_their_own():
    c = spoken(5)
    plan = asked(c, ANY_SPACE, "me")
    assert plan is not None
    c = apply(c, extract(c, plan))
    blocks = (
        Text(text="look"),
        Image(data="AAAA", media_type="image/png"),
        Audio(data="AAAA", media_type="audio/wav"),
        Resource(uri="x", text="abc"),
    )
    c = replace(c, messages=(*c.messages, Message(role="user", content=blocks)))
    assert kinds(filling(c, ())) == [("summary", ""), ("user", ""), ("attachments", "")]


def test_an_empty_conversation_has_no_parts():
    assert filling(Conversation(), ()).parts == ()
