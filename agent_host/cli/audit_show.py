"""`agent-host audit show` and `query`: entries for people, or as JSON."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from agent_host.audit.chain import Fields
from agent_host.audit.reading import Query, newest, one, select
from agent_host.audit.wording import sentence, severity
from agent_host.cli.audit_folder import add_filters, folder_of, local_time, query_of, read, write
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.core.text import clean, clean_line, clip

_NEWEST = 20
_ANY_WIDTH = 10_000
_MARKS = {1: " ", 2: "!", 3: "‼"}
_ORDER = ("seq", "time", "type", "run", "who", "who_from", "server", "tool", "decision")


def configure_show(parser: argparse.ArgumentParser) -> None:
    """Add the options of `show`."""
    parser.add_argument("id", nargs="?", metavar="ID", help="one entry: its number or hash, whole")
    parser.add_argument("--run", metavar="RUN", help="the entries of a run")
    parser.add_argument(
        "--last",
        metavar="N",
        type=_positive,
        default=_NEWEST,
        help=f"the N newest entries (default {_NEWEST})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def configure_query(parser: argparse.ArgumentParser) -> None:
    """Add the options of `query`."""
    add_filters(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print an array of entries")
    form.add_argument("--table", action="store_true", help="print a line for each (the default)")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def show(options: argparse.Namespace) -> int:
    """Print one entry, those of a run, or the newest."""
    folder = folder_of(options)
    if options.id is None:
        found = _some(folder, options)
        return _write(iter(found), as_json=options.json)
    entry = read(lambda: one(folder, options.id), folder)
    if entry is None:
        raise UsageError(
            f'there is no entry "{clean_line(options.id, 70)}"; give its number or the first 8 '
            "digits of its hash, as `audit show` prints them"
        )
    if options.json:
        write([json.dumps(entry, indent=2)])
    else:
        write(_whole(entry))
    return ExitStatus.DONE


def query(options: argparse.Namespace) -> int:
    """Print the entries that match."""
    folder = folder_of(options)
    wanted = query_of(options)
    return read(lambda: _write(select(folder, wanted), as_json=options.json), folder)


def _some(folder: Path, options: argparse.Namespace) -> list[Fields]:
    if options.run:
        return read(lambda: list(select(folder, Query(run=f"{options.run}*"))), folder)
    return read(lambda: newest(folder, options.last), folder)


def _write(found: Iterator[Fields], *, as_json: bool) -> int:
    if as_json:
        write(_array(found))
        return ExitStatus.DONE
    first = next(found, None)
    if first is None:
        sys.stderr.write("no entry matches\n")
        return ExitStatus.DONE
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _ANY_WIDTH
    write(_line(entry, max(width, 40)) for entry in chain([first], found))
    return ExitStatus.DONE


def _array(found: Iterator[Fields]) -> Iterator[str]:
    before = "["
    for entry in found:
        yield before + json.dumps(entry)
        before = ","
    yield "]" if before == "," else "[]"


def _line(entry: Fields, width: int) -> str:
    head = f"{_MARKS[severity(entry)]} {entry['seq']:>6}  {local_time(entry['time'])}"
    return clip(f"{head}  {sentence(entry)}", width)


def _whole(entry: Fields) -> Iterator[str]:
    yield sentence(entry)
    keys = [*(key for key in _ORDER if key in entry), *(k for k in entry if k not in _ORDER)]
    width = max(map(len, keys))
    for key in keys:
        value = entry[key]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        first, *more = clean(text).split("\n")
        yield f"  {clean_line(key, 40):<{width}}  {first}"
        yield from (f"  {'':<{width}}  {line}" for line in more)
