"""`agent-host config`, and what every command says about a config that is wrong."""

import json
import tomllib
from pathlib import Path

import pytest

DEMO = '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
NO_FILE = (
    "agent-host: no servers.toml: looked for ./servers.toml and "
    "~/.config/agent-host/servers.toml; write one with `agent-host config init`, "
    "or name one with --config\n"
)


@pytest.mark.parametrize(
    "command",
    [
        ("config", "show"),
        ("trust",),
        ("servers", "list"),
        ("tools", "list"),
        ("run", "hello"),
    ],
    ids=" ".join,
)
def test_without_a_servers_toml_every_command_says_where_it_looked(command, here, project):
    done = here(*command)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", NO_FILE)
    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('model = "a', "servers.toml:1:11: invalid TOML: "),
        (
            f"{DEMO}timout = 3\n",
            'servers.toml:4: unknown key timout in [servers.orders]; did you mean "timeout"?',
        ),
        (
            f'{DEMO}timeout = "3"\n',
            'servers.toml:4: servers.orders.timeout must be a number, not text "3"',
        ),
        (
            f"{DEMO}[[policy.rules]]\neffect = 'ask'\n",
            'servers.toml:4: [policy.rules[1]] needs the key "id"',
        ),
    ],
    ids=["invalid TOML", "unknown key", "wrong type", "missing key"],
)
def test_a_wrong_file_is_one_line_with_its_place(text, said, cli, project):
    (project / "servers.toml").write_text(text)
    done = cli("run", "hello")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"agent-host: {said}")
    assert done.stderr.count("\n") == 1
    assert [p.name for p in project.iterdir()] == ["servers.toml"]


def test_a_named_file_that_is_not_there_is_said_so(here):
    done = here("--config", "gone.toml", "config", "show")
    assert done.returncode == 2
    assert done.stderr == (
        "agent-host: gone.toml: there is no such file (named by --config); check the path, "
        "or write one with `agent-host config init`\n"
    )
    done = here("config", "show", AGENT_HOST_CONFIG="gone.toml")
    assert "(named by $AGENT_HOST_CONFIG)" in done.stderr


def test_a_wrong_variable_is_named(here, project):
    (project / "servers.toml").write_text(DEMO)
    done = here("config", "show", AGENT_HOST_MAX_TURNS="lots")
    assert done.returncode == 2
    assert done.stderr == (
        "agent-host: AGENT_HOST_MAX_TURNS: limits.max_turns must be a whole number, "
        'not text "lots"\n'
    )


def test_show_prints_values_with_their_origin_and_no_secret(here, project):
    (project / "servers.toml").write_text(
        '[servers.crm]\ncommand = "crm"\nenv = { TOKEN = "hunter2", OTHER_KEY = "${env:HOME}" }\n'
    )
    done = here("config", "show", AGENT_HOST_MODEL="offline")
    assert done.returncode == 0
    lines = [line.split(None, 2) for line in done.stdout.splitlines()]
    assert ["model", '"offline"', "AGENT_HOST_MODEL"] in lines
    assert ["servers.crm.command", '"crm"', "servers.toml:2"] in lines
    assert ["servers.crm.env.TOKEN", '"(hidden)"', "servers.toml:3"] in lines
    assert ["servers.crm.env.OTHER_KEY", '"${env:HOME}"', "servers.toml:3"] in lines
    assert "hunter2" not in done.stdout
    values = json.loads(here("config", "show", "--json").stdout)["values"]
    assert {"key": "servers.crm.command", "value": "crm", "origin": "servers.toml:2"} in values
    assert "hunter2" not in json.dumps(values)


def test_init_writes_a_file_that_works_and_never_over_another(here, project):
    done = here("config", "init")
    assert (done.returncode, done.stdout) == (0, "wrote servers.toml\n")
    text = (project / "servers.toml").read_text()
    assert here("config", "show").returncode == 0
    assert here("trust").stdout.startswith("servers.toml needs no trust")
    again = here("config", "init")
    assert again.returncode == 2
    assert again.stderr == "agent-host: servers.toml: is there already; --force replaces it\n"
    (project / "servers.toml").write_text("# mine")
    assert here("config", "init", "--force").returncode == 0
    assert (project / "servers.toml").read_text() == text


def test_every_example_in_the_first_file_is_right_once_its_hash_is_taken_away(here, project):
    here("config", "init")
    lines = (project / "servers.toml").read_text().splitlines()
    shown = [line.removeprefix("# ") if _is_example(line) else line for line in lines]
    (project / "servers.toml").write_text("\n".join(shown))
    assert set(tomllib.loads("\n".join(shown))["servers"]) == {"orders", "files", "crm"}
    assert here("config", "show").returncode == 0


def _is_example(line: str) -> bool:
    text = line.removeprefix("# ")
    return line.startswith("# ") and (text.startswith("[") or " = " in text)


def test_init_says_where_it_could_not_write(here):
    done = here("config", "init", "no/such/folder/servers.toml")
    assert done.returncode == 2
    assert done.stderr.startswith("agent-host: no/such/folder/servers.toml: cannot be written (No ")


def test_schema_is_json(here):
    assert json.loads(here("config", "schema").stdout)["title"] == "servers.toml"


def test_the_config_of_the_repository_starts_without_a_question(here):
    config = str(Path(__file__).parents[2] / "servers.toml")
    done = here("--config", config, "trust")
    assert done.returncode == 0
    assert "needs no trust" in done.stdout
