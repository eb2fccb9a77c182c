"""What docs/providers.md says to paste is a config, and every provider has its section."""

import re
import tomllib
from pathlib import Path

import pytest

from agent_host.config.choose import choose_model
from agent_host.config.load import load
from agent_host.profiles.table import built_in

PAGE = (Path(__file__).parents[2] / "docs/providers.md").read_text(encoding="utf-8")
BLOCKS = [
    b
    for b in re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    if "[project." not in b
]
ENVIRON = {
    **{p.key_variable: "k" for p in built_in().providers if p.key_variable},
    "AZURE_OPENAI_RESOURCE": "r",
    "AWS_REGION": "eu-west-1",
    "GOOGLE_CLOUD_PROJECT": "p",
}


def test_every_provider_has_a_section_with_its_variable():
    titles = set(re.findall(r"^## (.*)$", PAGE, re.MULTILINE))
    for profile in built_in().providers:
        assert profile.title in titles, profile.title
        assert profile.key_variable in PAGE


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.strip().splitlines()[0])
def test_what_is_to_be_pasted_is_a_config_whose_models_can_be_asked(block: str, tmp_path: Path):
    (tmp_path / "servers.toml").write_text(block)
    loaded = load(tmp_path / "servers.toml", {}, cwd=tmp_path)
    for name in tomllib.loads(block).get("models", {}):
        choice = choose_model(loaded.config, ENVIRON, loaded.profiles, name=name)
        assert choice.settings.base_url
        assert "{" not in choice.settings.base_url


@pytest.mark.parametrize("name", re.findall(r"^\| `([^`]*)` \|", PAGE, re.MULTILINE))
def test_every_name_of_the_table_stands_for_a_model(name: str, tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[models.mine]\nprovider = "groq"\n')
    loaded = load(tmp_path / "servers.toml", {}, cwd=tmp_path)
    assert choose_model(loaded.config, ENVIRON, loaded.profiles, name=name).settings.model
