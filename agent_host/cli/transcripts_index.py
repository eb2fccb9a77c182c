"""The index of the transcripts for the actions that list and search.

Theory of operation: it lies beside state.db, one file for each folder of transcripts, named by a
digest of where the folder is. Reading that takes longer than a moment is shown on stderr, where
that is a terminal, and the line is erased when it is over. Dates are given as people write them,
and are days and times of this machine's zone.
"""

import argparse
import contextlib
import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from agent_host.config.paths import state_file
from agent_host.core.text import clean_line
from agent_host.records.index import Index
from agent_host.records.index_search import Filters

_MOMENT = 0.5
_OFTEN = 0.1
_CLEAR = "\r\x1b[K"


@contextlib.contextmanager
def index_of(folder: Path, *, newest: int | None = None) -> Iterator[Index]:
    """Give the index of a folder, up to date with its files (of the `newest` ones alone)."""
    index = Index(folder, place_of(folder))
    try:
        known = _say(index, "")
        with _progress() as tell:
            index.refresh(tell, newest)
        _say(index, known)
        yield index
    finally:
        index.close()


def place_of(folder: Path) -> Path:
    """Return the file in which the index of a folder is kept."""
    name = hashlib.sha256(os.path.realpath(folder).encode("utf-8", "surrogateescape")).hexdigest()
    return state_file(os.environ).with_name("indexes") / f"{name[:24]}.db"


def _say(index: Index, known: str) -> str:
    if index.reason != known:
        sys.stderr.write(f"agent-host: {index.reason}; it is made for this once\n")
    return index.reason


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    start = shown = time.monotonic()
    visible = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    drawn = False

    def tell(done: int, todo: int) -> None:
        nonlocal shown, drawn
        now = time.monotonic()
        if visible and todo and now - start > _MOMENT and now - shown > _OFTEN:
            shown, drawn = now, True
            percent = min(100 * done // todo, 100)
            sys.stderr.write(f"{_CLEAR}reading transcripts: {percent} % of {todo / 1e6:,.0f} MB")
            sys.stderr.flush()

    try:
        yield tell
    finally:
        if drawn:
            sys.stderr.write(_CLEAR)


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which runs are meant."""
    group = parser.add_argument_group("which runs")
    group.add_argument("--tool", metavar="NAME", help="that used a tool: TOOL or SERVER/TOOL")
    group.add_argument("--server", metavar="NAME", help="that used a tool of this server")
    group.add_argument("--model", metavar="NAME", help="with a model: MODEL or PROVIDER:MODEL")
    group.add_argument("--user", metavar="ID", help="of this user")
    group.add_argument(
        "--since", metavar="WHEN", type=_since, help="since a day (2026-11-25), or the last 7d, 12h"
    )
    group.add_argument(
        "--until", metavar="WHEN", type=_until, help="begun up to this day, or longer ago than 7d"
    )
    group.add_argument("--cost", metavar="USD", type=_cost, help="that cost at least so much")
    group.add_argument("--outcome", metavar="TEXT", help="whose outcome says so; `broken`: damaged")


def filters(options: argparse.Namespace) -> Filters:
    """Return what the options of `add_filters` say."""
    return Filters(
        tool=options.tool or "",
        server=options.server or "",
        model=options.model or "",
        user=options.user or "",
        since=options.since or "",
        until=options.until or "",
        cost=options.cost,
        outcome=options.outcome or "",
    )


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _since(text: str) -> str:
    return _when(text, ends=False)


def _until(text: str) -> str:
    return _when(text, ends=True)


def _when(text: str, *, ends: bool) -> str:
    """A time as records write it: UTC."""
    try:
        if text[-1:] in _UNITS:
            ago = timedelta(**{_UNITS[text[-1]]: float(text[:-1])})
            found = datetime.now(UTC) - ago
        else:
            found = datetime.fromisoformat(text)
            if ends and _is_day(text):  # before the zone: not every day has 24 hours
                found += timedelta(days=1)
            found = found.astimezone()
    except (ValueError, OverflowError):
        said = clean_line(text, 40)
        raise argparse.ArgumentTypeError(
            f"{said!r} is no time: write a day as 2026-11-25, or 7d, 12h, 30m for so long ago"
        ) from None
    return found.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _cost(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{clean_line(text, 40)!r} is no amount: write it as 0.25")
    return value


def number(text: str) -> int:
    """Return a number of runs: the `type` of an option. Raises ArgumentTypeError below 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError("must be a whole number, at least 1")
    return value
