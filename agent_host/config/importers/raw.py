"""A server as the file of another application says it, in one form for all of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agent_host.config.importers.tidy import Tidy

MAX_SERVERS = 500
_MAX_TEXT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """A file of an application. `folder`: the project that it belongs to, None for the user's."""

    path: Path
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where known files are looked for. `system` as sys.platform has it."""

    home: Path
    here: Path
    system: str
    environ: Mapping[str, str]

    def application_data(self, name: str) -> Path:
        """Return the folder where a desktop application of this name keeps its settings."""
        if self.system == "darwin":
            return self.home / "Library" / "Application Support" / name
        if self.system == "win32":
            roaming = self.environ.get("APPDATA")
            return (Path(roaming) if roaming else self.home / "AppData" / "Roaming") / name
        config = self.environ.get("XDG_CONFIG_HOME")
        return (Path(config) if config else self.home / ".config") / name


@dataclass(kw_only=True)
class Raw:
    """What a file says of one server, before any of it is judged.

    Timeouts are in seconds. `forwarded`: variables that are handed on from the environment.
    `header_variables`: header -> variable that holds its value. `inputs`: id -> what is asked.
    `bare`: `$NAME` is a variable as well. `problem`: why it cannot be taken over at all.
    """

    name: str
    command: str | None = None
    args: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    env_file: str | None = None
    forwarded: list[str] = field(default_factory=list)
    cwd: str | None = None
    url: str | None = None
    sse: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    header_variables: dict[str, str] = field(default_factory=dict)
    bearer_variable: str | None = None
    auth: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    connect_timeout: float | None = None
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    parallel: bool | None = None
    enabled: bool = True
    inputs: dict[str, "Input"] = field(default_factory=dict)
    bare: bool = False
    notes: list[str] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What an application asks its user for. `default` is empty if there is none."""

    description: str = ""
    secret: bool = False
    default: str = ""


class App(Protocol):
    """An application whose servers can be taken over. `name` is what a person types."""

    @property
    def name(self) -> str:
        """What a person types."""

    @property
    def title(self) -> str:
        """What it is called."""

    def places(self, machine: Machine) -> Iterator[Place]:
        """Yield its known files on a machine, there or not."""

    def recognizes(self, path: Path, data: Mapping[str, Any]) -> bool:
        """Return whether a file that somebody named is one of it, by path and content."""

    def servers(self, data: Mapping[str, Any], machine: Machine) -> Iterator[Raw]:
        """Yield what a file of it says."""


class Reader:
    """Takes typed values out of one server's object; what is not of the type becomes a note."""

    def __init__(self, name: str, said: Any) -> None:
        self.raw = Raw(name=name)
        self._said = said if isinstance(said, Mapping) else {}
        self.tidy = Tidy(self.raw.notes)
        if not isinstance(said, Mapping):
            self.raw.problem = "is not a table"

    def get(self, key: str) -> Any:
        """Return the value as it is, or None."""
        return self._said.get(key)

    def has(self, *keys: str) -> str:
        """Return the first of the keys that says something, or nothing."""
        return next((key for key in keys if self._said.get(key)), "")

    def text(self, *keys: str) -> str | None:
        """Return the text of the first of the keys that is there."""
        for key in keys:
            value = self._said.get(key)
            if isinstance(value, str) and value.strip():
                return self._bounded(key, self.tidy(value, key))
            if value is not None and not isinstance(value, str):
                self.raw.notes.append(f"{key} is no text and was left out")
        return None

    def texts(self, *keys: str) -> list[str]:
        """Return a list of texts; numbers and booleans are written out."""
        for key in keys:
            value = self._said.get(key)
            if isinstance(value, str):
                return [self._bounded(key, self.tidy(value, key))]
            if isinstance(value, list):
                return [
                    self._bounded(key, self.tidy(_written(item), f"{key}[{number}]"))
                    for number, item in enumerate(value[:1000], 1)
                    if _written(item) or item == ""
                ]
        return []

    def pairs(self, *keys: str) -> dict[str, str]:
        """Return a table of texts. A null takes a variable away, which is the rule here."""
        found: dict[str, str] = {}
        for key in keys:
            value = self._said.get(key)
            if not isinstance(value, Mapping):
                continue
            for name, inner in list(value.items())[:1000]:
                clean = self.tidy(str(name), f"a name in {key}")
                if clean and inner is not None:
                    text = self.tidy(_written(inner), f"{key}.{clean}")
                    found.setdefault(clean, self._bounded(key, text))
        return found

    def flag(self, key: str) -> bool | None:
        """Return a boolean, or None if it is none."""
        value = self._said.get(key)
        return value if isinstance(value, bool) else None

    def number(self, key: str) -> float | None:
        """Return a positive number, or None."""
        value = self._said.get(key)
        good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        return float(value) if good and value is not None else None

    def seconds(self, key: str) -> float | None:
        """Return a number of seconds."""
        return self.number(key)

    def milliseconds(self, key: str) -> float | None:
        """Return a number of milliseconds, in seconds."""
        value = self.number(key)
        return None if value is None else value / 1000

    def untold(self, meaning: Mapping[str, str]) -> None:
        """Note each key that says something for which there is nothing here."""
        for key, text in meaning.items():
            if self._said.get(key):
                self.raw.notes.append(text)

    def _bounded(self, key: str, text: str) -> str:
        if len(text) > _MAX_TEXT:
            self.raw.problem = f"has a text of {len(text)} characters in {key}"
            return ""
        return text


def each(said: Any) -> Iterator[tuple[str, Any]]:
    """Yield the servers of a table by name, MAX_SERVERS at most."""
    if isinstance(said, Mapping):
        for name, value in list(said.items())[:MAX_SERVERS]:
            yield str(name), value


def table(data: Any, *path: str) -> Mapping[str, Any]:
    """Return the table at a path, or an empty one."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""
