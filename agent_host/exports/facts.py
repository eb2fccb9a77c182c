"""What a header, a title and a list of turns say of a run: all that is known only at its end.

Theory of operation: one pass over the records that holds none of them. Of a call it remembers to
which turn it belongs and whether it has a result, so that it can say which calls something is said
of when their turn seemed over: a later pass then knows how long to wait with it (`Late`). Strings
are as recorded and untrusted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent_host.core.events import ModelResponded, Record, RunStarted, UserSaid
from agent_host.core.moments import moment
from agent_host.core.money import shown_cost
from agent_host.core.titles import titled
from agent_host.core.types import Block, ToolCall, Usage
from agent_host.exports.happened import AboutCall, about_call

Late = dict[int, int]
"""Number of a call -> place (from 0) of the last record about it, if its turn was over before."""

_TITLE = 120
_WORDS = 400


@dataclass(slots=True)
class Turn:
    """A line in a list of turns; `words`: the beginning of what was said. `open`: how many of its
    calls have no result."""

    number: int
    words: str
    calls: "list[_Known]" = field(default_factory=list)
    open: int = 0

    @property
    def text(self) -> str:
        """What it called, or said."""
        return ", ".join(call.tool or call.name for call in self.calls) or self.words

    @property
    def failed(self) -> bool:
        """Whether the result of one of its calls is an error."""
        return any(call.failed for call in self.calls)


@dataclass(slots=True)
class _Known:
    """A call: its number, its turn, its names (`tool`: the server's own) and how it stands."""

    number: int
    turn: Turn
    name: str
    tool: str
    done: bool = False
    failed: bool = False


@dataclass(slots=True, kw_only=True)
class Facts:
    """A run in numbers. `outcome` and `problem` (what is wrong with its file) are the caller's.
    `title`: the user's first words that say something, on one line."""

    run_id: str = ""
    outcome: str = ""
    problem: str = ""
    started: RunStarted | None = None
    first: str = ""
    last: str = ""
    title: str = ""
    usage: Usage = Usage()
    cost: float = 0.0
    unpriced: int = 0
    answers: int = 0
    calls: int = 0
    records: int = 0
    labels: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    @property
    def lines(self) -> list[tuple[str, str]]:
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

    def take_all(self, records: Iterable[Record]) -> Late:
        """Count the records of a run."""
        finding = _Finding(self)
        for record in records:
            finding.take(record)
        return finding.late


class _Finding:
    def __init__(self, facts: Facts) -> None:
        self.late: Late = {}
        self._facts = facts
        self._calls: dict[str, _Known] = {}
        self._inputs: dict[str, str] = {}

    def take(self, record: Record) -> None:
        facts, event = self._facts, record.event
        if not facts.records:
            facts.run_id, facts.first = record.run_id, record.at
        facts.records += 1
        facts.last = record.at
        match event:
            case RunStarted():
                facts.started = facts.started or event
            case UserSaid():
                self._labelled(one.label for one in event.labels)
                words = " ".join(words_of(event.message.content))
                facts.title = titled(facts.title, " ".join(words.split())[:_TITLE])
            case ModelResponded():
                self._answered(event)
            case _:
                found = about_call(event, self._inputs)
                call = self._calls.get(found.call_id) if found else None
                if found is not None and call is not None:
                    self._about(found, call)

    def _answered(self, event: ModelResponded) -> None:
        facts, content = self._facts, event.message.content
        facts.answers += 1
        facts.usage += event.usage
        facts.cost += event.cost or 0.0
        facts.unpriced += int(event.cost is None)
        words = " ".join(words_of(content)).split("\n", 1)[0]
        turn = Turn(facts.answers, words[:_WORDS] or event.stop_reason)
        for block in content:
            if isinstance(block, ToolCall):
                facts.calls += 1
                tool = block.name.partition("__")[2]
                known = self._calls[block.id] = _Known(facts.calls, turn, block.name, tool)
                turn.calls.append(known)
                turn.open += 1
        facts.turns.append(turn)

    def _about(self, found: AboutCall, call: _Known) -> None:
        turn = call.turn
        if not turn.open:
            self.late[call.number] = self._facts.records - 1
        if found.source is not None:
            call.tool = found.source[1]
        if found.result is not None:
            call.failed = bool(found.result.error)
            turn.open -= not call.done
            call.done = True
            self._labelled(found.result.labels)

    def _labelled(self, labels: Iterable[str]) -> None:
        self._facts.labels += [one for one in labels if one not in self._facts.labels]


def words_of(content: Iterable[Block]) -> list[str]:
    """Return the texts of blocks."""
    return [text for block in content if (text := getattr(block, "text", "") or "")]


def shown_time(at: str) -> str:
    """Return a record's time for people, or what it says instead of one."""
    found = moment(at)
    return f"{found:%Y-%m-%d %H:%M:%S} UTC" if found else at[:40]
