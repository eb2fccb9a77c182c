"""`agent-host transcripts`: list recorded runs, show one.

Theory of operation: a reader and nothing else: it takes no lock, changes nothing and starts
nothing, so it may be used while a run writes. `list` and `show` print text for people; `--json`
prints documents for programs (the list as an array of summaries, a run as an object of its
records); `show --raw` prints the lines of the file. Whatever was recorded is cleaned before it is
printed. A transcript that is damaged is listed as broken, with the reason, and shown up
to the damage.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean, clean_line, clip
from agent_host.core.types import JsonObject
from agent_host.records.codec import encode, encode_value, members
from agent_host.records.reader import (
    Reading,
    Summary,
    find,
    raw_lines,
    run_ids,
    salvage,
    summaries,
    summary,
)
from agent_host.records.show import Show, moment, tokens

_NEWEST = 20
_ANY_WIDTH = 10_000

_NEEDS_WORDS = frozenset({"done", "refused", "waiting for the user"})
"""Outcomes of runs that go on only once the user says something; others go on by themselves."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the runs, the newest first")
    listing.add_argument(
        "-n",
        dest="count",
        metavar="N",
        type=_positive,
        default=_NEWEST,
        help=f"at most N runs (default {_NEWEST})",
    )
    listing.add_argument("--json", action="store_true", help="print an array of summaries")
    showing = actions.add_parser("show", help="show what happened in a run")
    showing.add_argument("id", metavar="ID", help="a run's id, a beginning of it, or `last`")
    form = showing.add_mutually_exclusive_group()
    form.add_argument("--full", action="store_true", help="cut no long texts")
    form.add_argument("--json", action="store_true", help="print the run as one JSON document")
    form.add_argument("--raw", action="store_true", help="print the lines of the file")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def execute(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    folder = locate_transcripts(options.config, os.environ, working_folder())
    if options.action == "list":
        return _list(folder, options)
    path = find(folder, options.id)
    if options.raw:
        _write(clean(line) for line in raw_lines(path))
        return ExitStatus.DONE
    return _show(path, options)


def _list(folder: Path, options: argparse.Namespace) -> int:
    found = summaries(folder, options.count)
    if options.json:
        documents = ",\n ".join(encode_value(_document(run)).decode() for run in found)
        _write([f"[{documents}]"])
        return ExitStatus.DONE
    if not found:
        _write([f"No transcripts yet in {clean_line(str(folder), 500)}."])
        return ExitStatus.DONE
    # A broken transcript's reason is never cut, and a pipe has no width.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _ANY_WIDTH
    _write(_table(found, max(width, 40)))
    older = len(run_ids(folder)) - len(found)
    if older > 0:
        _write([f"… and {older} older (-n {len(found) + older} lists all)"])
    return ExitStatus.DONE


def _table(found: list[Summary], width: int) -> Iterator[str]:
    ids = max(len(clean_line(run.run_id, 40)) for run in found)
    for run in found:
        run_id = clean_line(run.run_id, 40).ljust(ids)
        if run.broken:
            yield f"{run_id}  broken: {clean_line(run.broken, 1000)}"
            continue
        at = moment(run.started_at)
        when = f"{at:%Y-%m-%d %H:%M}" if at else clean_line(run.started_at, 16).ljust(16)
        words = clean_line(run.words, 60)
        counts = f"{_count(run.turns, 'turn')}, {_count(run.calls, 'call')}"
        model = clean_line(run.model, 60)
        yield clip(f"{run_id}  {when}  {run.outcome}: {words} ({counts}, {model})", width)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _document(run: Summary) -> JsonObject:
    return {**members(run), "path": str(run.path)}


def _show(path: Path, options: argparse.Namespace) -> int:
    reading = salvage(path)
    found = summary(path, reading)
    if options.json:
        _write(_run_document(found, reading))
    else:
        _write([f"run {found.run_id} in {clean_line(str(path), 500)}"])
        show = Show(full=options.full)
        for record in reading.records:
            _write(show.lines(record))
        if not found.broken:
            _write(["", _total(found)])
    for problem in filter(None, (reading.torn, found.broken)):
        sys.stdout.flush()
        sys.stderr.write(f"agent-host: {clean_line(problem, 1000)}\n")
    return ExitStatus.FAILED if found.broken else ExitStatus.DONE


def _total(found: Summary) -> str:
    prompt = ' "..."' if found.outcome in _NEEDS_WORDS else ""
    return (
        f"{found.outcome}; {_count(found.turns, 'turn')}, {_count(found.calls, 'call')}, "
        f"{tokens(found.usage)}; "
        f"go on with: agent-host run --resume {found.run_id}{prompt}"
    )


def _run_document(found: Summary, reading: Reading) -> Iterator[str]:
    head = encode_value({**_document(found), "torn": reading.torn}).decode()
    yield f'{head[:-1]},"records":['
    last = len(reading.records) - 1
    for number, record in enumerate(reading.records):
        yield encode(record).decode() + ("," if number < last else "")
    yield "]}"


def _write(lines: Iterable[str]) -> None:
    """Print lines; what the terminal's encoding cannot show becomes an escape, not an error."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
