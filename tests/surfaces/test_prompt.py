import asyncio
import contextlib
import os
import stat
import tty
from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from agent_host.surfaces.completion import Completion, Offers
from agent_host.surfaces.prompt import LineCompleter, history_at
from agent_host.surfaces.prompt_lines import PromptLines
from agent_host.surfaces.steady import TerminalWriter
from tests.fakes.offers import Servers

COMPLETER = LineCompleter(
    Completion((("/help", "help"), ("/model", "models")), lambda _: (), Offers(Servers()))
)


@contextlib.contextmanager
def typing() -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


def test_what_the_completion_knows_is_offered_in_the_line() -> None:
    async def complete(text: str) -> list[tuple[str, int]]:
        found = COMPLETER.get_completions_async(Document(text), CompleteEvent())
        return [(c.text, c.start_position) async for c in found]

    assert asyncio.run(complete("/mo")) == [("/model ", -3)]
    assert list(COMPLETER.get_completions(Document("/mo"), CompleteEvent())) == []


def test_the_history_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history"
    history_at(path).append_string("hello")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    assert list(history_at(path).load_history_strings()) == ["hello"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_history_that_cannot_be_kept_is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert isinstance(history_at(tmp_path / "file" / "history"), InMemoryHistory)


def test_an_answer_is_a_line_and_the_end_of_input_none() -> None:
    with typing() as keys:
        lines = PromptLines(interrupt=lambda: None)
        keys.send_text("y\r")
        assert asyncio.run(lines.ask("? ")) == "y"
        keys.send_text("\x04")
        assert asyncio.run(lines.ask("? ")) is None


def test_an_edit_starts_from_the_text_and_can_be_given_up() -> None:
    with typing() as keys:
        lines = PromptLines(interrupt=lambda: None)
        keys.send_text("\x7f\x7f2}\r")
        assert asyncio.run(lines.edit('{"a": 1}')) == '{"a": 2}'
        keys.send_text("\x03")
        assert asyncio.run(lines.edit('{"a": 1}')) is None
        keys.send_text("\x15 \r")
        assert asyncio.run(lines.edit('{"a": 1}')) is None
        keys.send_text("x\x03y\r")
        assert asyncio.run(lines.ask("? ")) == "y"
        keys.send_text("\x15\x04")
        assert asyncio.run(lines.edit("")) is None


def test_control_c_in_a_question_interrupts_the_step_and_is_no_yes() -> None:
    interrupted: list[bool] = []
    with typing() as keys:
        lines = PromptLines(interrupt=lambda: interrupted.append(True), grace=0.0)
        keys.send_text("\x03")
        assert asyncio.run(lines.ask("? ")) is None
    assert interrupted == [True]


def test_what_prompt_toolkit_kept_for_the_next_prompt_is_forgotten() -> None:
    with typing() as keys:
        lines = PromptLines(interrupt=lambda: None)
        keys.send_text("one\ry\ry\r")
        assert asyncio.run(lines.ask("? ")) == "one"
        lines.discard_typed_ahead()
        keys.send_text("n\r")
        assert asyncio.run(lines.ask("? ")) == "n"


def test_a_field_is_typed_over_what_is_there_and_a_backslash_is_one() -> None:
    with typing() as keys:
        lines = PromptLines(interrupt=lambda: None)
        keys.send_text("\x7fz\\\r")
        assert asyncio.run(lines.type_in("name: ", text="bob")) == "boz\\"
        keys.send_text("hunter2\r")
        assert asyncio.run(lines.type_in("password: ", hidden=True)) == "hunter2"
        keys.send_text("y\r")
        assert asyncio.run(lines.ask("? ")) == "y"
        keys.send_text("\x04")
        assert asyncio.run(lines.type_in("name: ")) is None


def test_control_c_in_a_field_gives_up_even_what_is_typed() -> None:
    interrupted: list[bool] = []
    with typing() as keys:
        lines = PromptLines(interrupt=lambda: interrupted.append(True), grace=0.0)
        keys.send_text("half\x03")
        assert asyncio.run(lines.type_in("name: ")) is None
    assert interrupted == [True]


def test_a_field_is_typed_at_a_terminal_that_does_not_read_and_is_drawn_later() -> None:
    async def run() -> tuple[str | None, bytes]:
        controller, ours = os.openpty()
        tty.setraw(ours)
        stream = os.fdopen(ours, "w", encoding="utf-8")
        writer = TerminalWriter(stream)
        writer.write("x" * 200_000)
        keys.send_text("Ann\r")
        said = await PromptLines(interrupt=lambda: None, writer=writer).type_in("name: ")
        got, read = b"", asyncio.get_running_loop().run_in_executor
        while b"name: " not in got:
            got += await read(None, os.read, controller, 65536)
        writer.close()
        stream.close()
        os.close(controller)
        return said, got

    with typing() as keys:
        said, got = asyncio.run(asyncio.wait_for(run(), 10))
    assert said == "Ann"
    assert got.startswith(b"x" * 200_000)
