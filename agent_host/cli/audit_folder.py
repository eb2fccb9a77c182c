"""What the actions of `agent-host audit` have in common: which folder, times, and writing lines."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from agent_host.audit.files import files
from agent_host.audit.reading import Query
from agent_host.config.audit_place import locate_audit
from agent_host.config.paths import shown, working_folder
from agent_host.core.errors import RecordError, UsageError
from agent_host.core.text import clean_line

_DURATION = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_Result = TypeVar("_Result")


def folder_of(options: argparse.Namespace) -> Path:
    """Return the folder of the log to look at; raise RecordError if there is none."""
    if options.folder:
        folder = working_folder() / Path(options.folder).expanduser()
    else:
        folder = locate_audit(options.config, os.environ, working_folder())
    if not read(lambda: files(folder), folder):
        raise RecordError(
            f"{shown(folder)}: no audit log yet; a run begins one, unless [audit] has "
            "enabled = false or names another folder"
        )
    return folder


def read(use: Callable[[], _Result], folder: Path) -> _Result:
    """Return what `use` returns; raise RecordError if the log cannot be read."""
    try:
        return use()
    except OSError as error:
        if error.filename is None:
            raise
        name = clean_line(str(error.filename), 300)
        raise RecordError(f"{name}: cannot be read: {error.strerror}; check {folder}") from None


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options of a query."""
    for name, text in (
        ("who", "the user that the run acts for"),
        ("server", "the server"),
        ("tool", "the tool's own name"),
        ("decision", "allow, ask, deny (policy); approve, deny (a person)"),
        ("rule", "a rule that matched"),
        ("approver", "who said yes or no"),
        ("type", "the kind of entry, as call_started"),
        ("run", "the run's id"),
    ):
        parser.add_argument(f"--{name}", metavar=name.upper(), default="", help=f"{text}; * may be")
    parser.add_argument("--since", metavar="TIME", help="from then on: 24h, 7d, 2026-11-25, ...")
    parser.add_argument("--until", metavar="TIME", help="before then")


def query_of(options: argparse.Namespace) -> Query:
    """Return the query that the options say. Raises UsageError."""
    names = ("who", "server", "tool", "decision", "rule", "approver", "type", "run")
    said = {name: getattr(options, name) for name in names}
    since = moment(options.since) if options.since else ""
    return Query(**said, since=since, until=moment(options.until) if options.until else "")


def moment(text: str) -> str:
    """Return a time as entries have it: of `24h` ago, or of a date or time (RFC 3339; without an
    offset, of this machine's zone). Raises UsageError."""
    found = _DURATION.match(text)
    if found:
        now = datetime.now(UTC)
        at = now - timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    else:
        try:
            at = datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise UsageError(
                f'"{clean_line(text, 60)}" is no time; write 90m, 24h, 7d, 2026-11-25 or '
                "2026-11-25T10:00:00Z"
            ) from None
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def write(lines: Iterable[str]) -> None:
    """Print lines; what the terminal's encoding cannot show becomes an escape, not an error."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def local_time(time: str) -> str:
    """Return a time of an entry for people: in this machine's zone, to the second."""
    with suppress(ValueError, OverflowError):
        return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M:%S}"
    return clean_line(time, 32)
