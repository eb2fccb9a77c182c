"""Where the prompt of `run` comes from: an argument, standard input, or both."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_host.cli import stdin
from agent_host.cli.stdin import LIMIT, read_prompt
from agent_host.core.errors import UsageError

Feed = Callable[..., None]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Feed:
    """Makes standard input a pipe that holds `data`."""

    def start(data: bytes, *, closed: bool = True) -> None:
        reader, writer = os.pipe()
        file = os.fdopen(reader)
        request.addfinalizer(file.close)
        monkeypatch.setattr(sys, "stdin", file)

        def write() -> None:
            try:
                with os.fdopen(os.dup(writer), "wb") as pipe:
                    pipe.write(data)
            except BrokenPipeError:
                pass
            if closed:
                os.close(writer)

        thread = threading.Thread(target=write)
        thread.start()
        if not closed:
            request.addfinalizer(lambda: os.close(writer))
        request.addfinalizer(thread.join)
        request.addfinalizer(file.close)

    return start


def test_what_is_piped_in_is_the_prompt(feed: Feed) -> None:
    feed("\ufeff Grüße \r\n".encode())
    assert read_prompt(None) == "Grüße"


def test_what_is_piped_in_is_appended_to_the_argument(feed: Feed) -> None:
    feed(b"a\nb\n")
    assert read_prompt(" Sum up: ") == "Sum up:\n\na\nb"


@pytest.mark.parametrize("argument", [None, "", " \n"])
def test_nothing_at_all_is_an_empty_prompt(feed: Feed, argument: str | None) -> None:
    feed(b" \n")
    assert read_prompt(argument) == ""


def test_a_pipe_on_which_nothing_comes_is_left_alone(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stdin, "PATIENCE", 0.01)
    feed(b"", closed=False)
    assert read_prompt("Hi.") == "Hi."
    assert "nothing came on standard input" in capsys.readouterr().err


def test_as_much_as_may_come_is_taken_and_not_a_byte_more(feed: Feed) -> None:
    feed(b"x" * LIMIT)
    assert len(read_prompt(None)) == LIMIT
    feed(b"x" * (LIMIT + 1))
    with pytest.raises(UsageError, match="more than 4 MiB, too much for a prompt"):
        read_prompt("Sum up:")


@pytest.mark.parametrize(("data", "place"), [(b"\xff\xfe", "byte 0"), (b"ok \xc3", "byte 3")])
def test_what_is_no_text_is_refused_with_its_place(feed: Feed, data: bytes, place: str) -> None:
    feed(data)
    with pytest.raises(UsageError, match=rf"not UTF-8 text \({place}\); send text"):
        read_prompt(None)


def test_a_nul_is_no_text(feed: Feed) -> None:
    feed(b"a\0b")
    with pytest.raises(UsageError, match="a NUL character"):
        read_prompt(None)


def test_a_terminal_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"typed\n")
    with os.fdopen(terminal) as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert read_prompt("Hi.") == "Hi."
        assert read_prompt(None) == ""
    os.close(keyboard)


def test_a_file_is_read_and_a_folder_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "prompt"
    path.write_text("From a file.")
    with path.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert read_prompt(None) == "From a file."
    fd = os.open(tmp_path, os.O_RDONLY)

    class Folder:
        def fileno(self) -> int:
            return fd

    monkeypatch.setattr(sys, "stdin", Folder())
    assert read_prompt("Hi.") == "Hi."
    os.close(fd)


def test_without_a_standard_input_the_argument_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert read_prompt("Hi.") == "Hi."
