"""`agent-host config show`: every value in effect, and where it came from."""

import argparse
import json
import os
import sys

from agent_host.cli.columns import columns
from agent_host.config.load import load
from agent_host.config.show import as_toml, entries, files
from agent_host.core.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Print the values and return the exit status."""
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
