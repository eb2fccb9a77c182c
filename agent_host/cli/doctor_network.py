"""What `doctor` says of the way out: proxies, authorities, keyring, endpoint."""

import json
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.cli.doctor_findings import Facts, Finding
from agent_host.config import paths
from agent_host.config.choose import ModelChoice, choose_model, key_of
from agent_host.config.near import nearest
from agent_host.config.secrets import resolve
from agent_host.config.show import mask_url
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.profiles.adapters import WITHOUT_PROVIDER

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_SECONDS = 5.0
_MOST = 4_000_000
"""Bytes of a list of models that are read."""


def network_findings(_: Facts) -> Iterator[Finding]:
    """What the environment says of proxies and authorities."""
    said = []
    for name in _PROXIES:
        for variable in (name, name.lower()):
            if value := os.environ.get(variable):
                shown = value if name == "NO_PROXY" else _masked(value)
                said.append(f"{variable}={clean_line(shown, 200)}")
    text = ", ".join(said) or "no proxy in the environment"
    yield Finding(id="proxy", level="ok", text=text)
    for name in _AUTHORITIES:
        value = os.environ.get(name)
        if not value:
            continue
        path = Path(value)
        text = f"{name}={paths.shown(path)}"
        if path.is_dir() if name == "SSL_CERT_DIR" else path.is_file():
            yield Finding(id="authorities", level="ok", text=text)
        else:
            text += " is not there, so no certificate is believed"
            fix = "correct or unset it"
            yield Finding(id="no-authorities", level="problem", text=text, where=name, fix=fix)


def _masked(url: str) -> str:
    return mask_url(url if "://" in url else f"http://{url}")


def keyring_findings(_: Facts) -> Iterator[Finding]:
    """Which keyring keeps logins and keys, if any."""
    keyring = import_module("agent_host.servers.login.store").working_keyring()
    if keyring is not None:
        yield Finding(id="works", level="ok", text=f"{type(keyring).__module__}")
        return
    text = "none works: logins are kept in files that only you can read"
    yield Finding(id="none", level="ok", text=text)


def reach_findings(facts: Facts) -> Iterator[Finding]:
    """Whether the model's endpoint answers, takes the key and knows the name."""
    loaded = facts.loaded
    if loaded is None or facts.offline:
        return
    try:
        choice = choose_model(
            loaded.config, os.environ, loaded.profiles, origin=loaded.origin("model")
        )
        written = choice.settings.api_key or key_of(choice.profile, os.environ) or ""
        key = resolve(written, os.environ, loaded.folder, key="the key") if written else ""
    except ConfigError:
        return  # the check of the model says so
    if choice.adapter in WITHOUT_PROVIDER or not choice.settings.base_url:
        return
    if facts.untrusted:
        text = f"not asked: {', '.join(facts.untrusted)} is not trusted yet"
        yield Finding(id="not-asked", level="note", text=text, fix="agent-host trust")
    elif choice.profile.auth in ("aws", "google"):
        text = f"signed for a cloud: `agent-host models test {clean_line(choice.name, 80)}` asks it"
        yield Finding(id="not-asked", level="ok", text=text)
    else:
        yield _reached(choice, choice.settings.base_url, key)


def _reached(choice: ModelChoice, base: str, key: str) -> Finding:
    shown = clean_line(mask_url(base), 200)
    status, body = _listed(choice, base, key)
    if status == 0:
        fix = "check the network, the proxy and base_url; a local server must run"
        text = f"{shown} cannot be reached: {body}"
        return Finding(id="unreachable", level="problem", text=text, fix=fix)
    if status in (401, 403):
        text = f"{shown} refuses the key (HTTP {status})"
        fix = "set the right key of this provider; agent-host models show NAME says where from"
        return Finding(id="key-refused", level="problem", text=text, fix=fix)
    names = _names(body) if status == 200 else None
    test = f"agent-host models test {clean_line(choice.name, 80)}"
    if names is None:
        text = f"{shown} answers (HTTP {status}) without a list of its models"
        return Finding(id="answers", level="ok", text=text, fix=f"{test} asks it for more")
    model = choice.settings.model or ""
    if names and model and not any(n in (model, f"models/{model}") for n in names):
        text = f"{shown} answers, and does not list the model {clean_line(model, 80)}"
        fix = f"{test} tells whether it has it{clean_line(nearest(model, names), 120)}"
        return Finding(id="name-not-listed", level="note", text=text, fix=fix)
    listed = (
        f"lists {len(names)} models, {clean_line(model, 80)} among them" if names else "answers"
    )
    return Finding(id="reached", level="ok", text=f"{shown} {listed}")


def _listed(choice: ModelChoice, base: str, key: str) -> tuple[int, str]:
    """Ask for the list of models; status 0 and why if nothing answered."""
    httpx2: Any = import_module("httpx2")
    headers, path = {"Authorization": f"Bearer {key}"} if key else {}, "/models"
    if choice.adapter.startswith("anthropic"):
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
        path = "/models" if base.rstrip("/").endswith("/v1") else "/v1/models"
    try:
        with httpx2.stream(
            "GET", f"{base.rstrip('/')}{path}", headers=headers, timeout=_SECONDS
        ) as answer:
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > _MOST:
                    break
            return answer.status_code, body.decode("utf-8", "replace")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return 0, clean_line(str(error) or type(error).__name__, 200)


def _names(body: str) -> list[str] | None:
    try:
        listed = json.loads(body)["data"]
        return [model["id"] for model in listed if isinstance(model["id"], str)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
