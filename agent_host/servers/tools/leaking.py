"""What a server says of itself must not hold the secrets that it was given.

Theory of operation: definitions, prompts, instructions and names are pinned in servers.lock, which
is meant for version control, and reach models. A pin has to be compared, so nothing in it can be
blotted out: what holds a secret of that server is not taken at all, and that is said.
"""

import json
from typing import Any

from agent_host.core.types import Tool
from agent_host.servers.spec import Spec

WHY = "holds a secret that the server was given, so it is neither offered nor pinned"


def leaks(spec: Spec, value: Any) -> bool:
    """Whether a value of JSON holds a secret of its server, in any form that is known."""
    if spec.leaks is None:
        return False
    return spec.leaks(json.dumps(value, ensure_ascii=False, default=str))


def tool_leaks(spec: Spec, tool: Tool) -> bool:
    """Whether a definition does."""
    parts = [tool.tool, tool.description, tool.input_schema, tool.output_schema]
    return spec.leaks is not None and leaks(spec, [*parts, tool.annotations.title])


def unless_leaking(spec: Spec, text: str) -> str:
    """Return what a server says of itself, empty if it holds a secret."""
    return "" if leaks(spec, text) else text
