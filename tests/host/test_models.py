"""What an adapter is made from, as the config and the profiles say it."""

from pathlib import Path
from typing import Any

import pytest

from agent_host.config.load import load
from agent_host.core.errors import ConfigError
from agent_host.host.models import Models
from agent_host.host.secrets import Secrets
from agent_host.models.settings import AdapterSettings

ENVIRON = {"OPENAI_API_KEY": "key-of-openai", "ANTHROPIC_API_KEY": "key-of-anthropic"}


def settings(folder: Path, text: str, name: str = "m", **environ: str) -> AdapterSettings:
    (folder / "servers.toml").write_text(text)
    loaded = load(folder / "servers.toml", ENVIRON | environ, cwd=folder)
    loader: Any = None
    models = Models(loaded, Secrets(ENVIRON | environ), loader)
    return models.settings(models.choose(name), base=folder)


def test_a_models_table_becomes_the_settings_of_its_adapter(tmp_path: Path) -> None:
    got = settings(
        tmp_path,
        '[models.m]\nprovider = "openai"\nmodel = "gpt-5.1"\neffort = "low"\ntimeout = 7\n'
        "answer_timeout = 70\nmax_output_tokens = 9\n",
    )
    assert (got.provider, got.model, got.effort) == ("openai", "gpt-5.1", "low")
    assert (got.timeout, got.answer_timeout, got.max_output_tokens) == (7, 70, 9)
    assert (got.base_url, got.api_key) == ("https://api.openai.com/v1", "key-of-openai")
    assert got.profile is not None
    assert got.profile.efforts == ("none", "low", "medium", "high")
    assert got.profile.adapter == "openai-responses"


def test_a_table_of_a_provider_reaches_the_adapter(tmp_path: Path) -> None:
    text = "[providers.openai]\nmax_tools = 3\nheaders = { X-Team = 'a' }\n"
    got = settings(tmp_path, text, "openai:gpt-5.1")
    assert got.profile is not None
    assert (got.profile.max_tools, got.profile.headers) == (3, {"X-Team": "a"})


def test_the_host_behind_a_reference_says_which_profile_applies(tmp_path: Path) -> None:
    text = (
        '[models.m]\nmodel = "deepseek-flash"\napi_key = "k"\n'
        'base_url = "https://${env:WHERE}/v1"\n'
    )
    got = settings(tmp_path, text, WHERE="api.deepseek.com")
    assert got.base_url == "https://api.deepseek.com/v1"
    assert got.profile is not None
    assert got.profile.echo_reasoning == "reasoning_content"


def test_a_key_that_is_not_there_names_the_line(tmp_path: Path) -> None:
    text = '[models.m]\nprovider = "openai"\napi_key = "${file:none}"\n'
    with pytest.raises(ConfigError, match=r"servers.toml:3: models.m.api_key needs the file none"):
        settings(tmp_path, text)


def test_the_price_of_a_model_without_its_key_is_known_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "servers.toml").write_text(
        '[models.m]\nprovider = "groq"\nprice = { input = 1.0, output = 2.0 }\n'
        '[models.n]\nbase_url = "http://h:9/v1"\nmodel = "x"\n'
        "price = { input = 3.0, output = 4.0 }\n"
    )
    loaded = load(tmp_path / "servers.toml", {}, cwd=tmp_path)
    loader: Any = None
    prices = Models(loaded, Secrets({}), loader).prices
    groq, own = prices.price("groq", "openai/gpt-oss-120b"), prices.price("h:9", "x")
    assert groq is not None
    assert own is not None
    assert (groq.input, own.output) == (1.0, 4.0)
