"""For whom the commands act, with an ID token of an issuer on loopback."""

import json
import time
from pathlib import Path

import pytest

from agent_host.core.errors import ExitStatus
from tests.fakes.identity_provider import IdentityProvider
from tests.fakes.mirror_server import Mirror

CONFIG = """
model = "offline"

[identity]
token = "${{env:ID_TOKEN}}"
issuer = "{issuer}"
audience = "agent-host"

[servers.m]
url = "{url}"
forward_user = {{ headers = {{ X-User = "{{user.id}} of {{user.claims.org}}" }} }}

[[policy.rules]]
id = "all"
effect = "allow"
"""


@pytest.fixture
def issuer(project: Path):
    mirror = Mirror()
    # The program's clock is the real one, and so is the issuer's.
    with IdentityProvider(now=int(time.time())) as provider:
        (project / "servers.toml").write_text(CONFIG.format(issuer=provider.url, url=mirror.url))
        yield provider
    mirror.close()


def test_a_call_by_hand_is_made_for_the_verified_user(cli, issuer):
    done = cli("tools", "call", "m__who", "--trust", ID_TOKEN=issuer.token(org="acme"))
    assert done.returncode == ExitStatus.DONE, done.stderr
    assert json.loads(done.stdout)["headers"] == {"X-User": "ana of acme"}


def test_a_run_records_its_user_and_the_token_nowhere(cli, issuer, project):
    token = issuer.token(org="acme")
    done = cli("run", "--trust", "m who", ID_TOKEN=token)
    assert done.returncode == ExitStatus.DONE, done.stderr
    [file] = (project / "transcripts").glob("*.jsonl")
    text = file.read_text()
    principal = json.loads(text.splitlines()[0])["event"]["principal"]
    assert (principal["id"], principal["authenticated_by"]) == ("ana", issuer.url)
    assert principal["roles"] == ["desk", "manager"]
    assert token not in text
    assert token not in done.stderr


@pytest.mark.parametrize("command", [("run", "hi"), ("tools", "call", "m__who")])
def test_a_user_who_cannot_be_established_gets_nothing_done(cli, issuer, project, command):
    old = issuer.token(exp=issuer.now - 1000)
    done = cli(*command, "--trust", ID_TOKEN=old)
    assert done.returncode == ExitStatus.NEEDS_LOGIN
    assert "the ID token has expired" in done.stderr
    forged = issuer.token(iss="https://elsewhere.example")
    assert cli(*command, "--trust", ID_TOKEN=forged).returncode == ExitStatus.REFUSED
    assert done.stdout == ""
    assert all("m__who" not in f.read_text() for f in project.rglob("*.jsonl"))


def test_looking_at_servers_needs_no_user(cli, issuer):
    done = cli("servers", "list", "--trust", ID_TOKEN="expired.or.not")
    assert done.returncode == ExitStatus.DONE, done.stderr
