"""The bytes of a file that nobody but root can have written.

Theory of operation: what holds for every user of a machine is believed only if no user can have
put it there. The file is opened without following a link and without waiting (a pipe would keep
the program for ever), and what was opened is looked at, not what its name says a moment later. Its
folder and every folder above must be root's, reached through no link, and writable by nobody else,
since who can write to a folder can put another file there, or take this one away; one above that
is sticky, as /tmp, lets nobody touch what is root's. An access list that lets somebody write shows
in the group's bits (POSIX.1e, the mask).
"""

import errno
import os
import pwd
import shlex
import stat
from pathlib import Path

from agent_host.config.file import SIZE_LIMIT
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read(path: Path, root: int) -> bytes | None:
    """Return the first SIZE_LIMIT + 1 bytes of a file, or None if it is not there.

    `root`: the number of the user who may own it beside the real root. Raises ConfigError for a
    file that is there and cannot be read or believed, and for a folder out of which others could
    have taken it.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        if os.path.lexists(path.parent):
            _check_folders(path, root)
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        _check(path, os.fstat(descriptor), root)
        _check_folders(path, root)
        return bytes_of(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(descriptor)


def bytes_of(descriptor: int) -> bytes:
    """Return the first SIZE_LIMIT + 1 bytes of an open file. Raises OSError."""
    parts: list[bytes] = []
    left = SIZE_LIMIT + 1
    while left and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _check(path: Path, found: os.stat_result, root: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _wrong(path, "is no file", "remove it, or put a file there")
    _check_owner(path, found, root, sticky=False)


def _check_folders(path: Path, root: int) -> None:
    if os.path.realpath(path.parent) != str(path.parent):
        raise _wrong(
            path, "is reached through a symbolic link", "let its folders be folders, not links"
        )
    for number, folder in enumerate(path.parents):
        _check_owner(folder, folder.stat(), root, sticky=number > 0)


def _check_owner(path: Path, found: os.stat_result, root: int, *, sticky: bool) -> None:
    """`sticky`: others may write to it if they cannot touch what is not theirs."""
    quoted = shlex.quote(str(path))
    if found.st_uid not in (0, root):
        raise _wrong(path, f"belongs to {_name(found.st_uid)}, not to root", f"chown root {quoted}")
    if found.st_mode & _OTHERS and not (sticky and found.st_mode & stat.S_ISVTX):
        mode = stat.S_IMODE(found.st_mode)
        raise _wrong(
            path, f"can be changed by others than root (mode {mode:04o})", f"chmod go-w {quoted}"
        )


def _unreadable(path: Path, error: OSError) -> ConfigError:
    if error.errno == errno.ELOOP:
        return _wrong(path, "is a symbolic link", "put the file itself there")
    if isinstance(error, PermissionError):
        fix = f"chmod 755 {shlex.quote(str(path.parent))}; chmod 644 {shlex.quote(str(path))}"
        return _wrong(path, "may not be read", fix)
    return _wrong(path, f"cannot be read ({error.strerror})", "mend or remove it")


def _wrong(path: Path, what: str, fix: str) -> ConfigError:
    return ConfigError(
        f"{clean_line(str(path), 300)}: {what}, so it cannot be the organisation's policy, and "
        f"nothing is started without one that can; as root: {clean_line(fix, 700)}"
    )


def _name(number: int) -> str:
    try:
        return f"{clean_line(pwd.getpwuid(number).pw_name, 60)} (uid {number})"
    except KeyError:
        return f"the user with uid {number}"
