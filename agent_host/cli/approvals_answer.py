"""A yes or a no from this terminal: who gives it, whether it counts, and what becomes of it.

Theory of operation: whoever answers is who the config of that run says they are, with the roles
that it gives them. What cannot count is refused here, with the reason; the run checks everything
again, since it believes no row. A run that is alive takes the answer at once, and what it says of
it is told; one that is parked takes it when it is resumed.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent_host.cli.approvals_found import Found, found, named
from agent_host.cli.approvals_list import resume_command
from agent_host.cli.approvals_show import asked_of
from agent_host.cli.trusting import ensure_trusted
from agent_host.config.load import Loaded, load
from agent_host.core.approvals import Yes, counted, digest, lacking, refused
from agent_host.core.errors import AgentHostError, ConfigError, ExitStatus
from agent_host.core.events import ApprovalGiven
from agent_host.core.text import clean, clean_line
from agent_host.core.types import Principal
from agent_host.host.audit import record_act
from agent_host.host.identity import identify
from agent_host.host.secrets import Secrets
from agent_host.state.approvals import Answered, Inbox
from agent_host.surfaces.cards import title

_WAIT_SECONDS = 5.0
"""How long a run that is alive is given to take an answer."""
_POLL_SECONDS = 0.05


class NotCountedError(AgentHostError):
    """An answer that does not count; the text says why."""

    exit_status = ExitStatus.REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """Who answers a question, by the config of its run."""

    one: Found
    loaded: Loaded
    who: Principal
    proof: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a yes and a no have in common."""
    parser.add_argument("id", metavar="ID", help="as `approvals list` says it, or its beginning")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for the model")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="use the run's servers.toml as it is, where that says who you are",
    )


def answering(options: argparse.Namespace, inbox: Inbox) -> Answering:
    """Return the question and who answers it. Raises UsageError for an id that is none, ConfigError
    for a config that cannot be used, and the errors of who you are."""
    one = named(found(inbox), options.id)
    if one.place == "broken":
        raise NotCountedError(
            f"{clean(str(one.path))}: the transcript of that run cannot be read, so it cannot go on"
        )
    try:
        loaded = load(one.waiting.config or options.config, os.environ)
    except ConfigError as error:
        raise ConfigError(f"who may approve is said by the config of that run: {error}") from None
    if loaded.config.identity.token is not None:
        ensure_trusted(loaded, flag=options.trust)
    secrets = Secrets(os.environ)
    who = asyncio.run(identify(loaded, secrets))
    return Answering(one=one, loaded=loaded, who=who, proof=secrets.user_token(who))


def given_by(to: Answering, answer: ApprovalGiven, inbox: Inbox) -> ApprovalGiven:
    """Return an answer with whose it is. Raises NotCountedError if it does not count."""
    waiting = to.one.waiting
    if to.one.expired:
        raise NotCountedError(f"the question has expired ({waiting.expires_at}); it is refused")
    given = replace(
        answer,
        by=to.who.id,
        authenticated_by=to.who.authenticated_by,
        roles=to.who.roles,
        binding=waiting.binding,
    )
    problem = refused(asked_of(waiting), given, (*waiting.yeses, *_yeses(to, inbox)))
    if problem is not None:
        raise NotCountedError(f"{clean_line(to.who.id, 100)} cannot approve this: {problem}")
    return given


def _yeses(to: Answering, inbox: Inbox) -> list[Yes]:
    """The yeses that wait for the run to take them. One's own can be given again: it replaces the
    first."""
    waiting = to.one.waiting
    mine = (to.who.id, to.who.authenticated_by)
    return [
        Yes(
            answer.by,
            answer.authenticated_by,
            digest(waiting.arguments if answer.arguments is None else answer.arguments),
            answer.roles,
        )
        for answer in inbox.given(waiting.binding)
        if answer.decision == "approve" and (answer.by, answer.authenticated_by) != mine
    ]


def hand_in(to: Answering, given: ApprovalGiven, inbox: Inbox) -> int:
    """Put an answer where the run takes it, say what becomes of it, and return the status."""
    waiting = to.one.waiting
    answer = Answered(
        binding=waiting.binding,
        run_id=waiting.run_id,
        call_id=waiting.call_id,
        decision=given.decision,
        by=given.by,
        authenticated_by=given.authenticated_by,
        roles=given.roles,
        answered_at=time.time(),
        arguments=given.arguments,
        reason=given.feedback,
        about=title(waiting.server, waiting.tool),
        proof=to.proof,
    )
    before = _yeses(to, inbox)
    _audit(to, given)
    number = inbox.answer(answer)
    if to.one.place == "alive":
        return _taken(to, given, before, lambda: inbox.look(number))
    _say(f"{_counts(to, given, before)}; the run is parked, go on with: {resume_command(to.one)}")
    return ExitStatus.DONE


def _audit(to: Answering, given: ApprovalGiven) -> None:
    """Who answers what is in the audit log at once; the run's entry comes when it takes the answer,
    which may be never."""
    waiting = to.one.waiting
    record_act(
        to.loaded,
        os.environ,
        to.who,
        "approval_answered",
        run=waiting.run_id,
        call=waiting.call_id,
        server=waiting.server,
        tool=waiting.tool,
        binding=waiting.binding,
        decision=given.decision,
        approver=given.by,
        approver_from=given.authenticated_by,
        approver_roles=list(given.roles),
        edited=given.arguments is not None,
    )


def _counts(to: Answering, given: ApprovalGiven, before: list[Yes]) -> str:
    """What an answer means, in words."""
    if given.decision == "deny":
        return "denied"
    waiting = to.one.waiting
    arguments = waiting.arguments if given.arguments is None else given.arguments
    yes = Yes(given.by, given.authenticated_by, digest(arguments), given.roles)
    yeses = counted((*waiting.yeses, *before), yes)
    still = sum(part.needed for part in lacking(waiting.terms, yeses))
    who = ", ".join(clean_line(one.by, 80) for one in yeses)
    return f"approved by {who}; {still} more needed" if still else "approved"


def _taken(
    to: Answering, given: ApprovalGiven, before: list[Yes], look: Callable[[], Answered | None]
) -> int:
    """Wait until the run, which is alive, has taken the answer."""
    until = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < until:
        answer = look()
        if answer is None or answer.state == "refused":
            why = answer.why if answer is not None else "it is gone"
            raise NotCountedError(f"the run did not take the answer: {clean_line(why, 400)}")
        if answer.state == "taken":
            _say(f"{_counts(to, given, before)}; the run has taken it")
            return ExitStatus.DONE
        time.sleep(_POLL_SECONDS)
    _say(f"{_counts(to, given, before)}; the run has not taken it yet (it may be busy)")
    return ExitStatus.DONE


def _say(text: str) -> None:
    sys.stdout.write(f"{clean(text)}\n")
