"""The anthropic package: what of it is loaded, whom it sends to, what it finds by itself."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_host.models.anthropic import AnthropicModel, create
from agent_host.models.anthropic_sdk import AnthropicWire
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import built_in
from tests.fakes.asking import ask, request
from tests.fakes.messages_server import MessagesServer

ANTHROPIC = built_in().of("anthropic", "claude-sonnet-5")
HERE = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    with MessagesServer() as running:
        yield running


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("API_KEY", "AUTH_TOKEN", "PROFILE", "CONFIG_DIR", "CUSTOM_HEADERS"):
        monkeypatch.delenv(f"ANTHROPIC_{name}", raising=False)


def adapter(url: str | None, **options: Any) -> AnthropicModel:
    given: dict[str, Any] = {"provider": "fake", "model": "fake-1"} | options
    return create(AdapterSettings(base_url=url, **given))


def run(code: str) -> Any:
    """Run in a process of its own and return what it prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- what is loaded -----------------------------------------------------------------------------

CALL = """
import json, sys
from agent_host.models.anthropic import create
from agent_host.models.settings import AdapterSettings
from tests.fakes.asking import ask, request
for key in ("k", None):
    model = create(
        AdapterSettings(provider="fake", model="fake-1", base_url=sys.argv[1], api_key=key)
    )
    [got] = ask(model, request())
"""
SAYS = "print(json.dumps(sorted(m for m in sys.modules if m.startswith('anthropic'))))"


def test_a_streamed_call_loads_none_of_the_types(server: MessagesServer) -> None:
    server.needs_key = False
    code = f"import sys; sys.argv = ['', {server.url!r}]{CALL}assert got.text\n{SAYS}"
    loaded = run(code)
    assert "anthropic._client" in loaded
    assert not [name for name in loaded if name.startswith("anthropic.types")]
    assert not [name for name in loaded if name.startswith("anthropic.resources")]
    assert len(loaded) < 60


def test_who_asks_the_package_for_anything_else_gets_the_real_thing() -> None:
    code = """
import json, sys
import agent_host.models.anthropic_sdk
import anthropic, httpx2
from anthropic.types import Message
from anthropic._error_classes import make_status_error
response = httpx2.Response(529, request=httpx2.Request("GET", "http://x"))
error = anthropic._base_client.make_status_error("no", body=None, response=response)
print(json.dumps([
    type(error).__name__,
    isinstance(error, anthropic.OverloadedError),
    anthropic.APIError is anthropic._exceptions.APIError,
    anthropic.AsyncAnthropic is anthropic._client.AsyncAnthropic,
    anthropic.types.Message is Message,
    len(anthropic._error_classes.ERROR_CLASSES) > 20 and callable(make_status_error),
    anthropic.lib._tracing.finish_api_call_span.__module__,
    anthropic.Anthropic(api_key="k").messages is not None,
]))
"""
    assert run(code) == [
        *("OverloadedError", True, True, True, True, True),
        *("anthropic.lib._tracing._api_call", True),
    ]


def test_a_package_that_was_loaded_before_is_left_as_it_is() -> None:
    code = """
import json
import anthropic
before = dict(vars(anthropic)), anthropic._error_classes.make_status_error
import agent_host.models.anthropic_sdk
after = dict(vars(anthropic)), anthropic._error_classes.make_status_error
print(json.dumps(before == after))
"""
    assert run(code) is True


def test_a_package_that_is_cut_differently_still_works(server: MessagesServer) -> None:
    """As a later version may be: the modules that names are taken from are elsewhere."""
    server.needs_key = False
    code = f"""
import sys; sys.argv = ['', {server.url!r}]
import importlib
real = importlib.import_module
def moved(name, package=None):
    if name in ("anthropic._client", "anthropic.lib._tracing._config", "anthropic._exceptions"):
        raise ImportError(name)
    return real(name, package)
importlib.import_module = moved
import agent_host.models.anthropic_sdk
importlib.import_module = real
{CALL}print(json.dumps(got.text))
"""
    assert run(code) == "Hello, world"


# -- whom it sends to ---------------------------------------------------------------------------


def test_only_what_the_config_says_is_sent_to_another_provider(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "env-secret")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "env-secret")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-gateway: env-secret\nx-api-key: env-secret")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    [got] = ask(adapter(server.url, api_key="k-mine", headers={"x-title": "mine"}), request())
    headers = server.received[0].headers
    assert got.text == "Hello, world"
    assert "secret" not in str(headers)
    assert headers["x-api-key"] == "k-mine"
    assert headers["x-title"] == "mine"
    assert "authorization" not in headers
    assert not [name for name in headers if name.startswith("x-stainless")]


def test_without_a_key_none_is_sent(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "env-secret")
    server.needs_key = False
    [got] = ask(adapter(server.url), request())
    assert server.received[0].headers.keys().isdisjoint({"authorization", "x-api-key"})
    assert got.text == "Hello, world"


def test_the_version_of_the_wire_can_be_said(server: MessagesServer) -> None:
    ask(adapter(server.url, api_key="k", headers={"Anthropic-Version": "2023-06-01"}), request())
    assert server.received[0].headers["anthropic-version"] == "2023-06-01"


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server on loopback is the provider's own host."""
    monkeypatch.setattr(AnthropicWire, "own_hosts", ("127.0.0.1",))


