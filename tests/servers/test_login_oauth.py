"""A person logs in once; after that tokens renew themselves."""

import asyncio
import json
from dataclasses import replace

import pytest

from agent_host.servers.login.commands import log_out
from agent_host.servers.login.errors import LoginFailedError, NeedsLoginError
from agent_host.servers.login.record import encode
from agent_host.servers.login.resource import resource_of
from agent_host.servers.login.store import Store
from agent_host.servers.transports.proxies import RawTransport
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


def stored(spec):
    return Store(spec.auth.store, spec.name, resource_of(spec.url))


def test_a_first_login_discovers_registers_asks_and_gets_a_token(tmp_path):
    with protected() as world:
        spec = spec_for(world, tmp_path)
        assert once(spec, person=browser()) == 200
        assert world.paths() == [
            "/.well-known/oauth-authorization-server",
            "/register",
            "/authorize",
            "/token",
        ]
        registration, asked = world.forms("/register")[0], world.forms("/authorize")[0]
        form = world.forms("/token")[0]
    assert registration["application_type"] == "native"
    assert registration["token_endpoint_auth_method"] == "none"
    assert registration["grant_types"] == ["authorization_code", "refresh_token"]
    assert asked["code_challenge_method"] == "S256"
    assert asked["resource"] == form["resource"] == spec.url
    assert asked["scope"] == "basic"


def test_a_restart_asks_for_nothing(tmp_path):
    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        world.asked.clear()
        assert once(spec) == 200
        assert world.paths() == []
        assert len(world.calls()) == 1


def test_a_restart_with_an_expired_token_costs_one_refresh_and_no_browser(tmp_path):
    clock = Clock()
    with protected(lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), now=clock)
        clock.now += 3600
        world.asked.clear()
        assert once(spec, now=clock) == 200
        assert world.paths() == ["/token"]
        assert world.grants() == ["refresh_token"]
        assert len(world.calls()) == 1


def test_a_token_is_renewed_before_its_end(tmp_path):
    clock = Clock()
    with protected(lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), now=clock)
        clock.now += 500
        assert once(spec, now=clock) == 200
        assert world.grants() == ["authorization_code"]
        clock.now += 60
        assert once(spec, now=clock) == 200
        assert world.grants() == ["authorization_code", "refresh_token"]


def test_a_renewal_before_the_end_that_fails_costs_nothing_as_long_as_the_token_is_good(tmp_path):
    clock = Clock()
    with protected(lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), now=clock)
        clock.now += 560
        world.modes.add("token_500")
        assert once(spec, now=clock) == 200
        clock.now += 100
        with pytest.raises(LoginFailedError, match="HTTP 500") as failed:
            once(spec, now=clock)
        assert not isinstance(failed.value, NeedsLoginError)
        world.modes.discard("token_500")
        assert once(spec, now=clock) == 200


@pytest.mark.parametrize("mode", ["no_expires", "text_expires"])
def test_a_missing_or_odd_lifetime_is_understood(mode, tmp_path):
    clock = Clock()
    with protected(mode, lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), now=clock)
        assert (stored(spec).load().token.expires_at is None) == (mode == "no_expires")
        clock.now += 3600
        assert once(spec, now=clock) == 200
        assert world.grants() == ["authorization_code", "refresh_token"]
        assert len(world.paths("/authorize")) == 1


def test_without_a_person_a_server_that_nobody_logged_in_to_needs_a_login_at_once(tmp_path):
    with protected() as world:
        spec = spec_for(world, tmp_path)
        with pytest.raises(NeedsLoginError) as needed:
            once(spec)
        assert world.paths() == []
    assert "nobody has logged in yet; run `agent-host servers login crm`" in str(needed.value)


def test_without_a_refresh_token_an_ended_login_needs_a_login_and_no_browser_is_waited_for(
    tmp_path,
):
    clock = Clock()
    with protected("no_refresh", lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), now=clock)
        clock.now += 3600
        with pytest.raises(NeedsLoginError, match="its login has ended"):
            once(spec, now=clock)


