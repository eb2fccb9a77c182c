"""`agent-host transcripts show`: what happened in a run.

Theory of operation: text for people; `--json` prints one document for programs, `--raw` the lines
of the file. Whatever was recorded is cleaned before it is printed. A transcript that is damaged is
shown up to the damage.
"""

import argparse
import os
import sys
from pathlib import Path

from agent_host.cli.transcripts_text import UNDER_WAY, as_it_stands, count, write
from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean, clean_line
from agent_host.records.reader import Summary, as_json, find, raw_lines, salvage, summary
from agent_host.records.show import Show, tokens

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
    reading = salvage(path)
    found = as_it_stands(summary(path, reading))
    if options.json:
        write(as_json(found, reading, str(path)))
    else:
        write([f"run {found.run_id} in {clean_line(str(path), 500)}"])
        show = Show(full=options.full)
        for record in reading.records:
            write(show.lines(record))
        if not found.broken:
            write(["", _total(found)])
    for problem in filter(None, (reading.torn, found.broken)):
        sys.stdout.flush()
        sys.stderr.write(f"agent-host: {clean_line(problem, 1000)}\n")
    return ExitStatus.FAILED if found.broken else ExitStatus.DONE


def _total(found: Summary) -> str:
    said = (
        f"{found.outcome}; {count(found.turns, 'turn')}, {count(found.calls, 'call')}, "
        f"{tokens(found.usage)}"
    )
    if found.outcome.startswith(UNDER_WAY):
        return said
    prompt = ' "..."' if found.outcome in _NEEDS_WORDS else ""
    return f"{said}; go on with: agent-host run --resume {found.run_id}{prompt}"
