"""TLS of a server's URL: whom the host believes, whom it says it is, and what it says when not."""

import asyncio

import pytest

from agent_host.servers.spec import ConnectFailedError, HttpSpec, TlsSpec
from agent_host.servers.transports.tls import tls_context
from tests.fakes.certificates import Authority
from tests.fakes.hostile_http import serving
from tests.fakes.hosting import call, running

NO_TLS = TlsSpec()


def health_of(url, tls=NO_TLS):
    async def scenario():
        spec = HttpSpec(name="h", url=url, tls=tls, connect_timeout=5, call_timeout=5)
        async with running(spec) as pool:
            done = await call(pool, text="hi") if pool.tools() else None
            return pool.health()[0], done and done.error

    return asyncio.run(scenario())


def test_an_authority_of_ones_own_is_believed_and_a_client_certificate_is_shown(tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.issue("client")
    tls = TlsSpec(ca=str(authority.file), cert=str(cert), key=str(key))
    with serving(tls=authority.serves(asks=True)) as server:
        health, error = health_of(server.url, tls)
    assert (health.state, error) == ("connected", None)


def test_a_certificate_and_its_key_may_stand_in_one_file(tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.issue("client")
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    tls = TlsSpec(ca=str(authority.file), cert=str(both))
    with serving(tls=authority.serves(asks=True)) as server:
        assert health_of(server.url, tls)[0].state == "connected"


@pytest.mark.parametrize(
    ("server", "client", "said"),
    [
        ({}, {"believes": False}, "not believed: unable to get local issuer certificate; if it is"),
        ({"host": "example.com"}, {}, "for another name"),
        ({"days": -1}, {}, "has expired"),
        ({"asks": True}, {}, "wants a client certificate: set tls.cert"),
        ({"asks": True}, {"stranger": True}, "the client certificate"),
    ],
    ids=["unknown authority", "other host", "expired", "no client", "foreign client"],
)
def test_what_is_wrong_with_a_certificate_is_said_with_what_to_do(server, client, said, tmp_path):
    authority = Authority(tmp_path)
    tls = TlsSpec(ca=str(authority.file))
    if client.get("believes") is False:
        tls = TlsSpec()
    if client.get("stranger"):
        cert, key = Authority(tmp_path, "stranger").issue("client")
        tls = TlsSpec(ca=str(authority.file), cert=str(cert), key=str(key))
    with serving(tls=authority.serves(**server)) as served:
        health, _ = health_of(served.url, tls)
    assert health.state == "failed"
    assert said in health.error


def test_a_url_whose_server_speaks_no_tls_is_told_apart():
    with serving() as server:
        health, _ = health_of(server.url.replace("http:", "https:"))
    assert "what answers there is not TLS; is it http:// instead of https://?" in health.error


def test_tls_that_cannot_succeed_is_not_tried_again(tmp_path):
    authority = Authority(tmp_path)
    with serving(tls=authority.serves()) as server:
        health, _ = health_of(server.url)
        tried = len(server.sockets)
    assert "not believed" in health.error
    assert tried <= 2 + health.restarts  # an attempt each; one more may be under way


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"ca": "gone.pem"}, "[servers.h] tls.ca: {gone.pem} cannot be read: No such file or"),
        ({"ca": "empty"}, "[servers.h] tls.ca: {empty} holds no certificate in PEM"),
        ({"key": "a.key"}, "[servers.h] tls: key without cert"),
        ({"cert": "gone.crt", "key": "a.key"}, "[servers.h] tls.cert: {gone.crt} cannot be read"),
        ({"cert": "a.crt", "key": "gone.key"}, "[servers.h] tls.key: {gone.key} cannot be read"),
        ({"cert": "a.crt"}, "[servers.h] tls.cert: {a.crt} holds no private key in PEM"),
        ({"cert": "a.key", "key": "a.key"}, "[servers.h] tls.cert: {a.key} holds no certificate"),
        ({"cert": "a.crt", "key": "b.key"}, "[servers.h] tls.key: {b.key} is not the key of"),
        ({"cert": "a.crt", "key": "locked.key"}, "[servers.h] tls.key: {locked.key} is encrypted"),
        ({"cert": "a.crt", "key": "junk.key"}, "[servers.h] tls.key: {junk.key} cannot be used"),
        ({"ca": "."}, "[servers.h] tls.ca: {.} cannot be read: Is a directory"),
    ],
    ids=str,
)
def test_a_file_that_will_not_do_is_told_by_its_key(spec, said, tmp_path):
    authority = Authority(tmp_path)
    authority.issue("a")
    authority.issue("b")
    authority.issue("locked", password="secret")
    (tmp_path / "empty").write_text("")
    pem = (tmp_path / "a.key").read_text().splitlines()
    (tmp_path / "junk.key").write_text("\n".join([pem[0], "AAAA", pem[-1]]))
    paths = {key: str(tmp_path / name) for key, name in spec.items()}
    with pytest.raises(ConnectFailedError) as caught:
        tls_context(TlsSpec(**paths), "h")
    for name in spec.values():
        said = said.replace("{" + name + "}", str(tmp_path / name))
    assert str(caught.value).startswith(said)


def test_a_variable_that_names_no_authorities_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    health, _ = health_of("https://127.0.0.1:1/mcp")
    assert "SSL_CERT_FILE" in health.error
