"""A folder of recorded runs as a suite of tests.

Theory of operation: each transcript is a case, and passes if nothing leaves its record: replayed
from the record alone, asked of another model, or with its calls executed again (`replaying`,
`reasking`, `live_tools`). What the file of expectations leaves out does not count. A run that is
itself a replay is no case: a suite would else grow each time its calls are executed. A case that
could not be tried (the transcript is damaged, the model does not answer) is an error, not a
difference.
"""

import json
import time
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from agent_host.config.file import parse, read
from agent_host.config.lines import line_of, locate
from agent_host.config.load import Loaded
from agent_host.config.paths import shown
from agent_host.core.approvals import terms_of
from agent_host.core.errors import AgentHostError, ConfigError, ExitStatus, RecordError
from agent_host.core.events import ApprovalGiven, ApprovalRequested, Event
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.host.comparing import as_recorded
from agent_host.host.live_tools import with_live_tools
from agent_host.host.reasking import Reasked, reask
from agent_host.host.replaying import read_run, replay
from agent_host.ports import ApprovalQuestion, Approver, Deferred
from agent_host.records.reader import raw_lines
from agent_host.replays.difference import Divergence, Step
from agent_host.replays.expectations import (
    FILE,
    Expectations,
    Sameness,
    opened,
    read_expectations,
)
from agent_host.replays.path import key

_HEAD = 200
"""Lines in which the first words of a user are looked for."""
_ENDS = ("done", "refused")
"""Outcomes that hang on the model, and not on limits, people or the network."""

Status = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A transcript. `name`: its file's, without the end; `title`: the first words of its user."""

    path: Path
    name: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What came of a case. `what`: in a sentence; `notes`: what else there is to know; `exit`: what
    the process should tell for it."""

    case: Case
    status: Status
    what: str
    exit: ExitStatus = ExitStatus.DONE
    divergence: Divergence | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The cases of a folder. `replays`: how many transcripts are none, being replays."""

    folder: Path
    cases: tuple[Case, ...]
    expectations: Expectations = Expectations()
    replays: int = 0

    def matching(self, pattern: str) -> "Suite":
        """Return the cases in whose names or titles a text is found, in any case."""
        wanted = pattern.casefold()
        found = (c for c in self.cases if wanted in f"{c.name} {c.title}".casefold())
        return replace(self, cases=tuple(found))


