"""Files, environment and flags become one config."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent_host.config.file import locate_transcripts
from agent_host.config.load import OVERRIDES, load
from agent_host.core.errors import ConfigError

DEMO = '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def users_own(tmp_path: Path) -> Path:
    path = tmp_path / "config/agent-host/servers.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_an_empty_file_is_a_config_of_defaults(project: Path):
    (project / "servers.toml").write_text("")
    loaded = load(None, {}, cwd=project)
    assert loaded.config.model == "auto"
    assert loaded.config.limits.max_turns == 50
    assert loaded.config.policy.default == "ask"
    assert loaded.config.servers == {}
    assert loaded.transcripts == project / "transcripts"


def test_the_first_place_that_has_a_file_is_used(project: Path, tmp_path: Path):
    own = users_own(tmp_path)
    own.write_text('model = "own"')
    environ = {"AGENT_HOST_CONFIG": "named.toml"}
    (project / "named.toml").write_text('model = "variable"')
    (project / "flag.toml").write_text('model = "flag"')
    assert load(None, {}, cwd=project).config.model == "own"
    (project / "servers.toml").write_text('model = "here"')
    assert load(None, {}, cwd=project).config.model == "here"
    assert load(None, environ, cwd=project).config.model == "variable"
    assert load("flag.toml", environ, cwd=project).config.model == "flag"


def test_folders_above_the_working_folder_are_not_searched(project: Path):
    (project / "servers.toml").write_text("")
    (project / "below").mkdir()
    with pytest.raises(ConfigError, match=r"no servers.toml"):
        load(None, {}, cwd=project / "below")


def test_flags_win_over_the_environment_and_the_environment_over_the_file(project: Path):
    (project / "servers.toml").write_text('model = "file"\n[limits]\nmax_turns = 1\nmax_tokens = 5')
    environ = {"AGENT_HOST_MODEL": "variable", "AGENT_HOST_MAX_TURNS": "2"}
    loaded = load(None, environ, {"limits.max_turns": "3"}, cwd=project)
    assert loaded.config.model == "variable"
    assert loaded.config.limits.max_turns == 3
    assert loaded.config.limits.max_tokens == 5
    assert loaded.declared.model == "file"
    assert loaded.origin("model") == "AGENT_HOST_MODEL"
    assert loaded.origin("limits", "max_turns") == "--max-turns"
    assert loaded.origin("limits", "max_tokens") == "servers.toml:4"
    assert loaded.origin("limits", "max_tool_calls") == "default"


def test_a_bad_flag_is_named_as_it_was_typed(project: Path):
    (project / "servers.toml").write_text("")
    with pytest.raises(ConfigError, match=r"^--max-time: limits.max_seconds must be a number"):
        load(None, {}, {"limits.max_seconds": "soon"}, cwd=project)


def test_an_empty_variable_is_as_good_as_none(project: Path):
    (project / "servers.toml").write_text("")
    loaded = load(None, {"AGENT_HOST_MODEL": "", "AGENT_HOST_CONFIG": ""}, cwd=project)
    assert loaded.config.model == "auto"


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda o: o.variable)
def test_every_variable_sets_its_key(override, project: Path):
    (project / "servers.toml").write_text("")
    loaded = load(None, {override.variable: "7"}, cwd=project)
    value = loaded.config
    for part in override.key.split("."):
        value = getattr(value, part)
    assert str(value) in ("7", "7.0")
    assert loaded.origin(*override.key.split(".")) == override.variable


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5"])
def test_a_bad_variable_is_named(value: str, project: Path):
    (project / "servers.toml").write_text("")
    with pytest.raises(ConfigError, match=r"^AGENT_HOST_MAX_TURNS: limits.max_turns "):
        load(None, {"AGENT_HOST_MAX_TURNS": value}, cwd=project)


def test_the_fingerprint_is_that_of_the_bytes(project: Path):
    (project / "servers.toml").write_text(DEMO)
    first = load(None, {}, cwd=project).fingerprint
    (project / "servers.toml").write_text(DEMO + " ")
    assert load(None, {}, cwd=project).fingerprint != first
    assert len(first) == 64


def test_a_byte_order_mark_and_windows_line_ends_are_read(project: Path):
    (project / "servers.toml").write_bytes(
        b'\xef\xbb\xbfmodel = "a"\r\n[limits]\r\nmax_turns = 2\r\n'
    )
    loaded = load(None, {}, cwd=project)
    assert loaded.config.model == "a"
    assert loaded.origin("limits", "max_turns") == "servers.toml:3"


def test_the_config_can_come_through_a_pipe(project: Path):
    fifo = project / "pipe"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_text, args=('model = "piped"\n',))
    writer.start()
    assert load(fifo, {}, cwd=project).config.model == "piped"
    writer.join()


def test_a_value_of_the_right_kind_is_taken_whatever_its_form(project: Path):
    (project / "servers.toml").write_text(
        'servers.a.command = "x"\nservers.a.timeout = 1\n'
        'servers.b = { url = "https://x.example/mcp", timeout = 0.5 }\n'
        'policy.rules = [ { id = "r", effect = "deny" } ]\n'
    )
    config = load(None, {}, cwd=project).config
    assert config.servers["a"].timeout == 1
    assert config.servers["b"].timeout == 0.5
    assert config.policy.rules[0].tools == ["*"]


def test_a_config_cannot_be_changed(project: Path):
    (project / "servers.toml").write_text(DEMO)
    config = load(None, {}, cwd=project).config
    with pytest.raises(ValueError, match="frozen"):
        config.model = "other"  # type: ignore[misc]


def test_transcripts_are_found_without_the_rest_of_the_config(project: Path, tmp_path: Path):
    data = tmp_path / "data/agent-host/transcripts"
    assert locate_transcripts(None, {}, project) == data
    users_own(tmp_path).write_text("")
    assert locate_transcripts(None, {}, project) == data
    file = project / "servers.toml"
    file.write_text('model = 3\nservers = "nonsense"')
    assert locate_transcripts(None, {}, project) == project / "transcripts"
    file.write_text('transcripts = "runs"')
    assert locate_transcripts(None, {}, project) == project / "runs"
    environ = {"AGENT_HOST_TRANSCRIPTS": "elsewhere"}
    assert locate_transcripts(None, environ, project) == project / "elsewhere"
    for given in ({}, environ):
        assert (
            locate_transcripts(None, given, project) == load(None, given, cwd=project).transcripts
        )


def test_a_named_config_that_is_not_there_is_an_error_for_transcripts_too(project: Path):
    with pytest.raises(ConfigError, match=r"gone.toml: there is no such file"):
        locate_transcripts("gone.toml", {}, project)


# -- providers ----------------------------------------------------------------------------------


def own_profiles(tmp_path: Path, text: str) -> None:
    users_own(tmp_path).with_name("profiles.toml").write_text(text)


def test_the_users_own_profiles_hold_for_every_project_and_the_projects_go_before(
    project: Path, tmp_path: Path
):
    own_profiles(
        tmp_path,
        '[providers.mine]\nbase_url = "https://mine.example/v1"\nmax_tools = 5\nimages = false\n',
    )
    (project / "servers.toml").write_text("[providers.mine]\nmax_tools = 6\n")
    mine = load(None, {}, cwd=project).profiles.of("mine", "m")
    assert (mine.base_url, mine.max_tools, mine.images) == ("https://mine.example/v1", 6, False)
    (project / "servers.toml").write_text('[models.m]\nprovider = "mine"\nmodel = "x"\n')
    assert load(None, {}, cwd=project).config.models["m"].provider == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[providers.a]\nmax_tols = 3",
            '2: unknown key max_tols in [providers.a]; did you mean "ma',
        ),
        ("[providers.a]\nmax_tools = '3'", "2: providers.a.max_tools must be a whole number"),
        ("[models.a]\n", "1: unknown key models; this file holds [providers.x] tables only"),
        ("[providers.a", "1:13: invalid TOML"),
        ("providers = 3", "1: providers must be a table, not 3"),
    ],
)
def test_what_is_wrong_with_the_users_own_profiles_names_that_file(
    text: str, message: str, project: Path, tmp_path: Path
):
    own_profiles(tmp_path, text)
    (project / "servers.toml").write_text("")
    with pytest.raises(ConfigError) as error:
        load(None, {}, cwd=project)
    assert str(error.value).partition("profiles.toml:")[2].startswith(message)
    assert "\n" not in str(error.value)


def test_a_file_without_tables_of_providers_pays_nothing_for_them(project: Path):
    (project / "servers.toml").write_text(
        '[models.m]\nadapter = "openai-chat"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "x"\n'
    )
    code = (
        "import pathlib, tomllib\n"
        "from agent_host.config.load import load\n"
        "from agent_host.config import rows\n"
        "from agent_host.profiles import table\n"
        "load(None, {}, cwd=pathlib.Path.cwd())\n"
        "print(rows._tables.cache_info().misses, table._built_in.cache_info().misses)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "0 0\n"
