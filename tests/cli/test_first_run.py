"""What somebody sees who has nothing configured, and the first config that is made with them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.fakes.ptys import Terminal


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(exist_ok=True)
    return folder


def test_without_a_config_ten_lines_say_what_this_is_and_what_to_do_next(cli: Run) -> None:
    done = cli()
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 10
    assert all(len(line) < 80 for line in lines)
    assert "Nothing is configured yet" in done.stdout
    assert "agent-host config init" in done.stdout
    assert "Make one now?" not in done.stdout  # nobody is there


@pytest.mark.parametrize("columns", [40, 60])
def test_on_a_narrow_screen_the_next_steps_are_broken_between_words(cli: Run, columns: int) -> None:
    lines = cli(COLUMNS=str(columns)).stdout.splitlines()
    assert all(len(line) < columns for line in lines if " " in line.strip())
    told = " ".join(" ".join(lines).split())
    assert "none of your own. agent-host config init makes one; it looks for keys" in told
    assert "agent-host chat then: talk, with the tools of your servers" in told


def test_with_a_config_it_says_what_is_in_it_and_what_can_be_done(cli: Run, project: Path) -> None:
    (project / "servers.toml").write_text(
        'model = "offline"\n[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
    )
    done = cli()
    assert done.returncode == 0
    assert "servers.toml: model offline, servers: orders" in done.stdout
    assert len(done.stdout.splitlines()) <= 11


@pytest.mark.parametrize("text", ["model = ", "\x00", 'servers = 3\nmodel = ["x"]\n'])
def test_a_config_that_is_wrong_never_keeps_it_from_being_told(
    text: str, cli: Run, project: Path
) -> None:
    (project / "servers.toml").write_text(text)
    done = cli()
    assert done.returncode == 0
    assert "agent-host doctor" in done.stdout


def test_names_of_servers_reach_the_screen_clean(cli: Run, project: Path) -> None:
    (project / "servers.toml").write_text('[servers."\\u001b[31mred"]\ncommand = "x"\n')
    assert "\x1b" not in cli().stdout


def _terminal(home: Path, folder: Path, *words: str, **variables: str) -> Terminal:
    return Terminal(*words, cwd=folder, environ={"HOME": str(home), **variables})


def _answer(terminal: Terminal, question: str, keys: str = "\r") -> None:
    """Type once the question stands whole and the line waits: what is typed before would be
    echoed in the middle of it."""
    ends = re.compile(r"(Enter for \d+|n for none):$|\[[Yy]/[Nn]\]$")
    terminal.wait(lambda text: question in text and ends.search(text.rstrip()) is not None)
    terminal.keys(keys)


def test_a_new_user_presses_enter_and_has_a_config_that_works(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with _terminal(home, folder) as terminal:
        _answer(terminal, "Make one now?")
        for question in ("Where?", "Which model answers?", "Which servers to begin with?"):
            _answer(terminal, question)
        _answer(terminal, "What may run without a question?")
        terminal.wait("Write it?")
        assert not (folder / "servers.toml").exists()
        terminal.keys("\r")
        assert "agent-host chat" in terminal.wait("next:")
        assert terminal.exit_status() == 0
    with _terminal(home, folder, "run", "What is the status of my order 12345?") as terminal:
        terminal.wait("shipped")
        assert terminal.exit_status() == 0


def test_what_is_found_is_offered_and_only_what_was_chosen_is_written(
    home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (home / ".cursor").mkdir()
    server = {"command": "npx", "args": ["-y", "some-server@1.0.0"]}
    said = {"mcpServers": {"time": server, "other": {"url": "https://mcp.example.com/mcp"}}}
    (home / ".cursor" / "mcp.json").write_text(json.dumps(said))
    with _terminal(home, folder, "config", "init", ANTHROPIC_API_KEY="k" * 20) as terminal:
        _answer(terminal, "Where?", "1\r")
        terminal.wait(" 2  anthropic:")
        _answer(terminal, "Which model answers?", "2\r")
        _answer(terminal, "Which servers to begin with?", "2\r")
        _answer(terminal, "Take over servers of Cursor?", "y\r")
        _answer(terminal, "Write it?", "y\r")
        _answer(terminal, "Which? Numbers", "1\r")
        _answer(terminal, "Add 1 server?", "y\r")
        terminal.wait("next:", times=2)
        assert terminal.exit_status() == 0
    text = (folder / "servers.toml").read_text()
    assert 'model = "anthropic:' in text
    assert "kkkk" not in text
    assert ("[servers.time]" in text) != ("[servers.other]" in text)


@pytest.mark.parametrize("keys", ["\x03", "\x04"], ids=["Ctrl-C", "end of input"])
def test_leaving_in_the_middle_writes_nothing(keys: str, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with _terminal(home, folder, "config", "init") as terminal:
        _answer(terminal, "Where?")
        _answer(terminal, "Which model answers?", keys)
        terminal.wait("nothing was written")
        assert terminal.exit_status() == 4
    assert list(folder.iterdir()) == []


def test_a_file_that_is_there_is_never_replaced_unasked(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "servers.toml").write_text("# mine\n")
    with _terminal(home, folder, "config", "init") as terminal:
        _answer(terminal, "Where?")
        terminal.wait("is there already; --force replaces it")
        assert terminal.exit_status() == 2
    assert (folder / "servers.toml").read_text() == "# mine\n"


def test_a_wrong_answer_is_asked_again_and_forty_columns_are_enough(
    home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with Terminal(
        "config", "init", cwd=folder, environ={"HOME": str(home)}, columns=40, lines=24
    ) as terminal:
        for times, keys in enumerate(("7\r", "x\r", "1\r"), 1):
            terminal.wait("1 to 2, Enter for 1:", times=times)
            terminal.keys(keys)
        terminal.wait("Which model answers?")


def complete(cli: Run, line: str, tmp_path: Path, shell: str = "bash") -> list[str]:
    """What the Tab key offers after `line`; the shell's file descriptor 8 is a file here."""
    out = tmp_path / "offered"
    done = cli(
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_SHELL=shell,
        _ARGCOMPLETE_STDOUT_FILENAME=str(out),
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
    )
    assert done.stderr == ""
    return [word.strip() for word in out.read_text().split("\n") if word.strip()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("agent-host tra", {"transcripts"}),
        ("agent-host config ", {"show", "init", "schema"}),
        ("agent-host run --appro", {"--approve"}),
        ("agent-host run --approve ", {"ask", "policy", "all", "none", "defer"}),
        ("agent-host run --model ", {"mine", "offline"}),
        ("agent-host servers test ", {"orders"}),
        ("agent-host --config servers.toml servers test ", {"orders"}),
        ("agent-host transcripts show ", {"last", "01RUN"}),
    ],
)
def test_the_tab_key_offers_commands_options_and_names(
    line: str, offered: set[str], cli: Run, project: Path, tmp_path: Path
) -> None:
    (project / "servers.toml").write_text(
        '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
        '[models.mine]\nprovider = "openai"\nmodel = "m"\n'
    )
    (project / "transcripts").mkdir()
    (project / "transcripts" / "01RUN.jsonl").write_text("")
    assert offered <= set(complete(cli, line, tmp_path))


