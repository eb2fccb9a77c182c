"""A run as one HTML file: no network, no other file, and nothing recorded can act in it.

Theory of operation: every recorded text is bounded, made visible (`texts`) and escaped, and stands
as text, never in a script, a style, or an attribute other than a checked link. Should that ever
fail, the page's own policy (CSP, which holds for `file:` too) allows one script and one style, by
their hashes, and nothing from anywhere else. All folding is `<details>`, so the page is whole
without its script, which adds search, filters, copying and keys. Each part lays itself out when it
is near the screen (`content-visibility`). Pictures are embedded if they are of a known kind (by
their name and their first bytes) and within bounds; never SVG.
"""

import base64
import functools
import hashlib
import html
import json
from collections.abc import Iterator
from importlib.resources import files

from agent_host.core.money import shown_cost
from agent_host.core.text import clean, clean_line
from agent_host.core.types import Block, Image, Reasoning, Resource, Text, ToolCall
from agent_host.exports.facts import shown_time
from agent_host.exports.happened import Detail, Step, as_json
from agent_host.exports.prose import block, to_html
from agent_host.exports.story import (
    Answer,
    Call,
    Said,
    Story,
    shown_clock,
    shown_seconds,
)
from agent_host.exports.texts import (
    MEDIA_LIMIT,
    MEDIA_TOTAL,
    RASTER,
    Cleaner,
    described,
    visible,
)

_SHORT = 100
"""Characters of arguments beside a folded call."""


def pieces(story: Story, cleaner: Cleaner = clean) -> Iterator[str]:
    """Yield the document in pieces. `cleaner`: for free text."""
    page = _Page(story, cleaner)
    yield page.head()
    yield page.index()
    yield '<main id="run" tabindex="-1" data-show="all">\n'
    for part in story.parts:
        if isinstance(part, Said):
            yield page.said(part)
        elif isinstance(part, Answer):
            yield page.answer(part)
        else:
            yield page.note(part.step)
    yield f"</main>\n<script>{_own('page.js')}</script>\n</body>\n</html>\n"


