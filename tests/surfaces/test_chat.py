import asyncio
import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent_host.core.errors import ConfigError, ExitStatus
from agent_host.core.types import Text
from agent_host.engine.session import Session
from agent_host.surfaces.chat import Chat, status
from agent_host.surfaces.chat_around import Around
from agent_host.surfaces.chat_commands import COMMANDS
from agent_host.surfaces.commands_words import command_words
from agent_host.surfaces.resent import Resent
from agent_host.surfaces.turns import Turns
from tests.fakes import rooms
from tests.fakes.offers import Failure, Health, Offered, Servers
from tests.fakes.screens import FORBIDDEN, HOSTILE, outlet, sized

Line = str | type[KeyboardInterrupt]


class Typed:
    """Someone who types these lines, and then leaves."""

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)

    async def read(self) -> str | None:
        await asyncio.sleep(0)
        if not self.lines:
            return None
        line = self.lines.pop(0)
        if isinstance(line, str):
            return line
        raise line


@dataclass
class Desk:
    """A session with servers, and the models it may change to."""

    session: Session
    pool: Servers
    changes: list[str] = field(default_factory=list)

    def models(self) -> list[str]:
        return ["claude", "offline"]

    async def change_model(self, name: str) -> None:
        if name not in self.models():
            raise ConfigError(f"there is no model {name}")
        self.changes.append(name)


def desk(
    *plan: object,
    journal: rooms.MemoryJournal | None = None,
    pool: Servers | None = None,
    model: rooms.PlannedModel | None = None,
) -> Desk:
    pool = pool or Servers()
    made = rooms.session(journal or rooms.MemoryJournal(), plan=list(plan), world=pool, model=model)
    return Desk(made, pool)


def chat(host: Desk, *lines: Line) -> tuple[ExitStatus, str]:
    out, screen = outlet(tty=True, NO_COLOR="1")
    talk = Chat(host, messages=Typed(*lines), screen=out, by="tester")
    return asyncio.run(talk.run()), screen.getvalue()


def said(host: Desk) -> list[str]:
    return [
        block.text
        for message in host.session.conversation.messages
        if message.role == "user"
        for block in message.content
        if isinstance(block, Text)
    ]


def test_messages_are_told_and_answered_and_leaving_ends_the_run() -> None:
    host = desk([], [])
    result, _ = chat(host, "one", "  ", "//two")
    assert result is ExitStatus.DONE
    assert said(host) == ["one", "/two"]
    assert host.session.conversation.ended is not None
    assert host.session.conversation.ended.reason == "done"


def test_leaving_takes_quit_or_two_control_c() -> None:
    for lines in (("/quit", "never said"), (KeyboardInterrupt, KeyboardInterrupt, "never said")):
        host = desk([])
        assert chat(host, *lines)[0] is ExitStatus.DONE
        assert said(host) == []
    host = desk([])
    _, screen = chat(host, KeyboardInterrupt, "said after all", KeyboardInterrupt)
    assert said(host) == ["said after all"]
    assert screen.count("Ctrl-C again leaves") == 2


def test_what_is_taken_back_can_be_edited_or_is_at_least_shown() -> None:
    class Editor(Typed):
        offered: str = ""

        def offer(self, text: str) -> None:
            self.offered = text

    out, screen = outlet(tty=True, NO_COLOR="1")
    typed = Editor("say it", "/undo")
    asyncio.run(Chat(desk([]), messages=typed, screen=out, by="tester").run())
    assert typed.offered == "say it"
    assert "the message was" not in screen.getvalue()
    assert "the message was:\nsay it" in chat(desk([]), "say it", "/undo")[1]


def test_an_unknown_command_names_the_nearest() -> None:
    _, screen = chat(desk(), "/modle", "/xyzzy", f"/{HOSTILE[0]}")
    assert "there is no command /modle; did you mean /model?" in screen
    assert "/xyzzy; /help lists the commands" in screen
    assert not set(FORBIDDEN) & set(screen)


def test_help_names_every_command_and_key() -> None:
    _, screen = chat(desk(), "/help")
    for word in (*(name for name, _ in COMMANDS), "Alt-Enter", "Ctrl-C"):
        assert word in screen


