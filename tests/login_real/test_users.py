"""Users with ID tokens of a certified provider: who a run is for, and whose token a call has."""

import asyncio
import json

from agent_host.core.errors import ExitStatus
from agent_host.core.types import Principal
from agent_host.ports import CallContext
from agent_host.servers.spec import AuthSpec, HttpSpec, UserSpec
from tests.fakes.hosting import DEADLINE, running, said
from tests.login_real.world import APP, SECRET

AUTH = """
[servers.crm.auth]
type = "client-credentials"
client_id = "exchanger"
client_secret = "${env:SECRET}"
"""
IDENTITY = """
[policy]
default = "allow"
[identity]
token = "${{env:ID_TOKEN}}"
issuer = "{}"
audience = "{}"
"""


def test_a_run_is_for_the_user_of_an_id_token_and_calls_have_a_token_of_that_user(world, desk):
    token = world.id_token("ana")
    identity = IDENTITY.format(world.issuer, APP[0])
    desk.config(world.url, "forward_user = { exchange = true }", AUTH, before=identity)
    ran = desk.run("run", "crm__whoami", "--output", "stream-json", ID_TOKEN=token)
    assert (ran.status, ran.reason) == (0, "done")
    who = ran.of("run_started")[0]["principal"]
    assert (who["id"], who["authenticated_by"]) == ("ana", world.issuer)
    assert who["roles"] == ["desk", "only-ana"]
    (result,) = ran.results
    assert result["content"][0]["text"] == "ana may crm:read"
    (transcript,) = desk.folder.glob("transcripts/*.jsonl")
    assert token.rpartition(".")[2] not in transcript.read_text()


def test_an_id_token_that_has_expired_ends_a_run_before_it_begins(world, desk):
    desk.config(world.url, before=IDENTITY.format(world.issuer, APP[0]))
    ran = desk.run("run", "hello", ID_TOKEN=world.id_token("ana", ahead=-7200))
    assert (ran.status, ran.out) == (ExitStatus.NEEDS_LOGIN, "")
    assert ran.err == "agent-host: the ID token has expired; log in again where it comes from\n"
    assert not (desk.folder / "transcripts").exists()
    other = desk.run("run", "hello", ID_TOKEN=world.id_token("ana")[:-8] + "AAAAAAAA")
    assert (other.status, "Signature" in other.err) == (ExitStatus.REFUSED, True)


def test_users_over_one_connection_have_their_own_tokens_each(world, desk):
    tokens = {name: world.id_token(name) for name in ("ana", "bob")}
    users = [Principal(id=name, authenticated_by=world.issuer) for name in tokens]
    spec = HttpSpec(
        name="crm",
        url=world.url,
        auth=AuthSpec(
            type="client-credentials",
            store=desk.logins,
            client_id="exchanger",
            client_secret=SECRET,
        ),
        user=UserSpec(exchange=True, subject=lambda user: tokens.get(user.id, "")),
    )

    async def scenario():
        async with running(spec) as pool, asyncio.timeout(DEADLINE):
            tool = pool.tools()["crm__whoami"]

            async def whoami(user):
                context = CallContext(call_id="1", principal=user, progress=lambda *_: None)
                return await pool.call(tool, {}, context)

            answers = await asyncio.gather(*(whoami(user) for user in users * 10))
            return [said(one) for one in answers], await whoami(Principal(id="carl"))

    with world.asked("token") as asked:
        answers, nobody = asyncio.run(scenario())
    assert answers == ["ana may crm:read", "bob may crm:read"] * 10
    assert nobody.error is not None
    assert "carl has no ID token" in said(nobody)
    grants = [one["grant"].rpartition(":")[2] for one in asked]
    assert grants == ["client_credentials", "token-exchange", "token-exchange"]
    assert json.dumps(desk.kept()).count("ana") == 0
