"""`agent-host servers login` and `logout`, as a person runs them."""

import sys

import httpx2
import pytest

from tests.fakes.authorization_server import protected
from tests.fakes.ptys import Terminal

BROWSER = """#!{python}
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=20).read()
"""


@pytest.fixture
def at_terminal(tmp_path, project):
    """Run a command at a terminal, with a browser that does what it is told."""
    script = tmp_path / "browser"
    script.write_text(BROWSER.format(python=sys.executable))
    script.chmod(0o755)
    more = {"BROWSER": str(script), "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}

    def start(*arguments):
        return Terminal(*arguments, cwd=project, environ=more, columns=200, lines=40)

    return start


def config(project, world, more=""):
    (project / "servers.toml").write_text(f'[servers.crm]\nurl = "{world.url}"\n{more}')


def test_a_login_in_the_browser_and_a_logout(project, at_terminal):
    with protected() as world:
        config(project, world)
        with at_terminal("servers", "login", "crm", "--trust", "--scope", "write") as terminal:
            text = terminal.wait("kept in")
            assert terminal.exit_status() == 0
        assert f"logged in to crm at {world.issuer}" in text
        assert "good for 60 minutes, and is renewed by itself" in text
        assert world.forms("/authorize")[0]["scope"] == "basic write"
        assert [path.suffix for path in (project / "data").rglob("*.json")] == [".json"]
        secrets = [*world.tokens, *world.refreshes]
        assert all(secret not in text for secret in secrets)
        with at_terminal("servers", "list", "--trust") as terminal:
            assert "connected" in terminal.wait("connected")
            assert terminal.exit_status() == 0
        with at_terminal("servers", "logout", "crm", "--trust") as terminal:
            terminal.wait("logged out of crm")
            assert terminal.exit_status() == 0
        assert [*(project / "data").rglob("*.json")] == []
        assert {form["token"] for form in world.forms("/revoke")} == set(secrets)
        with at_terminal("servers", "logout", "crm", "--trust") as terminal:
            terminal.wait("nobody was logged in to crm")
            assert terminal.exit_status() == 0


def test_a_logout_says_how_long_a_token_that_cannot_be_taken_back_is_good(project, at_terminal):
    with protected("structured") as world:
        config(project, world)
        with at_terminal("servers", "login", "crm", "--trust") as terminal:
            assert terminal.exit_status() == 0
        with at_terminal("servers", "logout", "crm", "--trust") as terminal:
            text = terminal.wait("it ends in 60 minutes")
            assert terminal.exit_status() == 0
        assert "could not be told" not in text
        assert all(refresh["used"] for refresh in world.refreshes.values())


def test_without_a_browser_the_address_is_pasted(project, at_terminal):
    with protected() as world:
        config(project, world)
        arguments = ("servers", "login", "crm", "--trust", "--no-browser")
        with at_terminal(*arguments) as terminal:
            text = terminal.wait("Paste that address here:")
            page = "".join(text.split("open this page of", 1)[1].split("After")[0].split()[1:])
            ended_at = httpx2.get(page, follow_redirects=False).headers["location"]
            terminal.keys("nonsense\r")
            terminal.wait("That is not it")
            terminal.keys(ended_at + "\r")
            terminal.wait("logged in to crm")
            assert terminal.exit_status() == 0


def test_ctrl_c_ends_a_login(project, at_terminal):
    with protected() as world:
        config(project, world)
        arguments = ("servers", "login", "crm", "--trust", "--no-browser")
        with at_terminal(*arguments) as terminal:
            terminal.wait("Paste that address here:")
            terminal.keys("\x03")
            assert terminal.exit_status() == 130
        assert [*(project / "data").rglob("*.json")] == []


def test_in_a_script_a_login_says_what_to_do(project, cli):
    with protected() as world:
        config(project, world)
        done = cli("servers", "login", "crm", "--trust")
        assert done.returncode == 8
        assert "run `agent-host servers login crm` at a terminal" in done.stderr
        assert world.asked == []
        for command in (("list",), ("call", "any")):
            done = cli("tools", *command, "--trust")
            assert (done.returncode, done.stdout) == (8, "")
            assert "`agent-host servers login crm`" in done.stderr


def test_a_machine_logs_in_in_a_script(project, cli):
    with protected() as world:
        world.clients["robot"] = {"client_secret": "hunter2"}
        config(
            project,
            world,
            'auth = { type = "client-credentials", client_id = "robot", '
            'client_secret = "${env:SECRET}" }\n',
        )
        keyring = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
        done = cli("servers", "login", "crm", "--trust", SECRET="hunter2", **keyring)
        assert (done.returncode, done.stdout) == (0, f"logged in to crm at {world.issuer}\n")
        bad = cli("servers", "login", "crm", "--trust", SECRET="wr0ng-secret", **keyring)
        assert bad.returncode == 5
        assert "invalid_client" in bad.stderr
        assert "wr0ng-secret" not in bad.stderr
        world.modes.add("revoke_500")
        out = cli("servers", "logout", "crm", "--trust", SECRET="hunter2", **keyring)
        assert (out.returncode, out.stdout) == (0, "logged out of crm\n")
        assert "could not be told" in out.stderr


def test_what_has_no_login_says_so(project, cli):
    (project / "servers.toml").write_text(
        '[servers.local]\ncommand = "true"\n'
        '[servers.keyed]\nurl = "http://127.0.0.1:1/mcp"\n'
        'headers = { Authorization = "Bearer x" }\n'
        '[servers.gone]\nurl = "http://127.0.0.1:1/mcp"\n'
        'auth = { type = "client-credentials", client_id = "a", client_secret = "${env:HOME}" }\n'
    )
    local = cli("servers", "login", "local", "--trust")
    assert (local.returncode, "a program on this machine" in local.stderr) == (2, True)
    keyed = cli("servers", "login", "keyed", "--trust")
    assert (keyed.returncode, "remove that header" in keyed.stderr) == (2, True)
    gone = cli("servers", "login", "gone", "--trust")
    assert (gone.returncode, "cannot reach gone" in gone.stderr) == (5, True)
    assert cli("servers", "login", "nobody", "--trust").returncode == 2


def test_a_server_that_asks_for_no_login_is_left_alone(project, at_terminal):
    with protected("open", "no_prm") as world:
        config(project, world)
        with at_terminal("servers", "login", "crm", "--trust") as terminal:
            terminal.wait("crm asks for no login")
            assert terminal.exit_status() == 0
        # One that publishes where to log in can be logged in to, for what needs it.
        world.modes.discard("no_prm")
        with at_terminal("servers", "login", "crm", "--trust") as terminal:
            terminal.wait("logged in to crm")
            assert terminal.exit_status() == 0


def test_a_person_who_says_no_is_not_logged_in(project, at_terminal):
    with protected("deny") as world:
        config(project, world)
        with at_terminal("servers", "login", "crm", "--trust") as terminal:
            terminal.wait("the login was refused: access_denied")
            assert terminal.exit_status() == 8


def test_a_token_that_the_server_does_not_take_is_no_login(project, at_terminal):
    with protected("always_401") as world:
        config(project, world)
        with at_terminal("servers", "login", "crm", "--trust") as terminal:
            terminal.wait("does not take the token that was issued")
            assert terminal.exit_status() == 5


def test_a_run_whose_every_server_needs_a_login_says_so_by_its_status(project, cli):
    with protected() as world:
        config(project, world)
        done = cli("run", "--trust", "--model", "offline", "hello")
        assert done.returncode == 8, done.stderr
        assert "agent-host servers login crm" in done.stderr
        config(project, world, '\n[servers.gone]\ncommand = "no-such-program"\n')
        assert cli("run", "--trust", "--model", "offline", "hello").returncode == 5
