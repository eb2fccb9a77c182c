"""`agent-host transcripts replay --live-tools`: who is asked, and what is printed."""

import os
import secrets
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from agent_host.cli.transcripts_replayed import divergence_document, divergence_lines
from agent_host.cli.transcripts_text import count
from agent_host.config.load import Loaded
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.host import user_name
from agent_host.host.live_tools import Live, with_live_tools
from agent_host.surfaces.approval import ApprovalMode
from agent_host.surfaces.browser import open_page
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.people import editor_at, make_people


async def live(path: Path, loaded: Loaded, only: Collection[str], approve: ApprovalMode) -> Live:
    """Run a recorded run's calls again; a person at the terminal is asked as in `run`."""
    notes = Outlet(sys.stderr, os.environ)
    people = make_people(
        approve,
        by=user_name(),
        screen=notes,
        hold=(notes,),
        sign=secrets.token_hex(2),
        browser=open_page(os.environ),
        interrupt=lambda: None,
        editor=editor_at(notes, os.environ),
    )
    try:
        return await with_live_tools(
            path,
            loaded,
            os.environ,
            approver=people.approver,
            respondent=people.respondent,
            only=only,
        )
    finally:
        notes.finish()


def live_status(result: Live) -> ExitStatus:
    """Return the exit status of one run."""
    if result.waits:
        return ExitStatus.PARKED
    return ExitStatus.DONE if result.divergence is None else ExitStatus.FAILED


def live_report(result: Live) -> Iterator[str]:
    """Yield what a person reads of one run, clean."""
    name, kept = clean_line(result.run_id, 80), clean_line(result.kept_as, 80)
    same = f"{result.same:,} of {count(result.whole, 'result')} as recorded"
    if result.divergence is None:
        yield f"{name}  the tools return the same: {same}; kept as {kept}"
    else:
        yield f"{name}  leaves the record at {result.divergence.step}: {same}; kept as {kept}"
        yield from divergence_lines(result.divergence, result.path)
    for server in result.unwell:
        yield f"  server {clean_line(server, 80)} does not work; see `agent-host servers test`"


def live_document(result: Live) -> JsonObject:
    """Return what `--json` says of one run."""
    found = result.divergence
    return {
        "run_id": result.run_id,
        "path": str(result.path),
        "outcome": "same" if found is None else "diverged",
        "kept_as": result.kept_as,
        "results": result.whole,
        "same": result.same,
        "unwell": list(result.unwell),
        "waits": result.waits,
        "divergence": None if found is None else divergence_document(found),
    }
