"""What a registry listed, kept on this machine for search without a network.

Theory of operation: one SQLite file (WAL) for each registry: a row a server with its latest entry,
and a full-text table over its names and texts. A page of the registry's list and the place that
the walk has come to are written in one transaction, so a walk that breaks off goes on where it
was, and readers never see half a page. The file can always be made again: one that is broken, or
of another layout, is put away and begun anew. A name that matches goes before a title, a title
before a description, and how often a text says a word counts nothing.
"""

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from agent_host.registry.server_json import Listing, Malformed, Status, read_listing
from agent_host.registry.words import asked, indexed, owner, words
from agent_host.state.folders import private_folder

LAYOUT = 1
_BUSY = 10.0  # seconds to wait for another process
_CANDIDATES = 400
_ENTRY = 256 * 1024
"""The most bytes of an entry's JSON that are kept."""

_SCHEMA = """
CREATE TABLE servers (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, title TEXT NOT NULL,
    description TEXT NOT NULL, version TEXT NOT NULL, status TEXT NOT NULL,
    updated TEXT NOT NULL, walk INTEGER NOT NULL, entry BLOB NOT NULL
);
CREATE INDEX servers_nocase ON servers (name COLLATE NOCASE);
CREATE VIRTUAL TABLE terms USING fts5(
    name, title, description, owner,
    tokenize = 'porter unicode61 remove_diacritics 2', prefix = '2 3'
);
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
"""
_MATCHING = (
    "SELECT s.name, s.title, s.description, s.version, s.status, s.updated FROM "
    "(SELECT rowid AS found, bm25(terms, 10.0, 6.0, 1.0, 2.0) AS rank FROM terms "
    "WHERE terms MATCH ?) JOIN servers AS s ON s.id = found {status} "
    "ORDER BY rank, s.name LIMIT ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A server that a search found. Texts are as the registry has them."""

    name: str
    title: str
    description: str
    version: str
    status: Status
    updated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How far a walk over the registry's list is, and what was reached before.

    `number`: of this walk. `cursor`: where it goes on; empty: no walk is under way. `since`: what
    it asks for, empty: everything. `began`: the registry's time at its start, RFC 3339. `reached`:
    everything that changed before this time is here; empty: no walk was ever finished. `synced`:
    when the last one was, seconds since the epoch by this machine's clock.
    """

    number: int = 1
    cursor: str = ""
    since: str = ""
    began: str = ""
    reached: str = ""
    synced: float = 0.0


class UnusableIndexError(Exception):
    """The file cannot be used now; the text says why."""


class Index:
    """An open index. Not for more than one thread; as many processes as want to."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises UnusableIndexError where it cannot be written."""
        self._path = path
        try:
            private_folder(path.parent)
        except OSError as error:
            why = f"{path.parent} cannot be made ({error.strerror})"
            raise UnusableIndexError(why) from None
        try:
            self._db = _opened(path)
        except sqlite3.DatabaseError as error:
            if _is_sound(error):
                raise UnusableIndexError(_why(error)) from None
            self._db = self._renewed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _renewed(self) -> sqlite3.Connection:
        try:
            for end in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + end).unlink(missing_ok=True)
            return _opened(self._path)
        except (sqlite3.DatabaseError, OSError) as error:
            raise UnusableIndexError(f"it cannot be made ({error})") from None

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        """A broken file costs the index, never the command."""
        try:
            yield self._db
        except sqlite3.DatabaseError as error:
            if _is_sound(error):
                raise UnusableIndexError(_why(error)) from None
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = self._renewed()
            raise UnusableIndexError(f"it was broken and is begun anew ({error})") from None

    def count(self) -> int:
        """Return how many servers are known, of any status."""
        with self._guarded() as db:
            return int(db.execute("SELECT count(*) FROM servers").fetchone()[0])

    def walk(self) -> Walk:
        """Return how far the copy is."""
        with self._guarded() as db:
            state = dict(db.execute("SELECT key, value FROM state"))
        try:
            return Walk(
                number=int(state.get("number", "1")),
                cursor=state.get("cursor", ""),
                since=state.get("since", ""),
                began=state.get("began", ""),
                reached=state.get("reached", ""),
                synced=float(state.get("synced", "0")),
            )
        except ValueError:
            return Walk()

    def add(self, entries: Iterable[Mapping[str, Any]], walk: Walk | None = None) -> int:
        """Take entries over, and where the walk is now, in one step.

        Return how many of them were no entries. Without a walk: entries that were found by the
        way.
        """
        listings = [(raw, read_listing(dict(raw))) for raw in entries]
        with self._guarded() as db, _transaction(db):
            for raw, listing in listings:
                if isinstance(listing, Listing) and listing.latest:
                    _put(db, listing, raw, walk.number if walk else 0)
            if walk is not None:
                _keep(db, walk)
        return sum(isinstance(listing, Malformed) for _, listing in listings)

    def finish(self, walk: Walk) -> None:
        """End a walk. After one over everything, what it has not met is not listed any more."""
        with self._guarded() as db, _transaction(db):
            if not walk.since:
                db.execute(
                    "DELETE FROM terms WHERE rowid IN (SELECT id FROM servers WHERE walk < ?)",
                    (walk.number,),
                )
                db.execute("DELETE FROM servers WHERE walk < ?", (walk.number,))
            _keep(db, replace(walk, cursor="", number=walk.number + 1))

    def listing(self, name: str) -> Listing | None:
        """Return the latest entry of a server, its name in any case."""
        with self._guarded() as db:
            row = db.execute(
                "SELECT entry FROM servers WHERE name = ? COLLATE NOCASE", (name,)
            ).fetchone()
        if row is None:
            return None
        try:
            found = read_listing(json.loads(zlib.decompress(row[0])))
        except (ValueError, zlib.error):
            return None
        return found if isinstance(found, Listing) else None

    def named(self, short: str, limit: int = 10) -> tuple[str, ...]:
        """Return the names of active servers whose part after the slash is `short`."""
        with self._guarded() as db:
            rows = db.execute(
                "SELECT name FROM servers WHERE status = 'active' AND name LIKE ? ESCAPE '!' "
                "ORDER BY name LIMIT ?",
                ("%/" + short.replace("!", "!!").replace("%", "!%").replace("_", "!_"), limit),
            ).fetchall()
        return tuple(row[0] for row in rows)

    def search(self, text: str, limit: int = 20, *, every: bool = False) -> tuple[Hit, ...]:
        """Return the servers that fit `text` best, all its words found if any server has them all.

        `every`: deprecated and deleted ones too, after the active ones.
        """
        wanted = asked(text)
        if not wanted or limit < 1:
            return ()
        found = self._matching(wanted, " AND ", every=every)
        if len(found) < limit and len(wanted) > 1:
            known = {hit.name for hit in found}
            more = self._matching(wanted, " OR ", every=every)
            found = [*found, *(hit for hit in more if hit.name not in known)]
        order = {hit.name: place for place, hit in enumerate(found)}
        found.sort(key=lambda hit: (*_merit(hit, wanted, text), order[hit.name]))
        return tuple(found[:limit])

    def _matching(self, wanted: Sequence[str], joined: str, *, every: bool) -> list[Hit]:
        match = joined.join(f'"{word}"*' for word in wanted)
        query = _MATCHING.format(status="" if every else "AND s.status = 'active'")
        with self._guarded() as db:
            rows = db.execute(query, (match, _CANDIDATES)).fetchall()
        keys = ("name", "title", "description", "version", "status", "updated")
        return [Hit(**dict(zip(keys, row, strict=True))) for row in rows]


