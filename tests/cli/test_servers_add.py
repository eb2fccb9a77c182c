"""A server is added by its command, URL or registry name, and removed again."""

import json
import socket
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from agent_host.cli.unpinned import warnings_of
from tests.fakes.ptys import Terminal
from tests.fakes.registry_server import Registry, real_entries, serving

DEMO = ("--", sys.executable, "-m", "agent_host", "demo-server")
BASE = '# Ours.\nmodel = "auto"   # any\n\n[servers.other]\ncommand = "touch"\nargs = ["pwned"]\n'


@pytest.fixture
def file(project: Path) -> Path:
    path = project / "servers.toml"
    path.write_text(BASE)
    return path


@pytest.fixture
def own(environment: dict[str, str]) -> Path:
    return Path(environment["HOME"]) / ".config/agent-host/servers.toml"


def servers(path: Path) -> dict:
    return tomllib.loads(path.read_text())["servers"]


def test_a_command_is_added_connected_to_and_trusted(here, file, project):
    done = here("servers", "add", "desk", "--timeout", "60", *DEMO)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "added servers.desk to servers.toml"
    assert lines[1].startswith("connected in ")
    assert "  refund_order" in lines
    assert f"starts: {sys.executable} -m agent_host demo-server" in done.stderr
    assert file.read_text().startswith(BASE)
    assert servers(file)["desk"] == {
        "command": sys.executable,
        "args": ["-m", "agent_host", "demo-server"],
        "timeout": 60,
    }
    assert not (project / "pwned").exists()


def test_what_was_typed_is_trusted_and_nothing_else_of_the_file(here, file, project):
    here("servers", "add", "desk", "--no-test", *DEMO)
    done = here("servers", "test", "desk")
    assert done.returncode == 4
    assert "not trusted yet: servers.other;" in done.stderr
    assert not (project / "pwned").exists()
    file.write_text(file.read_text().replace('"demo-server"', '"demo-server", "--x"'))
    assert "not trusted yet: servers.other, servers.desk;" in here("servers", "list").stderr


def test_the_first_connection_uses_nothing_else_of_a_file_that_nobody_trusted(here, project):
    (project / "token").write_text("x.y.z")
    with socket.create_server(("127.0.0.1", 0)) as issuer:
        issuer.settimeout(0.01)
        (project / "servers.toml").write_text(
            '[identity]\ntoken = "${file:token}"\naudience = "a"\n'
            f'issuer = "http://127.0.0.1:{issuer.getsockname()[1]}"\n'
        )
        done = here("servers", "add", "desk", *DEMO)
        with pytest.raises(TimeoutError):
            issuer.accept()
    assert done.returncode == 0, done.stderr
    assert "connected in" in done.stdout


def test_without_a_project_it_goes_into_the_users_own_file(here, own):
    done = here("servers", "add", "desk", "--no-test", *DEMO)
    assert done.stdout == "added servers.desk to ~/.config/agent-host/servers.toml\n"
    assert list(servers(own)) == ["desk"]


@pytest.mark.parametrize("option", ["--user", "--file", "--config"])
def test_the_file_can_be_said(option, here, file, own, tmp_path):
    other = tmp_path / "x/servers.toml"
    (tmp_path / "x").mkdir()
    other.write_text("")
    more = [option] if option == "--user" else [option, str(other)]
    here("servers", "add", "desk", "--no-test", *more, *DEMO)
    assert "desk" in servers(own if option == "--user" else other)
    assert file.read_text() == BASE


def test_a_dry_run_prints_the_table_and_nothing_else(here, file):
    done = here("servers", "add", "crm", "https://crm.example/mcp", "--sse", "--auth", "oauth",
                "--tools", "get_*", "--tools", "list_*", "--roots", "sub", "--dry-run")  # fmt: skip
    assert tomllib.loads(done.stdout) == {
        "servers": {
            "crm": {
                "url": "https://crm.example/mcp",
                "sse": True,
                "auth": {"type": "oauth"},
                "tools": {"include": ["get_*", "list_*"]},
                "roots": ["sub"],
            }
        }
    }
    assert done.stderr == ""
    assert file.read_text() == BASE


