"""`agent-host transcripts show`: what happened in a run.

Theory of operation: text for people; `--json` prints one document for programs, `--raw` the lines
of the file. Whatever was recorded is cleaned before it is printed. A transcript that is damaged is
shown up to the damage. One record is in memory at a time, however long the run is.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from agent_host.cli.progress import progress
from agent_host.cli.transcripts_text import UNDER_WAY, as_it_stands, count, write
from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean, clean_line
from agent_host.records.reader import Summary, as_json, find, raw_lines
from agent_host.records.show import Show, tokens
from agent_host.records.walk import Walk

_NEEDS_WORDS = frozenset({"done", "refused", "waiting for the user"})
"""Outcomes of runs that go on only once the user says something; others go on by themselves."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("id", metavar="ID", help="a run's id, a beginning of it, or `last`")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--full", action="store_true", help="cut no long texts")
    form.add_argument("--json", action="store_true", help="print the run as one JSON document")
    form.add_argument("--raw", action="store_true", help="print the lines of the file")


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    path = find(locate_transcripts(options.config, os.environ, working_folder()), options.id)
    if options.raw:
        write(clean(line) for line in raw_lines(path))
        return ExitStatus.DONE
    return _show(path, options)


def _show(path: Path, options: argparse.Namespace) -> int:
    walk = Walk(path)
    if options.json:
        with progress(f"reading {path.stem}"):
            found = as_it_stands(walk.finish())
        write(as_json(found, walk, walk.torn, str(path)))
    else:
        write(_lines(walk, full=options.full))
        found = as_it_stands(walk.found)
        if not found.broken:
            write(["", _total(found)])
    for problem in filter(None, (walk.torn, found.broken or walk.damaged)):
        sys.stdout.flush()
        sys.stderr.write(f"agent-host: {clean_line(problem, 1000)}\n")
    return ExitStatus.FAILED if found.broken or walk.damaged else ExitStatus.DONE


def _lines(walk: Walk, *, full: bool) -> Iterator[str]:
    show = Show(full=full)
    for number, record in enumerate(walk):
        if not number:
            yield f"run {walk.found.run_id} in {clean_line(str(walk.path), 500)}"
        yield from show.lines(record)


def _total(found: Summary) -> str:
    said = (
        f"{found.outcome}; {count(found.turns, 'turn')}, {count(found.calls, 'call')}, "
        f"{tokens(found.usage)}"
    )
    if found.outcome.startswith(UNDER_WAY):
        return said
    prompt = ' "..."' if found.outcome in _NEEDS_WORDS else ""
    return f"{said}; go on with: agent-host run --resume {found.run_id}{prompt}"
