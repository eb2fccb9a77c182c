"""Records as a reader looks for them: turns, their calls, and notes between them.

Theory of operation: one pass over the records, linear. A call gathers, by its id, what happened to
it in whatever order it came: what policy said, whom it was put to, when it ran, what it gave. A
turn is one answer of a model with its calls, counted from 1 over the whole run. All strings are as
recorded and untrusted: whoever writes them out cleans and escapes them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agent_host.core.events import ApprovalGiven, ModelResponded, Record, RunStarted, UserSaid
from agent_host.core.money import shown_cost
from agent_host.core.types import Block, JsonObject, Message, ToolCall, ToolResult, Usage
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


@dataclass(slots=True)
class Story:
    """A run. `outcome` and `problem` (what is wrong with its file) are the caller's."""

    run_id: str
    outcome: str = ""
    problem: str = ""
    started: RunStarted | None = None
    first: str = ""
    last: str = ""
    parts: list[Part] = field(default_factory=list)
    usage: Usage = Usage()
    cost: float = 0.0
    unpriced: int = 0
    answers: int = 0
    calls: int = 0
    records: int = 0
    labels: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The user's first words, on one line."""
        for part in self.parts:
            if isinstance(part, Said):
                return " ".join(" ".join(words_of(part.message.content)).split())[:120]
        return ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What a header says, as name and text."""
        run = self.started
        found = [("Run", self.run_id)]
        if run is not None:
            model = f"{run.provider}:{run.model} ({run.adapter})"
            found.append(("Model", f"{model}, which is no AI" if run.simulated else model))
            found.append(("User", f"{run.principal.id} ({run.principal.authenticated_by})"))
            if run.parent:
                found.append(("After run", run.parent))
        cached = self.usage.cache_read_tokens
        said = f" ({cached:,} cached)" if cached else ""
        used = f"{self.usage.input_tokens:,} tokens in{said}, {self.usage.output_tokens:,} out"
        found += [
            ("From", shown_time(self.first)),
            ("To", shown_time(self.last)),
            ("Turns", f"{self.answers:,}"),
            ("Calls", f"{self.calls:,}"),
            ("Usage", used),
            ("Cost", shown_cost(self.cost, self.unpriced, max(self.answers, 1))),
            ("Labels", ", ".join(self.labels)),
            ("Outcome", self.outcome),
            ("Problem", self.problem),
        ]
        return [(name, text) for name, text in found if text]


def tell(records: Iterable[Record], *, outcome: str = "", problem: str = "") -> Story:
    """Return the story of a run's records. `outcome`: how it ended; `problem`: what is wrong with
    its file. Never raises: records that make no legal run are told as they stand."""
    teller = _Teller(Story(run_id="", outcome=outcome, problem=problem))
    for record in records:
        teller.take(record)
    return teller.story


class _Teller:
    def __init__(self, story: Story) -> None:
        self.story = story
        self._calls: dict[str, Call] = {}
        self._asked: dict[str, datetime | None] = {}
        self._inputs: dict[str, str] = {}

    def take(self, record: Record) -> None:
        story, event = self.story, record.event
        story.records += 1
        story.last = record.at
        if not story.first:
            story.run_id, story.first = record.run_id, record.at
        match event:
            case RunStarted():
                story.started = story.started or event
                if event.system:
                    details = (Detail(label="System prompt", text=event.system),)
                    self._note(record.at, Step(title="Instructions of the host", details=details))
            case UserSaid():
                labels = tuple(one.label for one in event.labels)
                self._labelled(labels)
                story.parts.append(Said(at=record.at, message=event.message, labels=labels))
            case ModelResponded():
                self._answered(record, event)
            case _:
                self._happened(record)

    def _answered(self, record: Record, event: ModelResponded) -> None:
        story = self.story
        story.answers += 1
        story.usage += event.usage
        story.cost += event.cost or 0.0
        story.unpriced += int(event.cost is None)
        calls = []
        for block in event.message.content:
            if isinstance(block, ToolCall):
                story.calls += 1
                server, _, tool = block.name.partition("__")
                call = Call(number=story.calls, call=block, server=server, tool=tool)
                call.arguments = block.arguments
                self._calls[block.id] = call
                calls.append(call)
        took = seconds(self._asked.pop(event.request_id, None), moment(record.at))
        story.parts.append(
            Answer(turn=story.answers, at=record.at, event=event, calls=calls, took=took)
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
            self._labelled(found.result.labels)
        if found.step is not None:
            found.step.at = record.at
            call.steps.append(found.step)
        if isinstance(record.event, ApprovalGiven) and record.event.arguments is not None:
            changed = diff(call.call.arguments, record.event.arguments)
            one = Detail(label="Edited", text=changed, kind="diff")
            call.steps[-1].details += (one,)

    def _labelled(self, labels: Iterable[str]) -> None:
        self.story.labels += [one for one in labels if one not in self.story.labels]

    def _note(self, at: str, step: Step) -> None:
        step.at = at
        self.story.parts.append(Note(at=at, step=step))


def words_of(content: Iterable[Block]) -> list[str]:
    """Return the texts of blocks."""
    return [text for block in content if (text := getattr(block, "text", "") or "")]


def moment(at: str) -> datetime | None:
    """Return the time of a record (UTC), or None if it says none."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def shown_time(at: str) -> str:
    """Return a record's time for people, or what it says instead of one."""
    found = moment(at)
    return f"{found:%Y-%m-%d %H:%M:%S} UTC" if found else at[:40]


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
