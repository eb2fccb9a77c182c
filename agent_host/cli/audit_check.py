"""What `agent-host doctor` says of the audit log: can it be written, signed and sent.

Theory of operation: a look and nothing else; whether the log is whole, `audit verify` says.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from agent_host.audit.files import files
from agent_host.audit.spool import State, states
from agent_host.config import paths
from agent_host.config.audit_place import key_file, usual_folder
from agent_host.config.load import Loaded
from agent_host.core.text import clean_line

Said = tuple[Literal["ok", "note", "problem"], str, str]
"""A level (`ok`, `note`, `problem`), what was found, what to do about it."""


def audit_findings(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[Said]:
    """Yield what is to be said of the log that a config names."""
    settings = loaded.config.audit
    if not settings.enabled:
        where = loaded.where("audit", "enabled")
        yield "note", f"{where}: no audit log is written (enabled = false)", ""
        return
    folder = usual_folder(environ)
    if settings.folder:
        folder = loaded.folder / Path(settings.folder).expanduser()
    yield _written(folder)
    yield from _key(key_file(environ))
    for state in states(folder):
        yield from _sent(state)


def _written(folder: Path) -> Said:
    name = paths.shown(folder)
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        return "problem", f"{name}: {there} is no folder, so no run can begin", "remove that file"
    if not os.access(there, os.W_OK | os.X_OK):
        fix = "make it writable, or name another folder in [audit]"
        return "problem", f"{name} cannot be written, so no run can begin", fix
    try:
        size = sum(path.stat().st_size for path in files(folder))
    except OSError as error:
        return "problem", f"{name} cannot be read: {error.strerror}", "check its permissions"
    text = (
        f"{size / 1_000_000:.1f} MB; `agent-host audit verify` checks it" if size else "empty yet"
    )
    return "ok", f"{name}: {text}", ""


def _key(path: Path) -> Iterator[Said]:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # it is made with the first signature
    if stat.S_IMODE(mode) & 0o077:
        text = f"{paths.shown(path)} can be read by others, so checkpoints are not signed"
        yield "problem", text, f"chmod 600 {paths.shown(path)}"


def _sent(state: State) -> Iterator[Said]:
    to = clean_line(state.to, 200)
    if state.problem:
        why = clean_line(state.problem, 300)
        text = f"since {clean_line(state.problem_since, 40)} {to} takes no audit entries: {why}"
        yield "problem", text, "`agent-host audit send` tries again"
    if state.refused:
        text = f"{to} refused {state.refused:,} audit entries for good"
        yield "note", text, "refused-*.jsonl beside the log says which and why"
    if state.lost:
        yield "note", f"{state.lost:,} audit entries were gone before {to} had them", ""
    if not state.problem:
        yield "ok", f"{to} has the audit log up to entry {state.cursor.seq}", ""
