"""`servers search` and `servers show`, as a person runs them."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.registry_server import Registry, published_entries, serving

AIRTABLE = "io.github.domdomegg/airtable-mcp-server"


@pytest.fixture
def ask(full: Registry, here: Any) -> Any:
    def run(*arguments: str) -> Any:
        return here("servers", *arguments, AGENT_HOST_REGISTRY=full.url)

    return run


def test_a_search_prints_a_table_of_what_fits(ask: Any):
    done = ask("search", "airtable")
    assert done.returncode == 0
    header, row = done.stdout.splitlines()
    assert header.split() == ["name", "version", "ways", "description"]
    assert row.startswith(f"{AIRTABLE}  1.7.3    npm,oci,mcpb  Read and write access to Airtable")
    assert done.stderr == ""


def test_a_search_needs_no_servers_toml_and_its_words_need_no_quotes(ask: Any, full: Registry):
    done = ask("search", "current", "UTC", "time")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:3]] == [
        "io.github.domdomegg/time-mcp-nuget",
        "io.github.domdomegg/time-mcp-pypi",
    ]


def test_a_search_as_json_is_a_list(ask: Any):
    (found,) = json.loads(ask("search", "airtable", "--json").stdout)
    assert (found["name"], found["version"], found["status"]) == (AIRTABLE, "1.7.3", "active")
    assert found["ways"] == ["npm", "oci", "mcpb"]
    assert json.loads(ask("search", "zzzz", "--json").stdout) == []


def test_a_limit_is_kept_and_checked(ask: Any):
    assert len(ask("search", "mcp", "--limit", "3").stdout.splitlines()) == 4
    for bad in ("0", "1001", "many"):
        with pytest.raises(SystemExit):
            ask("search", "mcp", "--limit", bad)


def test_a_search_that_could_look_nowhere_fails(here: Any, registry: Registry):
    for arguments, said in (
        ((), "cannot be reached"),
        (("--offline",), "nothing of this registry"),
    ):
        done = here("servers", "search", "x", *arguments, AGENT_HOST_REGISTRY="http://127.0.0.1:9")
        assert (done.returncode, done.stdout) == (5, "")
        assert said in done.stderr
        assert "no published server fits" not in done.stderr


def test_what_only_deprecated_servers_do_is_not_nothing(here: Any, registry: Registry):
    registry.publish({"name": "a.b/c", "description": "Zebra counting", "version": "1.0.0"})
    registry.mark("a.b/c", "deprecated", "2026-03-01T00:00:00Z")
    done = here("servers", "search", "zebra", AGENT_HOST_REGISTRY=registry.url)
    assert "1 deprecated or deleted ones do; --all shows them" in done.stderr


def test_nothing_found_is_said_with_where_was_looked(ask: Any):
    done = ask("search", "zzzz")
    assert (done.returncode, done.stdout) == (0, "")
    assert 'no published server fits "zzzz"' in done.stderr
    assert "24 servers" in done.stderr


def test_the_index_is_brought_up_to_date_once_and_then_asked_alone(ask: Any, full: Registry):
    ask("search", "airtable")
    asked = len(full.asked)
    ask("search", "weather")
    assert len(full.asked) == asked
    ask("search", "weather", "--refresh")
    assert len(full.asked) == asked + 1
    assert "updated_since" in full.asked[-1]


def test_offline_nobody_is_asked(ask: Any, full: Registry):
    done = ask("search", "airtable", "--offline")
    assert full.asked == []
    assert "nothing of this registry is on this machine yet" in done.stderr
    ask("search", "airtable")
    full.asked.clear()
    assert AIRTABLE in ask("search", "airtable", "--offline").stdout
    assert AIRTABLE in ask("show", AIRTABLE, "--offline").stdout
    assert full.asked == []


def test_a_registry_that_cannot_be_reached_is_answered_for_by_the_index(here: Any, full: Registry):
    here("servers", "search", "airtable", AGENT_HOST_REGISTRY=full.url)
    full.failing = dict.fromkeys(range(1, 50), 404)
    done = here("servers", "search", "airtable", "--refresh", AGENT_HOST_REGISTRY=full.url)
    assert done.returncode == 0
    assert AIRTABLE in done.stdout
    assert "answered HTTP 404" in done.stderr
    assert "searched the index here: 24 servers, just made" in done.stderr


def test_a_registry_that_was_never_there_is_one_clear_line(here: Any):
    with serving(Registry()) as gone:
        url = gone.url
    done = here("servers", "show", AIRTABLE, "--registry", url)
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert "cannot be reached" in done.stderr
    assert "nothing of this registry is on this machine yet" in done.stderr


def test_a_list_that_is_not_all_here_is_helped_by_the_registrys_own_search(
    here: Any, registry: Registry
):
    for entry in published_entries():
        registry.publish(entry)
    registry.failing = {2: 400}
    done = here("servers", "search", "ytmcp", AGENT_HOST_REGISTRY=registry.url)
    assert "org.pypi/ytmcp" in done.stdout
    assert "HTTP 400" in done.stderr


def test_show_tells_each_way_with_its_command_its_inputs_and_its_versions(ask: Any):
    lines = ask("show", AIRTABLE).stdout.splitlines()
    assert lines[0] == f"{AIRTABLE} 1.7.3"
    assert "versions    1.7.3, 1.7.2" in lines
    assert "repository  https://github.com/domdomegg/airtable-mcp-server.git" in lines
    assert "1. npm airtable-mcp-server 1.7.3" in lines
    assert "   command   npx -y airtable-mcp-server@1.7.3" in lines
    assert "   env       AIRTABLE_API_KEY = ${env:AIRTABLE_API_KEY}" in lines
    assert any(
        line.startswith("   input     AIRTABLE_API_KEY (required, secret): ") for line in lines
    )
    assert any(line.startswith("   pinned    mcpb:https://github.com/") for line in lines)


def test_show_takes_a_version_and_a_short_name(ask: Any):
    assert ask("show", AIRTABLE, "--version", "1.7.2").stdout.startswith(f"{AIRTABLE} 1.7.2\n")
    assert ask("show", "airtable-mcp-server").stdout.startswith(f"{AIRTABLE} 1.7.3\n")


def test_show_as_json_holds_the_whole_of_each_way(ask: Any):
    found = json.loads(ask("show", "io.github.user/remote-weather", "--json").stdout)
    (way,) = found["ways"]
    assert way["url"] == "https://api.example.com/mcp"
    assert way["headers"] == {"Authorization": "${env:REMOTE_WEATHER_AUTHORIZATION}"}
    assert [need["name"] for need in way["needs"]] == ["host", "Authorization"]
    assert found["repository"] == "https://github.com/modelcontextprotocol/servers"


def test_a_server_without_a_way_and_one_that_must_be_built_are_told(ask: Any):
    assert (
        "It says no way to set it up"
        in ask("show", "io.modelcontextprotocol.anonymous/embedded-mcp").stdout
    )
    assert "cannot be added: is a cargo package" in ask("show", "widget-mcp").stdout


def test_deprecated_and_deleted_servers_are_flagged(ask: Any, full: Registry):
    full.mark("io.snyk/cli-mcp", "deleted", "2026-03-01T00:00:00Z", "malware")
    full.mark(AIRTABLE, "deprecated", "2026-03-01T00:00:00Z", "use the new one")
    assert ask("search", "airtable").stdout == ""
    assert "[deprecated] Read and write" in ask("search", "airtable", "--all").stdout
    shown = ask("show", AIRTABLE).stdout
    assert "DEPRECATED: use the new one" in shown
    assert "warning: it is deprecated: use the new one" in shown
    gone = ask("show", "io.snyk/cli-mcp").stdout
    assert "DELETED: malware" in gone
    assert "cannot be added: was deleted from the registry: malware" in gone


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("show", "io.example/none"), 2, "has no io.example/none"),
        (("show", "a/b/c"), 2, "is no server's name"),
        (("show", "airtbl"), 2, 'no server is called "airtbl"'),
        (("show", AIRTABLE, "--version", "9"), 2, f"has no version 9 of {AIRTABLE}"),
        (("show", AIRTABLE, "--offline"), 5, "try without --offline"),
        (("search", "x", "--registry", "http://example.com"), 2, "is not https"),
        (("search", "x", "--registry", "nonsense"), 2, "write it as in https://"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_its_own_exit_code(
    ask: Any, arguments: tuple[str, ...], status: int, said: str
):
    done = ask(*arguments)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_short_name_of_several_servers_names_them(ask: Any, full: Registry):
    full.publish({"name": "a.b/weather", "version": "1", "description": "x"})
    done = ask("show", "weather")
    assert "is not one server; say a.b/weather, io.github.user/weather" in done.stderr


def test_a_registry_that_answers_with_another_server_is_not_believed(ask: Any, full: Registry):
    entry = json.dumps({"server": {"name": "evil.example/x", "version": "1"}}).encode()
    full.files[f"/v0.1/servers/{AIRTABLE.replace('/', '%2F')}/versions/latest"] = entry
    done = ask("show", AIRTABLE)
    assert done.returncode == 5
    assert "answered with evil.example/x 1 when asked for" in done.stderr


def test_nothing_of_an_entry_moves_the_cursor_or_fakes_a_line(here: Any, registry: Registry):
    bad = "\x1b[2J\x1b]0;owned\x07\u202eevil\u200b\nfake line\r"
    registry.publish(
        {
            "name": "a.b/c",
            "version": "1.0.0",
            "title": bad,
            "description": f"hostile {bad}",
            "websiteUrl": f"https://x.example/{bad}",
            "repository": {"url": bad},
            "packages": [
                {
                    "registryType": bad,
                    "identifier": bad,
                    "version": bad,
                    "transport": {"type": bad},
                    "environmentVariables": [{"name": "A", "description": bad, "default": bad}],
                },
                {
                    "registryType": "npm",
                    "identifier": "x",
                    "version": "1.0.0",
                    "transport": {"type": "stdio"},
                    "packageArguments": [{"type": "positional", "value": bad}],
                    "environmentVariables": [{"name": "A", "description": bad, "default": bad}],
                },
            ],
            "remotes": [{"type": "sse", "url": f"https://x.example/{bad}"}],
        },
        statusMessage=bad,
        status="deprecated",
    )
    for arguments in (("search", "hostile", "--all"), ("show", "a.b/c")):
        done = here("servers", *arguments, AGENT_HOST_REGISTRY=registry.url)
        assert done.returncode == 0
        assert done.stdout.replace("\n", "").isprintable()
        assert not any(line.startswith("fake line") for line in done.stdout.splitlines())


def test_a_narrow_terminal_gets_two_short_lines_a_server(
    full: Registry, environment: dict[str, str], project: Path
):
    import pty
    import struct
    import subprocess
    import termios
    from fcntl import ioctl

    main, side = pty.openpty()
    ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    done = subprocess.run(
        [sys.executable, "-m", "agent_host", "servers", "search", "airtable"],
        cwd=project,
        env=environment | {"AGENT_HOST_REGISTRY": full.url},
        stdin=subprocess.DEVNULL,
        stdout=side,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    os.close(side)
    shown = os.read(main, 10_000).decode().split("\r\n")
    os.close(main)
    assert done.returncode == 0
    assert shown[0].startswith("io.github.domdomegg/airtable")
    assert shown[1].startswith("  Read and write")
    assert all(len(line) <= 40 for line in shown)


def test_a_broken_index_is_made_again(ask: Any, environment: dict[str, str]):
    ask("search", "airtable")
    (place,) = Path(environment["HOME"]).rglob("*.db")
    place.write_bytes(b"noise" * 1000)
    assert AIRTABLE in ask("search", "airtable").stdout


def test_a_search_of_what_is_here_loads_nothing_that_speaks_http(
    environment: dict[str, str], project: Path
):
    import subprocess

    code = (
        "import sys\nfrom agent_host.cli.main import main\n"
        "main(['servers', 'search', 'x', '--offline'])\n"
        "print(*[m for m in ('httpx2', 'asyncio', 'mcp', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == []
