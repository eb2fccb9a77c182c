"""The first policies hit what they mean, on the tools that published servers really have."""

import fnmatch
import json
from pathlib import Path

import pytest

from agent_host.core.types import Annotations, Tool
from agent_host.policy.expressions import activation, condition
from agent_host.policy.starters import MOST, kinds, proposed

DATA = Path(__file__).parents[1] / "data"
COMMANDS = {
    "filesystem": ("npx", "-y", "@modelcontextprotocol/server-filesystem@2026.8.31", "./docs"),
    "git": ("uvx", "mcp-server-git==2026.10.19", "--repository", "."),
    "fetch": ("uvx", "mcp-server-fetch"),
    "playwright": ("npx", "@playwright/mcp@latest"),
    "sqlite": ("uvx", "mcp-server-sqlite", "--db-path", "x.db"),
    "memory": ("npx", "-y", "@modelcontextprotocol/server-memory"),
    "time": ("/usr/local/bin/mcp-server-time",),
    "sequential-thinking": ("npx", "@modelcontextprotocol/server-sequential-thinking"),
    "github": ("docker", "run", "-i", "--rm", "ghcr.io/github/github-mcp-server:v1.2"),
    "gitlab": ("npx", "-y", "@zereight/mcp-gitlab"),
    "slack": ("npx", "-y", "slack-mcp-server@1.1.28", "--transport", "stdio"),
    "kubernetes": ("npx", "-y", "kubernetes-mcp-server@latest"),
    "desktop-commander": ("npx", "-y", "@wonderwhy-er/desktop-commander"),
    "postgres": ("uvx", "postgres-mcp[extra]>=0.3", "--access-mode=unrestricted"),
    "gmail": ("npx", "@gongrzhe/server-gmail-autoauth-mcp"),
    "stripe": ("npx", "-y", "@stripe/mcp", "--tools=all"),
    "google-workspace": ("uvx", "workspace-mcp"),
    "brave-search": ("npx", "-y", "@brave/brave-search-mcp-server"),
}
OWN = {"sequential-thinking", "time", "fetch", "brave-search"}
"""Servers that are known by a published name only: their tools say too little."""


def tool(name: str, **hints) -> Tool:
    return Tool(
        name=f"s__{name}",
        server="s",
        tool=name,
        description="",
        input_schema={"type": "object"},
        annotations=Annotations(**hints),
    )


def real() -> dict[str, dict[str, bool | None]]:
    """By server: its tools, and whether each only reads (None: nobody says)."""
    found: dict[str, dict[str, bool | None]] = {}
    for path in sorted((DATA / "catalogue").glob("*.json")):
        tools = json.loads(path.read_text())["tools"]
        found[path.stem] = {
            t["name"]: (t.get("annotations") or {}).get("readOnlyHint") for t in tools
        }
    for name, said in json.loads((DATA / "starters/servers.json").read_text()).items():
        found[name] = dict.fromkeys(said["reads"], True) | dict.fromkeys(said["changes"], False)
    # What the server does not say, and its documentation does.
    found["sqlite"] = {
        name: name in ("read_query", "list_tables", "describe_table") for name in found["sqlite"]
    }
    return found


REAL = real()


def matched(rules, name: str):
    return [r for r in rules if any(fnmatch.fnmatchcase(name, glob) for glob in r["tools"])]


def offer(server: str):
    tools = [tool(name) for name in REAL[server]]
    return proposed("s", command=COMMANDS[server], tools=tools)


@pytest.mark.parametrize("server", COMMANDS)
def test_no_tool_that_changes_something_is_allowed_unasked(server):
    found = offer(server)
    for name, reads in REAL[server].items():
        allowed = matched(found.allows, name)
        if allowed and reads is False:
            stricter = [r for r in matched(found.rules, name) if "when" not in r]
            assert stricter, f"{name} would run without a question"


# A click is no change of its own: what a browser sends out is labelled.
@pytest.mark.parametrize("server", sorted(set(COMMANDS) - {"playwright"}))
def test_every_tool_that_changes_something_is_asked_about_with_a_reason(server):
    found = offer(server)
    silent = [
        name
        for name, reads in REAL[server].items()
        if reads is False and not matched(found.rules, name)
    ]
    assert silent == []


@pytest.mark.parametrize("server", COMMANDS)
def test_every_glob_hits_a_real_tool(server):
    """A rule that matches nothing misleads: what was narrowed away is looked at here."""
    found, whole = offer(server), proposed("s", command=COMMANDS[server])
    kept = {glob for r in (*found.rules, *found.allows) for glob in r["tools"]} | set(found.labels)
    wanted = {glob for r in (*whole.rules, *whole.allows) for glob in r["tools"]}
    wanted |= set(whole.labels)
    of_other_versions = {
        "git": {"git_init"},
        "github": {"enable_*", "*_write_*"},
        "postgres": {"query"},
        "google-workspace": {"update_*", "send_*", "share_*", "draft_*"},
        "stripe": {"fetch_*"},
    }
    assert wanted - kept <= of_other_versions.get(server, set())


