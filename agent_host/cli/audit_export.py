"""`agent-host audit export`: entries in the form that other tools read, a line each."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from agent_host import __version__
from agent_host.audit import cef, ocsf, otel
from agent_host.audit.chain import Fields
from agent_host.audit.reading import select
from agent_host.cli.audit_folder import add_filters, folder_of, query_of, read
from agent_host.core.errors import ExitStatus, RecordError
from agent_host.core.text import clean_line

_TOGETHER = 256
"""Entries in a line of OTLP."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--format",
        choices=("ocsf", "cef", "otel", "jsonl"),
        required=True,
        help="OCSF 1.8 (API Activity) as JSON, ArcSight CEF, OpenTelemetry logs (OTLP JSON), or "
        "the entries themselves",
    )
    parser.add_argument("-o", dest="output", metavar="FILE", help="write there (mode 0600)")
    add_filters(parser)


def export(options: argparse.Namespace) -> int:
    """Write the entries that match, to a file or standard output."""
    folder = folder_of(options)
    entries = select(folder, query_of(options))
    if not options.output:
        read(lambda: _write(sys.stdout, _lines(entries, options.format)), folder)
        return ExitStatus.DONE
    path = Path(options.output).expanduser()
    count = read(lambda: _to_file(path, _lines(entries, options.format)), folder)
    sys.stderr.write(f"{clean_line(str(path), 300)}: {count:,} lines\n")
    return ExitStatus.DONE


def _lines(entries: Iterator[Fields], form: str) -> Iterator[str]:
    match form:
        case "ocsf":
            yield from (ocsf.encoded(entry, __version__) for entry in entries)
        case "cef":
            yield from (cef.line(entry, __version__) for entry in entries)
        case "otel":
            while part := list(islice(entries, _TOGETHER)):
                yield otel.encoded(part, __version__).decode("ascii")
        case _:
            yield from (json.dumps(entry, separators=(",", ":")) for entry in entries)


def _write(file: TextIO, lines: Iterable[str]) -> int:
    count = 0
    encoding = file.encoding or "utf-8"
    for line in lines:
        file.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        count += 1
    return count


def _to_file(path: Path, lines: Iterable[str]) -> int:
    """Write a file whole or not at all."""
    made = path.with_name(f"{path.name}.{os.getpid()}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(made, flags, 0o600), "w", encoding="utf-8") as file:
            count = _write(file, lines)
        made.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            made.unlink()
        name = clean_line(str(path), 300)
        raise RecordError(f"{name}: cannot be written: {error.strerror}") from None
    return count
