"""The organisation's file of policy: who is believed to have written it, and what it may say."""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from agent_host.config.file import SIZE_LIMIT
from agent_host.config.load import Loaded, load
from agent_host.core.errors import ConfigError
from agent_host.host.policy import make_policy

ROOT = os.getuid()
ASKS = """\
[policy]
default = "ask"
[[policy.rules]]
id = "org-deletes"
tools = ["delete_*"]
effect = "deny"
reason = "nothing is deleted here"
"""
as_root = pytest.mark.skipif(ROOT != 0, reason="only root gives files away")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "etc/agent-host"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    path = folder / "policy.toml"
    path.write_text(ASKS)
    path.chmod(0o644)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "servers.toml").write_text("")
    return folder


def loaded(file: Path, project: Path, text: str | None = None) -> Loaded:
    if text is not None:
        (project / "servers.toml").write_text(text)
    return load(None, {}, cwd=project, organisation=file, root=ROOT)


def complaint(file: Path, project: Path, text: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(file, project, text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config/agent-host/policy.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_the_file_only_servers_toml_says_what_may_be_done(file, project):
    file.unlink()
    config = loaded(file, project)
    assert config.organisation is None
    assert [layer.level for layer in config.layers] == ["project"]


def test_without_its_folder_there_is_no_organisations_file(tmp_path, project):
    assert loaded(tmp_path / "nowhere/policy.toml", project).organisation is None


def test_three_files_are_layers_the_strictest_first(file, project, tmp_path):
    own(tmp_path, '\n[[policy.rules]]\nid = "mine"\neffect = "allow"\n')
    config = loaded(file, project, '[[policy.rules]]\nid = "theirs"\neffect = "ask"\n')
    said = [(one.level, one.policy.rules[0].id) for one in config.layers]
    assert said == [("organisation", "org-deletes"), ("user", "mine"), ("project", "theirs")]
    first, second, third = config.layers
    assert first.where("policy", "rules", 0) == f"{file}:3"
    assert second.where("policy", "rules", 0).endswith("config/agent-host/policy.toml:2")
    assert third.where("policy", "rules", 0, "effect") == "servers.toml:3"


# Attacks on the file itself.


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o664, 0o622])
def test_a_file_that_others_can_write_is_refused(mode, file, project):
    file.chmod(mode)
    message = complaint(file, project)
    assert message.startswith(f"{file}: can be changed by others than root (mode {mode:04o})")
    assert message.endswith(f"as root: chmod go-w {file}")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_can_write_is_refused(mode, file, project):
    file.parent.chmod(mode)
    assert f"chmod go-w {file.parent}" in complaint(file, project)


def test_taking_the_file_out_of_a_folder_that_others_can_write_is_no_way_around_it(file, project):
    file.parent.chmod(0o777)
    file.unlink()
    assert f"chmod go-w {file.parent}" in complaint(file, project)


def test_a_folder_above_that_others_can_write_is_refused(file, project):
    file.parent.parent.chmod(0o777)
    try:
        assert f"chmod go-w {file.parent.parent}" in complaint(file, project)
    finally:
        file.parent.parent.chmod(0o755)


@as_root
def test_a_file_that_belongs_to_a_user_is_refused(file, project):
    os.chown(file, 65534, 65534)
    message = complaint(file, project)
    assert "belongs to" in message
    assert "(uid 65534), not to root" in message
    assert message.endswith(f"as root: chown root {file}")


@as_root
def test_a_folder_that_belongs_to_a_user_is_refused(file, project):
    os.chown(file.parent, 4_000_000, 0)
    message = complaint(file, project)
    assert f"{file.parent}: belongs to the user with uid 4000000" in message
    file.unlink()
    assert f"{file.parent}: belongs to the user with uid 4000000" in complaint(file, project)


def test_a_symbolic_link_is_refused_wherever_it_leads(file, project, tmp_path):
    real = tmp_path / "real.toml"
    file.rename(real)
    file.symlink_to(real)
    assert complaint(file, project).startswith(f"{file}: is a symbolic link")
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    assert complaint(file, project).startswith(f"{file}: is a symbolic link")


def test_a_folder_that_is_a_link_is_refused(file, project, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file.parent)
    assert "is reached through a symbolic link" in complaint(link / "policy.toml", project)


