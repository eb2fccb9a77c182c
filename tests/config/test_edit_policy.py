"""Rules and labels that are added to a file somebody wrote by hand."""

import tomllib

import pytest

from agent_host.config.edit_policy import PolicyPart, with_policy
from agent_host.core.errors import ConfigError

RULE = {"id": "a", "server": "crm", "tools": ["x_*", "y"], "effect": "ask", "reason": "why"}
PART = PolicyPart(
    server="crm",
    labels={"read_*": ["private"], "send": ["egress"]},
    rules=[RULE, {**RULE, "id": "b", "when": 'args.path.matches(r"(^|/)\\.ssh")'}],
    totals={"crm-refunds": {"server": "crm", "window": "24h"}},
)
LABELS = '[servers.crm.labels]\n"read_*" = ["private"]\nsend = ["egress"]\n'
FIRST = '[[policy.rules]]\nid = "a"\nserver = "crm"\n'


def added(text: str, part: PolicyPart = PART) -> str:
    new = with_policy(text, "servers.toml", part)
    said = tomllib.loads(new.replace("\r\n", "\n"))
    assert said["servers"]["crm"]["labels"] == {"read_*": ["private"], "send": ["egress"]}
    assert said["policy"]["rules"][-2:] == list(part.rules)
    assert said["policy"]["totals"] == part.totals
    return new


def test_labels_go_below_their_server_and_rules_to_the_end():
    text = "# mine\n[servers.crm] # here\ncommand = 'x'\n\n# about other\n[servers.other]\nurl = 'http://x'\n"
    new = added(text)
    assert new.startswith(
        f"# mine\n[servers.crm] # here\ncommand = 'x'\n\n{LABELS}\n# about other\n[servers.other]\n"
    )
    assert "url = 'http://x'\n\n[policy.totals.crm-refunds]\n" in new
    assert FIRST in new


def test_nothing_that_was_there_is_lost_or_moved():
    text = (
        "[policy] # p\ndefault = 'deny'   # d\n\n[[policy.rules]] # r\n"
        "id = 'old'\neffect = 'deny'\n"
        "# above\n[servers.crm]\ncommand = 'x'\n[servers.crm.env]\nA = '1' # env\n# last"
    )
    new = added(text)
    rest = new
    for line in text.splitlines():
        assert line in rest
        rest = rest[rest.index(line) + len(line) :]
    assert tomllib.loads(new)["policy"]["rules"][0]["id"] == "old"


def test_line_ends_stay_what_they_are():
    new = added("[servers.crm]\r\ncommand = 'x'\r\n")
    assert "\n" not in new.replace("\r\n", "")


def test_a_form_that_cannot_be_added_to_is_left_alone_and_said():
    for text in (
        "servers = { crm = { command = 'x' } }\n",
        "[servers.crm]\ncommand = 'x'\n[policy]\nrules = []\n",
    ):
        with pytest.raises(ConfigError, match="write it there by hand"):
            with_policy(text, "servers.toml", PART)


def test_labels_and_totals_that_are_there_are_not_touched():
    with pytest.raises(ConfigError, match="has labels already"):
        with_policy("[servers.crm]\ncommand='x'\nlabels={}\n", "servers.toml", PART)
    with pytest.raises(ConfigError, match=r"has policy\.totals\.crm-refunds already"):
        with_policy(
            "[servers.crm]\ncommand='x'\n[policy.totals.crm-refunds]\n", "servers.toml", PART
        )
    with pytest.raises(ConfigError, match='has no server "crm"'):
        with_policy("", "servers.toml", PART)
