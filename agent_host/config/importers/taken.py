"""Secrets taken out of values, with the references that stand in their places.

Theory of operation: each secret gets the name of an environment variable, and `${env:NAME}` stands
where it stood; the value goes beside it, for whoever asks where to keep it. What stands before a
secret in a header (`Bearer `) stays. In a URL only the password and keys of the query are taken.
"""

import re
from dataclasses import dataclass, field

from agent_host.config.looks import (
    is_placeholder,
    looks_secret,
    scheme_of,
    secret_in_url,
    sounds_secret,
)
from agent_host.config.secrets import has_reference

_UPPER = re.compile(r"[^A-Za-z0-9]+")
_QUERY = re.compile(r"([?&])([^=&#]+)=([^&#]*)")
_PASSWORD = re.compile(r"(://[^/@:]*:)([^/@]+)@")
_PLAIN_HEADERS = ("accept", "accept-language", "content-type", "user-agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret that stands in a table as `${env:VARIABLE}`.

    `value` is empty where it is only known that one is needed. `hidden`: whether a person who
    types it should not see it.
    """

    variable: str
    value: str = field(default="", repr=False)
    description: str = ""
    hidden: bool = True


class Taken:
    """Takes the secrets out of one server's values. `owner` is the server's name."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.secrets: dict[str, Secret] = {}

    def value(self, name: str, text: str, *, sure: bool = False, owner: str = "") -> str:
        """Return a value that holds no variables, without its secret. `sure`: it is one."""
        scheme = scheme_of(text)
        if is_placeholder(text) and (sure or scheme or sounds_secret(name)):
            return scheme + self.reference(variable_name(owner, name), "")
        if secret_in_url(text):
            return self.url(text)
        if text and not has_reference(text) and (sure or looks_secret(name, text)):
            secret = text[len(scheme) :].strip().replace("$${", "${")
            return scheme + self.reference(variable_name(owner, name), secret)
        return text

    def header(self, name: str, text: str) -> str:
        """Return a header's value without its secret."""
        plain = name.lower() in _PLAIN_HEADERS
        sure = not plain and (sounds_secret(name) or bool(scheme_of(text)))
        return self.value(name, text, sure=sure, owner=self.owner)

    def url(self, url: str) -> str:
        """Return a URL with references for its password and for the keys in its query."""

        def key(match: re.Match[str]) -> str:
            name, text = match[2], match[3]
            if not looks_secret(name, text) and not is_placeholder(text):
                return match[0]
            return f"{match[1]}{name}={self.reference(variable_name(self.owner, name), text)}"

        def password(match: re.Match[str]) -> str:
            if "${" in match[2]:
                return match[0]
            return f"{match[1]}{self.reference(variable_name(self.owner, 'password'), match[2])}@"

        return _PASSWORD.sub(password, _QUERY.sub(key, url))

    def reference(self, variable: str, value: str) -> str:
        """Return the reference that stands for a secret; one value has one variable."""
        name, count = variable, 2
        while name in self.secrets and self.secrets[name].value != value:
            name, count = f"{variable}_{count}", count + 1
        self.secrets[name] = Secret(variable=name, value="" if is_placeholder(value) else value)
        return f"${{env:{name}}}"


def variable_name(*words: str) -> str:
    """Return the name of an environment variable made of words."""
    name = "_".join(_UPPER.sub("_", word).strip("_").upper() for word in words if word)
    return name if name and not name[0].isdigit() else f"X_{name}"