def test_a_refresh_that_is_refused_needs_a_login_and_is_not_tried_again(tmp_path):
    clock = Clock()
    with protected(lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), now=clock)
        world.refreshes.clear()
        clock.now += 3600
        for _ in range(2):
            with pytest.raises(NeedsLoginError):
                once(spec, now=clock)
        assert world.grants() == ["authorization_code", "refresh_token"]
        assert once(spec, person=browser(), now=clock) == 200


def test_a_token_that_was_revoked_is_refreshed_and_the_call_is_made(tmp_path):
    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        for token in world.tokens.values():
            token["good"] = False
        assert once(spec) == 200
        assert world.grants() == ["authorization_code", "refresh_token"]


def test_another_authorization_server_gets_neither_the_old_token_nor_the_old_client(tmp_path):
    with protected() as old, protected() as world:
        world.named_issuers = [old.issuer]
        old.lifetime = 600
        spec = spec_for(world, tmp_path)
        with pytest.raises(LoginFailedError, match="a token that had just been issued"):
            once(spec, person=browser())  # the resource does not know the tokens of `old`
        world.named_issuers = None
        old.asked.clear()
        with pytest.raises(NeedsLoginError, match="its authorization server is now"):
            once(spec)
        assert once(spec, person=browser()) == 200
        assert old.paths() == []
        assert world.grants() == ["authorization_code"]
        assert world.forms("/register") != []


def test_two_tasks_share_one_refresh_and_calls_go_on_together(tmp_path):
    clock = Clock()

    async def scenario(world, spec):
        async with client_of(spec, now=clock) as client:
            # The server answers none before all are there: calls that wait for another would hang.
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(post(client, spec.url)) for _ in range(8)]
                while len(world.calls()) < 8:
                    await asyncio.sleep(0.005)
                world.hold.set()
            return [one.result().status_code for one in calls]

    with protected(lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), now=clock)
        clock.now += 3600
        world.asked.clear()
        world.hold.clear()
        assert asyncio.run(asyncio.wait_for(scenario(world, spec), 15)) == [200] * 8
        assert world.grants() == ["refresh_token"]


def test_a_call_that_is_cancelled_does_not_lose_the_token_that_is_on_its_way(tmp_path):
    clock = Clock()

    async def scenario(spec):
        async with client_of(spec, now=clock) as client:
            call = asyncio.ensure_future(post(client, spec.url))
            while not world.grants():
                await asyncio.sleep(0.001)
            call.cancel()
            await asyncio.wait([call])
            world.token_hold.set()
            return (await post(client, spec.url)).status_code

    with protected(lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), now=clock)
        clock.now += 3600
        world.asked.clear()
        world.token_hold.clear()
        assert asyncio.run(asyncio.wait_for(scenario(spec), 15)) == 200
        assert world.grants() == ["refresh_token"]


def test_a_refresh_token_that_is_not_rotated_is_kept(tmp_path):
    clock = Clock()
    with protected("no_rotation", lifetime=600) as world:
        world.now = clock
        spec = spec_for(world, tmp_path)
        once(spec, person=browser(), now=clock)
        for _ in range(2):
            clock.now += 3600
            assert once(spec, now=clock) == 200
        assert world.grants() == ["authorization_code", "refresh_token", "refresh_token"]


def test_calls_that_need_a_person_at_once_ask_once_and_a_no_is_for_all_of_them(tmp_path):
    async def scenario(spec):
        async with client_of(spec, person=browser()) as client:
            calls = (post(client, spec.url) for _ in range(4))
            return await asyncio.gather(*calls, return_exceptions=True)

    with protected("deny") as world:
        answers = asyncio.run(scenario(spec_for(world, tmp_path)))
        assert all("access_denied" in str(answer) for answer in answers)
        assert len(world.paths("/authorize")) == 1


@pytest.mark.parametrize("mode", ["", "registered_scopes_only"])
def test_more_rights_are_asked_for_together_with_those_that_were_granted(mode, tmp_path):
    with protected(mode) as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        world.needed = {"write"}
        with pytest.raises(NeedsLoginError) as needed:
            once(spec, message=TOOL)
        assert needed.value.scope == "write"
        assert "run `agent-host servers login crm --scope write`" in str(needed.value)
        assert once(spec) == 200  # what needs no more is still answered
        assert once(spec, person=browser(), message=TOOL) == 200
        assert world.forms("/authorize")[-1]["scope"] == "basic write"


