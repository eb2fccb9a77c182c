"""What `agent-host transcripts replay --model` prints, for people and for programs."""

from collections.abc import Iterator

from agent_host.cli.transcripts_replayed import divergence_document, divergence_lines
from agent_host.cli.transcripts_text import count
from agent_host.core.errors import ExitStatus
from agent_host.core.money import shown_cost
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.host.reasking import Reasked
from agent_host.records.codec import members


def reasked_status(result: Reasked) -> ExitStatus:
    """Return the exit status of one run."""
    if result.outcome == "model_unavailable":
        return ExitStatus.MODEL_UNAVAILABLE
    return ExitStatus.DONE if result.divergence is None else ExitStatus.FAILED


def reasked_report(result: Reasked) -> Iterator[str]:
    """Yield what a person reads of one run, clean."""
    name, origin = clean_line(result.run_id, 80), result.origin
    model = clean_line(f"{origin.provider}:{origin.model}", 120)
    found = result.divergence
    if found is None:
        yield f"{name}  {model} makes the same calls: {_did(result)}"
    else:
        yield f"{name}  {model} leaves the record at {found.step}: {_did(result)}"
        yield from divergence_lines(found, result.path)
    if result.unrecorded:
        yield f"  {count(result.unrecorded, 'call')} not in the record, and not executed"
    if result.guessed:
        tools = ", ".join(clean_line(tool, 80) for tool in result.guessed[:8])
        yield f"  no definition is known of {tools}: the model saw names and types of arguments"
    if result.answer and result.answer != result.recorded_answer:
        yield f"  recorded  {clean_line(result.recorded_answer, 300) or 'nothing'}"
        yield f"  answered  {clean_line(result.answer, 300)}"


def _did(result: Reasked) -> str:
    turns, calls = count(result.turns, "turn"), count(result.calls, "call")
    tokens = f"{result.usage.input_tokens:,} tokens in, {result.usage.output_tokens:,} out"
    did = f"{turns}, {calls} (recorded: {result.recorded_turns}, {result.recorded_calls}), {tokens}"
    if result.simulated:
        return did
    unpriced = result.turns if result.cost is None else 0
    cost = shown_cost(result.cost or 0.0, unpriced, result.turns)
    return f"{did}, {cost}, {result.seconds:.1f} s"


def reasked_document(result: Reasked) -> JsonObject:
    """Return what `--json` says of one run."""
    found, origin = result.divergence, result.origin
    return {
        "run_id": result.run_id,
        "path": str(result.path),
        "model": f"{origin.provider}:{origin.model}",
        "simulated": result.simulated,
        "outcome": "same" if found is None else "diverged",
        "ended": result.outcome,
        "failure": result.failure,
        "answer": result.answer,
        "recorded_answer": result.recorded_answer,
        "turns": result.turns,
        "calls": result.calls,
        "recorded_turns": result.recorded_turns,
        "recorded_calls": result.recorded_calls,
        "unrecorded_calls": result.unrecorded,
        "guessed_tools": list(result.guessed),
        "usage": members(result.usage),
        "cost": result.cost,
        "seconds": round(result.seconds, 3),
        "divergence": None if found is None else divergence_document(found),
    }
