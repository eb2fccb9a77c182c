"""`agent-host models`."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_configured_and_known_models_are_listed_with_their_keys(here, project):
    (project / "servers.toml").write_text(
        'model = "mine"\n[models.mine]\nadapter = "openai-chat"\nmodel = "x"\n'
        'api_key = "${env:MY_KEY}"\n'
    )
    done = here("models", "list", "--json", MY_KEY="hunter2")
    listed = json.loads(done.stdout)
    rows = {row["name"]: row for row in listed["models"]}
    assert done.returncode == 0
    assert listed["chosen"] == "mine"
    assert rows["mine"]["key"] == "MY_KEY is set"
    assert rows["mine"]["from"] == "servers.toml:2"
    assert rows["offline"]["key"] == "not needed"
    assert rows["ollama:MODEL"]["key"] == "not needed"
    assert rows["groq:openai/gpt-oss-120b"]["key"] == "GROQ_API_KEY is not set"
    assert "hunter2" not in done.stdout


def test_of_a_key_only_its_variable_or_that_there_is_one_is_told(here, project):
    table = '[models.{}]\nadapter = "openai-chat"\nmodel = "m"\nbase_url = "{}"\n'
    (project / "servers.toml").write_text(
        table.format("usual", "https://api.mistral.ai/v1")
        + table.format("bare", "http://127.0.0.1:1/v1")
        + table.format("literal", "http://127.0.0.1:2/v1")
        + 'api_key = "hunter2hunter2"\n'
    )
    done = here("models", "list", "--json", MISTRAL_API_KEY="k")
    rows = {row["name"]: row["key"] for row in json.loads(done.stdout)["models"]}
    assert rows["usual"] == "MISTRAL_API_KEY is set"
    assert rows["bare"] == "none"
    assert rows["literal"] == "configured"
    assert "hunter2" not in done.stdout + done.stderr


def test_the_model_in_use_is_said_with_the_reason(here, project):
    (project / "servers.toml").write_text("")
    done = here("models", "list")
    assert done.stderr.startswith(
        "in use: offline (auto: no provider's key is in the environment)\n"
    )
    done = here("models", "list", AGENT_HOST_MODEL="opnai")
    assert done.returncode == 0
    assert 'AGENT_HOST_MODEL: there is no model "opnai"; did you mean "openai"?' in done.stderr


ALL = """\
[models.mine]
provider = "anthropic"
model = "claude-sonnet-5"
price = { input = 1.5, output = 2.5 }
[models.keyed]
provider = "groq"
api_key = "${keyring:agent-host/crm}"
[models.gone]
provider = "groq"
api_key = "${keyring:agent-host/none}"
[models.filed]
provider = "groq"
api_key = "${file:key.txt}"
[models.unknown]
base_url = "http://127.0.0.1:9/v1"
model = "mystery"
[providers.team]
title = "Team"
base_url = "https://team.example/v1"
key_variable = "TEAM_KEY"
default_model = "team-1"
images = true
max_tools = 12
"""


def listed(done):
    return {row["name"]: row for row in json.loads(done.stdout)["models"]}


def test_what_each_model_can_do_is_listed_and_what_nobody_said_is_not_there(here, project):
    (project / "servers.toml").write_text(ALL)
    rows = listed(here("models", "list", "--json", ANTHROPIC_API_KEY="hunter2"))
    mine = rows["mine"]
    assert (mine["provider"], mine["adapter"]) == ("anthropic", "anthropic")
    assert (mine["images"], mine["context_window"]) == (True, 1_000_000)
    assert mine["efforts"] == ["low", "medium", "high", "xhigh", "max"]
    assert (mine["key"], mine["key_found"]) == ("ANTHROPIC_API_KEY is set", True)
    assert mine["price"] == {"input": 1.5, "output": 2.5, "cache_read": None, "cache_write": None}
    unknown = rows["unknown"]
    for key in ("images", "audio", "files", "efforts", "structured", "max_tools", "context_window"):
        assert unknown[key] is None, key
    assert unknown["price"] is None
    team = rows["team:team-1"]
    assert (team["images"], team["max_tools"], team["audio"]) == (True, 12, None)
    assert (team["title"], team["from"]) == ("Team", "servers.toml:17")
    assert rows["openai:gpt-6.1-terra"]["price"]["input"] > 0
    assert (rows["offline"]["simulated"], rows["offline"]["price"]) == (True, None)


def test_where_a_key_is_looked_for_and_whether_it_is_there_is_said(cli, project):
    (project / "servers.toml").write_text(ALL)
    (project / "key.txt").write_text("hunter2-of-the-file")
    done = cli(
        "models",
        "list",
        "--json",
        PYTHON_KEYRING_BACKEND="tests.fakes.keyring_backend.Backend",
        PYTHONPATH=str(ROOT),
    )
    rows = listed(done)
    assert (rows["keyed"]["key"], rows["keyed"]["key_found"]) == (
        "the keyring agent-host/crm",
        True,
    )
    assert rows["gone"]["key"] == "the keyring agent-host/none: not there"
    assert rows["gone"]["key_found"] is False
    assert (rows["filed"]["key"], rows["filed"]["key_found"]) == ("the file key.txt", True)
    assert rows["bedrock:MODEL"]["key"] == "AWS credentials, as its SDK finds them"
    assert rows["bedrock:MODEL"]["key_found"] is None
    assert rows["mine"]["key_found"] is False
    assert "key-of-the-keyring" not in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_the_table_is_narrow_and_says_unknown_instead_of_nothing_to_pay(here, project):
    (project / "servers.toml").write_text(ALL)
    done = here("models", "list")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line for line in lines}
    assert rows["unknown"].split() == ["unknown", "unknown"]
    assert rows["mine"].split()[-1] == "1.5/2.5"
    assert "no AI" in rows["offline"]
    assert not any(line.endswith(("0/0", " 0")) for line in lines)


def test_all_that_is_known_of_a_model_is_told_by_its_name(here, project):
    (project / "servers.toml").write_text(ALL)
    done = here("models", "list", "mine", "anthropic+deepseek:deepseek-flash", "http://h/v1:m")
    first, second, third = done.stdout.split("\n\n")
    assert first.splitlines()[0] == "mine"
    assert re.search(r"^effort +low, medium, high, xhigh, max$", first, re.MULTILINE)
    assert re.search(r"^tokens in all +1,000,000$", first, re.MULTILINE)
    assert re.search(r"^price +\$1.5 in, \$2.5 out a million tokens$", first, re.MULTILINE)
    assert re.search(r"^named in +servers.toml:1$", first, re.MULTILINE)
    assert re.search(r"^where +https://api.deepseek.com/anthropic$", second, re.MULTILINE)
    assert re.search(r"^key +DEEPSEEK_API_KEY is not set$", second, re.MULTILINE)
    assert re.search(r"^images +not known$", third, re.MULTILINE)
    assert re.search(r"^price +unknown$", third, re.MULTILINE)


def test_a_name_that_stands_for_no_model_is_one_line(here, project):
    (project / "servers.toml").write_text("")
    done = here("models", "list", "opnai")
    assert done.returncode == 2
    assert 'there is no model "opnai"; did you mean "openai"?' in done.stderr


def test_the_users_own_profiles_are_named_as_where_a_provider_comes_from(
    here, project, environment
):
    own = Path(environment["HOME"]) / ".config/agent-host"
    own.mkdir(parents=True)
    (own / "profiles.toml").write_text('[providers.mine]\nbase_url = "https://m.example/v1"\n')
    (project / "servers.toml").write_text("")
    rows = listed(here("models", "list", "--json"))
    assert rows["mine:MODEL"]["from"] == "~/.config/agent-host/profiles.toml"
    assert rows["openai:gpt-6.1-terra"]["from"] == "built in"


def test_models_are_listed_where_there_is_no_config_at_all(here, project):
    done = here("models", "list")
    assert done.returncode == 0
    assert "anthropic:claude-sonnet-5" in done.stdout
    done = here("models", "list", AGENT_HOST_CONFIG="gone.toml")
    assert done.returncode == 2
    assert "gone.toml: there is no such file" in done.stderr
