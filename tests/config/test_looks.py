"""What is taken for a secret, and what is not."""

import pytest

from agent_host.config.looks import is_placeholder, looks_secret, secret_in_url, sounds_secret


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "ghp_abcdefghijklmnop"),
        ("X", "sk-proj-abc123"),
        ("X", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"),
        ("X", "-----BEGIN RSA PRIVATE KEY-----\nabc"),
        ("X", "AKIAIOSFODNN7EXAMPLEX"),
        ("X", "Bearer abcdef"),
        ("X", "0123456789abcdef0123456789abcdef"),
        ("X", "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"),
        ("X", "postgres://u:hunter2@db/x"),
        ("X", "https://x.example/?token=hunter2"),
        ("API_KEY", "hunter2"),
        ("DB_PASSWORD", "hunter2"),
        ("GITHUB_PAT", "hunter2"),
        ("Authorization", "hunter2"),
    ],
)
def test_secrets(name, value):
    assert looks_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "${env:API_KEY}"),
        ("API_KEY", "<YOUR_API_KEY>"),
        ("API_KEY", ""),
        ("MAX_TOKENS", "4096"),
        ("TOKEN_LIMIT", "4096"),
        ("AUTH_MODE", "oauth"),
        ("KEY_FILE", "/etc/key.pem"),
        ("PRIVATE_KEY", "~/.ssh/id"),
        ("KEYCLOAK_URL", "https://kc.example/"),
        ("AUTHOR", "Ada"),
        ("COMPASS", "north"),
        ("MODEL", "claude-sonnet-5-20260930"),
        ("ID", "018f2b1e-aaaa-7bbb-8ccc-0123456789ab"),
        ("LOG_LEVEL", "debug"),
        ("PATTERN", "*.py"),
        ("", "@modelcontextprotocol/server-filesystem@2026.8.31"),
        ("", "/home/ada/some/Long/Path/That/Goes/On/0123456789"),
    ],
)
def test_no_secrets(name, value):
    assert not looks_secret(name, value)


def test_the_parts():
    assert sounds_secret("client-secret")
    assert not sounds_secret("token_count")
    assert is_placeholder("Bearer <token>")
    assert is_placeholder("YOUR_KEY")
    assert not is_placeholder("hunter2")
    assert not secret_in_url("https://x.example/?page=2")
    assert not secret_in_url("https://[")
