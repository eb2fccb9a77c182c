"""The chat's screen with keys from a pipe; what it draws goes to a terminal of its own."""

import asyncio
import io
import os
import pty
import signal
import termios
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyte
import pytest
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input

from agent_host.surfaces.completion import Completion, Offers
from agent_host.surfaces.live import Live
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.preferences import KeyStyle
from agent_host.surfaces.prompt import LineCompleter
from agent_host.surfaces.resent import Resent
from agent_host.surfaces.screen import ChatScreen
from tests.fakes.offers import Servers

COMMANDS = (("/help", "what there is"), ("/model", "which answers"))


@dataclass
class Talk:
    """A chat that is busy or not, and whose last message is known."""

    busy: bool = False
    stops: bool = True
    last: str = ""
    did: list[str] = field(default_factory=list)

    def interrupt(self) -> bool:
        self.did.append("interrupt")
        return self.stops

    def leave(self) -> None:
        self.did.append("leave")

    def last_said(self) -> str:
        return self.last

    def runs_now(self, line: str) -> bool:
        return line == "/cost"

    async def run_now(self, line: str) -> None:
        self.did.append(line)


@dataclass
class Desk:
    screen: ChatScreen
    outlet: Outlet
    keys: PipeInput
    live: Live
    talk: Talk
    fd: int
    picture: pyte.Screen
    raw: bytearray = field(default_factory=bytearray)

    def type(self, text: str) -> None:
        self.keys.send_bytes(text.encode("utf-8", "surrogateescape"))

    def shown(self) -> str:
        """The lines on the terminal, without what is empty."""
        self.look()
        return "\n".join(line.rstrip() for line in self.picture.display if line.strip())

    def look(self) -> None:
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return
            self.raw += data
            pyte.ByteStream(self.picture).feed(data)

    async def until(self, wanted: str | Callable[[], bool]) -> str:
        """Let the loop work until `wanted` is so."""
        try:
            async with asyncio.timeout(10):
                while not (wanted() if callable(wanted) else wanted in self.shown()):
                    await asyncio.sleep(0.005)
                    self.look()
        except TimeoutError:
            raise AssertionError(f"waited for {wanted!r} in vain:\n{self.shown()}") from None
        return self.shown()


@asynccontextmanager
async def desk(
    *,
    style: KeyStyle = "emacs",
    columns: int = 60,
    environ: dict[str, str] | None = None,
    now: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Desk]:
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    os.set_blocking(controller, False)
    stream = io.TextIOWrapper(os.fdopen(terminal, "wb", buffering=0), "utf-8", write_through=True)
    environ = {"TERM": "xterm-256color", "NO_COLOR": "1", **(environ or {})}
    outlet, live, talk = Outlet(stream, environ), Live(), Talk()
    with create_pipe_input() as keys:
        screen = ChatScreen(
            outlet,
            stream,
            environ,
            history=InMemoryHistory(),
            completer=LineCompleter(Completion(COMMANDS, lambda _: (), Offers(Servers()))),
            status=lambda width, queued: f"status {queued}"[:width],
            live=live,
            style=style,
            now=now,
            keys=keys,
        )
        picture = pyte.Screen(columns, 24)
        here = Desk(screen, outlet, keys, live, talk, controller, picture)
        async with screen.shown(talk):
            yield here
    stream.close()
    os.close(controller)


def read(*typed: str, style: KeyStyle = "emacs") -> list[str | type[BaseException] | None]:
    """What each of the messages that `typed` makes is."""

    async def run() -> list[str | type[BaseException] | None]:
        messages: list[str | type[BaseException] | None] = []
        async with desk(style=style) as here:
            for text in typed:
                here.type(text)
                try:
                    messages.append(await here.screen.read())
                except KeyboardInterrupt:
                    messages.append(KeyboardInterrupt)
        return messages

    return asyncio.run(run())


def test_enter_sends_and_a_message_may_have_several_lines() -> None:
    assert read("hello\r") == ["hello"]
    assert read("one\x1b\rtwo\r") == ["one\ntwo"]
    assert read("one\ntwo\r") == ["one\ntwo"]
    assert read("one\\\rtwo\r") == ["one\ntwo"]


def test_a_paste_is_one_block_whatever_line_ends_it_holds() -> None:
    assert read("\x1b[200~one\ntwo\r\nthree\x1b[201~!\r") == ["one\ntwo\nthree!"]