@pytest.mark.parametrize("mode", ["always_403", "grant_less"])
def test_rights_that_are_never_granted_are_asked_for_once(mode, tmp_path):
    async def scenario(spec):
        async with client_of(spec, person=browser()) as client:
            for _ in range(3):
                with pytest.raises(LoginFailedError, match="asked for and not granted"):
                    await post(client, spec.url, TOOL)

    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        world.needed = {"write"}
        world.modes.add(mode)
        asyncio.run(scenario(spec))
        assert len(world.paths("/authorize")) == 2


def test_a_server_that_takes_no_token_ends_the_call_after_one_login(tmp_path):
    with protected("always_401") as world:
        spec = spec_for(world, tmp_path)
        with pytest.raises(LoginFailedError, match="refused a token that had just been issued"):
            once(spec, person=browser())
        assert len(world.calls()) <= 4


def test_the_scopes_of_the_authorization_server_are_never_asked_for_whole(tmp_path):
    with protected() as world:
        world.challenge_scope = ""
        once(spec_for(world, tmp_path), person=browser())
        assert "scope" not in world.forms("/authorize")[0]
    with protected("prm_scopes") as world:
        world.challenge_scope = ""
        world.catalogue = [*world.catalogue, "offline_access"]
        once(spec_for(world, tmp_path), person=browser())
        asked = world.forms("/authorize")[0]
        assert asked["scope"] == "basic write offline_access"
        assert asked["prompt"] == "consent"
    with protected("prm_scopes") as world:
        once(spec_for(world, tmp_path, scopes=("admin",)), person=browser())
        assert world.forms("/authorize")[0]["scope"] == "admin"


def test_a_server_of_2025_03_26_is_its_own_authorization_server(tmp_path):
    with protected("no_prm", "own_server") as world:
        assert once(spec_for(world, tmp_path), person=browser()) == 200
        assert "/.well-known/oauth-authorization-server" in world.paths()
    with protected("no_prm", "own_server", "no_metadata", "no_iss") as world:
        assert once(spec_for(world, tmp_path), person=browser()) == 200
        assert world.paths()[-3:] == ["/register", "/authorize", "/token"]


def test_a_provider_that_publishes_only_openid_configuration_is_found(tmp_path):
    with protected("oidc") as world:
        assert once(spec_for(world, tmp_path), person=browser()) == 200


def test_a_server_without_any_challenge_is_discovered_at_the_well_known_place(tmp_path):
    with protected("no_challenge") as world:
        assert once(spec_for(world, tmp_path), person=browser()) == 200


def test_a_client_id_document_is_used_where_it_is_taken(tmp_path):
    document = "https://host.example/client.json"
    with protected("cimd") as world:
        spec = spec_for(world, tmp_path, client_metadata_url=document)
        assert once(spec, person=browser()) == 200
        assert world.forms("/authorize")[0]["client_id"] == document
        assert world.paths("/register") == []


@pytest.mark.parametrize("only", ["basic_only", "post_only"])
def test_a_registered_client_proves_itself_as_the_server_wants(only, tmp_path):
    with protected(only) as world:
        spec = spec_for(world, tmp_path)
        assert once(spec, person=browser()) == 200
        for token in world.tokens.values():
            token["good"] = False
        assert once(spec) == 200


def test_a_client_that_the_config_names_is_used_and_its_secret_is_not_stored(tmp_path):
    with protected("no_registration", "basic_only") as world:
        world.clients["mine"] = {
            "client_secret": "s3cret!&",
            "redirect_uris": ["http://127.0.0.1:8765/callback"],
        }
        spec = spec_for(world, tmp_path, client_id="mine", client_secret="s3cret!&")
        assert once(spec, person=browser()) == 200
        for token in world.tokens.values():
            token["good"] = False
        assert once(spec) == 200
        kept = b"".join(path.read_bytes() for path in spec.auth.store.iterdir())
        assert b"s3cret" not in kept
        # Another client of the same name is another login.
        with pytest.raises(NeedsLoginError):
            once(with_auth(spec, client_id="other"))


