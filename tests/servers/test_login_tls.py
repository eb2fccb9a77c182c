"""TLS, client certificates and proxies hold for every request of a login."""

import asyncio
import ssl

import httpx2
import pytest

from agent_host.servers.login.addresses import Reach
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.wire import Wire
from agent_host.servers.spec import HttpSpec, TlsSpec
from agent_host.servers.transports.proxies import RawTransport
from tests.fakes.certificates import Authority
from tests.fakes.hostile_http import serving


def fetched(url, tls, folder):
    """What a login gets at `url`, from a server on this machine."""
    spec = HttpSpec(name="crm", url="https://127.0.0.1:1/mcp", tls=tls)

    async def scenario():
        inner = RawTransport(spec)

        async def resolver(host, port):
            return ["127.0.0.1"]

        wire = Wire(inner, Reach(httpx2.URL(spec.url), resolver=resolver))
        try:
            return (await wire.get(url, "the page")).status
        finally:
            await inner.aclose()

    return asyncio.run(scenario())


def test_the_name_is_checked_although_the_address_is_dialled(tmp_path):
    authority = Authority(tmp_path)
    tls = TlsSpec(ca=str(authority.file))
    with serving(tls=authority.serves(host="auth.example.com")) as server:
        port = server.server_port
        assert fetched(f"https://auth.example.com:{port}/x", tls, tmp_path) == 405
        with pytest.raises(LoginFailedError, match="cannot reach the page"):
            fetched(f"https://other.example.com:{port}/x", tls, tmp_path)
        with pytest.raises(LoginFailedError, match="cannot reach the page"):
            fetched(f"https://auth.example.com:{port}/x", TlsSpec(), tmp_path)


def test_the_clients_certificate_is_shown_in_a_login_too(tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.issue("client")
    with serving(tls=authority.serves(host="auth.example.com", asks=True)) as server:
        url = f"https://auth.example.com:{server.server_port}/x"
        mine = TlsSpec(ca=str(authority.file), cert=str(cert), key=str(key))
        assert fetched(url, mine, tmp_path) == 405
        with pytest.raises(LoginFailedError):
            fetched(url, TlsSpec(ca=str(authority.file)), tmp_path)
    assert ssl.HAS_TLSv1_3
