"""A live scorecard of one model: what works there, what does not, and what it cost.

Theory of operation: the checks are the rows of `CHECKS`; each asks the model something through its
adapter and says what it found (`scorecard_subject` has the words, `scorecard_endpoint` and
`scorecard_abilities` the checks). They run one after another, each within its own time. One that
fails stops no other, but for `reach`: what cannot be reached has nothing else to show.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace

from agent_host.core.text import clean_line
from agent_host.models import scorecard_abilities as abilities
from agent_host.models import scorecard_endpoint as endpoint
from agent_host.models.scorecard_subject import Examination, State, Verdict, failed

_DETAIL = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `requests`, `tokens_in` and `tokens_out`: about what it uses of an endpoint that
    does as it should."""

    name: str
    run: Callable[[Examination], Awaitable[Verdict]]
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


CHECKS = (
    Check(name="reach", run=endpoint.reach, requests=1, tokens_in=30, tokens_out=150),
    Check(name="text", run=endpoint.text),
    Check(name="stream", run=endpoint.stream),
    Check(name="usage", run=endpoint.usage, requests=1, tokens_in=5_800, tokens_out=10),
    Check(name="stop_reason", run=endpoint.stop_reason, requests=1, tokens_in=30, tokens_out=16),
    Check(name="one_call", run=abilities.one_call, requests=1, tokens_in=160, tokens_out=40),
    Check(name="two_calls", run=abilities.two_calls, requests=1, tokens_in=180, tokens_out=80),
    Check(name="results", run=abilities.results, requests=1, tokens_in=300, tokens_out=60),
    Check(name="image", run=abilities.image, requests=1, tokens_in=300, tokens_out=10),
    Check(name="reasoning", run=abilities.reasoning),
    Check(name="schema", run=abilities.schema, requests=1, tokens_in=150, tokens_out=40),
    Check(
        name="long_tool_schema",
        run=abilities.long_tool_schema,
        requests=1,
        tokens_in=1_200,
        tokens_out=10,
    ),
    Check(name="cancellation", run=endpoint.cancellation, requests=2, tokens_in=60, tokens_out=200),
    Check(name="bad_key", run=endpoint.bad_key, requests=1),
    Check(name="unknown_model", run=endpoint.unknown_model, requests=1),
)
"""Every check, in the order in which they run."""
_WITH_EFFORT = Check(
    name="reasoning", run=abilities.reasoning, requests=1, tokens_in=60, tokens_out=400
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found. `detail`: one line, cleaned."""

    check: str
    state: State
    seconds: float
    detail: str


def chosen(names: Collection[str], *, effort: bool) -> tuple[Check, ...]:
    """Return the checks of these names (none: all), `reach` always; with an `effort`, thinking is
    asked for."""
    checks = (_WITH_EFFORT if effort and c.name == "reasoning" else c for c in CHECKS)
    return tuple(c for c in checks if c.name == "reach" or not names or c.name in names)


async def examine(
    exam: Examination,
    checks: Collection[Check],
    *,
    seconds: float,
    begins: Callable[[Check], None],
) -> AsyncIterator[Finding]:
    """Run the checks and yield what each found; nothing after a `reach` that failed.

    `seconds`: what each may take. `begins` is told of each before it starts.
    """
    now = asyncio.get_running_loop().time
    for check in checks:
        begins(check)
        started = now()
        exam.allow(seconds)
        verdict = await _verdict(exam, check)
        yield Finding(
            check=check.name,
            state=verdict.state,
            seconds=now() - started,
            detail=clean_line(verdict.detail, _DETAIL),
        )
        if check.name == "reach" and verdict.state == "failed":
            return


async def _verdict(exam: Examination, check: Check) -> Verdict:
    before = exam.again
    try:
        verdict = await check.run(exam)
    except Exception as error:  # noqa: BLE001 - an adapter that raises is what a check has to find
        verdict = failed(f"the adapter raised {type(error).__name__}: {error}")
    if again := exam.again - before:
        times = "once" if again == 1 else f"{again} times"
        verdict = replace(verdict, detail=f"{verdict.detail}; asked again {times}")
    return verdict
