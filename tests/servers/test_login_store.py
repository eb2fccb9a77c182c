"""Where logins are kept, and how processes share them."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from agent_host.servers.login import store as store_module
from agent_host.servers.login.errors import LoginFailedError, NeedsLoginError
from agent_host.servers.login.record import AuthorizationServer, Login, Token, decode, encode
from agent_host.servers.login.resource import resource_of
from agent_host.servers.login.store import Store, working_keyring
from tests.fakes.authorization_server import protected
from tests.fakes.login_hosting import browser, once, spec_for

ROOT = Path(__file__).parents[2]
LOGIN = Login(
    server=AuthorizationServer(issuer="https://a", token_endpoint="https://a/token"),
    resource="https://r",
    token=Token(access="secret-access", refresh="secret-refresh"),
)


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch):
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    import keyring.core

    monkeypatch.setattr(keyring.core, "_keyring_backend", None)


def mode(path):
    return oct(path.stat().st_mode & 0o777)


def test_a_login_is_in_a_file_that_only_its_user_reads(tmp_path):
    folder = tmp_path / "a" / "logins"
    store = Store(folder, "crm", "https://r")
    old = os.umask(0)
    try:
        store.save(LOGIN)
    finally:
        os.umask(old)
    assert store.load() == LOGIN
    assert mode(folder) == "0o700"
    assert [mode(path) for path in folder.iterdir()] == ["0o600"]
    assert store.place.startswith(str(folder))
    store.remove()
    assert (store.load(), list(folder.iterdir())) == (None, [])
    store.remove()


def test_a_folder_that_others_could_read_is_closed(tmp_path):
    folder = tmp_path / "logins"
    folder.mkdir(mode=0o755)
    Store(folder, "crm", "https://r").save(LOGIN)
    assert mode(folder) == "0o700"


def test_each_server_and_each_name_has_its_own_login(tmp_path):
    Store(tmp_path, "work", "https://r").save(LOGIN)
    assert Store(tmp_path, "home", "https://r").load() is None
    assert Store(tmp_path, "work", "https://other").load() is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"token": 1}', b"\xff" * 50, b"[" * 100_000])
def test_a_damaged_record_is_no_login_and_says_so(data, tmp_path):
    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        path = next(spec.auth.store.glob("*.json"))
        path.write_bytes(data)
        with pytest.raises(NeedsLoginError, match=r"the stored login .* is damaged; run"):
            once(spec)
        assert once(spec, person=browser()) == 200


def test_a_link_in_the_place_of_a_record_is_not_followed(tmp_path):
    store = Store(tmp_path / "logins", "crm", "https://r")
    store.save(LOGIN)
    path = next((tmp_path / "logins").iterdir())
    other = tmp_path / "other"
    path.rename(other)
    path.symlink_to(other)
    assert store.load() is None
    assert "cannot be read" in store.problem
    store.save(LOGIN)  # takes the link's place
    assert not path.is_symlink()
    path.unlink()
    os.mkfifo(path)
    assert store.load() is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "logins", "crm", "https://r")
    with pytest.raises(LoginFailedError, match="cannot be kept in"):
        store.save(LOGIN)
    with pytest.raises(LoginFailedError, match="cannot be used"):
        store.lock(1)


class Backend:
    priority = 5

    def __init__(self):
        self.entries, self.broken = {}, False

    def get_password(self, service, name):
        if self.broken:
            raise OSError("no bus")
        return self.entries.get((service, name))

    def set_password(self, service, name, value):
        if self.broken:
            raise OSError("no bus")
        self.entries[service, name] = value

    def delete_password(self, service, name):
        del self.entries[service, name]


def test_a_keyring_that_works_is_used(tmp_path, monkeypatch):
    backend = Backend()
    monkeypatch.setattr(store_module, "working_keyring", lambda: backend)
    store = Store(tmp_path, "crm", "https://r")
    store.save(LOGIN)
    assert store.load() == LOGIN
    assert store.place == "the keyring"
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    backend.broken = True
    assert store.load() is None
    assert "in the keyring, which cannot be read now" in store.problem
    store.save(LOGIN)  # better in a file than lost
    assert store.load() == LOGIN
    backend.broken = False
    store.save(LOGIN)
    store.remove()
    assert backend.entries == {}


def test_a_keyring_without_a_safe_backend_is_none():
    assert working_keyring() is None


def test_a_server_that_nobody_logged_in_to_costs_no_keyring(tmp_path):
    code = (
        "import sys; from pathlib import Path; from agent_host.servers.login.store import Store;"
        "print(Store(Path(sys.argv[1]), 'a', 'b').load(), 'keyring' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == "None False\n"


def test_records_of_today_can_be_read():
    assert decode(encode(LOGIN)) == LOGIN
    assert decode(json.dumps({"server": {"issuer": "a"}})) is None


PROCESS = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from agent_host.servers.spec import AuthSpec, HttpSpec
from tests.fakes.login_hosting import once
spec = HttpSpec(name="crm", url=sys.argv[2],
    auth=AuthSpec(type="oauth", store=Path(sys.argv[3])))
print("ready", flush=True)
sys.stdin.readline()
print(once(spec))
"""


def test_processes_that_renew_at_once_use_a_refresh_token_once(tmp_path):
    with protected(lifetime=600) as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        store = Store(spec.auth.store, spec.name, resource_of(spec.url))
        login = json.loads(encode(store.load()))
        login["token"]["expires_at"] = 1.0
        next(spec.auth.store.glob("*.json")).write_text(json.dumps(login))
        arguments = [sys.executable, "-c", PROCESS, str(ROOT), spec.url, str(spec.auth.store)]
        processes = [
            subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            assert process.communicate(timeout=60)[0] == "200\n"
        assert world.grants() == ["authorization_code", "refresh_token"]
        assert world.revoked == []


def test_a_lock_that_is_held_for_too_long_is_said(tmp_path, monkeypatch):
    from agent_host.servers.login import renewal

    monkeypatch.setattr(renewal, "LOCK_SECONDS", 0.05)
    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        for token in world.tokens.values():
            token["good"] = False
        path = next(spec.auth.store.glob("*.json")).with_suffix(".lock")
        with filelock.FileLock(path), pytest.raises(LoginFailedError, match="another process"):
            once(spec)
        assert once(spec) == 200


def test_a_login_of_another_process_is_taken_over(tmp_path):
    from tests.fakes.login_hosting import client_of, post

    async def scenario(spec):
        async with client_of(spec) as client:
            with pytest.raises(NeedsLoginError):
                await post(client, spec.url)
            await asyncio.to_thread(once, spec, person=browser())
            return (await post(client, spec.url)).status_code

    with protected() as world:
        assert asyncio.run(scenario(spec_for(world, tmp_path))) == 200


def test_two_connections_of_one_process_use_a_refresh_token_once(tmp_path):
    from tests.fakes.login_hosting import client_of, post

    async def scenario(spec):
        async with client_of(spec) as one, client_of(spec) as two:
            both = await asyncio.gather(post(one, spec.url), post(two, spec.url))
            return [answer.status_code for answer in both]

    with protected() as world:
        spec = spec_for(world, tmp_path)
        once(spec, person=browser())
        for token in world.tokens.values():
            token["good"] = False
        assert asyncio.run(scenario(spec)) == [200, 200]
        assert world.grants() == ["authorization_code", "refresh_token"]
