"""goose: `extensions` of ~/.config/goose/config.yaml.

Theory of operation: types stdio (`cmd`, `args`), streamable_http and sse (`uri`, `headers`); `envs`
are written out, `env_keys` name secrets that goose keeps in the keyring in a form of its own, so
they become references to be filled. Builtin and platform extensions are parts of goose itself.
Source: crates/goose/src/agents/extension.rs of block/goose.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent_host.config.importers.raw import App, Input, Machine, Place, Raw, Reader, each, table

_OWN = {
    "builtin": "is a part of goose itself",
    "platform": "is a part of goose itself",
    "frontend": "is a part of the goose desktop application",
    "inline_python": "is Python code in goose's own config; save it as a script",
}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")


class Goose:
    """See `raw.App`."""

    name = "goose"
    title = "goose"

    def places(self, machine: Machine) -> Iterator[Place]:
        """Yield its known files."""
        if machine.system == "win32":
            folder = machine.application_data("Block") / "goose" / "config"
        else:
            config = machine.environ.get("XDG_CONFIG_HOME")
            folder = (Path(config) if config else machine.home / ".config") / "goose"
        yield Place(folder / "config.yaml")

    def recognizes(self, path: Path, data: Mapping[str, Any]) -> bool:
        """Return whether a file is one of it."""
        return bool(table(data, "extensions"))

    def servers(self, data: Mapping[str, Any], machine: Machine) -> Iterator[Raw]:
        """Yield its servers."""
        for name, said in each(table(data, "extensions")):
            yield _one(name, said)


def _one(key: str, said: Any) -> Raw:
    reader = Reader(key, said)
    raw = reader.raw
    if raw.problem:
        return raw
    kind = reader.text("type") or ""
    if kind in _OWN or kind not in ("stdio", "sse", "streamable_http"):
        raw.problem = _OWN.get(kind, f"has the type {kind or '(none)'}, which is not known here")
        return raw
    raw.enabled = reader.flag("enabled") is not False
    raw.timeout = reader.seconds("timeout")
    raw.include = reader.texts("available_tools")
    envs = reader.pairs("envs")
    keys = reader.texts("env_keys")
    raw.inputs = {
        name: Input(description=f"{name}, which goose keeps", secret=True) for name in keys
    }
    if kind == "stdio":
        raw.command = reader.text("cmd")
        raw.args = reader.texts("args")
        raw.env = envs | {name: f"${{input:{name}}}" for name in keys if name not in envs}
        return raw
    raw.url = reader.text("uri")
    raw.sse = kind == "sse"
    raw.headers = {k: _filled(v, envs, keys) for k, v in reader.pairs("headers").items()}
    raw.bare = True
    if reader.text("socket") is not None:
        raw.problem = "is reached by a Unix socket, which is not known here"
    return raw


def _filled(text: str, envs: Mapping[str, str], keys: list[str]) -> str:
    """Return a header with its variables as what goose knows of them: a value, or a secret."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return f"${{input:{name}}}" if name in keys else envs.get(name, match[0])

    return _VARIABLE.sub(value, text)


APP: App = Goose()
