"""The roles of a run's user: from a token, from the files of policy, from groups of the system."""

import asyncio
import grp
import os
import time
from pathlib import Path

import pytest

from agent_host.config.load import Loaded, load
from agent_host.core.errors import ConfigError
from agent_host.core.types import Principal
from agent_host.host.identity import identify, user_name
from agent_host.host.secrets import Secrets
from tests.fakes.identity_provider import IdentityProvider

ME = user_name()
GROUP = grp.getgrgid(os.getgid()).gr_name


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def issuer():
    with IdentityProvider(now=int(time.time())) as provider:
        yield provider


def loaded(tmp_path: Path, project: str, organisation: str = "", own: str = "") -> Loaded:
    for path, text in (
        (tmp_path / "project/servers.toml", project),
        (tmp_path / "config/agent-host/policy.toml", own),
        (tmp_path / "etc/policy.toml", organisation),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o755)
        if text or path.name == "servers.toml":
            path.write_text(text)
            path.chmod(0o644)
    return load(
        None,
        {},
        cwd=tmp_path / "project",
        organisation=tmp_path / "etc/policy.toml",
        root=os.getuid(),
    )


def user(config: Loaded, **environ: str) -> Principal:
    return asyncio.run(identify(config, Secrets(environ)))


def identity(issuer: IdentityProvider) -> str:
    return f'[identity]\ntoken = "${{env:T}}"\nissuer = "{issuer.url}"\naudience = "agent-host"\n'


def test_a_user_of_the_system_has_the_roles_that_name_them_or_a_group_of_theirs(tmp_path):
    config = loaded(
        tmp_path,
        "[policy.roles]\n"
        f'boss = ["{ME}"]\ndesk = ["nobody-else", "group:{GROUP}"]\n'
        'other = ["nobody-else", "group:no-such-group"]\n',
    )
    assert user(config).roles == ("boss", "desk")


def test_a_name_is_no_group_and_a_group_no_name(tmp_path):
    config = loaded(tmp_path, f'[policy.roles]\na = ["{GROUP}-x"]\nb = ["group:{ME}-x"]\n')
    assert user(config).roles == ()


def test_with_an_organisations_file_nobody_gives_themselves_a_role(tmp_path):
    mine = f'[policy.roles]\nboss = ["{ME}"]\n'
    above = f'[policy.roles]\ndesk = ["{ME}"]\nboss = ["somebody-else"]\n'
    assert user(loaded(tmp_path, mine, own=mine)).roles == ("boss",)
    assert user(loaded(tmp_path, mine, above, own=mine)).roles == ("desk",)


def test_a_tokens_roles_and_those_of_policy_count_together(tmp_path, issuer):
    config = loaded(
        tmp_path, identity(issuer) + '[policy.roles]\nboss = ["ana"]\nmanager = ["ana"]\n'
    )
    found = user(config, T=issuer.token())
    assert found.roles == ("desk", "manager", "boss")
    assert found.authenticated_by == issuer.url


def test_a_token_of_somebody_with_my_name_is_not_me(tmp_path, issuer):
    """The user's own file is about users of the system, and a project names an issuer."""
    mine = f'[policy.roles]\nboss = ["{ME}", "group:{GROUP}"]\n'
    config = loaded(tmp_path, identity(issuer), own=mine)
    assert user(config, T=issuer.token(sub=ME, roles=[])).roles == ()


def test_a_user_of_the_system_with_the_name_of_a_tokens_user_is_not_them(tmp_path, issuer):
    above = (
        f'[identity]\nissuer = "{issuer.url}"\naudience = "agent-host"\n'
        f'[policy.roles]\nboss = ["{ME}"]\n'
    )
    with pytest.raises(ConfigError, match="users are those of an issuer here") as caught:
        user(loaded(tmp_path, "", above))
    assert str(caught.value).startswith(f"{tmp_path}/etc/policy.toml:1: ")
    config = loaded(tmp_path, '[identity]\ntoken = "${env:T}"\n', above)
    assert user(config, T=issuer.token(sub="ana", roles=[])).roles == ()
    assert user(config, T=issuer.token(sub=ME, roles=[])).roles == ("boss",)


def test_an_organisation_believes_its_own_issuer_whatever_a_project_names(tmp_path, issuer):
    above = f'[identity]\nissuer = "{issuer.url}"\naudience = "agent-host"\n'
    with IdentityProvider(now=issuer.now) as evil:
        config = loaded(tmp_path, identity(evil), above)
        with pytest.raises(Exception, match="ID token"):
            user(config, T=evil.token(roles=["boss"]))
        assert user(config, T=issuer.token(roles=["desk"])).roles == ("desk",)


def test_a_token_without_issuer_and_audience_in_any_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r'servers\.toml:1: identity has a "token", so it needs'):
        loaded(tmp_path, '[identity]\ntoken = "${env:T}"\n')