@pytest.mark.usefixtures("own")
def test_the_providers_own_host_gets_what_the_package_sends(server: MessagesServer) -> None:
    [got] = ask(adapter(server.url + "/v1", api_key="k-mine", profile=ANTHROPIC), request())
    headers = server.received[0].headers
    assert got.text == "Hello, world"
    assert server.refused == []
    assert "k-mine" in (headers.get("x-api-key", "") + headers.get("authorization", ""))
    assert headers["x-stainless-lang"] == "python"
    assert headers["anthropic-version"] == "2026-10-21"


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_at_the_providers_own_host_the_package_finds_credentials(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "k-of-the-environment")
    [got] = ask(adapter(server.url), request())
    assert "k-of-the-environment" in str(server.received[0].headers)
    assert got.text == "Hello, world"


@pytest.mark.usefixtures("own")
def test_a_configured_header_may_be_the_credential(server: MessagesServer) -> None:
    [got] = ask(adapter(server.url, headers={"X-Api-Key": "k-mine"}), request())
    assert server.received[0].headers["x-api-key"] == "k-mine"
    assert got.text == "Hello, world"


@pytest.mark.usefixtures("own")
def test_no_credentials_at_all_is_a_failure_that_says_what_to_do(server: MessagesServer) -> None:
    got = ask(adapter(server.url), request(), request())[1]
    assert (got.failure.kind, got.failure.retryable) == ("auth", False)
    assert "no key was found; set `api_key` of the model, or ANTHROPIC_API_KEY" in (
        got.failure.message
    )
    assert server.received == []


@pytest.mark.usefixtures("own")
def test_credentials_that_cannot_be_read_are_a_failure_too(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
    [got] = ask(adapter(server.url), request())
    assert got.failure.kind == "auth"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "work.json").write_text("{", encoding="utf-8")
    [got] = ask(adapter(server.url), request())
    assert got.failure.kind == "auth"
    assert server.received == []


@pytest.mark.usefixtures("own")
def test_a_token_that_cannot_be_fetched_for_a_request_is_a_failure_too(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("ANTHROPIC_FEDERATION_RULE_ID", "rule")
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org")
    [got] = ask(adapter(server.url), request())
    assert (got.failure.kind, got.failure.retryable) == ("auth", False)
    assert "ANTHROPIC_API_KEY" in got.failure.message
    assert server.received == []


# -- the clouds ---------------------------------------------------------------------------------


def cloud(name: str, model: str, url: str) -> Profile:
    """A cloud's profile, at a place of this machine."""
    return replace(built_in().of(name, model), base_url=url)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_AWS_API_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


def bedrock(url: str, **options: Any) -> AnthropicModel:
    profile = cloud("bedrock", "anthropic.claude-sonnet-5", url)
    assert (profile.adapter, profile.auth) == ("anthropic", "aws")
    return adapter(url + "/anthropic", profile=profile, **options)


@pytest.mark.usefixtures("aws")
def test_bedrock_requests_are_signed(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-access-key")
    server.paths = ("/anthropic/v1/messages",)
    server.automatic_cache = False
    got = ask(bedrock(server.url), request(system="be brief"), request())[1]
    assert server.refused == []
    assert got.text == "Hello, world"
    received = server.received[0]
    assert received.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
    assert received.body["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.usefixtures("aws")
def test_bedrock_takes_a_key_as_well(server: MessagesServer) -> None:
    server.paths = ("/anthropic/v1/messages",)
    [got] = ask(bedrock(server.url, api_key="k-mine"), request())
    assert server.received[0].headers["authorization"] == "Bearer k-mine"
    assert got.text == "Hello, world"


@pytest.mark.usefixtures("aws")
def test_bedrock_without_credentials_is_a_failure_that_says_what_to_do(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    # The package keeps what it found, by region.
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    [got] = ask(bedrock(server.url), request())
    assert (got.failure.kind, got.failure.retryable) == ("auth", False)
    assert "AWS_BEARER_TOKEN_BEDROCK" in got.failure.message
    assert server.received == []


def vertex(url: str, **options: Any) -> AnthropicModel:
    profile = cloud("vertex", "claude-sonnet-5", url)
    assert (profile.adapter, profile.auth, profile.body_model) == ("anthropic", "google", False)
    settings: dict[str, Any] = {"model": "claude-sonnet-5", "profile": profile} | options
    return adapter(f"{url}/v1/projects/p/locations/global/publishers/anthropic/models", **settings)


def test_vertex_has_the_model_in_the_path_and_the_version_in_the_body(
    server: MessagesServer,
) -> None:
    server.lenient = True
    [got] = ask(vertex(server.url, api_key="k-token"), request())
    received = server.received[0]
    assert received.path == (
        "/v1/projects/p/locations/global/publishers/anthropic/models/claude-sonnet-5:streamRawPredict"
    )
    assert received.headers["authorization"] == "Bearer k-token"
    assert received.body["anthropic_version"]
    assert received.body.keys().isdisjoint({"model", "cache_control"})
    assert got.text == "Hello, world"


def test_vertex_without_credentials_is_a_failure_that_says_what_to_do(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    [got] = ask(vertex(server.url), request())
    assert (got.failure.kind, got.failure.retryable) == ("auth", False)
    assert "gcloud auth application-default login" in got.failure.message
    assert server.received == []
