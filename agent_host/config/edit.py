"""Changes to a servers.toml that somebody wrote by hand: a server more, or one less.

Theory of operation: everything that is not the server's own lines stays as it is, byte for byte:
comments, order, blank lines, line ends, the BOM. tomlkit writes the new table; it is put after the
last table of a server, and a server is taken out, by cutting the text between statements, which a
small scan finds (tomlkit gives the comment above a table to the table before it, so taking that one
out would take the comment along). Every change is parsed again and compared with what it should
say; a file whose form does not allow it (servers in one inline table) is left alone and the
person told what to write. `rewrite` holds a lock among our own processes, reads, changes, and
looks once more whether the file is still what it read before it is replaced by rename; if an editor
saved meanwhile, it starts again from that. A symbolic link is followed, the mode is kept.
"""

import codecs
import contextlib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError
from tomlkit.items import SingleKey

from agent_host.config import paths
from agent_host.config.file import SIZE_LIMIT, parse
from agent_host.config.locked import locked
from agent_host.config.problems import sentences
from agent_host.config.schema import Config
from agent_host.config.server_tables import ServerConfig
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.state.folders import private_folder

_WIDTH = 96
_TRIES = 5
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
    r"|\#[^\n]*|\n|[\[\]{}]|[^\"'#\n\[\]{}]+",
    re.DOTALL,
)


def checked(name: str, table: Mapping[str, Any]) -> ServerConfig:
    """Return a `[servers.NAME]` table as the schema reads it; raise ConfigError for a wrong one."""
    try:
        config = Config.model_validate({"servers": {name: dict(table)}})
    except ValidationError as error:
        _, sentence = sentences(error.errors(include_url=False))[0]
        raise ConfigError(clean_line(sentence, 600)) from None
    return config.servers[name]


def rendered(name: str, table: Mapping[str, Any], comment: str = "") -> str:
    """Return `[servers.NAME]` as TOML: short tables inline, long ones under a header below.

    `comment`: one line above it, cleaned here.
    """
    lines = [f"# {clean_line(comment, 400)}"] if comment else []
    lines.append(f"[servers.{key_text(name)}]")
    below: list[str] = []
    for key, value in table.items():
        line = f"{key_text(key)} = {value_text(value, len(key) + 3)}"
        if isinstance(value, Mapping) and len(line) > _WIDTH:
            below.append(f"[servers.{key_text(name)}.{key_text(key)}]")
            below += [f"{key_text(k)} = {value_text(v, len(k) + 3)}" for k, v in value.items()]
        else:
            lines.append(line)
    text = "\n".join([*lines, *below]) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"servers.{clean_line(name)} holds characters that are no text; give them as UTF-8"
        ) from None
    return text


def with_server(
    text: str, file: str, name: str, table: Mapping[str, Any], comment: str = ""
) -> str:
    """Return the text of a servers.toml with one server more.

    `file` names the file in errors. Raises ConfigError: invalid TOML, a name that is taken, or a
    form that cannot be added to.
    """
    wanted = parse(text.replace("\r\n", "\n"), file)
    servers = wanted.setdefault("servers", {})
    if not isinstance(servers, dict) or name in servers:
        raise ConfigError(f'{file}: has a server "{clean_line(name)}" already; choose another name')
    servers[name] = _plain(table)
    block = rendered(name, table, comment)
    at = _place(text)
    before, after = text[:at], text[at:]
    if "\r\n" in text:
        block = block.replace("\n", "\r\n")
    end = "\r\n" if "\r\n" in text else "\n"
    if before and not before.endswith("\n"):
        before += end
    if before and before.rstrip(" \t\r\n") and not re.search(r"\n[ \t]*\r?\n\Z", before):
        before += end
    if after.strip() and not re.match(r"[ \t]*\r?\n", after):
        block += end
    return sound(before + block + after, wanted, file, f"write it there by hand:\n{block}")


