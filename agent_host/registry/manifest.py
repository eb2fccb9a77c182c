"""A bundle's manifest: how its server is started, and what it asks its user for.

Theory of operation: `mcp_config` says a command and arguments with `${__dirname}` and
`${user_config.KEY}` in them; they become texts with slots, as any other plan's. The command is a
known runtime or a file of the bundle: no shell, and no other program of this machine. Source: the
MCPB manifest specification 0.3.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_host.core.text import clean_line
from agent_host.registry import names
from agent_host.registry.inputs import Inputs, argument_problem
from agent_host.registry.plan import Argument, Need, Slot, Text, Where
from agent_host.registry.server_json import Input
from agent_host.registry.web import Fault

MANIFEST = "manifest.json"
_LIMIT = 1024 * 1024
_ITEMS = 200
_RUNTIMES = frozenset({"node", "python", "python3", "uv", "uvx", "npx", "deno", "bun"})
_REFERENCE = re.compile(
    r"\$\{(__dirname|HOME|DESKTOP|DOCUMENTS|DOWNLOADS|pathSeparator|/|user_config\.[^{}]+)\}"
)
_FORMATS = {"number": "number", "boolean": "boolean", "directory": "filepath", "file": "filepath"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """How a bundle's server is started."""

    command: str
    args: tuple[Argument, ...]
    env: Mapping[str, Text] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    warnings: tuple[str, ...] = ()


def read(folder: Path, owner: str) -> Bundled | Fault:
    """Read the manifest of the bundle that is unpacked in `folder`. `owner`: the server's short
    name."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            data = file.read(_LIMIT + 1)
        found = json.loads(data) if len(data) <= _LIMIT else None
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return Fault(f"the bundle has no {MANIFEST} that can be read")
    allowed = _object(_object(found, "compatibility"), "platforms", list)
    if allowed and sys.platform not in allowed:
        shown = clean_line(", ".join(map(str, allowed)), 80)
        return Fault(f"the bundle is made for {shown}, and this is {sys.platform}")
    return _Reader(folder, found, owner).bundled()


def _object(raw: Mapping[str, Any], key: str, kind: type = dict) -> Any:
    value = raw.get(key)
    return value if isinstance(value, kind) else kind()


class _Reader:
    """One manifest."""

    def __init__(self, folder: Path, raw: Mapping[str, Any], owner: str) -> None:
        self._folder = folder
        server = _object(raw, "server")
        config = _object(server, "mcp_config")
        override = _object(_object(config, "platform_overrides"), sys.platform)
        self._config = {**config, **override}
        self._server = server
        self._asked = _object(raw, "user_config")
        self._inputs = Inputs(owner)
        self._slots: dict[tuple[str, Where], Slot] = {}

    def bundled(self) -> Bundled | Fault:
        """Return how the server is started."""
        said = self._config.get("command")
        command = self._command(said if isinstance(said, str) else "")
        if isinstance(command, Fault):
            return command
        given = _object(self._config, "args", list)
        if len(given) > _ITEMS or not all(isinstance(item, str) for item in given):
            return Fault("the bundle's arguments are no list of texts")
        args = tuple(Argument(text=self._text(item, "arg")) for item in given)
        problem = argument_problem(args)
        if problem:
            return Fault(f"the bundle {problem}")
        env: dict[str, Text] = {}
        for name, text in list(_object(self._config, "env").items())[:_ITEMS]:
            if names.is_variable(name) and isinstance(text, str):
                env[name] = self._text(text, "env")
        return Bundled(
            command=command,
            args=args,
            env=env,
            needs=tuple(self._inputs.needs),
            warnings=tuple(self._inputs.warnings),
        )

    def _command(self, said: str) -> str | Fault:
        if not said:
            said = {"node": "node", "python": "python3"}.get(str(self._server.get("type")), "")
        if said in _RUNTIMES:
            return "python3" if said == "python" else said
        path = Path(said.replace("${__dirname}", str(self._folder)).replace("${/}", "/"))
        place = path if path.is_absolute() else self._folder / path
        inside = place.resolve().is_relative_to(self._folder.resolve())
        if not inside or "/" not in said or not place.is_file():
            shown = clean_line(said, 80)
            return Fault(
                f'the bundle is started by "{shown}", which is no file of it and none of '
                f"{', '.join(sorted(_RUNTIMES))}"
            )
        place.chmod(0o755)
        return str(place)

    def _text(self, text: str, where: Where) -> Text:
        """Return a text of the manifest with its references replaced or made slots."""
        parts: list[str | Slot] = []
        end = 0
        for match in _REFERENCE.finditer(text):
            parts += [self._inputs.own(text[end : match.start()], where)]
            parts += [self._known(match[1], where)]
            end = match.end()
        parts.append(self._inputs.own(text[end:], where))
        return tuple(part for part in parts if part != "") or ("",)

    def _known(self, name: str, where: Where) -> str | Slot:
        if not name.startswith("user_config."):
            return _PLACES[name](self._folder)
        key = name.removeprefix("user_config.")
        found = self._slots.get((key, where))
        if found is None:
            found = self._slots[key, where] = self._inputs.slot(self._input(key), where, key)
        return found

    def _input(self, key: str) -> Input:
        raw = _object(self._asked, key)
        default = raw.get("default")
        text = default if isinstance(default, str) else ""
        if isinstance(default, bool | int | float):
            text = str(default).lower()
        form: Any = _FORMATS.get(str(raw.get("type")), "string")
        return Input(
            name=key,
            description=str(raw.get("description") or raw.get("title") or "")[:500],
            default="" if "${" in text else text[:1000],
            required=raw.get("required") is True,
            secret=raw.get("sensitive") is True,
            repeated=raw.get("multiple") is True,
            format=form,
        )


_PLACES: dict[str, Callable[[Path], str]] = {
    "__dirname": str,
    "HOME": lambda _: str(Path.home()),
    "DESKTOP": lambda _: str(Path.home() / "Desktop"),
    "DOCUMENTS": lambda _: str(Path.home() / "Documents"),
    "DOWNLOADS": lambda _: str(Path.home() / "Downloads"),
    "pathSeparator": lambda _: "/",
    "/": lambda _: "/",
}
