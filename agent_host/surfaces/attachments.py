"""`@path` in a message: files, folders and pictures that it takes along.

Theory of operation: a path stands at the start of a word, relative to the folder that the chat was
begun in, in quotes if it has blanks. A word that only looks like one (`@ann`, `@types/node`) stays
text unless there is such a file; a path that cannot mean anything else (`@./x`, `@/x`, `@~/x`,
`@"x"`) has to be there. A picture is known by its first bytes, not by its name; other files are
taken if they are text. A link that leads out of the folder is not followed, as whoever wrote the
folder may have made it: the place that it leads to can be named itself. Nothing but ordinary files
and folders is opened: a pipe or a device would be waited for. Everything is bounded, and what is
shortened says so.
"""

import base64
import os
import re
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_host.core.context import MEDIA_LIMIT, RESULT_LIMIT, bound_content
from agent_host.core.text import clean_line
from agent_host.core.types import Content, Image, Resource
from agent_host.surfaces.mentions import Attached

_PATH = re.compile(r"(?<![^\s(\[\"'])@(?:\"([^\"\n]{1,4096})\"|([^\s\"]\S{0,4095}))")
_ENDS = re.compile(r"[.,;:!?)\]}'\"]+\Z")
_CERTAIN = ("./", "../", "/", "~/")
MOST = 20
"""Files that one message may take along."""
_LARGEST = 10_000_000
"""Bytes of a text file that is read at all."""
_LARGEST_IMAGE = MEDIA_LIMIT * 3 // 4
_LISTED = 200
_PICTURES: tuple[tuple[bytes, int, bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, b"", "image/png"),
    (b"\xff\xd8\xff", 0, b"", "image/jpeg"),
    (b"GIF87a", 0, b"", "image/gif"),
    (b"GIF89a", 0, b"", "image/gif"),
    (b"RIFF", 8, b"WEBP", "image/webp"),
)
"""First bytes, then more bytes at a place, of the pictures that models take."""


@dataclass(frozen=True, slots=True)
class FileMention:
    """A path as it was written, and where that is. `certain`: it cannot mean anything else."""

    written: str
    path: Path
    certain: bool = False


def file_mentions(text: str, folder: Path, servers: Collection[str]) -> list[FileMention]:
    """Return the files that a text names, each once, in their order."""
    found: dict[Path, FileMention] = {}
    for match in _PATH.finditer(text):
        quoted, bare = match.groups()
        written = quoted or bare
        if not quoted and written.partition(":")[0] in servers and ":" in written:
            continue
        certain = bool(quoted) or written.startswith(_CERTAIN)
        mention = _there(written, folder, certain=certain)
        if mention is None and not quoted:
            mention = _there(_ENDS.sub("", written), folder, certain=certain)
        if mention is None and certain:
            mention = FileMention(written, _place(written, folder), certain=True)
        if mention is not None:
            found.setdefault(mention.path, mention)
    return list(found.values())


def _there(written: str, folder: Path, *, certain: bool) -> FileMention | None:
    path = _place(written, folder)
    try:
        there = bool(written) and os.path.lexists(path)
    except ValueError:
        return None
    return FileMention(written, path, certain) if there else None


def _place(written: str, folder: Path) -> Path:
    try:
        return folder / Path(written).expanduser()
    except RuntimeError:  # a home that nobody knows
        return folder / written


