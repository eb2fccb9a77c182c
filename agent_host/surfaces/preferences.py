"""What a person wants of the terminal, whatever the project.

Theory of operation: plain values, read from the user's own `terminal.toml` (see
`config.terminal_file`) and from nowhere else: a project's files do not decide how somebody's
keyboard works or whether their terminal rings. What is not said there has the value here.
"""

from dataclasses import dataclass
from typing import Literal

KeyStyle = Literal["emacs", "vi"]
"""How a line is edited."""

Theme = Literal["auto", "dark", "light"]
"""What the colours are chosen for. `auto`: those that are read on either."""

ReasoningView = Literal["folded", "shown", "hidden"]
"""What is shown of what a model thinks: a line, all of it, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalPreferences:
    """`keys`: the editing keys; `bell`: ring when a person is waited for; `title`: set the window's
    title; `notify`: ask the terminal for a notification when a person is waited for; `spinner`:
    show moving signs of life (false suits screen readers: changes are then told as lines)."""

    keys: KeyStyle = "emacs"
    bell: bool = True
    title: bool = True
    notify: bool = True
    theme: Theme = "auto"
    reasoning: ReasoningView = "folded"
    spinner: bool = True
