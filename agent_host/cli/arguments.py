"""Arguments of a tool, as a person types them: KEY=VALUE, or one JSON object."""

import argparse
import json
from typing import Any

from agent_host.core.errors import UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Tool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `KEY=VALUE...` and `--args`."""
    parser.add_argument(
        "pairs", nargs="*", metavar="KEY=VALUE", help="arguments, read as the tool's schema says"
    )
    parser.add_argument("--args", metavar="JSON", help="the arguments as one JSON object")


def check_given(options: argparse.Namespace) -> None:
    """Refuse what cannot be arguments, before any server is started."""
    if options.args is not None and options.pairs:
        raise UsageError("give the arguments as --args or as KEY=VALUE, not both")
    if options.args is not None:
        _parsed(options.args)
    for pair in options.pairs:
        if not pair.partition("=")[0] or "=" not in pair:
            raise UsageError(f'"{clean_line(pair, 80)}" is no KEY=VALUE')


def _parsed(text: str) -> JsonObject:
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--args is not JSON: {clean_line(str(error))}") from None
    if not isinstance(arguments, dict):
        raise UsageError('--args must be a JSON object, as in \'{"order_id": "12345"}\'')
    return arguments


def arguments_of(options: argparse.Namespace, tool: Tool) -> JsonObject:
    """Return the arguments that the options say. Raises UsageError."""
    if options.args is not None:
        return _parsed(options.args)
    properties = tool.input_schema.get("properties")
    schemas = properties if isinstance(properties, dict) else {}
    pairs = [pair.partition("=") for pair in options.pairs]
    return {key: _typed(text, schemas.get(key)) for key, _, text in pairs}


def _typed(text: str, schema: Any) -> Any:
    """Read a value as its schema says: text stays text, all else is JSON if it can be."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind == "string" or (isinstance(kind, list) and "string" in kind):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
