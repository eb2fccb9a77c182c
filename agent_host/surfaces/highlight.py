"""Lines of code in colours, each as it comes.

Theory of operation: pygments (which comes with rich) names the pieces of a line, and a palette
gives each a colour. It is imported with the first block in a language that we know. A line is
looked at alone, so the cost is linear and nothing that was shown is painted again; what a line may
not know is whether a string or a comment was left open above it. So each line is read behind the
line that opened one, and a word put after it tells whether it is still open (many lexers know a
comment only by its end, so an end comes after that word). Lines and blocks that
are too long stay as they are. Colours may be wrong; the text never is: pieces that do not make up
the line are not used.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from agent_host.surfaces.palette import Palette

Painter = Callable[[str], str]
"""Takes a clean line without its end, and returns it with colours."""

_LANGUAGES: Mapping[str, str] = {
    "bash": "bash", "sh": "bash", "shell": "bash", "zsh": "bash", "console": "console",
    "c": "c", "h": "c", "cpp": "cpp", "c++": "cpp", "cs": "csharp", "csharp": "csharp",
    "css": "css", "diff": "diff", "patch": "diff", "docker": "docker", "dockerfile": "docker",
    "elixir": "elixir", "go": "go", "golang": "go", "graphql": "graphql", "haskell": "haskell",
    "html": "html", "http": "http", "ini": "ini", "java": "java", "javascript": "javascript",
    "js": "javascript", "jsx": "javascript", "json": "json", "jsonc": "json", "json5": "json",
    "jsonl": "json", "kotlin": "kotlin", "lua": "lua", "make": "make", "makefile": "make",
    "perl": "perl", "php": "php", "powershell": "powershell", "ps1": "powershell",
    "proto": "protobuf", "protobuf": "protobuf", "py": "python", "python": "python",
    "python3": "python", "r": "r", "rb": "ruby", "ruby": "ruby", "rs": "rust", "rust": "rust",
    "scala": "scala", "scss": "scss", "sql": "sql", "swift": "swift", "terraform": "terraform",
    "hcl": "terraform", "toml": "toml", "ts": "typescript", "tsx": "typescript",
    "typescript": "typescript", "xml": "xml", "yaml": "yaml", "yml": "yaml", "zig": "zig",
}  # fmt: skip
_LONGEST_LINE = 400
_MOST_LINES = 2000
_OPENER = 120
_AFTER = "\nx"
_ENDED = "*/"
_NO_BLOCK_COMMENTS = frozenset(
    {"python", "bash", "console", "yaml", "toml", "ini", "json", "diff", "html", "xml", "ruby"}
)
_OPEN_KINDS = ("Token.Literal.String", "Token.Comment")
_ROLES = (
    ("Token.Keyword", "keyword"),
    ("Token.Name.Tag", "keyword"),
    ("Token.Literal.String", "string"),
    ("Token.Comment", "comment"),
    ("Token.Literal.Number", "number"),
    ("Token.Name.Builtin", "number"),
    ("Token.Name.Attribute", "number"),
    ("Token.Name.Decorator", "number"),
    ("Token.Name.Function", "name"),
    ("Token.Name.Class", "name"),
    ("Token.Name.Namespace", "name"),
    ("Token.Generic.Heading", "name"),
    ("Token.Generic.Subheading", "number"),
    ("Token.Generic.Inserted", "added"),
    ("Token.Generic.Deleted", "removed"),
    ("Token.Generic.Prompt", "comment"),
)


def painter(language: str, palette: Palette) -> Painter | None:
    """Return what paints the lines of one block in `language` (the info of a fence), or None."""
    word = language.strip().partition(" ")[0].partition("{")[0].lower()
    name = _LANGUAGES.get(word)
    if name is None:
        return None
    lexers: Any = import_module("pygments.lexers")
    options = {"startinline": True} if name == "php" else {}
    after = _AFTER + ("" if name in _NO_BLOCK_COMMENTS else _ENDED)
    return _Lines(lexers.get_lexer_by_name(name, **options), palette, after).paint


class _Lines:
    """One block, line after line. `opener`: the line that opened what is still open."""

    def __init__(self, lexer: Any, palette: Palette, after: str) -> None:
        self._lexer = lexer
        self._after = after
        self._palette = palette
        self._opener = ""
        self._left = _MOST_LINES

    def paint(self, line: str) -> str:
        self._left -= 1
        if not line.strip() or len(line) > _LONGEST_LINE or self._left < 0:
            return line
        text = f"{self._opener}{line}{self._after}"
        pieces = [(str(kind), value) for _, kind, value in self._lexer.get_tokens_unprocessed(text)]
        if "".join(value for _, value in pieces) != text:
            return line
        start = len(self._opener)
        painted = self._painted(pieces, start, start + len(line))
        self._opener = _left_open(pieces, start + len(line) + len(_AFTER), self._opener)
        return painted

    def _painted(self, pieces: list[tuple[str, str]], start: int, end: int) -> str:
        """Paint what stands from `start` to `end`."""
        place = 0
        out: list[str] = []
        for kind, value in pieces:
            shown = value[max(start - place, 0) : max(end - place, 0)]
            place += len(value)
            colour = _colour(kind, self._palette) if shown.strip() else ""
            out.append(f"\x1b[{colour}m{shown}\x1b[0m" if colour else shown)
        return "".join(out)


def _colour(kind: str, palette: Palette) -> str:
    for prefix, role in _ROLES:
        if kind.startswith(prefix):
            colour: str = getattr(palette, role)
            return colour
    return ""


def _left_open(pieces: list[tuple[str, str]], end: int, opener: str) -> str:
    """Return the line that opened the string or comment which goes on at `end`, if there is one."""
    text = family = ""
    start = 0
    for kind, value in pieces:
        found = next((name for name in _OPEN_KINDS if kind.startswith(name)), "")
        if found != family:
            start = len(text)
        family = found
        text += value
        if len(text) >= end:
            break
    if not family:
        return ""
    if start < len(opener):
        return opener
    return text[start:].partition("\n")[0][:_OPENER] + "\n"