def without_server(text: str, file: str, name: str) -> tuple[str, str]:
    """Return the text of a servers.toml with one server less, and what was taken out.

    A comment that stands directly above the server's table, after a blank line, goes with it.
    Raises ConfigError: invalid TOML, no such server, or a form that cannot be taken out.
    """
    wanted = parse(text.replace("\r\n", "\n"), file)
    servers = wanted.get("servers", {})
    if not isinstance(servers, dict) or name not in servers:
        raise ConfigError(f'{file}: has no server "{clean_line(name)}"')
    del servers[name]
    kept: list[str] = []
    taken: list[str] = []
    position = 0
    for start, end in _spans(text, name):
        kept.append(text[position:start])
        taken.append(text[start:end])
        position = _after_blanks(text, end) if _is_open(kept) else end
    kept.append(text[position:])
    new = "".join(kept)
    if not text[position:].strip():
        new = new.rstrip() + ("\n" if new.strip() else "")
    for known in (wanted, {k: v for k, v in wanted.items() if k != "servers" or v}):
        if not new.strip() or tomllib.loads(new.replace("\r\n", "\n")) == known:
            return new, "".join(taken)
    raise ConfigError(
        f"{file}: servers.{clean_line(name)} stands in a form that cannot be taken out safely; "
        "remove it by hand"
    )


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Replace the file at `path` by what `change` makes of its text; a missing file is empty.

    `change` may be called again if the file was saved by somebody else meanwhile; it raises
    ConfigError for a text that it cannot change. Raises ConfigError if the file cannot be written;
    then it is as it was.
    """
    path = Path(os.path.realpath(path))
    try:
        with locked(path):
            private_folder(path.parent)
            for _ in range(_TRIES):
                old = read_raw(path)
                new = change(_text(old or b"", path))
                if _replaced(path, old, _bytes(new, old)):
                    return
    except OSError as error:
        raise ConfigError(
            f"{paths.shown(path)}: cannot be written ({error.strerror}); "
            "make it and its folder writable"
        ) from None
    raise ConfigError(f"{paths.shown(path)}: is being changed all the time; try again")


def read_raw(path: Path) -> bytes | None:
    """Return a file's bytes, or None if it is not there; raise ConfigError if it is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        return None
    if len(data) > SIZE_LIMIT:
        raise ConfigError(f"{paths.shown(path)}: is larger than {SIZE_LIMIT} bytes")
    return data


def _text(data: bytes, path: Path) -> str:
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{paths.shown(path)}: is not UTF-8 text; save it as UTF-8") from None


def _bytes(text: str, old: bytes | None) -> bytes:
    return (codecs.BOM_UTF8 if (old or b"").startswith(codecs.BOM_UTF8) else b"") + text.encode()


def _replaced(path: Path, old: bytes | None, new: bytes) -> bool:
    """Write `new` over `old`; return False if the file does not hold `old` any more."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        # The folder may be a stranger's: nothing that waits at this name is written to.
        partial.unlink(missing_ok=True)
        mode = 0o666 if old is None else path.stat().st_mode & 0o777
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
            if old is not None:
                os.fchmod(file.fileno(), mode)
            file.write(new)
            file.flush()
            os.fsync(file.fileno())
        if read_raw(path) != old:
            return False
        if old is None:
            with contextlib.suppress(FileExistsError):
                os.link(partial, path)  # fails if somebody made the file since
                return True
            return False
        partial.replace(path)
        return True
    finally:
        partial.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Statement:
    """A header or a pair: from the start of its line to the end of its last. `servers`: those it
    says something of. `place` counts the headers before it; 0 is the top of the file."""

    start: int
    end: int
    place: int
    header: bool
    servers: frozenset[str]
    of_servers: bool


def statements(text: str) -> Iterator[Statement]:
    """Yield the headers and pairs of a TOML text that tomllib accepts, in their order."""
    table: tuple[str, ...] = ()
    place = 0
    for start, end in _lines(text):
        said = tomllib.loads(text[start:end].replace("\r\n", "\n"))
        header = text[start:end].lstrip().startswith("[")
        if header:
            table, place = _path(said), place + 1
            said = {}
        of = table[:1] == ("servers",)
        if of and len(table) > 1:
            names: Iterable[str] = [table[1]]
        elif of:
            names = said
        else:
            inner = said.get("servers") if not table else None
            names, of = (inner, True) if isinstance(inner, dict) else ((), False)
        yield Statement(start, end, place, header, frozenset(names), of)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each statement, with the rest of its last line."""
    start, depth, empty = 0, 0, True
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark == "\n" and depth <= 0:
            if not empty:
                yield start, match.end()
            start, empty = match.end(), True
        elif not mark.startswith("#"):
            depth += (mark in ("[", "{")) - (mark in ("]", "}"))
            empty = empty and not mark.strip()
    if not empty:
        yield start, len(text)


