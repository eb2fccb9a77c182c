"""Commands of a chat that work with servers: a login over HTTP, prompts with their arguments."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.authorization_server import protected
from tests.fakes.ptys import Terminal
from tests.journeys.stage import stage
from tests.journeys.test_chat import prompted, say

BROWSER = """#!{python}
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=20).read()
"""
ROOT = Path(__file__).parents[2]


def crm(folder: Path, url: str) -> dict[str, str]:
    """A config with a server that wants a login; return what makes a browser of a script."""
    stage(folder, {"say": "Hello."})
    with (folder / "servers.toml").open("a") as file:
        file.write(f"\n[servers.crm]\nurl = {json.dumps(url)}\n")
    script = folder / "browser"
    script.write_text(BROWSER.format(python=sys.executable))
    script.chmod(0o755)
    return {"BROWSER": str(script), "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


def test_a_server_is_logged_in_to_from_the_chat_and_is_there_afterwards(tmp_path: Path) -> None:
    with protected() as world:
        environ = crm(tmp_path, world.url)
        with Terminal(
            "chat", "--trust", cwd=tmp_path, environ=environ, columns=100, lines=50
        ) as terminal:
            terminal.wait("crm needs a login")
            say(terminal, "/servers")
            terminal.wait("/login crm")
            say(terminal, "/login crm")
            terminal.wait("logged in to crm")
            terminal.wait("crm is connected, with ")
            terminal.wait(prompted(3))
            say(terminal, "/servers crm")
            terminal.wait(lambda text: bool(re.search(r"^  crm .* connected", text, re.MULTILINE)))
            say(terminal, "/quit")
            assert terminal.exit_status() == 0
            text = terminal.text
        assert not any(secret in text for secret in (*world.tokens, *world.refreshes))


@pytest.fixture(params=[40, 80])
def prompts(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    stage(tmp_path, {"say": "Greeted."})
    with (tmp_path / "servers.toml").open("a") as file:
        file.write(
            f"\n[servers.sdk]\ncommand = {json.dumps(sys.executable)}\n"
            f'args = ["-m", "tests.fakes.sdk_server"]\n'
            f"env = {{ PYTHONPATH = {json.dumps(str(ROOT))} }}\n"
        )
    with Terminal("chat", "--trust", cwd=tmp_path, columns=request.param, lines=50) as terminal:
        terminal.wait(prompted(1))
        yield terminal


def test_a_prompt_is_a_command_and_its_missing_argument_is_asked_for(prompts: Terminal) -> None:
    say(prompts, "/prompts")
    prompts.wait("/sdk:greet")
    say(prompts, "/sdk:greet")
    prompts.wait("who:")
    say(prompts, "Ann")
    prompts.wait("Greet Ann.")
    prompts.wait("[Y/n")
    say(prompts, "")
    prompts.wait("Greeted.")


def test_a_prompt_that_there_is_not_is_said(prompts: Terminal) -> None:
    say(prompts, "/sdk:gret who=Ann")
    prompts.wait("has no prompt 'gret'; did you")
    prompts.wait("greet")
