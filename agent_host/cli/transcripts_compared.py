"""What `agent-host transcripts compare` prints, for people and for programs.

Theory of operation: of one task there is a table with a column for each model: what it answered,
what it called (marked against the record), and what it took. Of several tasks there is a row for
each, and then the same table of totals. What is not known is said to be unknown, and a total of
which a part is not known is none.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent_host.cli.columns import columns
from agent_host.cli.side_by_side import Row, side_by_side
from agent_host.cli.transcripts_replayed import Unread, divergence_document
from agent_host.cli.transcripts_text import count
from agent_host.core.money import shown_cost
from agent_host.core.text import clean, clean_line
from agent_host.core.types import Json, JsonObject, ToolCall, Usage
from agent_host.host.comparing import Attempt, Calls, Column, Comparison, related
from agent_host.records.codec import members
from agent_host.surfaces.cells import rows

_ANSWER = 240
_FAILURE = 300
_CALL = 120
_CALLS = 10
_NO_AI = "no AI"
_LEAST_SHOWN = 0.0001


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How it is shown: `room`, terminal cells in a line (0: any number); `full`: nothing is
    shortened."""

    room: int
    full: bool

    @staticmethod
    def here(*, full: bool) -> "Look":
        """For where stdout is."""
        room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
        return Look(room=room, full=full)

    def broken(self, line: str) -> Iterator[str]:
        """Yield a clean line in rows that fit."""
        return rows(line, self.room) if self.room else iter((line,))


def side_by_side_lines(shown: Sequence[Column], look: Look) -> Iterator[str]:
    """Yield the table of columns; the first is what the others are held against."""
    was = shown[0].attempts[0].calls
    several = len({column.run for column in shown if column.run}) > 1
    heads = [_head(column, run=several) for column in shown]
    table: list[Row] = [
        ("answer", [_answer(column, look) for column in shown]),
        ("outcome", [_outcome(column) for column in shown]),
    ]
    if any(len(column.attempts) > 1 for column in shown):
        table.append(("as recorded", ["", *(_as_recorded(column) for column in shown[1:])]))
    table += _measures(shown)
    table.append(("calls", [_counted(c, was, number) for number, c in enumerate(shown)]))
    asked = [_called(column, was, number, look) for number, column in enumerate(shown)]
    if any(asked):
        table.append(("", asked))
    yield from side_by_side(heads, table, look.room)
    if any(_differs(column, was) for column in shown[1:]):
        yield "+ extra, - missing"
    yield from _notes(shown, look)


def _differs(column: Column, was: Sequence[ToolCall]) -> bool:
    first = _example(column)
    found = related(was, first.calls)
    return not first.failed and bool(found.extra or found.missing)


def several_lines(found: Sequence[Comparison], look: Look) -> Iterator[str]:
    """Yield a row for each run, and the totals."""
    names = [column.name for column in found[0].models]
    verdicts = [
        (one.recorded.run, one.recorded.attempts[0].outcome, *map(_verdict, one.models))
        for one in found
    ]
    table = columns(("RUN", "RECORDED", *names), verdicts, room=look.room)
    yield from table.split("\n")
    yield ""
    totals = [one.recorded for one in found], *_by_model(found)
    merged = [_merged(list(group)) for group in totals]
    heads = [_head(column) for column in merged]
    more: list[Row] = [("as recorded", ["", *(_as_recorded(column) for column in merged[1:])])]
    yield from side_by_side(heads, [*more, *_measures(merged)], look.room)
    yield from _notes(merged, look)


def _by_model(found: Sequence[Comparison]) -> list[list[Column]]:
    return [list(group) for group in zip(*(one.models for one in found), strict=True)]


def _merged(group: Sequence[Column]) -> Column:
    first = next((one for one in group if not one.attempts[0].failed), group[0])
    models = dict.fromkeys(one.model for one in group if not one.attempts[0].failed)
    return Column(
        model=", ".join(models) or first.model,
        simulated=first.simulated,
        attempts=tuple(attempt for one in group for attempt in one.attempts),
        name=first.name,
    )


# -- what is said of a column ----------------------------------------------------------------


def _head(column: Column, *, run: bool = False) -> str:
    head = column.name or (f"recorded {column.run}" if run else "recorded")
    said = [head] if head == column.model else [head, column.model]
    if column.simulated:
        said.append(_NO_AI)
    return "\n".join(clean_line(line, 120) for line in said)


