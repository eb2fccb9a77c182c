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


def test_the_model_in_use_is_said_with_the_reason(here, project):
    (project / "servers.toml").write_text("")
    done = here("models", "list")
    assert done.stderr == "in use: offline (auto: no provider's key is in the environment)\n"
    done = here("models", "list", AGENT_HOST_MODEL="opnai")
    assert done.returncode == 0
    assert 'AGENT_HOST_MODEL: there is no model "opnai"; did you mean "openai"?' in done.stderr
