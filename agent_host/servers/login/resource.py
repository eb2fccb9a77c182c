"""The identifier of a server as an OAuth resource (RFC 8707)."""

from urllib.parse import urlsplit, urlunsplit


def resource_of(url: str) -> str:
    """Return the identifier of the resource at `url`: scheme and host in lower case, without what
    may be secret (credentials, query) and without fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    return urlunsplit((parts.scheme.lower(), host, parts.path, "", ""))
