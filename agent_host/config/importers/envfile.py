"""The variables of a file of `NAME=value` lines, as `envFile` names one."""

import re
from pathlib import Path

_LIMIT = 256 * 1024
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*\Z", re.DOTALL)


def variables_of(path: Path) -> dict[str, str] | None:
    """Return what the file sets, or None if it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(_LIMIT).decode("utf-8-sig")
    except (OSError, ValueError):
        return None
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and not line.lstrip().startswith("#"):
            found[match[1]] = _value(match[2])
    return found


def _value(text: str) -> str:
    for quote in "\"'":
        if text.startswith(quote) and quote in text[1:]:
            return text[1 : text.index(quote, 1)]
    return re.sub(r"\s+#.*\Z", "", text)