def test_tools_and_servers_are_shown_and_nothing_hostile_with_them() -> None:
    pool = Servers()
    hostile = replace(rooms.TOOLS["w__pay"], description="\n".join(HOSTILE), tool=HOSTILE[0])
    pool.tools_table = {**rooms.TOOLS, "x": hostile}
    pool.healths = (Health(), *(Health(name=t, error=t, version=t) for t in HOSTILE))
    _, screen = chat(desk(pool=pool), "/tools", "/servers")
    assert "w · read (reads only)  read" in screen
    assert "w · pay  pay" in screen
    assert "w 1.0  connected  5 tools" in screen
    assert not set(FORBIDDEN) & set(screen)


def test_there_may_be_no_tools_and_no_servers() -> None:
    pool = Servers(tools_table={})
    pool.healths = ()
    _, screen = chat(desk(pool=pool), "/tools", "/servers")
    assert "no tools; /servers tells" in screen
    assert "no servers are configured" in screen


def test_the_model_is_shown_and_changed_or_it_is_said_why_not() -> None:
    host = desk()
    _, screen = chat(host, "/model", "/model offline", "/model nobody")
    assert "now: test planned" in screen
    assert "/model claude" in screen
    assert "there is no model nobody" in screen
    assert host.changes == ["offline"]
    assert list(command_words(host)("/model")) == ["claude", "offline"]
    assert list(command_words(host)("/login")) == ["w"]
    assert list(command_words(host)("/cost")) == []


def test_the_status_names_model_and_tokens_and_says_when_nobody_thinks() -> None:
    host = desk([])
    chat(host, "hello")
    conversation = host.session.conversation
    assert status(conversation) == "planned · 1 tokens in, 1 out · cost unknown"
    known = replace(conversation, cost=0.0123, unpriced=0)
    assert status(known) == "planned · 1 tokens in, 1 out · $0.0123"
    assert status(replace(known, answers=2, unpriced=1)).endswith("$0.0123 and 1 of unknown cost")
    assert status(replace(conversation, simulated=True)).startswith("planned (no AI) · ")
    assert status(desk().session.conversation) == "planned"


def test_control_c_stops_the_step_and_the_chat_goes_on() -> None:
    model = rooms.PlannedModel([[], []])
    host = desk(model=model)
    model.hold = asyncio.Event()
    out, _ = outlet(tty=True)
    talk = Chat(host, messages=Typed("one", "two"), screen=out, by="tester")

    async def press() -> None:
        await model.reached.wait()
        model.hold = None
        os.kill(os.getpid(), signal.SIGINT)

    async def run() -> ExitStatus:
        async with asyncio.TaskGroup() as group:
            group.create_task(press())
            return await talk.run()

    assert asyncio.run(run()) is ExitStatus.DONE
    assert said(host) == ["one", "two"]
    assert not talk.interrupt()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_prompt_leaves(number: signal.Signals) -> None:
    class Waiting(Typed):
        async def read(self) -> str | None:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
            return None

    host = desk()
    talk = Chat(host, messages=Waiting(), screen=outlet(tty=True)[0], by="tester")
    assert asyncio.run(talk.run()) is ExitStatus.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_conversation_that_was_begun_before_is_recalled_and_finished() -> None:
    journal = rooms.MemoryJournal()
    chat(desk([], journal=journal), "one")
    open_turn = desk([], [], journal=journal)
    _, screen = chat(open_turn, "two")
    assert "2 messages so far; this was the last of it:\n\n> one\nt0\n" in screen
    assert said(open_turn) == ["one", "two"]


def test_a_step_that_was_cut_off_is_finished_before_anything_is_said() -> None:
    journal = rooms.MemoryJournal(crash_at=4)
    first = desk(["read"], [], journal=journal)
    with pytest.raises(BaseException):  # noqa: B017 - a crash in the middle of a step
        chat(first, "one")
    again = rooms.MemoryJournal(journal.records)
    resumed = desk(["read"], [], journal=again)
    chat(resumed)
    roles = [message.role for message in resumed.session.conversation.messages]
    assert roles == ["user", "assistant", "tool", "assistant"]


