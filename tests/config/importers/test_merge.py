"""Servers of several applications under distinct names."""

from pathlib import Path
from typing import Any

from agent_host.config.importers.build import Entry
from agent_host.config.importers.merge import merged, placed
from agent_host.config.importers.raw import Place
from agent_host.config.importers.taken import Secret


def entry(name: str, table: dict[str, Any], app: str = "Cursor", *secrets: Secret, **more: Any):
    return Entry(
        name=name,
        said=name,
        app=app,
        place=Place(Path("/f.json")),
        table=table,
        secrets=secrets,
        **more,
    )


def names(entries) -> list[str]:
    return [found.name for found in entries]


def test_what_is_the_same_everywhere_is_taken_once():
    result = merged([entry("a", {"command": "a"}), entry("a", {"command": "a"}, "Codex")], {})
    assert names(result.entries) == ["a"]
    assert [why for _, why in result.left_out] == ["is the same as a of Cursor"]


def test_the_same_command_with_another_environment_is_another_server():
    result = merged(
        [
            entry("a", {"command": "a", "env": {"M": "1"}}),
            entry("a", {"command": "a", "env": {"M": "2"}}, "Claude Code"),
            entry("a", {"command": "a", "env": {"M": "3"}}, "Claude Code"),
        ],
        {},
    )
    assert names(result.entries) == ["a", "a-claude-code", "a-2"]
    assert result.entries[1].notes == ("is named a-claude-code here",)


def test_the_same_server_with_another_secret_is_another_with_a_variable_of_its_own():
    table = {"command": "a", "env": {"TOKEN": "${env:TOKEN}"}}
    result = merged(
        [
            entry("a", table, "Cursor", Secret(variable="TOKEN", value="one")),
            entry("a", table, "Codex", Secret(variable="TOKEN", value="two")),
        ],
        {},
    )
    assert result.entries[1].table["env"] == {"TOKEN": "${env:A_CODEX_TOKEN}"}
    assert result.entries[1].secrets[0].variable == "A_CODEX_TOKEN"


def test_importing_twice_adds_nothing():
    table = {"command": "a", "args": ["-y"], "env": {"T": "${env:T}"}}
    there = {"a": {"command": "a", "args": ["-y"], "env": {"T": "${keyring:x/T}"}, "timeout": 9}}
    result = merged([entry("a", table)], there)
    assert result.entries == ()
    assert result.left_out[0][1] == "is in servers.toml already"


def test_another_server_under_a_name_that_is_taken_gets_another_name():
    result = merged([entry("a", {"command": "a"})], {"a": {"command": "b"}})
    assert names(result.entries) == ["a-cursor"]


def test_what_is_unusable_is_left_out_with_its_reason():
    result = merged([entry("a", {}, unusable="is a part of goose itself")], {})
    assert result.left_out[0][1] == "is a part of goose itself"


def test_a_folder_is_written_as_seen_from_servers_toml():
    found = entry("a", {"command": "a", "cwd": "/home/me/shop/sub"})
    assert placed(found, Path("/home/me/shop")).table["cwd"] == "sub"
    assert "cwd" not in placed(found, Path("/home/me/shop/sub")).table
    assert placed(found, Path("/etc")).table["cwd"] == "/home/me/shop/sub"
