"""The world of real logins, started once for all tests, and a home for each."""

import asyncio
import contextlib

import pytest

from agent_host.servers.login.commands import log_in
from agent_host.servers.login.person import Headless
from agent_host.servers.spec import AuthSpec, HttpSpec
from agent_host.servers.transports.proxies import RawTransport
from tests.login_real.visitor import visit
from tests.login_real.world import USUAL, VARIABLES, Desk, World

BACK = "http://127.0.0.1:8765/callback"


@pytest.fixture(scope="session")
def started():
    with contextlib.ExitStack() as stack:
        yield World(stack)


@pytest.fixture
def world(started):
    yield started
    started.set(**USUAL)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return Desk(tmp_path)


@pytest.fixture
def logged_in(desk):
    """Log somebody in to a server, as `agent-host servers login crm` does, but in this process."""

    async def go(page):
        return await asyncio.to_thread(visit, page, who[0], BACK)

    def login(url, name="ana", *, scopes=(), **auth):
        who[:] = [name]
        auth = AuthSpec(type="oauth", store=desk.logins, **auth)
        spec = HttpSpec(name="crm", url=url, auth=auth)
        desk.config(url)
        return asyncio.run(log_in(spec, RawTransport(spec), Headless(go, BACK), scopes=scopes))

    who = []
    return login