@pytest.mark.parametrize("server", COMMANDS)
def test_what_reads_is_labelled_where_it_brings_data_in(server):
    found = offer(server)
    nothing = {"time", "sequential-thinking"}
    brings = any({"private", "untrusted"} & set(said) for said in found.labels.values())
    assert brings or server in nothing


SENDS = {
    "github": ("create_issue", "push_files", "add_issue_comment", "create_gist", "issue_write"),
    "gitlab": ("create_issue", "create_merge_request_note", "push_files", "execute_graphql"),
    "slack": ("conversations_add_message",),
    "gmail": ("send_email", "create_filter"),
    "fetch": ("fetch",),
    "playwright": ("browser_navigate", "browser_type", "browser_run_code_unsafe"),
    "desktop-commander": ("start_process", "interact_with_process"),
    "kubernetes": ("pods_exec",),
    "brave-search": ("brave_web_search",),
}


@pytest.mark.parametrize("server", SENDS)
def test_what_sends_data_out_is_labelled_so(server):
    found = offer(server)
    for name in SENDS[server]:
        labels = {
            label
            for glob, said in found.labels.items()
            if fnmatch.fnmatchcase(name, glob)
            for label in said
        }
        assert "egress" in labels, name


@pytest.mark.parametrize("server", sorted(set(COMMANDS) - OWN))
def test_a_server_is_known_by_its_tools_too_but_then_nothing_is_allowed(server):
    tools = [tool(name) for name in REAL[server]]
    by_name = proposed("s", command=COMMANDS[server], tools=tools)
    by_tools = proposed("s", command=("./mine",), tools=tools)
    assert by_tools.rules == by_name.rules
    assert by_tools.labels == by_name.labels
    assert by_tools.allows == ()
    assert "by the names of its tools" in by_tools.about


def test_every_kind_has_a_server_here_and_every_condition_compiles():
    offered = {}
    for server, command in COMMANDS.items():
        found = proposed("s", command=command)
        offered[found.about] = server
        for rule in (*found.rules, *found.allows):
            assert rule["reason"]
            if "when" in rule:
                condition(rule["when"])
    assert len(offered) == len(kinds())


@pytest.mark.parametrize(
    "command",
    [
        ("npx", "@modelcontextprotocol/server-filesystem-x"),
        ("npx", "evil/@modelcontextprotocol/server-filesystem"),
        ("npx", "@evil/server-filesystem"),
        ("uvx", "mcp-server-git-tools"),
        ("sh", "-c", "uvx mcp-server-git"),
        ("mcp-server-git.sh",),
        (),
    ],
)
def test_a_name_that_is_only_like_a_published_one_is_not_it(command):
    assert not proposed("s", command=command)


def test_a_host_is_the_whole_host():
    assert proposed("s", url="https://mcp.stripe.com/").allows
    for url in (
        "https://mcp.stripe.com.evil.example/",
        "https://evil.example/?mcp.stripe.com",
        "https://mcp.stripe.com@evil.example/",
        "https://[",
    ):
        assert not proposed("s", url=url)


def test_an_unknown_server_gets_warnings_from_its_own_hints_and_no_leave():
    tools = [
        tool("look", read_only=True),
        tool("drop", destructive=True, open_world=True),
        tool("odd*name"),
        tool("quiet", read_only=False, destructive=False),
    ]
    found = proposed("s", command=("./mine",), tools=tools)
    assert found.allows == ()
    assert "nobody has checked that" in found.about
    assert [(r["id"], r["tools"], r["effect"]) for r in found.rules] == [
        ("s-destroys", ["drop"], "ask"),
        ("s-changes", ["odd[*]name", "quiet"], "ask"),
    ]
    assert all(r["reason"].startswith("the server ") for r in found.rules)
    assert found.labels == {"drop": ["untrusted", "egress"]}


def test_of_an_unknown_server_with_very_many_tools_all_are_asked_about():
    tools = [tool(f"t{number}") for number in range(MOST + 1)]
    assert proposed("s", tools=tools).rules[0]["tools"] == ["*"]


def test_a_server_that_only_reads_by_its_own_words_gets_nothing():
    assert not proposed("s", tools=[tool("look", read_only=True)])
    assert not proposed("s")