def test_what_commands_say_is_broken_between_words() -> None:
    with sized(40, 24, NO_COLOR="1") as (out, screen):
        talk = Chat(desk(), messages=Typed("/help", "/tools", "/quit"), screen=out, by="tester")
        asyncio.run(talk.run())
        shown = screen.getvalue()
    assert max(map(len, shown.splitlines())) <= 40
    words = " ".join(shown.split())
    assert "a backslash before Enter makes a new line" in words


def content(host: Desk) -> list[object]:
    return [block for m in host.session.conversation.messages[:1] for block in m.content]


def test_a_message_takes_along_the_resources_that_it_mentions() -> None:
    pool = Servers(resource_list=[Offered("note:1")])
    host = desk([], pool=pool)
    _, screen = chat(host, "What is in @w:note:1? And who is @nobody:x, a@w:y?")
    assert ("w", "note:1", "tester") in pool.asked
    assert [getattr(block, "text", None) for block in content(host)] == [
        "What is in @w:note:1? And who is @nobody:x, a@w:y?",
        "the note",
    ]
    assert "· attached w · note:1  8 characters" in screen


def test_a_message_is_not_sent_without_what_it_mentions() -> None:
    pool = Servers(contents=Failure("no such note"))
    host = desk([], pool=pool)
    _, screen = chat(host, "What is in @w:note:2")
    assert "not sent: w · note:2 cannot be read: no such note" in screen
    assert said(host) == []


def test_a_message_takes_along_the_files_that_it_mentions_or_comes_back(tmp_path: Path) -> None:
    class Editor(Typed):
        offered: str = ""

        def offer(self, text: str) -> None:
            self.offered = text

    (tmp_path / "notes.md").write_text("milk")
    host, typed = desk([]), Editor("see @notes.md and @ann", "see @./gone")
    out, screen = outlet(tty=True, NO_COLOR="1")
    around = Around(folder=tmp_path, images=lambda: False)
    talk = Chat(host, messages=typed, screen=out, by="tester", around=around)
    asyncio.run(talk.run())
    assert [getattr(b, "text", None) for b in content(host)] == ["see @notes.md and @ann", "milk"]
    assert "· attached notes.md  4 characters" in screen.getvalue()
    assert "not sent: ./gone is not there; check the path" in screen.getvalue()
    assert typed.offered == "see @./gone"


def test_a_message_in_the_place_of_the_last_takes_back_what_came_of_that_one() -> None:
    host = desk([], [], [])
    _, screen = chat(host, "one", "tow", Resent("two"))
    assert said(host) == ["one", "two"]
    assert "taken back: 2 messages" in screen
    assert Chat(host, messages=Typed(), screen=outlet()[0], by="t").last_said() == "two"
    nothing = desk([])
    _, screen = chat(nothing, Resent("two"))
    assert said(nothing) == []
    assert "the message was:\ntwo" in screen
    slashed = desk([])
    chat(slashed, "//x")
    assert Chat(slashed, messages=Typed(), screen=outlet()[0], by="t").last_said() == "//x"


class Editor(Typed):
    """Someone to whom messages can be given back."""

    def __init__(self, *lines: Line) -> None:
        super().__init__(*lines)
        self.offered: list[str] = []

    def offer(self, text: str) -> None:
        self.offered.append(text)


def test_an_edited_message_whose_file_is_missing_takes_no_place_and_can_be_edited_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "notes.md").write_text("milk")
    host = desk([], [])
    out, screen = outlet(tty=True, NO_COLOR="1")
    typed = Editor("see @./notes.md", Resent("see @./gone.md"))
    around = Around(folder=tmp_path)
    asyncio.run(Chat(host, messages=typed, screen=out, by="t", around=around).run())
    assert "not sent: " in screen.getvalue()
    assert "taken back" not in screen.getvalue()
    assert said(host)[0] == "see @./notes.md"
    (offered,) = typed.offered
    assert isinstance(offered, Resent)
    last = Chat(host, messages=Typed(), screen=out, by="t", around=around)
    assert last.last_said() == "see @./notes.md"