def test_a_dry_run_tells_on_stderr_what_to_know_of_it(here, file):
    done = here("servers", "add", "x", "--env", "XX_KEY=${env:XX_KEY}", "--dry-run",
                "--", "npx", "-y", "some-package")  # fmt: skip
    assert set(tomllib.loads(done.stdout)["servers"]) == {"x"}
    assert "note: x: set the variable XX_KEY where agent-host runs\n" in done.stderr
    assert "note: x: npx starts whatever version of some-package is the newest" in done.stderr
    assert file.read_text() == BASE


def test_options_may_stand_before_the_name_and_between(here, file):
    for words in (
        ("--sse", "crm", "https://crm.example/mcp"),
        ("crm", "--sse", "https://crm.example/mcp"),
    ):
        done = here("servers", "add", *words, "--dry-run")
        assert "sse = true" in done.stdout


def test_what_stands_after_the_dashes_is_the_servers_own(here, file):
    done = here("servers", "add", "x", "--dry-run", "--", "x", "--env", "A=1", "--yes", "--", "y")
    assert tomllib.loads(done.stdout)["servers"]["x"]["args"] == [
        "--env",
        "A=1",
        "--yes",
        "--",
        "y",
    ]


def test_a_url_alone_gets_a_name(here, file):
    done = here("servers", "add", "https://mcp.sentry.dev/mcp", "--dry-run")
    assert done.stdout == '[servers.sentry]\nurl = "https://mcp.sentry.dev/mcp"\n'


def test_a_failing_server_is_added_all_the_same_and_it_is_said(here, file):
    done = here("servers", "add", "gone", "--", "no-such-program")
    assert done.returncode == 5
    assert "added servers.gone" in done.stdout
    assert "it does not work yet: " in done.stderr
    assert "next: agent-host servers test gone says what to do" in done.stderr
    assert "gone" in servers(file)


def test_tested_first_a_failing_server_is_not_added(here, file):
    done = here("servers", "add", "gone", "--test-first", "--", "no-such-program")
    assert done.returncode == 5
    assert done.stderr.endswith("so nothing was written\n")
    assert file.read_text() == BASE
    done = here("servers", "add", "desk", "--test-first", *DEMO)
    assert done.returncode == 0
    assert "desk" in servers(file)


def test_a_variable_that_is_not_set_is_said_before_and_after(here, file):
    done = here("servers", "add", "desk", "--env", "DESK_KEY=${env:DESK_KEY}", *DEMO)
    assert done.returncode == 5
    assert "note: set the variable DESK_KEY where agent-host runs" in done.stderr
    assert "it does not work yet: " in done.stderr
    assert "needs the environment variable DESK_KEY, which is not set; set it" in done.stderr


def test_files_of_this_folder_are_found_from_a_file_elsewhere(here, project, own):
    (project / "server.py").write_text("")
    here("servers", "add", "x", "--user", "--no-test", "--", "python3", "server.py")
    assert servers(own)["x"]["cwd"] == str(project)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("foo", "npx", "-y", "x"), "put -- before it, as in: servers add foo -- npx -y x"),
        (("foo", "--"), "no command after --"),
        ((), "say what to add"),
        (("a", "b", "--", "c"), "say one NAME before --"),
        (("x", "--header", "A=b", "--", "c"), "--header means nothing for a command"),
        (("x", "https://x.example", "--env", "A=b"), "--env means nothing for a URL"),
        (("x", "https://x.example", "--set", "A=b"), "--set means nothing for a URL"),
        (("x", "https://x.example", "--header", "nonsense"), "is not KEY=VALUE"),
        (("x", "--env", "=b", "--", "c"), "is not KEY=VALUE"),
        (("a b", "--", "c"), "is not a name"),
        (("x", "--", "c", "${env:T}"), "must not hold a reference"),
        (("x", "--user", "--config", "f", "--", "c"), "both named"),
        (("other", "--", "c"), 'another server "other" already; choose another name, as other-2'),
        (("x", "ftp://x.example"), "is no URL"),
    ],
)
def test_what_cannot_be_added_is_one_line(words, why, here, file):
    done = here("servers", "add", *words)
    assert done.returncode == 2
    assert why in done.stderr
    assert file.read_text() == BASE


