"""The organisation's file as the real program finds it: at /etc/agent-host/policy.toml."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.organisations import over_etc, works

POLICY = """\
[policy]
default = "ask"
expires = "1h"

[[policy.rules]]
id = "org-no-refunds"
tools = ["refund_*"]
effect = "deny"
reason = "refunds are made by people"

[audit]
folder = "~/org-audit"

[secrets]
detect = true
"""
PROJECT = """\
model = "script:turns.toml"
[servers.orders]
command = "agent-host"
args = ["demo-server"]
trust_annotations = true
[policy]
default = "allow"
expires = "30d"
[policy.roles]
boss = ["root"]
[[policy.rules]]
id = "everything"
effect = "allow"
[audit]
enabled = false
[secrets]
detect = false
"""
TURNS = """\
[[turn]]
[turn.call]
name = "orders__refund_order"
arguments = { order_id = "12345", amount = 5, reason = "x" }
[[turn]]
say = "Done."
"""
FILE = "/etc/agent-host/policy.toml"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    file = folder / "policy.toml"
    file.write_text(POLICY)
    file.chmod(0o644)
    if not works(folder):
        pytest.skip("bubblewrap does not work here")
    return folder


@pytest.fixture
def org(project: Path, environment: dict[str, str], etc: Path):
    (project / "servers.toml").write_text(PROJECT)
    (project / "turns.toml").write_text(TURNS)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*over_etc(etc), sys.executable, "-m", "agent_host", *arguments],
            cwd=project,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_what_it_denies_is_denied_whatever_a_trusted_project_says(org, project):
    done = org("run", "--trust", "--approve", "all", "Refund 5 EUR of order 12345.")
    [transcript] = (project / "transcripts").glob("*.jsonl")
    decided = [
        event
        for line in transcript.read_text().splitlines()
        if (event := json.loads(line)["event"])["type"] == "policy_decided"
    ]
    assert [(e["decision"], e["rule"]) for e in decided] == [("deny", "org-no-refunds")]
    assert decided[0]["origin"] == f"{FILE}:5"
    assert "tool_started" not in transcript.read_text()
    assert "refunds are made by people" in transcript.read_text()
    assert done.returncode == 4, done.stderr


CALL = ("tools", "call", "--trust", "orders__refund_order", "order_id=12345", "reason=x")


def audited(org, project):
    lines = org("audit", "export", "--format", "jsonl").stdout.splitlines()
    mine = [e for e in map(json.loads, lines) if e.get("project") == str(project / "servers.toml")]
    return [(e["type"], e.get("rule")) for e in mine if e.get("tool")]


def test_what_it_denies_is_denied_to_who_types_the_call_too(org, project):
    done = org(*CALL, "amount=5")
    assert done.returncode == 4, done.stderr
    assert f"(rule org-no-refunds ({FILE}:5)): refunds are made by people" in done.stderr
    assert audited(org, project) == [
        ("policy_decided", "org-no-refunds"),
        ("call_refused", "org-no-refunds"),
    ]


ASKS = """\
[policy.totals.day]
tools = ["refund_*"]
value = "args.amount"
[[policy.rules]]
id = "org-day"
tools = ["refund_*"]
when = 'total_after("day") > 20'
effect = "ask"
approvers = ["finance"]
"""


def test_a_call_by_hand_counts_and_takes_the_yes_of_those_who_may_give_it(org, etc):
    (etc / "policy.toml").write_text(ASKS)
    assert org(*CALL, "amount=15").returncode == 0
    done = org(*CALL, "amount=6")
    assert done.returncode == 4, done.stderr
    assert "it takes somebody with the role finance; ask for it in a run" in done.stderr
    assert org(*CALL, "amount=5").returncode == 0
    (etc / "policy.toml").write_text(ASKS + '[policy.roles]\nfinance = ["root"]\n')
    assert org(*CALL, "amount=6").returncode == 0
    (etc / "policy.toml").write_text(ASKS.replace("finance", "x") + "approvals = 2\n")
    done = org(*CALL, "amount=6")
    assert done.returncode == 4, done.stderr


def test_config_show_names_every_file_and_every_rules_place(org, environment):
    own = Path(environment["HOME"]) / ".config/agent-host/policy.toml"
    own.parent.mkdir(parents=True)
    own.write_text('[[policy.rules]]\nid = "mine"\neffect = "ask"\n')
    text = org("config", "show").stdout
    heads = text.splitlines()[:3]
    assert heads[0].startswith(f"# {FILE} (the organisation's")
    assert heads[1].startswith("# ~/.config/agent-host/policy.toml (your own")
    assert heads[2] == "# servers.toml"
    document = json.loads(org("config", "show", "--json").stdout)
    assert [f["level"] for f in document["files"]] == ["organisation", "user", "project"]
    values = {one["key"]: (one["value"], one["origin"]) for one in document["values"]}
    assert values["policy.default"] == ("ask", f"{FILE}:2")
    assert values["policy.expires"] == ("1h", f"{FILE}:3")
    assert values["organisation.policy.rules[1].id"] == ("org-no-refunds", f"{FILE}:6")
    assert values["user.policy.rules[1].id"] == ("mine", "~/.config/agent-host/policy.toml:2")
    assert values["policy.rules[1].id"][1].startswith("servers.toml:")
    assert values["policy.roles.boss"][1].endswith(" (does not count)")
    assert values["audit.enabled"] == (True, "default")
    assert values["audit.folder"][1] == f"{FILE}:12"
    assert values["secrets.detect"] == (True, f"{FILE}:15")


def test_doctor_names_the_files_and_what_is_said_in_vain(org):
    text = org("doctor").stdout
    assert f"{FILE} (the organisation's: it holds whatever the others say): 1 rules" in text
    assert "audit has no effect: /etc/agent-host/policy.toml has [audit]" in text
    assert "secrets.detect has no effect" in text
    assert "policy.roles has no effect: only the roles of /etc/agent-host/policy.toml" in text


@pytest.mark.parametrize("name", ["HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "LOGNAME"])
def test_no_variable_gets_rid_of_it(name, org, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = org("config", "show", **{name: str(elsewhere)})
    assert FILE in done.stdout, done.stderr


def damage_mode(file: Path) -> None:
    file.chmod(0o666)


def damage_folder(file: Path) -> None:
    file.parent.chmod(0o777)


def damage_link(file: Path) -> None:
    file.rename(file.with_name("real.toml"))
    file.symlink_to("real.toml")


def damage_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o644)


def damage_text(file: Path) -> None:
    file.write_text(POLICY[:60])


def damage_empty(file: Path) -> None:
    file.write_text("")


def damage_size(file: Path) -> None:
    file.write_text("#" * 2_000_000)


def damage_effect(file: Path) -> None:
    file.write_text(POLICY.replace('"deny"', '"allow"'))


@pytest.mark.parametrize(
    "damage",
    [
        damage_mode,
        damage_folder,
        damage_link,
        damage_pipe,
        damage_text,
        damage_empty,
        damage_size,
        damage_effect,
    ],
)
def test_a_file_that_cannot_be_believed_or_read_starts_nothing(damage, org, project, etc):
    damage(etc / "policy.toml")
    done = org("run", "--trust", "--approve", "all", "Refund 5 EUR of order 12345.")
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert "/etc/agent-host" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "transcripts").exists()


def test_without_the_file_the_project_decides(org, project, etc):
    (etc / "policy.toml").unlink()
    done = org("run", "--trust", "Refund 5 EUR of order 12345.")
    assert done.returncode == 0, done.stderr
