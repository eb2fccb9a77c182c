"""The rules of docs/policy.md are rules, and do what the page says."""

import re
from pathlib import Path

import pytest

from agent_host.policy import expressions
from tests.policy.made import decide, policy, tool

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLE = next(block for block in BLOCKS if "small-refunds" in block)
MORE = next(block for block in BLOCKS if "office-hours" in block)
DAILY = next(block for block in BLOCKS if "daily-refunds" in block)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "[policy" in block])
def test_every_example_is_a_config(tmp_path, block):
    policy(tmp_path, block)


@pytest.mark.parametrize("name", [*expressions.VARIABLES, *expressions.FUNCTIONS])
def test_every_name_of_a_condition_is_explained(name):
    assert re.search(rf"`{re.escape(name)}[(`]", PAGE), name


def test_the_table_of_amounts_says_what_happens(tmp_path):
    made = policy(tmp_path, EXAMPLE.replace("> 1000", "> 100"))
    row = re.compile(r"^\| (.*) \| (false|true|undefined)(?::.*)? \|$", re.MULTILINE)
    table = PAGE[PAGE.index("| `amount` |") :]
    expected = {"false": "small-refunds", "true": "large-refunds", "undefined": "large-refunds"}
    values = {"null": None, "true": True, "1e3": 1e3, "NaN": float("nan"), "[250]": [250]}
    seen = 0
    for cells, answer in row.findall(table[: table.index("\n\n")]):
        for text in re.findall(r"`(.*?)`", cells):
            value = values[text] if text in values else (eval(text))
            found = decide(made, {"amount": value}, about=tool("refund_order"))
            assert found.rule == expected[answer], text
            assert ("cannot be told" in found.reason) is (answer == "undefined")
            seen += 1
    assert seen >= 10


def test_the_examples_decide_as_they_read(tmp_path):
    made = policy(tmp_path, MORE)
    lines = [{"price": 10, "quantity": 3}, {"price": 300, "quantity": 2}]
    assert decide(made, {"lines": lines}, about=tool("order")).rule == "every-line"
    assert decide(made, {"lines": lines[:1]}, about=tool("order")).rule == "default"
    assert decide(made, {}, about=tool("deploy_app")).rule == "default"  # a Monday, 16:13 in Berlin
    sunday = policy(tmp_path, MORE, now=1_789_900_000.0)
    assert decide(sunday, {}, about=tool("deploy_app")).rule == "office-hours"
    fetch = tool("fetch")
    assert decide(made, {"url": "https://a.example.org/x"}, about=fetch).rule == "our-api"
    evil = {"url": "https://api.example.com@evil.example"}
    assert decide(made, evil, about=fetch).rule == "default"
    shell = tool("shell", "shell")
    assert decide(made, {"command": "git log"}, about=shell).rule == "plain-git"
    for command in ("git log; id", "git log --output=/home/ana/.bashrc"):
        assert decide(made, {"command": command}, about=shell).rule == "default"
    assert decide(made, {}, about=tool("send_mail")).rule == "nobody-there"
    assert decide(made, {}, about=tool(is_new=True)).rule == "unseen-tools"


def test_a_day_of_refunds_is_limited_as_the_page_says(tmp_path):
    made = policy(tmp_path, DAILY + EXAMPLE.replace("> 1000", "> 100"))
    refund = tool("refund_order")
    said = [
        decide(made, {"amount": 99}, about=refund, call=f"c{number}").decision
        for number in range(6)
    ]
    assert said == ["allow"] * 5 + ["ask"]
