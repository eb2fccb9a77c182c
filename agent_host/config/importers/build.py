"""A table of servers.toml out of what another application's file says.

Theory of operation: in `env`, `headers` and `url` a variable becomes a reference and a secret that
is written out is taken out: the reference to where it will be found stands in its place, and the
value goes with the entry, so that a person can say where to keep it. A command line may hold
neither, so there a variable is replaced by what it is today; where that cannot be, or where a
secret stood, the entry is written with `enabled = false` and says why. Folders of a project become
absolute, because a command starts where servers.toml is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_host.config.edit import checked
from agent_host.config.importers.envfile import variables_of
from agent_host.config.importers.raw import App, Input, Machine, Place, Raw
from agent_host.config.importers.taken import Secret, Taken, variable_name
from agent_host.config.importers.tidy import Tidy
from agent_host.config.importers.words import Part, Variable, folders, parts
from agent_host.config.importers.wrappers import unwrapped
from agent_host.config.looks import looks_secret
from agent_host.core.errors import ConfigError

_ILLEGAL = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_SECONDS = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A server that can be taken over. `said` is its name in its file, `name` a legal one.
    `unusable` says why it cannot be taken over; then there is no table."""

    name: str
    said: str
    app: str
    place: Place
    table: Mapping[str, Any]
    secrets: tuple[Secret, ...] = ()
    notes: tuple[str, ...] = ()
    unusable: str = ""


def build(raw: Raw, app: App, place: Place, machine: Machine) -> Entry:
    """Return the entry for one server of a file."""
    unwrapped(raw)
    work = _Work(raw, place, machine)
    if not raw.problem:
        work.run()
    name = legal_name(raw.name)
    if not raw.problem:
        try:
            checked(name, work.table)
        except ConfigError as error:
            raw.problem = str(error)
    return Entry(
        name=name,
        said=raw.name,
        app=app.title,
        place=place,
        table={} if raw.problem else work.table,
        secrets=() if raw.problem else work.secrets,
        notes=tuple(dict.fromkeys(raw.notes)),
        unusable=raw.problem,
    )


def legal_name(said: str) -> str:
    """Return a server's name for servers.toml that is most like `said`."""
    return _ILLEGAL.sub("-", said).strip("-._")[:64].rstrip("-._") or "server"


