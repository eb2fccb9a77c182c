"""Labels: what the config, and a server that it trusts, say of the data that a tool brings.

Theory of operation: a label is a word that rules read (`private`, `untrusted`, `egress`, your own).
`labels` of a server's table gives them by globs over own tool names, where `resources/read` and
`prompts/get` stand for what a server's resources and prompts hold. A server whose annotations are
trusted may add some, to a tool or to one result, in `_meta` under `agent-host/labels`; and one that
says of a tool that it reaches the open world has said `untrusted` and `egress`. Labels are only
ever added: no server can take one away.
"""

import re
from fnmatch import fnmatchcase
from typing import Any

from agent_host.core.types import JsonObject, Tool
from agent_host.servers.spec import Spec

META = "agent-host/labels"
"""The key of `_meta`, in a definition of a tool and in a result."""
MOST = 16
"""Labels that one definition, or one result, may add."""
PROMPTS = "prompts/get"
READ = "resources/read"
"""The names under which `labels` speaks of what a server's prompts and resources hold."""
_LABEL = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


def sound_labels(said: Any) -> tuple[str, ...]:
    """Return the labels of a list that a server sent, sorted; what is no label is left out."""
    if not isinstance(said, list):
        return ()
    sound = (one for one in said[:1000] if isinstance(one, str) and _LABEL.match(one))
    return tuple(sorted(dict.fromkeys(sound)))[:MOST]


def labels_in(raw: JsonObject) -> tuple[str, ...]:
    """Return the labels in the `_meta` of a raw definition or result."""
    meta = raw.get("_meta")
    return sound_labels(meta.get(META)) if isinstance(meta, dict) else ()


def configured(spec: Spec, name: str) -> tuple[str, ...]:
    """Return what the config says of a tool by its own name, sorted."""
    found = {label for glob, some in spec.labels if fnmatchcase(name, glob) for label in some}
    return tuple(sorted(found))


def labels_of(spec: Spec, tool: Tool) -> tuple[str, ...]:
    """Return a tool's labels, sorted."""
    found = set(configured(spec, tool.tool))
    if spec.trust_annotations:
        found.update(tool.annotations.labels)
        if tool.annotations.open_world is True:
            found.update(("untrusted", "egress"))
    return tuple(sorted(found))
