"""Bringing an index up to what its registry lists now.

Theory of operation: the first walk asks for everything, later ones for what changed since shortly
before the last one began, by the registry's own clock. Each page is written with the place it leads
to, so a walk that breaks off (a fault, a budget of time, Ctrl-C) goes on from there the next time.
Only one process walks at a time; the others search what is there. A cursor that the registry does
not take any more begins the walk again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from filelock import FileLock, Timeout

from agent_host.registry.client import Page, RegistryClient
from agent_host.registry.index import Index, Walk
from agent_host.registry.web import Fault

OVERLAP = timedelta(hours=1)
"""How much before its last beginning a walk asks again: clocks and transactions differ."""
_REFUSED = frozenset({400, 404, 410, 422})
ANEW = 30 * 86400.0
"""Seconds after which everything is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a walk came to. `entries`: seen; `skipped`: of these, no entries at all. `problem`: why
    it is not complete, one clean line; `whole`: the index holds everything up to now."""

    entries: int = 0
    skipped: int = 0
    problem: str = ""
    whole: bool = False


def sync(
    index: Index,
    client: RegistryClient,
    lock: Path,
    *,
    now: Callable[[], float],
    proceed: Callable[[int], bool] = lambda _: True,
) -> Synced:
    """Walk on until the index is whole, the registry fails or `proceed` says no.

    `lock`: the file that keeps other processes from walking too. `now`: seconds since the epoch.
    `proceed` is told how many servers are known after each page. Raises UnusableIndexError.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        return Synced(problem="another process is bringing the index up to date")
    try:
        return _walked(index, client, now, proceed)
    finally:
        held.release()


def _walked(
    index: Index,
    client: RegistryClient,
    now: Callable[[], float],
    proceed: Callable[[int], bool],
) -> Synced:
    walk = _begin(index.walk(), now())
    done = Synced()
    for page in client.pages(walk.cursor, walk.since):
        if isinstance(page, Fault):
            if page.status in _REFUSED and not done.entries:
                # Its cursor or its time is not taken any more: the next walk begins anew.
                reached = walk.reached if walk.cursor else ""
                index.add((), replace(walk, cursor="", began="", reached=reached))
            return replace(done, problem=page.text)
        walk = _on(walk, page)
        skipped = index.add(page.entries, walk)
        done = replace(
            done, entries=done.entries + len(page.entries), skipped=done.skipped + skipped
        )
        if page.cursor and not proceed(index.count()):
            return replace(done, problem="the registry's list is not all here yet")
    index.finish(replace(walk, reached=walk.began or walk.reached, synced=now()))
    return replace(done, whole=True)


def _begin(last: Walk, now: float) -> Walk:
    """Return the walk to go on with: the one under way, or a new one."""
    if last.cursor:
        return last
    old = not last.reached or now - last.synced > ANEW or now < last.synced
    return replace(last, since="" if old else _before(last.reached), began="")


def _on(walk: Walk, page: Page) -> Walk:
    """Return the walk after a page; its first page says when it began."""
    return replace(walk, cursor=page.cursor, began=walk.began or _time(page.date))


def _time(text: str) -> str:
    """Return an HTTP date as RFC 3339; empty for what is none."""
    try:
        return parsedate_to_datetime(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, TypeError, OverflowError):
        return ""


def _before(reached: str) -> str:
    try:
        time = datetime.fromisoformat(reached) - OVERLAP
    except (ValueError, OverflowError):
        return ""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
