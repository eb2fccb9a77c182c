"""The files of seven applications, in the forms that their documentation gives."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.config.edit import checked, rendered
from agent_host.config.importers.build import Entry, build
from agent_host.config.importers.envfile import variables_of
from agent_host.config.importers.raw import Machine, Place
from agent_host.config.importers.read import APPS, entries_in, entries_of, entries_of_text, known
from agent_host.core.errors import ConfigError

DATA = Path(__file__).parents[2] / "data/importers"
HERE = Path("/home/me/shop")
FILES = {
    "claude-desktop": "claude_desktop_config.json",
    "claude-code": "dot_mcp.json",
    "cursor": "cursor_mcp.json",
    "vscode": "vscode_mcp.json",
    "codex": "codex_config.toml",
    "gemini": "gemini_settings.json",
    "goose": "goose_config.yaml",
}


def machine(here: Path = HERE, home: str = "/home/ada", system: str = "linux", **environ: str):
    return Machine(home=Path(home), here=here, system=system, environ=environ)


def read(app: str, file: str = "", folder: Path | None = HERE, **environ: str) -> dict[str, Entry]:
    found = next(known_app for known_app in APPS if known_app.name == app)
    path = DATA / (file or FILES[app])
    entries = entries_of(found, Place(path, folder), machine(**environ))
    return {entry.said: entry for entry in entries}


def variables(entry: Entry) -> list[tuple[str, str]]:
    return [(secret.variable, secret.value) for secret in entry.secrets]


@pytest.mark.parametrize("app", FILES)
def test_every_table_is_valid_and_holds_no_secret(app):
    entries = read(app)
    assert len(entries) >= 3
    for entry in entries.values():
        if entry.unusable:
            continue
        checked(entry.name, entry.table)
        text = rendered(entry.name, entry.table)
        assert tomllib.loads(text)["servers"][entry.name] == entry.table
        assert "anary" not in text + " ".join(entry.notes) + repr(entry)


def test_claude_desktop():
    found = read("claude-desktop", folder=None)
    assert found["filesystem"].table == {
        "command": "npx",
        "args": [
            "-y",
            "@modelcontextprotocol/server-filesystem",
            "/Users/ada/Desktop",
            "/Users/ada/Downloads",
        ],
    }
    github = found["github"]
    token = "GITHUB_PERSONAL_ACCESS_TOKEN"
    assert github.table["env"] == {token: f"${{env:{token}}}"}
    assert variables(github) == [(token, "ghp_CanaryCanaryCanaryCanary00000001")]
    assert found["broken"].unusable == "is not a table"


def test_a_shim_of_windows_is_undone_and_a_placeholder_is_a_secret_to_be_given():
    brave = read("claude-desktop", folder=None)["brave search"]
    assert brave.name == "brave-search"
    assert brave.table["command"] == "npx"
    assert brave.table["args"] == ["-y", "@modelcontextprotocol/server-brave-search"]
    assert "cmd /c is not needed" in brave.notes
    assert variables(brave) == [("BRAVE_API_KEY", "")]


def test_a_bridge_to_a_url_is_undone_with_its_headers():
    sentry = read("claude-desktop", folder=None)["sentry"]
    assert sentry.table == {
        "url": "https://mcp.sentry.dev/mcp",
        "headers": {"Authorization": "Bearer ${env:SENTRY_AUTHORIZATION}"},
    }
    assert variables(sentry) == [("SENTRY_AUTHORIZATION", "sntryu_canarycanarycanary0002")]


def test_a_secret_on_a_command_line_switches_the_server_off_and_says_why():
    postgres = read("claude-desktop", folder=None)["postgres"]
    assert postgres.table["enabled"] is False
    assert postgres.table["args"][-1] == "<POSTGRES_SECRET>"
    assert "argument 3 held a secret" in postgres.notes[-1]


def test_what_cannot_be_seen_is_taken_out_and_said():
    hidden = read("claude-desktop", folder=None)["hidden"]
    assert hidden.table == {
        "command": "uvx",
        "args": ["mcp-server-fetch", "--flag"],
        "env": {"MODE": "quiet"},
    }
    assert "1 hidden character taken out of args[1]" in hidden.notes
    assert any("taken out of env.MODE" in note for note in hidden.notes)


def test_claude_code():
    found = read("claude-code", STAGE="prod", API_KEY="k")
    assert found["api"].table == {
        "url": "https://api.example.com/mcp",
        "headers": {"Authorization": "Bearer ${env:API_KEY}", "X-Team": "blue"},
    }
    assert not any("API_KEY" in note for note in found["api"].notes)
    local = found["local-db"]
    assert local.table == {
        "command": "dbhub",
        "args": ["--config", "./db/prod.toml"],
        "env": {"CACHE_DIR": "/tmp", "DSN": "${env:DB_DSN}", "LEVEL": "info"},
        "cwd": str(HERE),
        "timeout": 120,
    }
    assert "needs the variable DB_DSN, which is not set here" in local.notes
    assert found["events"].table == {"url": "https://events.example.com/sse", "sse": True}
    assert found["registered"].table["auth"] == {
        "type": "oauth",
        "client_id": "my-client",
        "scopes": ["read", "write"],
        "redirect_port": 8123,
    }
    helped = found["helped"]
    assert helped.table["headers"] == {"Authorization": "${env:HELPED_AUTHORIZATION}"}
    assert "printed by a program there" in helped.notes[0]
    assert found["socket"].unusable == "has the transport ws, which is not known here"


def test_claude_codes_own_file_has_the_users_servers_and_those_of_this_project(tmp_path):
    path = tmp_path / ".claude.json"
    path.write_text((DATA / "dot_claude.json").read_text().replace("@HERE@", str(tmp_path)))
    entries = entries_in(path, machine(here=tmp_path))
    assert {e.said: e.table for e in entries} == {
        "shared": {"command": "shared-project", "cwd": str(tmp_path)},
        "notion": {"url": "https://mcp.notion.com/mcp", "enabled": False},
    }


def test_cursor(tmp_path):
    (tmp_path / ".env").write_text(
        "# mine\nexport PLAIN=yes\nDB_TOKEN='canary-000000007'\nAPI_KEY=other # no\nbad line\n"
    )
    path = tmp_path / ".cursor/mcp.json"
    path.parent.mkdir()
    path.write_text((DATA / FILES["cursor"]).read_text())
    found = {e.said: e for e in entries_in(path, machine(here=Path("/elsewhere")))}
    server = found["server-name"]
    assert server.table["args"] == ["-y", "mcp-server@1.2.3", f"{tmp_path}/data", "/home/ada/notes"]
    assert server.table["env"] == {
        "PLAIN": "yes",
        "DB_TOKEN": "${env:DB_TOKEN}",
        "API_KEY": "${env:MY_API_KEY}",
    }
    assert variables(server) == [("DB_TOKEN", "canary-000000007")]
    assert found["remote"].table["headers"] == {"Authorization": "Bearer ${env:MY_SERVICE_TOKEN}"}
    assert found["old"].table == {"url": "http://localhost:8000/sse", "sse": True}
    assert found["static"].table["auth"] == {
        "type": "oauth",
        "client_id": "client-1",
        "scopes": ["mcp", "offline_access"],
        "client_secret": "${env:STATIC_CLIENT_SECRET}",
    }


def test_vscode_with_comments_inputs_and_without_types():
    found = read("vscode")
    perplexity = found["perplexity"]
    assert perplexity.table["env"] == {
        "PERPLEXITY_API_KEY": "${env:PERPLEXITY_KEY}",
        "REGION": "eu",
    }
    assert [(s.variable, s.description, s.hidden) for s in perplexity.secrets] == [
        ("PERPLEXITY_KEY", "Perplexity API Key", True)
    ]
    assert f"its file of variables, {HERE}/.env, cannot be read" in perplexity.notes
    assert found["context7"].table == {"url": "https://mcp.context7.com/mcp"}
    assert found["sandboxed"].table["args"] == [f"{HERE}/server.js"]
    assert any("sandboxEnabled" in note for note in found["sandboxed"].notes)
    asks = found["asks"]
    assert asks.table["enabled"] is False
    assert "a command line can hold no reference" in asks.notes[-1]
    assert found["pipe"].unusable.startswith("is reached by unix:")


def test_vscode_settings():
    found = read("vscode", "vscode_settings.json", folder=None)
    assert found["fetch"].table == {"command": "uvx", "args": ["mcp-server-fetch"]}


def test_codex():
    found = read("codex", folder=None)
    assert found["context7"].table == {
        "command": "npx",
        "args": ["-y", "@upstash/context7-mcp@1.0.31"],
        "env": {
            "MY_ENV_VAR": "MY_ENV_VALUE",
            "LOCAL_TOKEN": "${env:LOCAL_TOKEN}",
            "OTHER": "${env:OTHER}",
        },
        "timeout": 90,
        "connect_timeout": 20.5,
        "tools": {"include": ["resolve", "docs"], "exclude": ["docs"]},
    }
    assert found["figma"].table["headers"] == {
        "X-Figma-Region": "us-east-1",
        "X-Trace": "${env:TRACE_ID}",
        "Authorization": "Bearer ${env:FIGMA_OAUTH_TOKEN}",
    }
    off = found["off"]
    assert off.table == {"command": "old", "connect_timeout": 1.5, "enabled": False}
    assert "its approval mode has no counterpart; see [policy]" in off.notes


def test_gemini():
    found = read("gemini")
    assert found["pythonTools"].table == {
        "command": "python",
        "args": ["-m", "my_mcp_server", "--port", "8080"],
        "cwd": f"{HERE}/mcp-servers/python",
        "env": {
            "DATABASE_URL": "${env:DB_CONNECTION_STRING}",
            "API_KEY": "${env:EXTERNAL_API_KEY}",
        },
        "timeout": 15,
    }
    node = found["nodeServer"]
    assert node.table["enabled"] is False
    assert "runs without questions there (trust); here a rule of policy would say so" in node.notes
    docker = found["dockerized"]
    assert docker.table["args"] == (
        ["run", "-i", "--rm", "-e", "API_KEY", "-v", f"{HERE}:/workspace", "my-mcp-server:latest"]
    )
    assert docker.table["env"] == {"API_KEY": "${env:API_KEY}"}
    assert docker.table["tools"] == {"exclude": ["dangerous_tool"]}
    http = found["httpServer"].table
    assert http["timeout"] == 5
    assert http["headers"]["X-Custom-Header"] == "custom-value"
    assert "sse" not in http
    assert found["sseServer"].table["sse"] is True
    assert "sse" not in found["typed"].table
    assert any("google_credentials" in note for note in found["googleCloudServer"].notes)


def test_goose():
    found = read("goose", folder=None)
    assert found["developer"].unusable == "is a part of goose itself"
    github = found["github"]
    assert github.table["env"] == {
        "LOG_LEVEL": "debug",
        "GITHUB_PERSONAL_ACCESS_TOKEN": "${env:GITHUB_PERSONAL_ACCESS_TOKEN}",
    }
    assert github.secrets[0].description == "GITHUB_PERSONAL_ACCESS_TOKEN, which goose keeps"
    linear = found["linear"]
    assert linear.table["headers"] == {"Authorization": "Bearer ${env:LINEAR_KEY}"}
    assert linear.table["enabled"] is False
    assert linear.table["tools"] == {"include": ["list_issues"]}
    assert variables(linear) == [("LINEAR_KEY", "")]
    assert found["old"].table["sse"] is True


@pytest.mark.parametrize("app", FILES)
def test_a_file_is_recognized_by_its_content(app, tmp_path):
    name = FILES[app] if app == "claude-desktop" else f"named{Path(FILES[app]).suffix}"
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + (DATA / FILES[app]).read_bytes())
    titles = {entry.app for entry in entries_in(path, machine())}
    expected = next(a.title for a in APPS if a.name == app)
    # Cursor's differs from Claude Code's by its place alone.
    assert titles == {"Claude Code" if app == "cursor" else expected}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"mcpServers": {"a": {"command": "a"}}}', "a"),
        ('{"a": {"command": "a"}}', "a"),
        ('[mcp_servers.a]\ncommand = "a"\n', "a"),
        ("extensions:\n  a: {type: stdio, cmd: a}\n", "a"),
        ('{"servers": {"a": {"url": "https://x.example"}}}', "a"),
    ],
)
def test_what_was_pasted_is_recognized(text, name):
    assert [entry.name for entry in entries_of_text(text, machine())] == [name]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.json", "{", "x.json: invalid JSON"),
        ("x.json", "[1]", "x.json: is no table"),
        ("x.json", "{}", "names no MCP servers in a form that is known"),
        ("x.json", '{"a": 1}', "names no MCP servers"),
        ("x.toml", "a b", "x.toml: invalid TOML"),
        ("x.yaml", "a: [", "x.yaml: invalid YAML"),
        ("x.yaml", "!!python/object/apply:os.system ['touch pwned']", "invalid YAML"),
        ("x.json", "[" * 100_000, "invalid JSON"),
        ("x.json", "\udcff", "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(name, text, why, tmp_path):
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=why) as caught:
        entries_in(path, machine())
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        entries_in(tmp_path / "x.json", machine())


@pytest.mark.parametrize(
    ("system", "environ", "path"),
    [
        ("linux", {}, "/home/ada/.config/Claude/claude_desktop_config.json"),
        ("linux", {"XDG_CONFIG_HOME": "/c"}, "/c/Claude/claude_desktop_config.json"),
        ("linux", {}, "/home/ada/.config/Code/User/mcp.json"),
        ("linux", {}, "/home/ada/.claude.json"),
        ("linux", {}, "/home/me/shop/.mcp.json"),
        ("linux", {}, "/home/me/shop/.cursor/mcp.json"),
        ("linux", {}, "/home/ada/.gemini/settings.json"),
        ("linux", {"CODEX_HOME": "/x"}, "/x/config.toml"),
        ("linux", {}, "/home/ada/.config/goose/config.yaml"),
        ("darwin", {}, "/home/ada/Library/Application Support/Claude/claude_desktop_config.json"),
        ("darwin", {}, "/home/ada/Library/Application Support/Code/User/settings.json"),
        ("win32", {"APPDATA": "/A"}, "/A/Claude/claude_desktop_config.json"),
        ("win32", {"APPDATA": "/A"}, "/A/Block/goose/config/config.yaml"),
        ("win32", {}, "/home/ada/AppData/Roaming/Code/User/mcp.json"),
    ],
)
def test_the_known_places_of_each_system(system, environ, path):
    found = machine(system=system, **environ)
    assert Path(path) in [place.path for app in APPS for place in app.places(found)]


def test_only_files_that_are_there_are_known(tmp_path):
    (tmp_path / ".mcp.json").write_text("{}")
    found = [(app.name, place) for app, place in known(machine(here=tmp_path, home=str(tmp_path)))]
    assert found == [("claude-code", Place(tmp_path / ".mcp.json", tmp_path))]


def build_one(said: dict[str, Any], name: str = "x", **environ: str) -> Entry:
    import json

    return entries_of_text(json.dumps({"mcpServers": {name: said}}), machine(**environ))[0]


@pytest.mark.parametrize(
    ("said", "table"),
    [
        ({"command": "cmd.exe", "args": ["/d", "/s", "/c", "npx -y x"]}, ["npx", "-y", "x"]),
        ({"command": "C:\\Windows\\System32\\cmd.exe", "args": ["/C", "uvx", "x"]}, ["uvx", "x"]),
        ({"command": "npx.cmd", "args": ["x"]}, ["npx", "x"]),
        ({"command": "env", "args": ["A=1", "node", "x.js"]}, ["node", "x.js"]),
        (
            {"command": "podman", "args": ["run", "--env=A=1", "i"]},
            ["podman", "run", "-e", "A", "i"],
        ),
    ],
)
def test_programs_that_only_start_the_real_one_are_undone(said, table):
    found = build_one(said).table
    assert [found["command"], *found["args"]] == table


@pytest.mark.parametrize(
    ("url", "shown", "value"),
    [
        ("https://x.example/mcp?api_key=canary0008", "?api_key=${env:X_API_KEY}", "canary0008"),
        (
            "https://me:canary0009@x.example/",
            "https://me:${env:X_PASSWORD}@x.example/",
            "canary0009",
        ),
    ],
)
def test_a_secret_in_a_url_becomes_a_reference(url, shown, value):
    entry = build_one({"url": url})
    assert shown in entry.table["url"]
    assert [secret.value for secret in entry.secrets] == [value]


def test_numbers_booleans_and_nulls_are_as_a_shell_has_them():
    entry = build_one({"command": "x", "args": [1, True, None, ""], "env": {"A": 1, "B": None}})
    assert entry.table == {"command": "x", "args": ["1", "true", ""], "env": {"A": "1"}}


def test_a_variable_on_a_command_line_is_what_it_is_today_unless_it_is_a_secret():
    entry = build_one({"command": "x", "args": ["${A}", "--key=${API_KEY}"]}, A="1", API_KEY="kk")
    assert entry.table["args"] == ["1", "--key=${API_KEY}"]
    assert entry.table["enabled"] is False


def test_a_plain_dollar_brace_stays_one():
    entry = build_one({"command": "x", "env": {"T": "${command:foo}"}})
    assert entry.table["env"] == {"T": "$${command:foo}"}
    assert "has no counterpart here" in entry.notes[-1]
    checked("x", entry.table)


def test_a_url_in_a_variable_that_is_not_set_cannot_be_taken_over():
    assert "set it, and import again" in build_one({"url": "${NOWHERE}/mcp"}).unusable


def test_a_huge_value_cannot_be_taken_over():
    assert (
        "70000 characters in args" in build_one({"command": "x", "args": ["a" * 70_000]}).unusable
    )


def test_what_our_schema_refuses_is_left_out_with_the_reason():
    entry = build_one({"url": "https://x.example", "headers": {"a b": "c"}})
    assert "is not the name of an HTTP header" in entry.unusable
    assert entry.table == {}


KEYS = [
    "command",
    "args",
    "env",
    "envFile",
    "cwd",
    "url",
    "httpUrl",
    "headers",
    "type",
    "timeout",
    "disabled",
    "oauth",
    "auth",
    "headersHelper",
    "trust",
    "enabled",
    "cmd",
    "uri",
    "envs",
    "env_keys",
    "bearer_token",
    "http_headers",
    "env_http_headers",
    "env_vars",
    "scopes",
    "startup_timeout_sec",
    "available_tools",
    "includeTools",
    "serverUrl",
]
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["${A}", "${A:-b}", "$A", "${input:x}", "${env:A}", "${", "${file:/etc/passwd}", "https://x/",
         "https://u:p@x/?k=${A}", "http://[", "npx", "mcp-remote", "stdio", "sse", "env", "docker",
         "-e", "A=b", "--header", "cmd", "/c", "~/x", "./x", "streamable_http", "\u200b", "\x00"]
    ),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
SERVER = st.one_of(VALUES, st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
@settings(max_examples=40)
@given(st.dictionaries(TEXTS, SERVER, max_size=3), VALUES)
def test_whatever_a_file_says_is_a_valid_table_or_a_reason(app, said, other):
    data = {
        "mcpServers": said,
        "servers": said,
        "extensions": said,
        "mcp_servers": said,
        "projects": other,
        "inputs": other,
        "mcp": other,
    }
    for raw in app.servers(data, machine(A="1")):
        entry = build(raw, app, Place(Path("/f.json"), HERE), machine(A="1"))
        if entry.unusable:
            assert entry.table == {}
            continue
        checked(entry.name, entry.table)
        assert (
            tomllib.loads(rendered(entry.name, entry.table))["servers"][entry.name] == entry.table
        )


def test_a_server_without_command_and_url_cannot_be_taken_over():
    assert build_one({"type": "stdio"}).unusable == "has neither a command nor a URL"


def test_a_file_of_variables_is_read_in_one_pass_whatever_it_holds(tmp_path: Path):
    path = tmp_path / ".env"
    blanks = " " * 200_000  # hours, if each blank were tried as the last one
    path.write_text(f"A=x{blanks}y\n export B = two words # a remark\nC='q # q' # r\n#D=1\nE=#e\n")
    assert variables_of(path) == {
        "A": f"x{blanks}y",
        "B": "two words",
        "C": "q # q",
        "E": "#e",
    }
