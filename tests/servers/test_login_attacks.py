"""Servers that lie during a login: a bound holds, one clear message, and no token goes astray."""

import asyncio

import httpx2
import pytest

from agent_host.servers.login.addresses import Reach, is_public
from agent_host.servers.login.browser import check_openable
from agent_host.servers.login.challenge import challenge_of
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.wire import Wire
from agent_host.servers.transports.proxies import RawTransport
from tests.fakes.authorization_server import protected
from tests.fakes.login_hosting import browser, client_of, once, post, spec_for, with_auth

PRIVATE = [
    "http://169.254.169.254/latest/meta-data",
    "https://169.254.169.254/",
    "https://10.0.0.1/",
    "https://192.168.1.1/",
    "https://[::ffff:10.0.0.1]/",
    "https://[fe80::1]/",
    "https://[fd00::1]/",
    "https://[64:ff9b::a00:1]/",
    "https://[2002:0a00:0001::]/",
    "https://0.0.0.0/",
    "https://167772161/",
    "https://0x0a000001/",
    "https://10.1/",
    "https://100.64.0.1/",
    "ftp://127.0.0.1/x",
    "file:///etc/passwd",
    "https://0012.0.0.1/",
    "http://example.com/",
    "https://user:pw@example.com/",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_metadata_is_not_fetched_from_where_only_this_machine_can_reach(url, tmp_path):
    with protected() as world:
        world.resource_metadata = url
        visited = []
        with pytest.raises(LoginFailedError) as failed:
            once(spec_for(world, tmp_path), person=browser(visited))
        assert visited == []
        assert "pw@" not in str(failed.value)


@pytest.mark.parametrize("url", ["https://169.254.169.254", "https://[::ffff:10.0.0.1]"])
@pytest.mark.parametrize("what", ["issuer", "token_endpoint", "registration_endpoint"])
def test_no_endpoint_leads_there_either(what, url, tmp_path):
    with protected() as world:
        if what == "issuer":
            world.named_issuers = [url]
        else:
            world.endpoints = {what: f"{url}/x"}
        with pytest.raises(LoginFailedError, match="not a public address"):
            once(spec_for(world, tmp_path), person=browser())


def test_a_server_that_is_not_on_this_machine_cannot_lead_to_it():
    reach = Reach(httpx2.URL("https://mcp.example.com/mcp"))

    async def judge(url):
        with pytest.raises(LoginFailedError) as failed:
            await reach.admit(httpx2.URL(url), "it")
        return str(failed.value)

    for url in ("https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/"):
        assert "not a public address" in asyncio.run(judge(url))
    for url in ("https://127.1/", "https://2130706433/", "https://localhost:8443/x"):
        assert "not a public address" in asyncio.run(judge(url))
    assert "must be https" in asyncio.run(judge("http://mcp.example.com/token"))


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("::ffff:127.0.0.1", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("2001:0:0:0:0:0:f5ff:fffe", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("nonsense", False),
    ],
)
def test_public_is_decided_by_what_an_address_means(text, public):
    assert is_public(text) is public


class Recording(httpx2.AsyncBaseTransport):
    def __init__(self, *, fail=0):
        self.requests = []
        self.fail = fail

    async def handle_async_request(self, request):
        self.requests.append(request)
        if len(self.requests) <= self.fail:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200, json={})


def test_the_address_that_was_judged_is_the_one_that_is_dialled():
    answers = [["93.184.216.34", "93.184.216.35"], ["127.0.0.1"]]

    async def resolver(host, port):
        assert (host, port) == ("auth.example.com", 443)
        return answers.pop(0)

    network = Recording(fail=1)
    reach = Reach(httpx2.URL("https://mcp.example.com/mcp"), resolver=resolver)
    asyncio.run(Wire(network, reach).get("https://auth.example.com/x", "it"))
    assert [one.url.host for one in network.requests] == ["93.184.216.34", "93.184.216.35"]
    assert network.requests[1].headers["host"] == "auth.example.com"
    assert network.requests[1].extensions["sni_hostname"] == "auth.example.com"
    with pytest.raises(LoginFailedError, match=r"127\.0\.0\.1 is not a public address"):
        asyncio.run(Wire(network, reach).get("https://auth.example.com/x", "it"))


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    async def resolver(host, port):
        return ["93.184.216.34", "10.0.0.1"]

    network = Recording()
    reach = Reach(httpx2.URL("https://mcp.example.com/mcp"), resolver=resolver)
    with pytest.raises(LoginFailedError, match=r"10\.0\.0\.1"):
        asyncio.run(Wire(network, reach).get("https://auth.example.com/x", "it"))
    assert network.requests == []