def test_an_edited_message_takes_its_files_along_anew_and_an_undo_is_taken_into_account(
    tmp_path: Path,
) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("milk")
    host = desk([], [], [])
    out, screen = outlet(tty=True, NO_COLOR="1")

    class Shopper(Editor):
        async def read(self) -> str | None:
            line = await super().read()
            if isinstance(line, Resent):
                notes.write_text("eggs")
            return line

    typed = Shopper("one", "two", "/undo", Resent("buy @./notes.md"))
    asyncio.run(
        Chat(host, messages=typed, screen=out, by="t", around=Around(folder=tmp_path)).run()
    )
    assert said(host) == ["buy @./notes.md"]
    assert "eggs" in repr(host.session.conversation.messages[0].content)
    assert screen.getvalue().count("taken back: ") == 2


def test_a_message_that_is_given_up_while_its_resources_are_read_comes_back() -> None:
    class Slow(Servers):
        async def attachment(self, server: str, uri: str, principal: Any) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    host = desk([], pool=Slow())
    typed = Editor("see @w:file:///a", "after")
    asyncio.run(Chat(host, messages=typed, screen=outlet(tty=True)[0], by="t").run())
    assert typed.offered == ["see @w:file:///a"]
    assert said(host) == ["after"]


def test_control_c_gives_up_a_command_and_the_chat_goes_on() -> None:
    class Slow(Servers):
        async def ready(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    host = desk([], pool=Slow())
    result, screen = chat(host, "/tools", "after")
    assert result is ExitStatus.DONE
    assert "given up" in screen
    assert said(host) == ["after"]


def test_control_c_first_gives_up_what_a_server_asks_for() -> None:
    open_questions = [True]
    host = desk()
    talk = Chat(
        host,
        messages=Typed(),
        screen=outlet(tty=True)[0],
        by="tester",
        cancel=lambda: bool(open_questions) and open_questions.pop(),
    )
    assert talk.interrupt()
    assert not talk.interrupt()


def test_what_was_queued_for_a_step_that_is_stopped_is_kept_back() -> None:
    class Queue(Typed):
        held = 0

        def hold(self) -> None:
            self.held += 1

    async def run() -> int:
        model = rooms.PlannedModel([[]])
        host = desk(model=model)
        model.hold = asyncio.Event()
        typed = Queue("one")
        talk = Chat(host, messages=typed, screen=outlet(tty=True)[0], by="tester")
        async with asyncio.TaskGroup() as group:
            group.create_task(talk.run())
            await model.reached.wait()
            assert talk.interrupt()
            assert not talk.interrupt()
            held = typed.held
            model.hold.set()
        return held

    assert asyncio.run(run()) == 1


def test_control_c_soon_after_a_question_was_given_up_stops_the_step_that_asks_again() -> None:
    async def pressed(pause: float) -> tuple[int, bool]:
        model = rooms.PlannedModel([[]])
        host = desk(model=model)
        model.hold = asyncio.Event()
        questions, clock = ["one", "two"], [100.0]
        talk = Chat(
            host,
            messages=Typed("ask me"),
            screen=outlet(tty=True)[0],
            by="tester",
            cancel=lambda: bool(questions and questions.pop()),
            now=lambda: clock[0],
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(talk.run())
            await model.reached.wait()
            assert talk.interrupt()
            clock[0] += pause
            assert talk.interrupt()
            stopped = host.session.conversation.interrupted
            model.hold.set()
        return len(questions), stopped

    assert asyncio.run(pressed(0.5)) == (1, True)
    assert asyncio.run(pressed(1.5)) == (0, False)


def test_a_server_that_asks_while_the_user_writes_waits_for_an_empty_line_or_a_message() -> None:
    out, _ = outlet(tty=True, NO_COLOR="1")
    turns = Turns(screen=out, hold=(out,))
    said_so: list[int] = []
    turns.noticed = lambda: said_so.append(turns.waiting)
    order: list[str] = []

    class Writing(Typed):
        async def read(self) -> str | None:
            order.append("reads")
            await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)
            return await super().read()

    async def ask() -> None:
        async with turns.take():
            order.append("asks")

    async def run() -> None:
        host = desk()
        talk = Chat(host, messages=Writing("", "/quit"), screen=out, by="tester", turns=turns)
        async with asyncio.TaskGroup() as group:
            group.create_task(talk.run())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            group.create_task(ask())

    asyncio.run(run())
    assert order == ["reads", "asks", "reads"]
    assert said_so == [1]
    assert turns.waiting == 0
    assert status(desk().session.conversation, asking=True).startswith("a server asks something")
