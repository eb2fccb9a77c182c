"""A URL that a server wants opened, as a person can judge it: whole, in ASCII, with what is odd.

Theory of operation: what is shown is what would be opened. So a URL is first made plain: its host
in its ASCII form (IDNA 2008 with UTS #46, as browsers do), every other character outside of ASCII
percent-encoded. What programs read differently (backslashes, blanks, control characters, no host)
is refused, as is every scheme but http and https. What is legal but may deceive becomes a warning.
Sources: RFC 3986; MCP 2025-11-25 and 2026-07-28, client/elicitation, "Safe URL handling".
"""

import ipaddress
import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from agent_host.core.text import clean_line

_SAFE = "%/?#[]@!$&'()*+,;=:~-._"
_NEVER = re.compile(r"[\s\x00-\x20\x7f-\x9f\\<>\"{}|^`]")
_NUMBERS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)
_MIXED = "the host's name was sent in other letters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A URL that may be opened: all ASCII. `warnings` are sentences for people, clean."""

    url: str
    host: str
    warnings: tuple[str, ...]


def address(url: str) -> Address | str:
    """Return a URL made plain, or why it must not be opened: a clean sentence."""
    if _NEVER.search(url):
        return "the URL holds blanks or characters that programs read differently"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"the URL is not valid: {clean_line(str(error), 100)}"
    if parts.scheme not in {"http", "https"}:
        return f"{clean_line(parts.scheme, 20) or 'that'} is no scheme to open; only http and https"
    name = _ascii_host(host)
    if not name:
        return f"the URL names no valid host: {clean_line(host, 100)}"
    shown = f"[{name}]" if ":" in name else name
    if port is not None:
        shown += f":{port}"
    before, at, _ = parts.netloc.rpartition("@")
    netloc = f"{quote(before, safe=_SAFE)}{at}{shown}"
    plain = SplitResult(
        parts.scheme,
        netloc,
        quote(parts.path, safe=_SAFE),
        quote(parts.query, safe=_SAFE),
        quote(parts.fragment, safe=_SAFE),
    ).geturl()
    return Address(url=plain, host=shown, warnings=tuple(_warnings(parts, host, name)))


def _ascii_host(host: str) -> str:
    """The host as it goes over the wire; empty if it is none."""
    if host.isascii():
        literal = ":" in host or re.fullmatch(r"[A-Za-z0-9._-]+", host)
        return host.lower() if literal else ""
    # Only a name in other scripts needs the library.
    idna: Any = import_module("idna")
    try:
        encoded: str = idna.encode(host, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return ""
    return encoded.lower()


def _warnings(parts: SplitResult, host: str, name: str) -> list[str]:
    found: list[str] = []
    if parts.scheme != "https":
        found.append("it is not encrypted (http): others can read and change what you see")
    if "@" in parts.netloc:
        found.append(f"what stands before the @ is no part of the host: it goes to {name}")
    if not host.isascii():
        found.append(f"{_MIXED}: {clean_line(host, 100)}")
    elif "xn--" in name:
        found.append(f"the host's name stands for other letters: {_letters(name)}")
    if _is_number(name):
        found.append("the host is a number, not a name: nobody vouches for it")
    return found


def _letters(name: str) -> str:
    idna: Any = import_module("idna")
    try:
        return clean_line(idna.decode(name), 100)
    except (idna.IDNAError, UnicodeError):
        return "which cannot be read"


def _is_number(name: str) -> bool:
    if _NUMBERS.fullmatch(name):
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