def test_a_pipe_or_a_folder_instead_of_the_file_is_refused_at_once(file, project):
    file.unlink()
    os.mkfifo(file, 0o644)
    assert complaint(file, project).startswith(f"{file}: is no file")
    file.unlink()
    file.mkdir(0o755)
    assert complaint(file, project).startswith(f"{file}: is no file")


def test_a_folder_that_is_a_file_is_refused(file, project):
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("")
    assert "Not a directory" in complaint(file, project)


def test_a_file_that_is_too_large_is_refused(file, project):
    file.write_text("#" * (SIZE_LIMIT + 1))
    assert f"{file}: is larger than" in complaint(file, project)


@pytest.mark.parametrize("text", ["", "\n\n", "# to be written\n"])
def test_a_file_that_says_nothing_is_refused_as_half_written(text, file, project):
    file.write_text(text)
    assert complaint(file, project).startswith(f"{file}: says nothing, as if it were half-written")


def test_a_file_cut_anywhere_never_lets_a_rule_through_as_allowed(file, project):
    refused: list[str] = []
    for end in range(len(ASKS)):
        file.write_text(ASKS[:end])
        try:
            config = loaded(file, project)
        except ConfigError as error:
            refused.append(str(error))
            continue
        [layer, _] = config.layers
        assert all(rule.effect != "allow" for rule in layer.policy.rules)
        assert layer.policy.default != "allow"
    assert refused
    assert all(one.startswith(str(file)) for one in refused)


def test_what_is_no_toml_and_no_text_is_named_by_its_line(file, project):
    file.write_text(ASKS + "[[policy.rules]\n")
    assert complaint(file, project).startswith(f"{file}:8:")
    file.write_bytes(b"[policy]\n\xff")
    assert complaint(file, project) == f"{file}:2: is not UTF-8 text; save it as UTF-8"


@as_root
def test_a_user_who_may_not_read_it_is_told_so_and_gets_no_further():
    """The same program as another user: a file that cannot be read is no absent file."""
    # Not in the folder of the tests: others may not go into that.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, project = folder / "etc/policy.toml", folder / "project"
        for one in (folder, file.parent, project):
            one.mkdir(exist_ok=True)
            one.chmod(0o755)
        file.write_text(ASKS)
        (project / "servers.toml").touch()
        _told_as_another_user(file, project)


def _told_as_another_user(file: Path, project: Path) -> None:
    program = f"""\
        import os
        from pathlib import Path
        from agent_host.config.load import load
        from agent_host.core.errors import ConfigError
        def start():
            return load(None, {{}}, cwd=Path({str(project)!r}), organisation=Path({str(file)!r}))
        try:
            start()
        except ConfigError:
            pass
        os.setuid(65534)
        try:
            start()
            print("started")
        except ConfigError as error:
            print(error)
    """

    def told() -> str:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=os.environ | {"XDG_CONFIG_HOME": str(project.parent / "config")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert told() == "started"
    file.chmod(0o600)
    assert told().startswith(f"{file}: may not be read")
    assert f"chmod 644 {file}" in told()
    file.chmod(0o644)
    file.parent.chmod(0o700)
    assert told().startswith(f"{file}: may not be read")


def test_no_variable_moves_the_organisations_file(file, project, tmp_path, monkeypatch):
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "AGENT_HOST_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert loaded(file, project).organisation is not None


# What it may say.


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('[policy]\nflow = "off"\n', 2, 'policy.flow must be "ask" or "deny" here'),
        ('[policy]\ndefault = "allow"\n', 2, 'policy.default must be "ask" or "deny" here'),
        (
            "policy.rules = [\n{ id = 'a', effect = 'deny' },\n{ id = 'b', effect = 'allow' }]",
            3,
            'policy.rules[2].effect must be "ask" or "deny" here',
        ),
        ("[servers.x]\ncommand = 'x'\n", 1, "everything else belongs in servers.toml"),
        ("default = 'ask'\n", 1, "it goes into [policy]"),
        ("[policys]\n", 1, 'did you mean "policy"?'),
        ("[policy]\nruls = []\n", 2, 'unknown key ruls in [policy]; did you mean "rules"?'),
        ("[audit]\nenabled = 'no'\n", 2, "audit.enabled must be true or false, not text"),
        ("[audit]\nfolder = 'audit'\n", 2, "audit.folder must start with /"),
        (
            "[audit]\nsend_to = 'https://siem.example/${env:WHERE}'\n",
            2,
            "audit.send_to must not hold a reference",
        ),
        (
            "[audit]\nsend_headers = { Authorization = '${file:token}' }\n",
            2,
            "audit.send_headers.Authorization must name its file from /",
        ),
        ("[identity]\nroles = 'groups'\n", 1, '[identity] needs the keys "issuer" and "audience"'),
        (
            "[identity]\nissuer = 'https://${env:WHO}'\naudience = 'a'\n",
            2,
            "identity.issuer must not hold a reference",
        ),
        (
            "[identity]\nissuer='https://i.example'\naudience='a'\ntoken='${file:t}'\n",
            4,
            "identity.token must name its file from /",
        ),
    ],
)
def test_what_it_may_not_say_is_named_with_its_line(text, line, says, file, project):
    file.write_text(text)
    message = complaint(file, project)
    assert message.startswith(f"{file}:{line}: ")
    assert says in message


