"""Tokens of the users that calls are made for, over one connection, by token exchange."""

import asyncio
import json
import threading
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import httpx2
import pytest

from agent_host.core.types import Principal
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.user_tokens import UserTokens
from agent_host.servers.spec import AuthSpec, HttpSpec, UserSpec
from agent_host.servers.transports.proxies import RawTransport
from agent_host.servers.user import principal
from tests.fakes.login_hosting import Clock

ANA, BOB = (Principal(id=name, authenticated_by="https://idp") for name in ("ana", "bob"))


class World:
    """A resource and its authorization server: tokens are `of-NAME-N`."""

    def __init__(self):
        self.exchanges: list[dict[str, str]] = []
        self.calls: list[tuple[str, str]] = []
        self.revoked: set[str] = set()
        self.known = {"id-ana": "ana", "id-bob": "bob"}
        self.together = threading.Barrier(1)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.world = self
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def page(self, path):
        here = self.origin
        if path.startswith("/.well-known/oauth-protected-resource"):
            return 200, {"resource": f"{here}/mcp", "authorization_servers": [here]}
        if "oauth-authorization-server" not in path:
            return 404, {}
        return 200, {
            "issuer": here,
            "token_endpoint": f"{here}/token",
            "authorization_endpoint": f"{here}/authorize",
            "response_types_supported": ["code"],
        }

    def exchange(self, form):
        self.exchanges.append(form)
        user = self.known.get(form["subject_token"])
        if user is None:
            return 400, {"error": "invalid_grant", "error_description": str(form)}
        token = f"of-{user}-{len(self.exchanges)}"
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 600}

    def call(self, who, held):
        self.together.wait(10)
        self.calls.append((who, held))
        return (401 if held in self.revoked else 200), {}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def say(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.say(*self.server.world.page(self.path))

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"])).decode()
        world = self.server.world
        if self.path == "/token":
            form = {key: value[0] for key, value in parse_qs(raw).items()}
            self.say(*world.exchange(form))
        else:
            self.say(*world.call(json.loads(raw)["for"], self.headers.get("authorization", "")))


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


class Usual(httpx2.AsyncBaseTransport):
    """Stands for what sends the host's own requests."""

    def __init__(self):
        self.count = 0

    async def handle_async_request(self, request):
        self.count += 1
        return httpx2.Response(204, request=request)


def spec_of(world, folder, **user):
    tokens = {"ana": "id-ana", "bob": "id-bob"}
    wanted = UserSpec(exchange=True, subject=lambda who: tokens.get(who.id, ""), **user)
    auth = AuthSpec(type="oauth", store=folder, client_id="host", client_secret="s3cret")
    return HttpSpec(name="crm", url=f"{world.origin}/mcp", auth=auth, user=wanted)


def client_of(spec, usual=None, clock=None):
    raw = RawTransport(spec)
    transport = UserTokens(raw, usual or Usual(), spec, now=clock or Clock())
    return httpx2.AsyncClient(transport=transport, timeout=20)


async def call(client, spec, who, label=""):
    principal.set(who)
    name = label or (who.id if who else "host")
    return await client.post(spec.url, content=json.dumps({"for": name}))


def test_two_users_over_one_connection_never_mix(world, tmp_path):
    async def scene():
        spec = spec_of(world, tmp_path)
        async with client_of(spec) as client:
            for user in (ANA, BOB):
                await asyncio.create_task(call(client, spec, user))
            world.together = threading.Barrier(8)
            async with asyncio.TaskGroup() as group:
                for number in range(8):
                    group.create_task(call(client, spec, (ANA, BOB)[number % 2]))

    asyncio.run(scene())
    assert len(world.calls) == 10
    assert all(f"of-{name}-" in held for name, held in world.calls)
    assert len(world.exchanges) == 2
    assert Counter(name for name, _ in world.calls) == {"ana": 5, "bob": 5}


def test_many_calls_of_one_user_exchange_once(world, tmp_path):
    async def scene():
        spec = spec_of(world, tmp_path)
        async with client_of(spec) as client, asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(call(client, spec, ANA))

    asyncio.run(scene())
    assert len(world.exchanges) == 1


def test_the_exchange_says_whose_token_for_whom_and_who_asks(world, tmp_path):
    async def scene():
        spec = spec_of(world, tmp_path, audience="crm-api")
        spec = replace(spec, auth=replace(spec.auth, scopes=("read", "write")))
        async with client_of(spec) as client:
            await call(client, spec, ANA)

    asyncio.run(scene())
    [form] = world.exchanges
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "id-ana",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": f"{world.origin}/mcp",
        "audience": "crm-api",
        "scope": "read write",
    }


def test_a_token_is_exchanged_anew_before_it_ends_and_when_it_is_refused(world, tmp_path):
    async def scene():
        spec, clock = spec_of(world, tmp_path), Clock()
        async with client_of(spec, clock=clock) as client:
            await call(client, spec, ANA)
            clock.now += 599
            await call(client, spec, ANA)
            world.revoked.add("Bearer of-ana-2")
            assert (await call(client, spec, ANA)).status_code == 200
            world.revoked |= {"Bearer of-ana-3", "Bearer of-ana-4"}
            assert (await call(client, spec, ANA)).status_code == 401

    asyncio.run(scene())
    assert [held for _, held in world.calls] == [f"Bearer of-ana-{n}" for n in (1, 2, 2, 3, 3, 4)]


def test_what_the_connection_does_for_itself_goes_the_usual_way(world, tmp_path):
    async def scene():
        spec, usual = spec_of(world, tmp_path), Usual()
        async with client_of(spec, usual) as client:
            await call(client, spec, None)
            principal.set(ANA)
            await client.get(spec.url)
            await client.post("http://127.0.0.1:9/elsewhere", content="{}")
        return usual.count

    assert asyncio.run(scene()) == 3
    assert world.calls == []


def test_a_user_without_a_token_gets_none_of_anybody_elses(world, tmp_path):
    async def scene():
        spec, usual = spec_of(world, tmp_path), Usual()
        async with client_of(spec, usual) as client:
            with pytest.raises(LoginFailedError, match="carl has no ID token"):
                await call(client, spec, Principal(id="carl"))
            assert usual.count == 0

    asyncio.run(scene())
    assert world.calls == []


def test_a_refused_exchange_is_said_without_the_users_token(world, tmp_path):
    async def scene():
        world.known.clear()
        spec = spec_of(world, tmp_path)
        async with client_of(spec) as client:
            with pytest.raises(LoginFailedError, match="invalid_grant") as caught:
                await call(client, spec, ANA)
        assert "id-ana" not in str(caught.value)
        assert "s3cret" not in str(caught.value)

    asyncio.run(scene())
