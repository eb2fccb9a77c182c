"""For whom a call is made, as servers are told: headers, `_meta`, one user beside another."""

import asyncio
import json
import sys
import threading

import pytest

from agent_host.core.types import Principal
from agent_host.ports import CallContext
from agent_host.servers.spec import HttpSpec, StdioSpec, UserSpec
from agent_host.servers.user import UserUnknownError, user_headers
from tests.fakes.hosting import DEADLINE, running
from tests.fakes.mirror_server import Mirror

ANA = Principal(
    id="ana", authenticated_by="https://idp.example", roles=("desk",), claims={"org": "acme"}
)
BOB = Principal(id="bob", authenticated_by="https://idp.example", claims={"org": "b&b"})


@pytest.fixture
def mirror():
    made = Mirror()
    yield made
    made.close()


def spec_of(mirror, **user):
    return HttpSpec(name="m", url=mirror.url, user=UserSpec(**user), connect_timeout=5)


async def who(pool, principal, name="m__who"):
    made = CallContext(call_id="c", principal=principal, progress=lambda *_: None)
    async with asyncio.timeout(DEADLINE):
        return await pool.call(pool.tools()[name], {}, made)


def told(result):
    assert result.error is None, result
    return json.loads(result.content[0].text)


def test_two_users_calls_over_one_connection_each_name_their_own_user(mirror):
    async def scene():
        spec = spec_of(mirror, headers={"X-User": "{user.id}@{user.claims.org}"}, meta="x/user")
        async with running(spec) as pool:
            mirror.together = threading.Barrier(6)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    (user, group.create_task(who(pool, user)))
                    for user in (ANA, BOB)
                    for _ in range(3)
                ]
            return [(user.id, told(task.result())) for user, task in tasks]

    for name, seen in asyncio.run(scene()):
        org = {"ana": "acme", "bob": "b&b"}[name]
        assert seen["headers"] == {"X-User": f"{name}@{org}"}
        assert seen["meta"]["x/user"]["id"] == name
    assert all(headers == {} for headers in mirror.unasked)


def test_a_user_without_the_claim_that_a_header_wants_is_not_spoken_for(mirror):
    async def scene():
        spec = spec_of(mirror, headers={"X-Org": "{user.claims.org}"})
        async with running(spec) as pool:
            failed = await who(pool, Principal(id="carl"))
            return failed, told(await who(pool, ANA))

    failed, seen = asyncio.run(scene())
    assert failed.error == "server_unavailable"
    assert "the user has no user.claims.org" in failed.content[0].text
    assert seen["headers"] == {"X-Org": "acme"}


def test_nothing_is_told_of_the_user_unless_the_config_says_so(mirror):
    async def scene():
        async with running(spec_of(mirror)) as pool:
            return told(await who(pool, ANA))

    seen = asyncio.run(scene())
    assert seen["headers"] == {}
    assert "ana" not in json.dumps(seen)


SERVER = """
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m:
        continue
    r = {"jsonrpc": "2.0", "id": m["id"]}
    if m["method"] == "initialize":
        r["result"] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "s", "version": "1"}}
    elif m["method"] == "tools/list":
        r["result"] = {"tools": [{"name": "who", "inputSchema": {"type": "object"}}]}
    elif m["method"] == "tools/call":
        text = json.dumps({"meta": m["params"].get("_meta")})
        r["result"] = {"content": [{"type": "text", "text": text}]}
    else:
        r["error"] = {"code": -32601, "message": "no"}
    print(json.dumps(r), flush=True)
"""


def test_a_program_is_told_the_user_in_meta():
    async def scene():
        spec = StdioSpec(
            name="m",
            command=sys.executable,
            args=("-I", "-S", "-c", SERVER),
            user=UserSpec(meta="agent-host/user"),
            connect_timeout=5,
        )
        async with running(spec) as pool:
            return told(await who(pool, ANA))

    meta = asyncio.run(scene())["meta"]
    assert meta["agent-host/user"] == {
        "id": "ana",
        "issuer": "https://idp.example",
        "roles": ["desk"],
    }


@pytest.mark.parametrize("value", ["ana\r\nX-Admin: 1", "\x00\x1b[2J", "é\u202e", "a%b"])
def test_no_name_can_end_a_header_or_begin_another(value):
    user = UserSpec(headers={"X-User": "u={user.id}"})
    [text] = user_headers(user, Principal(id=value)).values()
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize("claim", [None, "", True, {"a": 1}, ["x"]])
def test_a_claim_that_is_no_plain_value_is_no_header(claim):
    user = UserSpec(headers={"X": "{user.claims.c}"})
    with pytest.raises(UserUnknownError):
        user_headers(user, Principal(id="x", claims={"c": claim}))
    with pytest.raises(UserUnknownError):
        user_headers(user, None)


def test_issuer_and_numbers_can_be_told():
    user = UserSpec(headers={"X": "{user.issuer}#{user.claims.n}"})
    who_is = Principal(id="x", authenticated_by="os", claims={"n": 7})
    assert user_headers(user, who_is) == {"X": "os#7"}
