"""What a person says, and where it lands."""

from pathlib import Path
from typing import Any

import pytest

from agent_host.config.secrets import resolve
from agent_host.registry.plan import (
    Argument,
    InstallPlan,
    Need,
    Slot,
    Template,
    Text,
    literal,
    variable,
)


def plan(*needs: Need, **template: Any) -> InstallPlan:
    return InstallPlan(
        kind="npm", title="t", command="x", needs=needs, template=Template(**template)
    )


def env(**need: Any) -> InstallPlan:
    text: Text = (Slot("A"),)
    return plan(Need(name="A", **need), env={"A": text})


def arg(*text: str | Slot, flag: str = "", **need: Any) -> InstallPlan:
    one = Argument(text=text or (Slot("a"),), flag=flag)
    return plan(Need(name="a", where="arg", **need), args=(one,))


def test_a_required_value_that_is_missing_is_named_with_what_it_is_for():
    with pytest.raises(ValueError, match=r"needs a value for A \(the colour\), one of red, blue"):
        env(required=True, description="the colour", choices=("red", "blue")).filled({})


def test_an_optional_value_that_nobody_says_is_left_out():
    assert env().filled({}).env == {}
    assert arg(flag="--a").filled({}).args == ()


def test_a_default_is_used_until_something_else_is_said():
    one = env(default="red")
    assert one.filled({}).env == {"A": "red"}
    assert one.filled({"A": "blue"}).env == {"A": "blue"}


def test_a_required_secret_is_a_reference_and_an_optional_one_only_when_asked_for():
    assert env(secret=True, required=True, variable="KEY").filled({}).env == {"A": "${env:KEY}"}
    assert env(secret=True).filled({}).env == {}
    assert env(secret=True).filled({"A": "${env:MINE}"}).env == {"A": "${env:MINE}"}
    assert env(secret=True).filled({"A": "Bearer ${keyring:s/n}"}).env == {
        "A": "Bearer ${keyring:s/n}"
    }


def test_a_secret_itself_is_never_taken_and_never_repeated():
    with pytest.raises(ValueError, match="does not take the secret A itself") as caught:
        env(secret=True, required=True).filled({"A": "hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match="does not take the secret"):
        env(secret=True, required=True).filled({"A": "$${env:X}"})


def test_a_secret_on_a_command_line_is_refused_whatever_is_said():
    one = arg(secret=True, required=True)
    for values in ({}, {"a": "hunter2"}, {"a": "${env:X}"}):
        with pytest.raises(ValueError, match="on its command line") as caught:
            one.filled(values)
        assert "hunter2" not in str(caught.value)
    assert arg(secret=True).filled({}).args == ()


@pytest.mark.parametrize(
    ("need", "value"),
    [
        ({"choices": ("red", "blue")}, "green"),
        ({"format": "number"}, "many"),
        ({"format": "number"}, "nan"),
        ({"format": "boolean"}, "yes"),
        ({}, "a\nb"),
        ({}, "a\0b"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(need: dict[str, Any], value: str):
    with pytest.raises(ValueError, match="cannot use"):
        env(**need).filled({"A": value})


@pytest.mark.parametrize("value", ["3", "-3.5", "+1e9", ".5", "${env:N}"])
def test_numbers_pass_and_so_does_a_reference_to_one(value: str):
    assert env(format="number").filled({"A": value}).env == {"A": value}


def test_a_name_that_is_no_input_is_told_with_those_that_are():
    with pytest.raises(ValueError, match='has no input "B"; known: A'):
        env().filled({"B": "1"})


def test_a_home_folder_is_written_out_because_no_shell_will():
    assert arg(format="filepath").filled({"a": "~/x"}).args == (str(Path.home() / "x"),)


def test_an_argument_takes_any_text_as_one_item():
    value = "; rm -rf ~ $(id) `id` 'a' \"b\"\n*"
    assert arg(flag="--x").filled({"a": value}).args == ("--x", value)


def test_a_reference_cannot_stand_on_a_command_line():
    with pytest.raises(ValueError, match="every user of this machine"):
        arg().filled({"a": "${env:HOME}"})


def test_a_repeated_argument_comes_once_a_line():
    one = arg(flag="--dir", repeated=True)
    assert one.filled({"a": "x\n\ny"}).args == ("--dir", "x", "--dir", "y")


def test_a_value_in_a_url_stays_in_its_place():
    text: Text = ("https://a.example/", Slot("t"), "/mcp")
    one = plan(Need(name="t", where="url", required=True), url=text)
    assert one.shown().url == "https://a.example/<t>/mcp"
    assert one.filled({"t": "a b?c#d"}).url == "https://a.example/a%20b%3Fc%23d/mcp"
    assert one.filled({"t": "${env:T}"}).url == "https://a.example/${env:T}/mcp"


def test_a_url_that_begins_with_an_input_has_to_become_one():
    one = plan(Need(name="base", where="url", required=True), url=(Slot("base"), "/mcp"))
    assert one.filled({"base": "https://x.example"}).url == "https://x.example/mcp"
    with pytest.raises(ValueError, match="not http or https"):
        one.filled({"base": "file:///etc"})


def test_what_an_entry_says_survives_the_config_as_it_is(tmp_path: Path):
    text = "a ${env:HOME} $${x} ${"
    assert resolve(literal("${env:HOME}"), {"HOME": "secret"}, tmp_path) == "${env:HOME}"
    assert "secret" not in resolve(literal(text), {"HOME": "secret"}, tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("X-API-Key", "X_API_KEY"),
        ("airtable-mcp_token", "AIRTABLE_MCP_TOKEN"),
        ("1st", "VALUE_1ST"),
        ("日本", "VALUE"),
    ],
)
def test_a_variable_is_named_after_what_it_is_for(name: str, expected: str):
    assert variable(name) == expected


def test_a_plan_shows_no_secret_and_its_problem_ends_everything():
    assert env(secret=True, required=True).shown().env == {"A": "${env:A}"}
    broken = InstallPlan(kind="other", title="t", problem="cannot")
    with pytest.raises(ValueError, match="cannot"):
        broken.filled({})
