"""`agent-host transcripts prune`: old runs, by the config's `[records]` or the options.

Theory of operation: see `records.deleting`. A run that is under way stays, and so does one that
waits for an approval which can still be given: somebody is asked for it at this moment.
"""

import argparse
import os
from datetime import UTC, datetime

from agent_host.cli.transcripts_delete import agreed, deleted
from agent_host.cli.transcripts_index import index_of, number
from agent_host.cli.transcripts_list import ANY_WIDTH, table
from agent_host.cli.transcripts_text import count, write
from agent_host.config.file import locate_transcripts
from agent_host.config.load import load
from agent_host.config.paths import working_folder
from agent_host.config.values import retention
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.records.deleting import outdated
from agent_host.records.holder import holder
from agent_host.records.index_search import Filters, search, unanswered


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument(
        "--keep", metavar="TIME", help="delete runs whose last record is older, as 30d"
    )
    parser.add_argument(
        "--keep-runs", metavar="N", type=_count, help="delete all but the N newest runs"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the runs, and do nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _count(text: str) -> int:
    try:
        return number(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{error}; `transcripts delete` takes single runs"
        ) from None


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    keep, keep_runs = _limits(options)
    folder = locate_transcripts(options.config, os.environ, working_folder())
    now = datetime.now(UTC)
    with index_of(folder) as index:
        runs = [one.run for one in search(index, None, Filters(), None)[0]]
        asked = unanswered(index, now)
    found = [run for run in outdated(runs, now, keep, keep_runs) if not holder(run.path)]
    old = [run for run in found if run.run_id not in asked]
    if len(old) < len(found):
        stay = count(len(found) - len(old), "old run")
        write([f"{stay} with a call that waits for approval: kept (agent-host approvals list)"])
    if not old:
        write(["Nothing to delete."])
        return ExitStatus.DONE
    write(table(old, ANY_WIDTH))
    if options.dry_run or not agreed(len(old), yes=options.yes):
        return ExitStatus.DONE
    return deleted(folder, [run.path for run in old])


def _limits(options: argparse.Namespace) -> tuple[float | None, int | None]:
    """Seconds and number of runs to keep: of the options, if there is one, else of the config."""
    keep, keep_runs = options.keep, options.keep_runs
    if keep is None and keep_runs is None:
        records = load(options.config, os.environ, {}).config.records
        keep, keep_runs = records.keep, records.keep_runs
    if keep is None and keep_runs is None:
        raise UsageError(
            "nothing says what to keep: add --keep 30d or --keep-runs 1000, or set `keep` or "
            "`keep_runs` in [records] of servers.toml"
        )
    try:
        return None if keep is None else retention(keep), keep_runs
    except ValueError as error:
        raise UsageError(f"--keep {error}") from None
