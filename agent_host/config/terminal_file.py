"""The user's `terminal.toml`: what they want of the terminal, for every project.

Theory of operation: the file stands beside the user's own servers.toml, where no project reaches
it, and may be absent. Its few keys are checked here, with the sentences of the other files; what
the surfaces make of them is theirs (`surfaces.preferences`), as the two rooms never meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_host.config import file, paths
from agent_host.config.near import nearest
from agent_host.config.problems import dotted, explain
from agent_host.core.text import clean_line

FILE = "terminal.toml"


@dataclass(frozen=True, slots=True)
class TerminalKey:
    """A key of the file. `choices`: what it may say; none: true or false."""

    about: str
    choices: tuple[str, ...] = ()


KEYS: Mapping[str, TerminalKey] = {
    "keys": TerminalKey("The editing keys of the chat's line.", ("emacs", "vi")),
    "bell": TerminalKey("Ring when a person is waited for."),
    "title": TerminalKey("Set the title of the terminal's window."),
    "notify": TerminalKey("Ask the terminal for a notification when a person is waited for."),
    "theme": TerminalKey("What colours are chosen for.", ("auto", "dark", "light")),
    "reasoning": TerminalKey(
        "What is shown of what a model thinks: a line, all of it, or nothing.",
        ("folded", "shown", "hidden"),
    ),
    "spinner": TerminalKey("Show moving signs of life; false suits screen readers."),
}


def user_terminal_file() -> Path:
    """Return the place of the user's terminal.toml, there or not."""
    return paths.user_config_file().with_name(FILE)


def read_terminal(path: Path) -> dict[str, Any]:
    """Return what the file says, checked: keys of KEYS with a choice or a bool each; nothing if
    there is no such file. Raises ConfigError, which names file, line and what to do."""
    if not path.exists():
        return {}
    name = paths.shown(path)
    text = file.read(path, name)[1]
    said = file.parse(text, name)
    problems = [((key,), problem) for key, value in said.items() if (problem := _wrong(key, value))]
    if problems:
        raise explain(problems, text, name)
    return said


def _wrong(key: str, value: Any) -> str:
    """Return what is wrong with a key, or nothing."""
    known = KEYS.get(key)
    shown = dotted((key,))
    if known is None:
        return f"unknown key {shown}{nearest(key, list(KEYS))}"
    if not known.choices:
        return (
            "" if isinstance(value, bool) else f"{shown} must be true or false, not {_got(value)}"
        )
    if value in known.choices and isinstance(value, str):
        return ""
    choices = " or ".join(f'"{choice}"' for choice in known.choices)
    close = nearest(value, known.choices) if isinstance(value, str) else ""
    hint = close if close.startswith("; did") else ""
    return f"{shown} must be {choices}, not {_got(value)}{hint}"


def _got(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return clean_line(f'"{value}"' if isinstance(value, str) else str(value), 60)
