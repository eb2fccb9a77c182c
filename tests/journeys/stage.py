"""A folder with a config, a script for the model, and the shop's server."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]

_CONFIG = """
model = "actor"

[models.actor]
adapter = "script"
path = "script.toml"

[servers.shop]
command = {python}
args = ["-m", "tests.fakes.shop_server"]
env = {{ PYTHONPATH = {root} }}
trust_annotations = false

[[policy.rules]]
id = "free"
server = "shop"
tools = ["look", "wait", "rude", "vanish"]
effect = "allow"
"""


def call(tool: str, **arguments: object) -> dict[str, Any]:
    """A call of one of the shop's tools, for a script."""
    return {"name": f"shop__{tool}", "arguments": arguments}


def stage(folder: Path, *turns: Mapping[str, Any]) -> Path:
    """Write config and script into `folder`; each of `turns` is one of a script."""
    config = _CONFIG.format(python=json.dumps(sys.executable), root=json.dumps(str(_ROOT)))
    (folder / "servers.toml").write_text(config)
    (folder / "script.toml").write_text("".join(f"[[turn]]\n{_table(turn)}\n" for turn in turns))
    return folder


def _table(turn: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in turn.items())


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # TOML knows JSON's string escapes except \\/ and surrogate pairs, and DEL must be escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
