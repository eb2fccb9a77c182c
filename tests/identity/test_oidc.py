"""The user out of an ID token, against an issuer on loopback."""

import asyncio
import stat

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent_host.core.errors import ExitStatus
from agent_host.identity import IdentityError, verify
from tests.fakes.identity_provider import NOW, IdentityProvider


@pytest.fixture
def issuer():
    with IdentityProvider() as provider:
        yield provider


def check(provider, token, folder, *, at=NOW, **options):
    options = {
        "issuer": provider.url,
        "audience": "agent-host",
        "user_claim": "sub",
        "roles_claim": "roles",
        **options,
    }
    return asyncio.run(verify(token, cache=folder, now=lambda: float(at), **options))


def test_a_sound_token_names_the_user_the_issuer_and_the_roles(issuer, tmp_path):
    token = issuer.token(email="a@x.example", nonce="n")
    found = check(issuer, token, tmp_path)
    who = found.principal
    assert (who.id, who.authenticated_by, who.roles) == ("ana", issuer.url, ("desk", "manager"))
    assert who.claims["email"] == "a@x.example"
    assert "nonce" not in who.claims
    assert found.token == token
    assert token not in repr(found)


@pytest.mark.parametrize(
    ("claims", "path", "roles"),
    [
        ({"realm_access": {"roles": ["a", 3, "b"]}}, "realm_access.roles", ("a", "b")),
        ({"https://x.example/roles": ["a"]}, "https://x.example/roles", ("a",)),
        ({"scope": "a b"}, "scope", ("a", "b")),
        ({}, "nothing.here", ()),
    ],
)
def test_roles_are_found_where_the_config_says(issuer, tmp_path, claims, path, roles):
    found = check(issuer, issuer.token(**claims), tmp_path, roles_claim=path)
    assert found.principal.roles == roles


def test_another_claim_may_name_the_user(issuer, tmp_path):
    token = issuer.token(email="a@x.example")
    assert check(issuer, token, tmp_path, user_claim="email").principal.id == "a@x.example"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://other.example"}, "not by"),
        ({"aud": "somebody"}, "not for agent-host"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "no numbers"),
        ({"iat": None}, "iat"),
        ({"nbf": NOW + 1000}, "of the future"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "no claim sub"),
    ],
)
def test_a_token_that_is_not_for_this_host_is_refused(issuer, tmp_path, claims, why):
    with pytest.raises(IdentityError, match=why) as caught:
        check(issuer, issuer.token(**claims), tmp_path)
    assert caught.value.exit_status == ExitStatus.REFUSED


def test_an_expired_token_asks_for_a_login_but_a_minute_of_clocks_is_forgiven(issuer, tmp_path):
    token = issuer.token()
    assert check(issuer, token, tmp_path, at=NOW + 300 + 59).principal.id == "ana"
    with pytest.raises(IdentityError, match="expired") as caught:
        check(issuer, token, tmp_path, at=NOW + 300 + 61)
    assert caught.value.exit_status == ExitStatus.NEEDS_LOGIN