def test_a_large_paste_is_one_word_in_the_line_and_whole_in_the_message() -> None:
    async def run() -> None:
        many = "\n".join(f"line {n}" for n in range(300))
        async with desk() as here:
            here.type(f"see \x1b[200~{many}\x1b[201~, please")
            await here.until("> see [pasted 300 lines], please")
            here.type("\r")
            assert await here.screen.read() == f"see {many}, please"
            shown = await here.until("and 280 more lines")
            assert "line 299" not in shown
            here.type("\x1b[A")
            await here.until("line 299, please")

    asyncio.run(run())


def test_control_c_clears_the_line_and_leaves_an_empty_one() -> None:
    assert read("half a thought\x03another\r") == ["another"]
    assert read("\x03", "said after all\r") == [KeyboardInterrupt, "said after all"]


def test_control_d_in_an_empty_line_is_the_end() -> None:
    assert read("\x04") == [None]
    assert read("ab\x01\x04\r") == ["b"]


def test_an_arrow_brings_the_last_message_back_and_control_r_finds_an_older_one() -> None:
    async def run() -> None:
        async with desk() as here:
            here.type("find me\rother\r")
            assert [await here.screen.read(), await here.screen.read()] == ["find me", "other"]
            await here.until("> other\n>")
            here.type("\x1b[A")
            await here.until(lambda: here.screen.buffer.text == "other")
            here.type("\x15\x12fi")
            await here.until("search back: fi")
            here.type("\r\r")
            assert await here.screen.read() == "find me"

    asyncio.run(run())


def test_vi_keys_edit_the_line_where_they_are_wanted() -> None:
    assert read("one two\x1b0dwi\r", style="vi") == ["two"]


def test_what_is_finished_stands_above_and_the_line_stays_at_the_foot() -> None:
    async def run() -> None:
        async with desk() as here:
            here.type("a draft")
            await here.until("> a draft")
            here.outlet.write("one\ntwo\n")
            shown = await here.until("two")
            assert shown == "one\ntwo\n> a draft\nstatus 0"
            here.outlet.write("no end of line")
            here.outlet.write(" yet")
            here.outlet.end_line()
            assert await here.until("yet") == ("one\ntwo\nno end of line yet\n> a draft\nstatus 0")

    asyncio.run(run())


def test_a_picture_is_one_synchronized_write() -> None:
    async def run() -> None:
        async with desk() as here:
            await here.until("status 0")
            here.raw.clear()
            here.outlet.write("one\n")
            await here.until("one")
            assert here.raw.startswith(b"\x1b[?2026h")
            assert here.raw.endswith(b"\x1b[?2026l")
            assert here.raw.count(b"\x1b[?2026h") == 1

    asyncio.run(run())


@pytest.mark.parametrize(("environ", "reflows"), [({}, True), ({"XTERM_VERSION": "390"}, False)])
def test_a_foot_that_a_narrower_window_broke_anew_is_erased_whole(
    environ: dict[str, str], reflows: bool
) -> None:
    async def run() -> None:
        async with desk(environ=environ) as here:
            here.type("x" * 50)
            await here.until("x" * 50)
            here.raw.clear()
            termios.tcsetwinsize(here.fd, (24, 20))
            os.kill(os.getpid(), signal.SIGWINCH)
            await here.until(lambda: bool(here.raw))
            begun = bytes(here.raw).removeprefix(b"\x1b[?2026h")
            assert begun.startswith(b"\x1b[2A") == reflows

    asyncio.run(run())


def test_of_a_draft_that_was_broken_anew_what_stands_behind_the_cursor_is_below_it() -> None:
    async def run() -> None:
        async with desk() as here:
            here.type("x" * 50 + "\x01")
            await here.until(lambda: here.screen.buffer.cursor_position == 0)
            await here.until("x" * 50)
            here.raw.clear()
            termios.tcsetwinsize(here.fd, (24, 20))
            os.kill(os.getpid(), signal.SIGWINCH)
            await here.until(lambda: bool(here.raw))
            # Up by the empty row above the line, and by nothing of what was printed.
            assert bytes(here.raw).removeprefix(b"\x1b[?2026h").startswith(b"\x1b[2D\x1b[A\x1b[")

    asyncio.run(run())


