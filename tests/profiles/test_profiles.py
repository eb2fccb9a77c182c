"""What is known of providers: that the data is sound, and which row applies where."""

import dataclasses
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import agent_host.profiles
from agent_host.config import rows
from agent_host.profiles.adapters import BUILT_IN, WIRES
from agent_host.profiles.profile import KEYS, Profile
from agent_host.profiles.table import Profiles, built_in

DATA = tomllib.loads(
    (Path(agent_host.profiles.__file__).parent / "profiles.toml").read_text(encoding="utf-8")
)
WANTED = (
    *("openai", "anthropic", "gemini", "mistral", "deepseek", "groq", "together", "openrouter"),
    *("xai", "moonshot", "azure", "bedrock", "vertex", "ollama", "llamacpp", "vllm", "lmstudio"),
)
EFFORTS = {"none", "default", "minimal", "low", "medium", "high", "xhigh", "max"}


def test_every_provider_that_is_promised_has_a_row():
    assert set(WANTED) <= set(DATA["providers"])


def test_the_built_in_rows_stand_up_to_the_checks_of_a_users_own():
    assert rows.problems_of(DATA["providers"]) == []
    families = {"families": {"models": DATA["models"]}}
    assert rows.problems_of(families) == []
    assert rows.problems_of({f"d-{name}": row for name, row in DATA["adapters"].items()}) == []
    assert set(DATA) == {"adapters", "providers", "models"}
    assert set(DATA["adapters"]) == set(WIRES)


def test_names_of_models_are_matched_in_lower_case():
    tables = [
        *DATA["models"],
        *(m for p in DATA["providers"].values() for m in p.get("models", ())),
    ]
    for table in tables:
        for glob in table["match"]:
            assert glob == glob.lower(), glob
    assert built_in().of("groq", "OpenAI/GPT-OSS-120b").efforts == ("low", "medium", "high")


@pytest.mark.parametrize("profile", built_in().providers, ids=lambda p: p.provider)
def test_a_provider_can_be_reached_and_asked(profile: Profile):
    assert profile.adapter in WIRES
    assert profile.title
    assert profile.base_url.startswith("http://127.0.0.1:" if profile.port else "https://")
    assert not profile.base_url.endswith("/")
    if not profile.port:
        assert profile.key_variable or profile.auth == "google"
    assert set(profile.efforts) <= EFFORTS
    place = profile.base_url.partition("://")[2].partition("/")[0]
    if "{" not in place:
        assert any(fnmatchcase(place, glob) for glob in profile.hosts)


def test_no_place_belongs_to_two_providers():
    for profile in built_in().providers:
        if "{" not in profile.base_url:
            assert built_in().at(profile.base_url) == profile


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://my-own.openai.azure.com/openai/v1", "azure"),
        ("https://bedrock-mantle.eu-west-1.api.aws/v1", "bedrock"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "bedrock"),
        ("https://europe-west1-aiplatform.googleapis.com/v1/projects/p", "vertex"),
        ("https://API.OpenAI.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("http://localhost:11434/v1", "ollama"),
        ("http://localhost:11435/v1", None),
        ("https://api.openai.com.evil.example/v1", None),
        ("https://evil.example/api.openai.com", None),
        ("https://api.openai.com@evil.example/v1", None),
        ("https://[bad", None),
        ("", None),
    ],
)
def test_a_url_belongs_to_who_serves_it_and_to_nobody_who_looks_like_it(url, provider):
    found = built_in().at(url)
    assert (found.provider if found else None) == provider


@pytest.mark.parametrize(
    ("url", "model", "adapter"),
    [
        ("https://api.deepseek.com/v1", "deepseek-flash", "openai-chat"),
        ("https://api.deepseek.com", "deepseek-flash", "openai-chat"),
        ("https://api.deepseek.com/anthropic", "deepseek-flash", "anthropic"),
        ("https://api.deepseek.com/anthropic/", "deepseek-flash", "anthropic"),
        ("https://api.moonshot.ai/anthropic", "kimi-k3", "anthropic"),
        ("https://api.anthropic.com", "claude-sonnet-5", "anthropic"),
        ("https://api.anthropic.com/v1", "claude-sonnet-5", "anthropic"),
        ("https://api.openai.com/v1", "gpt-5", "openai-responses"),
        ("http://127.0.0.1:11434/v1", "llama4", "openai-chat"),
        ("http://127.0.0.1:11434", "llama4", "openai-chat"),
        ("http://127.0.0.1:9/v1", "x", "openai-chat"),
    ],
)
def test_a_url_says_the_adapter_where_a_provider_has_one_for_each(url, model, adapter):
    assert built_in().find(url, model).adapter == adapter