def test_what_the_config_names_may_be_private():
    async def resolver(host, port):
        return ["10.0.0.1"]

    network = Recording()
    server = httpx2.URL("https://mcp.corp/mcp")
    reach = Reach(server, ("https://auth.corp",), resolver=resolver)
    wire = Wire(network, reach)
    asyncio.run(wire.get("https://auth.corp/x", "it"))
    asyncio.run(wire.get("https://mcp.corp/x", "it"))
    assert [one.url.host for one in network.requests] == ["auth.corp", "mcp.corp"]
    with pytest.raises(LoginFailedError, match=r"name it as auth\.issuer"):
        asyncio.run(wire.get("https://other.corp/x", "it"))


def test_behind_a_proxy_names_are_dialled_and_what_does_not_resolve_is_the_proxys():
    async def resolver(host, port):
        if host == "unknown.example.com":
            raise OSError
        return ["10.0.0.1"] if host == "inside.example.com" else ["93.184.216.34"]

    network = Recording()
    server = httpx2.URL("https://mcp.example.com/mcp")
    wire = Wire(network, Reach(server, resolver=resolver, proxy=lambda _: "http://proxy:3128"))
    for host in ("auth.example.com", "unknown.example.com"):
        asyncio.run(wire.get(f"https://{host}/x", "it"))
        assert network.requests[-1].url.host == host
    with pytest.raises(LoginFailedError, match="not a public"):
        asyncio.run(wire.get("https://inside.example.com/x", "it"))


def test_a_redirect_to_another_origin_is_not_followed(tmp_path):
    # What redirects is no metadata; the well-known places redirect too.
    with protected("prm_redirect") as world, pytest.raises(LoginFailedError):
        once(spec_for(world, tmp_path), person=browser())
    with protected("redirect_token") as world:
        with pytest.raises(LoginFailedError, match="redirects elsewhere"):
            once(spec_for(world, tmp_path), person=browser())
        assert [path for _, path, _, _ in world.asked if path == "/steal"] == []


def test_a_token_is_sent_to_no_other_origin(tmp_path):
    async def scenario(spec):
        async with client_of(spec) as client:
            client.follow_redirects = True
            await post(client, spec.url)
            await post(client, f"{world.issuer}/mcp")

    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        world.asked.clear()
        world.modes.add("redirect")
        asyncio.run(scenario(spec))
        other = [h for who, path, _, h in world.asked if (who, path) == ("as", "/mcp")]
        assert len(other) == 2
        assert all("authorization" not in {k.lower() for k in one} for one in other)
        assert world.calls()[0].startswith("Bearer ")


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("wrong_iss", "the login came from https://evil.example"),
        ("no_iss", "did not say that it came from"),
        ("wrong_state", "another login's state"),
        ("no_s256", "does not say that it supports PKCE"),
        ("pkce_unsaid", "does not say that it supports PKCE"),
        ("wrong_metadata_issuer", "is of another issuer: https://evil.example"),
        ("prm_mismatch", "about another resource: https://other.example/mcp"),
        ("prm_500", "cannot be read now: HTTP 500"),
        ("metadata_500", "cannot be read now: HTTP 503"),
        ("no_metadata", "has no metadata"),
        ("no_page", "no page where a person could log in"),
        ("html_error", "answered HTTP 502"),
        ("deny", r"the login was refused: access_denied \(no"),
        ("bad_token", "without a usable access token"),
        ("huge_metadata", "answered more than"),
        ("compressed", "answered compressed"),
        ("wrong_audience", "refused a token that had just been issued"),
    ],
)
def test_each_lie_of_an_authorization_server_has_its_message(mode, text, tmp_path):
    with protected(mode) as world:
        with pytest.raises(LoginFailedError, match=text) as failed:
            once(spec_for(world, tmp_path), person=browser())
        said = str(failed.value)
        assert "\x1b" not in said
        assert len(said) <= 600
        if mode in ("wrong_iss", "no_iss", "wrong_state", "no_s256", "pkce_unsaid", "deny"):
            assert world.grants() == []
        if mode in ("no_s256", "pkce_unsaid"):
            assert world.paths("/authorize") == []
            assert world.paths("/register") == []


