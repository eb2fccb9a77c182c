"""`agent-host transcripts test`: a folder of recorded runs as a suite of tests.

Theory of operation: see `host.suites`. Each case is a line once it is over; what left its record
follows with the step, as `replay` shows it. Cases are asked of a model several at a time, because
nothing is executed; calls are executed one case after another, because they have effects. The exit
status is 0 if every case passed, 1 if one left its record or cannot be read, else what kept it from
being tried: 6 if the model did not answer, 7 if a call waits for an approval.
"""

import argparse
import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.cli.live import enabled
from agent_host.cli.progress import Say, progress
from agent_host.cli.transcripts_replayed import divergence_document
from agent_host.cli.transcripts_test_lines import SIGNS, case_details, case_lines
from agent_host.cli.transcripts_text import count, write
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.file import locate_transcripts
from agent_host.config.load import Loaded, load
from agent_host.config.paths import shown, working_folder
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.host.suites import (
    Case,
    Suite,
    Tested,
    from_record,
    of_model,
    of_servers,
    read_suite,
)
from agent_host.records.codec import encode_value

_AT_ONCE = 4
"""How many cases are asked of a model at the same time."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.description = (
        "Test that recorded runs still come out as they are recorded: from the record alone, or "
        "with another model, or with the real servers. Ends with 1 if one does not."
    )
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        help="a folder of transcripts (default: that of the config); what may differ is said in "
        "its expectations.toml, see docs/compare.md",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--model",
        metavar="NAME",
        help="ask this model; its calls and how it ends are compared, nothing is executed",
    )
    how.add_argument(
        "--live-tools",
        action="store_true",
        help="execute the recorded calls again, under the policy; their results are compared",
    )
    parser.add_argument(
        "--approve",
        choices=("none", "recorded", "policy", "all"),
        help="with --live-tools: what happens to calls that policy wants a human for; `recorded` "
        "answers as was answered in the record (default: none)",
    )
    parser.add_argument(
        "--server",
        metavar="NAME",
        action="append",
        help="with --live-tools: use only this server (repeatable)",
    )
    parser.add_argument(
        "-k", metavar="TEXT", help="only runs in whose id or first words this is found"
    )
    parser.add_argument("--junit", metavar="FILE", help="write the outcome as JUnit XML too")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_trust_option(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    if (options.approve or options.server) and not options.live_tools:
        raise UsageError("--approve and --server go with --live-tools: nothing else is executed")
    suite = _suite(options)
    began = time.monotonic()
    tested: list[Tested] = []
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    with progress(f"testing {count(len(suite.cases), 'run')}") as say:
        for one in _tries(suite, options):
            tested.append(one)
            if not options.json:
                write(case_lines(one, room))
                sys.stdout.flush()
            _say(say, len(tested), len(suite.cases))
    if options.junit:
        _junit(Path(options.junit), suite, tested)
    if options.json:
        write([encode_value(_document(suite, tested)).decode()])
    else:
        write(_summary(suite, tested, time.monotonic() - began))
        if options.approve in (None, "none") and any(map(_was_denied, tested)):
            write(["a human was asked when it was recorded: --approve recorded answers the same"])
    return _status(tested)


def _suite(options: argparse.Namespace) -> Suite:
    if options.folder is None:
        folder = locate_transcripts(options.config, os.environ, working_folder())
    else:
        folder = Path(options.folder).expanduser()
    suite = read_suite(folder)
    name = clean_line(shown(folder), 500)
    if not suite.cases:
        raise UsageError(f"{name}: there is no recorded run; name a folder of transcripts")
    if options.k is None:
        return suite
    found = suite.matching(options.k)
    if not found.cases:
        raise UsageError(f"{name}: -k {clean_line(options.k, 80)} matches no run's id or words")
    return found


def _say(say: Say, done: int, whole: int) -> None:
    say(f"testing {count(whole, 'run')} ({done:,} done)")


def _status(tested: Sequence[Tested]) -> ExitStatus:
    if any(one.exit is ExitStatus.FAILED for one in tested):
        return ExitStatus.FAILED
    return max((one.exit for one in tested), default=ExitStatus.DONE)


# -- trying ----------------------------------------------------------------------------------


def _tries(suite: Suite, options: argparse.Namespace) -> Iterator[Tested]:
    """Yield what came of each case, in order, as soon as it is known."""
    if options.model is None and not options.live_tools:
        for case in suite.cases:
            yield from_record(suite, case)
        return
    loaded = load(options.config, os.environ, {})
    if options.model is not None:
        _check(loaded, options.model)
        ensure_trusted(loaded, flag=options.trust)
        yield from _one_by_one(_asked(suite, loaded, options.model))
        return
    only = enabled(loaded, options.server or ())
    ensure_trusted(loaded, flag=options.trust)
    approver: Any = None
    if options.approve != "recorded":
        fixed: Any = import_module("agent_host.surfaces.approval")
        approver = fixed.FixedApprover(options.approve or "none")
    for case in suite.cases:
        work = of_servers(suite, case, loaded, os.environ, only=only, approver=approver)
        yield asyncio.run(work)


def _check(loaded: Loaded, model: str) -> None:
    """Raise ConfigError for a name that stands for nothing."""
    choose: Any = import_module("agent_host.config.choose").choose_model
    choose(loaded.config, os.environ, loaded.profiles, name=model, usable=False)


async def _asked(suite: Suite, loaded: Loaded, model: str) -> AsyncIterator[Tested]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def ask(case: Case) -> Tested:
        async with room:
            return await of_model(suite, case, loaded, os.environ, model)

    tasks = [asyncio.ensure_future(ask(case)) for case in suite.cases]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()


def _one_by_one(items: AsyncIterator[Tested]) -> Iterator[Tested]:
    """Yield what comes, while the work behind it goes on."""
    with asyncio.Runner() as runner:

        async def following() -> Tested | None:
            return await anext(items, None)

        while (item := runner.run(following())) is not None:
            yield item


# -- showing ---------------------------------------------------------------------------------


def _summary(suite: Suite, tested: Sequence[Tested], seconds: float) -> Iterator[str]:
    counts = {status: sum(one.status == status for one in tested) for status in SIGNS}
    parts = [f"{counts['passed']:,} passed", f"{counts['failed']:,} failed"]
    parts += [f"{counts['error']:,} could not be tried"] if counts["error"] else []
    parts += [f"{counts['skipped']:,} skipped"] if counts["skipped"] else []
    yield f"{count(len(tested), 'run')}: {', '.join(parts)} ({seconds:.1f} s)"
    if suite.replays:
        yield f"{count(suite.replays, 'replay')} in the folder left out"


def _was_denied(one: Tested) -> bool:
    """Whether a call was denied that the record has a result of."""
    found = one.divergence
    if found is None or found.came is None or found.recorded is None:
        return False
    return found.came.get("error") == "denied" != found.recorded.get("error")


def _junit(path: Path, suite: Suite, tested: Sequence[Tested]) -> None:
    made: Any = import_module("agent_host.cli.transcripts_test_junit")
    document = made.junit(shown(suite.folder), tested, [list(case_details(one)) for one in tested])
    made.write_junit(path, document)


def _document(suite: Suite, tested: Sequence[Tested]) -> JsonObject:
    return {
        "passed": all(one.exit is ExitStatus.DONE for one in tested),
        "folder": str(suite.folder),
        "replays": suite.replays,
        "runs": [
            {
                "run_id": one.case.name,
                "path": str(one.case.path),
                "title": one.case.title,
                "status": one.status,
                "what": one.what,
                "notes": list(one.notes),
                "seconds": round(one.seconds, 3),
                "divergence": None
                if one.divergence is None
                else divergence_document(one.divergence),
            }
            for one in tested
        ],
    }
