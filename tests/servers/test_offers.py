"""Resources, prompts, completion and news of them, of servers of both eras."""

import asyncio
import json

import pytest

from agent_host.core.types import Image, Message, Resource, Text
from agent_host.servers.offers import Failed, PromptArgument, PromptInfo, ResourceInfo
from tests.fakes.asked import (
    MODERN,
    OLD,
    Person,
    asking,
    called,
    methods,
    over,
    pooled,
)
from tests.fakes.hosting import hostile, make_pool, said, until

BOTH = pytest.mark.parametrize("transport", ["stdio", "http"])
ERAS = pytest.mark.parametrize("speaks", [OLD, MODERN])


def run(scenario, transport="stdio", speaks=OLD, mode="", person=None, **spec):
    async def inside():
        with over(transport, speaks, mode, **spec) as found:
            async with pooled(found, person) as pool:
                return await scenario(pool)

    return asyncio.run(inside())


@BOTH
@ERAS
def test_resources_of_every_page_and_templates_are_listed(transport, speaks):
    found, problems = run(lambda pool: pool.resources("a"), transport, speaks)
    assert [(item.uri, item.template) for item in found] == [
        ("memo://0", False),
        ("memo://1", False),
        ("memo://2", False),
        ("memo://{n}", True),
    ]
    assert found[0] == ResourceInfo(
        server="a", uri="memo://0", name="memo 0", media_type="text/plain", size=3
    )
    assert problems == ("a: 3 items of resources make no sense and are left out",)


@BOTH
@ERAS
def test_prompts_are_listed_and_got(transport, speaks):
    async def scenario(pool):
        return await pool.prompts(), await pool.get_prompt("a", "greet", {"tone": "warm"})

    (found, problems), messages = run(scenario, transport, speaks)
    argument = PromptArgument(name="tone", description="How", required=True)
    assert found == (PromptInfo(server="a", name="greet", title="Greet", arguments=(argument,)),)
    assert problems == ("a: 1 items of prompts make no sense and are left out",)
    said_back = Text(text='{"tone": "warm"}')
    assert messages == (
        Message(role="user", content=(said_back,)),
        Message(role="assistant", content=(Text(text='{"type": "hologram"}'),)),
        Message(role="user", content=(said_back, said_back)),
    )


@ERAS
def test_a_resource_is_read(speaks):
    async def scenario(pool):
        return [await pool.read_resource("a", f"memo://{n}") for n in ("1", "blob", "none")]

    note, blob, none = run(scenario, speaks=speaks)
    assert note == (Resource(uri="memo://1", text="note"),)
    assert blob == (Resource(uri="memo://blob", data="aGk=", media_type="image/png"),)
    assert isinstance(none, Failed)
    assert (none.kind, none.text) == ("error", "a: resources/read: no such resource")
    assert Image  # what a blob may become is for the view


@BOTH
def test_a_resource_that_wants_an_answer_first_gets_it(transport):
    person = Person()
    read = run(lambda pool: pool.read_resource("a", "memo://ask"), transport, MODERN, person=person)
    assert json.loads(read[0].text) == {"q": {"action": "accept", "content": {"name": "Ada"}}}
    assert len(person.asked) == 1


def test_a_resource_that_never_comes_fails_in_the_end(monkeypatch):
    from agent_host.servers.protocol import calls

    monkeypatch.setattr(calls, "LEG_PAUSE_MOST", 0.02)
    failed = run(lambda pool: pool.read_resource("a", "memo://endless"), speaks=MODERN)
    assert (failed.kind, "not done after 10 answers" in failed.text) == ("error", True)


@ERAS
def test_arguments_are_completed(speaks):
    async def scenario(pool):
        prompt = PromptInfo(server="a", name="greet")
        template = ResourceInfo(server="a", uri="memo://{n}", name="m", template=True)
        return (
            await pool.complete(prompt, "tone", "w", {"who": "Ada"}),
            await pool.complete(template, "n", "1"),
        )

    prompt, template = run(scenario, speaks=speaks)
    assert prompt == ("wa", "wb", 'ref/prompt:{"who": "Ada"}')
    assert template == ("1a", "1b", "ref/resource:{}")


def test_a_list_that_repeats_its_cursor_ends():
    found, problems = run(lambda pool: pool.resources(), mode="endless_resources")
    assert [item.uri for item in found if not item.template] == ["a:b"]
    assert problems == ("a: resources/list repeats a cursor; the rest is left out",)


def test_what_a_server_does_not_have_is_not_asked_for(tmp_path):
    flags = {"seen": tmp_path / "seen"}
    found, problems = run(lambda pool: pool.resources(), mode="no_resources", flags=flags)
    assert (found, problems) == ((), ())
    assert "resources/list" not in methods(flags["seen"])


