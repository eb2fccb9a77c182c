"""Requests that a cloud's own credentials sign: AWS (Bedrock) and Google (Vertex).

Theory of operation: each provider's SDK has a client that signs a request (AWS Signature 4) or
fetches a token (Google's application default credentials) and renews it; this file makes that
client and adds nothing of its own. The clouds' libraries are optional: `check_extra` says in one
line what to install, when the adapter is made. They find credentials as the cloud's own tools do
(variables, profiles, the machine's role), so nothing of them stands in a config. The region of AWS
is read off the URL, so that what is signed and where it is sent cannot differ.
"""

import importlib.util
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from agent_host.core.errors import ConfigError

CLOUDS = ("aws", "google")
"""The values of `Profile.auth` for which this file is."""

ADVICE: Mapping[str, str] = {
    "aws": "sign in with `aws configure` or `aws sso login`, or set AWS_BEARER_TOKEN_BEDROCK",
    "google": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
}
"""What to do when no credentials are found."""

_NEEDED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "aws": ("boto3", ("boto3",)),
    "google": ("google-auth[requests]", ("google.auth", "requests")),
}
"""The package that is needed, and the modules that it brings."""
_AWS_HOST = re.compile(r"bedrock-(?:mantle|runtime|runtime-fips)\.(?P<region>[a-z0-9-]+)\.")


def check_extra(auth: str, provider: str) -> None:
    """Raise ConfigError if a cloud's library is not installed; nothing for any other `auth`."""
    if auth not in _NEEDED:
        return
    package, modules = _NEEDED[auth]
    if not all(_is_there(module) for module in modules):
        raise ConfigError(
            f"{provider} is asked with {auth.upper() if auth == 'aws' else auth.title()} "
            f"credentials, which need the package {package}; "
            f"install it with `pip install agent-host[{auth}]`"
        )


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # not even its outer package
        return False


def region_of(url: str) -> str | None:
    """Return the AWS region that a URL of Bedrock names, None for a host of another kind: the
    SDKs then take AWS_REGION."""
    found = _AWS_HOST.match(urlsplit(url).hostname or "")
    return found["region"] if found else None


def openai_cloud_client(auth: str, url: str, options: Mapping[str, Any]) -> Any:
    """Return an AsyncOpenAI that signs for `auth`. `options`: of its construction, without key
    and base URL. Raises openai.OpenAIError."""
    if auth == "aws":
        # api_key=None: a bearer key of the environment was a question for the config.
        provider = import_module("openai.providers.bedrock").bedrock(
            base_url=url, region=region_of(url), api_key=None
        )
    else:
        provider = import_module("openai.providers.vertex").vertex(base_url=url)
    return import_module("openai").AsyncOpenAI(provider=provider, **options)


def anthropic_cloud_client(auth: str, url: str, options: Mapping[str, Any]) -> Any:
    """Return the client of the anthropic package that signs for `auth`. `options`: of its
    construction, without key and base URL. Raises anthropic.AnthropicError or ValueError."""
    if auth == "aws":
        module = import_module("anthropic.lib.bedrock")
        return module.AsyncAnthropicBedrockMantle(
            base_url=url, aws_region=region_of(url), **options
        )
    # Region and project stand in the URL; the package wants to hear them all the same.
    module = import_module("anthropic.lib.vertex")
    return module.AsyncAnthropicVertex(base_url=url, region="-", project_id="-", **options)