class _Work:
    """The making of one table."""

    def __init__(self, raw: Raw, place: Place, machine: Machine) -> None:
        self._raw = raw
        self._place = place
        self._machine = machine
        self._project = place.folder or machine.here
        self._folders = folders(machine.home, self._project)
        self._off = ""
        self.table: dict[str, Any] = {}
        self._taken = Taken(legal_name(raw.name))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What was taken out of the table."""
        return tuple(self._taken.secrets.values())

    def run(self) -> None:
        """Fill `table` and `secrets`."""
        raw = self._raw
        if raw.url is not None:
            self._remote(raw.url)
        elif raw.command is not None:
            self._local(raw.command)
        else:
            raw.problem = "has neither a command nor a URL"
        if raw.problem:
            return
        self._times()
        self._tools()
        if self._off:
            raw.notes.append(f"written with enabled = false: {self._off}")
        if self._off or not raw.enabled:
            self.table["enabled"] = False
        if not raw.enabled and not self._off:
            raw.notes.append("is switched off there, so it is here")

    def _local(self, command: str) -> None:
        raw = self._raw
        said = self._today(command, "the command")
        self.table["command"] = str(Path(said).expanduser()) if said.startswith("~/") else said
        args = self._arguments(raw.args)
        if args:
            self.table["args"] = args
        env = self._environment()
        if env:
            self.table["env"] = env
        if raw.cwd is not None:
            folder = Path(self._today(raw.cwd, "the folder")).expanduser()
            self.table["cwd"] = str(self._project / folder)
        elif self._place.folder is not None:
            self.table["cwd"] = str(self._place.folder)

    def _remote(self, url: str) -> None:
        raw = self._raw
        self.table["url"] = self._url(url)
        headers = {name: self._header(name, value) for name, value in raw.headers.items()}
        for name, variable in raw.header_variables.items():
            headers[name] = f"${{env:{variable}}}"
            self._must_be_set(variable)
        if raw.bearer_variable:
            headers["Authorization"] = f"Bearer ${{env:{raw.bearer_variable}}}"
            self._must_be_set(raw.bearer_variable)
        if headers:
            self.table["headers"] = headers
        if raw.sse:
            self.table["sse"] = True
        auth: dict[str, Any] = {key: value for key, value in raw.auth.items() if value}
        if secret := auth.pop("client_secret", ""):
            owner = legal_name(raw.name)
            auth["client_secret"] = self._value("client_secret", secret, sure=True, owner=owner)
        if auth:
            self.table["auth"] = {"type": "oauth", **auth}

    def _environment(self) -> dict[str, str]:
        raw = self._raw
        said = dict(raw.env)
        if raw.env_file:
            path = self._project / Path(self._today(raw.env_file, "envFile")).expanduser()
            found = variables_of(path)
            if found is None:
                raw.notes.append(f"its file of variables, {path}, cannot be read")
            tidy = Tidy(raw.notes)
            said = {k: tidy(v, f"env.{k}") for k, v in (found or {}).items()} | said
        env = {name: self._value(name, value) for name, value in said.items() if _is_variable(name)}
        for name in raw.forwarded:
            if _is_variable(name):
                env.setdefault(name, f"${{env:{name}}}")
                self._must_be_set(name)
        return env

    def _value(self, name: str, text: str, *, sure: bool = False, owner: str = "") -> str:
        """Return a value of `env` or `headers`: literal text, references, no secret."""
        said = "".join(
            self._reference(part) if isinstance(part, Variable) else _literal(part)
            for part in parts(text, self._folders, bare=self._raw.bare)
        )
        if any(isinstance(part, Variable) for part in parts(text, {}, bare=self._raw.bare)):
            return said
        return self._taken.value(name, said, sure=sure, owner=owner)

    def _header(self, name: str, value: str) -> str:
        if "${" in value or (self._raw.bare and "$" in value):
            return self._value(name, value)
        return self._taken.header(name, value)

    def _url(self, url: str) -> str:
        pieces = list(parts(url, self._folders, bare=self._raw.bare))
        if pieces and isinstance(pieces[0], Variable):
            # The config wants to see where a URL leads.
            known = self._known(pieces[0])
            if known is None:
                self._raw.problem = (
                    f"its URL is in {pieces[0].text}, which is not known here; set it, and import "
                    "again"
                )
                return ""
            self._raw.notes.append(f"{pieces[0].text} is written as it is today: {known}")
            pieces[0] = known
        text = "".join(
            self._reference(piece) if isinstance(piece, Variable) else piece for piece in pieces
        )
        if not text.startswith(("http://", "https://")):
            scheme = text.partition(":")[0][:20]
            self._raw.problem = f"is reached by {scheme}:, and only http and https are known here"
            return ""
        return self._taken.url(text)

    def _reference(self, variable: Variable) -> str:
        if variable.kind == "unknown":
            self._off = f"{variable.text} has no counterpart here"
            return _literal(variable.text)
        if variable.kind == "input":
            return self._asked(variable)
        here = self._machine.environ.get(variable.name)
        if not here and variable.default is not None:
            self._raw.notes.append(
                f"{variable.name} is not set here, so its default is written for it"
            )
            return _literal(variable.default)
        self._must_be_set(variable.name)
        return f"${{env:{variable.name}}}"

    def _asked(self, variable: Variable) -> str:
        said = self._raw.inputs.get(variable.name, Input(secret=True))
        if said.default and not said.secret:
            self._raw.notes.append(f"{variable.text} is written as its default: {said.default}")
            return _literal(said.default)
        name = variable_name(variable.name)
        self._taken.secrets[name] = Secret(
            variable=name, description=said.description, hidden=said.secret or not said.description
        )
        return f"${{env:{name}}}"

    def _must_be_set(self, name: str) -> None:
        if not self._machine.environ.get(name):
            self._raw.notes.append(f"needs the variable {name}, which is not set here")

    def _known(self, part: Part) -> str | None:
        """Return what a piece is today; None for what is not known."""
        if isinstance(part, str):
            return part
        if part.kind == "input":
            said = self._raw.inputs.get(part.name)
            return said.default or None if said and not said.secret else None
        if part.kind == "unknown":
            return None
        return self._machine.environ.get(part.name) or part.default

    def _today(self, text: str, where: str) -> str:
        """Return a text of a command line with its variables replaced by what they are."""
        out = []
        for part in parts(text, self._folders, bare=self._raw.bare):
            known = self._known(part)
            named = part.name if isinstance(part, Variable) else ""
            if known is None or (named and looks_secret(named, known)):
                shown = part.text if isinstance(part, Variable) else part
                self._off = f"{where} holds {shown}, and a command line can hold no reference"
                out.append(shown)
                continue
            if isinstance(part, Variable):
                self._raw.notes.append(f"{part.text} in {where} is written as it is today: {known}")
            out.append(known)
        return "".join(out)

    def _arguments(self, args: list[str]) -> list[str]:
        out = []
        flag = ""
        for number, arg in enumerate(args, 1):
            text = self._today(arg, f"argument {number}")
            name, separator, value = text.partition("=")
            joined = bool(separator) and text.startswith("-")
            named = name if joined else flag
            if "${" not in text and looks_secret(named.strip("-"), value if joined else text):
                variable = variable_name(legal_name(self._raw.name), named.strip("-") or "secret")
                self._off = (
                    f"argument {number} held a secret, which every user of this machine can read "
                    "on a command line; hand it over in env if the server takes it there"
                )
                text = f"{name}=<{variable}>" if joined else f"<{variable}>"
            out.append(text)
            flag = arg if arg.startswith("-") else ""
        return out

    def _times(self) -> None:
        for key, value in (
            ("timeout", self._raw.timeout),
            ("connect_timeout", self._raw.connect_timeout),
        ):
            if value is not None:
                seconds = min(value, _MAX_SECONDS)
                self.table[key] = int(seconds) if seconds == int(seconds) else seconds

    def _tools(self) -> None:
        raw = self._raw
        tools: dict[str, Any] = {}
        if raw.include:
            tools["include"] = raw.include
        if raw.exclude:
            tools["exclude"] = raw.exclude
        if tools:
            self.table["tools"] = tools
        if raw.parallel is False:
            self.table["parallel"] = False


def _literal(text: str) -> str:
    return text.replace("${", "$${")


def _is_variable(name: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name