def _answer(column: Column, look: Look) -> str:
    first = _example(column)
    if first.failed and not first.answer:
        return f"none: {_text(first.failure, _FAILURE, look)}"
    answers = {one.answer for one in column.attempts}
    more = f" (one of {len(answers)} different)" if len(answers) > 1 else ""
    return (_text(first.answer, _ANSWER, look) or "nothing") + more


def _example(column: Column) -> Attempt:
    """The attempt that is shown: of several the first that left the record, since the others did
    what the first column shows."""
    answered = [one for one in column.attempts if not one.failed] or column.attempts
    return next((one for one in answered if one.divergence is not None), answered[0])


def _text(text: str, limit: int, look: Look) -> str:
    return clean(text).strip() if look.full else clean_line(text.strip(), limit)


def _outcome(column: Column) -> str:
    outcomes = [one.outcome or "could not be asked" for one in column.attempts]
    kinds = list(dict.fromkeys(outcomes))
    if len(kinds) == 1:
        return kinds[0]
    return ", ".join(f"{outcomes.count(kind)} {kind}" for kind in kinds)


def _as_recorded(column: Column) -> str:
    return f"{_same(column)} of {len(column.attempts)}"


def _same(column: Column) -> int:
    return sum(one.divergence is None and not one.failed for one in column.attempts)


def _verdict(column: Column) -> str:
    failed = next((one for one in column.attempts if one.failed), None)
    if failed is not None:
        return f"did not answer: {clean_line(failed.failure, 100)}"
    if len(column.attempts) > 1:
        return f"{_as_recorded(column)} as recorded"
    found = column.attempts[0].divergence
    return "as recorded" if found is None else f"other at {found.step}"


def _measures(shown: Sequence[Column]) -> list[Row]:
    return [
        ("turns", [_number([one.turns for one in c.attempts]) for c in shown]),
        ("tokens in", [_number([one.usage.input_tokens for one in c.attempts]) for c in shown]),
        ("tokens out", [_number([one.usage.output_tokens for one in c.attempts]) for c in shown]),
        ("cost", [_cost(column) for column in shown]),
        ("time", [_time(column) for column in shown]),
    ]


def _number(each: Sequence[int]) -> str:
    if len(each) == 1:
        return f"{each[0]:,}"
    few, many = min(each), max(each)
    span = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    if not many:
        return "0"
    return f"{sum(each):,} ({span} each)"


def _cost(column: Column) -> str:
    if column.simulated:
        return f"none, {_NO_AI}"
    known = [one.cost for one in column.attempts if one.cost is not None]
    missing = len(column.attempts) - len(known)
    if not known:
        return "unknown"
    total = sum(known)
    text = _money(total, missing, len(column.attempts))
    if missing or len(column.attempts) == 1:
        return text
    return f"{text} ({_money(total / len(column.attempts))} each)"


def _money(cost: float, unpriced: int = 0, answers: int = 1) -> str:
    """As `shown_cost`; what is too little to be shown is not shown as nothing."""
    if 0 < cost < _LEAST_SHOWN and not unpriced:
        return f"under ${_LEAST_SHOWN}"
    return shown_cost(cost, unpriced, answers)


def total_cost(attempts: Sequence[Attempt]) -> float | None:
    """Return what they cost in all, None if the price of one is not known."""
    known = [one.cost for one in attempts if one.cost is not None]
    return sum(known) if len(known) == len(attempts) else None


def total_seconds(attempts: Sequence[Attempt]) -> float | None:
    """Return how long the model took in all, None if that of one is not known."""
    known = [one.seconds for one in attempts if one.seconds is not None]
    return sum(known) if len(known) == len(attempts) else None


def _time(column: Column) -> str:
    total = total_seconds(column.attempts)
    if total is None:
        return "unknown"
    each = f" ({total / len(column.attempts):.1f} s each)" if len(column.attempts) > 1 else ""
    return f"{total:.1f} s{each}"


# -- calls -----------------------------------------------------------------------------------


def _counted(column: Column, was: Sequence[ToolCall], number: int) -> str:
    one = _example(column)
    now = one.calls
    if number == 0 or one.failed:
        return f"{len(now)}"
    found = related(was, now)
    parts = [f"{found.common} as recorded"] if now or was else []
    parts += [f"{len(found.extra)} extra"] if found.extra else []
    parts += [f"{len(found.missing)} missing"] if found.missing else []
    several = len(column.attempts) > 1
    which = f" (attempt {column.attempts.index(one) + 1})" if several else ""
    return (f"{len(now)}: {', '.join(parts)}" if parts else "0") + which


