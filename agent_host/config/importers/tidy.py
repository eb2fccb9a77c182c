"""Takes out of imported values what nobody can see.

Theory of operation: values that were pasted from a web page or a chat bring a byte order mark,
zero-width and direction characters, or blanks at their ends; an application that sends them gets
an answer that nobody understands. They are removed wherever they stand, and it is said where.
"""

import unicodedata


class Tidy:
    """Cleans texts; adds a line to `notes` for each that had something hidden."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def __call__(self, text: str, where: str) -> str:
        """Return `text` without hidden characters and without blanks at its ends."""
        kept = text
        if not (text.isascii() and text.isprintable()):
            kept = "".join(c for c in text if c in "\t\n" or not _is_hidden(c))
        kept = kept.replace("\r\n", "\n").strip()
        if kept != text:
            count = len(text) - len(kept)
            hidden = "hidden character" if count == 1 else "hidden characters or blanks"
            self._notes.append(f"{count} {hidden} taken out of {where}")
        return kept


def _is_hidden(character: str) -> bool:
    # Format (Cf: zero width, direction), control, surrogate and unassigned characters.
    return unicodedata.category(character) in ("Cf", "Cc", "Cs", "Cn")
