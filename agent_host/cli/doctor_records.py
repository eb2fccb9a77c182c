"""What `doctor` says of what is kept: transcripts, state.db, the audit log, folders, the clock."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import platformdirs

from agent_host.audit.files import files
from agent_host.audit.reading import newest
from agent_host.audit.verify import verify
from agent_host.cli.audit_check import audit_findings as said_of_audit
from agent_host.cli.doctor_findings import Facts, Finding, nearest_there
from agent_host.config import paths
from agent_host.config.audit_place import usual_folder
from agent_host.config.load import Loaded
from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.records.reader import run_ids, summary
from agent_host.state.approvals import Inbox

_RUNS = 50
"""The newest transcripts that are read."""
_VERIFIED = 64_000_000
"""Bytes of an audit log up to which it is followed here."""
_LITTLE = 100
_BACK = 120.0
"""Seconds that a clock may be behind what was recorded before."""


def transcripts_findings(facts: Facts) -> Iterator[Finding]:
    """Whether transcripts can be written, and read."""
    if facts.loaded is None:
        return
    folder = facts.loaded.transcripts
    name = paths.shown(folder)
    there = nearest_there(folder)
    if not there.is_dir():
        text = f"{name}: {paths.shown(there)} is no folder"
        yield Finding(
            id="no-folder", level="problem", text=text, where=name, fix="remove that file"
        )
    elif not os.access(there, os.W_OK | os.X_OK):
        fix = "make it writable, or name another folder with `transcripts` in servers.toml"
        text = f"{name} cannot be written"
        yield Finding(id="not-writable", level="problem", text=text, where=name, fix=fix)
    else:
        free = _free(there)
        yield Finding(
            id="little-space" if free < _LITTLE else "folder",
            level="note" if free < _LITTLE else "ok",
            text=f"{name}, {free} MB free",
            fix="free some space" if free < _LITTLE else "",
        )
        yield from _broken(folder)


def _free(folder: Path) -> int:
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize // 1_000_000


def _broken(folder: Path) -> Iterator[Finding]:
    try:
        names = run_ids(folder)
    except (OSError, RecordError):
        return
    looked = names[: -_RUNS - 1 : -1]
    for name in looked:
        found = summary(folder / f"{name}.jsonl")
        if found.broken:
            text = f"{clean_line(name, 60)} is broken: {clean_line(found.broken, 300)}"
            fix = "what is before the damage is shown by agent-host transcripts show"
            yield Finding(id="broken", level="note", text=text, where=paths.shown(folder), fix=fix)
    if looked:
        text = f"{len(names)} recorded runs, the newest {len(looked)} were read"
        yield Finding(id="read", level="ok", text=text)


def state_findings(_: Facts) -> Iterator[Finding]:
    """Whether state.db is whole, and which approvals wait in it."""
    path = paths.state_file(os.environ)
    name = paths.shown(path)
    if not path.exists():
        yield Finding(id="none", level="ok", text=f"{name}: none yet")
        return
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0)
        try:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        yield Finding(
            id="damaged",
            level="problem",
            text=f"{name}: {clean_line(str(said), 200)}",
            where=name,
            fix="move the file away (running totals and waiting approvals are then forgotten)",
        )
        return
    yield Finding(id="whole", level="ok", text=f"{name}: whole")
    try:
        with Inbox(path) as inbox:
            waiting = len(inbox.questions())
    except RecordError as error:
        yield Finding(id="unusable", level="problem", text=clean_line(str(error), 300), where=name)
        return
    if waiting:
        text = f"{waiting} approval{'s' if waiting > 1 else ''} waiting"
        yield Finding(id="waiting", level="note", text=text, fix="agent-host approvals list")


def folders_findings(_: Facts) -> Iterator[Finding]:
    """The user's folders: are they there, writable, and nobody else's."""
    cache = platformdirs.user_cache_path(paths.APP, appauthor=False)
    for what, folder in (("data", paths.user_data_folder()), ("cache", cache)):
        name = paths.shown(folder)
        there = nearest_there(folder)
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            text = f"{what}: {name} cannot be written"
            fix = f"make {paths.shown(there)} a folder that you can write"
            yield Finding(id="not-writable", level="problem", text=text, where=name, fix=fix)
            continue
        if there != folder:
            yield Finding(id="none", level="ok", text=f"{what}: {name}, made when it is needed")
            continue
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & 0o022:
            text = f"{what}: {name} can be written by others (mode {mode:04o})"
            fix = f"chmod 700 {name}"
            yield Finding(id="open", level="problem", text=text, where=name, fix=fix)
        else:
            text = f"{what}: {name}, mode {mode:04o}, {_free(folder)} MB free"
            yield Finding(id="folder", level="ok", text=text, where=name)


def audit_findings(facts: Facts) -> Iterator[Finding]:
    """Whether the audit log can be written and sent, and is whole."""
    if facts.loaded is None:
        return
    for level, text, fix in said_of_audit(facts.loaded, os.environ):
        yield Finding(id="log", level=level, text=text, fix=fix)
    folder = _audit_folder(facts.loaded)
    try:
        size = sum(path.stat().st_size for path in files(folder))
        if not size or not facts.loaded.config.audit.enabled:
            return
        if size > _VERIFIED:
            text = f"{size // 1_000_000} MB is much: `agent-host audit verify` follows all of it"
            yield Finding(id="not-verified", level="ok", text=text)
            return
        finding = verify(folder).finding
    except (OSError, RecordError):
        return  # said above
    if finding is None:
        yield Finding(id="whole", level="ok", text="whole: each entry is as it was written")
        return
    yield Finding(
        id="not-whole",
        level="problem",
        text=f"NOT WHOLE: {clean_line(finding.text, 300)}",
        where=f"{clean_line(finding.file, 100)}:{finding.line}" if finding.file else "",
        fix="keep a copy of the folder, then: agent-host audit verify",
    )


def clock_findings(facts: Facts) -> Iterator[Finding]:
    """Whether the clock is behind what was recorded before."""
    now = time.time()
    text = f"{datetime.fromtimestamp(now).astimezone().isoformat(timespec='seconds')}"
    if facts.loaded is not None:
        try:
            last = newest(_audit_folder(facts.loaded), 1)
            at = datetime.fromisoformat(str(last[0]["time"])).timestamp() if last else 0.0
        except (OSError, RecordError, ValueError, KeyError):
            at = 0.0
        if at > now + _BACK:
            text += f" is {at - now:,.0f} s before the newest audit entry"
            fix = "set the clock; a log in which time goes back convinces nobody"
            yield Finding(id="behind", level="problem", text=text, fix=fix)
            return
    yield Finding(id="now", level="ok", text=text)


def _audit_folder(loaded: Loaded) -> Path:
    settings = loaded.config.audit
    if settings.folder:
        return loaded.folder / Path(settings.folder).expanduser()
    return usual_folder(os.environ)
