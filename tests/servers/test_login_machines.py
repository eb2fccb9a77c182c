"""Tokens that need nobody: client credentials, enterprise, workload; and tokens bound to a key."""

import asyncio
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent_host.servers.login.errors import LoginFailedError, NeedsLoginError
from tests.fakes.authorization_rules import JWT_BEARER, workload_token
from tests.fakes.authorization_server import protected
from tests.fakes.login_hosting import (
    TOOL,
    Clock,
    browser,
    client_of,
    once,
    post,
    spec_for,
    with_auth,
)


def credentials(world, folder, **more):
    world.clients["robot"] = {"client_secret": "s3cret"}
    more = {"client_id": "robot", "client_secret": "s3cret", **more}
    return spec_for(world, folder, type="client-credentials", **more)


def pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.mark.parametrize("only", ["basic_only", "post_only"])
def test_client_credentials_need_nobody_and_their_token_is_kept(only, tmp_path):
    with protected(only) as world:
        spec = credentials(world, tmp_path)
        assert once(spec) == 200
        assert once(spec) == 200
        assert world.grants() == ["client_credentials"]
        form = world.forms("/token")[0]
        assert (form["resource"], form["scope"]) == (spec.url, "basic")
        kept = b"".join(path.read_bytes() for path in spec.auth.store.iterdir())
        assert b"s3cret" not in kept


def test_a_token_that_ended_is_replaced_without_anybody(tmp_path):
    clock = Clock()
    with protected(lifetime=600) as world:
        world.now = clock
        spec = credentials(world, tmp_path)
        once(spec, now=clock)
        clock.now += 3600
        assert once(spec, now=clock) == 200
        assert world.grants() == ["client_credentials"] * 2


def test_a_signed_assertion_proves_the_client(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    with protected() as world:
        world.clients["robot"] = {"public_key": key.public_key(), "alg": "ES256"}
        spec = credentials(world, tmp_path, client_secret="", private_key=pem_of(key))
        world.clients["robot"] = {"public_key": key.public_key(), "alg": "ES256"}
        assert once(spec) == 200
        assert "client_secret" not in world.forms("/token")[0]
        bad = with_auth(spec, private_key="no key: hunter2", store=tmp_path / "other")
        with pytest.raises(LoginFailedError, match=r"auth\.private_key") as failed:
            once(bad)
        assert "hunter2" not in str(failed.value)
        wrong = with_auth(spec, algorithm="RS256", store=tmp_path / "other")
        with pytest.raises(LoginFailedError, match="cannot sign with RS256"):
            once(wrong)


def test_more_rights_are_had_without_anybody_but_not_beyond_what_the_config_names(tmp_path):
    with protected() as world:
        spec = credentials(world, tmp_path)
        world.needed = {"write"}
        assert once(spec, message=TOOL) == 200
        assert world.forms("/token")[-1]["scope"] == "basic write"
    with protected() as world:
        spec = credentials(world, tmp_path / "b", scopes=("basic",))
        world.needed = {"write"}
        with pytest.raises(LoginFailedError, match=r"scope write, which auth\.scopes"):
            once(spec, message=TOOL)
        assert once(spec) == 200


def test_a_refusal_is_believed_for_a_while_and_repeats_no_secret(tmp_path):
    clock = Clock(time.time())

    async def scenario(spec):
        async with client_of(spec, now=clock) as client:
            for _ in range(3):
                with pytest.raises(LoginFailedError, match="invalid_client") as failed:
                    await post(client, spec.url)
                assert "wr0ng" not in str(failed.value)
            clock.now += 31
            with pytest.raises(LoginFailedError):
                await post(client, spec.url)

    with protected() as world:
        asyncio.run(scenario(credentials(world, tmp_path, client_secret="wr0ng")))
        assert len(world.grants()) == 4  # each try is two ways to send a secret


BOTH = {"token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"]}


@pytest.mark.parametrize(
    ("wants", "tries"),
    [(["no_id_in_form"], 1), (["secret_in_form"], 2), (["id_in_form", "basic_only"], 3)],
)
def test_a_secret_is_sent_in_the_way_that_the_server_knows_the_client(wants, tries, tmp_path):
    with protected(*wants) as world:
        world.endpoints |= BOTH
        assert once(credentials(world, tmp_path)) == 200
        assert len(world.grants()) == tries


def test_a_client_that_registers_itself_is_known_at_once_wherever_a_form_may_hold_a_secret(
    tmp_path,
):
    with protected("id_in_form") as world:
        world.endpoints |= BOTH
        assert once(spec_for(world, tmp_path), person=browser()) == 200
        assert len(world.grants()) == 1


def test_credentials_go_to_the_issuer_that_the_config_names_and_to_no_other(tmp_path):
    with protected() as world, protected() as evil:
        spec = credentials(world, tmp_path, issuer=world.issuer)
        assert once(spec) == 200
        world.named_issuers = [evil.issuer]
        for token in world.tokens.values():
            token["good"] = False
        with pytest.raises(LoginFailedError, match=r"nothing was sent to either"):
            once(spec)
        assert evil.paths() == []


