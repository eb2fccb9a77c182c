"""`agent-host transcripts compare`: the same task, side by side.

Theory of operation: with --model each model is asked again what is recorded, as `replay --model`
does it, all of them at the same time, and stands beside the record. Without it the runs themselves
stand beside each other, as recorded. Several runs with --model are a row each, and a total. The
exit status is 0 if every model answered, 6 if one did not, 1 if a transcript cannot be read.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.cli.progress import progress
from agent_host.cli.transcripts_compared import (
    Look,
    comparison_document,
    several_lines,
    side_by_side_lines,
    totals_document,
)
from agent_host.cli.transcripts_replay import transcript_paths
from agent_host.cli.transcripts_replayed import Unread, report
from agent_host.cli.transcripts_text import write
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.load import Loaded, load
from agent_host.core.errors import ExitStatus, RecordError, UsageError
from agent_host.core.text import clean_line
from agent_host.host.comparing import Comparison, as_recorded, compare
from agent_host.records.codec import encode_value

_MOST_TIMES = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.description = (
        "Put models side by side on a recorded task: answers, calls, tokens, cost and time. Tools "
        "return what is recorded, and nothing is executed. Without --model the runs are compared "
        "as they are recorded."
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="a run's id, a beginning of it, `last`, or the path of a transcript",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        action="append",
        default=[],
        help="ask this model again what is recorded (repeatable)",
    )
    parser.add_argument(
        "--times",
        metavar="N",
        type=_times,
        default=1,
        help=f"ask each model so many times, at most {_MOST_TIMES} (default: 1)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--full", action="store_true", help="shorten no answer and no call")
    form.add_argument("--json", action="store_true", help="print one JSON document")
    add_trust_option(parser)


def _times(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_TIMES:
        raise argparse.ArgumentTypeError(f"must be from 1 to {_MOST_TIMES}")
    return number


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    models = list(dict.fromkeys(options.model))
    if options.times > 1 and not models:
        raise UsageError("--times goes with --model: a record does not change")
    if len(options.runs) < 2 and not models:
        raise UsageError("name a model with --model, or a second run to compare with")
    paths = list(dict.fromkeys(transcript_paths(options.runs, options.config)))
    found = _asked(paths, models, options) if models else [_recorded(path) for path in paths]
    _print(found, options)
    return _status(found)


def _recorded(path: Path) -> Comparison | Unread:
    try:
        return as_recorded(path)
    except RecordError as error:
        return Unread(path=path, reason=str(error))


def _asked(
    paths: Sequence[Path], models: Sequence[str], options: argparse.Namespace
) -> list[Comparison | Unread]:
    loaded = load(options.config, os.environ, {})
    _check(loaded, models)
    ensure_trusted(loaded, flag=options.trust)
    left = {name: len(paths) * options.times for name in models}
    with progress(_under_way(left)) as say:

        def done(name: str) -> None:
            left[name] -= 1
            say(_under_way(left))

        async def all_of_them() -> list[Comparison | Unread]:
            locks = {name: asyncio.Lock() for name in models}

            async def one(path: Path) -> Comparison | Unread:
                try:
                    return await compare(
                        path, loaded, os.environ, locks, times=options.times, done=done
                    )
                except RecordError as error:
                    return Unread(path=path, reason=str(error))

            return await asyncio.gather(*map(one, paths))

        return asyncio.run(all_of_them())


def _check(loaded: Loaded, models: Sequence[str]) -> None:
    """Raise ConfigError for a name that stands for nothing, before others cost money."""
    choose: Any = import_module("agent_host.config.choose").choose_model
    for name in models:
        choose(loaded.config, os.environ, loaded.profiles, name=name, usable=False)


def _under_way(left: dict[str, int]) -> str:
    waiting = [clean_line(name, 40) for name, number in left.items() if number > 0]
    return f"asking {', '.join(waiting)}" if waiting else "comparing"


def _print(found: Sequence[Comparison | Unread], options: argparse.Namespace) -> None:
    read = [one for one in found if isinstance(one, Comparison)]
    if options.json:
        document = {
            "runs": [comparison_document(one) for one in found],
            "totals": totals_document(read) if read else [],
        }
        write([encode_value(document).decode()])
        return
    for one in found:
        if isinstance(one, Unread):
            write(line.replace("replayed", "compared") for line in report(one))
    look = Look.here(full=options.full)
    if not options.model and read:
        write(side_by_side_lines([one.recorded for one in read], look))
    elif len(read) == 1:
        one = read[0]
        write(look.broken(f"run {clean_line(one.run_id, 80)}, asked again: nothing was executed"))
        write([""])
        write(side_by_side_lines([one.recorded, *one.models], look))
    elif read:
        write(several_lines(read, look))


def _status(found: Sequence[Comparison | Unread]) -> ExitStatus:
    read = [one for one in found if isinstance(one, Comparison)]
    if any(a.failed for one in read for column in one.models for a in column.attempts):
        return ExitStatus.MODEL_UNAVAILABLE
    return ExitStatus.DONE if len(read) == len(found) else ExitStatus.FAILED
