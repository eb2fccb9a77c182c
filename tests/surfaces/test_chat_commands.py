import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent_host.core.events import UserSaid
from agent_host.core.types import Annotations, LabelSeen
from agent_host.surfaces import commands_servers
from agent_host.surfaces.chat_commands import COMMANDS, Around, Commands
from tests.fakes import rooms
from tests.fakes.offers import (
    Argument,
    Failure,
    Health,
    Held,
    Offered,
    Prompt,
    Servers,
    Skill,
    said,
)
from tests.fakes.screens import FORBIDDEN, HOSTILE, outlet, sized
from tests.fakes.typists import Typist, typist
from tests.surfaces.test_chat import Desk, desk

SUM = Prompt("sum", (Argument("topic", required=True, description="Of what?"), Argument("length")))


def take(
    line: str,
    pool: Servers,
    asker: Typist | None = None,
    *,
    problem: str = "",
    login: Sequence[str] = (),
) -> tuple[UserSaid | None, str]:
    out, screen = outlet(tty=True, NO_COLOR="1")

    async def log_in(server: str) -> str:
        return f"logged in to {server}"

    around = Around(login=log_in if login else None)
    commands = Commands(desk(pool=pool), screen=out, asker=asker, around=around)
    return asyncio.run(commands.take(line)), screen.getvalue()


def texts(said: UserSaid | None) -> list[str]:
    assert said is not None
    return [getattr(block, "text", "") for block in said.message.content]


def test_a_prompt_is_shown_before_it_becomes_the_users_message() -> None:
    pool = Servers(prompt_list=[SUM])
    asker = typist("")
    message, screen = take("/w:sum tides length=short", pool, asker)
    assert texts(message) == ["Summarise it."]
    assert pool.asked[-1] == ("w", "sum", {"topic": "tides", "length": "short"}, "tester")
    assert "w · sum would have you say:\n│ Summarise it.\n" in screen
    assert asker.asked == ["send it? [Y/n] "]


def test_what_a_prompt_says_has_the_labels_that_its_server_gives_it() -> None:
    turn, _ = take("/w:sum tides", Servers(prompt_list=[SUM], labels=("private",)), typist("y"))
    assert turn is not None
    assert turn.labels == (LabelSeen(label="private", server="w", tool="prompts/get"),)


def test_a_prompt_is_not_sent_unless_that_is_meant() -> None:
    for said_no in (("n",), ("x",), ()):
        message, screen = take("/w:sum tides", Servers(prompt_list=[SUM]), typist(*said_no))
        assert message is None
        assert "nothing was sent" in screen


def test_arguments_that_are_missing_are_asked_for() -> None:
    pool = Servers(prompt_list=[SUM])
    asker = typist("tides", "y")
    message, screen = take("/prompt w sum length=short", pool, asker)
    assert message is not None
    assert asker.asked[0] == "topic: "
    assert "│ Of what?" in screen
    assert pool.asked[-1] == ("w", "sum", {"length": "short", "topic": "tides"}, "tester")
    message, screen = take("/w:sum", pool, typist(""))
    assert message is None
    assert "given up" in screen
    message, screen = take("/w:sum", pool)
    assert message is None
    assert "it needs topic; as in /w:sum topic=… [length=…]" in screen


def test_what_is_wrong_with_a_call_of_a_prompt_is_said() -> None:
    pool = Servers(prompt_list=[SUM], problems=["w: one prompt has no name"])
    for line, why in (
        ("/x:sum", "there is no server 'x'; there is w"),
        ("/w:sam", "w has no prompt 'sam'; did you mean sum?"),
        ("/w:zzz", "one prompt has no name"),
        ("/w:sum a b c d", "'c' is one too many"),
        ("/prompt w", "as in /prompt SERVER NAME"),
        ("/prmpts", "did you mean /prompts?"),
    ):
        message, screen = take(line, pool)
        assert message is None
        assert why in screen
    message, screen = take("/w:sum a", Servers(prompt_list=[SUM], messages=Failure("no")))
    assert message is None
    assert "the prompt cannot be had: no" in screen
    message, screen = take("/w:sum a", Servers(prompt_list=[SUM], messages=()))
    assert message is None
    assert "the prompt is empty" in screen


def test_prompts_resources_and_skills_are_listed_with_how_to_use_them() -> None:
    pool = Servers(
        prompt_list=[SUM, Prompt("other", server="v", title="Other")],
        resource_list=[
            Offered("note:1", title="First", media_type="text/plain", size=1234),
            Offered("note:{id}", template=True),
        ],
        skill_list=[Skill("fold", "Folds.")],
        problems=["v: it is down"],
    )
    _, screen = take("/prompts", pool)
    assert "/w:sum topic=… [length=…]" in screen
    assert "/v:other  Other" in screen
    assert "v: it is down" in screen
    _, screen = take("/prompts v", pool)
    assert "/w:sum" not in screen
    _, screen = take("/resources", pool)
    assert "@w:note:1  First  text/plain  1,234 bytes" in screen
    assert "@w:note:{id}  notes  fill in the braces" in screen
    _, screen = take("/skills", pool)
    assert "w · fold  Folds." in screen


