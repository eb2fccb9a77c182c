"""`agent-host transcripts fork`: a new run that begins with what another one holds."""

import argparse
import os

from agent_host.cli.transcripts_text import write
from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus
from agent_host.records.codec import encode_value
from agent_host.records.forks import fork
from agent_host.records.reader import find


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("id", metavar="ID", help="a run's id, a beginning of it, or `last`")
    parser.add_argument(
        "--at",
        metavar="TURN",
        type=int,
        help="up to the end of this answer of the model, counted from 1 as `search` does "
        "(0: before all; default: all of the run)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    path = find(locate_transcripts(options.config, os.environ, working_folder()), options.id)
    made = fork(path, turn=options.at)
    parent = path.name.removesuffix(".jsonl")
    if options.json:
        document = {"run_id": made, "parent": parent, "path": str(path.with_name(f"{made}.jsonl"))}
        write([encode_value(document).decode()])
    else:
        write([made, f"go on with: agent-host chat --resume {made}"])
    return ExitStatus.DONE
