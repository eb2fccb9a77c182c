"""What a check of `agent-host doctor` looks at, and what it says.

Theory of operation: a check is a function from the facts to its findings, and a row of CHECKS in
`doctor`. It asks nobody, changes nothing, and never shows a secret: what it says is pasted into
mails. What a check cannot do because the config cannot be read it leaves: the check of the config
has said so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent_host.config.load import Loaded

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found. `id`: what kind of finding it is, the same in every version; `where`: the
    file and line, or the place, if it has one; `fix`: what to do about it."""

    id: str
    level: Level
    text: str
    where: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What checks look at. `loaded` is None when the config cannot be used: `error` says why.
    `offline`: no server is started and nothing is sent. `untrusted`: what of the config nobody has
    trusted yet, so that nothing of it is started or asked."""

    loaded: Loaded | None
    error: str
    offline: bool = False
    untrusted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the table. `seconds`: what it may take; it runs beside the others."""

    name: str
    run: Callable[[Facts], Iterator[Finding]]
    seconds: float = 10.0


def nearest_there(path: Path) -> Path:
    """Return the path itself, or the nearest folder above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
