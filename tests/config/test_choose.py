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


def own(text: dict[str, dict[str, object]], **models: dict[str, object]) -> Config:
    return Config.model_validate({"models": models, "providers": text})


MINE = {"mine": {"base_url": "https://mine.example/v1", "key_variable": "MINE_KEY"}}


@pytest.mark.parametrize(
    ("name", "adapter", "url", "provider"),
    [
        ("anthropic:claude-x", "anthropic", "https://api.anthropic.com", "anthropic"),
        ("openai:gpt-x", "openai-responses", "https://api.openai.com/v1", "openai"),
        ("openai-chat+openai:gpt-x", "openai-chat", "https://api.openai.com/v1", "openai"),
        ("anthropic+deepseek:m", "anthropic", "https://api.deepseek.com/anthropic", "deepseek"),
        ("https://api.deepseek.com/anthropic:m", "anthropic", None, "deepseek"),
        ("anthropic+http://127.0.0.1:9:m", "anthropic", "http://127.0.0.1:9", "127.0.0.1:9"),
        ("anthropic+http://127.0.0.1:8080/v1:a:b", "anthropic", None, "llamacpp"),
        ("openai-responses+http://127.0.0.1:9/v1:m", "openai-responses", None, "127.0.0.1:9"),
        ("mine:m", "openai-chat", "https://mine.example/v1", "mine"),
        ("anthropic+mine", None, None, None),
    ],
)
def test_any_wire_of_any_provider_can_be_named(name, adapter, url, provider):
    keys = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY", "MINE_KEY")
    environ = dict.fromkeys(keys, "k")
    if adapter is None:
        with pytest.raises(ConfigError, match="say which model, as in mine:MODEL"):
            choose_model(own(MINE), environ, name=name)
        return
    choice = choose_model(own(MINE), environ, name=name)
    assert (choice.adapter, choice.provider, choice.settings.adapter) == (
        adapter,
        provider,
        adapter,
    )
    assert choice.profile.adapter == adapter
    if url:
        assert choice.settings.base_url == url
    assert choose_model(own(MINE), environ, name=choice.name).settings == choice.settings


def test_an_adapter_that_is_not_there_is_one_line():
    with pytest.raises(ConfigError, match="there is no adapter 'opnai' to speak to http://h/v1:m"):
        choose_model(config(), {}, name="opnai+http://h/v1:m")


@pytest.mark.parametrize(
    ("table", "adapter", "url", "model", "provider"),
    [
        ({"provider": "mistral"}, "openai-chat", "https://api.mistral.ai/v1", None, "mistral"),
        ({"provider": "mistral", "model": "x"}, "openai-chat", None, "x", "mistral"),
        ({"provider": "anthropic"}, "anthropic", "https://api.anthropic.com", None, "anthropic"),
        (
            {"provider": "deepseek", "adapter": "anthropic"},
            *("anthropic", "https://api.deepseek.com/anthropic", None, "deepseek"),
        ),
        (
            {"provider": "openai", "base_url": "http://proxy.example/v1"},
            *("openai-responses", "http://proxy.example/v1", None, "openai"),
        ),
        (
            {"base_url": "https://h.example/v1", "model": "m"},
            *("openai-chat", "https://h.example/v1", "m", "h.example"),
        ),
        (
            {"adapter": "openai-responses", "model": "m"},
            *("openai-responses", "https://api.openai.com/v1", "m", "openai"),
        ),
        (
            {"adapter": "anthropic", "model": "m"},
            *("anthropic", "https://api.anthropic.com", "m", "anthropic"),
        ),
        ({"provider": "mine", "model": "m"}, "openai-chat", None, "m", "mine"),
    ],
)
def test_what_a_table_leaves_out_comes_from_the_profile(table, adapter, url, model, provider):
    keys = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY", "MISTRAL_API_KEY")
    environ = dict.fromkeys((*keys, "MINE_KEY"), "k")
    choice = choose_model(own(MINE, m=table), environ, name="m")
    assert (choice.adapter, choice.provider) == (adapter, provider)
    if url:
        assert choice.settings.base_url == url
    assert choice.settings.model == (model or choice.profile.default_model)


def test_a_part_of_a_url_comes_from_the_environment():
    environ = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_RESOURCE": "my-own"}
    choice = choose_model(config(), environ, name="azure:gpt-5")
    assert choice.settings.base_url == "https://my-own.openai.azure.com/openai/v1"
    first = choose_model(config(), {"AWS_DEFAULT_REGION": "eu-west-1"}, name="bedrock:openai.x")
    assert first.settings.base_url == "https://bedrock-mantle.eu-west-1.api.aws/v1"


@pytest.mark.parametrize(
    ("name", "environ", "message"),
    [
        ("azure:x", {}, "the model azure:x needs the environment variable AZURE_OPENAI_RESOURCE"),
        ("bedrock:x", {}, "needs the environment variable AWS_REGION or AWS_DEFAULT_REGION, as"),
        (
            "azure:x",
            {"AZURE_OPENAI_RESOURCE": "evil.example/"},
            "AZURE_OPENAI_RESOURCE is put into https://{AZURE_OPENAI_RESOURCE}.openai.azure.com",
        ),
    ],
)
def test_a_part_of_a_url_that_is_not_there_or_makes_another_host_is_one_line(
    name, environ, message
):
    with pytest.raises(ConfigError) as error:
        choose_model(config(), environ | {"AZURE_OPENAI_API_KEY": "k"}, name=name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_clouds_bearer_key_goes_before_its_signature():
    signed = choose_model(config(), {"AWS_REGION": "r"}, name="bedrock:openai.x")
    assert (signed.profile.auth, signed.settings.api_key) == ("aws", None)
    environ = {"AWS_REGION": "r", "AWS_BEARER_TOKEN_BEDROCK": "k"}
    keyed = choose_model(config(), environ, name="bedrock:openai.x")
    assert keyed.profile.auth == "bearer"
    assert keyed.settings.api_key == "${env:AWS_BEARER_TOKEN_BEDROCK}"


def test_a_key_that_is_configured_is_used_where_the_variable_is_not_set():
    mine = own({"groq": {"api_key": "${keyring:agent-host/groq}"}})
    choice = choose_model(mine, {})
    assert (choice.name, choice.why) == ("groq:openai/gpt-oss-120b", "auto: its key is configured")
    assert choice.settings.api_key == "${keyring:agent-host/groq}"
    set_ = choose_model(mine, {"GROQ_API_KEY": "k"})
    assert set_.settings.api_key == "${env:GROQ_API_KEY}"


def test_a_provider_without_a_usual_model_is_never_taken_by_itself():
    environ = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_RESOURCE": "r"}
    assert choose_model(config(), environ).name == "offline"
    assert [p.provider for p in available(environ, built_in())] == ["azure"]


def test_what_is_only_looked_at_needs_neither_key_nor_environment():
    choice = choose_model(config(), {}, name="azure:x", usable=False)
    assert choice.settings.base_url == "https://{AZURE_OPENAI_RESOURCE}.openai.azure.com/openai/v1"
    assert choice.settings.api_key is None
