"""`agent-host transcripts delete`: runs, with their artifacts, for good.

Theory of operation: every run is named before anything is deleted, and at a terminal a person is
asked once for all of them; without a terminal `--yes` must say it. A run that is under way stays.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agent_host.cli.transcripts_index import index_of
from agent_host.cli.transcripts_text import count, write
from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus, RecordError, UsageError
from agent_host.core.text import clean_line
from agent_host.records.deleting import delete
from agent_host.records.reader import find


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument(
        "ids", metavar="ID", nargs="+", help="a run's id, a beginning of it, or `last`"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    folder = locate_transcripts(options.config, os.environ, working_folder())
    paths = list(dict.fromkeys(find(folder, name) for name in options.ids))
    write(f"{clean_line(path.name.removesuffix('.jsonl'), 100)}" for path in paths)
    if not agreed(len(paths), yes=options.yes):
        return ExitStatus.DONE
    return deleted(folder, paths)


def agreed(number: int, *, yes: bool) -> bool:
    """Return whether so many runs may be deleted. UsageError if there is nobody to ask."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("nothing was deleted: add --yes to delete without being asked")
    sys.stdout.write(f"Delete {count(number, 'run')} for good, with the artifacts? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    write(["Nothing was deleted."])
    return False


def deleted(folder: Path, paths: Sequence[Path]) -> int:
    """Delete runs, say what could not be, and return the exit status."""
    problems = []
    for path in paths:
        try:
            delete(path)
        except RecordError as error:
            problems.append(str(error))
    with index_of(folder, newest=0):  # what is gone leaves the index too
        pass
    write([f"Deleted {count(len(paths) - len(problems), 'run')}."])
    sys.stdout.flush()
    for problem in problems:
        sys.stderr.write(f"agent-host: {problem}\n")
    return ExitStatus.FAILED if problems else ExitStatus.DONE
