"""Approvals from other terminals: what the run asks is put where others see it, and what they
answer is taken.

Theory of operation: `Approvals` stands before whoever is asked here. A question is published in
state.db; an answer that is there already is taken; else whoever is here is asked, while state.db is
watched (a number that costs nothing to read, a few times a second), and the first answer counts.
Nothing that stands in a row is believed: who gave it is established anew (`_who`), and the engine's
own rules are applied to its own question. A row that does not count gets the reason; the question
goes on. What the transcript says ends a question: `emit` follows it. Where state.db cannot be used
the run goes on with whoever is here.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from agent_host.config.load import Loaded
from agent_host.config.paths import state_file
from agent_host.core.approvals import digest, refused, terms_of
from agent_host.core.errors import AgentHostError, RecordError
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    Ephemeral,
    Record,
    RunEnded,
    RunResumed,
    ToolFinished,
    ToolStarted,
)
from agent_host.core.text import clean_line
from agent_host.core.types import Json, Principal
from agent_host.host.identity import SYSTEM, in_roles, user_name, vouched
from agent_host.host.secrets import Secrets
from agent_host.ports import ApprovalQuestion, Approver, Deferred
from agent_host.state.approvals import Answered, Inbox, Waiting, shortened

POLL_SECONDS = 0.25
"""How often the inbox is looked at while a question is open."""

VIA = "approvals:"
"""`ApprovalGiven.via` of an answer from here, with its number."""

_SKEW = 60.0
"""Seconds by which an answer may seem older than its question: clocks are set."""


_Found = TypeVar("_Found")


class Approvals:
    """An approver and a sink; see the module. `here` is who is asked in this process,
    `transcript` the file of the run. `tell` shows the user a line."""

    def __init__(
        self,
        here: Approver,
        loaded: Loaded,
        secrets: Secrets,
        transcript: Path,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._here = here
        self._loaded = loaded
        self._secrets = secrets
        self._folder = str(transcript.parent)
        self._run_id = transcript.name.removesuffix(".jsonl")
        self._now = now
        self._inbox: Inbox | None = None
        self._broken = False
        self._open: dict[str, Waiting] = {}
        self._asked_at: dict[str, float] = {}
        self.tell: Callable[[str], None] = lambda _text: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._inbox is not None:
            self._inbox.close()

    def waiting(self) -> list[tuple[str, Waiting]]:
        """Return the questions of this run that wait, each with its short id."""
        mine = list(self._open.values())
        others = self._in_inbox(lambda inbox: inbox.questions()) or [] if mine else []
        ids = shortened([one.binding for one in (*mine, *others)])
        return [(ids[one.binding], one) for one in mine]

    # -- an approver -------------------------------------------------------------------------

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        """Return the first answer: one that is there, that of whoever is asked here, or one from
        elsewhere. See `ports.Approver`."""
        asked = question.asked
        if asked is None:
            return await self._here.approve(question)
        answer = await self._found(question, asked)
        if answer is not None:
            return answer
        async with asyncio.TaskGroup() as group:
            here = group.create_task(self._here.approve(question))
            await asyncio.sleep(0)
            if here.done() and isinstance(here.result(), ApprovalGiven):
                return here.result()  # no human was needed, and others need not see it
            self._publish(question, asked)
            elsewhere = group.create_task(self._watch(question, asked))
            await asyncio.wait((here, elsewhere), return_when=asyncio.FIRST_COMPLETED)
            first = here if here.done() else elsewhere
            here.cancel()
            elsewhere.cancel()
        return first.result()

    async def _watch(
        self, question: ApprovalQuestion, asked: ApprovalRequested
    ) -> ApprovalGiven | Deferred:
        """Return the first answer from elsewhere that counts."""
        seen = 0
        while (now := self._in_inbox(lambda inbox: inbox.version)) is not None:
            if now != seen and (answer := await self._found(question, asked)) is not None:
                return answer
            seen = now
            await asyncio.sleep(POLL_SECONDS)
        await asyncio.Event().wait()  # until whoever is asked here answers
        raise AssertionError("nobody sets that")

    async def _found(
        self, question: ApprovalQuestion, asked: ApprovalRequested
    ) -> ApprovalGiven | None:
        for row in self._in_inbox(lambda inbox: inbox.given(asked.binding)) or ():
            answer = await self._checked(row, question, asked)
            if isinstance(answer, ApprovalGiven):
                return answer
            self._refuse(row, answer)
        return None

    async def _checked(
        self, row: Answered, question: ApprovalQuestion, asked: ApprovalRequested
    ) -> ApprovalGiven | str:
        """Return the answer that a row is, or why it is none."""
        who = await self._who(row)
        if isinstance(who, str):
            return who
        arguments = row.arguments if row.decision == "approve" else None
        if arguments is not None:
            shown = self._secrets.redactor.value(question.arguments)
            arguments = restored(question.arguments, shown, arguments)
            if (problem := question.invalid(arguments)) is not None:
                return f"the edited arguments cannot run: {clean_line(problem, 300)}"
        answer = ApprovalGiven(
            call_id=asked.call_id,
            decision=row.decision,
            by=who.id,
            arguments=arguments,
            feedback=row.reason[:2000],
            authenticated_by=who.authenticated_by,
            roles=who.roles,
            binding=asked.binding,
            via=f"{VIA}{row.id}",
        )
        return refused(asked, answer, question.yeses) or answer

    async def _who(self, row: Answered) -> Principal | str:
        """Establish who gave an answer. Its owner can write what they like into this state.db, so
        it says nothing of other users of the system; anybody else has a token."""
        if row.authenticated_by == SYSTEM:
            if self._loaded.config.identity.token is not None:
                # Else who a run acts for could say yes to themselves as a user of the system.
                return "users are told by ID tokens here, so an answer needs an ID token, too"
            if row.by == user_name():
                return in_roles(self._loaded, Principal(id=row.by))
            return (
                f"that {clean_line(row.by, 100)} answered is not certain: whoever is not the owner "
                "of state.db needs an ID token ([identity])"
            )
        since = self._asked_at.get(row.binding, 0.0)
        if not since - _SKEW <= row.answered_at <= self._now() + _SKEW:
            return "the token is not of the time in which that was asked"
        try:
            who = await vouched(self._loaded, self._secrets, row.proof, row.answered_at)
        except AgentHostError as error:
            return clean_line(f"who answered is not certain: {error}", 400)
        if (who.id, who.authenticated_by) != (row.by, row.authenticated_by):
            return "the token is another person's"
        return who

    def _refuse(self, row: Answered, why: str) -> None:
        if self._in_inbox(lambda inbox: inbox.refuse(row, why)):
            self.tell(f"an answer of {clean_line(row.by, 100)} was not taken: {why}")

    # -- what others see ---------------------------------------------------------------------

    def _publish(self, question: ApprovalQuestion, asked: ApprovalRequested) -> None:
        """Let others see the question, with as much of the arguments as a record shows."""
        at = self._asked_at.setdefault(asked.binding, self._now())
        redact = self._secrets.redactor.value
        waiting = Waiting(
            binding=asked.binding,
            folder=self._folder,
            config=str(self._loaded.path),
            run_id=self._run_id,
            call_id=asked.call_id,
            server=asked.server,
            tool=asked.tool,
            fingerprint=asked.fingerprint,
            arguments=redact(question.arguments),
            asked_at=at,
            rule=question.rule,
            origin=question.origin,
            rules=asked.rules,
            reason=redact(question.reason),
            in_doubt=question.in_doubt,
            terms=terms_of(asked),
            requester=asked.requester,
            requester_from=asked.requester_from,
            yeses=question.yeses,
            labels=question.labels,
            expires_at=asked.expires_at,
            definition=question.tool,
        )
        self._open[asked.call_id] = waiting
        self._in_inbox(lambda inbox: inbox.publish(waiting))

    def emit(self, item: Record | Ephemeral) -> None:
        """Follow the transcript: what is a fact there is settled in the inbox."""
        if not isinstance(item, Record):
            return
        match item.event:
            case RunResumed():
                self._recall()
            case ApprovalRequested() as asked:
                self._asked_at.setdefault(asked.binding, self._now())
            case ApprovalGiven(via=via) if via.startswith(VIA):
                self._settle(int(via.removeprefix(VIA)))
            case ToolStarted(call_id=call_id) | ApprovalExpired(call_id=call_id):
                self._withdraw(call_id)
            case ToolFinished(result=result):
                self._withdraw(result.call_id)
            case RunEnded() if self._open:
                self._open.clear()
                self._in_inbox(lambda inbox: inbox.withdraw(self._run_id))
            case _:
                pass

    def _settle(self, number: int) -> None:
        def take(inbox: Inbox) -> bool:
            row = inbox.look(number)
            return row is not None and inbox.take(row)

        self._in_inbox(take)

    def _withdraw(self, call_id: str) -> None:
        if self._open.pop(call_id, None) is not None:
            self._in_inbox(lambda inbox: inbox.withdraw(self._run_id, call_id))

    def _recall(self) -> None:
        """What an earlier process of this run asked is withdrawn with its call, too."""
        if not state_file(self._secrets.environ).exists():
            return
        for one in self._in_inbox(lambda inbox: inbox.questions()) or ():
            if one.run_id == self._run_id and one.folder == self._folder:
                self._open[one.call_id] = one
                self._asked_at[one.binding] = one.asked_at

    def _in_inbox(self, do: Callable[[Inbox], _Found]) -> _Found | None:
        """Do something with state.db; None where it cannot be used, which is said once."""
        if self._broken:
            return None
        try:
            if self._inbox is None:
                self._inbox = Inbox(state_file(self._secrets.environ))
            return do(self._inbox)
        except RecordError as error:
            self._broken = True
            self.tell(f"nobody can approve from another terminal: {error}")
            return None


def restored(original: Json, shown: Json, edited: Json) -> Json:
    """Return what an edit of `shown`, which is `original` without its secrets, makes of `original`:
    what the edit left as it was shown is left as it is."""
    if digest(shown) == digest(edited):
        return original
    if isinstance(original, dict) and isinstance(shown, dict) and isinstance(edited, dict):
        return {
            name: restored(original[name], shown[name], value)
            if name in original and name in shown
            else value
            for name, value in edited.items()
        }
    if isinstance(original, list) and isinstance(shown, list) and isinstance(edited, list):
        known = zip(original, shown, edited, strict=False)
        return [restored(*three) for three in known] + edited[len(original) :]
    return edited
