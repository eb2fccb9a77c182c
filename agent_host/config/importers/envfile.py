"""The variables of a file of `NAME=value` lines, as `envFile` names one."""

import re
from pathlib import Path

_LIMIT = 256 * 1024
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*")
_REMARK = re.compile(r"(?<!\s)\s+#")


def variables_of(path: Path) -> dict[str, str] | None:
    """Return what the file sets, or None if it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(_LIMIT).decode("utf-8-sig")
    except (OSError, ValueError):
        return None
    found = {}
    for line in map(str.strip, text.splitlines()):
        if match := _LINE.match(line):
            found[match[1]] = _value(line[match.end() :])
    return found


def _value(text: str) -> str:
    for quote in "\"'":
        if text.startswith(quote) and quote in text[1:]:
            return text[1 : text.index(quote, 1)]
    remark = _REMARK.search(text)
    return text[: remark.start()] if remark else text
