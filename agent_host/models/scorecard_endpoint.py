"""What every endpoint has to do: be there, answer in pieces, count, end rightly, refuse rightly."""

import re

from agent_host.core import size
from agent_host.core.types import ModelFailure, ModelResponse
from agent_host.models.scorecard_subject import (
    Answer,
    Examination,
    Verdict,
    failed,
    not_taken,
    note,
    ok,
    quoted,
    refused,
    user,
)

_COUNT = user("Count from one to fifty in English words, separated by commas. Write nothing else.")
_LONG = user("Count from one to two thousand in English words, one a line. Write nothing else.")
_SHORT = user("Say yes.")
_CUT_AT = 16
"""Tokens of an answer that must not end by itself. The fewest that the Responses API takes."""
_AT_ONCE = 200
"""Characters that a provider may well send in one piece."""
_MAY_TAKE = 1.0
"""Seconds that closing a stream may take."""
_UNREACHED = frozenset({"auth", "not_found", "overloaded", "rate_limit", "timeout", "unavailable"})
_OF_A_KEY = re.compile(r"api.?key|credential|token|unauthori[sz]ed|authenticat", re.IGNORECASE)

WORD = "pelican"
"""What the long prompt says once, at its start."""
_LINES = 360
_PLACES = ("harbour", "market", "library", "station", "garden", "museum", "bakery", "bridge")
_PEOPLE = ("Anna", "Boris", "Clara", "David", "Elena", "Farid", "Grace", "Henry", "Irene")
_THINGS = ("a letter", "two umbrellas", "an old map", "some bread", "a broken clock", "a red scarf")


async def reach(exam: Examination) -> Verdict:
    """Whether there is an endpoint that takes the key and knows the model."""
    answer = exam.greeting = await exam.ask(_COUNT)
    item = answer.item
    credential = exam.subject.credential
    key = f"connected, {credential} accepted" if credential else "connected; no key is set"
    if isinstance(item, ModelFailure):
        other = item.kind == "protocol" and not item.retryable
        if answer.first is None and (item.kind in _UNREACHED or other):
            return failed(item.message)
        return ok(key)
    served = item.model_served
    other_name = served and served != exam.subject.adapter.origin.model
    return ok(f"{key}; {served} answers" if other_name else key)


def _greeting(exam: Examination) -> Answer:
    assert exam.greeting is not None  # every card begins with `reach`
    return exam.greeting


async def text(exam: Examination) -> Verdict:
    """Whether there is an answer at all."""
    answer = _greeting(exam)
    if isinstance(answer.item, ModelFailure):
        return refused(answer.item)
    if not answer.text.strip():
        return failed(f"the answer is empty (stop reason {answer.item.stop_reason})")
    return ok(f"{len(answer.text):,} characters in {answer.seconds:.1f} s: {quoted(answer.text)}")


async def stream(exam: Examination) -> Verdict:
    """Whether the answer comes as it is made."""
    answer = _greeting(exam)
    if answer.pieces > 1:
        return ok(f"{answer.pieces} pieces, the first after {answer.first or 0.0:.2f} s")
    if isinstance(answer.item, ModelFailure):
        return refused(answer.item)
    if answer.text and len(answer.text) <= _AT_ONCE:
        return note(f"one piece, but it is short ({len(answer.text)} characters)")
    return failed(f"the answer came whole after {answer.seconds:.2f} s; nothing shows until then")


async def usage(exam: Examination) -> Verdict:
    """Whether tokens are counted as they were sent, and a long prompt is read whole."""
    asked = user(long_prompt())
    about = size.tokens(size.characters(asked))
    answer = await exam.ask(asked)
    item = answer.item
    if isinstance(item, ModelFailure):
        if item.kind == "context_window_exceeded":
            return note(f"refuses a prompt of about {about:,} tokens, and says so: {item.message}")
        return refused(item)
    count, out = item.usage.input_tokens, item.usage.output_tokens
    if not count or not out:
        missing = "tokens at all" if not (count or out) else "input" if not count else "output"
        return failed(f"the answer counts no {missing}; limits and cost cannot be kept")
    recalled = WORD in answer.text.lower()
    counted = f"counts {count:,} of about {about:,} tokens"
    if count < about / 2 and not recalled:
        return failed(
            f"{counted} and has lost the beginning: the prompt was cut without a word; "
            "give the model a larger context where it is served"
        )
    if not about / 2 <= count <= about * 2.5:
        return failed(f"{counted}, though it {'read' if recalled else 'may have read'} them all")
    if not recalled:
        return note(f"{counted}; what stood at the start was not recalled: {quoted(answer.text)}")
    return ok(f"{counted}, {out:,} out; recalls what stood at the start")


