"""Logins that need nobody, at a certified provider."""

import pytest

from agent_host.core.errors import ExitStatus
from tests.login_real.world import PEM

SECRET = 'auth = {{ type = "client-credentials", client_id = "{}", client_secret = "${{env:{}}}" }}'
KEYED = 'auth = { type = "client-credentials", client_id = "keyed", private_key = "${env:PEM}" }'


@pytest.mark.parametrize(
    ("auth", "name"), [(SECRET.format("robot", "SECRET"), "robot"), (KEYED, "keyed")]
)
def test_a_machine_proves_itself_by_a_secret_or_a_key(auth, name, world, desk):
    desk.config(world.url, auth)
    with world.asked("token", "authorization", "registration") as asked:
        called = desk.run("tools", "call", "crm__whoami", PEM=PEM)
    assert (called.status, called.out) == (0, f"{name} may crm:read\n")
    assert [(one["grant"], one["resource"]) for one in asked] == [("client_credentials", world.url)]
    with world.asked("token") as asked:
        assert desk.run("tools", "call", "crm__whoami", PEM=PEM).status == 0
    assert asked == [], "the token was kept"


def test_a_machines_tokens_are_bound_to_a_key_of_its_own(world, desk):
    world.set(nonce=True)
    desk.config(world.guarded, SECRET.format("robot", "SECRET").replace(" }", ", dpop = true }"))
    with world.asked("guard") as asked:
        assert desk.whoami().out == "robot may crm:read\n"
    assert {one["status"] for one in asked} == {200}


def test_a_wrong_secret_is_said_without_it(world, desk):
    desk.config(world.url, SECRET.format("robot", "OTHER"))
    failed = desk.run("servers", "login", "crm", OTHER="wr0ng-secret")
    assert failed.status == ExitStatus.SERVER_UNAVAILABLE
    assert "invalid_client" in failed.err
    assert "wr0ng" not in failed.out + failed.err
