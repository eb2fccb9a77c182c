"""`agent-host transcripts resume`: go on with a run, in the chat, or with a prompt and no chat.

Theory of operation: the run is looked up and checked first, so that one that cannot be gone on with
is refused before anything starts; then this process becomes `chat --resume`, or `run --resume`.
"""

import argparse
import os

from agent_host.cli.chat_around import go_on
from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus, RecordError
from agent_host.core.text import clean_line
from agent_host.records.holder import holder
from agent_host.records.reader import find


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument(
        "id",
        metavar="ID",
        nargs="?",
        help="a run's id, a beginning of it, or `last`; without one you choose from a list",
    )
    parser.add_argument("prompt", metavar="PROMPT", nargs="?", help="say this, without a chat")


def execute(options: argparse.Namespace) -> int:
    """Run the action; return only if it fails."""
    config = ["--config", options.config] if options.config else []
    if options.id is None:
        go_on([*config, "chat", "--resume"])
        return ExitStatus.FAILED
    path = find(locate_transcripts(options.config, os.environ, working_folder()), options.id)
    run_id = path.name.removesuffix(".jsonl")
    who = holder(path)
    if who is not None:
        raise RecordError(
            f"{clean_line(run_id, 100)}: the run is under way in {who}; end that first"
        )
    if options.prompt is None:
        go_on([*config, "chat", "--resume", run_id])
    else:
        go_on([*config, "run", "--resume", run_id, "--", options.prompt])
    return ExitStatus.FAILED