@pytest.mark.parametrize(
    ("provider", "model", "keys"),
    [
        ("openai", "gpt-4o", {"effort": "", "images": True, "context_window": 128_000}),
        ("openai", "gpt-5.1", {"efforts": ("none", "low", "medium", "high")}),
        ("openai", "gpt-5.2-pro", {"efforts": ("medium", "high", "xhigh")}),
        ("openai", "o3-mini", {"images": False, "efforts": ("low", "medium", "high")}),
        ("openai", "gpt-6.1-sol", {"efforts": ("low", "medium", "high", "xhigh", "max")}),
        ("anthropic", "claude-haiku-4-5", {"context_window": 200_000}),
        ("anthropic", "claude-opus-5-5", {"context_window": 1_000_000, "tool_choice": ("none",)}),
        ("gemini", "gemini-3.8-flash", {"efforts": ("low", "medium", "high"), "schema": "gemini"}),
        ("mistral", "mistral-large-latest", {"call_ids": "mistral", "effort": ""}),
        ("mistral", "mistral-small-latest", {"efforts": ("none", "high")}),
        ("deepseek", "deepseek-v4-pro", {"images": False, "echo_reasoning": "reasoning_content"}),
        ("deepseek", "deepseek-flash", {"images": True, "context_window": 1_000_000}),
        ("moonshot", "kimi-k3", {"tool_choice": ("none",), "structured": "json_object"}),
        ("xai", "grok-4.6", {"efforts": ("low", "medium", "high"), "context_window": 500_000}),
        ("groq", "openai/gpt-oss-20b", {"images": False, "tool_choice": ("none",)}),
        ("openrouter", "anthropic/claude-opus-5.5", {"context_window": 1_000_000}),
        ("openrouter", "mystery/model", {"context_window": 0}),
        ("ollama", "gpt-oss:20b", {"context_window": 0, "silent_cut": True}),
        ("", "claude-sonnet-5", {"context_window": 1_000_000, "base_url": ""}),
        ("azure", "gpt-5", {"auth": "api-key", "max_tokens_field": "max_completion_tokens"}),
        ("azure", "mistral-large", {"max_tokens_field": "max_tokens", "system_role": "system"}),
    ],
)
def test_what_is_special_about_a_model_is_known(provider, model, keys):
    profile = built_in().of(provider, model)
    assert {key: getattr(profile, key) for key in keys} == keys


def test_a_clouds_models_are_spoken_to_by_their_makers_wire():
    of = built_in().of
    claude = of("bedrock", "anthropic.claude-opus-5-5")
    assert (claude.adapter, claude.base_url.rpartition("/")[2]) == ("anthropic", "anthropic")
    assert of("bedrock", "us.anthropic.claude-haiku-4-5").adapter == "anthropic"
    gpt = of("bedrock", "openai.gpt-5.6-sol")
    assert (gpt.adapter, gpt.base_url[-10:]) == ("openai-responses", "/openai/v1")
    assert of("bedrock", "openai.gpt-oss-120b").adapter == "openai-chat"
    vertex = of("vertex", "claude-sonnet-4-5@20250929")
    assert vertex.path == "/{model}:streamRawPredict"
    assert (vertex.body_model, vertex.schema, vertex.auth) == (False, "anthropic", "google")
    assert "anthropic_version" in vertex.body
    gemini = of("vertex", "google/gemini-3.8-flash")
    assert (gemini.schema, gemini.thought_signature[:4]) == ("gemini", "skip")


def test_what_nobody_said_of_a_model_is_not_stated():
    profiles = built_in()
    assert "images" in profiles.stated("openai", "gpt-4o")
    assert "images" not in profiles.stated("openrouter", "mystery/model")
    assert profiles.stated("", "mystery") == frozenset()


def test_a_users_tables_lie_over_the_built_in_ones_each_over_those_before_it():
    first = {
        "mine": {"base_url": "https://mine.example/v1", "max_tools": 5, "images": False},
        "groq": {"max_tools": 7, "models": [{"match": ["openai/gpt-oss*"], "images": True}]},
    }
    second = {"mine": {"max_tools": 6, "adapters": {"anthropic": {"max_tools": 1}}}}
    profiles = Profiles(first, second)
    mine = profiles.of("mine", "x")
    assert (mine.adapter, mine.max_tools, mine.images) == ("openai-chat", 6, False)
    assert profiles.of("mine", "x", "anthropic").max_tools == 1
    assert profiles.names[-1] == "mine"
    oss = profiles.of("groq", "openai/gpt-oss-120b")
    assert (oss.max_tools, oss.images, oss.efforts) == (7, True, ("low", "medium", "high"))
    assert built_in().of("groq", "openai/gpt-oss-120b").images is False
    found = profiles.at("https://mine.example/v1/")
    assert found is not None
    assert found.provider == "mine"


def test_a_users_table_goes_before_a_built_in_row_for_a_model():
    assert Profiles({"openai": {"images": False}}).of("openai", "gpt-4o").images is False


def test_a_row_of_a_model_may_change_the_adapter():
    own = {"mine": {"models": [{"match": ["claude-*"], "adapter": "anthropic"}]}}
    assert Profiles(own).of("mine", "claude-x").adapter == "anthropic"
    assert Profiles(own).of("mine", "other").adapter == "openai-chat"


def test_every_key_has_a_meaning_and_a_profile_can_be_made_of_it():
    for field in dataclasses.fields(Profile):
        if field.name != "provider":
            assert field.metadata["means"].endswith("."), field.name
    assert len(KEYS) == len(dataclasses.fields(Profile)) - 1
    assert set(WIRES) < set(BUILT_IN)
    assert Profile().headers is not Profile().headers
