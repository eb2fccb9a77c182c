"""A servers.toml that changes while a chat goes on, in a real terminal."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fakes.ptys import Terminal
from tests.journeys.stage import stage

DEMO = '\n[servers.desk]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
EVIL = '\n[servers.evil]\ncommand = "touch"\nargs = [{mark}]\n'


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Terminal]:
    stage(tmp_path, {"say": "Hello."}, {"say": "Hello again."})
    with Terminal("chat", "--trust", cwd=tmp_path) as terminal:
        terminal.wait("/help")
        terminal.wait(lambda text: bool(re.search(r"^>", text, re.MULTILINE)))
        yield terminal


def add(folder: Path, text: str) -> None:
    config = folder / "servers.toml"
    config.write_text(config.read_text() + text)


def test_a_change_is_told_once_and_used_only_when_the_user_says_so(
    chat: Terminal, tmp_path: Path
) -> None:
    add(tmp_path, EVIL.format(mark=json.dumps(str(tmp_path / "pwned"))))
    chat.keys("hi\r")
    chat.wait("servers.toml changed; /reload takes over its servers")
    chat.wait("Hello.")
    chat.keys("hi\r")
    text = chat.wait("Hello again.")
    assert text.count("servers.toml changed") == 1
    assert not (tmp_path / "pwned").exists()


def test_what_nobody_trusted_is_not_started_though_the_chat_was_begun_with_trust(
    chat: Terminal, tmp_path: Path
) -> None:
    add(tmp_path, EVIL.format(mark=json.dumps(str(tmp_path / "pwned"))))
    chat.keys("/reload\r")
    text = chat.wait("not trusted yet")
    assert "servers.evil" in text
    assert "evil " not in chat.repeat("/servers\r", "up after")
    assert not (tmp_path / "pwned").exists()


def test_a_server_that_is_taken_out_ends_and_one_that_is_put_in_starts(
    chat: Terminal, tmp_path: Path
) -> None:
    [keeper] = psutil.Process(chat.pid).children()
    trusting = Terminal("trust", "--yes", cwd=tmp_path)
    with trusting:
        assert trusting.exit_status() == 0
    config = tmp_path / "servers.toml"
    before, _, policy = config.read_text().partition("[servers.shop]")
    config.write_text(before + "[[policy.rules]]" + policy.partition("[[policy.rules]]")[2] + DEMO)
    chat.keys("/reload\r")
    text = chat.wait("removed: shop")
    assert "added: desk" in text
    gone, _ = psutil.wait_procs([keeper], timeout=10)
    assert gone
    chat.repeat("/tools\r", "get_order")


def test_a_file_that_cannot_be_used_changes_nothing(chat: Terminal, tmp_path: Path) -> None:
    add(tmp_path, "\n[servers.x]\nurl = 3\n")
    chat.keys("/reload\r")
    chat.wait("nothing was changed: servers.toml:")
    chat.keys("hi\r")
    chat.wait("Hello.")
