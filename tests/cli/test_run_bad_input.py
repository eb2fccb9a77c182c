"""What `agent-host run` cannot use: one line that says what, where and what to do; the right
status; nothing written that was not meant."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.programs import ROOT, Ended, agent_host, bound_by_permissions, command, environment
from tests.journeys.stage import call, stage

SCRIPTED = """
model = "actor"

[models.actor]
adapter = "script"
path = "script.toml"
"""
HELLO = '[[turn]]\nsay = "Hello."\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a config without servers; the home beside it stays as it is."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "servers.toml").write_text(SCRIPTED)
    (folder / "script.toml").write_text(HELLO)
    return folder


def run(project: Path, *arguments: str, **more: Any) -> Ended:
    return agent_host("run", *arguments, folder=project, **more)


def files(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, folders too."""
    found = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in found}


def refused(ended: Ended, status: int, *words: str) -> None:
    """It ended with one line, and this is in it."""
    assert ended.status == status, ended.err
    assert ended.out == ""
    assert ended.err.startswith("agent-host: ")
    assert ended.err.count("\n") == 1
    for word in words:
        assert word in ended.err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, ["the prompt is empty", "agent-host run '"]),
        (("  \n ",), 2, ["the prompt is empty"]),
        (("--server", "shp", "Hi."), 2, ['servers.toml has no server "shp"']),
        (("--model", "actr", "Hi."), 2, ["--model", '"actr"', 'did you mean "actor"']),
        (("--model", "script:no.toml", "Hi."), 2, ["no.toml", "check"]),
        (("--model", "replay:no.jsonl", "Hi."), 2, ["no.jsonl"]),
        (("--model", "openai:gpt", "Hi."), 2, ["OPENAI_API_KEY", "--model offline"]),
        (("--resume", "01NONE", "Hi."), 2, ["no run '01NONE'"]),
        (("--resume", "last"), 2, ["transcripts"]),
        (("--resume", "../../etc/passwd"), 2, ["passwd"]),
        (("--config", "no.toml", "Hi."), 2, ["no.toml", "agent-host config init"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(
    project: Path, arguments: tuple[str, ...], status: int, words: list[str]
) -> None:
    before = files(project)
    refused(run(project, *arguments), status, *words)
    assert files(project) == before


def test_without_a_config_it_says_how_to_get_one(tmp_path: Path) -> None:
    refused(run(tmp_path, "Hi."), 2, "no servers.toml", "agent-host config init")
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("model = \n", ["servers.toml:1"]),
        ('modle = "x"\n', ["servers.toml:1", "modle", "model"]),
        ("[limits]\nmax_turns = 'x'\n", ["servers.toml:2", "max_turns"]),
        ('model = "nope"\n', ["servers.toml:1", "nope", "models list"]),
        (
            'model = "offline"\n[servers.a]\ncommand = "x"\n',
            ["not trusted yet", "agent-host trust"],
        ),
    ],
)
def test_a_config_that_cannot_be_used_names_file_and_line(
    project: Path, config: str, words: list[str]
) -> None:
    (project / "servers.toml").write_text(config)
    before = files(project)
    ended = run(project, "Hi.")
    refused(ended, 4 if "trust" in words[0] else 2, *words)
    assert files(project) == before


def test_a_server_whose_secret_is_not_there_is_not_started_and_says_which(project: Path) -> None:
    config = '[servers.a]\ncommand = "touch"\nargs = ["started"]\nenv = { K = "${env:NO_KEY}" }\n'
    (project / "servers.toml").write_text(SCRIPTED + config)
    ended = run(project, "--trust", "Hi.")
    assert ended.status == 5
    assert "server a: servers.toml:10: servers.a.env.K needs the environment variable NO_KEY" in (
        ended.err
    )
    assert not (project / "started").exists()


# -- standard input ---------------------------------------------------------------------------


def test_standard_input_is_the_prompt_or_is_appended_to_it(project: Path) -> None:
    (project / "script.toml").write_text(
        '[[turn]]\nexpect = { matches = "^first$" }\nsay = "One."\n'
        '[[turn]]\nexpect = { matches = "^Sum up:\\\\n\\\\nsecond$", user = true }\nsay = "Two."\n'
    )
    assert run(project, stdin=b"\n first \n").out == "One.\n"
    assert run(project, "--resume", "last", "Sum up:", stdin=b"second\n").out == "Two.\n"


