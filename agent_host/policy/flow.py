"""The built-in rule about where data may flow.

Theory of operation: text of strangers can tell a model what to do, and cannot be told from data. It
does harm where three things meet: data of strangers (`untrusted`), data that is nobody else's
business (`private`), and a tool that sends something out (`egress`). Labels say which tool is
which; the conversation remembers which labels its context has seen, and from where. Once both are
in, whatever would send something out is asked about (or denied, or, only if the config says so, let
pass). It is a rule like any other: the strictest wins.
"""

from collections.abc import Iterable
from typing import Literal

from agent_host.core.text import clean_line
from agent_host.core.types import LabelSeen, Tool

Flow = Literal["off", "ask", "deny"]

PRIVATE = "private"
UNTRUSTED = "untrusted"
EGRESS = "egress"

_NAMED = 3


def flow_reason(tool: Tool, labels: Iterable[LabelSeen]) -> str | None:
    """Return why a call of this tool is a flow that the rule is about, for people, or None. What
    servers call their tools is in it: cleaned, on one line, bounded."""
    if EGRESS not in tool.labels:
        return None
    seen = tuple(labels)
    private, untrusted = _sources(seen, PRIVATE), _sources(seen, UNTRUSTED)
    if not private or not untrusted:
        return None
    return (
        f"this tool sends data out, and the conversation holds private data (from {private}) and "
        f"data of strangers, which may hold instructions (from {untrusted})"
    )


def _sources(seen: Iterable[LabelSeen], label: str) -> str:
    """Where data with a label came from: the first few tools."""
    names = dict.fromkeys(
        clean_line(f"{one.server}/{one.tool}" if one.tool else one.server, 80) or "the user"
        for one in seen
        if one.label == label
    )
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(list(names)[:_NAMED]) + more
