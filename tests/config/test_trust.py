"""What a servers.toml may start without having been trusted."""

import hashlib
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent_host.config.load import Loaded, load
from agent_host.config.trust import (
    TrustItem,
    TrustStore,
    demo_command,
    describe,
    needs_trust,
    refusal,
    server_item,
    trust,
    trust_these,
)
from agent_host.core.errors import ConfigError

DEMO = '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
BASE = """\
[servers.crm]
command = "crm"
args = ["--port", "1"]
env = { MODE = "a", CRM_TOKEN = "hunter2" }
cwd = "sub"
[servers.web]
url = "https://u:hunter2@web.example/mcp?key=hunter2"
headers = { Authorization = "Bearer hunter2", Accept = "text/x" }
[models.m]
adapter = "openai-chat"
model = "x"
base_url = "http://127.0.0.1:9/v1"
api_key = "${env:KEY}"
[[policy.rules]]
id = "r"
tools = ["read_*"]
effect = "allow"
"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path / "data/trust.json")


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    folder.mkdir(exist_ok=True)
    (folder / "servers.toml").write_text(text)
    return load(None, environ or {}, cwd=folder)


def keys(items) -> list[str]:
    return [item.key for item in items]


def test_everything_that_starts_or_contacts_something_needs_trust(tmp_path, store):
    config = loaded(tmp_path / "p", BASE)
    assert keys(needs_trust(config, store)) == ["servers.crm", "servers.web", "models.m", "policy"]


def test_trust_covers_the_file_exactly_as_it_was(tmp_path, store):
    config = loaded(tmp_path / "p", BASE)
    trust(config, store)
    assert needs_trust(config, store) == ()
    assert needs_trust(loaded(tmp_path / "p", BASE + "# a comment\n"), store) == ()
    assert needs_trust(loaded(tmp_path / "p", "[limits]\nmax_turns = 3\n" + BASE), store) == ()


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"crm"\nargs', '"crn"\nargs', "servers.crm"),
        ('"1"', '"2"', "servers.crm"),
        ('["--port", "1"]', '["--port 1"]', "servers.crm"),
        ('MODE = "a"', 'MODE = "b"', "servers.crm"),
        ('MODE = "a"', 'MODES = "a"', "servers.crm"),
        ('CRM_TOKEN = "hunter2"', 'CRM_TOKEN = "hunter3"', "servers.crm"),
        ('"sub"', '"sub2"', "servers.crm"),
        ('cwd = "sub"', 'cwd = "sub"\ntrust_annotations = true', "servers.crm"),
        ("web.example", "web2.example", "servers.web"),
        ("key=hunter2", "key=hunter3", "servers.web"),
        ("Bearer hunter2", "Bearer hunter3", "servers.web"),
        ("127.0.0.1:9", "evil.example", "models.m"),
        ("${env:KEY}", "${env:OTHER_KEY}", "models.m"),
        ('["read_*"]', '["*"]', "policy"),
        ("[[policy.rules]]", '[policy]\ndefault = "allow"\n[[policy.rules]]', "policy"),
        ("[servers.crm]", '[servers.new]\ncommand = "x"\n[servers.crm]', "servers.new"),
        ("[servers.crm]", 'model = "http://evil.example/v1:x"\n[servers.crm]', "model"),
    ],
)
def test_a_change_of_anything_that_runs_asks_again(old, new, key, tmp_path, store):
    trust(loaded(tmp_path / "p", BASE), store)
    assert old in BASE
    assert keys(needs_trust(loaded(tmp_path / "p", BASE.replace(old, new, 1)), store)) == [key]


PROVIDER = """\
[providers.openai]
base_url = "https://user:hunter2@evil.example/v1"
headers = { X-Team = "hunter2" }
[providers.openai.adapters.openai-chat]
base_url = "https://evil.example/chat"
[[providers.openai.models]]
match = ["gpt-*"]
context_window = 9
"""


def test_whatever_is_said_of_a_provider_needs_trust(tmp_path, store):
    config = loaded(tmp_path / "p", PROVIDER)
    asked = needs_trust(config, store)
    assert keys(asked) == ["providers.openai"]
    text = describe(asked)
    assert "says of the provider openai: base_url = https://user:(hidden)@evil.example/v1" in text
    assert "says of the provider openai: headers.X-Team = (hidden)" in text
    assert "adapters.openai-chat.base_url = https://evil.example/chat" in text
    assert "models[1].context_window = 9" in text
    assert "hunter2" not in text
    trust(config, store)
    assert needs_trust(config, store) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("evil.example/v1", "worse.example/v1"),
        ("evil.example/chat", "worse.example/chat"),
        ("context_window = 9", "base_url = 'https://worse.example'"),
        ("[providers.openai]", "[providers.openai]\nkey_variable = 'GITHUB_TOKEN'"),
        ("[providers.openai]", "[providers.openai]\nhosts = ['worse.example']"),
        ("[providers.openai]", "[providers.openai]\napi_key = '${env:GITHUB_TOKEN}'"),
    ],
)
def test_a_change_of_what_is_said_of_a_provider_asks_again(old, new, tmp_path, store):
    trust(loaded(tmp_path / "p", PROVIDER), store)
    changed = loaded(tmp_path / "p", PROVIDER.replace(old, new, 1))
    assert keys(needs_trust(changed, store)) == ["providers.openai"]


def test_a_url_behind_an_adapter_needs_trust_as_any_other(tmp_path, store):
    config = loaded(tmp_path / "p", 'model = "anthropic+http://u:hunter2@evil.example/v1:x"\n')
    asked = needs_trust(config, store)
    assert keys(asked) == ["model"]
    assert "model: anthropic+http://u:(hidden)@evil.example/v1:x" in describe(asked)


def test_a_known_provider_as_it_is_needs_none(tmp_path, store):
    text = 'model = "m"\n[models.m]\nprovider = "openai"\neffort = "high"\n'
    assert needs_trust(loaded(tmp_path / "p", text), store) == ()


def test_another_url_for_a_known_provider_says_whose_key_goes_there(tmp_path, store):
    text = '[models.m]\nprovider = "openai"\nbase_url = "https://proxy.example/v1"\n'
    asked = needs_trust(loaded(tmp_path / "p", text), store)
    assert keys(asked) == ["models.m"]
    assert "sends conversations to: https://proxy.example/v1" in describe(asked)
    assert "with the usual key of: openai" in describe(asked)


@pytest.mark.parametrize(
    "text",
    [
        'model = "https://anyone.openai.azure.com/openai/v1:m"\n',
        '[models.m]\nmodel = "m"\nbase_url = "https://anyone.openai.azure.com/openai/v1"\n',
    ],
)
def test_a_host_that_gets_a_usual_key_by_its_name_alone_is_said_to(text, tmp_path, store):
    asked = needs_trust(loaded(tmp_path / "p", text), store)
    assert "with the usual key of: azure" in describe(asked)


def test_what_is_taken_away_does_not_ask_again(tmp_path, store):
    trust(loaded(tmp_path / "p", BASE), store)
    assert needs_trust(loaded(tmp_path / "p", BASE[: BASE.index("[models.m]")]), store) == ()


def test_the_same_file_elsewhere_is_not_trusted(tmp_path, store):
    trust(loaded(tmp_path / "p", BASE), store)
    assert needs_trust(loaded(tmp_path / "q", BASE), store)


def test_the_bundled_demo_server_needs_no_trust(tmp_path, store):
    lax = DEMO + 'trust_annotations = true\n[policy]\ndefault = "allow"\n'
    assert needs_trust(loaded(tmp_path / "p", lax), store) == ()


@pytest.mark.parametrize(
    "more",
    ['env = { PYTHONPATH = "." }', 'cwd = "evil"'],
)
def test_a_demo_server_that_could_run_other_code_does(more, tmp_path, store):
    assert keys(needs_trust(loaded(tmp_path / "p", DEMO + more), store)) == ["servers.orders"]


def test_a_demo_server_with_further_arguments_does(tmp_path, store):
    text = DEMO.replace('"demo-server"', '"demo-server", "--database", "/etc/x"')
    assert keys(needs_trust(loaded(tmp_path / "p", text), store)) == ["servers.orders"]


def test_the_demo_server_is_this_package_wherever_it_is_started(tmp_path):
    evil = tmp_path / "agent_host"
    evil.mkdir()
    for name in ("__init__.py", "__main__.py"):
        (evil / name).write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')")
    done = subprocess.run(
        [*demo_command(sys.executable), "--help"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "order desk" in done.stdout
    assert not (tmp_path / "pwned").exists()


def test_the_users_own_file_needs_no_trust(tmp_path, store):
    own = tmp_path / "config/agent-host/servers.toml"
    own.parent.mkdir(parents=True)
    own.write_text(BASE)
    assert needs_trust(load(None, {}, cwd=tmp_path), store) == ()


def test_what_the_user_typed_needs_no_trust(tmp_path, store):
    config = loaded(tmp_path / "p", DEMO, {"AGENT_HOST_MODEL": "http://127.0.0.1:9/v1:x"})
    assert needs_trust(config, store) == ()


def test_a_disabled_server_needs_trust_all_the_same(tmp_path, store):
    off = '[servers.a]\ncommand = "x"\nenabled = false\n'
    config = loaded(tmp_path / "p", off)
    assert keys(needs_trust(config, store)) == ["servers.a"]
    trust(config, store)
    assert needs_trust(loaded(tmp_path / "p", off.replace("false", "true")), store) == ()


def test_what_is_shown_is_the_whole_command_line_and_no_secret(tmp_path, store):
    text = describe(needs_trust(loaded(tmp_path / "p", BASE), store))
    assert "starts: crm --port 1\n" in text
    assert "in the folder: sub" in text
    assert "with: MODE=a\n" in text
    assert "with: CRM_TOKEN=(hidden)" in text
    assert "contacts: https://u:(hidden)@web.example/mcp?(hidden)" in text
    assert "header: Authorization: (hidden)" in text
    assert "header: Accept: text/x" in text
    assert "with the key: ${env:KEY}" in text
    assert "runs without a question (r): read_* of *" in text
    assert "hunter2" not in text


def test_arguments_are_shown_so_that_none_can_pass_for_two(tmp_path, store):
    text = '[servers.a]\ncommand = "sh"\nargs = ["-c", "a; b\\u001b[2K\\nc"]\n'
    shown = describe(needs_trust(loaded(tmp_path / "p", text), store))
    assert "starts: sh -c 'a; b\\u{1b}[2K\\nc'" in shown


def test_a_change_is_shown_as_one(tmp_path, store):
    trust(loaded(tmp_path / "p", BASE), store)
    text = describe(needs_trust(loaded(tmp_path / "p", BASE.replace('"1"', '"2"')), store))
    assert "servers.crm (changed since it was trusted)" in text
    assert "  - starts: crm --port 1" in text
    assert "  + starts: crm --port 2" in text
    hidden = BASE.replace('CRM_TOKEN = "hunter2"', 'CRM_TOKEN = "other"')
    assert "+ a value that is not shown" in describe(
        needs_trust(loaded(tmp_path / "p", hidden), store)
    )


def test_the_store_is_private_and_holds_no_secret(tmp_path, store):
    trust(loaded(tmp_path / "p", BASE), store)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert "hunter2" not in store.path.read_text()
    assert [p.name for p in store.path.parent.iterdir() if p.name != "agent-host"] == ["trust.json"]


def test_revoking_forgets_one_file(tmp_path, store):
    first, second = loaded(tmp_path / "p", BASE), loaded(tmp_path / "q", BASE)
    trust(first, store)
    trust(second, store)
    assert store.revoke(first.path)
    assert not store.revoke(first.path)
    assert needs_trust(first, store)
    assert needs_trust(second, store) == ()


@pytest.mark.parametrize("content", ["", "[]", '{"files": 3}', '{"files": {"a": 3}}', "{" * 9000])
def test_a_damaged_store_trusts_nothing(content, tmp_path, store):
    store.path.parent.mkdir(parents=True)
    store.path.write_text(content)
    with pytest.raises(ConfigError, match="is damaged; remove it"):
        needs_trust(loaded(tmp_path / "p", BASE), store)


def test_a_store_with_nonsense_for_the_file_trusts_nothing(tmp_path, store):
    config = loaded(tmp_path / "p", BASE)
    trust(config, store)
    stored = json.loads(store.path.read_text())
    stored["files"][str(config.path)]["servers.crm"] = "trusted!"
    store.path.write_text(json.dumps(stored))
    assert keys(needs_trust(config, store)) == ["servers.crm"]


def test_a_store_that_cannot_be_written_is_one_line(tmp_path, store):
    store.path.parent.parent.mkdir(exist_ok=True)
    store.path.parent.write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match=r"make that folder writable|check its permissions"):
        trust(loaded(tmp_path / "p", BASE), store)


def test_a_store_that_cannot_be_replaced_leaves_nothing_half_written(tmp_path, store, monkeypatch):
    config = loaded(tmp_path / "p", BASE)
    store.path.mkdir(parents=True)
    monkeypatch.setattr(store, "files", dict)
    with pytest.raises(ConfigError, match="cannot be written"):
        trust(config, store)
    assert [p.name for p in store.path.parent.iterdir() if p.name != "agent-host"] == ["trust.json"]


def test_the_refusal_names_what_and_how(tmp_path, store):
    config = loaded(tmp_path / "p", BASE)
    text = refusal(config, needs_trust(config, store))
    assert text == (
        "servers.toml: not trusted yet: servers.crm, servers.web, models.m, policy; "
        "read it, then run `agent-host trust`, or add --trust"
    )


IDENTITY = """\
[identity]
token = "${env:ID_TOKEN}"
issuer = "https://idp.example"
audience = "me"
"""

REMOTE = """\
[servers.crm]
url = "https://crm.example/mcp"
"""


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("sse = true", "contacts: https://crm.example/mcp (HTTP+SSE)"),
        (
            'proxy = "http://u:hunter2@p.example:3128"',
            "the proxy: http://u:(hidden)@p.example:3128",
        ),
        ('proxy = ""', "without a proxy"),
        ('tls = { ca = "ca.pem" }', "believes the certificate authorities in: ca.pem"),
        ('tls = { cert = "c.pem", key = "k.pem" }', "shows the client certificate: c.pem"),
        ('auth = { type = "oauth" }', "logs in (oauth)"),
        ('auth = { type = "oauth", issuer = "https://evil.example" }', "https://evil.example"),
        ('auth = { type = "oauth", scopes = ["a", "b"] }', "scopes: a b"),
        (
            'auth = { type = "client-credentials", client_id = "me", client_secret = "hunter2" }',
            "client secret: (hidden)",
        ),
        ('roots = ["/etc"]', "is told that it may work in the folder: /etc"),
        ("sampling = true", "may ask for answers of the model (sampling)"),
        ("forward_user = true", "is told who the user is, in the key: agent-host/user"),
        (
            'forward_user = { headers = { X-User = "{user.id}" } }',
            "is told who the user is, in the header: X-User: {user.id}",
        ),
        ('forward_user = { exchange = true, audience = "a" }', "gets a token of the user for: a"),
    ],
)
def test_each_key_that_decides_what_is_sent_or_allowed_asks_again_and_is_said(
    more, line, tmp_path, store
):
    user = IDENTITY if "exchange" in more else ""
    trust(loaded(tmp_path / "p", f"{REMOTE}{user}"), store)
    asked = needs_trust(loaded(tmp_path / "p", f"{REMOTE}{more}\n{user}"), store)
    assert keys(asked) == ["servers.crm"]
    assert line in describe(asked)
    assert "hunter2" not in describe(asked)


@pytest.mark.parametrize(
    "more",
    [
        "sse = false",
        "sampling = false",
        "forward_user = false",
        "roots = []",
        "timeout = 60",
        "connect_timeout = 60",
        'tools = { include = ["a"] }',
        "parallel = false",
        "enabled = false",
        "resources = false",
    ],
)
def test_what_says_how_long_or_nothing_new_does_not_ask_again(more, tmp_path, store):
    trust(loaded(tmp_path / "p", REMOTE), store)
    assert needs_trust(loaded(tmp_path / "p", f"{REMOTE}{more}\n"), store) == ()


def test_what_was_trusted_by_an_older_version_is_trusted_still(tmp_path, store):
    whole = '["servers.crm", {"args": [], "command": null, "cwd": null, "env": {}, "headers": {}, '
    whole += '"trust_annotations": false, "url": "https://crm.example/mcp"}]'
    digest = hashlib.sha256(whole.encode()).hexdigest()
    config = loaded(tmp_path / "p", REMOTE)
    store.add(config.path, [TrustItem(key="servers.crm", lines=(), digest=digest)])
    assert needs_trust(config, store) == ()


def test_who_the_user_is_needs_trust(tmp_path, store):
    asked = needs_trust(loaded(tmp_path / "p", IDENTITY), store)
    assert keys(asked) == ["identity"]
    assert "by the token: ${env:ID_TOKEN}" in describe(asked)
    trust(loaded(tmp_path / "p", IDENTITY), store)
    other = IDENTITY.replace("idp.example", "evil.example")
    asked = needs_trust(loaded(tmp_path / "p", other), store)
    assert "  + believes and contacts the issuer: https://evil.example" in describe(asked)


def test_sampling_without_a_question_needs_trust(tmp_path, store):
    trust(loaded(tmp_path / "p", REMOTE + "sampling = true\n"), store)
    lax = REMOTE + 'sampling = true\n[sampling]\napprove = "always"\n'
    asked = needs_trust(loaded(tmp_path / "p", lax), store)
    assert keys(asked) == ["policy"]
    assert "without a question" in describe(asked)


def test_a_secret_under_an_innocent_name_is_not_shown(tmp_path, store):
    text = '[servers.db]\ncommand = "db"\n'
    text += 'env = { TARGET = "postgres://me:hunter2@db.example/x", NOTE = "ghp_hunter2hunter2" }\n'
    shown = describe(needs_trust(loaded(tmp_path / "p", text), store))
    assert "hunter2" not in shown
    assert "with: TARGET=postgres://me:(hidden)@db.example/x" in shown
    assert "with: NOTE=(hidden)" in shown


def test_a_long_line_is_cut_visibly_and_shown_whole_on_request(tmp_path, store):
    text = f'[servers.x]\ncommand = "x"\nargs = ["{"a" * 5000}", "rm -rf"]\n'
    asked = needs_trust(loaded(tmp_path / "p", text), store)
    assert "[3,019 more characters: `agent-host trust --full` shows them]" in describe(asked)
    assert "rm -rf" not in describe(asked)
    assert "a 'rm -rf'" in describe(asked, whole=True)


def test_of_a_long_line_that_changed_the_change_is_shown(tmp_path, store):
    long = f'[servers.x]\ncommand = "x"\nargs = ["{"a" * 9000}", "list", "{"b" * 9000}"]\n'
    trust(loaded(tmp_path / "p", long), store)
    asked = needs_trust(loaded(tmp_path / "p", long.replace('"list"', '"rm -rf"')), store)
    removed, added = describe(asked).split("\n")[1:]
    assert removed.startswith("  - starts: x aaa")
    assert " list bbb" in removed
    assert " 'rm -rf' bbb" in added
    assert added.count("more characters") == 2


def test_only_what_was_seen_is_trusted(tmp_path, store):
    two = REMOTE + '[servers.other]\ncommand = "evil"\n'
    config = loaded(tmp_path / "p", two)
    seen = [server_item("crm", config.declared.servers["crm"])]
    assert trust_these(config, store, seen) == ()
    assert keys(needs_trust(config, store)) == ["servers.other"]


def test_what_was_seen_but_is_not_what_stands_there_is_not_trusted(tmp_path, store):
    seen = [server_item("crm", loaded(tmp_path / "p", REMOTE).declared.servers["crm"])]
    changed = loaded(tmp_path / "p", REMOTE.replace("crm.example", "evil.example"))
    assert trust_these(changed, store, seen) == ("servers.crm",)
    assert not store.path.exists()
    assert keys(needs_trust(changed, store)) == ["servers.crm"]


def test_one_item_can_be_forgotten(tmp_path, store):
    config = loaded(tmp_path / "p", BASE)
    trust(config, store)
    assert store.forget(config.path, "servers.crm")
    assert not store.forget(config.path, "servers.crm")
    assert keys(needs_trust(config, store)) == ["servers.crm"]
    for item in needs_trust(config, TrustStore(tmp_path / "other.json")):
        store.forget(config.path, item.key)
    assert store.files() == {}
