"""`agent-host models`: which models can answer."""

import argparse
import json
import os
import sys

from agent_host.cli.columns import columns
from agent_host.config.choose import choose_model
from agent_host.config.load import Loaded, load
from agent_host.config.providers import PROVIDERS, provider_at
from agent_host.config.schema import ModelConfig
from agent_host.config.secrets import variables
from agent_host.config.show import mask_url
from agent_host.core.errors import ConfigError, ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the models that can be named")
    listing.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    loaded = load(options.config, os.environ)
    rows = _configured(loaded) + _known()
    try:
        chosen = choose_model(loaded.config, os.environ, origin=loaded.origin("model"))
        in_use, why = chosen.name, chosen.why
    except ConfigError as error:
        in_use, why = "", str(error)
    if options.json:
        document = {"chosen": in_use or None, "why": why, "models": rows}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return ExitStatus.DONE
    headers = ("name", "adapter", "model", "key", "where", "from")
    table = [tuple(row[header] or "" for header in headers) for row in rows]
    sys.stdout.write(columns(headers, table) + "\n")
    answer = f"in use: {in_use} ({why})" if in_use else f"none can be used: {why}"
    sys.stderr.write(answer + "\n")
    return ExitStatus.DONE


def _configured(loaded: Loaded) -> list[dict[str, str | None]]:
    return [
        {
            "name": name,
            "adapter": model.adapter,
            "model": model.model or model.path,
            "key": _key(model),
            "where": mask_url(model.base_url) if model.base_url else "",
            "from": loaded.where("models", name),
        }
        for name, model in loaded.config.models.items()
    ]


def _key(model: ModelConfig) -> str:
    """Return what is known of a model's key, never the key."""
    if model.adapter != "openai-chat":
        return "not needed"
    if model.api_key is None:
        provider = provider_at(model.base_url)
        usual = provider.key_variable if provider else None
        return _variable(usual) if usual else "none"
    named = variables(model.api_key)
    return _variable(named[0]) if named else "configured"


def _variable(name: str) -> str:
    return f"{name} is set" if os.environ.get(name) else f"{name} is not set"


def _known() -> list[dict[str, str | None]]:
    known: list[dict[str, str | None]] = [
        {
            "name": "offline",
            "adapter": "offline",
            "model": "no AI: matches words",
            "key": "not needed",
            "where": "",
            "from": "built in",
        }
    ]
    for provider in PROVIDERS:
        usual = f":{provider.default_model}" if provider.default_model else ":MODEL"
        known.append(
            {
                "name": provider.name + usual,
                "adapter": "openai-chat",
                "model": provider.default_model,
                "key": _variable(provider.key_variable) if provider.key_variable else "not needed",
                "where": provider.base_url,
                "from": "built in",
            }
        )
    return known
