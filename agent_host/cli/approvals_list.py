"""`agent-host approvals list`: what waits for somebody's yes, of every run of this user."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from agent_host.cli.approvals_found import Found, ago, clock, found, open_inbox
from agent_host.config.paths import shown as shown_path
from agent_host.core.approvals import lacking
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.state.approvals import Answered, Inbox
from agent_host.surfaces.cards import brief_arguments, title
from agent_host.surfaces.question import demanded, shown

_TOLD_SECONDS = 86400.0
"""How long it is told that an answer did not count."""
_POLL_SECONDS = 0.5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("--json", action="store_true", help="print an array of documents")
    parser.add_argument(
        "--watch", action="store_true", help="stay, and list again whenever something changes"
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="find what waits again in the transcripts (done by itself when state.db is lost)",
    )


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    with open_inbox(options.config, rebuild=options.rebuild) as inbox:
        _print(inbox, as_json=options.json)
        seen = inbox.version
        while options.watch:
            time.sleep(_POLL_SECONDS)
            if seen != (seen := inbox.version):
                sys.stdout.write("\n")
                _print(inbox, as_json=options.json)
    return ExitStatus.DONE


def _print(inbox: Inbox, *, as_json: bool) -> None:
    waiting = found(inbox)
    if as_json:
        documents = [document(one, inbox) for one in waiting]
        sys.stdout.write(in_json(documents))
    else:
        lines = [line for one in waiting for line in _lines(one, inbox)]
        lines += [_told(one) for one in inbox.not_counted(time.time() - _TOLD_SECONDS)]
        sys.stdout.write("\n".join(lines or ["Nothing waits for approval."]) + "\n")
    sys.stdout.flush()


def _lines(one: Found, inbox: Inbox) -> Iterator[str]:
    waiting = one.waiting
    name = shown(title(waiting.server, waiting.tool))
    yield f"{one.short}  {name}  {shown(brief_arguments(waiting.arguments))}".rstrip()
    yield f"    {standing(one)}"
    reason = f": {clean_line(waiting.reason, 200)}" if waiting.reason else ""
    where = f" ({clean_line(waiting.origin, 200)})" if waiting.origin else ""
    yield f"    rule {clean_line(waiting.rule, 100) or 'none'}{where}{reason}"
    yield f"    {needs(one, inbox)}"


def standing(one: Found) -> str:
    """Return where the run of a question stands, in words."""
    waiting = one.waiting
    run = f"run {waiting.run_id} of {shown_path(Path(waiting.config or waiting.folder))}"
    match one.place:
        case "alive":
            place = f"is waiting ({one.holder})"
        case "parked":
            place = "is parked"
        case "broken":
            place = "cannot be read; `agent-host transcripts show` says why"
    return f"{run} {place}; asked {ago(time.time() - waiting.asked_at)} ago{_until(one)}"


def _until(one: Found) -> str:
    if one.expires is None:
        return ""
    if one.expired:
        return f", expired at {clock(one.expires)}"
    return f", expires in {ago(one.expires - time.time())}"


def needs(one: Found, inbox: Inbox) -> str:
    """Return who asks, whose yes it takes, and who has said it."""
    waiting = one.waiting
    parts = [f"for {clean_line(waiting.requester, 80) or 'somebody'}"]
    if waiting.in_doubt:
        parts.append("IN DOUBT: it may have run already")
    if not waiting.terms.anybody:
        parts.append(f"takes {demanded(waiting.terms)}")
    yes = [clean_line(yes.by, 80) for yes in waiting.yeses]
    if yes:
        still = sum(part.needed for part in lacking(waiting.terms, waiting.yeses))
        parts.append(f"approved by {', '.join(yes)}, {still} more needed")
    parts += [
        f"{'yes' if answer.decision == 'approve' else 'no'} of {clean_line(answer.by, 80)} "
        "waits for the run to take it"
        for answer in inbox.given(waiting.binding)
    ]
    return "; ".join(parts)


def _told(answer: Answered) -> str:
    word = "yes" if answer.decision == "approve" else "no"
    return (
        f"not taken: the {word} of {clean_line(answer.by, 80)} to "
        f"{clean_line(answer.about, 200) or answer.binding[:8]}, {ago_of(answer)} ago: "
        f"{clean_line(answer.why, 400)}"
    )


def ago_of(answer: Answered) -> str:
    """Return how long ago an answer was given."""
    return ago(time.time() - answer.answered_at)


def document(one: Found, inbox: Inbox) -> JsonObject:
    """Return a question as a program reads it."""
    waiting = one.waiting
    answers = [asdict(answer) for answer in inbox.given(waiting.binding)]
    for answer in answers:
        del answer["proof"]
    return {
        "id": one.short,
        **asdict(waiting),
        "transcript": str(one.path),
        "state": one.place,
        "holder": one.holder,
        "expired": one.expired,
        "missing": [asdict(part) for part in lacking(waiting.terms, waiting.yeses)],
        "answers": answers,
        "resume": resume_command(one),
    }


def in_json(value: object) -> str:
    """Return JSON in ASCII, which a terminal can show: DEL is the one character to be escaped."""
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f") + "\n"


def resume_command(one: Found) -> str:
    """Return the command that goes on with a parked run."""
    config = f"--config {shlex.quote(one.waiting.config)} " if one.waiting.config else ""
    return f"agent-host {config}run --resume {one.waiting.run_id}"
