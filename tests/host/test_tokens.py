"""Tokens of logins are in no record."""

from agent_host.host.secrets import Secrets
from agent_host.servers.login.record import AuthorizationServer, Client, Login, Token
from tests.fakes.authorization_server import protected
from tests.fakes.login_hosting import browser, once, spec_for


def test_a_token_that_was_got_on_the_way_is_kept_out_of_what_is_written():
    secrets = Secrets({})
    server = AuthorizationServer(issuer="https://as", token_endpoint="https://as/token")
    login = Login(
        server=server,
        resource="https://r",
        client=Client(id="c", secret="client-secret"),
        token=Token(access="access-1", refresh="refresh-1", issued_at=0.0),
        key="private-key",
    )
    for text in login.secrets():
        secrets.keep(text)
    shown = secrets.redactor.text("access-1 refresh-1 client-secret private-key c https://r")
    assert (
        shown == "[secret:token 1] [secret:token 2] [secret:token 3] [secret:token 4] c https://r"
    )
    assert Login(server=server, resource="r").secrets() == ()


def test_a_login_tells_its_tokens_when_it_gets_and_when_it_reads_them(tmp_path):
    with protected() as world:
        got: list[str] = []
        read: list[str] = []
        assert once(spec_for(world, tmp_path, keep_secret=got.append), person=browser()) == 200
        assert once(spec_for(world, tmp_path, keep_secret=read.append)) == 200
    assert got
    assert set(read) <= set(got)
    assert any(text in str(world.calls()[-1]) for text in read)
