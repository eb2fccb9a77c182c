"""Whether the command of a stdio server can be started, and what to do if not."""

import os
import shutil
from pathlib import Path

from agent_host.config.load import Loaded
from agent_host.config.server_tables import ServerConfig
from agent_host.config.trust import is_demo

FIXES = (
    ("npx", "install Node.js, which brings npx"),
    ("npm", "install Node.js"),
    ("node", "install Node.js"),
    ("uvx", "install uv, which brings uvx"),
    ("uv", "install uv"),
    ("docker", "install Docker, and start it"),
    ("python", "use python3, or the full path of an interpreter"),
    ("agent-host", "only `agent-host demo-server` is known without a path; use the full path"),
)
"""What to do about a command that is not there."""


def resolve_command(loaded: Loaded, server: ServerConfig) -> tuple[str, str]:
    """Return what to do about a server's command ("" if it can be started), and what was found."""
    command = server.command or ""
    if is_demo(server):
        return "", "the bundled demo server"
    folder = loaded.folder / Path(server.cwd or ".").expanduser()
    if not folder.is_dir():
        return f"correct cwd in {loaded.name}, or make that folder", f"no folder {folder}"
    if os.sep in command:
        path = folder / Path(command).expanduser()
        if not path.exists():
            return "check the path; it starts from cwd, or from servers.toml", f"no file {path}"
        if path.is_dir() or not os.access(path, os.X_OK):
            return f"make it executable (chmod +x {path})", f"{path} is not executable"
        return "", str(path)
    search = server.env.get("PATH", os.environ.get("PATH"))
    found = shutil.which(command, path=search)
    if found:
        return "", found
    fix = next(
        (fix for known, fix in FIXES if known == command), "install it, or use its full path"
    )
    return fix, f'there is no program "{command}" on the PATH'