@functools.cache
def _own(name: str) -> str:
    return files("agent_host.exports").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def policy() -> str:
    """Return the page's Content Security Policy."""
    return (
        f"default-src 'none'; script-src '{_hash(_own('page.js'))}'; "
        f"style-src '{_hash(_own('page.css'))}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _line(text: str, limit: int = 500) -> str:
    return html.escape(clean_line(text, limit))


def _time(at: str) -> str:
    return f'<time title="{_line(shown_time(at))}">{_line(shown_clock(at))}</time>'


def _chips(labels: tuple[str, ...]) -> str:
    return "".join(f' <span class="chip">{_line(one, 60)}</span>' for one in labels)


class _Page:
    def __init__(self, story: Story, cleaner: Cleaner) -> None:
        self._facts = story.facts
        self._cleaner = cleaner
        self._embedded = 0

    def head(self) -> str:
        title = _line(self._facts.title or f"Run {self._facts.run_id}", 120)
        facts = "".join(
            f"<div><dt>{name}</dt><dd>{_line(text)}</dd></div>" for name, text in self._facts.lines
        )
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy()}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            '<meta name="referrer" content="no-referrer">\n'
            '<meta name="generator" content="agent-host">\n'
            f'<link rel="icon" href="data:,">\n<title>{title}</title>\n'
            f"<style>{_own('page.css')}</style>\n</head>\n<body>\n"
            '<a class="skip" href="#run">Skip to the conversation</a>\n'
            f"<header><p class=kicker>Transcript</p><h1>{title}</h1>"
            f"<dl>{facts}</dl></header>\n{_TOOLBAR}"
        )

    def index(self) -> str:
        rows = [
            f'<li><a href="#turn-{turn.number}"><b>{turn.number}</b> {_line(turn.text, 60)}'
            f"{'<i class=bad> error</i>' if turn.failed else ''}</a></li>"
            for turn in self._facts.turns
        ]
        turns = f"<ol>{''.join(rows)}</ol>" if rows else "<p>No answers.</p>"
        return (
            '<nav class="turns" aria-label="Turns"><details><summary>Turns</summary>'
            f"{turns}</details></nav>\n"
        )

    def said(self, part: Said) -> str:
        body = "".join(self._block(block) for block in part.message.content)
        head = f'<h2>User</h2><span class="meta">{_chips(part.labels)} {_time(part.at)}</span>'
        return f'<article class="user"><div class="head">{head}</div>{body}</article>\n'

    def note(self, step: Step) -> str:
        kinds = ["note", *(["has-approval"] if step.approval else [])]
        kinds += ["has-error"] if step.tone == "bad" else []
        return f'<article class="{" ".join(kinds)}">{self._step(step)}</article>\n'

    def answer(self, part: Answer) -> str:
        event = part.event
        kinds = ["answer"]
        kinds += ["has-call"] if part.calls else []
        kinds += ["has-error"] if any(c.result and c.result.error for c in part.calls) else []
        kinds += ["has-approval"] if any(c.judged for c in part.calls) else []
        facts = (
            _line(event.model_served or event.model_asked, 80),
            shown_seconds(part.took),
            f"{event.usage.input_tokens:,} in, {event.usage.output_tokens:,} out",
            shown_cost(event.cost) if event.cost else "",
            "" if event.stop_reason in ("end_turn", "tool_use") else event.stop_reason,
        )
        meta = " · ".join(filter(None, facts))
        head = (
            f'<h2><a href="#turn-{part.turn}">Turn {part.turn}</a></h2>'
            f'<span class="meta">{meta} {_time(part.at)}</span>'
        )
        return (
            f'<article class="{" ".join(kinds)}" id="turn-{part.turn}">'
            f'<div class="head">{head}</div>{"".join(self._answered(part))}</article>\n'
        )

    def _answered(self, part: Answer) -> Iterator[str]:
        """Text, and calls that stand side by side as one group."""
        calls = iter(part.calls)
        group: list[str] = []
        for one in part.event.message.content:
            if isinstance(one, ToolCall):
                group.append(self._call(next(calls)))
                continue
            yield _grouped(group)
            group = []
            if isinstance(one, Text):
                yield f'<div class="prose">{to_html(visible(one.text, self._cleaner))}</div>'
            else:
                yield self._block(one)
        yield _grouped(group)

    def _call(self, call: Call) -> str:
        result = call.result
        state = "bad" if result is None or result.error else "good"
        name = f"<b>{_line(call.tool or call.call.name, 130)}</b>"
        server = f'<span class="server">{_line(call.server, 60)}</span>' if call.tool else ""
        short = json.dumps(call.call.arguments, ensure_ascii=False)
        took = shown_seconds(call.took)
        labels = _chips(result.labels) if result else ""
        asked = ' <span class="chip warn">approval</span>' if call.judged else ""
        summary = (
            f'<summary><span class="dot {state}" aria-hidden="true"></span>{server}{name}'
            f' <code class="short">{_line(short, _SHORT)}</code>'
            f'<span class="meta">{asked}{labels} {_line(call.outcome)}'
            f"{f' · {took}' if took else ''}</span></summary>"
        )
        proposed = (
            self._pre(call.call.raw)
            if call.call.raw is not None
            else self._pre(as_json(call.call.arguments))
        )
        steps = "".join(self._step(step) for step in call.steps)
        kinds = "call" + (" failed" if state == "bad" else "") + (" asked" if call.judged else "")
        return (
            f'<details class="{kinds}" id="call-{call.number}">{summary}<div class="inside">'
            f"<h3>Arguments</h3>{proposed}{steps}{self._result(call)}</div></details>"
        )

    def _result(self, call: Call) -> str:
        result = call.result
        if result is None:
            return "<h3>No result</h3>"
        body = "".join(self._block(one) for one in (*result.for_user, *result.content))
        title = f"Error: {_line(result.error)}" if result.error else "Result"
        artifact = (
            f"<p>Whole result: <code>{_line(result.artifact)}</code> beside the transcript</p>"
            if result.artifact
            else ""
        )
        return f'<h3 class="{"bad" if result.error else ""}">{title}</h3>{body}{artifact}'

    def _step(self, step: Step) -> str:
        details = "".join(self._detail(one) for one in step.details)
        return (
            f'<div class="step {step.tone}"><p>{_time(step.at)} {_line(step.title)}</p>'
            f"{details}</div>"
        )

    def _detail(self, one: Detail) -> str:
        label = f"<h4>{_line(one.label, 100)}</h4>"
        if one.kind == "diff":
            rows = "".join(_difference(line) for line in visible(one.text).split("\n"))
            return f"{label}{block(rows, 'diff')}"
        if len(one.text) > 300 or one.kind == "json":
            summary = f"<summary>{_line(one.label, 100)}</summary>"
            return f"<details>{summary}{self._pre(one.text)}</details>"
        return f'{label}<p class="text">{html.escape(visible(one.text))}</p>'

    def _pre(self, text: str) -> str:
        return block(html.escape(visible(text, self._cleaner)))

    def _block(self, one: Block) -> str:
        match one:
            case Text():
                return self._pre(one.text)
            case Reasoning():
                if not one.text:
                    return ""
                text = html.escape(visible(one.text, self._cleaner))
                return (
                    '<details class="reasoning"><summary>Reasoning</summary>'
                    f'<p class="text">{text}</p></details>'
                )
            case Image():
                return self._image(one)
            case Resource():
                said = f"<p>[{_line(described(one))}]</p>"
                return said + (self._pre(one.text) if one.text is not None else "")
            case _:
                return f"<p>[{_line(described(one))}]</p>"

    def _image(self, image: Image) -> str:
        begins = RASTER.get(image.media_type)
        size = len(image.data)
        fits = size <= MEDIA_LIMIT and self._embedded + size <= MEDIA_TOTAL
        if begins and image.data.startswith(begins) and fits and _is_base64(image.data):
            self._embedded += size
            said = _line(described(image))
            source = f"data:{image.media_type};base64,{image.data}"
            return f'<p><img alt="{said}" loading="lazy" src="{source}"></p>'
        return f"<p>[{_line(described(image))}, not embedded]</p>"


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except ValueError:
        return False
    return True