def test_a_signature_by_anybody_else_is_refused(issuer, tmp_path):
    forged = issuer.token(key=ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(IdentityError, match="not valid"):
        check(issuer, forged, tmp_path)


def test_symmetric_and_missing_signatures_are_refused(issuer, tmp_path):
    for alg, key in (("HS256", "a secret that is long enough for it"), ("none", None)):
        token = jwt.encode({"sub": "ana"}, key, algorithm=alg, headers={"kid": "k1"})
        with pytest.raises(IdentityError, match="not accepted"):
            check(issuer, token, tmp_path)
    assert issuer.asked == []


@pytest.mark.parametrize("text", ["", "abc", "a.b", "a.b.c", "x" * 70_000])
def test_what_is_no_token_is_said_without_showing_it(issuer, tmp_path, text):
    with pytest.raises(IdentityError) as caught:
        check(issuer, text, tmp_path)
    assert not text or text not in str(caught.value)


def test_keys_are_kept_for_the_next_start_and_only_for_their_user(issuer, tmp_path):
    folder = tmp_path / "identity"
    check(issuer, issuer.token(), folder)
    check(issuer, issuer.token(), folder)
    assert len(issuer.asked) == 2
    [file] = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    check(issuer, issuer.token(iat=NOW + 3600, exp=NOW + 9999), folder, at=NOW + 3601)
    assert len(issuer.asked) == 4


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"at": 1}', b'{"at": "x", "keys": 3, "issuer": 1}']
)
def test_a_spoilt_file_of_keys_is_read_anew(issuer, tmp_path, content):
    check(issuer, issuer.token(), tmp_path)
    [file] = tmp_path.iterdir()
    file.write_bytes(content)
    assert check(issuer, issuer.token(), tmp_path).principal.id == "ana"


def test_a_new_key_is_looked_for_once_and_an_unknown_one_refused(issuer, tmp_path):
    check(issuer, issuer.token(), tmp_path)
    issuer.rsa("k2")
    assert check(issuer, issuer.token("k2"), tmp_path).principal.id == "ana"
    stray = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(IdentityError, match="does not publish"):
        check(issuer, issuer.token("k3", key=stray), tmp_path)


def test_a_token_without_a_key_id_needs_an_issuer_with_one_key(issuer, tmp_path):
    token = issuer.token("", key=issuer.keys["k1"])
    assert check(issuer, token, tmp_path / "one").principal.id == "ana"
    issuer.rsa("k2")
    with pytest.raises(IdentityError, match="does not publish"):
        check(issuer, token, tmp_path / "two")


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("/.well-known/openid-configuration", 500, "HTTP 500"),
        ("/.well-known/openid-configuration", b"<html>", "no JSON object"),
        ("/.well-known/openid-configuration", b"x" * 600_000, "too large"),
        (
            "/.well-known/openid-configuration",
            {"issuer": "https://evil.example"},
            "says that it is",
        ),
        ("/keys", 404, "HTTP 404"),
        ("/keys", {"keys": "none"}, "does not publish"),
        ("/keys", {"keys": [{"kty": "?"}]}, "does not publish"),
    ],
)
def test_an_issuer_that_answers_badly_is_named(issuer, tmp_path, path, value, why):
    issuer.documents[path] = value
    with pytest.raises(IdentityError, match=why):
        check(issuer, issuer.token(), tmp_path)


@pytest.mark.parametrize("where", [None, "http://keys.example/", "file:///etc/passwd"])
def test_keys_are_fetched_over_https_only(issuer, tmp_path, where):
    document = {"issuer": issuer.url} | ({"jwks_uri": where} if where else {})
    issuer.documents["/.well-known/openid-configuration"] = document
    with pytest.raises(IdentityError, match="jwks_uri"):
        check(issuer, issuer.token(), tmp_path)


def test_an_issuer_that_is_not_there_is_no_refusal(issuer, tmp_path):
    token = issuer.token()
    with pytest.raises(IdentityError, match="cannot be reached") as caught:
        check(issuer, token, tmp_path, issuer="http://127.0.0.1:9")
    assert caught.value.exit_status == ExitStatus.SERVER_UNAVAILABLE
    with pytest.raises(IdentityError, match="must be an https URL"):
        check(issuer, token, tmp_path, issuer="http://idp.example")


def test_claims_are_kept_within_bounds(issuer, tmp_path):
    token = issuer.token(big="x" * 20_000, small="y")
    claims = check(issuer, token, tmp_path).principal.claims
    assert "big" not in claims
    assert claims["small"] == "y"


def test_without_a_place_for_keys_the_issuer_is_asked_each_time(issuer, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    check(issuer, issuer.token(), file)
    check(issuer, issuer.token(), file)
    assert len(issuer.asked) == 4
