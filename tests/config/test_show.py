"""The config in effect, for people."""

from pathlib import Path

import pytest

from agent_host.config.load import load
from agent_host.config.show import entries, mask, mask_url


def test_every_value_has_its_origin(tmp_path: Path):
    (tmp_path / "servers.toml").write_text(
        'model = "offline"\n[servers.a]\ncommand = "x"\n'
        '[[policy.rules]]\nid = "r"\neffect = "ask"\n'
    )
    loaded = load(None, {"AGENT_HOST_MAX_TURNS": "9"}, {"model": "auto"}, cwd=tmp_path)
    found = {e.key: (e.value, e.origin) for e in entries(loaded)}
    assert found["model"] == ("auto", "--model")
    assert found["servers.a.command"] == ("x", "servers.toml:3")
    assert found["servers.a.timeout"] == (30, "default")
    assert found["policy.rules[1].effect"] == ("ask", "servers.toml:6")
    assert found["limits.max_turns"] == (9, "AGENT_HOST_MAX_TURNS")
    assert "servers.a.cwd" not in found


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        (("models", "m", "api_key"), "sk-1", "(hidden)"),
        (("models", "m", "api_key"), "${env:KEY}", "${env:KEY}"),
        (("servers", "s", "headers", "Authorization"), "Bearer x", "(hidden)"),
        (("servers", "s", "headers", "X-Any"), "x", "(hidden)"),
        (("servers", "s", "headers", "X-Any"), "a ${env:B}", "(hidden) ${env:B}"),
        (("servers", "s", "headers", "User-Agent"), "x", "x"),
        (("servers", "s", "env", "GITHUB_TOKEN"), "x", "(hidden)"),
        (("servers", "s", "env", "url"), "plain", "plain"),
        (("servers", "s", "env", "MODE"), "x", "x"),
        (
            ("servers", "s", "url"),
            "https://a:b@h/p?q=1#f",
            "https://a:(hidden)@h/p?(hidden)#(hidden)",
        ),
        (("model",), "http://a:b@h/v1:m", "http://a:(hidden)@h/v1:m"),
        (("model",), "anthropic+http://a:b@h/v1:m", "anthropic+http://a:(hidden)@h/v1:m"),
        (("servers", "s", "headers", "X-Any"), "a ${keyring:b/c}", "(hidden) ${keyring:b/c}"),
        (("providers", "p", "api_key"), "${keyring:b/c}", "${keyring:b/c}"),
        (("servers", "s", "timeout"), 3.0, 3.0),
    ],
)
def test_secrets_are_hidden_and_references_are_shown(path, value, shown):
    assert mask(path, value) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/p", "https://h/p"),
        ("https://token@h/p", "https://(hidden)@h/p"),
        ("https://h/p?key=${env:K}", "https://h/p?key=${env:K}"),
        ("https://[bad/p", "(hidden)"),
    ],
)
def test_a_url_is_shown_without_what_it_may_hide(url: str, shown: str):
    assert mask_url(url) == shown
