"""Functions of conditions over texts that are more than texts: paths, URLs, commands, numbers.

Theory of operation: `startsWith` on a path, a URL or a command is how rules are walked around
(`/srv/data/../../etc`, `https://good.example@evil.example`, `git status && curl ...`). Each
function here reads its text by the rules of what it is, and raises Doubt where two programs might
read it differently; a condition is then undefined, which never allows. Sources: POSIX.1-2024, 4.16
(pathname resolution) and "Shell Command Language", 2.2; RFC 3986 and WHATWG URL (authority).
"""

import os
import re
import unicodedata

LONGEST_PATH = 4096
"""PATH_MAX of Linux, in characters here."""

_URL = re.compile(
    r"https?://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?(?:[/?#].*)?\Z",
    re.ASCII,
)
_NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)\Z")
_QUAD = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!\Z)|\Z)){4}\Z")
_WORDS = re.compile(r"[A-Za-z0-9_@%+=:,./-]+(?: +[A-Za-z0-9_@%+=:,./-]+)*\Z")
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?\Z")
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\\%*?$`~\ud800-\udfff]")


class Doubt(ValueError):  # noqa: N818  # no error of anybody: it is what a condition then is
    """Why a text cannot be judged, for people."""


def inside(path: str, folder: str, start: str = "") -> bool:
    """Return whether a path is a folder or lies under it, on this machine, after `..` and links.

    `folder` is absolute; a relative `path` starts from `start`. Raises Doubt for what programs read
    differently (escapes, variables, backslashes, control characters), for a relative path without
    a start, where links and text lead to different answers, and for what cannot be looked at. A
    link that is changed after the decision is not seen: that takes a sandbox.
    """
    _plain(path, "the path")
    _plain(folder, "the folder")
    if start:
        _plain(start, "the start")
    whole = path if path[0] == "/" else f"{start.rstrip('/')}/{path}"
    if folder[0] != "/" or (path[0] != "/" and not start) or (start and start[0] != "/"):
        raise Doubt("a path is relative, and to what is not said")
    read, where = _normal(whole), _normal(folder)
    found, there = _real(whole), _real(folder)
    by_text = _under(read, where)
    by_links = _under(found, there)
    if by_text != by_links and not (by_links and _under(read, there)):
        raise Doubt("a link leads the path elsewhere")
    if not by_links and _under(found.casefold(), there.casefold()):
        raise Doubt("the path differs from the folder in upper and lower case only")
    return by_links


def host(url: str) -> str:
    """Return the host of an http(s) URL, in lower case. Raises Doubt for a URL with a user name,
    a host that is not plain ASCII, or a number that is no plain IPv4 address."""
    found = _URL.match(url) if url.isprintable() and "\\" not in url else None
    if found is None:
        raise Doubt("it is no plain http or https URL")
    name = found["host"].lower()
    labels = name.split(".")
    if name[0] != "[" and (not all(labels) or any(x[0] == "-" or x[-1] == "-" for x in labels)):
        raise Doubt("its host is no name")
    if _NUMERIC.match(labels[-1]) and not _QUAD.match(name):
        raise Doubt("its host is a number that programs read differently")
    return name


def words(command: str) -> list[str]:
    """Return the words of a command line that has nothing but plain words: no quotes, operators,
    expansions, line breaks or assignments. Raises Doubt otherwise."""
    if len(command) > LONGEST_PATH or not _WORDS.match(command):
        raise Doubt("the command is more than plain words")
    found = command.split()
    if "=" in found[0]:
        raise Doubt("the command begins with an assignment")
    return found


def number(value: float | str) -> float:
    """Return a number, or what a text of digits says (`"99.50"`). Raises Doubt for other texts: a
    sign, an exponent, blanks, more than 15 digits before or 6 behind the point."""
    if isinstance(value, str) and not _NUMBER.match(value):
        raise Doubt("the text is no plain number")
    return float(value)


def remainder(one: float, other: float) -> float:
    """Return what is left after dividing whole numbers. Raises Doubt for others."""
    if one != int(one) or other != int(other) or not other:
        raise Doubt("a remainder takes whole numbers, and not 0 to divide by")
    whole = abs(int(one)) % abs(int(other))
    return float(whole if one >= 0 else -whole)


def _plain(path: str, what: str) -> None:
    if not path or len(path) > LONGEST_PATH:
        raise Doubt(f"{what} is empty or too long")
    if _ODD.search(path) or unicodedata.normalize("NFC", path) != path:
        raise Doubt(f"{what} has a character that programs read differently")


def _normal(path: str) -> str:
    """Resolve `.`, `..` and doubled slashes by the text alone."""
    return "/" + os.path.normpath(path).lstrip("/")


def _real(path: str) -> str:
    """Resolve links as far as there is something; what is not there yet is taken as it is."""
    try:
        return os.path.realpath(path, strict=True)
    except (FileNotFoundError, NotADirectoryError):
        found = os.path.realpath(path)
        if "/../" in f"{path}/" and found != os.path.realpath(_normal(path)):
            raise Doubt("the path goes up from what is not there") from None
        return found
    except OSError as error:
        raise Doubt(f"the path cannot be looked at: {error.strerror}") from None


def _under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
