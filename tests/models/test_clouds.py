"""Requests that a cloud's credentials sign, on loopback: the real SDKs, the real signers."""

import hashlib
import hmac
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from agent_host.core.errors import ConfigError
from agent_host.models import anthropic, clouds, openai_chat
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.table import built_in
from tests.fakes.asking import Answered, ask, request, user
from tests.fakes.chat_server import ChatServer
from tests.fakes.messages_server import MessagesServer

SECRET = "wJalrXUtnFEMI-of-nobody"


def adapter(url: str, auth: Any, wire: Any = openai_chat) -> Any:
    profile = replace(built_in().of("", "m", wire.ADAPTER), auth=auth)
    return wire.create(AdapterSettings(provider="cloud", model="m", base_url=url, profile=profile))


def asked(model: Any) -> Answered:
    [got] = ask(model, request(user("hi")))
    return got


@pytest.fixture(autouse=True)
def _nobody_is_signed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    # The anthropic package keeps what it found for as long as the process lives.
    import_module("anthropic.lib.aws._auth")._get_session.cache_clear()


def signature(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """AWS Signature 4 of a request as it arrived, by the description of the algorithm.
    Source: docs.aws.amazon.com, "Create a signed AWS API request"."""
    said = headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ")
    parts = dict(part.split("=", 1) for part in said.split(", "))
    _, day, region, service, end = parts["Credential"].split("/")
    names = parts["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            *(method, path, ""),
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            *("", ";".join(names), hashlib.sha256(body).hexdigest()),
        ]
    )
    scope = f"{day}/{region}/{service}/{end}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest))
    key = f"AWS4{SECRET}".encode()
    for part in (day, region, service, end):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def test_a_request_to_aws_is_signed_over_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with ChatServer() as server:
        assert asked(adapter(server.url, "aws")).response
    [got] = server.received
    said = got.headers["authorization"]
    assert said.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-central-1/bedrock-mantle/aws4_request" in said
    expected = signature("POST", "/v1/chat/completions", got.headers, got.raw)
    assert said.endswith(f"Signature={expected}")
    assert SECRET not in json.dumps(got.headers)


def test_a_bearer_key_that_the_config_does_not_name_is_not_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bearer-of-nobody-here")
    with ChatServer() as server:
        assert asked(adapter(server.url, "aws")).response
    assert server.received[0].headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


def test_a_request_to_claude_at_aws_is_signed_over_what_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-nobody-here")
    with MessagesServer() as server:
        assert asked(adapter(server.url, "aws", anthropic)).response
    [got] = server.received
    said = got.headers["authorization"]
    assert "/eu-central-1/bedrock-mantle/aws4_request" in said
    expected = signature("POST", "/v1/messages", got.headers, got.raw)
    assert said.endswith(f"Signature={expected}")
    assert "key-of-nobody-here" not in json.dumps(got.headers)


@pytest.mark.parametrize("wire", [openai_chat, anthropic], ids=lambda wire: wire.ADAPTER)
def test_without_aws_credentials_the_failure_says_how_to_get_some(wire: Any) -> None:
    with ChatServer() as server:
        failure = asked(adapter(server.url, "aws", wire)).failure
    assert failure.kind == "auth"
    assert "AWS_BEARER_TOKEN_BEDROCK" in failure.message
    assert server.received == []


@contextmanager
def token_server() -> Iterator[tuple[str, list[bytes]]]:
    """Google's place for tokens, as far as a service account asks it."""
    taken: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps({"access_token": "token-of-google", "expires_in": 3600}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def account(folder: Path, token_uri: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    told = {
        "type": "service_account",
        "project_id": "p",
        "private_key": pem.decode(),
        "client_email": "a@p.example",
        "token_uri": token_uri,
    }
    (folder / "account.json").write_text(json.dumps(told))
    return str(folder / "account.json")


def test_a_request_to_google_carries_the_token_that_was_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with token_server() as (token_uri, taken), ChatServer() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", account(tmp_path, token_uri))
        for answer in ask(adapter(server.url, "google"), *[request(user("hi"))] * 2):
            assert answer.response
    assert [got.headers["authorization"] for got in server.received] == [
        "Bearer token-of-google"
    ] * 2
    assert len(taken) == 1


def test_a_request_to_claude_at_google_carries_the_token_and_the_model_in_its_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = replace(built_in().of("vertex", "claude-sonnet-5"), base_url="", hosts=(), headers={})
    with token_server() as (token_uri, _), MessagesServer() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", account(tmp_path, token_uri))
        server.lenient = True
        model = anthropic.create(
            AdapterSettings(
                provider="vertex", model="claude-sonnet-5", base_url=server.url, profile=profile
            )
        )
        asked(model)
    [got] = server.received
    assert got.path.endswith("/claude-sonnet-5:streamRawPredict")
    assert got.headers["authorization"] == "Bearer token-of-google"
    assert "model" not in got.body
    assert got.body["anthropic_version"] == "2026-10-21"


def test_without_google_credentials_the_failure_says_how_to_get_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/account.json")
    with ChatServer() as server:
        failure = asked(adapter(server.url, "google")).failure
    assert failure.kind == "auth"
    assert "gcloud auth application-default login" in failure.message
    assert server.received == []


@pytest.mark.parametrize(
    ("auth", "module", "line"),
    [
        ("aws", "boto3", "AWS credentials, which need the package boto3; install it with `pip"),
        ("google", "google.auth", "Google credentials, which need the package google-auth"),
        ("google", "requests", "install it with `pip install agent-host[google]`"),
    ],
)
def test_a_cloud_without_its_library_is_one_line_that_names_the_extra(
    auth: str, module: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError) as error:
        adapter("http://127.0.0.1:9/v1", auth)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bedrock-mantle.us-west-2.api.aws/openai/v1", "us-west-2"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1", "eu-west-1"),
        ("http://127.0.0.1:9/v1", None),
        ("https://evil.example/bedrock-mantle.us-west-2.api.aws", None),
    ],
)
def test_the_region_that_is_signed_for_is_that_of_the_url(url: str, region: str | None) -> None:
    assert clouds.region_of(url) == region


def test_the_client_for_claude_signs_for_the_region_of_its_url() -> None:
    url = "https://bedrock-mantle.us-west-2.api.aws/anthropic"
    assert clouds.anthropic_cloud_client("aws", url, {}).aws_region == "us-west-2"
