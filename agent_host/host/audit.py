"""The audit log of a session, and of what is done by hand.

Theory of operation: `Audited` stands between a session and its transcript: the entries of a record
are in the log before the record is in the transcript, so before anybody can act on it. A log that
cannot be written stops the run, as a transcript does. Entries hold values without secrets. The log
is the user's, of all projects; a collector that only a project's servers.toml names gets that
project's entries.
"""

import contextlib
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from agent_host import __version__
from agent_host.audit.entries import SILENT, Facts, Projection, bounded
from agent_host.audit.keys import Signer
from agent_host.audit.log import AuditLog
from agent_host.audit.retention import retire
from agent_host.config import paths
from agent_host.config.audit_place import key_file, usual_folder
from agent_host.config.load import Loaded
from agent_host.config.record_tables import AuditConfig
from agent_host.config.values import retention
from agent_host.core.conversation import Conversation
from agent_host.core.errors import RecordError
from agent_host.core.events import (
    ModelResponded,
    PolicyDecided,
    Record,
    ToolFinished,
    ToolStarted,
)
from agent_host.core.types import JsonObject, Principal, Tool, ToolResult
from agent_host.host.secrets import Secrets
from agent_host.ports import Journal
from agent_host.records.redact import Redactor

if TYPE_CHECKING:
    from agent_host.audit.sender import Background, Sender
    from agent_host.audit.spool import Spool

END_SECONDS = 2.0
"""How long the end of a run waits for a collector."""


def audit_folder(loaded: Loaded, environ: Mapping[str, str]) -> Path:
    """Return the folder of the audit log that a config names."""
    named = loaded.config.audit.folder
    if named:
        return loaded.folder / Path(named).expanduser()
    return usual_folder(environ)


def signer(environ: Mapping[str, str]) -> Signer:
    """Return who signs for this user."""
    return Signer(key_file(environ))


def open_log(loaded: Loaded, environ: Mapping[str, str]) -> AuditLog:
    """Open the audit log for appending. Raises RecordError."""
    return AuditLog(
        audit_folder(loaded, environ),
        clock=_now,
        signer=signer(environ),
        max_file=loaded.config.audit.max_file,
    )


def spool_of(loaded: Loaded, environ: Mapping[str, str], secrets: Secrets) -> "Spool | None":
    """Return what waits for the collector that a config names, None if it names none."""
    to = _resolved(loaded, secrets)[0]
    if to is None:
        return None
    from agent_host.audit.spool import Spool

    everything = loaded.organisation is not None and loaded.organisation.config.audit is not None
    project = "" if everything or paths.is_users_own(loaded.path) else str(loaded.path)
    return Spool(audit_folder(loaded, environ), to, project)


def sender_of(loaded: Loaded, environ: Mapping[str, str], secrets: Secrets) -> "Sender | None":
    """Return who sends to the collector that a config names. Raises ConfigError."""
    spool = spool_of(loaded, environ, secrets)
    to, headers = _resolved(loaded, secrets)
    if spool is None or to is None:
        return None
    from agent_host.audit.collector import Collector
    from agent_host.audit.sender import Sender

    return Sender(spool, Collector(to, headers, redact=secrets.redactor.text), __version__)


def _background(sender: "Sender") -> "Background":
    from agent_host.audit.sender import Background

    return Background(sender)


class Auditing:
    """The audit log of one session, as a context. Raises RecordError if it cannot be written,
    ConfigError if the collector's headers cannot be resolved."""

    def __init__(self, loaded: Loaded, secrets: Secrets) -> None:
        self._loaded = loaded
        self._secrets = secrets
        self._settings: AuditConfig = loaded.config.audit
        self._log: AuditLog | None = None
        self._background: Background | None = None
        self._sender: Sender | None = None
        self._projection: Projection | None = None
        self._finished = False
        if not self._settings.enabled:
            return
        self._sender = sender_of(loaded, secrets.environ, secrets)
        self._log = open_log(loaded, secrets.environ)
        if self._sender is not None:
            self._background = _background(self._sender)

    def around(self, transcript: Journal, policy: str, before: Conversation) -> Journal:
        """Return what a session writes to instead of its transcript. `policy`: the hash of the
        rules in force; `before`: what a run that is resumed was."""
        if self._log is None:
            return transcript
        facts = Facts(
            host=__version__,
            project=str(self._loaded.path),
            config=self._loaded.fingerprint,
            policy=policy,
            arguments=self._settings.arguments,
        )
        self._projection = Projection(facts)
        self._projection.resume(before)
        return Audited(
            transcript, self._log, self._projection, self._secrets.redactor, self._background
        )

    def finish(self) -> str:
        """Sign what was written if any call was made, remove what is too old, send what waits;
        return why not all was sent, for people, or ""."""
        if self._log is None or self._finished:
            return ""
        self._finished = True
        try:
            if self._projection is not None and self._projection.called:
                self._log.checkpoint()
            self._retire(self._log)
        except RecordError as error:
            return f"the audit log has no checkpoint of this run: {error}"
        if self._background is None:
            return ""
        self._background.wake()
        problem = self._background.close(END_SECONDS)
        return f"audit entries wait to be sent: {problem}" if problem else ""

    def close(self) -> None:
        """Let go of the log; may be called twice."""
        if self._log is not None:
            self.finish()
            self._log.close()

    def _retire(self, log: AuditLog) -> None:
        if self._settings.retention is None:
            return
        limit = datetime.now(UTC) - timedelta(seconds=retention(self._settings.retention))
        kept = self._sender.spool.state().cursor.seq if self._sender else None
        signing = signer(self._secrets.environ)
        retire(log, signing, before=_time(limit), now=_now, kept=kept)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Audited:
    """A journal whose records are in the audit log first; implements `ports.Journal`."""

    def __init__(
        self,
        inner: Journal,
        log: AuditLog,
        projection: Projection,
        redactor: Redactor,
        background: "Background | None" = None,
    ) -> None:
        self._inner = inner
        self._log = log
        self._projection = projection
        self._redactor = redactor
        self._background = background

    def append(self, record: Record) -> None:
        """Write the record's entries, then the record. Raises RecordError."""
        entries = self._projection.take(_without_secrets(record, self._redactor))
        if entries:
            self._log.append(entries)
        try:
            self._inner.append(record)
        except RecordError:
            if entries:
                with contextlib.suppress(RecordError):
                    self._log.append([_void(record)])
            raise
        if entries and self._background is not None:
            self._background.wake()

    def sync(self) -> None:
        """Return once both are on disk. Raises RecordError. Side by side: one after the other
        takes three times as long (measured on ext4: 12 ms, 4 ms)."""
        problems: list[RecordError] = []

        def sync_log() -> None:
            try:
                self._log.sync()
            except RecordError as error:
                problems.append(error)

        beside = threading.Thread(target=sync_log, name="audit-sync")
        beside.start()
        try:
            self._inner.sync()
        finally:
            beside.join()
        if problems:
            raise problems[0]

    def keep(self, name: str, data: bytes) -> str:
        """Store an artifact beside the transcript. Raises RecordError."""
        return self._inner.keep(name, data)


