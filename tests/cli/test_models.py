"""`agent-host models`."""

import json


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
