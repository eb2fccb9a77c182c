"""On which line of a TOML text each key stands.

Theory of operation: `tomllib` is fast and exact about values but forgets positions, and tomlkit
keeps the text but not the line of an item. This scan knows only as much TOML as positions need:
strings, comments, brackets, keys. It runs over text that `tomllib` has accepted, so it does not
judge; it is linear, and used only when somebody asks where a value came from. Covered: tables,
dotted and quoted keys, arrays of tables and tables inside them, inline tables, values over
several lines. Source: TOML 1.0.0.
"""

import contextlib
import re
import tomllib
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""Keys, and indices into arrays, from the top of the file."""

_TOKEN = re.compile(
    r'(?P<text>"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<skip>[ \t\r]+|\#[^\n]*)"
    r"|(?P<newline>\n)"
    r"|(?P<mark>[\[\]{},=.])"
    r"|(?P<bare>[^\s\[\]{},=.\"'#]+)",
    re.DOTALL,
)
_END = ("", "")


class _Scan:
    """One pass over a text: `peek` and `take` tokens, note the line of each key path."""

    def __init__(self, text: str) -> None:
        self._tokens = [
            (match.lastgroup or "", match[0])
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "skip"
        ]
        self._next = 0
        self._line = 1
        self._lengths: dict[KeyPath, int] = {}
        self.lines: dict[KeyPath, int] = {}

    def _peek(self) -> str:
        """The next token if it is a mark or a newline, else a blank."""
        kind, token = self._tokens[self._next] if self._next < len(self._tokens) else _END
        return token if kind in ("mark", "newline", "") else " "

    def _take(self) -> str:
        kind, token = self._tokens[self._next] if self._next < len(self._tokens) else _END
        self._next += 1
        if kind in ("newline", "text"):
            self._line += token.count("\n")
        return token

    def _skip(self, *marks: str) -> None:
        while self._peek() in marks:
            self._take()

    def _key(self) -> list[str]:
        parts = []
        while self._peek() == " ":
            token = self._take()
            parts.append(tomllib.loads(f"k={token}")["k"] if token[0] in "\"'" else token)
            if self._peek() == ".":
                self._take()
        return parts

    def _enter(self, table: KeyPath, parts: list[str], *, append: bool = False) -> KeyPath:
        """Return the path of `parts` under `table`, through the last item of arrays of tables."""
        path = table
        for number, part in enumerate(parts, 1):
            path = (*path, part)
            self.lines.setdefault(path, self._line)
            if append and number == len(parts):
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
                self.lines.setdefault(path, self._line)
        return path

    def _value(self, path: KeyPath) -> None:
        opening = self._peek()
        if opening == "[":
            self._take()
            index = 0
            self._skip("\n", ",")
            while self._peek() not in ("]", ""):
                self.lines.setdefault((*path, index), self._line)
                self._value((*path, index))
                index += 1
                self._skip("\n", ",")
            self._take()
        elif opening == "{":
            self._take()
            self._skip("\n", ",")
            while self._peek() not in ("}", ""):
                self._pair(path)
                self._skip("\n", ",")
            self._take()
        else:
            while self._peek() in (" ", "."):
                self._take()

    def _pair(self, table: KeyPath) -> None:
        start = self._next
        path = self._enter(table, self._key())
        self._skip("=")
        self._value(path)
        if self._next == start:  # never for accepted TOML: do not spin
            self._take()

    def run(self) -> None:
        table: KeyPath = ()
        while True:
            self._skip("\n")
            mark = self._peek()
            if not mark:
                return
            if mark != "[":
                self._pair(table)
                continue
            self._take()
            append = self._peek() == "["
            self._skip("[")
            table = self._enter((), self._key(), append=append)
            self._skip("]")


def locate(text: str) -> Mapping[KeyPath, int]:
    """Return the line (from 1) of every key, table and array item of an accepted TOML text."""
    scan = _Scan(text)
    with contextlib.suppress(RecursionError):  # nested hundreds deep: what was found will do
        scan.run()
    return scan.lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """Return the line of `path`, or of what would hold it; 1 if nothing would."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)
