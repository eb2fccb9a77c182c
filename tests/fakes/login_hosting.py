"""What the tests of logins share: the transport over real loopback HTTP, and a person."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx2

from agent_host.servers.login.person import Headless
from agent_host.servers.login.transport import LoginTransport
from agent_host.servers.spec import AuthSpec, HttpSpec
from agent_host.servers.transports.proxies import RawTransport

CALL = {"jsonrpc": "2.0", "id": 1, "method": "test/echo"}
TOOL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "test"}}


def spec_for(world, folder, **auth):
    auth.setdefault("type", "oauth")
    made = AuthSpec(store=folder / "logins", **auth)
    return HttpSpec(name="crm", url=world.url, auth=made)


def browser(visited=None):
    """A person whose browser does what it is told."""

    async def go(url):
        if visited is not None:
            visited.append(url)
        async with httpx2.AsyncClient() as client:
            answer = await client.get(url)
            return answer.headers["location"]

    return Headless(go)


class Clock:
    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


@asynccontextmanager
async def client_of(spec, *, person=None, raw=None, **more):
    inner = raw or RawTransport(spec)
    transport = LoginTransport(inner, spec, person=person, **more)
    async with httpx2.AsyncClient(transport=transport, timeout=20) as client:
        yield client


async def post(client, url, message=CALL, **headers):
    return await client.post(
        url, content=json.dumps(message), headers={"mcp-protocol-version": "2025-11-25", **headers}
    )


def once(spec, *, person=None, message=CALL, **more):
    """One request in a process of its own, as far as the transport knows: its status."""

    async def scenario():
        async with client_of(spec, person=person, **more) as client:
            return (await post(client, spec.url, message)).status_code

    return asyncio.run(scenario())


def with_auth(spec, **changes):
    return replace(spec, auth=replace(spec.auth, **changes))
