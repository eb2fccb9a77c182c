"""What a server's 401 or 403 says it wants (RFC 9110 section 11.6.1, RFC 6750, RFC 9728)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PART = re.compile(
    rf'(?P<key>{_NAME})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))'
    rf"|(?P<scheme>{_NAME})(?=[\s,]|$)"
)
_ESCAPED = re.compile(r"\\(.)")
MAX_HEADER = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One challenge; `scheme` and the keys of `values` are in lower case."""

    scheme: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def error(self) -> str:
        """The error code, or empty."""
        return self.values.get("error", "")

    @property
    def scope(self) -> str:
        """The scopes that are wanted, or empty."""
        return " ".join(self.values.get("scope", "").split())

    @property
    def resource_metadata(self) -> str:
        """Where the server's metadata is, or empty."""
        return self.values.get("resource_metadata", "")


def challenge_of(response: httpx2.Response) -> Challenge:
    """Return the challenge that wants a token, or an empty one."""
    found: list[Challenge] = []
    for line in response.headers.get_list("www-authenticate"):
        scheme = ""
        values: dict[str, str] = {}
        for part in _PART.finditer(line[:MAX_HEADER]):
            if part["scheme"] is not None:
                if scheme:
                    found.append(Challenge(scheme=scheme, values=values))
                scheme, values = part["scheme"].lower(), {}
            elif part["quoted"] is not None:
                values.setdefault(part["key"].lower(), _ESCAPED.sub(r"\1", part["quoted"]))
            else:
                values.setdefault(part["key"].lower(), part["plain"])
        if scheme:
            found.append(Challenge(scheme=scheme, values=values))
    ours = [c for c in found if c.scheme in ("bearer", "dpop")]
    named = [c for c in ours if c.resource_metadata]
    return (named or ours or [Challenge()])[0]
