"""What a value in a config may be: a line of text, a reference, a URL, a header, a name.

Theory of operation: each is a type with its check, for the tables of servers.toml (`schema`) and
those of providers (`rows`). What a check says follows the key in the error's sentence.
"""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from agent_host.config.near import nearest
from agent_host.config.secrets import check_references, has_reference
from agent_host.profiles.adapters import is_adapter, known_adapters

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""A server's, model's or rule's name."""

_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])\Z")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")  # RFC 9110, section 5.6.2


def _one_line(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if text != text.strip() or not text.isprintable():
        raise ValueError("has a blank at an end, or a character that cannot be seen")
    return text


def no_secret(text: str) -> str:
    """Return what may stand in a command line; raise ValueError for a reference."""
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    if has_reference(text):
        raise ValueError(
            "must not hold a reference: every user of this machine can read a command line; "
            "hand the secret over in `env`"
        )
    return text


def _header(name: str) -> str:
    if not _HEADER.match(name):
        raise ValueError("is not the name of an HTTP header")
    return name


def _variable(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError("is not the name of an environment variable")
    return name


def _value(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return check_references(text)


def _header_value(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError("must be one line")
    return _value(text)


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    check_references(text)
    authority = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
    if "{" in authority:
        return text
    try:
        host, _ = urlsplit(text).hostname, urlsplit(text).port
    except ValueError:  # its words would quote what may be a password
        host = None
    if not host:
        raise ValueError("is no URL with a host and a port that is a number, as https://HOST/mcp")
    return text


def _plain_header(text: str) -> str:
    if "${" in text:
        raise ValueError("must not hold a reference; put that header into a [models.x] table")
    return _header_value(text)


def _path(text: str) -> str:
    if not text.isprintable() or (text and not text.startswith("/")):
        raise ValueError("must start with /, as in /chat/completions")
    return text


def _duration(text: str) -> str:
    seconds(text)
    return text


def retention(text: str) -> float:
    """Return the seconds of a duration for which records are kept: some are for decades. Raises
    ValueError."""
    return seconds(text, 36_525)


def _retention(text: str) -> str:
    retention(text)
    return text


def seconds(text: str, days: int = 366) -> float:
    """Return the seconds of a duration such as `90s`, `15m`, `24h` or `30d`, of at most so many
    days. Raises ValueError."""
    found = _DURATION.match(text)
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < value <= days * 86400:
        raise ValueError(
            f'must be a duration of at most {days:,} days, as "90s", "15m", "24h" or "30d"'
        )
    return value


def _adapter(name: str) -> str:
    if not is_adapter(name):
        raise ValueError(f'is "{name}", which is no adapter{nearest(name, [*known_adapters()])}')
    return name


Name = Annotated[str, Field(pattern=NAME)]
Line = Annotated[str, AfterValidator(_one_line)]
Argument = Annotated[str, AfterValidator(no_secret)]
Reference = Annotated[str, AfterValidator(_value)]
Headers = dict[
    Annotated[str, AfterValidator(_header)], Annotated[str, AfterValidator(_header_value)]
]
Variables = dict[Annotated[str, AfterValidator(_variable)], Reference]
Url = Annotated[Line, AfterValidator(_url)]
Attempts = Annotated[int, Field(ge=1, le=20)]
Rate = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Dollars = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Glob = Annotated[str, Field(min_length=1, max_length=256)]
Duration = Annotated[str, AfterValidator(_duration)]
Retention = Annotated[str, AfterValidator(_retention)]
Adapter = Annotated[str, AfterValidator(_adapter)]
Variable = Annotated[str, AfterValidator(_variable)]
UrlPath = Annotated[str, AfterValidator(_path)]
PlainHeaders = dict[
    Annotated[str, AfterValidator(_header)], Annotated[str, AfterValidator(_plain_header)]
]
