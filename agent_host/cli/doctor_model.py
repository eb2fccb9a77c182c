"""What `doctor` says of the model: which one, and whether its key is there."""

import importlib.util
import os
from collections.abc import Iterator

from agent_host.cli.doctor_findings import Facts, Finding
from agent_host.cli.facts import ModelFacts, facts_of, known_prices
from agent_host.config.choose import ModelChoice, available, choose_model
from agent_host.config.local import local_hint
from agent_host.config.secrets import is_reference, resolve
from agent_host.core.errors import ConfigError

EXTRAS = {
    "aws": ("boto3", "the package boto3", "AWS"),
    "google": ("google.auth", "the package google-auth", "Google"),
}
"""What a cloud's signature needs: the module, its package, whose credentials."""


def model_findings(facts: Facts) -> Iterator[Finding]:
    """Which model answers, and what is known of it."""
    if facts.loaded is None:
        return
    loaded = facts.loaded
    origin = loaded.origin("model")
    try:
        choice = choose_model(loaded.config, os.environ, loaded.profiles, origin=origin)
        if choice.settings.api_key and is_reference(choice.settings.api_key):
            key = f"the key of {choice.name}"
            resolve(choice.settings.api_key, os.environ, loaded.folder, key=key)
    except ConfigError as error:
        yield Finding(id="unusable", level="problem", text=str(error))
        return
    text = f"{choice.name} ({choice.why})"
    if choice.settings.path and not (loaded.folder / choice.settings.path).is_file():
        fix = "check its path"
        yield Finding(
            id="no-file", level="problem", text=f"{text}: no file {choice.settings.path}", fix=fix
        )
    elif choice.provider == "offline":
        fix = "set a provider's key, as OPENAI_API_KEY; `agent-host models list` shows all"
        yield Finding(id="offline", level="note", text=f"{text}: no AI, it matches words", fix=fix)
    else:
        yield Finding(id="chosen", level="ok", text=text)
    yield from _cloud(choice)
    if not choice.settings.path and choice.provider != "offline":
        yield Finding(
            id="facts", level="ok", text=_known(facts_of(loaded, choice.name, known_prices(loaded)))
        )
    others = [
        p.provider
        for p in available(os.environ, loaded.profiles)
        if p.provider != choice.profile.provider
    ]
    if others:
        yield Finding(
            id="other-keys", level="ok", text=f"keys are there too for: {', '.join(others)}"
        )


def _cloud(choice: ModelChoice) -> Iterator[Finding]:
    """What a cloud's own signature needs."""
    extra = EXTRAS.get(choice.profile.auth)
    if extra is not None and not _is_there(extra[0]):
        yield Finding(
            id="no-package",
            level="problem",
            text=f"{choice.name} is asked with {extra[2]} credentials, which need {extra[1]}",
            fix=f"pip install agent-host[{choice.profile.auth}]",
        )


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even its outer package
        return False


def _known(facts: ModelFacts) -> str:
    """What is known of the model in use, in one line."""
    parts = [f"{facts.adapter} at {facts.where}" if facts.where else facts.adapter]
    if facts.key_found is not None:
        parts.append(facts.key)
    if facts.context_window is not None:
        parts.append(f"{facts.context_window:,} tokens")
    parts.append(f"{facts.price.shown} a million tokens" if facts.price else "price unknown")
    return ", ".join(parts)


def local_findings(_: Facts) -> Iterator[Finding]:
    """Model servers on this machine."""
    for server in local_hint():
        served = ", ".join(server.models[:5]) or "no model loaded"
        yield Finding(
            id="found",
            level="note",
            text=f"a model server answers at {server.base_url} ({served})",
            fix=f"use it with --model {server.hint}",
        )
