"""`agent-host models`: which models can answer, and what is known of each."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from agent_host.cli.columns import columns
from agent_host.cli.facts import ModelFacts, facts_of, known_prices, provider_source
from agent_host.cli.models_test import configure_test, execute_test
from agent_host.config.choose import choose_model
from agent_host.config.load import Loaded, load
from agent_host.core.errors import ConfigError, ExitStatus

_CELL = 40
_CAN = (("images", "image"), ("audio", "audio"), ("files", "file"), ("effort", "effort"))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list", help="list the models that can be named, or tell all that is known of some"
    )
    listing.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="tell all that is known of this model: a name of the config, PROVIDER:MODEL or "
        "URL:MODEL",
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    configure_test(
        actions.add_parser(
            "test", help="ask a model, and say what works there and what does not (this costs)"
        )
    )


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    if options.action == "test":
        return execute_test(options)
    loaded = load(options.config, os.environ, needed=False)
    try:
        chosen = choose_model(
            loaded.config, os.environ, loaded.profiles, origin=loaded.origin("model")
        )
        in_use, why = chosen.name, chosen.why
    except ConfigError as error:
        in_use, why = "", str(error)
    prices = known_prices(loaded)
    if options.names:
        rows = [facts_of(loaded, name, prices) for name in options.names]
    else:
        rows = [facts_of(loaded, name, prices, source=source) for name, source in _names(loaded)]
    if options.json:
        document = {"chosen": in_use or None, "why": why, "models": [_as_json(r) for r in rows]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return ExitStatus.DONE
    if options.names:
        sys.stdout.write("\n\n".join(_details(row) for row in rows) + "\n")
        return ExitStatus.DONE
    headers = ("name", "takes", "tokens", "key", "$ in/out")
    sys.stdout.write(columns(headers, [_cells(row) for row in rows], cell=_CELL) + "\n")
    sys.stdout.flush()
    answer = f"in use: {in_use} ({why})" if in_use else f"none can be used: {why}"
    sys.stderr.write(
        f"{answer}\n`models list NAME` tells all; an empty cell is not known; prices are for a "
        "million tokens\n"
    )
    return ExitStatus.DONE


def _names(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Every name that can be listed, and where it stands: the config's, then the known ones."""
    for name in loaded.config.models:
        yield name, loaded.where("models", name)
    yield "offline", "built in"
    for profile in loaded.profiles.providers:
        name = f"{profile.provider}:{profile.default_model or 'MODEL'}"
        yield name, provider_source(loaded, profile.provider)


def _cells(facts: ModelFacts) -> tuple[str, ...]:
    takes = [word for key, word in _CAN if getattr(facts, key)]
    if facts.structured == "json_schema":
        takes.append("schema")
    found = {True: "yes", False: "no", None: ""}[facts.key_found]
    return (
        facts.name,
        "no AI: matches words" if facts.name == "offline" else " ".join(takes),
        _tokens(facts.context_window),
        found,
        _price(facts),
    )


def _tokens(count: int | None) -> str:
    if count is None:
        return ""
    if count >= 1_000_000:
        return f"{count / 1_000_000:.3g}M"
    return f"{count // 1000}k"


def _price(facts: ModelFacts) -> str:
    if facts.simulated:
        return ""
    return "unknown" if facts.price is None else f"{facts.price.input:g}/{facts.price.output:g}"


def _as_json(facts: ModelFacts) -> dict[str, Any]:
    document = asdict(facts)
    document["from"] = document.pop("source")
    return document


def _details(facts: ModelFacts) -> str:
    """All that is known, a line each."""
    lines = [
        ("provider", facts.title or facts.provider),
        ("adapter", facts.adapter),
        ("model", facts.model or ""),
        ("where", facts.where),
        ("named in", facts.source),
        ("key", facts.key),
    ]
    if not facts.simulated:
        lines += [
            ("images", _yes(facts.images)),
            ("audio", _yes(facts.audio)),
            ("files", _yes(facts.files)),
            ("images in tool results", _yes(facts.tool_images)),
            ("effort", ", ".join(facts.efforts or ()) or _yes(facts.effort)),
            ("structured output", _structured(facts.structured)),
            ("tools in a request", _bound(facts.max_tools)),
            ("tokens in all", _bound(facts.context_window)),
            ("tokens of an answer", _bound(facts.max_output_tokens)),
            ("price", f"{facts.price.shown} a million tokens" if facts.price else "unknown"),
        ]
    rows = [(f"  {name}", text or "not known") for name, text in lines]
    return f"{facts.name}\n{columns(('', ''), rows, cell=200).partition(chr(10))[2]}"


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _bound(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _structured(value: str | None) -> str:
    known = {
        "json_schema": "by JSON Schema",
        "json_object": "any JSON object; the schema in words",
        "prompt": "in words only",
    }
    return known.get(value or "", "")
