"""What looks like a secret although nobody says so.

Theory of operation: `servers add`, `servers import` and the question of trust must not copy or show
a key that somebody wrote out. A value counts as one if it has a form that is only used for keys
(prefixes that their issuers publish so that scanners find them, JSON web tokens, PEM private keys,
a URL with a password or with a key in its query), if its name sounds like one and the value is
not plainly something else (a number, a path, an address), or if it is long and without any
structure. No list finds all: what is missed is shown to the person before it is written.
"""

import re
from urllib.parse import parse_qsl, urlsplit

from agent_host.config.secrets import has_reference

_FORMS = re.compile(
    r"(?:gh[pousr]_|github_pat_|glpat-|gldt-|sk-|sk_live_|sk_test_|rk_live_|whsec_|xox[abeprs]-|xapp-"
    r"|AKIA[0-9A-Z]{12}|ASIA[0-9A-Z]{12}|AIza[0-9A-Za-z_-]{30}|ya29\.|hf_|npm_|pypi-|dckr_pat_"
    r"|lin_api_|secret_|ntn_|SG\.[\w-]{10}|tvly-|fc-[0-9a-f]{20}|pplx-|gsk_|xai-|r8_|ATATT|figd_"
    r"|shp(?:at|ca|pa|ss)_|sntry[su]_|dop_v1_|eyJ[\w-]{10,}\.[\w-]{6,}|nvapi-|sbp_|phc_|phx_|key-)"
    r"[\w.+/=-]{4,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_NAME = re.compile(
    r"key|token|secret|passw|pwd|passphrase|credential|cookie|session|bearer|dsn"
    r"|(?:^|[_\W])(?:auth|authorization|pat|pass)(?:$|[_\W])"
)
_OTHERWISE = re.compile(
    r"(?:path|file|dir|folder|url|uri|host|port|mode|type|limit|max|min|name|region|count|size|ttl"
    r"|timeout|id|algorithm|provider|enabled|version|format)$"
)
_PLAIN = re.compile(
    r"(?:true|false|yes|no|on|off|none|null|auto|default|oauth2?|basic|bearer"
    r"|[+-]?\d{1,9}(?:\.\d+)?[a-z]{0,2}"  # a number, a size or a time
    r"|(?:~|\.{1,2})?/[^\0]*|[A-Za-z]:[\\/].*"  # a path
    r"|[\w-]+(?:\.[\w-]+)+(?::\d+)?)\Z",  # a host
    re.IGNORECASE,
)
_STRUCTURELESS = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9_+/=-]{28,}\Z")
_HEX = re.compile(r"[0-9a-fA-F]{32,}\Z")
_PLACEHOLDER = re.compile(
    r"(?:<.*>|\[.*\]|\{\{?.*\}?\}|x{3,}|\*{3,}|\.{3,}|change[-_ ]?me|to[-_ ]?do|placeholder"
    r"|(?:your|my|insert|enter|replace|add)[-_ ].*|.*[-_ ](?:goes[-_ ]here|here))\Z",
    re.IGNORECASE,
)
_SCHEMES = re.compile(r"(?:bearer|basic|token|apikey|api-key)\s+", re.IGNORECASE)


def sounds_secret(name: str) -> bool:
    """Return whether a variable, header, option or query key of this name usually is a secret."""
    lower = name.lower()
    return _NAME.search(lower) is not None and _OTHERWISE.search(lower) is None


def is_placeholder(value: str) -> bool:
    """Return whether `value` only stands for what somebody has to put there: `<YOUR_KEY>`."""
    return _PLACEHOLDER.match(_bare(value)) is not None


def looks_secret(name: str, value: str) -> bool:
    """Return whether `value`, which stands at `name`, looks like a secret that is written out.

    A reference is none, and neither is a placeholder.
    """
    bare = _bare(value)
    if not bare or has_reference(value) or is_placeholder(value):
        return False
    if _FORMS.search(bare) is not None or secret_in_url(value):
        return True
    if "://" in value or _PLAIN.match(bare):
        return False
    if sounds_secret(name) or bare != value.strip():
        return True
    return _HEX.match(bare) is not None or _STRUCTURELESS.match(bare) is not None


def secret_in_url(value: str) -> bool:
    """Return whether `value` is a URL with a password, or with a key in its query."""
    try:
        parts = urlsplit(value)
        if not parts.scheme or not parts.netloc:
            return False
        password = parts.password
    except ValueError:
        return False
    if password and not has_reference(password):
        return True
    return any(looks_secret(key, text) for key, text in parse_qsl(parts.query) if "://" not in text)


def scheme_of(value: str) -> str:
    """Return what stands before the secret in a header's value: `Bearer `, or nothing."""
    match = _SCHEMES.match(value)
    return match[0] if match else ""


def _bare(value: str) -> str:
    return _SCHEMES.sub("", value.strip(), count=1).strip()