def test_without_a_named_issuer_credentials_stay_with_the_first(tmp_path):
    with protected() as world, protected() as evil:
        spec = credentials(world, tmp_path)
        assert once(spec) == 200
        world.named_issuers = [evil.issuer]
        for token in world.tokens.values():
            token["good"] = False
        with pytest.raises(LoginFailedError, match=r"credentials of servers\.toml were not sent"):
            once(spec)
        assert evil.grants() == []


def test_a_workload_presents_its_token_read_anew_each_time(tmp_path):
    clock, read = Clock(time.time()), []

    def assertion():
        read.append(workload_token(world, jti=str(len(read))))
        return read[-1] + "\n"

    with protected("anyone", lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path, type="workload", assertion=assertion)
        assert once(spec, now=clock) == 200
        clock.now += 3600
        assert once(spec, now=clock) == 200
        assert world.grants() == [JWT_BEARER] * 2
        assert [form["assertion"] for form in world.forms("/token")] == read


def test_a_workload_that_is_refused_falls_back_on_nothing(tmp_path):
    with protected("anyone") as world:
        forged = workload_token(world, aud="https://elsewhere.example")
        spec = spec_for(world, tmp_path, type="workload", assertion=lambda: forged)
        with pytest.raises(LoginFailedError, match="invalid_grant") as failed:
            once(spec, person=browser())
        assert not isinstance(failed.value, NeedsLoginError)
        assert world.grants() == [JWT_BEARER]
        assert world.paths("/authorize") == []


def test_an_assertion_that_cannot_be_read_says_which(tmp_path):
    def broken():
        raise OSError("no such file")

    with protected() as world:
        for assertion, text in (
            (broken, "no such file"),
            (lambda: " ", "is empty"),
            (None, "miss"),
        ):
            spec = spec_for(world, tmp_path, type="workload", assertion=assertion)
            with pytest.raises(LoginFailedError, match=text):
                once(spec)


def enterprise(world, folder, **more):
    world.clients["corp"] = {"client_secret": "s3cret"}
    return spec_for(
        world,
        folder,
        type="enterprise",
        client_id="corp",
        client_secret="s3cret",
        idp_token_url=f"{world.issuer}/idp",
        idp_client_id="host-at-idp",
        **{"assertion": lambda: "id-token-of-alice", **more},
    )


def test_an_identity_provider_vouches_for_the_user(tmp_path):
    with protected() as world:
        assert once(enterprise(world, tmp_path)) == 200
        asked, form = world.forms("/idp")[0], world.forms("/token")[0]
        assert (asked["audience"], asked["resource"]) == (world.issuer, world.url)
        assert asked["client_id"] == "host-at-idp"
        assert form["grant_type"] == JWT_BEARER


def test_what_an_identity_provider_refuses_is_said_without_the_id_token(tmp_path):
    with protected() as world:
        spec = enterprise(world, tmp_path, assertion=lambda: "id-token-of-mallory")
        with pytest.raises(LoginFailedError, match="invalid_grant") as failed:
            once(spec)
        assert "mallory" not in str(failed.value)
        world.modes.add("not_a_jag")
        with pytest.raises(LoginFailedError, match="did not issue an ID-JAG"):
            once(enterprise(world, tmp_path))
        assert world.forms("/token") == []


@pytest.mark.parametrize("nonce", [(), ("nonce",)])
def test_tokens_are_bound_to_a_key_and_each_request_proves_it(nonce, tmp_path):
    async def scenario(spec):
        async with client_of(spec, person=browser()) as client:
            first = await post(client, spec.url)
            world.nonce = "nonce-2"
            return [first, await post(client, spec.url), await post(client, spec.url)]

    with protected("dpop", *nonce) as world:
        spec = spec_for(world, tmp_path, dpop=True)
        answers = asyncio.run(scenario(spec))
        assert [one.status_code for one in answers] == [200] * 3
        assert world.calls()[-1].startswith("DPoP ")
        for token in world.tokens.values():
            token["good"] = False
        assert once(spec) == 200  # the key outlives the process, as the refresh token does
        assert world.grants()[-1] == "refresh_token"


def test_a_token_that_is_not_bound_although_it_should_be_is_refused(tmp_path):
    with protected("dpop", "bearer_for_dpop") as world:
        with pytest.raises(LoginFailedError, match=r"not bound to a key"):
            once(spec_for(world, tmp_path, dpop=True), person=browser())
        assert all(call is None for call in world.calls())


def test_client_credentials_can_be_bound_too(tmp_path):
    with protected("dpop", "nonce") as world:
        assert once(credentials(world, tmp_path, dpop=True)) == 200


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("client-credentials", r"auth\.client_id is missing"),
        ("enterprise", r"auth\.client_id is missing"),
    ],
)
def test_what_the_config_lacks_is_named(type_, text, tmp_path):
    with protected() as world:
        with pytest.raises(LoginFailedError, match=text):
            once(spec_for(world, tmp_path, type=type_))
        spec = spec_for(world, tmp_path, type=type_, client_id="x")
        with pytest.raises(LoginFailedError, match=r"auth\.(client_secret|idp_token_url)"):
            once(spec)
