"""Which proxy a request takes, and that it takes it."""

import asyncio

import httpx2
import pytest

from agent_host.servers.spec import HttpSpec, TlsSpec
from agent_host.servers.transports.proxies import proxy_for
from tests.fakes.certificates import Authority
from tests.fakes.hostile_http import serving
from tests.fakes.hosting import call, running
from tests.fakes.proxy_server import proxying

PROXIES = {"http": "http://p:1", "https": "p:2"}


def health_of(url, **more):
    async def scenario():
        spec = HttpSpec(name="h", url=url, connect_timeout=5, call_timeout=5, **more)
        async with running(spec) as pool:
            done = await call(pool, text="hi") if pool.tools() else None
            return pool.health()[0], done and done.error

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "no", "proxy"),
    [
        ("http://a.example/", "", "http://p:1"),
        ("https://a.example/", "", "http://p:2"),
        ("http://a.example/", "*", ""),
        ("http://a.example/", "example", ""),
        ("http://a.example/", ".example", ""),
        ("http://a.example/", "*.example", ""),
        ("http://a.example/", "b.example, A.EXAMPLE", ""),
        ("http://xa.example/", "a.example", "http://p:1"),
        ("http://a.example:81/", "a.example:80", "http://p:1"),
        ("http://a.example/", "a.example:80", ""),
        ("https://a.example/", "a.example:443", ""),
        ("http://10.1.2.3/", "10.0.0.0/8", ""),
        ("http://10.1.2.3/", "10.1.2.3", ""),
        ("http://11.1.2.3/", "10.0.0.0/8", "http://p:1"),
        ("http://[fd00::1]/", "fd00::/8", ""),
        ("http://[fd00::1]/", "[fd00::1]", ""),
        ("http://10.1.2.3/", "2.3", "http://p:1"),
        ("http://10.1.2.3:81/", "10.1.2.3:81", ""),
        ("http://localhost:5/", "", ""),
        ("http://x.localhost/", "", ""),
        ("http://127.0.0.9/", "", ""),
        ("http://[::1]/", "", ""),
    ],
)
def test_the_environment_says_which_proxy_and_for_whom_none(url, no, proxy):
    assert proxy_for(httpx2.URL(url), {**PROXIES, "no": no}) == proxy


def test_one_proxy_may_be_for_everything():
    assert proxy_for(httpx2.URL("https://x/"), {"all": "socks5://p:3"}) == "socks5://p:3"


def test_a_proxy_of_the_config_is_used_with_its_credentials():
    with proxying("s3cret") as proxy, serving() as server:
        health, error = health_of(server.url, proxy=proxy.url)
    assert (health.state, error) == ("connected", None)
    assert {method for method, _, _ in proxy.seen} >= {"POST"}
    assert all(credentials.startswith("Basic ") for _, _, credentials in proxy.seen)


def test_tls_goes_through_a_proxy_to_the_server_itself(tmp_path):
    authority = Authority(tmp_path)
    with proxying() as proxy, serving(tls=authority.serves()) as server:
        tls = TlsSpec(ca=str(authority.file))
        health, error = health_of(server.url, proxy=proxy.url, tls=tls)
    assert (health.state, error) == ("connected", None)
    assert {method for method, _, _ in proxy.seen} == {"CONNECT"}


def test_the_environments_proxy_is_used_unless_the_config_says_none(monkeypatch):
    with proxying() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        health, _ = health_of("http://server.invalid/mcp")
        assert proxy.seen
        before = len(proxy.seen)
        health_of("http://server.invalid/mcp", proxy="")
        assert len(proxy.seen) == before
        with serving() as server:
            health, _ = health_of(server.url)
        assert health.state == "connected"
        assert len(proxy.seen) == before


def test_a_proxy_that_refuses_is_named_without_its_password():
    with proxying("s3cret") as proxy, serving() as server:
        health, _ = health_of(server.url, proxy=proxy.url.replace("user:s3cret@", ""))
    assert "HTTP 407" in health.error
