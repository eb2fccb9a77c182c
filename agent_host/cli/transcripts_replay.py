"""`agent-host transcripts replay`: recorded runs, run again.

Theory of operation: a run is named as everywhere else, or by its file. Each is replayed by itself,
and one line says what came of it; where one leaves its record, the step follows, with what was
recorded and what came. A transcript that cannot be read fails, and the others are replayed all the
same. The exit status is that of a test: 0 all as recorded, 1 something was not; 6 if a model that
was to be asked did not answer, 7 if a call waits for an approval.
"""

import argparse
import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.cli.live import enabled
from agent_host.cli.transcripts_replayed import Unread, document, passed, report, total
from agent_host.cli.transcripts_text import write
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.file import locate_transcripts
from agent_host.config.load import load
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus, RecordError, UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
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
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="ask this model again; tools return what is recorded, and nothing is executed",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="with --model: other words than recorded count as well, not only other calls",
    )
    parser.add_argument(
        "--live-tools",
        action="store_true",
        help="execute the recorded calls again, under the policy; the model answers as recorded",
    )
    parser.add_argument(
        "--approve",
        choices=("ask", "policy", "all", "none"),
        default="ask",
        help="with --live-tools: what happens to calls that policy wants a human for, as in `run`",
    )
    parser.add_argument(
        "--server",
        metavar="NAME",
        action="append",
        help="with --live-tools: use only this server (repeatable)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_trust_option(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    if options.exact and options.model is None:
        raise UsageError("--exact goes with --model; a plain replay is always exact")
    if options.live_tools and options.model is not None:
        raise UsageError("either --model or --live-tools: with both, nothing would be a replay")
    paths = transcript_paths(options.runs, options.config)
    if options.model is not None:
        return _ask_again(paths, options)
    if options.live_tools:
        return _call_again(paths, options)
    results: list[Replayed | Unread] = []
    for path in paths:
        result = _replayed(path)
        results.append(result)
        if not options.json:
            write(report(result))
    if options.json:
        _print([document(one) for one in results], passes=all(map(passed, results)))
    elif len(results) > 1:
        write([total(sum(map(passed, results)), len(results))])
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


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of one run."""

    status: ExitStatus
    lines: Iterable[str]
    document: JsonObject


def _ask_again(paths: Sequence[Path], options: argparse.Namespace) -> int:
    """Ask a model what is recorded."""
    loaded = load(options.config, os.environ, {})
    ensure_trusted(loaded, flag=options.trust)
    asking: Any = import_module("agent_host.host.reasking")
    shown: Any = import_module("agent_host.cli.transcripts_reasked")

    def ask(path: Path) -> _Done:
        work = asking.reask(path, loaded, os.environ, options.model, exact=options.exact)
        one = asyncio.run(work)
        return _Done(
            shown.reasked_status(one), shown.reasked_report(one), shown.reasked_document(one)
        )

    return _each(paths, ask, as_json=options.json)


def _call_again(paths: Sequence[Path], options: argparse.Namespace) -> int:
    """Execute what is recorded."""
    loaded = load(options.config, os.environ, {})
    only = enabled(loaded, options.server or ())
    ensure_trusted(loaded, flag=options.trust)
    shown: Any = import_module("agent_host.cli.transcripts_live")

    def call(path: Path) -> _Done:
        one = asyncio.run(shown.live(path, loaded, only, options.approve))
        return _Done(shown.live_status(one), shown.live_report(one), shown.live_document(one))

    return _each(paths, call, as_json=options.json)


def _each(paths: Sequence[Path], work: Callable[[Path], _Done], *, as_json: bool) -> int:
    """Do the work for each run, and print what came of it."""
    documents: list[JsonObject] = []
    statuses: list[ExitStatus] = []
    for path in paths:
        try:
            done = work(path)
        except RecordError as error:
            unread = Unread(path=path, reason=str(error))
            done = _Done(ExitStatus.FAILED, report(unread), document(unread))
        statuses.append(done.status)
        documents.append(done.document)
        if not as_json:
            write(done.lines)
    same = statuses.count(ExitStatus.DONE)
    if as_json:
        _print(documents, passes=same == len(statuses))
    elif len(statuses) > 1:
        write([total(same, len(statuses))])
    return max(statuses, key=lambda status: status.value)


def _print(runs: Sequence[JsonObject], *, passes: bool) -> None:
    write([encode_value({"passed": passes, "runs": list(runs)}).decode()])
