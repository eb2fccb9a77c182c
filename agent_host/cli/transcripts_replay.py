"""`agent-host transcripts replay`: recorded runs, run again.

Theory of operation: a run is named as everywhere else, or by its file. Each is replayed by itself,
and one line says what came of it; where one leaves its record, the step follows, with what was
recorded and what came. A transcript that cannot be read fails, and the others are replayed all the
same. The exit status is that of a test: 0 all as recorded, 1 something was not.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from agent_host.cli.transcripts_replayed import Unread, documents, passed, report, total
from agent_host.cli.transcripts_text import write
from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus, RecordError, UsageError
from agent_host.core.text import clean_line
from agent_host.host.replaying import Replayed, replay
from agent_host.records.codec import encode_value
from agent_host.records.reader import UnknownRunError, find

_SUFFIX = ".jsonl"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="a run's id, a beginning of it, `last`, or the path of a transcript",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    paths = transcript_paths(options.runs, options.config)
    results: list[Replayed | Unread] = []
    for path in paths:
        result = _replayed(path)
        results.append(result)
        if not options.json:
            write(report(result))
    if options.json:
        write([encode_value(documents(results)).decode()])
    elif len(results) > 1:
        write([total(results)])
    return ExitStatus.DONE if all(map(passed, results)) else ExitStatus.FAILED


def transcript_paths(names: Sequence[str], config: str | None) -> list[Path]:
    """Return the files of runs that were named by id or by path. Raises UnknownRunError, or
    UsageError for a folder."""
    return [_path(name, config) for name in names]


def _path(name: str, config: str | None) -> Path:
    if not name.endswith(_SUFFIX) and os.sep not in name:
        return find(locate_transcripts(config, os.environ, working_folder()), name)
    path, shown = Path(name).expanduser(), clean_line(name, 500)
    if path.is_dir():
        raise UsageError(f"{shown} is a folder; name its transcripts: {shown.rstrip('/')}/*.jsonl")
    if not path.exists():
        raise UnknownRunError(f"{shown}: there is no such transcript; check the path")
    return path


def _replayed(path: Path) -> Replayed | Unread:
    try:
        return replay(path)
    except RecordError as error:
        return Unread(path=path, reason=str(error))