class HandCall:
    """A call that a person makes without a run. Raises RecordError where the log cannot be
    written; nothing happens where it is off."""

    def __init__(
        self, loaded: Loaded, environ: Mapping[str, str], who: Principal, redactor: Redactor
    ) -> None:
        self._log = open_log(loaded, environ) if loaded.config.audit.enabled else None
        settings = loaded.config.audit
        facts = Facts(project=str(loaded.path), arguments=settings.arguments)
        self._projection = Projection(facts)
        self._projection.act_for(who)
        self._redactor = redactor

    def judged(self, decided: PolicyDecided, arguments: JsonObject) -> None:
        """Write what policy said of the call."""
        self._projection.propose(decided.call_id, arguments)
        self._take(decided)

    def started(self, tool: Tool, arguments: JsonObject) -> None:
        """Write, on disk, that a call is about to be made."""
        self._take(
            ToolStarted(
                call_id="by-hand",
                server=tool.server,
                tool=tool.tool,
                fingerprint=tool.fingerprint,
                arguments=arguments,
            )
        )
        if self._log is not None:
            self._log.sync()

    def finished(self, result: ToolResult) -> None:
        """Write what became of it, or that it did not run."""
        self._take(ToolFinished(result=result))
        if self._log is not None:
            self._log.close()

    def _take(self, event: PolicyDecided | ToolStarted | ToolFinished) -> None:
        if self._log is None:
            return
        record = Record(seq=0, at=_now(), run_id="", event=event)
        entries = self._projection.take(_without_secrets(record, self._redactor))
        self._log.append([{**entry, "by_hand": True} for entry in entries])


def record_act(
    loaded: Loaded,
    environ: Mapping[str, str],
    who: Principal,
    kind: str,
    *,
    redactor: Redactor | None = None,
    **said: Any,
) -> None:
    """Write an entry of something that a person did outside of a run, and return once it is on
    disk. `kind`: its type, as `pins_accepted` (lower case, joined by _); `said`: texts, numbers
    and lists of texts. Raises RecordError."""
    if not loaded.config.audit.enabled:
        return
    values = bounded(redactor.value(said) if redactor else said)
    entry = {"who": who.id, "who_from": who.authenticated_by, "project": str(loaded.path), **values}
    log = open_log(loaded, environ)
    try:
        log.append([{**entry, "type": kind, "time": _now()}])
        log.sync()
    finally:
        log.close()


def _without_secrets(record: Record, redactor: Redactor) -> Record:
    """Return a record as the transcript will have it; what is no entry is not looked through."""
    if type(record.event) in SILENT and not isinstance(record.event, ModelResponded):
        return record
    redactor.encode(record)  # most records hold none, which is seen at once in their line
    return redactor.item(record)


def _void(record: Record) -> dict[str, Any]:
    """The transcript could not take what the log already has: it did not happen."""
    return {
        "type": "not_recorded",
        "time": record.at,
        "run": record.run_id,
        "record": record.seq,
        "event": record.event.type,
    }


def _resolved(loaded: Loaded, secrets: Secrets) -> tuple[str | None, dict[str, str]]:
    settings = loaded.config.audit

    def value(text: str, *key: str) -> str:
        return secrets.resolve(text, loaded.folder, loaded.at("audit", *key))

    if settings.send_to is None:
        return None, {}
    headers = {
        name: value(text, "send_headers", name) for name, text in settings.send_headers.items()
    }
    return value(settings.send_to, "send_to"), headers


def _now() -> str:
    return _time(datetime.now(UTC))


def _time(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
