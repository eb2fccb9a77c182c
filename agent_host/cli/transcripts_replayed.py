"""What `agent-host transcripts replay` prints of a replay, for people and for programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent_host.cli.transcripts_text import count
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.host.replaying import Replayed
from agent_host.replays.difference import Divergence


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A transcript that cannot be read, and why."""

    path: Path
    reason: str


def passed(result: Replayed | Unread) -> bool:
    """Whether a run was replayed as it is recorded."""
    return isinstance(result, Replayed) and result.divergence is None


def report(result: Replayed | Unread) -> Iterator[str]:
    """Yield what a person reads of one run, clean."""
    if isinstance(result, Unread):
        name = clean_line(result.path.name.removesuffix(".jsonl"), 80)
        yield f"{name}  cannot be replayed: {clean_line(result.reason, 1000)}"
        return
    name = clean_line(result.run_id, 80)
    if result.divergence is None:
        yield f"{name}  as recorded: {count(result.whole, 'event')}, {_likeness(result)}"
    else:
        same, step = count(result.same, "event"), result.divergence.step
        yield f"{name}  leaves the record at {step}, after {same} of {result.whole:,}"
        yield from divergence_lines(result.divergence, result.path)
    if result.torn:
        yield f"  {clean_line(result.torn, 1000)}"


def divergence_lines(divergence: Divergence, path: Path) -> Iterator[str]:
    """Yield where and how a replay left the record, indented."""
    where = "after the end of" if divergence.line is None else "line"
    at = "" if divergence.line is None else f" {divergence.line} of"
    yield f"  {where}{at} {clean_line(str(path), 500)}: {clean_line(divergence.reason, 1000)}"
    for line in divergence.lines():
        yield f"    {line}"


def total(same: int, runs: int) -> str:
    """Return the line under several runs."""
    return f"{same:,} of {count(runs, 'run')} as recorded"


def document(result: Replayed | Unread) -> JsonObject:
    """Return what `--json` says of one run."""
    if isinstance(result, Unread):
        return {"path": str(result.path), "outcome": "unreadable", "error": result.reason}
    found = result.divergence
    return {
        "run_id": result.run_id,
        "path": str(result.path),
        "outcome": "same" if found is None else "diverged",
        "events": result.whole,
        "same": result.same,
        "identical": result.identical,
        "unrecorded": list(result.unrecorded),
        "torn": result.torn,
        "divergence": None if found is None else divergence_document(found),
    }


def divergence_document(divergence: Divergence) -> JsonObject:
    """Return a divergence for programs. `record` counts from 0, `line` and `turn` from 1."""
    step = divergence.step
    return {
        "reason": divergence.reason,
        "record": divergence.record,
        "line": divergence.line,
        "turn": step.turn,
        "call": step.call,
        "tool": step.tool,
        "recorded": divergence.recorded,
        "came": divergence.came,
    }


def _likeness(result: Replayed) -> str:
    if result.identical:
        return "byte for byte"
    if result.unrecorded:
        fields = ", ".join(clean_line(name, 40) for name in result.unrecorded[:8])
        more = len(result.unrecorded) - 8
        return f"but for what an older program did not write ({fields}{_more(more)})"
    return "though its file is written in another way"


def _more(number: int) -> str:
    return f" and {number} more" if number > 0 else ""
