"""`agent-host transcripts list`: recorded runs, a line each.

Theory of operation: what a run is comes from the index, which is compared with the files first; so
that a list of the newest is quick, only those are read if nothing else was asked for. A transcript
that is damaged is listed as broken, with the reason.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from agent_host.cli.transcripts_index import add_filters, filters, index_of, number
from agent_host.cli.transcripts_text import as_it_stands, count, document, write
from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus
from agent_host.core.moments import moment
from agent_host.core.text import clean_line, clip
from agent_host.records.codec import encode_value
from agent_host.records.index_search import Filters, newest, search
from agent_host.records.reader import Summary

NEWEST = 20
ANY_WIDTH = 10_000
_TOLD = 72
"""Columns that a line needs so that it tells more than when a run was."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    add_filters(parser)
    add_count(parser)
    parser.add_argument("--json", action="store_true", help="print an array of summaries")


def add_count(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how many runs are printed."""
    parser.add_argument(
        "-n",
        "--limit",
        dest="count",
        metavar="N",
        type=number,
        default=NEWEST,
        help=f"at most N runs (default {NEWEST})",
    )


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    return _list(locate_transcripts(options.config, os.environ, working_folder()), options)


def _list(folder: Path, options: argparse.Namespace) -> int:
    which = filters(options)
    every = which == Filters()
    with index_of(folder, newest=options.count if every else None) as index:
        if every:
            found, total = newest(index, options.count)
        else:
            places, total = search(index, None, which, options.count)
            found = [one.run for one in places]
        found = [as_it_stands(run) for run in found]
    if options.json:
        documents = ",\n ".join(encode_value(document(run)).decode() for run in found)
        write([f"[{documents}]"])
        return ExitStatus.DONE
    if not found:
        none = "No transcripts yet in" if every else "No such run in"
        write([f"{none} {clean_line(str(folder), 500)}."])
        return ExitStatus.DONE
    # A broken transcript's reason is never cut, and a pipe has no width.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else ANY_WIDTH
    write(table(found, max(width, 40)))
    older = total - len(found)
    if older > 0:
        write([f"… and {older} older (-n {len(found) + older} lists all)"])
    return ExitStatus.DONE


def table(found: list[Summary], width: int) -> Iterator[str]:
    """Yield a line for each run, clean, in so many columns; two, where one would say nothing."""
    ids = max(len(clean_line(run.run_id, 40)) for run in found)
    for run in found:
        run_id = clean_line(run.run_id, 40).ljust(ids)
        if run.broken:
            yield f"{run_id}  broken: {clean_line(run.broken, 1000)}"
            continue
        at = moment(run.started_at)
        when = f"{at:%Y-%m-%d %H:%M}" if at else clean_line(run.started_at, 16).ljust(16)
        words = clean_line(run.words, 60)
        counts = f"{count(run.turns, 'turn')}, {count(run.calls, 'call')}"
        model = clean_line(run.model, 60)
        what = f"{run.outcome}: {words} ({counts}, {model})"
        if width < _TOLD:
            yield clip(f"{run_id}  {when[5:]}", width)
            yield clip(f"  {what}", width)
        else:
            yield clip(f"{run_id}  {when}  {what}", width)
