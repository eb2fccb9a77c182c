"""What the specification asks of a client and no other test shows on the wire."""

import asyncio

from agent_host.servers.spec import HttpSpec
from tests.fakes.hostile_http import serving
from tests.fakes.hosting import call, hostile, running, said
from tests.mcp_conformance.ledger import requirement


def named(headers, name):
    return {key.lower(): value for key, value in headers.items()}.get(name)


@requirement("ping")
def test_a_ping_of_the_server_is_answered_during_a_call():
    async def scenario(spec):
        async with running(spec) as pool:
            return await call(pool, text="hi")

    assert said(asyncio.run(scenario(hostile("pings")))) == '{"answers": 3}'


@requirement("http-version-header")
def test_the_agreed_version_is_sent_with_every_request_after_the_handshake():
    async def scenario(server):
        async with running(HttpSpec(name="h", url=server.url)) as pool:
            await call(pool, text="hi")

    with serving("session") as server:
        asyncio.run(scenario(server))
    after = [
        headers
        for method, headers in server.seen
        if method not in ("server/discover", "initialize")
    ]
    assert len(after) >= 3
    assert {named(headers, "mcp-protocol-version") for headers in after} == {"2025-06-18"}
    assert {named(headers, "mcp-session-id") for headers in after} == {"s1"}
