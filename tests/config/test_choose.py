"""Which model answers."""

import pytest

from agent_host.config.choose import available
from agent_host.config.choose import choose_model as choose
from agent_host.config.schema import Config, ModelConfig
from agent_host.core.errors import ConfigError
from agent_host.profiles.table import Profiles, built_in

HOSTED = [p for p in built_in().providers if p.key_variable and p.default_model]


def choose_model(config, environ, profiles=None, **more):
    return choose(config, environ, profiles or Profiles(config.providers), **more)


def config(**models: dict[str, object]) -> Config:
    return Config.model_validate({"models": models})


def test_auto_without_any_key_is_offline_and_says_why():
    choice = choose_model(config(), {})
    assert (choice.name, choice.settings.adapter) == ("offline", "offline")
    assert choice.why == "auto: no provider's key is in the environment"


@pytest.mark.parametrize("provider", HOSTED, ids=lambda p: p.provider)
def test_auto_takes_a_provider_whose_key_is_there(provider):
    choice = choose_model(config(), {provider.key_variable: "k"})
    assert choice.provider == provider.provider
    assert choice.settings.base_url == provider.base_url
    assert choice.settings.model == provider.default_model
    assert choice.settings.api_key == f"${{env:{provider.key_variable}}}"
    assert choice.name == f"{provider.provider}:{provider.default_model}"


def test_auto_takes_the_first_in_the_documented_order():
    environ = {p.key_variable: "k" for p in reversed(HOSTED)}
    assert choose_model(config(), environ).provider == HOSTED[0].provider == "openai"
    assert [p.provider for p in available(environ, built_in())] == [p.provider for p in HOSTED]


def test_an_empty_key_is_no_key():
    assert choose_model(config(), {"OPENAI_API_KEY": ""}).provider == "offline"


def test_a_configured_name_wins_over_a_built_in_one():
    mine = config(openai={"adapter": "offline"})
    assert choose_model(mine, {}, name="openai").settings.adapter == "offline"


def test_a_table_without_a_key_gets_the_usual_one_of_its_url():
    mine = config(m={"adapter": "openai-chat", "model": "x", "base_url": "https://api.x.ai/v1/"})
    choice = choose_model(mine, {"XAI_API_KEY": "k"}, name="m")
    assert choice.settings.api_key == "${env:XAI_API_KEY}"
    assert choice.provider == "xai"
    assert mine.models["m"].api_key is None


def test_a_table_at_an_unknown_url_needs_no_key():
    mine = config(m={"adapter": "openai-chat", "model": "x", "base_url": "http://u:pw@h:9/v1"})
    choice = choose_model(mine, {}, name="m")
    assert choice.settings.api_key is None
    assert choice.provider == "h:9"


@pytest.mark.parametrize(
    ("name", "url", "model", "provider"),
    [
        ("http://127.0.0.1:11434/v1:llama4", "http://127.0.0.1:11434/v1", "llama4", "ollama"),
        ("http://127.0.0.1:9/v1/:a:8b", "http://127.0.0.1:9/v1", "a:8b", "127.0.0.1:9"),
        ("http://127.0.0.1:9:a:8b", "http://127.0.0.1:9", "a:8b", "127.0.0.1:9"),
        ("https://[::1]:9/v1:org/m", "https://[::1]:9/v1", "org/m", "::1:9"),
        ("ollama:llama4:8b", "http://127.0.0.1:11434/v1", "llama4:8b", "ollama"),
    ],
)
def test_a_url_or_provider_with_a_model_needs_no_table(name, url, model, provider):
    choice = choose_model(config(), {}, name=name)
    assert choice.settings.base_url == url
    assert choice.settings.model == model
    assert choice.provider == provider
    assert choice.settings.api_key is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("opnai:gpt-9", 'there is no model "opnai:gpt-9"; did you mean "openai"?'),
        ("mnie", 'there is no model "mnie"; did you mean "mine"?'),
        ("\x1b[2J", 'there is no model "\\u{1b}[2J"; known: auto, offline'),
        ("ollama", "say which model, as in ollama:MODEL"),
        ("http://127.0.0.1:11434", "say which model of http://127.0.0.1:11434, as in http://"),
        ("http://127.0.0.1:11434/v1", "say which model of http://127.0.0.1:11434/v1, as in"),
        ("openai:gpt-9", "the model openai:gpt-9 needs a key: set OPENAI_API_KEY, or use"),
        ("mine", "[models.mine] needs a key: set OPENAI_API_KEY, or use --model offline"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_line_with_what_to_do(name: str, message: str):
    mine = config(mine={"adapter": "openai-chat", "model": "x"})
    with pytest.raises(ConfigError) as error:
        choose_model(mine, {}, name=name, origin="servers.toml:3")
    assert str(error.value).startswith(f"servers.toml:3: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("adapter", ["script", "replay"])
def test_a_file_of_turns_can_be_named_without_a_table(adapter: str):
    choice = choose_model(config(), {}, name=f"{adapter}:some/file.toml")
    assert choice.settings == ModelConfig(adapter=adapter, path="some/file.toml")  # type: ignore[arg-type]
    assert choice.provider == adapter
