"""What a package, an image, a version or a URL may look like before any program sees it.

Theory of operation: each registry has a grammar for its names, and what is not in it is refused:
nothing that starts with a dash (an option), holds a blank, a shell's character or `..`, or is a URL
or a path where a name belongs, ever becomes an argument of a package manager. Versions are exact:
a range, a tag such as `latest` or a wildcard names no version. Sources: npm's
validate-npm-package-name and SemVer 2.0.0; PEP 508 and PEP 440; the OCI distribution spec
(references); NuGet's package id rules; RFC 3986.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent_host.core.errors import UsageError
from agent_host.core.text import clean_line

OFFICIAL_URL = "https://registry.modelcontextprotocol.io"

_NPM = re.compile(r"(?:@[a-z0-9~][a-z0-9._~-]*/)?[A-Za-z0-9~][A-Za-z0-9._~-]*\Z")
_SEMVER = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?\Z")
_PYPI = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_PEP440 = re.compile(
    r"v?(?:\d+!)?\d+(?:\.\d+)*"
    r"(?:[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?"
    r"(?:-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?"
    r"(?:[-_.]?dev[-_.]?\d*)?(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?\Z",
    re.IGNORECASE,
)
_NUGET = re.compile(r"[A-Za-z0-9_]+(?:[._-][A-Za-z0-9_]+)*\Z")
_NUGET_VERSION = re.compile(r"\d+(?:\.\d+){1,3}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?\Z")
_IMAGE = re.compile(
    r"(?:(?P<host>[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::\d{1,5})?)/)?"
    r"(?P<path>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[a-f0-9]{64}))?\Z"
)
_SHA256 = re.compile(r"[a-f0-9]{64}\Z")
_URL = re.compile(r"https?://[^\s<>\"'`\\{}|^\x00-\x20\x7f-\U0010ffff]+\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}\Z")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}\Z")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class _Grammar:
    what: str
    names: re.Pattern[str]
    versions: re.Pattern[str]
    longest: int


_GRAMMARS = {
    "npm": _Grammar("an npm package", _NPM, _SEMVER, 214),
    "pypi": _Grammar("a PyPI project", _PYPI, _PEP440, 128),
    "nuget": _Grammar("a NuGet package", _NUGET, _NUGET_VERSION, 100),
}


def package_problem(registry: str, name: str, version: str) -> str:
    """Return what is wrong with a package of npm, pypi or nuget and its version; empty: nothing."""
    grammar = _GRAMMARS[registry]
    if not grammar.names.match(name) or len(name) > grammar.longest or ".." in name:
        return f"its identifier is not the name of {grammar.what}"
    if not version:
        return "it names no version, so nothing could be pinned"
    if not grammar.versions.match(version) or len(version) > 128:
        return "its version is not an exact version, so nothing could be pinned"
    return ""


def image(reference: str) -> tuple[str, str, str, str] | None:
    """Return host, path, tag and digest of an image reference (each but the path may be empty);
    None for what is none. As docker reads it, a first part without dot, colon or `localhost` is
    part of the path."""
    found = _IMAGE.match(reference) if len(reference) <= 500 else None
    if found is None or len(found["path"]) > 255:
        return None
    host, path = found["host"] or "", found["path"]
    if host and "." not in host and ":" not in host and host != "localhost":
        if host != host.lower():
            return None
        host, path = "", f"{host}/{path}"
    return host, path, found["tag"] or "", found["digest"] or ""


def is_sha256(text: str) -> bool:
    """Return whether `text` is a SHA-256 in lower-case hex."""
    return _SHA256.match(text) is not None


def is_script(text: str) -> bool:
    """Return whether `text` can be the name of a script that a Python package installs."""
    return _PYPI.match(text) is not None and len(text) <= 128


def is_module(text: str) -> bool:
    """Return whether `text` is a Python module's dotted name."""
    return len(text) <= 200 and all(part.isidentifier() for part in text.split("."))


def is_variable(text: str) -> bool:
    """Return whether `text` can name an environment variable in a config."""
    return _VARIABLE.match(text) is not None


def is_header(text: str) -> bool:
    """Return whether `text` is a header's name (RFC 9110, section 5.1)."""
    return _HEADER.match(text) is not None


def url_problem(url: str) -> str:
    """Return what is wrong with an http(s) URL that is to be fetched or configured: plain text in
    it, somebody's password, or http to another machine; empty if nothing is."""
    if not _URL.match(url):
        return "is no http or https URL"
    try:
        split = urlsplit(url)
        _ = split.port
    except ValueError:
        return "is no http or https URL"
    if not split.hostname or "@" in split.netloc:
        return "is no plain http or https URL"
    if split.scheme == "http" and not is_loopback(split.hostname):
        return "is not https"
    return ""


def registry_url(text: str) -> str:
    """Return a registry's URL without its last slash. Raises UsageError for one that cannot be
    used: no https (but to this machine), or with more than a place in it."""
    url = text.strip().rstrip("/")
    problem = url_problem(url)
    if not problem and ("?" in url or "#" in url):
        problem = "has a query or a fragment"
    if problem:
        shown = clean_line(text, 200)
        raise UsageError(f'the registry\'s URL "{shown}" {problem}; write it as in {OFFICIAL_URL}')
    for version in ("/v0.1", "/v0"):
        url = url.removesuffix(version)
    return url


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its name alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK or host.endswith(".localhost")