def test_in_a_window_that_is_being_dragged_nothing_is_drawn_until_it_rests() -> None:
    async def run() -> None:
        async with desk() as here:
            here.type("x" * 50)
            await here.until("x" * 50)
            here.raw.clear()
            for columns in (50, 40, 30, 20):
                termios.tcsetwinsize(here.fd, (24, columns))
                os.kill(os.getpid(), signal.SIGWINCH)
                here.outlet.write(f"one {columns}\n")
                here.type("y")
                await asyncio.sleep(0.02)
                here.look()
                assert not here.raw
            await here.until(lambda: b"status" in here.raw)
            drawn = bytes(here.raw)
            assert drawn.removeprefix(b"\x1b[?2026h").startswith(b"\x1b[2A")
            assert [drawn.count(f"one {n}\r\n".encode()) for n in (50, 40, 30, 20)] == [1] * 4
            assert drawn.count(b"\x1b[?2026h") == 1

    asyncio.run(run())


def test_a_question_does_not_wait_for_a_window_that_is_being_dragged() -> None:
    async def run() -> None:
        async with desk() as here:
            here.type("x" * 50)
            await here.until("x" * 50)
            here.type("\x01\x0b")
            await here.until(lambda: not here.screen.buffer.text)
            termios.tcsetwinsize(here.fd, (24, 20))
            os.kill(os.getpid(), signal.SIGWINCH)
            here.outlet.write("before\n")
            async with here.screen.aside():
                here.look()
                assert b"before\r\n" in here.raw
                here.outlet.write("asked\n")
            shown = await here.until("status")
            assert shown.index("asked") < shown.index("status")

    asyncio.run(run())


def test_a_foot_on_a_screen_of_another_width_is_erased_whole_before_the_signal_comes() -> None:
    async def run() -> None:
        async with desk() as here:
            here.type("x" * 50)
            await here.until("x" * 50)
            here.raw.clear()
            termios.tcsetwinsize(here.fd, (24, 20))
            here.outlet.write("one\n")
            await here.until(lambda: b"one" in here.raw)
            begun = bytes(here.raw).removeprefix(b"\x1b[?2026h")
            assert begun.startswith(b"\x1b[2A")

    asyncio.run(run())


def test_what_is_sent_while_it_works_waits_is_shown_and_can_be_taken_back() -> None:
    async def run() -> None:
        async with desk() as here:
            here.talk.busy = True
            here.type("first\rsec\nond\rthird\r")
            shown = await here.until("1 more queued")
            assert "queued first\nqueued sec ond\n" in shown
            assert "status 3" in shown
            here.type("\x1b[A")
            await here.until("> third")
            here.type(", changed\r")
            await here.until("status 3")
            here.type("\x1b")
            await here.until("> third, changed")
            assert [await here.screen.read(), await here.screen.read()] == ["first", "sec\nond"]
            assert "> first\n> sec\n. ond\n" in await here.until("status 0")

    asyncio.run(run())


def test_so_many_messages_wait_and_no_more_and_nothing_that_was_typed_is_lost() -> None:
    async def run() -> None:
        async with desk() as here:
            here.talk.busy = True
            for number in range(20):
                here.type(f"number {number}\r")
            await here.until("status 20")
            here.type("one too many\r\r")
            shown = await here.until("20 messages of 170 characters wait already")
            assert shown.count("wait already") == 1
            assert here.screen.buffer.text == "one too many"
            here.type("\x15/cost\r")
            await here.until(lambda: here.talk.did == ["/cost"])
            here.type("one too many")
            assert await here.screen.read() == "number 0"
            here.type("\r")
            await here.until("status 20")
            assert [await here.screen.read() for _ in range(20)][-1] == "one too many"

    asyncio.run(run())


def test_what_waits_may_be_so_large_together_and_one_alone_as_large_as_it_is() -> None:
    async def run() -> None:
        async with desk() as here:
            here.talk.busy = True
            here.screen.paste("x" * 1_200_000)
            here.type("\r")
            await here.until("status 1")
            here.type("more\r")
            await here.until("1 message of 1,200,000 characters wait")
            assert here.screen.buffer.text == "more"
            here.type("\x15\x1b")
            await here.until("status 0")
            assert len(await sent(here)) == 1_200_000

    async def sent(here: Desk) -> str:
        here.type("\r")
        text = await here.screen.read()
        assert text is not None
        return text

    asyncio.run(run())


