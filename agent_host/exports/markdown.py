"""A run as Markdown that any viewer shows, and in which no recorded text can be anything else.

Theory of operation: whatever was recorded stands in a code block whose fence is longer than any
run of its characters inside, or, as one line, in a code span made the same way; so no text can end
its place, be a heading of ours, HTML or a picture that a viewer would fetch. Answers alone are
Markdown themselves and are quoted (`>`), with `<`, and the `!` of pictures, escaped outside of
their own code, so that they keep their lists and tables.
"""

import re
from collections.abc import Iterator

from agent_host.core.money import shown_cost
from agent_host.core.text import clean, clean_line
from agent_host.core.types import Block, Reasoning, Resource, Text, ToolCall, ToolResult
from agent_host.exports.happened import Step, as_json
from agent_host.exports.prose import quoted
from agent_host.exports.story import (
    Answer,
    Call,
    Said,
    Story,
    shown_clock,
    shown_seconds,
)
from agent_host.exports.texts import Cleaner, described, visible

_TICKS = re.compile("`+")
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~!&$^])")


def lines(story: Story, cleaner: Cleaner = clean) -> Iterator[str]:
    """Yield the lines of a Markdown document, without line ends. `cleaner`: for free text."""
    yield f"# {plain(story.facts.title or 'A run')}"
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, text in story.facts.lines:
        yield f"| {name} | {plain(text, 300)} |"
    for part in story.parts:
        yield ""
        if isinstance(part, Said):
            yield from _said(part, cleaner)
        elif isinstance(part, Answer):
            yield from _answer(part, cleaner)
        else:
            yield from _step(part.step)


def plain(text: str, limit: int = 500) -> str:
    """Return one line in which no character means anything to Markdown."""
    return (
        _MARKS.sub(r"\\\1", clean_line(text, limit)).replace("://", ":&#47;/").replace("@", "&#64;")
    )


def span(text: str, limit: int = 300) -> str:
    """Return one line as a code span."""
    line = clean_line(text, limit) or " "
    ticks = "`" * (_longest(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def fenced(text: str, language: str = "", cleaner: Cleaner = clean) -> Iterator[str]:
    """Yield a code block that its text cannot end."""
    shown = visible(text, cleaner)
    fence = "`" * max(3, _longest(shown) + 1)
    yield fence + (language or "text")
    yield from shown.split("\n")
    yield fence


def _longest(text: str) -> int:
    if "`" not in text:
        return 0
    return max(len(found[0]) for found in _TICKS.finditer(text))


def _said(part: Said, cleaner: Cleaner) -> Iterator[str]:
    yield f"## User, {shown_clock(part.at)}"
    if part.labels:
        yield ""
        yield f"Labels: {plain(', '.join(part.labels))}"
    for block in part.message.content:
        yield ""
        yield from _block(block, cleaner)


def _answer(part: Answer, cleaner: Cleaner) -> Iterator[str]:
    event = part.event
    yield f"## Turn {part.turn}, {shown_clock(part.at)}"
    yield ""
    facts = [
        event.model_served or event.model_asked,
        shown_seconds(part.took),
        f"{event.usage.input_tokens:,} tokens in, {event.usage.output_tokens:,} out",
        shown_cost(event.cost) if event.cost else "",
        event.stop_reason,
    ]
    yield f"*{plain(' · '.join(filter(None, facts)))}*"
    calls = iter(part.calls)
    for block in event.message.content:
        yield ""
        if isinstance(block, ToolCall):
            yield from _call(next(calls), cleaner)
        elif isinstance(block, Text):
            yield from quoted(visible(block.text, cleaner))
        else:
            yield from _block(block, cleaner)


def _call(call: Call, cleaner: Cleaner) -> Iterator[str]:
    name = f"{call.server}: {call.tool}" if call.tool else call.call.name
    took = shown_seconds(call.took)
    yield f"### Call {call.number}: {span(name, 130)}, {plain(call.outcome)}{took and ', ' + took}"
    yield ""
    if call.call.raw is not None:
        yield from fenced(call.call.raw)
    else:
        yield from fenced(as_json(call.call.arguments), "json")
    for step in call.steps:
        yield ""
        yield from _step(step)
    if call.result is not None:
        yield ""
        yield from _result(call.result, cleaner)


def _result(result: ToolResult, cleaner: Cleaner) -> Iterator[str]:
    labels = f" (labels: {plain(', '.join(result.labels))})" if result.labels else ""
    yield f"{'Error' if result.error else 'Result'}{labels}:"
    for block in (*result.for_user, *result.content):
        yield ""
        yield from _block(block, cleaner)
    if result.artifact:
        yield ""
        yield f"Whole result: {span(result.artifact)} beside the transcript"


def _block(block: Block, cleaner: Cleaner) -> Iterator[str]:
    if isinstance(block, Reasoning):
        if block.text:
            yield "<details><summary>Reasoning</summary>"
            yield ""
            yield from fenced(block.text, cleaner=cleaner)
            yield ""
            yield "</details>"
        return
    if not isinstance(block, Text):
        yield f"[{plain(described(block))}]"
        yield ""
    if isinstance(block, Text | Resource) and block.text is not None:
        yield from fenced(block.text, cleaner=cleaner)


def _step(step: Step) -> Iterator[str]:
    yield f"- {shown_clock(step.at)} **{plain(step.title)}**"
    for one in step.details:
        yield ""
        yield f"  {plain(one.label)}:"
        yield ""
        language = "text" if one.kind == "text" else one.kind
        yield from (f"  {line}" for line in fenced(one.text, language))