def test_without_registration_the_fix_is_named(tmp_path):
    wanted = pytest.raises(LoginFailedError, match=r"set auth\.client_id")
    with protected("no_registration") as world, wanted:
        once(spec_for(world, tmp_path), person=browser())


def test_a_registration_is_used_again(tmp_path):
    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        world.refreshes.clear()
        for token in world.tokens.values():
            token["good"] = False
        assert once(spec, person=browser()) == 200
        assert len(world.paths("/register")) == 1
        assert len(world.paths("/authorize")) == 2


def test_a_client_that_the_server_forgot_is_registered_again(tmp_path):
    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        world.modes.add("forget_clients")
        for token in world.tokens.values():
            token["good"] = False
        with pytest.raises(NeedsLoginError, match="invalid_client"):
            once(spec)
        world.modes.discard("forget_clients")
        assert once(spec, person=browser()) == 200
        assert len(world.paths("/register")) == 2


def test_a_server_that_registers_no_scopes_of_a_resource_is_asked_for_them_at_the_login(tmp_path):
    with protected("own_scopes_only") as world:
        assert once(spec_for(world, tmp_path), person=browser()) == 200
        first, second = world.forms("/register")
        assert first.pop("scope") == world.forms("/authorize")[0]["scope"] == "basic"
        assert second == first


def test_a_logout_at_a_server_that_wants_the_field_of_a_secret_from_everybody(tmp_path):
    with protected("secret_field") as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        out = asyncio.run(log_out(spec, RawTransport(spec)))
        assert (out.told, out.problem) == (True, "")
        assert not any(token["good"] for token in world.tokens.values())


def test_a_logout_waits_for_a_renewal_and_ends_what_that_brought(tmp_path):
    async def scenario(spec):
        store = stored(spec)
        renewing = store.lock(20)
        await renewing.acquire()
        out = asyncio.create_task(log_out(spec, RawTransport(spec)))
        done, _ = await asyncio.wait({out}, timeout=0.2)
        login = store.load()
        store.save(replace(login, token=replace(login.token, refresh="the-next")))
        await renewing.release()
        return done, await out

    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        done, out = asyncio.run(scenario(spec))
        assert (done, out.told) == (set(), True)
        assert stored(spec).load() is None
        assert world.forms("/revoke")[0]["token"] == "the-next"


def test_the_name_localhost_is_registered_where_the_address_is_not_taken(tmp_path):
    with protected("localhost_only") as world:
        assert once(spec_for(world, tmp_path), person=browser()) == 200
        assert world.forms("/authorize")[0]["redirect_uri"] == "http://localhost:8765/callback"


def test_the_configs_own_authorization_header_is_left_alone(tmp_path):
    async def scenario(spec):
        async with client_of(spec) as client:
            return await post(client, spec.url, authorization="Bearer mine")

    with protected() as world:
        assert asyncio.run(scenario(spec_for(world, tmp_path))).status_code == 401
        assert world.calls() == ["Bearer mine"]


def test_a_spec_without_auth_says_that_a_login_is_needed(tmp_path):
    from dataclasses import replace

    with protected() as world:
        spec = replace(spec_for(world, tmp_path), auth=None)
        with pytest.raises(NeedsLoginError, match="agent-host servers login crm"):
            once(spec)
        # A key of the config that is refused is not a matter of a login.
        world.modes.add("no_challenge")
        assert once(replace(spec, headers={"X-Key": "k"})) == 401


def test_secrets_are_in_no_repr(tmp_path):
    with protected() as world:
        spec = spec_for(world, tmp_path, client_secret="hunter2", client_id="mine", dpop=True)
        assert "hunter2" not in repr(spec)
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        login = stored(spec).load()
    data = json.loads(encode(login))
    for secret in (data["token"]["access"], data["token"]["refresh"]):
        assert secret not in repr(login)