def read_suite(folder: Path) -> Suite:
    """Return the suite of a folder. Raises ConfigError if it or its expectations cannot be read."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.endswith(".jsonl"))
    except OSError as error:
        why = clean_line(error.strerror or "it cannot be read")
        raise ConfigError(f"{shown(folder)}: {why}; name a folder of transcripts") from None
    cases, replays = [], 0
    for path in paths:
        adapter, title = _beginning(path)
        if adapter == "replay":
            replays += 1
        else:
            name = path.name.removesuffix(".jsonl")
            cases.append(Case(path=path, name=name, title=clean_line(title, 200)))
    return Suite(
        folder=folder, cases=tuple(cases), expectations=_expectations(folder), replays=replays
    )


def _beginning(path: Path) -> tuple[str, str]:
    """The adapter that answers in a run, and the first words of its user; empty if not known."""
    adapter: Any = ""
    try:
        for line in islice(raw_lines(path), _HEAD):
            event = json.loads(line)["event"]
            adapter = adapter or event.get("adapter", "")
            if event["type"] == "user_said":
                blocks = event["message"]["content"]
                return adapter, next((b["text"] for b in blocks if b["type"] == "text"), "")
    except (RecordError, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        pass  # whoever tests the run says what is wrong with it
    return (adapter if isinstance(adapter, str) else ""), ""


def _expectations(folder: Path) -> Expectations:
    path = folder / FILE
    if not path.exists():
        return Expectations()
    name = shown(path)
    text = read(path, name)[1]
    found, problems = read_expectations(parse(text, name))
    if problems:
        lines = locate(text)
        place, sentence = min(problems, key=lambda one: line_of(lines, one[0]))
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(f"{name}:{line_of(lines, place)}: {clean_line(sentence, 400)}{more}")
    return found


# -- trying a case ---------------------------------------------------------------------------


def from_record(suite: Suite, case: Case) -> Tested:
    """Replay a case from its record alone. Not to be called in an event loop."""
    began = time.monotonic()
    reason = suite.expectations.skip(case.name, "replay")
    if reason:
        return Tested(case=case, status="skipped", what=reason)
    try:
        found = replay(case.path)
    except AgentHostError as error:
        return _error(case, error, began)
    notes = []
    if found.unrecorded:
        fields = ", ".join(found.unrecorded[:8])
        notes.append(f"not compared, as an older program did not write it: {fields}")
    if found.torn:
        notes.append(found.torn)
    same = "byte for byte" if found.identical else "as recorded"
    return _tested(case, found.divergence, f"{found.whole} events {same}", began, notes)


async def of_model(
    suite: Suite, case: Case, loaded: Loaded, environ: Mapping[str, str], model: str
) -> Tested:
    """Ask another model for the answers of a case. `loaded` must have been trusted before."""
    began = time.monotonic()
    reason = suite.expectations.skip(case.name, "model")
    if reason:
        return Tested(case=case, status="skipped", what=reason)
    sameness = suite.expectations.of(case.name)
    try:
        was = as_recorded(case.path).recorded.attempts[0].outcome
        found = await reask(case.path, loaded, environ, model, alike=sameness.call)
    except AgentHostError as error:
        return _error(case, error, began)
    if found.failure:
        unavailable = found.outcome == "model_unavailable"
        return Tested(
            case=case,
            status="error",
            what=f"the model did not answer: {found.failure}",
            exit=ExitStatus.MODEL_UNAVAILABLE if unavailable else ExitStatus.FAILED,
            seconds=time.monotonic() - began,
        )
    left = found.divergence or _ended_otherwise(found, was)
    notes = [f"no definition is known of {', '.join(found.guessed[:8])}"] if found.guessed else []
    return _tested(case, left, f"{found.turns} turns, the same {found.calls} calls", began, notes)


async def of_servers(
    suite: Suite,
    case: Case,
    loaded: Loaded,
    environ: Mapping[str, str],
    *,
    only: Collection[str],
    approver: Approver | None,
) -> Tested:
    """Execute the calls of a case again. `loaded` must have been trusted before; `approver`: who
    answers for people, None for the record."""
    began = time.monotonic()
    reason = suite.expectations.skip(case.name, "live-tools")
    if reason:
        return Tested(case=case, status="skipped", what=reason)
    try:
        asked = approver or RecordedApprover(read_run(case.path).events)
        found = await with_live_tools(
            case.path,
            loaded,
            environ,
            approver=asked,
            only=only,
            seen=suite.expectations.of(case.name).result,
        )
    except AgentHostError as error:
        return _error(case, error, began)
    notes = [f"server {name} does not work; see `agent-host servers test`" for name in found.unwell]
    notes.append(f"kept as {found.kept_as}")
    if found.waits:
        return Tested(
            case=case,
            status="error",
            what="a call waits for an approval",
            exit=ExitStatus.PARKED,
            notes=tuple(notes),
            seconds=time.monotonic() - began,
        )
    left = _told(found.divergence, suite.expectations.of(case.name))
    return _tested(case, left, f"the same {found.whole} results", began, notes)


def _told(found: Divergence | None, sameness: Sameness) -> Divergence | None:
    """Leave out what does not count, and open JSON in texts."""
    if found is None or found.recorded is None or found.came is None:
        return found
    was, now = (sameness.result(found.step.tool, one) for one in (found.recorded, found.came))
    return replace(found, recorded=opened(was), came=opened(now))


def _ended_otherwise(found: Reasked, was: str) -> Divergence | None:
    came = found.outcome or ""
    if was not in _ENDS or came == was:
        return None
    return Divergence(
        record=None,
        step=Step(turn=found.turns),
        recorded={"outcome": was},
        came={"outcome": came},
        reason="it ended in another way",
    )


def _error(case: Case, error: AgentHostError, began: float) -> Tested:
    return Tested(
        case=case,
        status="error",
        what=str(error),
        exit=error.exit_status,
        seconds=time.monotonic() - began,
    )


def _tested(
    case: Case, left: Divergence | None, same: str, began: float, notes: Sequence[str]
) -> Tested:
    return Tested(
        case=case,
        status="passed" if left is None else "failed",
        what=same if left is None else f"leaves the record at {left.step}: {left.reason}",
        exit=ExitStatus.DONE if left is None else ExitStatus.FAILED,
        divergence=left,
        notes=tuple(notes),
        seconds=time.monotonic() - began,
    )


class RecordedApprover:
    """Implements `ports.Approver`: answers each question as the same one was answered in the
    record, with its edits; no for one that was not. What takes particular people waits, and what is
    in doubt is not run again: a record vouches for nobody."""

    _BY = "--approve recorded"

    def __init__(self, events: Sequence[Event]) -> None:
        self._answers: dict[str, deque[ApprovalGiven]] = defaultdict(deque)
        asked: dict[str, ApprovalRequested] = {}
        for event in events:
            if isinstance(event, ApprovalRequested):
                asked[event.call_id] = event
            elif isinstance(event, ApprovalGiven) and event.call_id in asked:
                question = asked[event.call_id]
                name = _of(question.server, question.tool, question.arguments)
                self._answers[name].append(event)

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        """Answer at once."""
        if question.asked is not None and not terms_of(question.asked).anybody:
            return Deferred()
        tool = question.tool
        found = self._answers.get(_of(tool.server, tool.tool, question.arguments))
        if not found or question.in_doubt:
            return self._no(question, "there is no such question in the record")
        was = found.popleft() if len(found) > 1 else found[0]
        problem = question.invalid(was.arguments) if was.arguments is not None else None
        if problem is not None:
            return self._no(question, f"the recorded edit is not valid any more: {problem}")
        return ApprovalGiven(
            call_id=question.call_id,
            decision=was.decision,
            by=self._BY,
            scope=was.scope,
            arguments=was.arguments,
            feedback=was.feedback,
        )

    def _no(self, question: ApprovalQuestion, feedback: str) -> ApprovalGiven:
        return ApprovalGiven(
            call_id=question.call_id, decision="deny", by=self._BY, feedback=feedback
        )


def _of(server: str, tool: str, arguments: JsonObject) -> str:
    return f"{server} {key(tool, arguments)}"
