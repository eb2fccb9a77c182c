"""`agent-host config schema`: the JSON Schema of servers.toml, for editors."""

import argparse
import json
import sys

from agent_host.config.reference import json_schema
from agent_host.core.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """The action has no options."""


def execute(_options: argparse.Namespace) -> int:
    """Print the schema and return the exit status."""
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
    return ExitStatus.DONE
