"""`agent-host config`: show the config in effect, make a first one, print its schema."""

import argparse
import json
import os
import sys
from pathlib import Path

from agent_host.cli.columns import columns
from agent_host.config import paths
from agent_host.config.load import load
from agent_host.config.reference import json_schema
from agent_host.config.show import as_toml, entries, files
from agent_host.core.errors import ConfigError, ExitStatus

STARTER = """\
# agent-host reads this file; `agent-host config show` prints every value in effect.
# All keys: docs/reference/config.md. An unknown key is an error.

# Which model answers: a name under [models], "provider:model", "URL:model", "offline", or
# "auto": the first provider whose key is in the environment, else offline (no AI).
model = "auto"

# The bundled demo server, an order desk. It needs no trust; remove it when you have others.
[servers.orders]
command = "agent-host"
args = ["demo-server"]
trust_annotations = true          # believe its hints which tools only read

# A server that is started: one text an argument, no shell.
# [servers.files]
# command = "npx"
# args = ["-y", "@modelcontextprotocol/server-filesystem@2026.8.31", "./documents"]
# env = { API_TOKEN = "${env:FILES_TOKEN}" }     # it gets only what is named here
# tools = { include = ["read_*", "list_*"], exclude = [] }

# A server that is there already, at a URL (streamable HTTP).
# [servers.crm]
# url = "https://mcp.example.com/mcp"
# headers = { Authorization = "Bearer ${env:CRM_TOKEN}" }

# A model on this machine.
# [models.local]
# adapter = "openai-chat"
# base_url = "http://127.0.0.1:11434/v1"
# model = "llama4"

# Who may do what. Every rule that matches counts, the strictest wins; no rule: default.
[policy]
default = "ask"

# What only reads runs without a question where the server's hints are believed. More rules:
# [[policy.rules]]
# id = "files-read"
# server = "files"
# tools = ["read_*", "list_*"]
# effect = "allow"                # allow, ask or deny
"""
"""What `config init` writes."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print every value in effect and where it came from")
    show.add_argument("--json", action="store_true", help="print JSON")
    init = actions.add_parser("init", help="write a commented servers.toml")
    init.add_argument(
        "path", nargs="?", default=paths.FILE, metavar="PATH", help="where (default: here)"
    )
    init.add_argument("--force", action="store_true", help="replace a file that is there")
    actions.add_parser("schema", help="print the JSON Schema of servers.toml, for editors")


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    match options.action:
        case "show":
            return _show(options)
        case "init":
            return _init(Path(options.path), force=options.force)
        case _:
            sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
            return ExitStatus.DONE


def _show(options: argparse.Namespace) -> int:
    loaded = load(options.config, os.environ)
    values = entries(loaded)
    if options.json:
        document = {
            "path": str(loaded.path),
            "fingerprint": loaded.fingerprint,
            "files": [{"level": o.level, "name": o.name} for o in loaded.layers],
            "values": [{"key": e.key, "value": e.value, "origin": e.origin} for e in values],
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return ExitStatus.DONE
    rows = [(e.key, as_toml(e.value), e.origin) for e in values]
    heads = "".join(f"# {name}{f' ({whose})' if whose else ''}\n" for name, whose in files(loaded))
    sys.stdout.write(f"{heads}{columns(('key', 'value', 'from'), rows)}\n")
    return ExitStatus.DONE


def _init(path: Path, *, force: bool) -> int:
    path = path.expanduser()
    if path.is_dir():
        path = path / paths.FILE
    name = paths.shown(path)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(STARTER)
    except FileExistsError:
        raise ConfigError(f"{name}: is there already; --force replaces it") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file name"
        raise ConfigError(
            f"{name}: cannot be written ({why}); name another place, as in "
            "`agent-host config init PATH`"
        ) from None
    sys.stdout.write(f"wrote {name}\n")
    sys.stderr.write("next: agent-host run 'What is the status of my order 12345?'\n")
    return ExitStatus.DONE
