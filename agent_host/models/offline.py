"""The `offline` model: a keyword matcher that needs no key, no network and no AI.

Theory of operation: the last message decides. A tool's result is put into words and that ends the
turn. A user's message is an exact call (`tool {json}`, `tool key=value`), or up to three clauses,
each of which is scored against every tool: BM25 over what the tool says of itself, plus evidence
for its parameters, minus 0.4 for each that is missing. The best tool is called if it reaches 1.2
and leads by 15 %; else its candidates are listed, with the exact call to send. A tool that does not
say that it only reads is called only with arguments that leave no choice, never on a negation, and
never for a verb that it does not know. The answer depends on the request alone, so this is also
the model that tests and load runs use.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent_host.core.events import Delta, TextDelta, ToolArgumentsDelta
from agent_host.core.matching import (
    ACTION_VERBS,
    STOP_WORDS,
    Index,
    properties,
    required,
    stems,
    word_set,
)
from agent_host.core.text import clean_line
from agent_host.core.types import (
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Origin,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from agent_host.models.clause import Clause, Token
from agent_host.models.readable import readable
from agent_host.models.settings import AdapterSettings
from agent_host.models.slots import Filling, fill, types

THRESHOLD = 1.2
MARGIN = 0.15
MAX_CALLS = 3
NOTICE = "offline mode is a keyword matcher, no AI"
HOW_TO_GET_A_MODEL = (
    "For a real model set a provider's key in the environment, for example "
    'OPENAI_API_KEY, or name a model in servers.toml (model = "...").'
)

_SENTENCE_LIMIT = 4000
_EXACT_LIMIT = 1_000_000
_LISTED_TOOLS = 20
_SCORED_TOOLS = 40
_DELTA_CHARACTERS = 24
_SPLIT = re.compile(r"\s*;\s*|[\s,]+and\s+then\s+", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|`[^`]*`|(?<!\w)'[^']*'(?!\w)")
_EXACT = re.compile(r"\s*([\w.:/-]{1,200})(?:\s+(.*))?\s*\Z", re.DOTALL)
_PAIR = re.compile(r"""([\w.-]{1,100})=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)""")
_FORBIDDING = re.compile(r"\b(?:don['’]?t|do\s+not|never)\b", re.IGNORECASE)
_IMPERATIVE_AFTER = word_set(
    "to and then please you i don't dont not never just also can must should we"
)
_NOUN_BEFORE = word_set("of for address number status id")
_CHUNK = re.compile(rf".{{1,{_DELTA_CHARACTERS}}}(?:\s+|$)|.{{1,{_DELTA_CHARACTERS}}}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that is meant."""

    tool: Tool
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A tool that may be meant, and why not to call it if there is a doubt."""

    tool: Tool
    score: float
    filling: Filling
    doubt: str = ""


def create(settings: AdapterSettings) -> "OfflineModel":
    """Return the adapter; it uses nothing of the settings but the names."""
    return OfflineModel(settings.provider or "offline", settings.model or "keywords")


class OfflineModel:
    """A `ModelAdapter` that matches keywords. Stateless but for the index of the last tools."""

    simulated = True

    def __init__(self, provider: str, model: str) -> None:
        self.origin = Origin(provider=provider, model=model, adapter="offline")
        self._index = Index(())

    async def stream(
        self, request: ModelRequest
    ) -> AsyncIterator[Delta | ModelResponse | ModelFailure]:
        """Yield the answer in small pieces, then whole."""
        text, calls = self._answer(request)
        blocks: list[Text | ToolCall] = [Text(text=text)] if text else []
        for piece in _CHUNK.findall(text):
            yield TextDelta(text=piece)
        for place, (call_id, call) in enumerate(
            zip(_new_ids(request.messages), calls, strict=False)
        ):
            encoded = json.dumps(call.arguments)
            yield ToolArgumentsDelta(index=place, name=call.tool.name, text=encoded)
            blocks.append(ToolCall(id=call_id, name=call.tool.name, arguments=call.arguments))
        yield ModelResponse(
            message=Message(role="assistant", content=tuple(blocks), origin=self.origin),
            stop_reason="tool_use" if calls else "end_turn",
            model_served=self.origin.model,
        )

    def withheld(self, tools: tuple[Tool, ...]) -> Mapping[str, str]:
        """Return nothing: any tool can be called by its name."""
        return {}

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _answer(self, request: ModelRequest) -> tuple[str, list[_Call]]:
        """Return what to say and what to call; one of them is empty."""
        last = request.messages[-1] if request.messages else None
        if last is not None and last.role == "tool":
            return _told(request.messages), []
        if request.tools != self._index.tools:
            self._index = Index(request.tools)
        text = _text_of(last) if last is not None and last.role == "user" else ""
        text = text.encode("utf-8", "replace").decode()
        if not request.tools:
            return f"There are no tools, and {NOTICE}. {HOW_TO_GET_A_MODEL}", []
        exact = self._exact(text)
        if exact is not None:
            return exact
        return self._matched(text[:_SENTENCE_LIMIT])

    # Exact calls

    def _exact(self, text: str) -> tuple[str, list[_Call]] | None:
        """Return the answer to `tool {json}` or `tool key=value`, None if it is neither."""
        match = _EXACT.match(text[:_EXACT_LIMIT])
        tool = self._named(match[1]) if match else None
        if match is None or tool is None:
            return None
        rest = (match[2] or "").strip()
        if rest.startswith("{"):
            try:
                arguments = json.loads(rest, parse_constant=_not_finite)
            except (ValueError, RecursionError) as error:
                reason = clean_line(str(error))
                return f"That is not valid JSON: {reason}. Send: {_example(tool)}", []
            return _sound(tool, arguments)
        if not rest:
            if required(tool):
                return f"{tool.name} needs {_and(required(tool))}. Send: {_example(tool)}", []
            return "", [_Call(tool, {})]
        if _PAIR.sub("", rest).strip(" ,"):
            return None
        schemas = properties(tool)
        pairs = {key: _exact_value(raw, schemas.get(key, {})) for key, raw in _PAIR.findall(rest)}
        return _sound(tool, pairs)

    def _named(self, name: str) -> Tool | None:
        """Return the tool with this exposed name, or the only one with this own name."""
        for tool in self._index.tools:
            if tool.name == name:
                return tool
        own = [tool for tool in self._index.tools if tool.tool == name]
        return own[0] if len(own) == 1 else None

    # Sentences

    def _matched(self, text: str) -> tuple[str, list[_Call]]:
        parts = _parts(text)
        if len(parts) > 1:
            found = [self._exact_call(part) or self._candidates(part) for part in parts]
            scored = all(
                isinstance(one, _Call) or (one and one[0].score >= THRESHOLD) for one in found
            )
            if scored:
                return self._several(parts, found)
        return self._one(text, self._candidates(text))

    def _exact_call(self, part: str) -> _Call | None:
        exact = self._exact(part)
        return exact[1][0] if exact is not None and exact[1] else None

    def _several(
        self, parts: list[str], found: list[_Call | list[_Candidate]]
    ) -> tuple[str, list[_Call]]:
        """Return the calls of several clauses, which run at once: so they must all only read."""
        calls: list[_Call] = []
        for part, one in zip(parts, found, strict=True):
            if isinstance(one, _Call):
                calls.append(one)
                continue
            text, said = self._one(part, one)
            if text:
                return text, []
            calls += said
        if len(calls) > MAX_CALLS:
            return f"That is more than {MAX_CALLS} requests at once. Send them in turn.", []
        if any(call.tool.annotations.read_only is not True for call in calls):
            return "One of these requests changes something. Send them one after another.", []
        return "", calls

    def _candidates(self, text: str) -> list[_Candidate]:
        """Return the tools that share a word with the text, best first."""
        clause = Clause(text)
        outside = " ".join(
            word
            for place, word in clause.words([])
            if clause.tokens[place].kind in ("word", "path")
        )
        scores = self._index.scores(stems(outside))
        order = sorted((-score, place) for place, score in enumerate(scores) if score > 0)
        found = []
        for negative, place in order[:_SCORED_TOOLS]:
            tool = self._index.tools[place]
            filling = fill(tool, clause)
            doubt = self._doubt(tool, place, clause, filling)
            found.append(_Candidate(tool, filling.evidence - negative, filling, doubt))
        return sorted(found, key=lambda candidate: -candidate.score)

    def _doubt(self, tool: Tool, place: int, clause: Clause, filling: Filling) -> str:
        """Return why a tool may not be called on this clause, or nothing."""
        for at, word in clause.words(filling.spans):
            deed = word in ACTION_VERBS and _is_imperative(clause, at)
            if deed and not self._index.knows(place, word):
                return f"it does not say that it can {clean_line(word, 40)}"
        if _FORBIDDING.search(clause.text):
            return "the request says not to"
        if filling.missing:
            return f"it needs {_and(filling.missing)}"
        if tool.annotations.read_only is True:
            return ""
        if clause.negated():
            return "the request says not to"
        if filling.unsure:
            return f"it is not certain what {_and(filling.unsure)} should be"
        left = [token.value for token in filling.left if self._matters(place, token)]
        return f"it is not certain what {_and(left)} means for it" if left else ""

    def _matters(self, place: int, token: Token) -> bool:
        """Say whether a token that no parameter took is a value that the user may have meant."""
        if token.kind != "word":
            return True
        word = token.value
        named = token.start > 0 and word[0].isupper() and word.lower() not in STOP_WORDS
        return named and not self._index.knows(place, word.lower())

    def _one(self, text: str, candidates: list[_Candidate]) -> tuple[str, list[_Call]]:
        if not candidates or candidates[0].score < THRESHOLD:
            return self._nothing(candidates), []
        best = candidates[0]
        if len(candidates) > 1 and best.score - candidates[1].score < MARGIN * best.score:
            return _ask("Several tools fit", candidates), []
        if best.doubt:
            return _ask("A tool may fit, with a doubt", candidates), []
        return "", [_Call(best.tool, best.filling.arguments)]

    def _nothing(self, candidates: list[_Candidate]) -> str:
        tools = self._index.tools
        lines = [f"No tool fits that clearly ({NOTICE}). Send one of these, filled in:"]
        if candidates:
            lines += [f"- {_example(c.tool, c.filling.arguments)}" for c in candidates[:3]]
            known = {c.tool.name for c in candidates[:3]}
            tools = tuple(tool for tool in tools if tool.name not in known)
            lines += ["Others:"] if tools else []
        lines += [f"- {_example(tool)}" for tool in tools[:_LISTED_TOOLS]]
        if len(tools) > _LISTED_TOOLS:
            lines.append(f"- and {len(tools) - _LISTED_TOOLS} more")
        return "\n".join([*lines, HOW_TO_GET_A_MODEL])


def _sound(tool: Tool, arguments: dict[str, Any]) -> tuple[str, list[_Call]]:
    """Return the call, unless no JSON text in UTF-8 can carry its arguments."""
    try:
        json.dumps(arguments, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return f"These arguments cannot be sent as JSON. Send: {_example(tool)}", []
    return "", [_Call(tool, arguments)]


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _is_imperative(clause: Clause, at: int) -> bool:
    """Say whether the word at this place asks for a deed, and is not a noun."""
    words = [token.value.lower().replace("’", "'") for token in clause.tokens]
    if at + 1 < len(words) and words[at + 1] in _NOUN_BEFORE:
        return False
    return at == 0 or words[at - 1] in _IMPERATIVE_AFTER


def _parts(text: str) -> list[str]:
    """Split a text on "and then" and ";" outside quotes."""
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    parts, start = [], 0
    for match in _SPLIT.finditer(text):
        if not any(low < match.start() < high for low, high in quoted):
            parts.append(text[start : match.start()])
            start = match.end()
    return [part for part in (*parts, text[start:]) if part.strip()]


def _exact_value(raw: str, schema: dict[str, Any]) -> Any:
    kinds = types(schema)
    if raw[:1] in ("'", '"') and len(raw) > 1 and raw[-1] == raw[0]:
        if raw[0] == "'":
            return raw[1:-1]
        try:
            return json.loads(raw, strict=False)
        except ValueError:
            return raw[1:-1]
    if "string" in kinds:
        return raw
    try:
        return json.loads(raw, parse_constant=_not_finite)
    except (ValueError, RecursionError):
        return raw


def _and(names: list[str]) -> str:
    shown = [clean_line(name, 60) for name in names[:6]]
    return ", ".join(shown[:-1]) + " and " + shown[-1] if len(shown) > 1 else "".join(shown)


def _sample(schema: dict[str, Any]) -> Any:
    """Return a value that shows what a parameter takes."""
    examples, enum = schema.get("examples"), schema.get("enum")
    if isinstance(examples, list) and examples:
        return examples[0]
    if isinstance(enum, list) and enum:
        return enum[0]
    if "default" in schema:
        return schema["default"]
    kinds = types(schema)
    return [] if kinds == {"array"} else {} if kinds == {"object"} else "..."


def _example(tool: Tool, filled: dict[str, Any] | None = None) -> str:
    """Return a call of a tool as a user may send it: what is known, and samples."""
    schemas = properties(tool)
    values = dict(filled or {})
    for name in required(tool)[:10]:
        values.setdefault(name, _sample(schemas.get(name, {})))
    simple = all(
        re.fullmatch(r"[\w.-]+", name) and isinstance(value, str | int | float)
        for name, value in values.items()
    )
    if not simple:
        return clean_line(f"{tool.name} {json.dumps(values, ensure_ascii=False)}", 400)
    pairs = "".join(f" {name}={_shown(value)}" for name, value in values.items())
    return clean_line(tool.name + pairs, 400)


def _shown(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[\w.@:/+-]+", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _ask(opening: str, candidates: list[_Candidate]) -> str:
    lines = [f"{opening} ({NOTICE}). Send the one that you mean, filled in:"]
    for candidate in [c for c in candidates[:5] if c.score >= 0.4 * candidates[0].score]:
        doubt = f"  ({candidate.doubt})" if candidate.doubt else ""
        lines.append(f"- {_example(candidate.tool, candidate.filling.arguments)}{doubt}")
    return "\n".join(lines)


def _text_of(message: Message) -> str:
    return "\n".join(block.text for block in message.content if isinstance(block, Text))


def _new_ids(messages: tuple[Message, ...]) -> Iterator[str]:
    """Yield `call_1`, `call_2`, ...: the first that no call of the conversation has."""
    used = {
        block.id for message in messages for block in message.content if isinstance(block, ToolCall)
    }
    number = len(used)
    while True:
        number += 1
        if f"call_{number}" not in used:
            yield f"call_{number}"


def _told(messages: tuple[Message, ...]) -> str:
    """Return the results of the last calls in words."""
    calls = {
        block.id: block.name
        for message in messages[-2:]
        for block in message.content
        if isinstance(block, ToolCall)
    }
    results = [block for block in messages[-1].content if isinstance(block, ToolResult)]
    told = [
        (calls.get(r.call_id, "the tool"), readable(calls.get(r.call_id, "the tool"), r))
        for r in results
    ]
    if len(told) == 1:
        return told[0][1]
    return "\n\n".join(f"{name}:\n{text}" for name, text in told) or "Nothing was answered."