@pytest.mark.parametrize(
    ("closed", "out"), [("<&-", "Hello.\n"), (">&-", ""), ("2>&-", "Hello.\n")]
)
def test_a_stream_that_is_closed_is_nobodys_and_no_files(
    project: Path, closed: str, out: str
) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command("run", "Hi.")],
        cwd=project,
        env=environment(project),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, out)
    assert "Traceback" not in done.stderr
    [path] = (project / "transcripts").glob("*.jsonl")
    assert all(line.startswith('{"seq":') for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    ("data", "word"), [(b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8"), (b"a\0b", "a NUL character")]
)
def test_binary_input_is_no_prompt(project: Path, data: bytes, word: str) -> None:
    before = files(project)
    refused(run(project, "What is this?", stdin=data), 2, "standard input", word, "send text")
    assert files(project) == before


def test_a_hundred_megabytes_of_input_are_refused_quickly_and_not_held(project: Path) -> None:
    big = project / "big"
    with big.open("wb") as file:
        file.truncate(100_000_000)
    # A small parent: a process counts what its parent held when it was started as its own.
    measure = (
        "import resource, subprocess, sys\n"
        "status = subprocess.run(sys.argv[1:]).returncode\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(status)"
    )
    with big.open("rb") as data:
        done = subprocess.run(
            [sys.executable, "-S", "-c", measure, *command("run", "Sum up:")],
            cwd=project,
            env=environment(project),
            stdin=data,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert data.tell() < 10_000_000
    assert done.returncode == 2
    assert "more than 4 MiB" in done.stderr
    assert done.stderr.count("\n") == 1
    assert int(done.stdout) < 150_000  # KiB
    assert not (project / "transcripts").exists()


# -- transcripts ------------------------------------------------------------------------------


def recorded(project: Path) -> Path:
    assert run(project, "Hi.").status == 0
    [path] = (project / "transcripts").glob("*.jsonl")
    return path


def test_a_transcript_of_a_newer_schema_is_left_alone(project: Path) -> None:
    path = recorded(project)
    path.write_text(path.read_text().replace('"schema":1', '"schema":999'))
    before = files(project)
    refused(run(project, "--resume", "last", "Go on."), 1, path.name, "999", "newer")
    assert files(project) == before


def test_a_damaged_transcript_is_named_with_its_line(project: Path) -> None:
    path = recorded(project)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:1], "{}\n", *lines[2:]]))
    before = files(project)
    refused(run(project, "--resume", "last", "Go on."), 1, f"{path.name}:2")
    assert files(project) == before


def test_a_torn_end_of_a_transcript_is_set_aside_and_the_run_goes_on(project: Path) -> None:
    path = recorded(project)
    (project / "script.toml").write_text(HELLO + HELLO)
    with path.open("a") as file:
        file.write('{"seq":9,"at":')
    ended = run(project, "--resume", "last", "Go on.")
    assert (ended.status, ended.out) == (0, "Hello.\n")
    assert f"they were moved to {path.with_suffix('.corrupt')}" in ended.err
    assert path.with_suffix(".corrupt").read_text() == '{"seq":9,"at":'


@pytest.mark.parametrize("folder", ["/proc/nothing", "script.toml", "script.toml/below"])
def test_a_folder_for_transcripts_that_cannot_be_made_is_named(project: Path, folder: str) -> None:
    before = files(project)
    ended = run(project, "Hi.", AGENT_HOST_TRANSCRIPTS=folder)
    refused(ended, 1, folder, "no transcript can be made here", "`transcripts` in servers.toml")
    assert files(project) == before


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_folder_that_is_not_ours_to_write_is_named(project: Path, mode: int) -> None:
    folder = project / "transcripts"
    folder.mkdir()
    folder.chmod(mode)
    try:
        ended = run(project, "Hi.", before=bound_by_permissions())
        refused(ended, 1, "transcripts", "Permission denied")
    finally:
        folder.chmod(0o700)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="no prlimit")