def test_there_may_be_nothing_to_list_and_a_lot() -> None:
    for what in ("prompts", "resources", "skills"):
        assert f"no {what}; /servers tells" in take(f"/{what}", Servers())[1]
    many = Servers(resource_list=[Offered(f"note:{i}") for i in range(1000)])
    _, screen = take("/resources", many)
    assert "… and 800 more" in screen
    assert screen.count("@w:note:") == 200


def test_a_server_that_needs_a_login_says_how() -> None:
    pool = Servers(
        healths=[
            Health("crm", "needs_login", error="401"),
            Health("w", protocol="2025-11-25", connect_seconds=0.5, restarts=2),
        ]
    )
    _, screen = take("/servers", pool)
    assert "crm 1.0  needs a login: 401  5 tools, as known before" in screen
    assert "/login crm" in screen
    assert "w 1.0  connected  5 tools  MCP 2025-11-25  up after 0.50 s  restarted 2" in screen
    assert "agent-host servers login crm" in take("/login crm", pool)[1]
    assert "logged in to crm" in take("/login crm", pool, login=["yes"])[1]
    assert "as in /login SERVER; there is crm, w" in take("/login", pool)[1]
    assert "there is no server 'x'; there is crm, w" in take("/login x", pool)[1]


def test_tools_are_listed_by_server_with_the_state_that_is_not_the_usual_one() -> None:
    tools = {
        name: replace(tool, is_new=name == "w__put", server="v" if name == "w__pay" else "w")
        for name, tool in rooms.TOOLS.items()
    }
    pool = Servers(
        healths=[Health("v"), Health("w")],
        tools_table=tools,
        state_table={"w__read": "changed"},
        held=[Held("gone")],
    )
    _, screen = take("/tools", pool)
    assert "w: 5 tools, 1 new, 1 changed, 1 withheld" in screen
    assert "w · read (changed, reads only)  read" in screen
    assert "w · put (new)  put" in screen
    assert "w · gone (withheld)  its definition is not as it was" in screen
    assert "v: 1 tool\n  v · pay  pay" in screen
    _, screen = take("/tools v", pool)
    assert "v · pay" in screen
    assert "w · " not in screen
    fresh = {name: replace(tool, is_new=True) for name, tool in rooms.TOOLS.items()}
    _, screen = take("/tools", Servers(tools_table=fresh))
    assert "w: 6 tools, all new" in screen
    assert "(new)" not in screen


def test_tools_are_searched_by_words_and_one_is_seen_whole() -> None:
    refund = replace(
        rooms.TOOLS["w__pay"],
        description="Pay back.\nOnly once.",
        input_schema={"type": "object", "properties": {"amount": {"type": "number"}}},
        output_schema={"type": "object"},
        annotations=Annotations(destructive=True),
        labels=("egress",),
    )
    pool = Servers(
        tools_table={**rooms.TOOLS, "w__pay": refund},
        held=[Held("gone")],
        sign_table={"w__pay": ["its description speaks to the model"]},
    )
    _, screen = take("/tools pay back", pool)
    assert "w · pay  Pay back." in screen
    assert "w · put" not in screen
    _, screen = take("/tools w pay", pool)
    for line in (
        "│ Pay back.\n│ Only once.\n",
        '│     "amount": {\n│       "type": "number"\n',
        "what it returns:",
        "the model sees it as w__pay",
        "its server says: may destroy (which is not trusted)",
        "labels: egress",
        "look at this: its description speaks to the model",
    ):
        assert line in screen
    assert "w · gone (withheld)" in take("/tools w gone", pool)[1]
    assert "no tool is about 'zebra'" in take("/tools zebra", pool)[1]
    assert "no tool is about 'w zebra'" in take("/tools w zebra", pool)[1]


def test_a_long_list_of_tools_is_cut_and_says_how_to_see_more() -> None:
    many = {f"w__t{i}": replace(rooms.TOOLS["w__pay"], tool=f"t{i}") for i in range(300)}
    _, screen = take("/tools", Servers(tools_table=many))
    assert screen.count("w · t") == 200
    assert "… and 100 more; name a server, or /tools WORDS searches" in screen


def test_one_server_is_told_with_its_troubles() -> None:
    pool = Servers(
        healths=[
            Health(
                "crm",
                "failed",
                error="it ended",
                stderr="Traceback: boom",
                problems=["odd: its name is empty"],
                calls=3,
                errors=2,
                breaker="open",
                retry_seconds=12.3,
                sandbox="bubblewrap",
                warning="the network is not kept away",
                hint="sandbox.write = ['/data']",
            ),
            Health("w"),
        ],
        note_list=["two names look alike"],
    )
    _, screen = take("/servers crm", pool)
    for line in (
        "crm 1.0  failed: it ended",
        "3 calls, 2 of them failed; sandbox: bubblewrap",
        "calls fail at once, because it keeps failing; tried again in 12 s",
        "odd: its name is empty",
        "the network is not kept away",
        "sandbox.write = ['/data']",
        "│ Traceback: boom",
    ):
        assert line in screen
    assert "w 1.0" not in screen
    assert "two names look alike" not in screen
    assert "there is no server 'x'; there is crm, w" in take("/servers x", pool)[1]
    assert "two names look alike" in take("/servers", pool)[1]