def _grouped(calls: list[str]) -> str:
    if len(calls) < 2:
        return "".join(calls)
    title = f"{len(calls)} calls side by side"
    return (
        f'<div class="group" role="group" aria-label="{title}"><p class="meta">{title}</p>'
        f"{''.join(calls)}</div>"
    )


def _difference(line: str) -> str:
    tag = {"-": "del", "+": "ins"}.get(line[:1], "span")
    return f"<{tag}>{html.escape(line)}\n</{tag}>"


_TOOLBAR = """<div class="bar" role="search">
<label class="field"><span class="hidden">Search the transcript</span>
<input id="find" type="search" placeholder="Search  ( / )" autocomplete="off" spellcheck="false">
</label>
<output id="hits" aria-live="polite"></output>
<button type="button" id="previous" aria-label="Previous hit">&#8593;</button>
<button type="button" id="next" aria-label="Next hit">&#8595;</button>
<label class="field"><span class="hidden">Show</span><select id="show">
<option value="all">Everything</option><option value="call">Calls</option>
<option value="error">Errors</option><option value="approval">Approvals</option></select></label>
<button type="button" id="expand">Expand all</button>
<button type="button" id="collapse">Collapse all</button>
<button type="button" id="theme" aria-label="Switch between dark and light">&#9680;</button>
</div>
<p id="nothing" hidden>Nothing of that kind in this run.</p>
"""
