"""Servers of other applications are shown, picked, and written without their secrets."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.fakes.ptys import Terminal

DATA = Path(__file__).parents[1] / "data/importers"
BASE = '# Ours.\n[servers.github]\ncommand = "our-github"\n'


@pytest.fixture
def home(environment: dict[str, str]) -> Path:
    """A home with the files of four applications."""
    home = Path(environment["HOME"])
    for name, place in (
        ("claude_desktop_config.json", ".config/Claude/claude_desktop_config.json"),
        ("codex_config.toml", ".codex/config.toml"),
        ("goose_config.yaml", ".config/goose/config.yaml"),
        ("vscode_settings.json", ".config/Code/User/settings.json"),
    ):
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / name, home / place)
    return home


@pytest.fixture
def file(project: Path) -> Path:
    path = project / "servers.toml"
    path.write_text(BASE)
    return path


def servers(path: Path) -> dict:
    return tomllib.loads(path.read_text())["servers"]


def test_all_that_is_found_is_shown_and_written_without_secrets(here, home, file):
    done = here("servers", "import", "--yes")
    assert done.returncode == 0, done.stderr
    assert "added 13 servers to servers.toml" in done.stdout
    written = servers(file)
    assert written["github"] == {"command": "our-github"}
    assert written["github-claude-desktop"]["command"] == "docker"
    assert written["github-goose"]["command"] == "npx"
    assert written["postgres"]["enabled"] is False
    assert file.read_text().startswith(BASE)
    everything = done.stdout + done.stderr + file.read_text()
    assert "anary" not in everything
    assert "developer  left out: is a part of goose itself" in done.stderr


def test_only_what_was_shown_is_trusted(here, home, file):
    here("servers", "import", "--yes")
    assert "not trusted yet: servers.github;" in here("servers", "list").stderr


def test_nothing_is_written_without_a_yes(here, home, file):
    done = here("servers", "import")
    assert done.returncode == 2
    assert "look at it with --dry-run, then say --yes" in done.stderr
    assert file.read_text() == BASE


def test_a_dry_run_prints_tables_alone(here, home, file):
    done = here("servers", "import", "codex", "--dry-run")
    assert set(tomllib.loads(done.stdout)["servers"]) == {"context7", "figma", "off"}
    assert "note: off: is switched off there, so it is here\n" in done.stderr
    assert file.read_text() == BASE


def test_importing_twice_adds_nothing(here, home, file):
    here("servers", "import", "codex", "--yes")
    text = file.read_text()
    done = here("servers", "import", "codex", "--yes")
    assert done.returncode == 0
    assert done.stderr.endswith("there is nothing to import\n")
    assert file.read_text() == text


def test_names_can_be_picked(here, home, file):
    here("servers", "import", "--only", "fig*", "--only", "fetch", "--yes")
    assert set(servers(file)) == {"github", "figma", "fetch"}
    done = here("servers", "import", "--only", "nobody", "--yes")
    assert done.returncode == 2
    assert "no server has such a name; there are: filesystem" in done.stderr


def test_secrets_go_where_it_is_said(here, home, file):
    done = here("servers", "import", "--only", "sentry", "--secrets", "file", "--yes")
    assert done.returncode == 0, done.stderr
    reference = servers(file)["sentry"]["headers"]["Authorization"]
    assert reference == (
        "Bearer ${file:~/.local/share/agent-host/secrets/sentry.SENTRY_AUTHORIZATION}"
    )
    kept = home / ".local/share/agent-host/secrets/sentry.SENTRY_AUTHORIZATION"
    assert kept.read_text() == "sntryu_canarycanarycanary0002\n"
    assert "anary" not in done.stdout + done.stderr


def test_a_server_starts_in_the_folder_of_its_project(here, project, environment, tmp_path):
    other = tmp_path / "shop"
    other.mkdir()
    (other / ".mcp.json").write_text('{"mcpServers": {"a": {"command": "./a.sh"}}}')
    done = here("servers", "import", str(other / ".mcp.json"), "--yes")
    assert done.returncode == 0, done.stderr
    own = Path(environment["HOME"]) / ".config/agent-host/servers.toml"
    assert servers(own)["a"] == {"command": "./a.sh", "cwd": str(other)}
    (project / "servers.toml").write_text("")
    shutil.copy(other / ".mcp.json", project)
    here("servers", "import", ".mcp.json", "--yes")
    assert servers(project / "servers.toml")["a"] == {"command": "./a.sh"}


def test_what_was_pasted_comes_by_standard_input(project, environment, file):
    snippet = json.dumps({"mcpServers": {"pasted": {"command": "npx", "args": ["-y", "x@1.0.0"]}}})
    done = subprocess.run(
        [sys.executable, "-m", "agent_host", "servers", "import", "-", "--yes"],
        cwd=project,
        env=environment,
        input=snippet,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert servers(file)["pasted"]["args"] == ["-y", "x@1.0.0"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("cursor",), "Cursor has no file here; looked for .cursor/mcp.json, ~/.cursor/mcp.json"),
        (("nothing.json",), "nothing.json: cannot be read (No such file or directory)"),
        (("servers.toml",), "names no MCP servers in a form that is known"),
    ],
)
def test_what_cannot_be_imported_is_one_line(words, why, here, file, home):
    done = here("servers", "import", *words, "--yes")
    assert done.returncode == 2
    assert why in done.stderr
    assert file.read_text() == BASE


def test_a_broken_file_among_others_is_told_and_the_others_are_read(here, home, file):
    (home / ".codex/config.toml").write_text("a b")
    done = here("servers", "import", "--yes")
    assert done.returncode == 0
    assert "not read: ~/.codex/config.toml: invalid TOML" in done.stderr
    assert "fetch" in servers(file)
    done = here("servers", "import", "codex", "--yes")
    assert done.returncode == 2


def test_with_nothing_here_that_is_said(here, file):
    done = here("servers", "import", "--yes")
    assert (done.returncode, done.stderr) == (0, "there is nothing to import\n")


def terminal(project: Path, environment: dict[str, str], *words: str) -> Terminal:
    more = {"XDG_CONFIG_HOME": f"{environment['HOME']}/.config"}
    return Terminal(*words, cwd=project, environ=environment | more, columns=150, lines=60)


def test_at_a_terminal_one_picks_by_number_and_says_where_secrets_go(
    project, environment, home, file
):
    with terminal(project, environment, "servers", "import") as screen:
        shown = screen.wait("n for none:")
        assert "4  sentry  https://mcp.sentry.dev/mcp  (Claude Desktop" in shown
        screen.keys("4,99\r")
        screen.wait("n for none:", times=2)
        screen.keys("3-4\r")
        screen.wait("[f/e]")
        screen.keys("f\r")
        screen.wait("BRAVE_API_KEY, or Enter for later:")
        screen.keys("typed-by-hand\r")
        screen.wait("Add 2 servers? [y/N]")
        screen.keys("y\r")
        assert screen.exit_status() == 0
        assert b"typed-by-hand" not in screen.raw
        assert b"anary" not in screen.raw
    assert set(servers(file)) == {"github", "brave-search", "sentry"}
    kept = project / "data/agent-host/secrets"
    assert (kept / "brave-search.BRAVE_API_KEY").read_text() == "typed-by-hand\n"


@pytest.mark.parametrize("answers", [("n\r",), ("\r", "e\r", "n\r")])
def test_at_a_terminal_no_writes_nothing(answers, project, environment, home, file):
    questions = ("n for none:", "[f/e]", "[y/N]")
    with terminal(project, environment, "servers", "import") as screen:
        for question, answer in zip(questions, answers, strict=False):
            screen.wait(question)
            screen.keys(answer)
        screen.wait("nothing was written")
        assert screen.exit_status() == 4
    assert file.read_text() == BASE