def _path(header: dict[str, Any]) -> tuple[str, ...]:
    path: list[str] = []
    inner: Any = header
    while isinstance(inner, dict) and inner:
        (key, inner), *_ = inner.items()
        path.append(key)
    return tuple(path)


def _place(text: str) -> int:
    """Return where a new table goes: after the last table of a server, else at the end."""
    found = list(statements(text))
    last = max((s.place for s in found if s.of_servers), default=0)
    if last == 0 or found[-1].place == last:
        return len(text)
    end = max(s.end for s in found if s.place == last)
    return after_comments(text, end)


def _spans(text: str, name: str) -> Iterator[tuple[int, int]]:
    """Yield what to take out: each run of statements that are of this server alone."""
    start = end = -1
    for statement in statements(text):
        if statement.servers == {name}:
            if start < 0:
                own = statement.header
                start = _before_comments(text, statement.start) if own else statement.start
            end = statement.end
        elif start >= 0:
            yield start, after_comments(text, end)
            start = -1
    if start >= 0:
        yield start, after_comments(text, end)


def _before_comments(text: str, start: int) -> int:
    """Return where the comments begin that stand directly above, if a blank line is before them."""
    above = text[:start].splitlines(keepends=True)
    count = 0
    while count < len(above) and above[-1 - count].lstrip().startswith("#"):
        count += 1
    rest = above[: len(above) - count]
    blank = not rest or not rest[-1].strip()
    return len("".join(rest)) if blank and rest else start


def after_comments(text: str, end: int) -> int:
    """Return where the comments end that stand directly below, if a blank line is after them."""
    position = end
    for line in text[end:].splitlines(keepends=True):
        if line.lstrip().startswith("#"):
            position += len(line)
        else:
            return end if line.strip() else position
    return position


def _is_open(kept: list[str]) -> bool:
    before = "".join(kept)
    return not before or re.search(r"\n[ \t]*\r?\n\Z", before) is not None


def _after_blanks(text: str, end: int) -> int:
    match = re.compile(r"(?:[ \t]*\r?\n)*").match(text, end)
    return match.end() if match else end


def sound(new: str, wanted: Mapping[str, Any], file: str, instead: str) -> str:
    """Return a changed text if it says what it should; else raise ConfigError: `instead`."""
    try:
        if tomllib.loads(new.replace("\r\n", "\n")) == wanted:
            return new
    except tomllib.TOMLDecodeError:
        pass
    raise ConfigError(f"{file}: has its servers in a form that cannot be added to; {instead}")


def key_text(name: str) -> str:
    """Return a key as TOML writes it."""
    return SingleKey(name).as_string()


def value_text(value: Any, indent: int) -> str:
    """Return a value as TOML; a long array over several lines if it stands `indent` columns in."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key_text(k)} = {value_text(inner, 0)}" for k, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        items = [value_text(inner, 0) for inner in value]
        line = f"[{', '.join(items)}]"
        if indent and len(line) + indent > _WIDTH and len(items) > 1:
            return "\n".join(["[", *(f"  {item}," for item in items), "]"])
        return line
    return str(tomlkit.item(value).as_string())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