def test_a_server_that_is_not_there_is_a_reason():
    async def scenario():
        pool = make_pool(hostile("die_initialize", name="down"), asking())
        pool.spawn()
        async with pool:
            await pool.settled()
            return (
                await pool.resources(),
                await pool.read_resource("nobody", "x:y"),
                await pool.get_prompt("down", "p", {}),
            )

    (found, problems), nobody, down = asyncio.run(scenario())
    assert {item.server for item in found} == {"a"}
    assert any(text.startswith("down: is not available: ") for text in problems)
    assert (nobody.kind, down.kind) == ("unknown_server", "server_unavailable")


def test_a_read_that_did_not_arrive_is_sent_again_over_a_new_connection():
    async def scenario(pool):
        await called(pool, "die")
        return await pool.read_resource("a", "memo://1")

    assert run(scenario) == (Resource(uri="memo://1", text="note"),)


# -- news


@BOTH
@ERAS
def test_lists_are_kept_until_the_server_says_that_they_changed(tmp_path, transport, speaks):
    flags = {"seen": tmp_path / "seen"}

    def count(method):
        return methods(flags["seen"]).count(method)

    async def scenario(pool):
        if speaks == MODERN:
            await until(lambda: count("subscriptions/listen"))
        await asyncio.sleep(0.2)
        await pool.prompts()
        await pool.prompts()
        once = count("prompts/list")
        await called(pool, "changes", {"what": "prompts"})

        async def fetched():
            await pool.prompts()
            return count("prompts/list")

        async with asyncio.timeout(5):
            while await fetched() == once:
                await asyncio.sleep(0.05)
        return once

    assert run(scenario, transport, speaks, flags=flags) == 1


@BOTH
@ERAS
def test_updates_of_a_resource_are_heard_until_nobody_wants_them(transport, speaks):
    async def scenario(pool):
        heard = []
        assert await pool.watch_resource("a", "memo://1", lambda: heard.append(1)) is None

        async def watched():
            return json.loads(said(await called(pool, "update", {"uri": "memo://1"})))

        async with asyncio.timeout(5):
            while not heard:
                await watched()
                await asyncio.sleep(0.05)
        assert await pool.watch_resource("a", "memo://1", None) is None
        async with asyncio.timeout(5):
            while await watched():
                await asyncio.sleep(0.05)
        before = len(heard)
        await watched()
        return before == len(heard)

    assert run(scenario, transport, speaks)


def test_watching_survives_a_restart_of_the_server():
    async def scenario(pool):
        heard = []
        await pool.watch_resource("a", "memo://1", lambda: heard.append(1))
        await called(pool, "die")
        async with asyncio.timeout(8):
            while True:
                subscribed = said(await called(pool, "update", {"uri": "memo://1"}))
                if heard and subscribed == '["memo://1"]':
                    return True
                await asyncio.sleep(0.05)

    assert run(scenario)


def test_a_subscription_that_ended_is_opened_again_and_everything_looked_at_anew(
    tmp_path, monkeypatch
):
    from agent_host.servers.protocol import news

    monkeypatch.setattr(news, "RELISTEN_PAUSE", 0.1)
    flags = {"seen": tmp_path / "seen"}

    async def scenario(pool):
        await until(lambda: methods(flags["seen"]).count("subscriptions/listen") == 2)
        await until(lambda: methods(flags["seen"]).count("tools/list") >= 2)

    run(scenario, speaks=MODERN, mode="drops_listen", flags=flags)


@ERAS
def test_a_server_is_told_how_much_to_log(tmp_path, speaks):
    from tests.fakes.asked import seen

    flags = {"seen": tmp_path / "seen"}

    async def scenario(pool):
        await until(lambda: speaks == MODERN or "logging/setLevel" in methods(flags["seen"]))
        assert await pool.log_level("a", "error") is None
        await called(pool, "echo")

    run(scenario, speaks=speaks, flags=flags)
    messages = seen(flags["seen"])
    if speaks == OLD:
        levels = [m["params"]["level"] for m in messages if m["method"] == "logging/setLevel"]
        assert levels == ["info", "error"]
    else:
        key = "io.modelcontextprotocol/logLevel"
        levels = [
            m["params"]["_meta"].get(key) for m in messages if m["method"].startswith("tools")
        ]
        assert list(dict.fromkeys(levels)) == ["info", "error"]


def test_a_list_that_never_comes_is_a_reason():
    found, problems = run(lambda pool: pool.resources(), mode="hangs", call_timeout=0.4)
    assert found == ()
    assert problems == (
        "a: resources/list: no answer within 0.4 s",
        "a: resources/templates/list: no answer within 0.4 s",
    )
