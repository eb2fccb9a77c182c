"""An index that follows its registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from agent_host.registry.client import RegistryClient
from agent_host.registry.index import Index
from agent_host.registry.sync import ANEW, Synced, sync
from tests.fakes.registry_server import Registry, published_entries

NOW = 1_770_000_000.0


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index(tmp_path / "index.db") as opened:
        yield opened


@pytest.fixture
def big(registry: Registry) -> Registry:
    for entry in published_entries():
        registry.publish(entry)
    return registry


class Walker:
    def __init__(self, index: Index, client: RegistryClient, lock: Path) -> None:
        self.index, self.client, self.lock, self.time = index, client, lock, NOW

    def __call__(self, pages: int = 99) -> Synced:
        left = iter(range(pages - 1, -1, -1))
        return sync(
            self.index,
            self.client,
            self.lock,
            now=lambda: self.time,
            proceed=lambda _: next(left) > 0,
        )


@pytest.fixture
def walk(index: Index, client: RegistryClient, tmp_path: Path) -> Walker:
    return Walker(index, client, tmp_path / "lock")


def test_the_first_walk_brings_everything(big: Registry, index: Index, walk: Walker):
    assert walk() == Synced(entries=420, whole=True)
    assert index.count() == 420
    reached = index.walk()
    assert (reached.reached, reached.cursor, reached.synced) == ("2026-03-02T12:00:00Z", "", NOW)
    assert len(big.lists()) == 5


def test_the_next_walk_asks_for_changes_since_shortly_before_the_last_began(
    big: Registry, index: Index, walk: Walker
):
    walk()
    big.asked.clear()
    big.publish({"name": "a.b/new", "version": "1", "description": "new"}, "2026-03-02T11:30:00Z")
    big.mark("org.pypi/aapanel-mcp", "deleted", "2026-03-02T12:30:00Z", "spam")
    assert walk() == Synced(entries=2, whole=True)
    (query,) = big.lists()
    assert "updated_since=2026-03-02T11%3A00%3A00Z" in query
    assert index.count() == 421
    assert index.search("aapanel") == ()
    (hit,) = index.search("aapanel", every=True)
    assert hit.status == "deleted"


def test_an_updated_entry_replaces_the_old_one(big: Registry, index: Index, walk: Walker):
    walk()
    changed = {"name": "org.pypi/aapanel-mcp", "version": "9.0.0", "description": "rewritten"}
    big.publish(changed, "2026-03-02T12:30:00Z")
    walk()
    (hit,) = index.search("aapanel")
    assert (hit.version, hit.description) == ("9.0.0", "rewritten")


def test_a_walk_that_fails_in_the_middle_goes_on_from_there(
    big: Registry, index: Index, walk: Walker
):
    big.failing = dict.fromkeys(range(3, 9), 500)
    broken = walk()
    assert (broken.entries, broken.whole) == (200, False)
    assert "HTTP 500" in broken.problem
    assert index.count() == 200
    assert index.search("mcp", limit=5)
    big.failing = {}
    assert walk() == Synced(entries=220, whole=True)
    assert index.count() == 420
    assert big.lists()[5].startswith("limit=100&version=latest&include_deleted=true&cursor=")


def test_a_walk_that_is_told_to_stop_goes_on_the_next_time(
    big: Registry, index: Index, walk: Walker
):
    stopped = walk(pages=2)
    assert (stopped.entries, stopped.whole) == (200, False)
    assert "not all here yet" in stopped.problem
    assert walk().whole
    assert index.count() == 420


def test_what_changes_during_a_long_walk_is_asked_for_in_the_next(
    big: Registry, index: Index, walk: Walker
):
    walk(pages=2)
    first = published_entries()[0]
    big.publish(first | {"version": "9.9.9"}, "2026-03-02T13:00:00Z")  # behind the walk already
    big.now = "Mon, 02 Mar 2026 18:00:00 GMT"
    walk()
    assert index.walk().reached == "2026-03-02T12:00:00Z"
    walk()
    found = index.listing(first["name"])
    assert found is not None
    assert found.server.version == "9.9.9"


def test_a_cursor_that_is_not_taken_any_more_begins_the_walk_again(
    big: Registry, index: Index, walk: Walker
):
    walk(pages=1)
    big.failing = {2: 400}
    assert "HTTP 400" in walk().problem
    big.failing = {}
    assert walk() == Synced(entries=420, whole=True)


def test_a_registry_that_takes_no_time_is_walked_wholly(big: Registry, index: Index, walk: Walker):
    walk()
    big.failing = {6: 422}
    assert "HTTP 422" in walk().problem
    big.failing = {}
    assert walk() == Synced(entries=420, whole=True)


def test_what_is_not_listed_any_more_is_gone_after_a_walk_over_everything(
    big: Registry, index: Index, walk: Walker
):
    walk()
    big.forget("org.pypi/aapanel-mcp")
    walk()
    assert index.count() == 420
    walk.time += ANEW + 1
    assert walk() == Synced(entries=419, whole=True)
    assert index.count() == 419
    assert index.search("aapanel", every=True) == ()


def test_a_clock_that_was_set_back_means_everything(big: Registry, index: Index, walk: Walker):
    walk()
    walk.time -= 1000
    assert walk().entries == 420


def test_malformed_entries_among_good_ones_are_skipped_and_counted(
    big: Registry, index: Index, walk: Walker
):
    big.raw = [{"server": {"name": "x"}}, {"server": "y"}, {}, 7]
    assert walk() == Synced(entries=423, skipped=3, whole=True)
    assert index.count() == 420


def test_an_endless_list_ends_and_what_came_is_kept(big: Registry, index: Index, walk: Walker):
    big.endless = True
    done = walk()
    assert "goes in circles" in done.problem
    assert index.count() >= 100


def test_only_one_process_walks_at_a_time(big: Registry, walk: Walker):
    with FileLock(walk.lock):
        assert walk() == Synced(problem="another process is bringing the index up to date")
    assert big.asked == []


def test_a_registry_without_a_date_is_walked_wholly_each_time(
    big: Registry, index: Index, walk: Walker
):
    big.now = "soon"
    walk()
    assert index.walk().reached == ""
    assert walk().entries == 420