def test_what_is_there_already_is_not_added_twice(here, file):
    done = here("servers", "add", "other", "--", "touch", "pwned")
    assert (done.returncode, done.stdout) == (
        0,
        "servers.toml has servers.other already, as it is\n",
    )
    assert file.read_text() == BASE


def test_a_broken_file_is_left_alone(here, file):
    file.write_text("model = 3\n")
    done = here("servers", "add", "x", "--", "c")
    assert done.returncode == 2
    assert "servers.toml:1: model must be text in quotes" in done.stderr
    assert file.read_text() == "model = 3\n"


# Secrets.


@pytest.mark.parametrize(
    "words",
    [
        ("--env", "GH_TOKEN=hunter2-secret", "--", "c"),
        ("https://u:hunter2-secret@x.example/mcp",),
        ("https://x.example/mcp?api_key=hunter2-secret",),
        ("https://x.example/mcp", "--header", "Authorization: Bearer hunter2-secret"),
        ("https://x.example/mcp", "--header", "X-Api-Key=hunter2-secret"),
    ],
)
def test_a_secret_that_was_typed_is_refused_where_nobody_can_be_asked(words, here, file):
    done = here("servers", "add", "x", *words)
    assert done.returncode == 2
    assert "looks like a secret, which servers.toml does not hold" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert file.read_text() == BASE


def test_a_secret_goes_into_a_file_that_only_its_user_can_read(here, file, environment):
    words = ("--header", "Authorization=Bearer hunter2-secret", "--secrets", "file", "--no-test")
    done = here("servers", "add", "x", "https://x.example/mcp", *words)
    assert done.returncode == 0
    reference = "${file:~/.local/share/agent-host/secrets/x.X_AUTHORIZATION}"
    assert servers(file)["x"]["headers"] == {"Authorization": f"Bearer {reference}"}
    kept = Path(environment["HOME"]) / ".local/share/agent-host/secrets/x.X_AUTHORIZATION"
    assert kept.read_text() == "hunter2-secret\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert "hunter2" not in done.stdout + done.stderr + file.read_text()


def test_a_secret_that_is_kept_already_is_not_overwritten(here, file, environment):
    words = ("--secrets", "file", "--no-test")
    here("servers", "add", "x", "--env", "T_KEY=one", *words, "--", "c")
    here("servers", "remove", "x")
    here("servers", "add", "x", "--env", "T_KEY=two", *words, "--", "c")
    folder = Path(environment["HOME"]) / ".local/share/agent-host/secrets"
    assert {p.name: p.read_text() for p in folder.iterdir()} == {
        "x.T_KEY": "one\n",
        "x.T_KEY-2": "two\n",
    }
    assert servers(file)["x"]["env"]["T_KEY"].endswith("/x.T_KEY-2}")


def test_a_secret_goes_into_the_keyring(cli, file, tmp_path):
    keyring = {
        "PYTHON_KEYRING_BACKEND": "tests.fakes.keyring_memory.Backend",
        "AGENT_HOST_TEST_KEYRING_FILE": str(tmp_path / "ring.json"),
    }
    words = ("--env", "DESK_KEY=hunter2-secret", "--secrets", "keyring")
    done = cli("servers", "add", "desk", *words, *DEMO, **keyring)
    assert done.returncode == 0, done.stderr
    assert "connected in" in done.stdout
    assert servers(file)["desk"]["env"] == {"DESK_KEY": "${keyring:agent-host/desk.DESK_KEY}"}
    ring = json.loads((tmp_path / "ring.json").read_text())
    assert ring == {"agent-host/desk.DESK_KEY": "hunter2-secret"}


def test_without_a_keyring_it_is_said_and_nothing_is_written(cli, file):
    words = ("--env", "DESK_KEY=hunter2-secret", "--secrets", "keyring", "--no-test")
    fail = "keyring.backends.fail.Keyring"
    done = cli("servers", "add", "desk", *words, *DEMO, PYTHON_KEYRING_BACKEND=fail)
    assert done.returncode == 2
    assert "the keyring cannot be used (NoKeyringError); say --secrets file or env" in done.stderr
    assert file.read_text() == BASE


