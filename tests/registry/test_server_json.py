from typing import Any

import pytest

from agent_host.registry.server_json import Listing, Malformed, Server, read_listing, read_server
from tests.fakes.registry_server import META, invalid_entries, published_entries, real_entries


def read(raw: object) -> Server:
    found = read_server(raw)
    assert isinstance(found, Server), found
    return found


@pytest.mark.parametrize("raw", real_entries(), ids=lambda raw: f"{raw['name']} {raw['version']}")
def test_every_real_entry_is_read_with_all_its_packages_and_remotes(raw: dict[str, Any]):
    server = read(raw)
    assert (server.name, server.version) == (raw["name"], raw["version"])
    assert server.description == raw["description"]
    assert [p.identifier for p in server.packages] == [
        p["identifier"] for p in raw.get("packages", [])
    ]
    assert [r.url for r in server.remotes] == [r["url"] for r in raw.get("remotes", [])]
    assert all(not package.problem for package in server.packages)


def test_several_hundred_entries_of_real_packages_are_read():
    assert len([read(raw) for raw in published_entries()]) == 420


def test_the_registrys_own_invalid_examples_are_refused_or_flagged_and_never_fatal():
    found = {name: read_server(raw) for name, raw in invalid_entries().items()}
    said = {name: one.text for name, one in found.items() if isinstance(one, Malformed)}
    assert said == {
        "bad-name-pattern.json": 'an entry\'s name is "no-namespace-separator", '
        "which is not like com.example/server",
        "missing-name.json": "an entry has no name",
        "voxaphone.json": 'an entry\'s name is "voxaphone", which is not like com.example/server',
    }
    bad = found["positional-argument-missing-value.json"]
    assert isinstance(bad, Server)
    assert bad.packages[0].problem == "its packageArguments are not what the format says"


def test_what_the_registry_says_of_an_entry_is_read_beside_it():
    raw = {
        "server": {"name": "a.b/c", "version": "1", "description": "x"},
        "_meta": {
            META: {
                "status": "deprecated",
                "statusMessage": "use a.b/d",
                "publishedAt": "2026-01-01T00:00:00Z",
                "updatedAt": "2026-02-01T00:00:00Z",
                "isLatest": False,
            }
        },
    }
    found = read_listing(raw)
    assert isinstance(found, Listing)
    assert (found.status, found.status_message, found.latest) == ("deprecated", "use a.b/d", False)
    assert found.updated == "2026-02-01T00:00:00Z"


def test_a_registry_without_meta_lists_active_latest_servers():
    found = read_listing({"server": {"name": "a.b/c", "version": "1"}})
    assert isinstance(found, Listing)
    assert (found.status, found.latest, found.updated) == ("active", True, "")


def test_a_status_that_is_not_known_is_no_recommendation():
    raw = {"server": {"name": "a.b/c", "version": "1"}, "_meta": {META: {"status": "hidden"}}}
    found = read_listing(raw)
    assert isinstance(found, Listing)
    assert found.status == "deprecated"


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        "x",
        {},
        {"server": 1},
        {"name": 1, "version": "1"},
        {"name": "a.b/c"},
        {"name": "a.b/c", "version": " "},
        {"name": "a.b/c", "version": "1\x1b[2J"},
        {"name": "a.b/c", "version": "1" * 300},
        {"name": "a.b/../c", "version": "1"},
        {"name": "a.b/c\n", "version": "1"},
        {"name": "-a.b/c d", "version": "1"},
        {"name": "а.b/c", "version": "1"},  # a Cyrillic a
        {"name": "a/" + "b" * 101, "version": "1"},
    ],
)
def test_what_is_no_server_is_malformed(raw: object):
    assert isinstance(read_listing(raw), Malformed)


def test_wrong_types_inside_an_entry_cost_no_more_than_themselves():
    server = read(
        {
            "name": "a.b/c",
            "version": "1",
            "title": 7,
            "description": None,
            "repository": "https://example.com",
            "packages": [1, {"registryType": "npm", "identifier": ["x"], "transport": "stdio"}],
            "remotes": {"type": "sse"},
        }
    )
    assert (server.title, server.description, server.repository) == ("", "", "")
    assert len(server.packages) == 1
    assert server.packages[0].identifier == ""
    assert server.remotes == ()


def test_texts_are_bounded_and_what_means_something_is_never_cut():
    package = {
        "registryType": "npm",
        "identifier": "x" * 5000,
        "version": "1.0.0",
        "packageArguments": [{"type": "positional", "value": "y" * 5000}],
    }
    server = read(
        {"name": "a.b/c", "version": "1", "description": "d" * 9000, "packages": [package]}
    )
    assert len(server.description) == 512
    assert server.packages[0].identifier == ""
    assert server.packages[0].problem == "its packageArguments are not what the format says"


def test_an_entry_of_a_thousand_packages_and_arguments_is_bounded():
    argument = {"type": "positional", "value": "x"}
    package = {
        "registryType": "npm",
        "identifier": "x",
        "version": "1.0.0",
        "packageArguments": [argument] * 1000,
    }
    server = read({"name": "a.b/c", "version": "1", "packages": [package] * 1000})
    assert len(server.packages) == 20
    assert len(server.packages[0].arguments) == 100
    assert server.packages[0].problem


def test_defaults_that_are_numbers_or_truth_values_are_read_as_text():
    variables = [{"name": "A", "default": 3}, {"name": "B", "default": True}]
    package = {"registryType": "npm", "identifier": "x", "environmentVariables": variables}
    server = read({"name": "a.b/c", "version": "1", "packages": [package]})
    assert [one.default for one in server.packages[0].environment] == ["3", "true"]
