"""A person's logins at a certified provider, with the commands that a person types."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent_host.core.errors import ExitStatus
from agent_host.servers.login.errors import LoginFailedError
from tests.fakes.ptys import Terminal
from tests.login_real.world import HERE, VARIABLES, status_of

LOGIN = "`agent-host servers login crm`"


def test_a_person_logs_in_with_a_browser_and_calls_a_tool(world, desk):
    desk.config(world.url)
    missing = desk.run("servers", "list")
    assert (missing.status, LOGIN in missing.out) == (ExitStatus.NEEDS_LOGIN, True)
    browser = f"{sys.executable} {HERE / 'visitor.py'} ana %s"
    variables = {**VARIABLES, "BROWSER": browser, "XDG_DATA_HOME": ""}
    with (
        world.asked("registration", "authorization", "token") as asked,
        Terminal(
            *("servers", "login", "crm", "--trust"), cwd=desk.folder, environ=variables
        ) as terminal,
    ):
        shown = terminal.wait("renewed by itself")
        assert terminal.exit_status() == 0
    assert f"logged in to crm at {world.issuer}" in shown
    # The provider knows no scopes of resources when a client registers.
    assert [(one["route"], one["status"]) for one in asked] == [
        ("registration", 400),
        ("registration", 201),
        ("authorization", 303),
        ("token", 200),
    ]
    page, token = asked[2:]
    assert (page["pkce"], page["scope"]) == ("S256", "crm:read offline_access")
    assert page["resource"] == token["resource"] == world.url
    (file,) = desk.logins.glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    with world.asked("token", "authorization", "discovery") as asked:
        assert desk.whoami().out == "ana may crm:read\n"
    assert asked == []


def test_a_new_process_renews_a_token_that_ended_and_needs_nobody(world, desk, logged_in):
    world.set(seconds=2)
    logged_in(world.url)
    before = desk.kept()["token"]
    desk.wait_for_the_end()
    world.set(seconds=600)
    with world.asked("discovery", "authorization", "token") as asked:
        assert desk.whoami().out == "ana may crm:read\n"
    (renewal,) = asked
    assert (renewal["grant"], renewal["status"]) == ("refresh_token", 200)
    assert renewal["resource"] == world.url
    after = desk.kept()["token"]
    assert before["access"] != after["access"]
    assert before["refresh"] != after["refresh"], "the provider rotates refresh tokens"


def test_processes_at_once_use_a_refresh_token_once(world, desk, logged_in):
    world.set(seconds=2)
    logged_in(world.url)
    used = desk.kept()["token"]["refresh"]
    desk.wait_for_the_end()
    world.set(seconds=600)
    with world.asked("token") as asked, ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(desk.whoami) for _ in range(3)]
        assert {answer.result().out for answer in answers} == {"ana may crm:read\n"}
    assert [(one["grant"], one["status"]) for one in asked] == [("refresh_token", 200)]
    # Had it been used twice, this provider would have ended the whole login.
    client = desk.kept()["client"]["id"]
    again = world.post("/token", client, grant_type="refresh_token", refresh_token=used)
    assert again.json()["error"] == "invalid_grant"


def test_a_login_that_was_taken_back_needs_a_person(world, desk, logged_in):
    world.set(format="opaque")
    logged_in(world.asking)
    kept = desk.kept()
    token = kept["token"]["refresh"]
    assert world.post("/token/revocation", kept["client"]["id"], token=token).status_code == 200
    for _ in range(2):
        with world.asked("token") as asked:
            ended = desk.whoami()
        assert (ended.status, LOGIN in ended.err) == (ExitStatus.NEEDS_LOGIN, True)
        assert token not in ended.out + ended.err
    assert asked == [], "what was refused once is not tried again"


def test_a_logout_ends_both_tokens_at_the_provider(world, desk, logged_in):
    world.set(format="opaque")
    logged_in(world.asking)
    kept = desk.kept()
    access, refresh = kept["token"]["access"], kept["token"]["refresh"]
    assert status_of(world.asking, access) == 200
    out = desk.run("servers", "logout", "crm")
    assert (out.status, out.out, out.err) == (0, "logged out of crm\n", "")
    assert status_of(world.asking, access) == 401
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    assert world.post("/token", kept["client"]["id"], **form).json()["error"] == "invalid_grant"
    assert [*desk.logins.glob("*.json")] == []


def test_a_logout_says_that_a_token_that_is_its_own_proof_lives_on(world, desk, logged_in):
    logged_in(world.url)
    kept = desk.kept()
    out = desk.run("servers", "logout", "crm")
    assert (out.status, out.out) == (0, "logged out of crm\n")
    assert out.err == "  its last token cannot be taken back there; it ends in 10 minutes\n"
    form = {"grant_type": "refresh_token", "refresh_token": kept["token"]["refresh"]}
    assert world.post("/token", kept["client"]["id"], **form).json()["error"] == "invalid_grant"


def test_a_token_is_for_one_server(world, desk, logged_in):
    logged_in(world.url)
    access = desk.kept()["token"]["access"]
    assert [status_of(url, access) for url in (world.url, world.behind)] == [200, 401]
    desk.config(world.behind)
    with world.asked() as asked:
        ended = desk.whoami()
    assert (ended.status, LOGIN in ended.err) == (ExitStatus.NEEDS_LOGIN, True)
    assert "jwks" not in {one["route"] for one in asked}, "the other server got a token"


def test_a_server_that_passes_itself_off_as_another_gets_nothing(world, logged_in):
    with (
        world.asked() as asked,
        pytest.raises(LoginFailedError, match="is about another resource"),
    ):
        logged_in(world.behind)
    assert asked == []


def test_a_server_that_wants_more_rights_gets_them_from_a_new_login(world, desk, logged_in):
    with world.server() as server:
        url = server.told()["url"]
        logged_in(url)
    port = url.removesuffix("/mcp").rpartition(":")[2]
    with world.server("jwt", "crm:read crm:write", port) as stricter:
        assert stricter.told()["url"] == url
        ended = desk.whoami()
        assert ended.status == ExitStatus.NEEDS_LOGIN
        assert f"crm wants more rights; run {LOGIN}" in ended.err
        logged_in(url)
        assert desk.whoami().out == "ana may crm:read crm:write\n"


def test_a_token_that_is_bound_to_a_key_is_worth_nothing_to_a_thief(world, desk, logged_in):
    world.set(nonce=True, seconds=2)
    logged_in(world.guarded, dpop=True)
    desk.config(world.guarded, "auth = { dpop = true }")
    desk.wait_for_the_end()
    world.set(seconds=600)
    with world.asked("token", "guard") as asked:
        assert desk.whoami().out == "ana may crm:read\n"
    tokens = [(one["grant"], one["error"]) for one in asked if one["route"] == "token"]
    assert tokens == [("refresh_token", "use_dpop_nonce"), ("refresh_token", None)]
    assert {one["status"] for one in asked if one["route"] == "guard"} == {200}
    kept = desk.kept()
    access = kept["token"]["access"]
    assert [status_of(world.guarded, access, scheme) for scheme in ("Bearer", "DPoP")] == [401, 401]
    world.set(nonce=False)
    form = {"grant_type": "refresh_token", "refresh_token": kept["token"]["refresh"]}
    assert world.post("/token", kept["client"]["id"], **form).json()["error"] == "invalid_grant"