def read_files(named: Sequence[FileMention], *, images: bool) -> Attached:
    """Read what a message names; all of it, or say what could not be read. `images`: the model
    that answers takes pictures. Reads the disk: not for the event loop."""
    if len(named) > MOST:
        return Attached(problem=f"a message takes {MOST} files along at most")
    content: list[Content] = []
    notes: list[str] = []
    limit = min(RESULT_LIMIT, 3 * RESULT_LIMIT // max(len(named), 1))
    for mention in named:
        shown = clean_line(mention.written, 200)
        block = _leads_out(mention) or _read(mention, images=images)
        if isinstance(block, str):
            return Attached(problem=f"{shown} {block}")
        bounded, cut = bound_content([block], limit)
        content += bounded
        notes.append(f"{shown}  {_size(block)}{' (shortened: it is too large)' if cut else ''}")
    return Attached(content=tuple(content), notes=tuple(notes))


def _read(mention: FileMention, *, images: bool) -> Content | str:
    """Return a file's content, or what is wrong with it, behind its name."""
    try:
        kind = mention.path.stat().st_mode
        if stat.S_ISDIR(kind):
            return _listing(mention)
        if not stat.S_ISREG(kind):
            return "is no file (a device, a pipe or a socket); name a file"
        # It may have become something else since: nothing is waited for.
        with open(os.open(mention.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 - the flag
            data = file.read(_LARGEST + 1) or b""
    except FileNotFoundError:
        return "is not there; check the path"
    except PermissionError:
        return "may not be read; change its permissions"
    except (OSError, ValueError) as error:
        return f"cannot be read ({error.strerror if isinstance(error, OSError) else error})"
    media_type = picture_type(data)
    if media_type:
        return _picture(data, media_type, images=images)
    if len(data) > _LARGEST:
        return f"is larger than {_LARGEST:,} bytes; name a part of it, or let a tool read it"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return "is neither text (UTF-8) nor a picture that models take (PNG, JPEG, GIF, WebP)"
    return Resource(
        uri=_uri(mention.path), name=mention.written, media_type="text/plain", text=text
    )


def _leads_out(mention: FileMention) -> str:
    """Return what is wrong with a path that names something in the chat's folder and leads out of
    it by a link; empty if it does not, or is not there."""
    written = Path(mention.written)
    parts = written.parts
    if not parts or parts[0].startswith("~") or written.is_absolute() or ".." in parts:
        return ""
    try:
        place = mention.path.resolve(strict=True)
        folder = mention.path.parents[len(parts) - 1].resolve()
    except (OSError, RuntimeError, ValueError):  # also links in a circle
        return ""
    if place == folder or folder in place.parents:
        return ""
    return f"is a link to {clean_line(str(place), 500)}; name that if you want it read"


def _picture(data: bytes, media_type: str, *, images: bool) -> Content | str:
    if not images:
        return "is a picture, and this model takes none; /model changes to another"
    if len(data) > _LARGEST_IMAGE:
        return f"is a picture of more than {_LARGEST_IMAGE:,} bytes; make it smaller"
    return Image(data=base64.b64encode(data).decode("ascii"), media_type=media_type)


def picture_type(data: bytes) -> str:
    """Return the media type of a picture by its first bytes; empty if it is none."""
    for first, place, more, media_type in _PICTURES:
        if data.startswith(first) and data[place : place + len(more)] == more:
            return media_type
    return ""


def _listing(mention: FileMention) -> Content:
    """The names in a folder stand for it: what to read of them is said next."""
    with os.scandir(mention.path) as entries:
        names = sorted(e.name + ("/" if e.is_dir(follow_symlinks=False) else "") for e in entries)
    more = [f"... and {len(names) - _LISTED:,} more"] if len(names) > _LISTED else []
    text = "\n".join([f"The folder {mention.written} holds:", *names[:_LISTED], *more])
    return Resource(
        uri=_uri(mention.path), name=mention.written, media_type="text/plain", text=text
    )


def _uri(path: Path) -> str:
    return Path(os.path.abspath(path)).as_uri()  # noqa: PTH100 - links are not followed


def _size(block: Content) -> str:
    if isinstance(block, Image):
        return f"{block.media_type}, {len(block.data) * 3 // 4:,} bytes"
    return f"{len(getattr(block, 'text', '') or ''):,} characters"


def dropped_path(text: str) -> str | None:
    """Return what to write for a paste that is the path of one picture, as terminals paste what is
    dropped on them; None if it is anything else."""
    written = text.strip()
    if not written or "\n" in written or len(written) > 4096:
        return None
    if written[0] == written[-1] and written[0] in "'\"" and len(written) > 2:
        written = written[1:-1]
    elif written.startswith("file://"):
        from_uri = re.sub(
            "%([0-9A-Fa-f]{2})", lambda m: chr(int(m[1], 16)), written.removeprefix("file://")
        )
        written = from_uri.encode("latin-1", "replace").decode("utf-8", "replace")
    else:
        written = re.sub(r"\\(.)", r"\1", written)
    path = Path(written)
    try:
        if not path.is_absolute() or not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            first = file.read(16)
    except (OSError, ValueError):
        return None
    if not picture_type(first) or '"' in written:
        return None
    return f'@"{written}" ' if re.search(r"\s", written) else f"@{written} "
