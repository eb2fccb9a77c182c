"""Secrets of a run: references, resolved at the last moment, and what is found by its form."""

from collections.abc import Mapping
from pathlib import Path

from agent_host.config.load import Loaded
from agent_host.config.paths import user_data_folder
from agent_host.config.secrets import references, resolve
from agent_host.core.errors import ConfigError
from agent_host.core.types import Principal
from agent_host.records.detect import Detector
from agent_host.records.marks import Marks, user_key
from agent_host.records.redact import Redactor
from agent_host.records.vault import Vault

KEY_FILE = "secrets.key"
"""Keys the marks of secrets that were found; in the user's data folder."""


class Secrets:
    """Resolves references, and tells the redactor of the values as they become known.
    `user_tokens`: the ID tokens of verified users, by issuer and id."""

    def __init__(self, environ: Mapping[str, str], redactor: Redactor | None = None) -> None:
        self.environ = environ
        self.redactor = redactor or Redactor({})
        self._tokens: set[str] = set()
        self.user_tokens: dict[tuple[str, str], str] = {}

    def look(self, loaded: Loaded) -> None:
        """Look for secrets by their form as well, as a config says. Raises ConfigError."""
        said = loaded.config.secrets
        for place, glob in enumerate(said.reveal):
            if not all(glob.partition("/")):
                raise ConfigError(
                    f"{loaded.at('secrets', 'reveal', place)} is no glob over `server/tool`; "
                    'write it as "crm/send_*"'
                )
        marks = Marks(lambda: user_key(user_data_folder() / KEY_FILE), keep=said.hide_from_model)
        self.redactor.marks = marks
        if not said.detect:
            return
        try:
            self.redactor.finder = Detector(said.patterns)
        except ConfigError as error:
            name, _, why = str(error).partition(" ")
            raise ConfigError(f"{loaded.at('secrets', 'patterns', name)} {why}") from None

    def vault(self, loaded: Loaded, *, resumed: bool) -> Vault | None:
        """Return what keeps secrets from the model, None where there is nothing to do."""
        said = loaded.config.secrets
        if not (said.hide_from_model or resumed):
            return None
        return Vault(self.redactor, said.reveal, hide=said.hide_from_model, resumed=resumed)

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
