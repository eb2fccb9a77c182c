"""Servers that are their own authorization server, as the official SDK makes them."""

import sys

import pytest

from agent_host.servers.login.errors import LoginFailedError
from tests.login_real.own_login_server import KNOWN
from tests.login_real.world import HERE, program, status_of


@pytest.fixture(scope="module")
def url():
    with program(sys.executable, HERE / "own_login_server.py") as started:
        yield started.told()["url"]


def test_a_client_that_registered_itself_gets_more_rights_and_logs_out(url, desk, logged_in):
    assert logged_in(url).scope == "read"
    assert desk.whoami().out == "read\n"
    assert logged_in(url, scopes=("write",)).scope == "read write"
    assert desk.whoami().out == "read write\n"
    access = desk.kept()["token"]["access"]
    assert status_of(url, access) == 200
    out = desk.run("servers", "logout", "crm")
    assert (out.status, out.out, out.err) == (0, "logged out of crm\n", "")
    assert status_of(url, access) == 401


def test_a_client_that_the_server_knows_sends_its_secret_and_its_id(url, desk, logged_in):
    done = logged_in(url, client_id=KNOWN[0], client_secret=KNOWN[1])
    assert (done.scope, done.renews) == ("read", True)
    assert KNOWN[1] not in str(desk.kept())
    with pytest.raises(LoginFailedError, match=r"invalid_client \(Invalid client_secret\)"):
        logged_in(url, client_id=KNOWN[0], client_secret="another")
