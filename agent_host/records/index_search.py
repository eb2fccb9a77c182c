"""Finding runs in the index: by words, and by what they are.

Theory of operation: each word (or phrase) gives the set of runs that hold it anywhere, and a run is
found that is in all of them, so words of one run need not stand in one text. The run's number is in
the number of the text, so this reads the index of words alone. Only for the runs that are shown are
the places looked up: texts with all the words first, else those with any. The newest come first.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent_host.records.index import SHIFT, Index, noted, summarized
from agent_host.records.looked_for import LookedFor
from agent_host.records.reader import Summary, run_ids
from agent_host.records.said import END, HIT, MARK
from agent_host.records.tally import OUTCOMES

_LONGEST = 1000
"""Characters of a pattern: more than any name that is noted has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What runs must be; empty: anything. Names may hold `*` and `?`, and case does not count.

    `tool`: its name, or `server/tool`. `since`, `until`: UTC times as in Record, the run was under
    way between them. `cost`: at least so much. `outcome`: a part of it, as a list shows it.
    """

    tool: str = ""
    server: str = ""
    model: str = ""
    user: str = ""
    since: str = ""
    until: str = ""
    cost: float | None = None
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A text that was found: its turn (from 1), who says it, and a part of it with the hits between
    `said.HIT` and `said.END`."""

    turn: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """A run that was found, and where."""

    run: Summary
    places: tuple[Place, ...] = ()


def search(
    index: Index, words: LookedFor | None, filters: Filters, limit: int | None, places: int = 2
) -> tuple[list[Found], int]:
    """Return the newest runs that match, at most `limit`, and how many there are in all. An index
    that turns out to be damaged is made anew first."""
    try:
        return _search(index, words, filters, limit, places)
    except sqlite3.DatabaseError as error:
        index.renew(error)
    return _search(index, words, filters, limit, places)


def _search(
    index: Index, words: LookedFor | None, filters: Filters, limit: int | None, places: int
) -> tuple[list[Found], int]:
    clauses, values = ["1"], list[object]()
    for clause, *bound in (*_words(words), *_filters(filters)):
        clauses.append(str(clause))
        values.extend(bound)
    where = " AND ".join(clauses)
    sql = f"SELECT id FROM runs WHERE {where} ORDER BY name DESC"  # noqa: S608  # clauses of ours
    rows = [row for (row,) in index.db.execute(sql, values)]
    found = [
        Found(_summary(index, row), _places(index, row, words, places) if words else ())
        for row in rows[:limit]
    ]
    return found, len(rows)


def newest(index: Index, limit: int) -> tuple[list[Summary], int]:
    """Return the newest runs, and how many there are; the index need know of no others. One that
    turns out to be damaged is made anew first."""
    try:
        return _newest(index, limit)
    except sqlite3.DatabaseError as error:
        index.renew(error)
    return _newest(index, limit)


def _newest(index: Index, limit: int) -> tuple[list[Summary], int]:
    names = run_ids(index.folder)[::-1]
    found = []
    for name in names[:limit]:
        row = index.db.execute("SELECT id FROM runs WHERE name = ?", (name,)).fetchone()
        if row is not None:
            found.append(_summary(index, row[0]))
    return found, len(names)


def unanswered(index: Index, now: datetime) -> frozenset[str]:
    """Return the ids of the runs that wait for an approval which can still be given."""
    sql = "SELECT name, tally FROM runs WHERE outcome = ?"
    rows = index.db.execute(sql, (OUTCOMES["approval"],)).fetchall()
    return frozenset(name for name, tally in rows if _is_ahead(noted(tally).expires_at, now))


def _is_ahead(text: str, now: datetime) -> bool:
    try:
        return not text or datetime.fromisoformat(text) > now
    except (ValueError, TypeError):  # a record that somebody has changed
        return False


def _words(words: LookedFor | None) -> Iterator[Sequence[object]]:
    if words is None:
        return
    runs = f"(SELECT DISTINCT rowid >> {SHIFT} FROM said WHERE said MATCH ?)"  # noqa: S608
    for phrase in words.wanted:
        yield f"id IN {runs}", phrase
    for phrase in words.unwanted:
        yield f"id NOT IN {runs}", phrase


def _filters(filters: Filters) -> Iterator[Sequence[object]]:
    of = "id IN (SELECT run FROM traits WHERE kind = '{}' AND (value GLOB ? OR value GLOB ?))"
    if filters.tool:
        yield of.format("tool"), _glob(filters.tool), _glob(f"*/{filters.tool}")
    if filters.server:
        yield of.format("tool"), *[_glob(f"{filters.server}/*")] * 2
    if filters.model:  # a model's own name may hold a colon: llama3:8b
        yield of.format("model"), _glob(filters.model), _glob(f"*:{filters.model}")
    if filters.user:
        yield of.format("user"), *[_glob(filters.user)] * 2
    if filters.since:
        yield "last_at >= ?", filters.since
    if filters.until:
        yield "started_at <> '' AND started_at < ?", filters.until
    if filters.cost is not None:
        yield "cost >= ?", filters.cost
    if filters.outcome:
        yield "instr(lower(outcome), ?) > 0", filters.outcome.lower()


def _glob(pattern: str) -> str:
    return pattern.lower()[:_LONGEST].replace("[", "[[]")


def _summary(index: Index, row: int) -> Summary:
    sql = "SELECT name, tally, broken FROM runs WHERE id = ?"
    name, tally, broken = index.db.execute(sql, (row,)).fetchone()
    return summarized(index.folder, name, noted(tally), broken)


def _places(index: Index, row: int, words: LookedFor, limit: int) -> tuple[Place, ...]:
    sql = (
        "SELECT turn, kind, snippet(said, 0, ?, ?, '…', 24) FROM said "
        "WHERE said MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rowid LIMIT ?"
    )
    for query in dict.fromkeys((words.together, words.either)):
        bound = (HIT, END, query, row << SHIFT, (row + 1) << SHIFT, limit)
        found = index.db.execute(sql, bound).fetchall()
        if found:
            return tuple(Place(turn, kind, text.replace(MARK, "")) for turn, kind, text in found)
    return ()
