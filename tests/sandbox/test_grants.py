"""The line of servers.toml that a refusal names."""

import time
import tomllib

import pytest

from agent_host.sandbox.grants import grant
from agent_host.sandbox.wish import Grant, Wish


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.db").write_text("x")
    return tmp_path / "data"


def wish(**more):
    more.setdefault("home", "/home/nobody-at-all")
    return Wish(server="crm", where=lambda key: f"servers.toml:{12 if key else 10}", **more)


def line_of(told):
    """The TOML that a hint says to write, read."""
    toml = told.partition("put ")[2].rpartition(" into ")[0].replace(" and ", "\n")
    return tomllib.loads(toml)


READING = [
    "EACCES: permission denied, open '{}'",
    "Error: ENOENT: no such file or directory, stat '{}'",
    "PermissionError: [Errno 13] Permission denied: '{}'",
    "FileNotFoundError: [Errno 2] No such file or directory: '{}'",
    "cat: {}: Permission denied",
    "cat: {}: No such file or directory",
    "panic: open {}: permission denied",
    "ls: cannot access '{}': No such file or directory",
    'Error: Os {{ code: 13, message: "Permission denied" }}, path: "{}"',
    "Error: cannot open `{}`",
]


@pytest.mark.parametrize("said", READING)
def test_what_it_says_that_it_cannot_read_is_granted_by_a_line(said, data):
    told = grant(wish(), f"starting\n{said.format(data / 'a.db')}\n")
    assert line_of(told) == {"read": [str(data / "a.db")]}
    assert told.endswith("into [servers.crm.sandbox] (servers.toml:10)")


WRITING = [
    "OSError: [Errno 30] Read-only file system: '{}'",
    "Error: EROFS: read-only file system, mkdir '{}'",
    "Error: EACCES: permission denied, mkdir '{}'",
    "mkdir: cannot create directory '{}': Permission denied",
    "mkdir {}: read-only file system",
    "touch: cannot touch '{}': Read-only file system",
    "failed to write {}: Permission denied (os error 13)",
]


@pytest.mark.parametrize("said", WRITING)
def test_what_it_says_that_it_cannot_write_is_granted_by_a_line(said, data):
    told = grant(wish(), said.format(data / "new"))
    assert line_of(told) == {"write": [str(data)]}


def test_a_line_keeps_what_is_granted_already(data, tmp_path):
    granted = Grant(named=str(tmp_path / "x"), real=str(tmp_path / "x"))
    told = grant(wish(read=(granted,)), f"EACCES: permission denied, open '{data}'")
    assert line_of(told) == {"read": [str(tmp_path / "x"), str(data)]}


def test_what_may_be_read_and_is_refused_wants_to_be_written(data):
    granted = Grant(named=str(data), real=str(data))
    told = grant(wish(read=(granted,)), f"EACCES: permission denied, open '{data}/a.db'")
    assert line_of(told) == {"write": [str(data)]}


def test_what_is_granted_or_is_there_for_nobody_is_not_the_sandboxs_fault(data):
    granted = Grant(named=str(data), real=str(data))
    for said in (f"ENOENT: no such file or directory, open '{data}/none'", "all is well", ""):
        assert grant(wish(read=(granted,)), said) == ""
        assert grant(wish(write=(granted,)), f"EACCES: permission denied, open '{data}/x'") == ""
    assert grant(wish(), "ENOENT: no such file or directory, open '/nowhere/at/all'") == ""


@pytest.mark.parametrize(
    "path", ["~/.ssh/id_rsa", "/var/run/docker.sock", "/etc/shadow", "~/.aws/credentials"]
)
def test_what_no_server_should_have_is_named_and_not_offered(path):
    told = grant(wish(), f"EACCES: permission denied, open '{path}'")
    assert "which a sandbox is there to keep from servers" in told
    assert "put " not in told


@pytest.mark.parametrize(
    "said",
    [
        "Error: connect ENETUNREACH 192.0.2.1:443",
        "getaddrinfo EAI_AGAIN api.example.com",
        "requests.exceptions.ConnectionError: [Errno -3] Temporary failure in name resolution",
        "OSError: [Errno 101] Network is unreachable",
        "dial tcp 192.0.2.1:443: connect: network is unreachable",
        "curl: (6) Could not resolve host: example.com",
        "Error: connect EACCES 192.0.2.1:443 - Local (undefined:undefined)",
        "listen EACCES: permission denied 0.0.0.0:3000",
    ],
)
def test_a_network_that_is_not_reached_is_granted_by_a_line(said):
    assert line_of(grant(wish(), said)) == {"network": "all"}
    assert grant(wish(network="all"), said) == ""


@pytest.mark.parametrize(
    "said",
    [
        "Error: connect ECONNREFUSED 127.0.0.1:5432",
        'connection to server at "localhost" (127.0.0.1), port 5432 failed: Connection refused',
        "Error: connect EACCES 127.0.0.1:5432",
    ],
)
def test_a_database_beside_it_needs_the_loopback_alone(said):
    assert line_of(grant(wish(), said)) == {"network": "loopback"}
    assert grant(wish(network="loopback"), said) == ""


@pytest.mark.parametrize(
    ("command", "paths"),
    [("npx", ["~/.npm"]), ("/usr/bin/uvx", ["~/.cache/uv", "~/.local/share/uv"])],
)
def test_what_fetches_the_server_first_needs_its_store_and_the_network(command, paths):
    told = grant(wish(command=command), "exit code 243")
    assert line_of(told) == {"write": paths, "network": "all"}
    home = "/home/nobody-at-all"
    stores = tuple(Grant(named=home + p[1:], real=home + p[1:]) for p in paths)
    assert grant(wish(command=command, write=stores, network="all"), "exit code 1") == ""
    assert line_of(grant(wish(command=command, write=stores), "x")) == {"network": "all"}


def test_a_limit_that_was_reached_is_named():
    assert "memory = 64; raise it (servers.toml:12)" in grant(wish(memory=64), "MemoryError")
    assert "processes = 4; raise it (servers.toml:12)" in grant(
        wish(processes=4), "BlockingIOError: [Errno 11] Resource temporarily unavailable"
    )
    assert grant(wish(), "MemoryError") == ""


def test_a_module_that_is_elsewhere_is_told_of():
    told = grant(wish(), "ModuleNotFoundError: No module named 'mine'")
    assert 'read = ["FOLDER"]' in told


def test_a_path_that_is_made_to_mislead_is_shown_as_it_is(tmp_path):
    told = grant(wish(), "EACCES: permission denied, open '/tmp/a\u202eb\x1b[2J\"], mode = \"off'")
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "mode" not in line_of(told) if "put " in told else True


@pytest.mark.parametrize(
    "said",
    [
        "/" * 100_000,
        "'/" * 50_000,
        "EACCES '" * 12_500,
        "ENOENT/" * 14_000,
        "a/" * 50_000 + "EACCES",
        "/a:" * 33_000,
        "connect " * 12_500,
        "'/a' " * 20_000,
        "(/" * 50_000 + " denied",
    ],
)
def test_text_that_is_made_to_be_slow_to_search_is_not(said):
    began = time.process_time()
    grant(wish(), said)
    assert time.process_time() - began < 1
