"""What about a definition a person should look at: signs of an attack, none of them a proof.

Theory of operation: a description goes to a model, and may speak to it instead of saying what a
tool does; arguments may ask for what is none of a server's business; characters may be hidden. None
of that is refused here, because each also has honest uses: it is told once, when a definition is
first seen or has changed, and policy decides what runs. Cheap: compiled expressions over bounded
text. Sources: OWASP MCP Top 10, tool poisoning; MCP Security Bench, out-of-scope parameters.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from agent_host.core.hidden import visible
from agent_host.core.matching import properties
from agent_host.core.text import clean_line
from agent_host.core.types import Tool

TOLD = 5
_LOOKED_AT = 64 * 1024
_SPEAKS = re.compile(
    r"<\s*/?\s*(?:important|system|secret|instructions?|hidden|critical|admin)\s*>"
    r"|ignore (?:all |any |the )?(?:previous|prior|above|other) (?:instructions?|prompts?|tools?)"
    r"|(?:do not|don't|never|without) (?:tell|mention|inform|show|notify)(?:ing)? "
    r"(?:this |it |that |about )?(?:to )?(?:the )?user"
    r"|before (?:using|calling|you (?:use|call)) (?:any|this|other|another) (?:other )?tools?"
    r"|(?:your|the) system prompt"
    r"|~/\.ssh|\bid_rsa\b|~/\.aws|/etc/passwd|\bmcp\.json\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"(?:system|previous|full|entire)_?(?:prompt|messages?|instructions?|conversation)"
    r"|conversation_?(?:history|context|log)|chat_?(?:history|context|log)|message_?history"
    r"|(?:all_?)?(?:env|environment)_?(?:vars?|variables?)|chain_?of_?thought|model_?reasoning"
    r"|tool_?call_?history|private_?key|seed_?phrase",
    re.IGNORECASE,
)
_LONG_NAME = 8
"""Characters of a name that is not an everyday word."""
_WORD = re.compile(r"[A-Za-z0-9_.-]{8,128}")


def signs(tool: Tool, others: Mapping[str, str]) -> tuple[str, ...]:
    """What to look at in a definition, as clean sentences. `others`: the tools of other servers,
    own name -> server."""
    name = clean_line(tool.tool, 80)
    text = _text(tool)
    found: list[str] = []
    if visible(text) != text:
        found.append(f"{name}: its definition has hidden characters; models are not shown them")
    if (spoken := _SPEAKS.search(text)) is not None:
        said = clean_line(text[max(0, spoken.start() - 20) : spoken.end() + 60], 120)
        found.append(f"{name}: its definition seems to speak to the model: {said!r}")
    asked = [clean_line(key, 60) for key in properties(tool) if _ASKS.fullmatch(key)]
    if asked:
        found.append(f"{name}: asks for what a tool need not know: {', '.join(asked[:5])}")
    named = sorted({word for word in _WORD.findall(text) if word in others})
    if named:
        first = named[0]
        found.append(f"{name}: its definition speaks of {first}, a tool of {others[first]}")
    return tuple(found)


def first_sight(new: Sequence[Tool], every: Iterable[Tool]) -> list[str]:
    """What to look at in definitions of one server that were not seen before, at most `TOLD`
    sentences. `every`: the tools of all servers."""
    if not new:
        return []
    others = names_of_others(every, new[0].server)
    found = [text for tool in new for text in signs(tool, others)]
    more = len(found) - TOLD
    return [*found[:TOLD], f"and {more} more such signs"] if more > 0 else found


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


def _text(tool: Tool) -> str:
    schema = json.dumps(tool.input_schema, ensure_ascii=False)
    title = tool.annotations.title or ""
    return f"{title}\n{tool.description[:_LOOKED_AT]}\n{schema[:_LOOKED_AT]}"