def _merit(hit: Hit, wanted: Sequence[str], text: str) -> tuple[bool, bool, int]:
    """What goes before how rare a word is: smaller is better. A status that is not active; a name
    that is not just what was asked for; how many of the words are not in the name, how many are
    not in its title either, less those that are the publisher's own name."""
    namespace, _, short = hit.name.partition("/")
    exact = text.strip().lower() in (hit.name.lower(), short.lower())
    in_name, in_title, owned = words(short), words(hit.title), owner(namespace)
    distance = 0
    for ask in wanted:
        named = any(word.startswith(ask) for word in in_name)
        titled = named or any(word.startswith(ask) for word in in_title)
        distance += (not named) + (not titled) - (ask in owned)
    return hit.status != "active", not exact, distance


def _put(db: sqlite3.Connection, listing: Listing, raw: Mapping[str, Any], walk: int) -> None:
    """Write one server; an entry that is older than the one that is here is not taken."""
    server = listing.server
    entry = json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    if len(entry) > _ENTRY:
        return
    namespace, _, short = server.name.partition("/")
    known = db.execute(
        "SELECT id, updated, walk FROM servers WHERE name = ?", (server.name,)
    ).fetchone()
    if known is not None:
        if listing.updated and known[1].rstrip("Z") > listing.updated.rstrip("Z"):
            db.execute("UPDATE servers SET walk = max(walk, ?) WHERE id = ?", (walk, known[0]))
            return
        db.execute("DELETE FROM terms WHERE rowid = ?", (known[0],))
        db.execute("DELETE FROM servers WHERE id = ?", (known[0],))
        walk = max(walk, known[2])
    row = (server.name, server.title, server.description, server.version, listing.status)
    done = db.execute(
        "INSERT INTO servers (name, title, description, version, status, updated, walk, entry) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*(_storable(text) for text in row), listing.updated, walk, zlib.compress(entry, 6)),
    )
    texts = (" ".join(words(short)), indexed(server.title), indexed(server.description))
    db.execute(
        "INSERT INTO terms (rowid, name, title, description, owner) VALUES (?, ?, ?, ?, ?)",
        (done.lastrowid, *texts, " ".join(owner(namespace))),
    )


def _storable(text: str) -> str:
    """SQLite takes no lone surrogates, which JSON may hold."""
    return text.encode("utf-8", "replace").decode()


def _keep(db: sqlite3.Connection, walk: Walk) -> None:
    state = {
        "number": str(walk.number),
        "cursor": walk.cursor,
        "since": walk.since,
        "began": walk.began,
        "reached": walk.reached,
        "synced": repr(walk.synced),
    }
    db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _opened(path: Path) -> sqlite3.Connection:
    """Open the file, and make its tables if it is new. Raises sqlite3.DatabaseError."""
    db = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        layout = _layout(db)
        if layout == 0:
            with _transaction(db):
                layout = _layout(db)  # another process may have been faster
                for statement in _SCHEMA.split(";") if layout == 0 else ():
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {layout or LAYOUT}")
    except BaseException:
        db.close()
        raise
    if layout not in (0, LAYOUT):
        db.close()
        raise sqlite3.DatabaseError("it has another layout")
    return db


def _layout(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _why(error: sqlite3.DatabaseError) -> str:
    busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )
    return "it is in use by another process; try again" if busy else str(error)


def _is_sound(error: sqlite3.DatabaseError) -> bool:
    """Whether it is the world around the file that fails, and not what is in it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
    )