def test_a_project_cannot_take_the_name_of_an_organisations_rule_or_total(file, project, tmp_path):
    file.write_text(ASKS + "[policy.totals.refunds]\nvalue = 'args.amount'\n")
    rule = '[[policy.rules]]\nid = "org-deletes"\neffect = "allow"\n'
    total = "[policy.totals.refunds]\nvalue = '0'\n"
    assert complaint(file, project, rule) == (
        f'servers.toml:2: policy.rules[1].id is "org-deletes", as at {file}:3; choose another'
    )
    assert complaint(file, project, total) == (
        f"servers.toml:1: policy.totals.refunds is defined at {file}:8; choose another name"
    )
    path = own(tmp_path, rule)
    assert complaint(file, project, "") == (
        f'{path}:2: policy.rules[1].id is "org-deletes", as at {file}:3; choose another'
    )
    path.write_text(total)
    assert f"policy.totals.refunds is defined at {file}:8" in complaint(file, project)


def test_a_project_cannot_take_the_name_of_a_users_rule(file, project, tmp_path):
    own(tmp_path, '[[policy.rules]]\nid = "mine"\neffect = "ask"\n')
    message = complaint(file, project, '[[policy.rules]]\nid = "mine"\neffect = "allow"\n')
    assert message.startswith('servers.toml:2: policy.rules[1].id is "mine", as at ')


# What holds of it.

AUDIT = "[audit]\nfolder = '/var/log/agent-host'\nretention = '365d'\n"


def test_audit_holds_as_a_whole(file, project):
    file.write_text(AUDIT)
    config = loaded(
        file,
        project,
        "[audit]\nenabled = false\nfolder = 'x'\narguments = false\nsend_to = 'http://evil.example'\n",
    )
    audit = config.config.audit
    assert audit.enabled
    assert audit.arguments
    assert audit.folder == "/var/log/agent-host"
    assert audit.send_to is None
    assert config.origin("audit", "folder") == f"{file}:2"
    assert config.origin("audit", "enabled") == "default"
    assert config.where("audit", "enabled") == f"{file}:1"


def test_a_folder_in_the_users_home_is_not_moved_by_a_variable(file, project, monkeypatch):
    monkeypatch.setenv("HOME", "/nowhere")
    file.write_text("[audit]\nfolder = '~/audit'\n")
    folder = loaded(file, project).config.audit.folder
    assert folder is not None
    assert folder.startswith("/")
    assert folder.endswith("/audit")
    assert not folder.startswith("/nowhere")


def test_detection_of_secrets_cannot_be_switched_off_below(file, project):
    file.write_text("[secrets]\nhide_from_model = true\n[secrets.patterns]\nacme = 'ACME-[0-9]+'\n")
    config = loaded(
        file,
        project,
        "[secrets]\ndetect = false\nhide_from_model = false\nreveal = ['*']\n"
        "[secrets.patterns]\nacme = 'never'\nown = 'OWN-[0-9]+'\n",
    )
    secrets = config.config.secrets
    assert secrets.detect
    assert secrets.hide_from_model
    assert secrets.reveal == []
    assert secrets.patterns == {"acme": "ACME-[0-9]+", "own": "OWN-[0-9]+"}
    assert config.origin("secrets", "hide_from_model") == f"{file}:2"
    assert config.where("secrets", "detect") == f"{file}:1"
    assert config.origin("secrets", "patterns", "own") == "servers.toml:7"


