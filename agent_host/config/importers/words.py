"""Variables in the values of other applications' files, in all their dialects.

Theory of operation: `${NAME}` and `${NAME:-default}` (Claude Code, Gemini CLI, goose),
`${env:NAME}` and `${input:id}` (VS Code, Cursor), folders as `${workspaceFolder}`, and `$NAME`
where an application knows it. A text is split into what is written out and what is a variable; what
becomes of a variable depends on where the text stands: a reference where the config may hold one,
its value today where it may not (command lines).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_BRACED = r"\$\{([^{}]{1,200})\}"
_SPLIT = re.compile(_BRACED)
_SPLIT_BARE = re.compile(rf"{_BRACED}|\$([A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as it stands in a text. `text` is how it was written; `default` may be None."""

    kind: Literal["env", "input", "unknown"]
    name: str
    text: str
    default: str | None = None


Part = str | Variable


def parts(text: str, folders: Mapping[str, str], *, bare: bool = False) -> Iterator[Part]:
    """Yield the pieces of a text. `folders`: what is known of a machine, by name."""
    position = 0
    for match in (_SPLIT_BARE if bare else _SPLIT).finditer(text):
        if match.start() > position:
            yield text[position : match.start()]
        position = match.end()
        inner = match[1] or match[2]
        yield folders[inner] if inner in folders else _variable(inner, match[0])
    if position < len(text):
        yield text[position:]


def _variable(inner: str, text: str) -> Variable:
    kind, _, rest = inner.partition(":")
    if kind == "env":
        inner = rest
    elif kind == "input" and rest:
        return Variable("input", rest, text)
    name, separator, default = inner.partition(":-")
    if _NAME.match(name):
        return Variable("env", name, text, default if separator else None)
    return Variable("unknown", inner, text)


def folders(home: Path, project: Path) -> dict[str, str]:
    """Return what the names of folders stand for."""
    return {
        "workspaceFolder": str(project),
        "workspaceRoot": str(project),
        "workspaceFolderBasename": project.name,
        "cwd": str(project),
        "PWD": str(project),
        "userHome": str(home),
        "HOME": str(home),
        "pathSeparator": "/",
        "/": "/",
    }