def test_a_variable_alone_is_a_reference_to_the_environment(here, file):
    here("servers", "add", "x", "--env", "T_KEY", "--no-test", "--", "c", T_KEY="hunter2")
    assert servers(file)["x"]["env"] == {"T_KEY": "${env:T_KEY}"}


def test_an_argument_that_looks_like_a_secret_is_told_of(here, file):
    done = here("servers", "add", "x", "--no-test", "--", "c", "--api-key", "hunter2")
    assert "argument 2 looks like a secret: every user of this machine can read" in done.stderr


# At a terminal.


def terminal(project: Path, environment: dict[str, str], *words: str) -> Terminal:
    return Terminal(*words, cwd=project, environ=environment, columns=120, lines=50)


def test_at_a_terminal_it_is_shown_asked_and_written(project, environment, file):
    with terminal(project, environment, "servers", "add", "desk", *DEMO) as screen:
        shown = screen.wait("Add this? [y/N]")
        assert "[servers.desk]" in shown
        assert file.read_text() == BASE
        screen.keys("y\r")
        screen.wait("Add these? [y/N]")
        screen.keys("\r")
        screen.wait("next: agent-host chat")
        assert screen.exit_status() == 0
    assert "desk" in servers(file)
    assert "policy" not in tomllib.loads(file.read_text())


def test_at_a_terminal_no_writes_nothing(project, environment, file):
    with terminal(project, environment, "servers", "add", "desk", *DEMO) as screen:
        screen.wait("Add this? [y/N]")
        screen.keys("\r")
        screen.wait("nothing was written")
        assert screen.exit_status() == 4
    assert file.read_text() == BASE


def test_at_a_terminal_a_secret_is_typed_unseen(project, environment, file):
    words = ("servers", "add", "desk", "--env", "DESK_KEY", "--no-test", *DEMO)
    with terminal(project, environment, *words) as screen:
        screen.wait("[f/e]")
        screen.keys("x\r")
        screen.wait("[f/e]", times=2)
        screen.keys("f\r")
        screen.wait("DESK_KEY, or Enter for later:")
        screen.keys("hunter2-typed\r")
        screen.wait("Add this? [y/N]")
        screen.keys("y\r")
        assert screen.exit_status() == 0
        assert "hunter2" not in screen.raw.decode()
    kept = project / "data/agent-host/secrets/desk.DESK_KEY"
    assert kept.read_text() == "hunter2-typed\n"


def test_hostile_text_is_shown_escaped(here, file):
    done = here("servers", "add", "x", "--no-test", "--", "c", "\x1b[2Jgo\u202eod")
    assert "\x1b" not in done.stderr
    assert "\u202e" not in done.stderr
    assert "\\u{202e}" in done.stderr


# Out again.


def test_removing_undoes_adding_byte_for_byte(here, file):
    here("servers", "add", "desk", "--no-test", *DEMO)
    done = here("servers", "remove", "desk")
    assert done.returncode == 0
    assert done.stdout == "removed servers.desk from servers.toml\n"
    assert "  - [servers.desk]" in done.stderr
    assert "that it was trusted is forgotten" in done.stderr
    assert file.read_text() == BASE


def test_what_was_removed_asks_again_when_it_comes_back(here, file):
    here("servers", "add", "desk", "--no-test", *DEMO)
    text = file.read_text()
    here("servers", "remove", "desk")
    file.write_text(text)
    assert "servers.desk" in here("servers", "list").stderr


def test_what_stays_of_a_removed_server_is_said(here, file, project):
    file.write_text(
        '[servers.crm]\nurl = "https://crm.example"\n'
        'headers = { A = "${file:key}" }\n'
        '[[policy.rules]]\nid = "r"\nserver = "crm"\neffect = "deny"\n'
    )
    (project / "servers.lock").write_text('{"servers": {"crm": {}}}')
    told = here("servers", "remove", "crm").stderr
    assert "rules of policy still name it: r" in told
    assert "servers.lock still remembers its tools" in told
    assert "agent-host servers logout crm forgets tokens" in told
    assert "its secrets stay where they are: file:key" in told