def test_the_tab_key_is_silent_where_the_config_is_wrong(
    cli: Run, project: Path, tmp_path: Path
) -> None:
    (project / "servers.toml").write_text("broken = [")
    assert complete(cli, "agent-host servers test o", tmp_path) == []


def test_a_shell_that_can_shows_what_a_run_is_about(
    cli: Run, project: Path, tmp_path: Path
) -> None:
    (project / "servers.toml").write_text('model = "offline"\n')
    cli("run", "y")
    cli("run", "--resume", "last", "Where is my order: the green one?")
    (run,) = (project / "transcripts").glob("*.jsonl")
    offered = complete(cli, "agent-host transcripts show ", tmp_path, "zsh")
    assert f"{run.stem}:Where is my order: the green one?" in offered
    offered = complete(cli, "agent-host transcripts show ", tmp_path)
    assert run.stem in offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str, cli: Run) -> None:
    done = cli("completion", shell)
    assert done.returncode == 0
    assert "agent-host" in done.stdout


def test_the_shell_itself_completes_with_the_script(cli: Run, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "agent-host"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m agent_host "$@"\n')
    program.chmod(0o755)
    script = cli("completion", "bash").stdout
    asked = (
        f"{script}\nCOMP_WORDS=(agent-host transc); COMP_CWORD=1; COMP_LINE='agent-host transc'; "
        "COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; _python_argcomplete agent-host; "
        'echo "${COMPREPLY[@]}"'
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        ["bash", "--norc", "-c", asked],
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(root),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "transcripts"
