"""Which calls wait for approval, and where the run of each stands.

Theory of operation: a row of state.db says where to look, and nothing else that it says is shown:
what would run, and who is to say yes, is read in the run's transcript. A question whose transcript
is gone, or in which it was answered, is dropped. When state.db is lost the questions are found
again in the transcripts of every folder that is known: the one of the config in use, the user's
own, and those of the rows that are there.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from agent_host.config import paths
from agent_host.config.file import locate_transcripts
from agent_host.core.approvals import terms_of
from agent_host.core.calls import CallState
from agent_host.core.conversation import Conversation, fold
from agent_host.core.decisions import question_about
from agent_host.core.errors import AgentHostError, ConfigError, UsageError
from agent_host.core.events import ApprovalRequested
from agent_host.core.moments import moment
from agent_host.core.text import clean_line
from agent_host.records.holder import holder
from agent_host.records.reader import inspect, run_ids
from agent_host.state.approvals import KEPT_SECONDS, Inbox, Waiting, shortened

Place = Literal["alive", "parked", "broken"]
"""Where a run stands: its process waits for the answer; it is gone, and the run can be resumed; its
transcript cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A question that waits. `short` is its id; `place` and `holder` say where its run stands."""

    waiting: Waiting
    short: str
    place: Place
    holder: str = ""

    @property
    def path(self) -> Path:
        """The run's transcript."""
        return transcript(self.waiting)

    @property
    def expires(self) -> float | None:
        """When the question ends, in seconds since the epoch; None: never."""
        return moment_of(self.waiting.expires_at)

    @property
    def expired(self) -> bool:
        """Whether it can be answered no more."""
        return self.expires is not None and self.expires <= time.time()


def transcript(waiting: Waiting) -> Path:
    """Return the path of a run's transcript."""
    return Path(waiting.folder) / f"{waiting.run_id}.jsonl"


def moment_of(text: str) -> float | None:
    """Return a time of a record in seconds since the epoch; None if there is none."""
    at = moment(text) if text else None
    return None if at is None else at.timestamp()


def open_inbox(config: str | None, *, rebuild: bool = False) -> Inbox:
    """Open state.db; fill it from the transcripts if that is asked for, or it was not there."""
    path = paths.state_file(os.environ)
    missing = not path.exists()
    inbox = Inbox(path)
    if rebuild or missing:
        known = {one.binding for one in inbox.questions()}
        for waiting in _in_transcripts(_folders(config, inbox), config):
            if waiting.binding not in known:
                inbox.publish(waiting)
    return inbox


def found(inbox: Inbox) -> list[Found]:
    """Return what waits, the oldest first; drop what does not any more."""
    stands: list[tuple[Waiting, Place, str]] = []
    for row in inbox.questions():
        stand = _stand(row)
        if stand is not None:
            stands.append(stand)
        elif holder(transcript(row)) is None:  # else its process is about to withdraw it
            inbox.withdraw(row.run_id, row.call_id)
    ids = shortened([waiting.binding for waiting, _, _ in stands])
    return [
        Found(waiting=waiting, short=ids[waiting.binding], place=place, holder=who)
        for waiting, place, who in stands
    ]


def named(all_found: Iterable[Found], text: str) -> Found:
    """Return the question with that id, or a beginning of it. Raises UsageError."""
    known = list(all_found)
    wanted = text.strip().casefold()
    fits = [one for one in known if wanted and one.waiting.binding.startswith(wanted)]
    if len(fits) == 1:
        return fits[0]
    shown = clean_line(text, 60)
    if fits:
        ids = ", ".join(one.short for one in fits)
        raise UsageError(f"several waiting calls begin with {shown!r}: {ids}; write more of the id")
    hint = ", ".join(one.short for one in known) or "nothing waits for approval"
    raise UsageError(f"no waiting call {shown!r}; {hint} (agent-host approvals list)")


def _stand(row: Waiting) -> tuple[Waiting, Place, str] | None:
    """Return a question as its transcript says it, and where its run stands; None if nobody can
    answer it any more."""
    path = transcript(row)
    if not path.is_file():
        return None
    who = holder(path)
    try:
        waiting = next((one for one in _in_transcript(path, row.config) if _is(one, row)), None)
    except AgentHostError:
        return row, "broken", ""
    if waiting is None:
        return None
    ended = moment_of(waiting.expires_at)
    if who is None and ended is not None and ended + KEPT_SECONDS < time.time():
        return None
    known = row.definition
    if known is not None and known.fingerprint == waiting.fingerprint:
        waiting = replace(waiting, definition=known)
    return waiting, "parked" if who is None else "alive", who or ""


def _is(one: Waiting, row: Waiting) -> bool:
    return (one.binding, one.run_id, one.call_id) == (row.binding, row.run_id, row.call_id)


def _pending(state: Conversation) -> Iterator[tuple[CallState, ApprovalRequested]]:
    """Yield the questions of a conversation that nobody has answered."""
    for call in state.calls if state.ended is None else ():
        asked = question_about(state, call.call.id)
        if asked is not None and asked.binding and call.approval is None and call.result is None:
            yield call, asked


def _folders(config: str | None, inbox: Inbox) -> list[Path]:
    folders = [Path(one.folder) for one in inbox.questions()]
    folders.append(paths.user_data_folder() / "transcripts")
    try:
        folders.insert(0, locate_transcripts(config, os.environ, paths.working_folder()))
    except ConfigError:
        if config:
            raise
    return list(dict.fromkeys(folders))


def _in_transcripts(folders: Iterable[Path], config: str | None) -> Iterator[Waiting]:
    for folder in folders:
        for run_id in run_ids(folder):
            path = folder / f"{run_id}.jsonl"
            try:
                yield from _in_transcript(path, _config_of(folder, config))
            except AgentHostError:
                continue  # `transcripts list` says what is wrong with it


def _in_transcript(path: Path, config: str) -> Iterator[Waiting]:
    records = inspect(path).records
    state = fold(record.event for record in records)
    times = {
        record.event.binding: record.at
        for record in reversed(records)
        if isinstance(record.event, ApprovalRequested)
    }
    for call, asked in _pending(state):
        yield Waiting(
            binding=asked.binding,
            folder=str(path.parent),
            config=config,
            run_id=state.run_id,
            call_id=asked.call_id,
            server=asked.server,
            tool=asked.tool,
            fingerprint=asked.fingerprint,
            arguments=asked.arguments,
            asked_at=moment_of(times[asked.binding]) or 0.0,
            rule=call.rule,
            origin=call.origin,
            rules=asked.rules,
            reason=asked.reason,
            in_doubt=asked.in_doubt,
            terms=terms_of(asked),
            requester=asked.requester,
            requester_from=asked.requester_from,
            yeses=call.yeses,
            labels=state.labels,
            expires_at=asked.expires_at,
        )


def _config_of(folder: Path, config: str | None) -> str:
    """Return the servers.toml that a folder of transcripts belongs to, as far as that shows."""
    try:
        here = paths.find(config, os.environ, paths.working_folder())
        if locate_transcripts(str(here), os.environ, paths.working_folder()) == folder:
            return str(here)
    except ConfigError:
        pass
    beside = folder.parent / paths.FILE
    own = paths.user_config_file()
    if beside.is_file():
        return str(beside)
    return str(own) if folder == paths.user_data_folder() / "transcripts" else ""


def ago(seconds: float) -> str:
    """Return a span of time in words, as `5 min`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def clock(seconds: float) -> str:
    """Return a time as people read it, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