def test_a_server_that_is_not_there_cannot_be_removed(here, file):
    done = here("servers", "remove", "othr")
    assert done.returncode == 2
    assert 'has no server "othr"; did you mean "other"?' in done.stderr
    done = here("servers", "remove", "x", "--user")
    assert "there is no such file" in done.stderr


def test_at_a_terminal_removing_is_asked(project, environment, file):
    with terminal(project, environment, "servers", "remove", "other") as screen:
        screen.wait("Remove this? [y/N]")
        screen.keys("n\r")
        screen.wait("nothing was written")
        assert screen.exit_status() == 4
    assert file.read_text() == BASE


# From the registry.


@pytest.fixture
def registry():
    with serving(Registry()) as served:
        for entry in real_entries():
            served.publish(entry)
        yield served


def added(here, registry: Registry, *words: str, **more: str):
    return here("servers", "add", *words, "--no-test", "--registry", registry.url, **more)


NAMED = "io.modelcontextprotocol.anonymous/brave-search"


def test_an_entry_of_the_registry_becomes_a_table_with_references(here, file, registry):
    done = added(here, registry, NAMED, "--yes", "--offline")
    assert done.returncode != 0  # nothing is on this machine yet
    done = added(here, registry, NAMED, "--yes", PATH="/nonexistent")
    assert done.returncode == 0, done.stderr
    table = servers(file)["brave-search"]
    assert table["command"] == "npx"
    assert table["args"][-1] == "@modelcontextprotocol/server-brave-search@1.0.2"
    assert table["env"] == {"BRAVE_API_KEY": "${env:BRAVE_API_KEY}"}
    assert f"# {NAMED} 1.0.2" in file.read_text()
    assert "it needs the program npx, which is not here" in done.stderr
    assert "set the variable BRAVE_API_KEY" in done.stderr


def test_what_comes_from_the_registry_needs_a_yes(here, file, registry):
    done = added(here, registry, NAMED)
    assert done.returncode == 2
    assert "look at it with --dry-run, then say --yes" in done.stderr
    assert file.read_text() == BASE


def test_a_secret_for_an_entry_is_kept_and_referred_to(here, file, registry):
    words = (NAMED, "--yes", "--set", "BRAVE_API_KEY=hunter2-secret")
    done = added(here, registry, *words)
    assert done.returncode == 2
    assert "BRAVE_API_KEY is a secret; say --secrets keyring or file" in done.stderr
    done = added(here, registry, *words, "--secrets", "file", "--as", "brave")
    assert done.returncode == 0, done.stderr
    assert servers(file)["brave"]["env"]["BRAVE_API_KEY"].startswith("${file:")
    assert "hunter2" not in done.stdout + done.stderr + file.read_text()


def test_a_remote_becomes_a_url(here, file, registry):
    done = added(here, registry, "io.avax/avalanche-docs", "--yes")
    assert done.returncode == 0, done.stderr
    assert servers(file)["avalanche-docs"]["url"] == "https://build.avax.network/api/mcp"


def test_a_server_that_is_called_as_all_are_is_named_after_its_publisher(here, file, registry):
    done = added(here, registry, "io.decisionrules/mcp-server", "--yes")
    assert done.returncode == 0, done.stderr
    assert "decisionrules" in servers(file)


def test_a_second_one_of_the_same_name_is_told_of(here, file, registry):
    added(here, registry, "io.avax/avalanche-docs", "--yes")
    done = added(here, registry, "io.avax/avalanche-docs", "--yes")
    assert "has servers.avalanche-docs already; this one is named avalanche-docs-2" in done.stderr
    assert "avalanche-docs-2" in servers(file)


def test_one_of_several_ways_can_be_chosen(here, file, registry):
    name = "io.modelcontextprotocol.anonymous/hybrid-mcp"
    done = added(here, registry, name, "--package", "remote", "--yes", "--dry-run")
    assert "url = " in done.stdout
    done = added(here, registry, name, "--package", "pypi", "--yes")
    assert "has no pypi; it has npm, remote" in done.stderr


