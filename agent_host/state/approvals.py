"""Calls that wait for people of other terminals, and what those people answer.

Theory of operation: a run publishes its question while it waits, and whoever may approve puts an
answer beside it; the run, or the one that resumes it, takes the answer. Nothing here is believed:
the run checks every answer against its own question (`core.approvals`). An answer belongs to one
`binding`, which no later question has again, so a row that comes back opens nothing. Answers are
kept for a while with what became of them, for those who gave them. The questions are derived from
transcripts and can be found there again when this file is lost. `Inbox` raises RecordError alone.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import TypeAdapter, ValidationError

from agent_host.core.approvals import Yes
from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.core.types import ApprovalTerms, JsonObject, LabelSeen, Tool
from agent_host.state.database import connect, transaction

KEPT_SECONDS = 30 * 86400
"""How long an answer is kept after it was given."""

CHANGED = "what is asked has changed: the arguments, the tool, or the rules that ask"
"""Why an answer to an earlier question about a call does not count."""

SHORT = 8
"""Letters of a short id, at least."""

_TABLES = """
CREATE TABLE IF NOT EXISTS approval_questions (
    binding TEXT PRIMARY KEY,
    folder TEXT NOT NULL,
    run_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    asked_at REAL NOT NULL,
    question TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS approval_answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    binding TEXT NOT NULL,
    run_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    answered_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'given',
    why TEXT NOT NULL DEFAULT '',
    answer TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS approval_answers_binding ON approval_answers (binding, state);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A question that waits for an answer. `folder` holds the run's transcript, `config` is its
    servers.toml; `arguments` are as records show them; `asked_at` is in seconds since the epoch;
    `definition` is the tool that was asked about, where that is known; else as in
    `ApprovalRequested` and `ApprovalQuestion`."""

    binding: str
    folder: str
    config: str
    run_id: str
    call_id: str
    server: str
    tool: str
    fingerprint: str
    arguments: JsonObject
    asked_at: float
    rule: str = ""
    origin: str = ""
    rules: tuple[str, ...] = ()
    reason: str = ""
    in_doubt: bool = False
    terms: ApprovalTerms = ApprovalTerms()
    requester: str = ""
    requester_from: str = ""
    yeses: tuple[Yes, ...] = ()
    labels: tuple[LabelSeen, ...] = ()
    expires_at: str = ""
    definition: Tool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer from outside. `proof`: the ID token of whoever gave it, if they have one, which
    the run verifies by itself; gone, as are the arguments and the reason, which may hold secrets,
    once the answer was taken or refused. `state`: `given`, `taken` (it is a fact of the run) or
    `refused`, for what `why` says."""

    binding: str
    run_id: str
    call_id: str
    decision: Literal["approve", "deny"]
    by: str
    authenticated_by: str
    roles: tuple[str, ...]
    answered_at: float
    arguments: JsonObject | None = None
    reason: str = ""
    about: str = ""
    proof: str = field(default="", repr=False)
    id: int = 0
    state: Literal["given", "taken", "refused"] = "given"
    why: str = ""


class Inbox:
    """The two tables, in one process. Use from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._sound():
            self._db = connect(path, _TABLES)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def version(self) -> int:
        """A number that changes when another process has changed the file (cheap: no reading)."""
        with self._sound():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    # -- questions ---------------------------------------------------------------------------

    def publish(self, question: Waiting) -> None:
        """Let others see a question; it takes the place of any other about that call, and what
        was answered to that one does not count."""
        with self._sound(), transaction(self._db):
            self._db.execute(
                "DELETE FROM approval_questions WHERE folder = ? AND run_id = ? AND call_id = ?",
                (question.folder, question.run_id, question.call_id),
            )
            self._db.execute(
                "INSERT OR REPLACE INTO approval_questions VALUES (?, ?, ?, ?, ?, ?)",
                (
                    question.binding,
                    question.folder,
                    question.run_id,
                    question.call_id,
                    question.asked_at,
                    _written(question),
                ),
            )
            for answer in self._answers(
                "state = 'given' AND run_id = ? AND call_id = ? AND binding <> ?",
                question.run_id,
                question.call_id,
                question.binding,
            ):
                self._settle(answer, "refused", CHANGED)

    def withdraw(self, run_id: str, call_id: str | None = None) -> None:
        """Nobody asks about that call (None: any call) of a run any more; answers that nobody has
        taken are refused."""
        calls = ("", ()) if call_id is None else (" AND call_id = ?", (call_id,))
        where, values = f"run_id = ?{calls[0]}", (run_id, *calls[1])
        with self._sound(), transaction(self._db):
            self._db.execute(f"DELETE FROM approval_questions WHERE {where}", values)  # noqa: S608 - our own words
            for answer in self._answers(f"state = 'given' AND {where}", *values):
                self._settle(answer, "refused", "nobody asks that any more")

    def questions(self) -> list[Waiting]:
        """Return what waits, the oldest first; what cannot be read is left out."""
        with self._sound():
            rows = self._db.execute(
                "SELECT question FROM approval_questions ORDER BY asked_at, binding"
            ).fetchall()
        return [found for (text,) in rows if (found := _question(text)) is not None]

    # -- answers -----------------------------------------------------------------------------

    def answer(self, given: Answered) -> int:
        """Keep an answer and return its id. Whoever answers again for the same question takes
        their first answer back. Old answers are forgotten."""
        with self._sound(), transaction(self._db):
            self._db.execute(
                "DELETE FROM approval_answers WHERE answered_at < ?",
                (given.answered_at - KEPT_SECONDS,),
            )
            for before in self._answers("binding = ? AND state = 'given'", given.binding):
                if (before.by, before.authenticated_by) == (given.by, given.authenticated_by):
                    self._settle(before, "refused", "they answered again")
            return self._insert(given)

    def given(self, binding: str) -> list[Answered]:
        """Return the answers to a question that nobody has taken, the first first."""
        with self._sound():
            return self._answers("binding = ? AND state = 'given'", binding)

    def take(self, answer: Answered) -> bool:
        """Make an answer one that counted; False if it was settled before: each is taken once."""
        return self._change(answer, "taken", "")

    def refuse(self, answer: Answered, why: str) -> bool:
        """Make an answer one that does not count, and say why; False if it was settled before."""
        return self._change(answer, "refused", why)

    def look(self, answer_id: int) -> Answered | None:
        """Return an answer as it stands now."""
        with self._sound():
            return next(iter(self._answers("id = ?", answer_id)), None)

    def not_counted(self, since: float) -> list[Answered]:
        """Return the answers since then that did not count, the first first."""
        with self._sound():
            return self._answers(
                "state = 'refused' AND why <> 'they answered again' AND answered_at >= ?", since
            )

    # -- rows --------------------------------------------------------------------------------

    def _insert(self, given: Answered) -> int:
        row = self._db.execute(
            "INSERT INTO approval_answers (binding, run_id, call_id, answered_at, answer) "
            "VALUES (?, ?, ?, ?, ?)",
            (given.binding, given.run_id, given.call_id, given.answered_at, _written(given)),
        )
        return row.lastrowid or 0

    def _change(self, answer: Answered, state: str, why: str) -> bool:
        with self._sound(), transaction(self._db):
            return self._settle(answer, state, why)

    def _settle(self, answer: Answered, state: str, why: str) -> bool:
        row = self._db.execute(
            "UPDATE approval_answers SET state = ?, why = ?, answer = ? "
            "WHERE id = ? AND state = 'given'",
            (state, why, _written(replace(answer, proof="", arguments=None, reason="")), answer.id),
        )
        return row.rowcount == 1

    def _answers(self, where: str, *values: object) -> list[Answered]:
        rows = self._db.execute(
            "SELECT id, binding, run_id, call_id, answered_at, state, why, answer "  # noqa: S608
            f"FROM approval_answers WHERE {where} ORDER BY id",
            values,
        ).fetchall()
        return [found for row in rows if (found := _answer(row)) is not None]

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RecordError(
                f"{clean_line(str(self._path), 500)}: approvals cannot be read or written: "
                f"{clean_line(str(error), 200)}; check the folder, or move the file away and "
                "find what waits again with `agent-host approvals list --rebuild`"
            ) from None


def shortened(bindings: list[str]) -> dict[str, str]:
    """Return a short id for each of these bindings, which no other of them begins with."""
    length = SHORT
    while len({binding[:length] for binding in bindings}) < len(set(bindings)):
        length += 1
    return {binding: binding[:length] for binding in bindings}


def _written(value: Waiting | Answered) -> str:
    return json.dumps(asdict(value))


@cache
def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _question(text: str) -> Waiting | None:
    """A row may be of another version of this program, or of nobody: what is none is left out."""
    try:
        found: Waiting = _reader(Waiting).validate_python(json.loads(text))
    except (ValidationError, ValueError, RecursionError):
        return None
    return found


def _answer(row: tuple[Any, ...]) -> Answered | None:
    """The columns say what the row is about; whatever the text says of that does not count."""
    answer_id, binding, run_id, call_id, answered_at, state, why, text = row
    about = {"id": answer_id, "binding": binding, "run_id": run_id, "call_id": call_id}
    about |= {"answered_at": answered_at, "state": state, "why": why}
    try:
        found: Answered = _reader(Answered).validate_python({**json.loads(text), **about})
    except (ValidationError, ValueError, RecursionError, TypeError):
        return None
    return found
