"""What about a definition a person should look at: signs of an attack, none of them a proof.

Theory of operation: a description goes to a model, and may speak to it instead of saying what a
tool does, or praise itself; arguments may ask for what is none of a server's business; characters
may be hidden, or letters be taken for others; a text may speak of another server's tools, and a
name look like one of theirs. None of that is refused here, because each also has honest uses: it is
told when a definition is first seen or has changed, and the tool has the label `flagged`, for rules
to read, as long as its definition is so; no file can take that away. Cheap: compiled expressions
over bounded text, and what one text says is kept by its fingerprint. Sources: OWASP MCP Top 10,
tool poisoning; MCP Security Bench, out-of-scope parameters and preference manipulation.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent_host.core.catalogue import alike
from agent_host.core.hidden import hides
from agent_host.core.matching import properties
from agent_host.core.text import clean_line
from agent_host.core.types import Tool
from agent_host.servers.tools.foreign import foreign_words, told_apart

FLAGGED = "flagged"
"""The label of a tool that has signs."""
TOLD = 5
_LOOKED_AT = 64 * 1024
_SPEAKS = re.compile(
    r"<\s*/?\s*(?:important|system|secret|instructions?|hidden|critical|admin)\s*>"
    r"|(?:ignore|disregard|forget) (?:all |any |the |your )?(?:of )?(?:the |your )?"
    r"(?:previous|prior|above|earlier|other) (?:instructions?|prompts?|tools?|messages?)"
    r"|(?:do not|don't|never|without) (?:tell|mention|inform|show|notify|reveal)(?:ing)? "
    r"(?:this |it |that |about )?(?:to )?(?:the )?user"
    r"|before (?:using|calling|you (?:use|call)) (?:any|this|other|another) (?:other )?tools?"
    r"|(?:your|the) system prompt"
    r"|~/\.ssh|\bid_rsa\b|~/\.aws|/etc/passwd|\bmcp\.json\b",
    re.IGNORECASE,
)
_PRAISES = re.compile(
    r"always (?:use|prefer|choose|call) this (?:tool|function|server)"
    r"|(?:use|prefer|choose|call) this (?:tool )?(?:instead of|rather than|over) "
    r"(?:all |any )?(?:the )?others?\b"
    r"|(?:do not|don't|never) (?:use|call) (?:any |the )?other (?:tools?|servers?)"
    r"|this is the (?:best|only trusted|only correct|only safe) tool"
    r"|(?:all|any) other tools? (?:is|are) (?:deprecated|broken|unsafe|outdated|inferior)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"(?:system|previous|full|entire)_?(?:prompt|messages?|instructions?|conversation)"
    r"|conversation_?(?:history|context|log)|chat_?(?:history|context|log)|message_?history"
    r"|(?:all_?)?(?:env|environment)_?(?:vars?|variables?)|chain_?of_?thought|model_?reasoning"
    r"|tool_?call_?history|(?:ssh_?)?private_?key|seed_?phrase|all_?(?:secrets|credentials)"
    r"|(?:user_?|your_?|openai_?|anthropic_?|llm_?|model_?|host_?)(?:api_?keys?|credentials|secrets)",
    re.IGNORECASE,
)
_LONG_NAME = 8
"""Characters of a name that is not an everyday word."""
_WORD = re.compile(r"[A-Za-z0-9_.-]{8,128}")


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a definition's own text shows, and the words of it that may name a tool."""

    found: tuple[str, ...]
    words: frozenset[str]


class Signs:
    """The signs of all tools; what was looked at once is kept while its tool is there. `found`: by
    server and own name, what texts show; `alike`: what names look like."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], tuple[str, ...]] = {}
        self.alike: dict[tuple[str, str], str] = {}
        self.tools: Sequence[Tool] = ()
        self._looked: dict[str, _Looked] = {}

    def take(self, tools: Sequence[Tool]) -> None:
        """Look at these tools, all that there are."""
        self.tools = tools
        self._looked = {tool.fingerprint: self._look(tool) for tool in tools}
        others = {server: names_of_others(tools, server) for server in {t.server for t in tools}}
        self.alike = alike(tools)
        self.found = {}
        for tool in tools:
            looked = self._looked[tool.fingerprint]
            every = (*looked.found, *_shadowing(tool, looked.words, others[tool.server]))
            if every:
                self.found[tool.server, tool.tool] = every

    def of(self, tool: Tool) -> tuple[str, ...]:
        """Return everything about a tool that was taken."""
        key = tool.server, tool.tool
        like = self.alike.get(key)
        names = (f"{_name(tool)}: its name looks like {like}",) if like else ()
        return (*self.found.get(key, ()), *names)

    def _look(self, tool: Tool) -> _Looked:
        return self._looked.get(tool.fingerprint) or _look(tool)


def signs(tool: Tool, others: Mapping[str, str]) -> tuple[str, ...]:
    """What to look at in a definition, as clean sentences. `others`: the tools of other servers,
    own name -> server."""
    looked = _look(tool)
    return (*looked.found, *_shadowing(tool, looked.words, others))


def first_sight(found: Iterable[str]) -> list[str]:
    """The signs of one server's definitions that were not seen before, at most `TOLD` sentences."""
    listed = list(found)
    more = len(listed) - TOLD
    return [*listed[:TOLD], f"and {more} more such signs"] if more > 0 else listed


def names_of_others(tools: Iterable[Tool], server: str) -> dict[str, str]:
    """The telling names of other servers' tools, as `signs` wants them: without those that the
    server has itself, and without everyday words."""
    tools = tuple(tools)
    own = {tool.tool for tool in tools if tool.server == server}
    others: dict[str, str] = {}
    for tool in tools:
        if tool.server == server:
            continue
        for name in (tool.tool, tool.name):
            telling = len(name) >= _LONG_NAME and not name.isalpha()
            if telling and name not in own:
                others[name] = tool.server
    return others


def _name(tool: Tool) -> str:
    return clean_line(tool.tool, 80)


def _look(tool: Tool) -> _Looked:
    name, text = _name(tool), _text(tool)
    found: list[str] = []
    if hides(text):
        found.append(f"{name}: its definition has hidden characters; models are not shown them")
    if foreign := foreign_words(text):
        shown = clean_line(told_apart(foreign[0]), 80)
        found.append(f"{name}: its definition has letters that look like others: {shown}")
    if (spoken := _SPEAKS.search(text)) is not None:
        found.append(f"{name}: its definition seems to speak to the model: {_said(text, spoken)}")
    if (praise := _PRAISES.search(text)) is not None:
        found.append(f"{name}: its definition wants to be preferred: {_said(text, praise)}")
    asked = [clean_line(key, 60) for key in properties(tool) if _ASKS.fullmatch(key)]
    if asked:
        found.append(f"{name}: asks for what a tool need not know: {', '.join(asked[:5])}")
    return _Looked(tuple(found), frozenset(_WORD.findall(text)))


def _said(text: str, match: re.Match[str]) -> str:
    return repr(clean_line(text[max(0, match.start() - 20) : match.end() + 60], 120))


def _shadowing(tool: Tool, words: frozenset[str], others: Mapping[str, str]) -> list[str]:
    named = sorted(words & others.keys())
    if not named:
        return []
    first = named[0]
    return [f"{_name(tool)}: its definition speaks of {first}, a tool of {others[first]}"]


def _text(tool: Tool) -> str:
    schema = json.dumps(tool.input_schema, ensure_ascii=False)
    title = tool.annotations.title or ""
    return f"{title}\n{tool.description[:_LOOKED_AT]}\n{schema[:_LOOKED_AT]}"