def test_a_name_like_that_of_another_server_is_told_of(here, file, registry):
    registry.publish(
        {
            "name": "io.github.evil/brave-search",
            "description": "x",
            "version": "1.0.0",
            "remotes": [{"type": "streamable-http", "url": "https://evil.example/mcp"}],
        }
    )
    here("servers", "search", "brave", "--registry", registry.url)
    done = added(here, registry, "io.github.evil/brave-search", "--yes")
    assert "other servers end in the same name; is it this one that you mean?" in done.stderr
    assert NAMED in done.stderr


def test_a_deleted_entry_cannot_be_added(here, file, registry):
    registry.mark(NAMED, "deleted", "2026-03-02T00:00:00Z", "malware")
    done = added(here, registry, NAMED, "--yes")
    assert done.returncode == 2
    assert "was deleted from the registry: malware" in done.stderr
    assert file.read_text() == BASE


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("io.nobody/nothing",), "no io.nobody/nothing"),
        ((NAMED, "--version", "9.9.9"), "no version 9.9.9"),
        ((NAMED, "--set", "X=1"), 'has no input "X"'),
        ((NAMED, "--set", "X"), "is not KEY=VALUE"),
        (("io.modelcontextprotocol.anonymous/embedded-mcp",), "says no way to set it up"),
        (("io.github.username/widget-mcp",), "cannot be set up here"),
    ],
)
def test_what_the_registry_does_not_give_is_one_line(words, why, here, file, registry):
    done = added(here, registry, *words, "--yes")
    assert done.returncode == 2
    assert why in done.stderr
    assert file.read_text() == BASE


def test_at_a_terminal_what_an_entry_needs_is_asked(project, environment, file, registry):
    words = ("servers", "add", NAMED, "--no-test", "--registry", registry.url)
    with terminal(project, environment, *words) as screen:
        screen.wait("[f/e]")
        screen.keys("e\r")
        screen.wait("Add this? [y/N]")
        screen.keys("y\r")
        screen.wait("Add these? [y/N]")
        screen.keys("n\r")
        assert screen.exit_status() == 0
    assert servers(file)["brave-search"]["env"] == {"BRAVE_API_KEY": "${env:BRAVE_API_KEY}"}


# What is warned of.


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        ("npx -y @x/server", "as in @x/server@VERSION"),
        ("npx -y @x/server@latest", "as in @x/server@VERSION"),
        ("npx -y server@^1.2.3", "as in server@VERSION"),
        ("npx @x/server@1.2.3", "add -y"),
        ("npx -y -p @x/server start", "as in @x/server@VERSION"),
        ("pnpm dlx server", "as in server@VERSION"),
        ("uvx mcp-server-fetch", "as in mcp-server-fetch@VERSION"),
        ("uv tool run fetch", "as in fetch==VERSION"),
        ("uvx --from fetch>=1 fetch", "as in fetch@VERSION"),
        ("pipx run fetch", "as in fetch==VERSION"),
        ("docker run -i --rm mcp/fetch", "as in mcp/fetch:VERSION"),
        ("docker run -i --rm -e A -v /x:/y mcp/fetch:latest", "as in mcp/fetch:VERSION"),
        ("docker run --rm mcp/fetch:1.0", "add -i"),
        ("docker run -it mcp/fetch:1.0", "leave -t out"),
        ("sh -c x", "is a shell"),
    ],
)
def test_what_is_not_pinned_or_cannot_work_is_warned_of(words, warned):
    command, *args = words.split()
    assert warned in " ".join(warnings_of({"command": command, "args": args}))


@pytest.mark.parametrize(
    "words",
    [
        "npx -y @x/server@1.2.3",
        "npx -y server@1.2.3-beta.1 --port 8",
        "npx -y ./local",
        "uvx mcp-server-fetch@2025.4.7",
        "uvx --from fetch==1.0 fetch",
        "docker run -i --rm mcp/fetch:1.0",
        "docker run -i --rm --env-file x -p 1:2 host:5000/mcp/fetch@sha256:00",
        "node server.js",
    ],
)
def test_what_is_pinned_is_not(words):
    command, *args = words.split()
    assert warnings_of({"command": command, "args": args}) == []


def test_plain_http_to_elsewhere_is_warned_of():
    assert "anybody between" in warnings_of({"url": "http://x.example/mcp"})[0]
    assert warnings_of({"url": "http://127.0.0.1:8/mcp"}) == []