@pytest.mark.parametrize("room", [0, 700])
def test_a_disk_without_room_ends_the_run_in_one_line(project: Path, room: int) -> None:
    """A file that may not grow: at its first record, and in the middle of a run."""
    done = subprocess.run(
        ["prlimit", f"--fsize={room}", *command("run", "Hi.")],
        cwd=project,
        env=environment(project, PYTHONDONTWRITEBYTECODE="1"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    line = done.stderr.splitlines()[-1]
    assert line.startswith("agent-host: ")
    assert "cannot be written: File too large" in line
    assert "resume the run" in line
    for path in (project / "transcripts").glob("*.jsonl"):
        assert path.read_bytes().endswith(b"\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("output", ["text", "json", "stream-json"])
def test_an_answer_that_cannot_be_written_is_no_success(project: Path, output: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("run", "--output", output, "Hi."),
            cwd=project,
            env=environment(project),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    [path] = (project / "transcripts").glob("*.jsonl")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("agent-host: the answer cannot be written to standard output: No space")
    assert last.endswith(f"agent-host transcripts show {path.stem}")


# -- servers and models that are not there ----------------------------------------------------


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def broken_servers(folder: Path) -> str:
    (folder / "plain.txt").write_text("")
    return (
        '[servers.missing]\ncommand = "no-such-program"\n'
        '[servers.plain]\ncommand = "./plain.txt"\n'
        f'[servers.remote]\nurl = "http://127.0.0.1:{closed_port()}/mcp"\n'
    )


def told(ended: Ended) -> None:
    """Each of the broken servers was told in one line, with what to do."""
    said = {line.split()[2]: line for line in ended.err.splitlines() if "· server" in line}
    assert "'no-such-program' was not found" in said["missing:"]
    assert "install it" in said["missing:"]
    assert "is not executable; chmod +x" in said["plain:"]
    assert "cannot connect" in said["remote:"]
    assert "Traceback" not in ended.err


def test_servers_that_cannot_be_started_cost_their_own_tools_only(project: Path) -> None:
    stage(project, {"call": call("look", k=1)}, {"expect": 'look: {"k": 1}', "say": "Found."})
    with (project / "servers.toml").open("a") as config:
        config.write(broken_servers(project))
    ended = run(project, "--trust", "Look.")
    assert (ended.status, ended.out) == (0, "Found.\n")
    told(ended)


def test_with_no_server_left_the_answer_is_no_success(project: Path) -> None:
    (project / "servers.toml").write_text(SCRIPTED + broken_servers(project))
    ended = run(project, "--trust", "Hi.")
    assert (ended.status, ended.out) == (5, "Hello.\n")
    told(ended)


def test_a_model_that_is_not_there_is_asked_again_and_then_named(project: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/v1"
    ended = run(project, "--model", f"{url}:m", "--output", "json", "Hi.")
    assert ended.status == 6
    [found] = ended.items
    assert (found["outcome"], found["exit_status"]) == ("model_unavailable", 6)
    assert url in found["detail"]
    assert "asked again" in ended.err
    assert f"--resume {found['run_id']}" in ended.err


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('[[turn]]\nexpect = "bye"\nsay = "Ok."\n', "script.toml:1: turn 1 expected 'bye'"),
        ('[[turn]]\ncall = "x__y"\n', "script.toml: the script has 1 turns and turn 2"),
    ],
)
def test_a_script_whose_expectation_fails_names_the_turn(
    project: Path, script: str, words: str
) -> None:
    (project / "script.toml").write_text(script)
    ended = run(project, "Hi.")
    assert (ended.status, ended.out) == (1, "")
    assert words in ended.err.splitlines()[-1]


# -- bugs of ours -----------------------------------------------------------------------------

BROKEN = """
import agent_host.records.ids

def broken(now_ms, random_bytes, others):
    raise RuntimeError("the \\x1b[31mids\\nran out")

agent_host.records.ids.new_run_id = broken
"""


def test_a_bug_is_a_short_report_and_the_trace_is_kept(project: Path, tmp_path: Path) -> None:
    plant = tmp_path / "plant"
    plant.mkdir()
    (plant / "sitecustomize.py").write_text(BROKEN)
    ended = run(project, "Say PRIVATE.", PYTHONPATH=f"{plant}:{ROOT}", TMPDIR=str(tmp_path))
    assert ended.status == 1
    assert ended.out == ""
    first, second = ended.err.splitlines()
    assert first == "agent-host: a bug in agent-host: RuntimeError: the \\u{1b}[31mids ran out"
    [kept] = tmp_path.glob("agent-host-crash-*")
    assert str(kept) in second
    trace = kept.read_text()
    assert "new_run_id" in trace
    assert "Traceback" in trace
    assert "PRIVATE" not in trace
    assert kept.stat().st_mode & 0o077 == 0


def test_a_bug_while_a_command_is_loaded_is_a_short_report_too(
    project: Path, tmp_path: Path
) -> None:
    plant = tmp_path / "plant"
    plant.mkdir()
    (plant / "sitecustomize.py").write_text(
        "import sys\nsys.modules['agent_host.surfaces.notes'] = None\n"
    )
    ended = run(project, "Hi.", PYTHONPATH=f"{plant}:{ROOT}", TMPDIR=str(tmp_path))
    assert ended.status == 1
    assert "Traceback" not in ended.err
    assert "a bug in agent-host: ModuleNotFoundError" in ended.err