def long_prompt() -> str:
    """A few thousand tokens of plain sentences, no two alike, with a fact at their start."""
    lines = [f"The secret word is {WORD}. Remember it. What follows is a diary."]
    for day in range(_LINES):
        one, other = _PEOPLE[day % 9], _PEOPLE[(day * 5 + 3) % 9]
        place, thing = _PLACES[day % 8], _THINGS[(day * 7) % 6]
        lines.append(f"On day {day + 1} {one} met {other} at the {place} and brought {thing}.")
    lines.append("What is the secret word from the very beginning? Answer with that word alone.")
    return "\n".join(lines)


async def stop_reason(exam: Examination) -> Verdict:
    """Whether the end of an answer is told from its being cut off."""
    whole = _greeting(exam).item
    if isinstance(whole, ModelResponse) and whole.stop_reason == "unknown":
        return failed("the answer ends without a stop reason; calls in it would not be run")
    item = (await exam.ask(_LONG, max_output_tokens=_CUT_AT)).item
    if isinstance(item, ModelFailure):
        return refused(item)
    ended = whole.stop_reason if isinstance(whole, ModelResponse) else "none"
    if item.stop_reason == "max_tokens":
        return ok(f"{ended} of a whole answer, max_tokens of one of {_CUT_AT} tokens")
    if item.usage.output_tokens > 4 * _CUT_AT:
        return note(f"the limit of {_CUT_AT} tokens is ignored: {item.usage.output_tokens} came")
    if item.stop_reason == "unknown":
        return failed("an answer that is cut off ends without a stop reason")
    return note(f"an answer of {_CUT_AT} tokens at most ended with {item.stop_reason}")


async def cancellation(exam: Examination) -> Verdict:
    """Whether a stream that is closed early ends at once, and leaves the endpoint usable."""
    answer = await exam.ask(_LONG, close=True)
    took = answer.closing
    if took is None and isinstance(answer.item, ModelFailure):
        return refused(answer.item)
    if took is not None and took > _MAY_TAKE:
        return failed(f"closing the stream took {took:.2f} s")
    after = (await exam.ask(_SHORT)).item
    if isinstance(after, ModelFailure):
        return failed(f"closed early, and the next request fails: {after.message}")
    if took is None:
        return note("the answer came whole at once, so there was nothing to close")
    return ok(f"closed in {took:.2f} s; the next request works")


async def bad_key(exam: Examination) -> Verdict:
    """Whether a wrong key is refused as one."""
    if exam.subject.wrong_key is None:
        return not_taken("the cloud's own credentials sign each request; no wrong key was tried")
    async with exam.subject.wrong_key() as adapter:
        item = (await exam.ask(_SHORT, adapter=adapter, max_output_tokens=_CUT_AT)).item
    if isinstance(item, ModelResponse):
        return note("takes any key")
    if item.kind == "auth":
        return ok(f"a wrong key is refused: {item.message}")
    if item.kind in ("bad_request", "not_found") and _OF_A_KEY.search(item.message):
        return note(f"a wrong key is refused, as {item.kind}: {item.message}")
    return failed(f"a wrong key gives {item.kind} instead of auth: {item.message}")


async def unknown_model(exam: Examination) -> Verdict:
    """Whether a model that is not there is refused as that."""
    async with exam.subject.unknown_model() as adapter:
        item = (await exam.ask(_SHORT, adapter=adapter, max_output_tokens=_CUT_AT)).item
    if isinstance(item, ModelResponse):
        return note("answers whatever model is named")
    if item.kind in ("not_found", "bad_request"):
        return ok(f"refused as {item.kind}: {item.message}")
    return failed(f"gives {item.kind} instead of not_found: {item.message}")
