"""A bundle (.mcpb) on this machine: fetched, checked against its hash, unpacked without harm.

Theory of operation: a bundle is a zip file from anywhere. It is hashed before a byte of it is
unpacked; what is unpacked is counted as it comes, not as the archive says; a name that leads out of
the folder, a link or a device file refuses the whole bundle. It is unpacked beside its place and
renamed, so a folder that is there is whole, and is named by the hash, so it is what was asked for.
Source: the MCPB manifest specification 0.3.
"""

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath

from agent_host.core.text import clean_line
from agent_host.registry.web import Fault, Web
from agent_host.state.folders import private_folder

MAX_FILE = 256 * 1024 * 1024
"""Bytes of a bundle."""
MAX_UNPACKED = 1024 * 1024 * 1024
MAX_ENTRIES = 50_000
_SECONDS = 600.0
_PIECE = 256 * 1024
_DEPTH = 40


class _UnsafeError(Exception):
    """Why a bundle is not unpacked."""


def fetched(url: str, sha256: str, store: Path, web: Web) -> Path | Fault:
    """Return the folder that the bundle is unpacked in, below `store`; fetch it if need be."""
    folder = store / "mcpb" / sha256
    if folder.is_dir():
        return folder
    body = web.get(url, limit=MAX_FILE, seconds=_SECONDS)
    if isinstance(body, Fault):
        return Fault(f"the bundle could not be fetched: {body.text}", body.status)
    found = hashlib.sha256(body.data).hexdigest()
    if found != sha256:
        return Fault(
            f"the bundle at {clean_line(url, 200)} is not the one that was published: its SHA-256 "
            f"is {found}, not {sha256}"
        )
    return unpacked(body.data, folder)


def unpacked(data: bytes, folder: Path) -> Path | Fault:
    """Unpack a bundle into `folder`, all of it or nothing."""
    try:
        private_folder(folder.parent)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    except OSError as error:
        return Fault(f"the bundle cannot be unpacked: {error.strerror}: {folder.parent}")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            _unpack(archive, part)
        with contextlib.suppress(FileExistsError, OSError):
            part.rename(folder)
    except _UnsafeError as error:
        return Fault(f"the bundle is not safe to unpack: {error}")
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError):
        return Fault("the bundle is no zip file that can be unpacked")
    except (OSError, ValueError) as error:
        return Fault(f"the bundle cannot be unpacked: {clean_line(str(error), 160)}")
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder if folder.is_dir() else Fault(f"the bundle cannot be put into {folder}")


def _unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise _UnsafeError(f"it holds more than {MAX_ENTRIES} files")
    left = MAX_UNPACKED
    seen: set[str] = set()
    for entry in entries:
        parts = _parts(entry)
        place = folder.joinpath(*parts)
        if entry.is_dir():
            place.mkdir(parents=True, exist_ok=True, mode=0o755)
            continue
        key = "/".join(parts).casefold()
        if key in seen:
            raise _UnsafeError(f'it holds "{clean_line(entry.filename, 80)}" twice')
        seen.add(key)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        mode = 0o755 if entry.external_attr >> 16 & 0o111 else 0o644
        with archive.open(entry) as source, _made(place, mode) as target:
            while piece := source.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    raise _UnsafeError(f"it is larger than {MAX_UNPACKED} bytes when unpacked")
                os.write(target, piece)


def _parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    """Return the safe parts of an entry's name."""
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    shown = clean_line(entry.orig_filename, 80)
    parts = PurePosixPath(name).parts
    outside = name.startswith("/") or "\\" in entry.orig_filename or ".." in name.split("/")
    if outside or ":" in name or "\0" in entry.orig_filename or not parts or len(parts) > _DEPTH:
        raise _UnsafeError(f'"{shown}" leads out of its folder')
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _UnsafeError(f'"{shown}" is a link or a device')
    return parts


@contextlib.contextmanager
def _made(place: Path, mode: int) -> Iterator[int]:
    """Open a new file for writing: never one that is there, never through a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    file = os.open(place, flags, mode)
    try:
        yield file
    finally:
        os.close(file)