def _called(column: Column, was: Sequence[ToolCall], number: int, look: Look) -> str:
    first = _example(column)
    found = related(was, first.calls) if number else Calls(common=0, extra=(), missing=())
    extra = {call.id for call in found.extra}
    marked = [("+" if call.id in extra else " ", call) for call in first.calls]
    if not first.failed:
        marked += [("-", call) for call in found.missing]
    lines = [f"{mark} {call_text(call, full=look.full)}" for mark, call in marked]
    if not look.full and len(lines) > _CALLS:
        lines[_CALLS:] = [f"  and {len(lines) - _CALLS} more (--full)"]
    return "\n".join(lines)


def call_text(call: ToolCall, *, full: bool = False) -> str:
    """Return a call in a line, as `orders__get_order order_id="12345"`."""
    given = (f"{name}={json.dumps(v, ensure_ascii=False)}" for name, v in call.arguments.items())
    return clean_line(" ".join((call.name, *given)), 10**6 if full else _CALL)


def _notes(shown: Sequence[Column], look: Look) -> Iterator[str]:
    said: dict[str, list[str]] = {}
    for column in shown:
        for note in _notes_on(column):
            said.setdefault(note, []).append(clean_line(column.name, 120))
    for note, names in said.items():
        yield from look.broken(f"{', '.join(names)}: {note}")


def _notes_on(column: Column) -> Iterator[str]:
    failed = next((one for one in column.attempts if one.failed), None)
    if failed is not None and column.name:
        yield f"no answer: {clean_line(failed.failure, 1000)}"
    without = sum(one.unrecorded for one in column.attempts)
    if without:
        yield f"{count(without, 'call')} not in the record, and not executed"
    tools = dict.fromkeys(tool for one in column.attempts for tool in one.guessed)
    if tools:
        listed = clean_line(", ".join(list(tools)[:8]), 300)
        yield f"no definition is known, only what recorded calls show, of {listed}"


# -- for programs ----------------------------------------------------------------------------


def comparison_document(one: Comparison | Unread) -> JsonObject:
    """Return what `--json` says of one run."""
    if isinstance(one, Unread):
        return {"path": str(one.path), "error": one.reason}
    was = one.recorded.attempts[0].calls
    return {
        "run_id": one.run_id,
        "path": str(one.path),
        "recorded": _column_document(one.recorded, None),
        "models": [_column_document(column, was) for column in one.models],
    }


def totals_document(found: Sequence[Comparison]) -> list[Json]:
    """Return the totals of each model over several runs, that of the records first."""
    groups = [[one.recorded for one in found], *_by_model(found)]
    totals: list[Json] = []
    for number, group in enumerate(groups):
        merged = _merged(group)
        usage = [one.usage for one in merged.attempts]
        totals.append(
            {
                **_who(merged),
                "attempts": len(merged.attempts),
                "same": _same(merged) if number else None,
                "failed": sum(one.failed for one in merged.attempts) if number else None,
                "turns": sum(one.turns for one in merged.attempts),
                "calls": sum(len(one.calls) for one in merged.attempts),
                "usage": members(sum_of(usage)),
                "cost": total_cost(merged.attempts),
                "seconds": _rounded(total_seconds(merged.attempts)),
            }
        )
    return totals


def sum_of(usages: Sequence[Usage]) -> Usage:
    """Return all of it together."""
    total = Usage()
    for usage in usages:
        total += usage
    return total


def _who(column: Column) -> JsonObject:
    name = column.name or None
    return {"name": name, "model": column.model, "simulated": column.simulated}


def _column_document(column: Column, was: Sequence[ToolCall] | None) -> JsonObject:
    attempts: list[Json] = [_attempt_document(one, was) for one in column.attempts]
    return {**_who(column), "attempts": attempts}


def _attempt_document(one: Attempt, was: Sequence[ToolCall] | None) -> JsonObject:
    document: JsonObject = {
        "outcome": one.outcome or None,
        "failure": one.failure,
        "answer": one.answer,
        "turns": one.turns,
        "calls": [_call_document(call) for call in one.calls],
        "usage": members(one.usage),
        "cost": one.cost,
        "seconds": _rounded(one.seconds),
    }
    if was is None:
        return document
    found = related(was, one.calls)
    document["same"] = one.divergence is None and not one.failed
    document["common_calls"] = found.common
    document["extra_calls"] = [_call_document(call) for call in found.extra]
    document["missing_calls"] = [_call_document(call) for call in found.missing]
    document["unrecorded_calls"] = one.unrecorded
    document["guessed_tools"] = list(one.guessed)
    left = one.divergence
    document["divergence"] = None if left is None else divergence_document(left)
    return document


def _call_document(call: ToolCall) -> Json:
    return {"tool": call.name, "arguments": call.arguments}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