def test_quitting_is_a_command_and_says_nothing() -> None:
    commands = Commands(desk(), screen=outlet()[0], asker=None)
    assert asyncio.run(commands.take("/quit")) is None
    assert commands.leaving


def test_every_command_fits_a_narrow_screen() -> None:
    with sized(40, 24, NO_COLOR="1") as (out, screen):
        host: Desk = desk(pool=Servers(prompt_list=[SUM], resource_list=[Offered("x" * 300)]))
        commands = Commands(host, screen=out, asker=None)
        for line in ("/help", "/servers", "/prompts", "/resources", "/skills", "/w:sum x"):
            asyncio.run(commands.take(line))
        shown = screen.getvalue()
    assert max(map(len, shown.splitlines())) <= 40
    for name, _ in COMMANDS:
        assert name in shown


def test_nothing_hostile_gets_onto_the_screen() -> None:
    for text in HOSTILE:
        pool = Servers(
            healths=[Health(name="w", error=text, hint=text, stderr=text), Health(name=text)],
            prompt_list=[
                Prompt("p", (Argument(text, required=True, description=text),), description=text),
                Prompt(text, title=text),
            ],
            resource_list=[Offered(text, name=text, title=text, media_type=text)],
            skill_list=[Skill(text, text)],
            tools_table={"w__x": replace(rooms.TOOLS["w__pay"], tool=text, description=text)},
            held=[Held(text, text, text)],
            note_list=[text],
            sign_table={"w__pay": [text]},
            problems=[text],
            messages=(said("user", text),),
        )
        asker = typist("x", "y")
        shown = "".join(
            take(line, pool, asker)[1]
            for line in (
                *("/prompts", "/resources", "/skills", "/servers", "/servers w", "/tools"),
                *("/w:p", f"/w:{text}", f"/tools w {text}", f"/tools {text}"),
            )
        )
        assert not set(FORBIDDEN) & set(shown + "".join(asker.asked))


class Connecting(Servers):
    """Servers of which `slow` is not there yet."""

    healths: Sequence[Health] = (Health("w"), Health("slow", "starting", version="", tools=0))

    async def ready(self) -> None:
        await asyncio.Event().wait()

    async def prompts(self, server: str | None = None) -> tuple[Sequence[Prompt], Sequence[str]]:
        assert server is not None, "asking all waits for the slow one"
        return await super().prompts(server)


def test_a_server_that_is_still_connecting_says_so_and_hides_nothing_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands_servers, "_SHORT", 0.01)
    monkeypatch.setattr(commands_servers, "_PATIENCE", 0.02)
    pool = Connecting(healths=Connecting.healths, prompt_list=[SUM])
    _, screen = take("/servers", pool)
    assert "  slow  still connecting\n" in screen
    assert "0 tools" not in screen
    _, screen = take("/prompts", pool)
    assert "/w:sum" in screen
    assert "slow is still connecting; /prompts shows more then" in screen
    _, screen = take("/resources", pool)
    assert "slow is still connecting; /resources shows more then" in screen
    assert "no resources" not in screen
    _, screen = take("/tools", pool)
    assert "slow is still connecting; /tools shows more then" in screen
    _, screen = take("/prompts slow", pool)
    assert "waiting for slow (Ctrl-C gives up)" in screen
    _, screen = take("/context", pool)
    assert "slow is connecting: its tools are not counted yet" in screen


def test_a_server_that_there_is_not_is_said_in_the_same_words_everywhere() -> None:
    for line in ("/servers crn", "/prompts crn", "/resources crn", "/skills crn", "/login crn"):
        pool = Servers(healths=[Health("crm"), Health("w")])
        _, screen = take(line, pool)
        assert screen == "  there is no server 'crn'; did you mean crm?\n"
    _, screen = take("/servers zz", Servers(healths=[Health("crm"), Health("w")]))
    assert screen == "  there is no server 'zz'; there is crm, w\n"


def test_a_server_that_offers_none_is_named() -> None:
    _, screen = take("/resources w", Servers())
    assert screen == "  w offers no resources\n"


def test_a_prompt_without_its_name_lists_those_of_the_server() -> None:
    _, screen = take("/prompt w", Servers(prompt_list=[SUM]))
    assert "as in /prompt SERVER NAME" in screen
    assert "/w:sum topic=… [length=…]" in screen


def test_a_command_that_takes_no_words_does_nothing_when_it_is_given_some() -> None:
    _, screen = take("/clear the screen", Servers())
    assert screen == "  /clear stands alone; 'the screen' means nothing to it\n"


def test_a_program_has_no_login() -> None:
    pool = Servers(healths=[Health("w", sandbox="unsandboxed")])
    _, screen = take("/login w", pool, login=["w"])
    assert "w is a program on this machine, which has no login" in screen
    assert "logged in" not in screen