@pytest.mark.parametrize(
    "page", ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "ssh://x/"]
)
def test_a_login_page_that_is_no_web_page_is_not_opened(page, tmp_path):
    with protected() as world:
        world.endpoints = {"authorization_endpoint": page}
        visited = []
        with pytest.raises(LoginFailedError):
            once(spec_for(world, tmp_path), person=browser(visited))
        assert visited == []
    with pytest.raises(LoginFailedError):
        check_openable(page)


def test_a_login_page_keeps_nothing_that_a_shell_could_run(tmp_path):
    visited = []

    async def scenario(spec):
        async with client_of(spec, person=browser(visited)) as client:
            with pytest.raises((LoginFailedError, KeyError)):
                await post(client, spec.url)

    with protected() as world:
        page = f"{world.issuer}/$(touch p)`id`;'a'|b\"?x=$HOME&state=mine"
        world.endpoints = {"authorization_endpoint": page}
        asyncio.run(scenario(spec_for(world, tmp_path)))
    assert len(visited) == 1
    assert not set("$`'\"();|<> \\") & set(visited[0])
    assert visited[0].count("state=") == 1


def test_the_state_of_each_login_is_new_and_so_is_its_proof(tmp_path):
    with protected("no_refresh") as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        once(with_auth(spec, store=tmp_path / "other"), person=browser())
        one, two = world.forms("/authorize")
        assert one["state"] != two["state"]
        assert one["code_challenge"] != two["code_challenge"]
        assert len(one["state"]) >= 32


def test_a_secret_that_an_error_repeats_is_not_shown(tmp_path):
    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        secret = next(iter(world.refreshes))
        world.refreshes.clear()
        for token in world.tokens.values():
            token["good"] = False
        with pytest.raises(LoginFailedError) as failed:
            once(spec)
        assert secret not in str(failed.value)


def response_with(*headers):
    return httpx2.Response(401, headers=[("www-authenticate", one) for one in headers])


def test_challenges_are_read_as_the_standard_has_them():
    one = challenge_of(
        response_with(
            'Basic realm="x, y"',
            'Bearer error_description="error=\\"no\\" scope=z", scope="a  b",'
            " resource_metadata=https://h/x, error=invalid_token",
        )
    )
    assert (one.scheme, one.error, one.scope) == ("bearer", "invalid_token", "a b")
    assert one.resource_metadata == "https://h/x"
    joined = challenge_of(
        response_with('Negotiate abc==, DPoP algs="ES256", error="use_dpop_nonce"')
    )
    assert (joined.scheme, joined.error) == ("dpop", "use_dpop_nonce")
    assert challenge_of(response_with("Basic")).scheme == ""
    assert challenge_of(response_with("Bearer " + "a" * 100_000)).values == {}
    assert challenge_of(response_with("Bearer " + '"' * 50_000)).scope == ""


def test_every_request_of_a_login_goes_through_the_servers_own_transport(tmp_path):
    seen = []

    class Watching(RawTransport):
        async def handle_async_request(self, request):
            seen.append(request.url.path)
            return await super().handle_async_request(request)

    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), raw=Watching(spec))
        asked = [path for _, path, _, _ in world.asked if path != "/authorize"]
    assert seen == asked