def test_what_is_sent_after_the_end_was_asked_for_is_said_before_it() -> None:
    async def run() -> list[str | None]:
        async with desk() as here:
            here.talk.busy = True
            here.type("\x04\x04and this\r")
            await here.until("queued and this")
            return [await here.screen.read(), await here.screen.read()]

    assert asyncio.run(run()) == ["and this", None]


def test_a_command_that_only_shows_something_does_not_wait() -> None:
    async def run() -> None:
        async with desk() as here:
            here.talk.busy = True
            here.type("first\r/cost\r")
            await here.until(lambda: here.talk.did == ["/cost"])
            assert "> /cost\nqueued first\n" in await here.until("status 1")
            here.talk.busy = False
            assert await here.screen.read() == "first"

    asyncio.run(run())


def test_esc_and_control_c_interrupt_with_the_draft_and_what_waits_kept() -> None:
    async def run() -> None:
        async with desk() as here:
            here.talk.busy = True
            here.type("my draft\x1b")
            await here.until(lambda: here.talk.did == ["interrupt"])
            here.type("\x03")
            await here.until(lambda: here.talk.did == ["interrupt"] * 2)
            assert "> my draft" in here.shown()
            here.talk.stops = False
            here.type("\x15waits\r")
            await here.until("queued waits")
            here.type("\x03")
            await here.until("> waits")
            assert here.talk.did == ["interrupt"] * 3 + ["leave"]

    asyncio.run(run())


def test_control_c_right_behind_esc_does_not_leave_a_step_that_still_ends() -> None:
    async def run() -> None:
        async with desk() as here:
            here.talk.busy = True
            here.type("my draft\x1b")
            await here.until(lambda: here.talk.did == ["interrupt"])
            here.talk.stops = False
            here.type("\x03")
            await here.until(lambda: here.talk.did == ["interrupt"] * 2)
            assert "> my draft" in here.shown()
            here.type("\x03")
            await here.until(lambda: here.talk.did == ["interrupt"] * 3 + ["leave"])

    asyncio.run(run())


def test_esc_twice_brings_the_last_message_to_be_said_in_its_place() -> None:
    async def run() -> None:
        async with desk() as here:
            here.talk.last = "helo"
            here.type("\x1b\x1b")
            await here.until("instead> helo")
            here.type("\x7flo\r")
            said = await here.screen.read()
            assert said == "hello"
            assert isinstance(said, Resent)
            here.type("\x1b\x1b")
            await here.until("instead> helo")
            here.type("\x03new\r")
            said = await here.screen.read()
            assert said == "new"
            assert not isinstance(said, Resent)

    asyncio.run(run())


def test_a_message_in_the_place_of_the_last_stays_one_when_it_comes_back() -> None:
    async def run() -> None:
        async with desk() as here:
            here.screen.offer(Resent("not sent"))
            await here.until("instead> not sent")
            here.type("\r")
            assert isinstance(await here.screen.read(), Resent)
            here.talk.busy = True
            here.screen.offer(Resent("queued"))
            here.type("\r")
            await here.until("status 1")
            here.type("\x1b")
            await here.until("instead> queued")
            here.type("\x03")
            here.talk.busy = False
            here.type("\x03\x03another\r")
            while (said := await sent(here)) is None:
                pass
            assert not isinstance(said, Resent)

    async def sent(here: Desk) -> str | None:
        try:
            return await here.screen.read()
        except KeyboardInterrupt:
            return None

    asyncio.run(run())


def test_a_question_takes_the_terminal_and_the_draft_comes_back() -> None:
    async def run() -> None:
        async with desk() as here:
            here.type("a draft")
            await here.until("> a draft")
            async with here.screen.aside():
                shown = here.shown()
                assert "draft" not in shown
                assert "status" not in shown
                here.outlet.write_now("Really? ")
            assert await here.until("status 0") == "Really?\n> a draft\nstatus 0"

    asyncio.run(run())


def test_what_was_typed_in_another_encoding_is_a_message_all_the_same() -> None:
    assert read("caf\udce9\r") == ["caf?"]


