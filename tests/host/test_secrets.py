"""Which secrets a run knows of, and what of the config's `[secrets]` cannot be used."""

import pytest

from agent_host.config.load import load
from agent_host.core.errors import ConfigError
from agent_host.core.types import Tool
from agent_host.host.secrets import KEY_FILE, Secrets

CONFIG = """
model = "offline"
[secrets]
{said}
"""


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def read(said=""):
        path = tmp_path / "servers.toml"
        path.write_text(CONFIG.format(said=said))
        return load(path, {})

    return read


def test_the_value_of_a_reference_is_known_in_every_encoding_from_then_on(tmp_path):
    secrets = Secrets({"TOKEN": "hunter2/&x"})
    assert secrets.resolve("Bearer ${env:TOKEN}", tmp_path, "k") == "Bearer hunter2/&x"
    assert secrets.redactor.text("hunter2/&x hunter2%2F%26x") == "[secret:TOKEN] [secret:TOKEN]"


def test_secrets_are_found_unless_that_is_switched_off(loaded, tmp_path):
    text = "password = hunter2"
    for said, found in (("", True), ("detect = false", False)):
        secrets = Secrets({})
        secrets.look(loaded(said))
        assert (secrets.redactor.text(text) != text) is found
    [key] = (tmp_path / "data").rglob(KEY_FILE)
    assert key.parent.name == "agent-host"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('reveal = ["send_*"]', "secrets.reveal[1] is no glob over `server/tool`"),
        ('reveal = ["crm/*", "/x"]', "secrets.reveal[2] is no glob over `server/tool`"),
        ("patterns = { pin = '(?=a)b' }", "secrets.patterns.pin is no regular expression"),
        ("patterns = { pin = 'a*' }", "secrets.patterns.pin matches the empty text"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(loaded, said, why):
    with pytest.raises(ConfigError) as caught:
        Secrets({}).look(loaded(said))
    assert "servers.toml:4: " in str(caught.value)
    assert why in str(caught.value)


def test_a_vault_is_there_only_where_it_has_something_to_do(loaded):
    secrets, plain, hiding = Secrets({}), loaded(), loaded("hide_from_model = true")
    assert secrets.vault(plain, resumed=False) is None
    assert secrets.vault(hiding, resumed=False) is not None
    resumed = secrets.vault(plain, resumed=True)
    tool = Tool(name="a__b", server="a", tool="b", description="", input_schema={})
    assert resumed is not None
    assert resumed.missing(tool, {"x": "[secret:password:00ff00]"}) is not None
    assert resumed.missing(tool, {"x": "plain"}) is None