def test_ids_that_are_taken_get_a_number_and_long_names_fit():
    found = proposed("s", command=COMMANDS["git"]).renamed({"s-changes", "s-changes-2"})
    assert [r["id"] for r in found.rules] == ["s-changes-3"]
    long = proposed("x" * 64, command=COMMANDS["stripe"]).renamed(())
    assert all(len(r["id"]) <= 64 for r in (*long.rules, *long.allows))
    assert all(len(name) <= 64 for name in long.totals)
    assert all(r["server"] == "x" * 64 for r in long.rules)


KEYS = ["/home/a/.ssh/id_rsa", ".env", "/x/.env.local", "a/server.pem", "/root/.aws/credentials"]
PLAIN = ["notes.txt", "environment.md", "a/keys.md", "ssh/readme", "docs/pemfile"]
INSIDE = [
    "http://example.com/",
    "https://localhost/x",
    "https://127.0.0.1:8080/",
    "https://10.0.0.7/",
    "https://192.168.1.1/admin",
    "https://172.20.0.2",
    "https://[::1]/",
    "https://2130706433/",
    "https://intranet/",
    "https://db.internal:8443/",
    "https://user@localhost/",
    "file:///etc/passwd",
    "HTTP://x.example",
]
METADATA = [
    "http://169.254.169.254/latest/meta-data",
    "http://metadata.google.internal/",
    "HTTP://169.254.169.254",
]


def holds(server: str, rule: str, **args) -> bool:
    """Whether a rule's condition is true; what cannot be told counts as true (see `rules`)."""
    found = proposed("s", command=COMMANDS[server])
    [when] = [r["when"] for r in (*found.rules, *found.allows) if r["id"] == f"s-{rule}"]
    value = condition(when).holds(activation({"args": args}))
    return value if isinstance(value, bool) else True


@pytest.mark.parametrize("server", ["filesystem", "desktop-commander"])
def test_files_that_hold_keys_are_asked_about(server):
    assert all(holds(server, "keys", path=path) for path in KEYS)
    assert not any(holds(server, "keys", path=path) for path in PLAIN)
    assert holds(server, "keys", paths=["notes.txt", "/root/.ssh/config"])
    assert not holds(server, "keys", paths=["notes.txt"])
    assert holds(server, "keys", path=["not a path"])


def test_addresses_that_are_no_public_pages_are_asked_about_or_denied():
    for server in ("fetch", "playwright"):
        assert all(holds(server, "inside", url=url) for url in INSIDE), server
        assert not holds(server, "inside", url="https://docs.python.org/3/")
        assert holds(server, "inside", url=7)
        assert holds(server, "inside")
    assert all(holds("fetch", "metadata", url=url) for url in METADATA)
    assert not holds("fetch", "metadata", url="https://docs.python.org/3/")


def test_only_a_plain_short_address_is_allowed():
    allowed = ["https://docs.python.org/3/library/os.html", "https://example.com"]
    refused = [
        "https://evil.example/?q=secret",
        "https://evil.example/#secret",
        "https://user:pw@evil.example/",
        "https://evil.example/" + "a" * 150,
        "http://example.com/",
        "https://example.com/%61",
        "https://example.com:8443/",
        "https://example.com/a\nb",
    ]
    assert all(holds("fetch", "plain-pages", url=url) for url in allowed)
    assert not any(holds("fetch", "plain-pages", url=url) for url in refused)


def test_statements_that_drop_whole_tables_are_denied():
    for query in ("DROP TABLE x", "  drop table x", "insert into a values (1); Drop table x"):
        assert holds("sqlite", "drops", query=query)
    for before in ("/* x */", "-- x\n", "select 1;/**/", "(", "\ufeff", "select 1; --\n /* ; */ "):
        assert holds("sqlite", "drops", query=f"{before}DROP TABLE x")
        assert holds("postgres", "drops", sql=f"{before}DROP TABLE x")
    assert not holds("sqlite", "drops", query="INSERT INTO t VALUES ('a\ndrop me') -- drop")
    assert not holds("sqlite", "drops", query="UPDATE t SET a = 'drop it'")
    assert holds("postgres", "drops", sql="select 1;\n truncate t")
    assert not holds("postgres", "drops", sql="select * from dropped")
    assert not holds("postgres", "drops", sql="select drop_date from t")


def test_the_clusters_own_namespaces_and_secrets_are_kept():
    assert holds("kubernetes", "system", namespace="kube-system")
    assert not holds("kubernetes", "system", namespace="shop")
    assert not holds("kubernetes", "system")
    assert holds("kubernetes", "secrets", kind="Secret")
    assert holds("kubernetes", "secrets")
    assert not holds("kubernetes", "secrets", kind="Pod")
