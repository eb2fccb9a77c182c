"""Records as a reader looks for them: turns, their calls, and notes between them.

Theory of operation: a call gathers, by its id, what happened to it in whatever order it came: what
policy said, whom it was put to, when it ran, what it gave. A turn is one answer of a model with its
calls, counted from 1 over the whole run. A run may be longer than memory, so there are two passes
over the records, both linear: one finds what a header and a list of turns say (`facts`), and which
calls something is said of after all calls of their turn have results; the other makes the parts and
holds a turn only until nothing more is said of it. All strings are as recorded and untrusted:
whoever writes them out cleans and escapes them.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from agent_host.core.events import ApprovalGiven, ModelResponded, Record, RunStarted, UserSaid
from agent_host.core.moments import moment
from agent_host.core.types import JsonObject, Message, ToolCall, ToolResult
from agent_host.exports.facts import Facts, Late
from agent_host.exports.happened import Detail, Step, about_call, diff, in_general


@dataclass(slots=True)
class Call:
    """A call of a model, and all that happened to it. `number` counts in the run from 1; `took`
    in seconds, None if that is not known."""

    number: int
    call: ToolCall
    server: str = ""
    tool: str = ""
    steps: list[Step] = field(default_factory=list)
    arguments: JsonObject | None = None
    started: datetime | None = None
    took: float | None = None
    result: ToolResult | None = None

    @property
    def outcome(self) -> str:
        """How it ended, in a word or two."""
        if self.result is None:
            return "no result"
        return self.result.error or "done"

    @property
    def judged(self) -> bool:
        """Whether a person was asked."""
        return any(step.approval for step in self.steps)


@dataclass(slots=True)
class Said:
    """What the user said. `labels`: of what was attached."""

    at: str
    message: Message
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Answer:
    """One turn: what a model answered, and its calls."""

    turn: int
    at: str
    event: ModelResponded
    calls: list[Call]
    took: float | None = None


@dataclass(slots=True)
class Note:
    """Anything else that happened."""

    at: str
    step: Step


Part = Said | Answer | Note


@dataclass(slots=True, kw_only=True)
class Story:
    """A run: what a header says of it, and its parts in order, each time `parts` is iterated."""

    facts: Facts
    parts: Iterable[Part]


def tell(records: Iterable[Record], *, outcome: str = "", problem: str = "") -> Story:
    """Return the story of a run's records, which can be iterated more than once. `outcome`: how it
    ended; `problem`: what is wrong with its file. Never raises of itself: records that make no
    legal run are told as they stand."""
    facts = Facts(outcome=outcome, problem=problem)
    late = facts.take_all(records)
    return Story(facts=facts, parts=_Parts(records, late))


class _Parts:
    def __init__(self, records: Iterable[Record], late: Late) -> None:
        self._records = records
        self._late = late

    def __iter__(self) -> Iterator[Part]:
        teller = _Teller(self._late)
        for place, record in enumerate(self._records):
            yield from teller.take(place, record)
        yield from teller.rest()


class _Teller:
    """Makes parts of records. `late`: of calls that are over early, by their number, the place of
    the last record that says something of them."""

    def __init__(self, late: Late) -> None:
        self._late = late
        self._parts: deque[Part] = deque()
        self._calls: dict[str, Call] = {}
        self._asked: dict[str, datetime | None] = {}
        self._inputs: dict[str, str] = {}
        self._answers = self._count = 0

    def take(self, place: int, record: Record) -> Iterator[Part]:
        """Take the next record; yield the parts of which nothing more is said."""
        event = record.event
        match event:
            case RunStarted():
                if event.system:
                    details = (Detail(label="System prompt", text=event.system),)
                    self._note(record.at, Step(title="Instructions of the host", details=details))
            case UserSaid():
                labels = tuple(one.label for one in event.labels)
                self._parts.append(Said(at=record.at, message=event.message, labels=labels))
            case ModelResponded():
                self._answered(record, event)
            case _:
                self._happened(record)
        while self._parts and self._over(self._parts[0], place):
            yield self._let_go(self._parts.popleft())

    def rest(self) -> Iterator[Part]:
        """Yield the parts that were waited for in vain."""
        while self._parts:
            yield self._parts.popleft()

    def _over(self, part: Part, place: int) -> bool:
        if not isinstance(part, Answer):
            return True
        return all(
            call.result is not None and self._late.get(call.number, -1) <= place
            for call in part.calls
        )

    def _let_go(self, part: Part) -> Part:
        for call in part.calls if isinstance(part, Answer) else ():
            if self._calls.get(call.call.id) is call:
                del self._calls[call.call.id]
        return part

    def _answered(self, record: Record, event: ModelResponded) -> None:
        self._answers += 1
        calls = []
        for block in event.message.content:
            if isinstance(block, ToolCall):
                self._count += 1
                server, _, tool = block.name.partition("__")
                call = Call(number=self._count, call=block, server=server, tool=tool)
                call.arguments = block.arguments
                self._calls[block.id] = call
                calls.append(call)
        took = seconds(self._asked.pop(event.request_id, None), moment(record.at))
        self._parts.append(
            Answer(turn=self._answers, at=record.at, event=event, calls=calls, took=took)
        )

    def _happened(self, record: Record) -> None:
        found = about_call(record.event, self._inputs)
        call = self._calls.get(found.call_id) if found else None
        if found is None or call is None:
            if (request := getattr(record.event, "request_id", "")) and request not in self._asked:
                self._asked[request] = moment(record.at)
            if (step := found.step if found else in_general(record.event)) is not None:
                self._note(record.at, step)
            return
        if found.source is not None:
            call.server, call.tool = found.source
            call.started = call.started or moment(record.at)
        if found.result is not None:
            call.result = found.result
            call.took = seconds(call.started, moment(record.at))
        if found.step is not None:
            found.step.at = record.at
            call.steps.append(found.step)
        if isinstance(record.event, ApprovalGiven) and record.event.arguments is not None:
            changed = diff(call.call.arguments, record.event.arguments)
            one = Detail(label="Edited", text=changed, kind="diff")
            call.steps[-1].details += (one,)

    def _note(self, at: str, step: Step) -> None:
        step.at = at
        self._parts.append(Note(at=at, step=step))


def shown_clock(at: str) -> str:
    """Return a record's time of day."""
    found = moment(at)
    return f"{found:%H:%M:%S}" if found else at[:30]


def shown_seconds(took: float | None) -> str:
    """Return a duration for people, empty if it is not known."""
    if took is None:
        return ""
    minutes, rest = divmod(took, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{took:.2f} s"


def seconds(since: datetime | None, until: datetime | None) -> float | None:
    """Return a duration; a clock that was set back makes no negative one."""
    return None if since is None or until is None else max((until - since).total_seconds(), 0.0)