@pytest.mark.parametrize("typed", ["a draft", "\x12looked for"])
def test_a_question_waits_while_somebody_types(typed: str) -> None:
    clock = [100.0]

    async def run() -> None:
        async with desk(now=lambda: clock[0]) as here:
            here.type(typed)
            await here.until(typed.removeprefix("\x12"))
            taken = asyncio.Event()

            async def ask() -> None:
                async with here.screen.aside():
                    taken.set()

            async with asyncio.TaskGroup() as group:
                group.create_task(ask())
                clock[0] += 0.3
                here.type(", more")
                await here.until(", more")
                clock[0] += 0.3
                here.type("!")
                await here.until(", more!")
                assert not taken.is_set()
                clock[0] += 0.5
                await taken.wait()

    asyncio.run(run())


def test_an_enter_by_habit_behind_an_answer_does_not_send_the_draft() -> None:
    clock = [100.0]

    async def run() -> None:
        async with desk(now=lambda: clock[0]) as here:
            here.talk.busy = True
            here.type("a draft")
            await here.until("> a draft")
            clock[0] += 1
            async with here.screen.aside():
                clock[0] += 1
            clock[0] += 0.1
            here.type("\r!")
            await here.until("> a draft!")
            assert "status 0" in here.shown()
            here.type("\r")
            await here.until("queued a draft!")

    asyncio.run(run())


def test_what_the_completion_knows_is_offered_under_the_line() -> None:
    async def run() -> None:
        async with desk() as here:
            here.type("/m")
            await here.until("which answers")
            here.type("\t\r")
            assert await here.screen.read() == "/model "

    asyncio.run(run())


def test_what_is_under_way_stands_above_the_line() -> None:
    async def run() -> None:
        async with desk() as here:
            here.live.work("thinking", 0.0)
            lines = (await here.until("thinking")).split("\n")
            assert ["thinking" in line for line in lines] == [True, False, False]
            here.live.rest()
            await here.until(lambda: "thinking" not in here.shown())

    asyncio.run(run())


def test_the_message_is_written_in_the_users_own_editor(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf " and more\\nlines\\n" >> "$1"\n')
    editor.chmod(0o755)

    async def run() -> None:
        environ = {"EDITOR": str(editor), "PATH": os.environ["PATH"]}
        async with desk(environ=environ) as here:
            here.type("a draft\x18\x05")
            await here.until(". lines")
            here.type("\r")
            assert await here.screen.read() == "a draft and more\nlines"
        async with desk() as here:
            here.type("\x07")
            await here.until("set $VISUAL or $EDITOR")

    asyncio.run(run())


def same(path: Path, picture: Path) -> None:
    assert path.read_bytes() == picture.read_bytes()
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_picture_comes_from_the_clipboard_where_the_desktop_gives_one(tmp_path: Path) -> None:
    program, picture = tmp_path / "xclip", tmp_path / "picture"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n and more")
    program.write_text(f"#!/bin/sh\ncat {picture}\n")
    program.chmod(0o755)

    async def run() -> None:
        environ = {"PATH": f"{tmp_path}:/bin:/usr/bin", "DISPLAY": ":0"}
        async with desk(environ=environ) as here:
            here.type("see \x16")
            await here.until(lambda: "picture-" in here.screen.buffer.text)
            path = Path(here.screen.buffer.text.removeprefix("see @").strip())
            await asyncio.to_thread(same, path, picture)
            program.write_text("#!/bin/sh\necho text\n")
            here.type("\x1b[200~\x1b[201~")
            await here.until("there is no picture in the clipboard")
        assert not path.parent.exists()
        async with desk(environ={"PATH": ""}) as here:
            here.type("\x16")
            await here.until("wl-paste, xclip or pngpaste")

    asyncio.run(run())


def test_a_terminal_that_is_gone_is_the_end_of_input() -> None:
    async def run() -> None:
        async with desk() as here:
            here.keys.close()
            assert await here.screen.read() is None

    asyncio.run(run())


def test_a_long_draft_scrolls_in_two_thirds_of_the_screen() -> None:
    async def run() -> None:
        async with desk() as here:
            here.outlet.write("above\n")
            here.type("\n".join(f"row {number}" for number in range(40)))
            shown = (await here.until("row 39")).split("\n")
            assert shown[0] == "above"
            assert shown[-1] == "status 0"
            assert len(shown) == 16 + 2

    asyncio.run(run())
