"""`@SERVER:URI` in a message: which resources it means, and what the message takes along of them.

Theory of operation: a mention stands at the start of a word and names a server of the config;
anything else with an @ stays text. A sentence may end right behind it, so punctuation at its end
belongs to the URI only if there is such a resource. The resource is read through its own server,
never fetched by the host; what is too large for a context is shortened, and says so.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from agent_host.core.context import bound_content
from agent_host.core.text import clean_line
from agent_host.core.types import Audio, Content, Image, LabelSeen, Principal, Resource, Text
from agent_host.surfaces.chat_host import Servers

_MENTION = re.compile(r"(?<![^\s(\[\"'])@([A-Za-z0-9][A-Za-z0-9_.-]{0,127}):(\S{1,4096})")
_ENDS = re.compile(r"[.,;:!?)\]}'\"]+\Z")
READ = "resources/read"
PROMPT = "prompts/get"
"""What is asked of a server, as the source of a label."""
MOST = 20
"""Resources that one message may take along."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A resource that a message names."""

    server: str
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What a message takes along, with labels, a note about each for its writer, and what went
    wrong."""

    content: tuple[Content, ...] = ()
    labels: tuple[LabelSeen, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""


def mentions(text: str, servers: Collection[str], known: Collection[Mention]) -> list[Mention]:
    """Return the resources that a text names, each once, in their order. `known`: those that the
    servers list."""
    found: dict[Mention, None] = {}
    for match in _MENTION.finditer(text):
        server, uri = match.groups()
        if server not in servers:
            continue
        mention = Mention(server, uri)
        if mention not in known:
            mention = Mention(server, _ENDS.sub("", uri) or uri)
        found[mention] = None
    return list(found)


async def attach(named: Sequence[Mention], servers: Servers, who: Principal) -> Attached:
    """Read what a message names; all of it, or say what could not be read."""
    if len(named) > MOST:
        return Attached(problem=f"a message takes {MOST} resources along at most")
    content: list[Content] = []
    labels: dict[LabelSeen, None] = {}
    notes: list[str] = []
    for mention in named:
        title = f"{clean_line(mention.server, 64)} · {clean_line(mention.uri, 200)}"
        read = await servers.attachment(mention.server, mention.uri, who)
        if not isinstance(read, tuple):
            return Attached(problem=f"{title} cannot be read: {clean_line(read.text, 400)}")
        held, said = read
        labels.update(dict.fromkeys(labels_seen(mention.server, READ, said)))
        bounded, cut = bound_content(held)
        content += bounded or (Text(text=f"[the resource {mention.uri} is empty]"),)
        size = ", ".join(map(_size, bounded)) or "empty"
        notes.append(f"{title}  {size}{' (shortened: it is too large)' if cut else ''}")
    return Attached(content=tuple(content), labels=tuple(labels), notes=tuple(notes))


def labels_seen(server: str, name: str, labels: Iterable[str]) -> tuple[LabelSeen, ...]:
    """Return labels with where they come from. `name`: what was asked of the server."""
    return tuple(LabelSeen(label=label, server=server, tool=name) for label in labels)


def _size(block: Content) -> str:
    text = block.text if isinstance(block, Text | Resource) else None
    if text is not None:
        return f"{len(text):,} characters"
    data = block.data if isinstance(block, Image | Audio | Resource) else None
    kind = clean_line(getattr(block, "media_type", "") or block.type, 60)
    return f"{kind}, {len(data or '') * 3 // 4:,} bytes"
