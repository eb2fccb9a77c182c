"""References to secrets, resolved at the last moment."""

from collections.abc import Mapping
from pathlib import Path

from agent_host.config.secrets import references, resolve
from agent_host.core.types import Principal
from agent_host.records.redact import Redactor


class Secrets:
    """Resolves references, and tells the redactor of the values as they become known.
    `user_tokens`: the ID tokens of verified users, by issuer and id."""

    def __init__(self, environ: Mapping[str, str], redactor: Redactor | None = None) -> None:
        self.environ = environ
        self.redactor = redactor or Redactor({})
        self._tokens: set[str] = set()
        self.user_tokens: dict[tuple[str, str], str] = {}

    def resolve(self, text: str, base: Path, key: str) -> str:
        """Return `text` with its references resolved. Raises ConfigError."""
        resolved = resolve(text, self.environ, base, key=key)
        for name in references(text):
            value = resolve(f"${{{name}}}", self.environ, base, key=key)
            self.redactor.add({name.removeprefix("env:"): value})
        return resolved

    def keep(self, text: str) -> None:
        """Keep a token that was got on the way out of whatever is written from here on."""
        if text not in self._tokens:  # one that is read again keeps its name
            self._tokens.add(text)
            self.redactor.add({f"token {len(self._tokens)}": text})

    def user_token(self, who: Principal) -> str:
        """Return the ID token of a user, empty if there is none."""
        return self.user_tokens.get((who.authenticated_by, who.id), "")