def test_a_project_may_hide_more_than_the_organisation_asks_for(file, project):
    file.write_text("[secrets]\ndetect = true\n")
    config = loaded(file, project, "[secrets]\nhide_from_model = true\n")
    assert config.config.secrets.hide_from_model
    assert config.origin("secrets", "hide_from_model") == "servers.toml:2"


IDENTITY = "[identity]\nissuer = 'https://id.example'\naudience = 'agent-host'\nroles = 'groups'\n"


def test_who_users_are_is_the_organisations_to_say(file, project):
    file.write_text(IDENTITY)
    config = loaded(
        file,
        project,
        "[identity]\ntoken = '${env:T}'\nissuer = 'https://evil.example'\naudience = 'evil'\n"
        "user = 'nickname'\nroles = 'mine'\n",
    )
    identity = config.config.identity
    assert identity.issuer == "https://id.example"
    assert identity.audience == "agent-host"
    assert (identity.user, identity.roles) == ("sub", "groups")
    assert identity.token == "${env:T}"
    assert config.origin("identity", "token") == "servers.toml:2"
    assert config.origin("identity", "issuer") == f"{file}:2"


def test_a_token_of_the_organisations_own_cannot_be_replaced(file, project):
    file.write_text(IDENTITY + "token = '${file:/run/token}'\n")
    config = loaded(
        file,
        project,
        "[identity]\ntoken = '${env:T}'\nissuer = 'https://i.example'\naudience = 'a'\n",
    )
    assert config.config.identity.token == "${file:/run/token}"
    assert config.origin("identity", "token") == f"{file}:5"


def test_without_an_issuer_of_the_organisations_no_token_says_who_somebody_is(file, project):
    message = complaint(
        file,
        project,
        "[identity]\ntoken = '${env:T}'\nissuer = 'https://evil.example'\naudience = 'a'\n",
    )
    assert message.startswith("servers.toml:2: identity.token means nothing here: ")
    assert f"{file} names no issuer" in message


# The user's own file.


def test_the_users_own_file_has_policy_only(file, project, tmp_path):
    path = own(tmp_path, "[audit]\nenabled = false\n")
    assert complaint(file, project) == (
        f"{path}:1: unknown key audit; this file has [policy]; everything else belongs in "
        "servers.toml"
    )


def test_a_users_own_file_that_cannot_be_read_stops_the_program(file, project, tmp_path):
    path = own(tmp_path, "")
    path.unlink()
    os.mkfifo(path)
    assert complaint(file, project).startswith(f"{path}: is no file")
    path.unlink()
    path.symlink_to("nowhere")
    assert complaint(file, project).startswith(f"{path}: is a link to nothing")
    path.unlink()
    path.write_text("[policy")
    assert complaint(file, project).startswith(f"{path}:1:")


def test_a_users_own_file_may_be_a_link(file, project, tmp_path):
    real = tmp_path / "dotfiles.toml"
    real.write_text('[policy]\ndefault = "deny"\n')
    path = own(tmp_path, "")
    path.unlink()
    path.symlink_to(real)
    assert loaded(file, project).layers[1].policy.default == "deny"


def test_the_file_of_the_documentation_is_a_sound_one(file, project):
    page = (Path(__file__).parents[2] / "docs/policy.md").read_text()
    text = page.split("```toml\n# /etc/agent-host/policy.toml\n")[1].split("```")[0]
    file.write_text(text)
    layer = loaded(file, project).layers[0]
    assert [rule.id for rule in layer.policy.rules] == ["org-payments", "org-new-tools"]
    assert make_policy(loaded(file, project), {}).rules[0].where == f"{file}:4"


@as_root
def test_a_config_folder_that_may_not_be_entered_is_said_and_no_crash(project):
    program = """\
        import os
        from agent_host.cli.main import main
        main(["config", "show"])
        os.setuid(65534)
        os.chdir("/")
        raise SystemExit(main(["config", "show"]))
    """
    with tempfile.TemporaryDirectory() as name:  # others may not enter it
        (project / "servers.toml").write_text("")
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=os.environ | {"XDG_CONFIG_HOME": name, "AGENT_HOST_CONFIG": "/dev/null"},
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "policy.toml: cannot be read (Permission denied)" in done.stderr
