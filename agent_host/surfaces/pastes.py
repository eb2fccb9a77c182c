"""Large pastes, each as one short word in the line that is being written.

Theory of operation: a paste of many lines would bury what is written around it, so a placeholder
stands for it, `[pasted 312 lines]`; what is sent holds the paste in its place. A placeholder is
plain text: it can be moved and deleted, and in an editor the whole text stands there instead. Only
placeholders that were made here are replaced; somebody who types one has typed text. Pure.
"""

from dataclasses import dataclass, field

_LINES = 8
"""Lines up to which a paste is shown as it is."""
_CHARACTERS = 1500


@dataclass(slots=True)
class Pastes:
    """The pastes of one message, by placeholder."""

    kept: dict[str, str] = field(default_factory=dict)

    def take(self, text: str) -> str:
        """Return what to put into the line for a paste: itself, or its placeholder."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.count("\n") + (not text.endswith("\n"))
        if lines <= _LINES and len(text) <= _CHARACTERS:
            return text
        size = f"{lines:,} lines" if lines > 1 else f"{len(text):,} characters"
        name, number = f"[pasted {size}]", 1
        while self.kept.get(name, text) != text:
            number += 1
            name = f"[pasted {size}, {number}]"
        self.kept[name] = text
        return name

    def expand(self, text: str) -> str:
        """Return a text with every paste in its place; a paste is never searched for others."""
        parts: list[str] = []
        while text:
            found = [(place, name) for name in self.kept if (place := text.find(name)) >= 0]
            if not found:
                break
            place, name = min(found)
            parts += [text[:place], self.kept[name]]
            text = text[place + len(name) :]
        return "".join([*parts, text])

    def forget(self) -> None:
        """The message was sent, or given up."""
        self.kept.clear()
