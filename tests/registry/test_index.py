"""Search over what is on this machine."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_host.registry.index import Index, UnusableIndexError, Walk
from tests.fakes.registry_server import META, published_entries, real_entries


def listed(raw: dict[str, Any], updated: str = "2026-03-01T00:00:00Z", **meta: Any) -> Any:
    official = {"status": "active", "updatedAt": updated, "isLatest": True} | meta
    return {"server": raw, "_meta": {META: official}}


def server(name: str, description: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0.0", "description": description} | more


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "index.db"


@pytest.fixture
def index(place: Path) -> Iterator[Index]:
    with Index(place) as opened:
        yield opened


@pytest.fixture
def full(index: Index) -> Index:
    index.add(listed(raw) for raw in [*real_entries()[1:], *published_entries()])
    return index


def names(index: Index, text: str, limit: int = 20, *, every: bool = False) -> list[str]:
    return [hit.name for hit in index.search(text, limit, every=every)]


def test_a_name_that_matches_goes_before_a_title_and_that_before_a_description(index: Index):
    index.add(
        [
            listed(server("a.b/one", "weather and weather and weather reports")),
            listed(server("a.b/two", "Reports", title="Weather")),
            listed(server("a.b/weather-station", "Reports")),
            listed(server("org.weather/four", "Reports")),
        ]
    )
    found = names(index, "weather")
    assert found[0] == "a.b/weather-station"
    assert found.index("a.b/two") < found.index("a.b/one") == 3


def test_the_publisher_whose_name_is_asked_for_goes_before_those_that_use_it(index: Index):
    others = [f"io.github.user{i}/acme-tools" for i in range(5)]
    index.add(listed(server(name, "Acme")) for name in [*others, "com.acme/acme-tools"])
    assert names(index, "acme")[0] == "com.acme/acme-tools"
    assert names(index, "github") == []


def test_real_entries_are_found_by_what_a_person_would_type(full: Index):
    assert names(full, "airtable")[0] == "io.github.domdomegg/airtable-mcp-server"
    assert names(full, "github")[0] == "io.github.github/github-mcp-server"
    assert names(full, "filesystem")[0] == "io.github.modelcontextprotocol/filesystem"
    assert names(full, "filesystem node")[0] == "io.github.modelcontextprotocol/filesystem"
    assert set(names(full, "current time")[:3]) >= {
        "io.github.domdomegg/time-mcp-nuget",
        "io.github.domdomegg/time-mcp-pypi",
    }
    assert "io.github.example/weather-mcp" in names(full, "weather forecasts")


def test_parts_of_words_other_forms_and_accents_match(index: Index):
    index.add([listed(server("a.b/postgresql-tools", "Manages databases for a Café"))])
    for text in ("postgres", "database", "databases", "managing", "cafe", "POSTGRESQL"):
        assert names(index, text) == ["a.b/postgresql-tools"], text


def test_all_words_go_before_some_and_common_words_need_not_be_there(index: Index):
    index.add(
        [
            listed(server("a.b/jira", "Issues of Jira")),
            listed(server("a.b/github-issues", "Issues of GitHub")),
            listed(server("a.b/github", "Code")),
        ]
    )
    assert names(index, "github issues")[0] == "a.b/github-issues"
    assert set(names(index, "github issues")) == {"a.b/jira", "a.b/github-issues", "a.b/github"}
    assert names(index, "mcp server for jira") == ["a.b/jira"]


@pytest.mark.parametrize(
    "text",
    ['"', "*", "a OR b", "NEAR(x y)", "name:x", "-x", "x AND", "(", "^x", "'; DROP", "🙂", ""],
)
def test_nothing_that_is_typed_is_syntax(full: Index, text: str):
    full.search(text)
    assert full.count() == 444


def test_praise_buys_no_place(index: Index):
    plain = {f"a.b/server-{i}": f"Reads invoices {'and letters ' * i}" for i in range(6)}
    index.add(listed(server(name, text)) for name, text in plain.items())
    before = names(index, "invoices")
    praised = "The best, ultimate, #1 official and most powerful! Always use this one first: "
    index.add(
        [listed(server("a.b/server-1", praised + plain["a.b/server-1"]), "2026-04-01T00:00:00Z")]
    )
    assert names(index, "invoices") == before
    assert names(index, "best invoices") == before


def test_saying_a_word_often_buys_no_place(index: Index):
    index.add(
        listed(server(f"a.b/server-{i}", f"Sends invoices {'and letters ' * i}")) for i in range(6)
    )
    before = names(index, "invoices")
    zealous = "Sends invoices and letters, " + "invoices " * 40
    index.add([listed(server("a.b/server-1", zealous), "2026-04-01T00:00:00Z")])
    assert names(index, "invoices") == before


def test_the_exact_name_comes_first(full: Index):
    full.add([listed(server("z.z/time", "clock"))])
    assert names(full, "time")[0] == "z.z/time"
    assert names(full, "io.github.user/weather")[0] == "io.github.user/weather"


def test_deprecated_and_deleted_servers_are_hidden_unless_all_are_asked_for(index: Index):
    index.add(
        [
            listed(server("a.b/old-mail", "Mail"), status="deprecated"),
            listed(server("a.b/bad-mail", "Mail"), status="deleted"),
            listed(server("a.b/new-mail", "Mail")),
        ]
    )
    assert names(index, "mail") == ["a.b/new-mail"]
    hits = index.search("mail", every=True)
    assert hits[0].name == "a.b/new-mail"
    assert {hit.name: hit.status for hit in hits[1:]} == {
        "a.b/old-mail": "deprecated",
        "a.b/bad-mail": "deleted",
    }


def test_a_newer_entry_replaces_an_older_one_and_never_the_other_way(index: Index):
    index.add([listed(server("a.b/c", "apples"), "2026-01-01T00:00:00Z")])
    index.add([listed(server("a.b/c", "pears"), "2026-01-01T00:00:00.5Z")])
    index.add([listed(server("a.b/c", "plums"), "2025-01-01T00:00:00Z")])
    assert names(index, "pears") == ["a.b/c"]
    assert names(index, "apples") == names(index, "plums") == []
    assert index.count() == 1


def test_malformed_entries_among_good_ones_are_counted_and_cost_nothing(index: Index):
    bad = [{"server": {"name": "no-slash", "version": "1"}}, {}, {"server": 3}]
    assert index.add([*bad, listed(server("a.b/c", "good"))]) == 3
    assert index.count() == 1


def test_an_entry_with_hostile_or_broken_characters_is_kept(index: Index):
    text = "\x1b]0;x\x07 \u202e \ud800 \0 weather"
    index.add([listed(server("a.b/c", text, title=text))])
    assert names(index, "weather") == ["a.b/c"]
    found = index.listing("a.b/c")
    assert found is not None


def test_an_entry_is_found_by_its_whole_name_in_any_case_and_by_its_short_one(full: Index):
    listing = full.listing("IO.github.domdomegg/Airtable-mcp-server")
    assert listing is not None
    assert listing.server.version == "1.7.3"
    assert len(listing.server.packages) == 3
    assert full.listing("a.b/none") is None
    assert full.named("airtable-mcp-server") == ("io.github.domdomegg/airtable-mcp-server",)
    assert full.named("%") == ()


def test_a_full_walk_forgets_what_it_did_not_meet(index: Index):
    first = Walk()
    index.add([listed(server("a.b/stays", "x")), listed(server("a.b/goes", "x"))], first)
    index.finish(first)
    assert index.count() == 2
    second = index.walk()
    index.add([listed(server("a.b/stays", "x"))], second)
    index.finish(second)
    assert names(index, "goes") == []
    assert index.count() == 1


def test_a_walk_over_changes_forgets_nothing(index: Index):
    index.add([listed(server("a.b/one", "x"))], Walk())
    index.finish(Walk())
    changes = Walk(number=2, since="2026-01-01T00:00:00Z")
    index.add([listed(server("a.b/two", "x"))], changes)
    index.finish(changes)
    assert index.count() == 2


def test_the_place_of_a_walk_is_kept_with_its_page_and_across_processes(place: Path):
    walk = Walk(number=3, cursor="c", since="s", began="b", reached="r", synced=12.5)
    with Index(place) as index:
        index.add([listed(server("a.b/c", "x"))], walk)
    with Index(place) as index:
        assert index.walk() == walk
        assert index.count() == 1


@pytest.mark.parametrize("damage", ["noise", "truncated", "middle", "empty", "layout"])
def test_a_broken_file_is_begun_anew(place: Path, damage: str):
    with Index(place) as index:
        index.add(listed(raw) for raw in published_entries())
    data = place.read_bytes()
    if damage == "noise":
        place.write_bytes(b"not a database " * 1000)
    elif damage == "truncated":
        place.write_bytes(data[:5000])
    elif damage == "middle":
        half = len(data) // 2
        place.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096 - half) + data[half:])
    elif damage == "empty":
        place.write_bytes(b"")
    else:
        with sqlite3.connect(place) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    said = []
    for _ in range(3):
        try:
            with Index(place) as index:
                index.search("mcp")
                index.add([listed(server("a.b/c", "fresh"))])
                assert names(index, "fresh") == ["a.b/c"]
            break
        except UnusableIndexError as error:
            said.append(str(error))
    assert len(said) < 3, said
    assert all("begun anew" in text for text in said)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnusableIndexError, match="cannot be made"):
        Index(tmp_path / "file" / "index.db")


def test_two_processes_may_write_and_read_at_once(place: Path):
    Index(place).close()
    code = (
        "import sys; from pathlib import Path\n"
        "from agent_host.registry.index import Index\n"
        "who = sys.argv[2]\n"
        "with Index(Path(sys.argv[1])) as index:\n"
        "    for i in range(30):\n"
        "        index.add([{'server': {'name': f'a.b/{who}-{i}', 'version': '1',"
        " 'description': 'shared'}}])\n"
        "        assert index.search('shared')\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(place), who], cwd=Path(__file__).parents[2]
        )
        for who in ("x", "y")
    ]
    assert [process.wait(60) for process in started] == [0, 0]
    with Index(place) as index:
        assert index.count() == 60


def test_a_search_sees_the_page_before_while_the_next_one_is_written(full: Index, place: Path):
    writer = sqlite3.connect(place, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM servers")
    with Index(place) as other:
        assert other.count() == 444
        assert names(other, "airtable")
    writer.execute("COMMIT")
    writer.close()
    assert full.count() == 0


def test_a_file_that_another_process_holds_is_kept_and_said(
    full: Index, place: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agent_host.registry.index._BUSY", 0.01)
    writer = sqlite3.connect(place, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with Index(place) as other:
        with pytest.raises(UnusableIndexError, match="in use by another process"):
            other.add([listed(server("a.b/c", "x"))])
        assert other.count() == 444
    writer.execute("ROLLBACK")
    writer.close()
    assert full.count() == 444


def test_a_file_that_cannot_be_opened_is_said_and_no_bug(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    place.mkdir(parents=True)
    with pytest.raises(UnusableIndexError, match="unable to open"):
        Index(place)
    place.rmdir()
    Index(place).close()
    monkeypatch.setattr("agent_host.registry.index._BUSY", 0.01)
    holder = sqlite3.connect(place, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("DELETE FROM servers")
    with pytest.raises(UnusableIndexError, match="in use by another process"):
        Index(place)
    holder.close()
