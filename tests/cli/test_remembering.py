"""An "always" in the config: a rule for exactly the arguments that were shown."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_host.cli.remembering import Remembering, literal
from agent_host.config.load import load
from agent_host.core.conversation import Conversation
from agent_host.core.events import ApprovalRequested
from agent_host.core.types import JsonObject, Principal
from agent_host.host import make_policy
from agent_host.ports import ApprovalQuestion
from tests.fakes.screens import question, tool

SERVER = '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
ARGUMENTS: JsonObject = {
    "order-id": 'é "x" \\ \n \u202e 😀',
    "amount": 20.5,
    "n": 3,
    "list": [1, True, None, "a"],
    "deep": {"k": {"l": []}},
}


class Session:
    """A session that knows one secret."""

    def without_secrets(self, value: Any) -> Any:
        return {name: "*" if item == "s3cret" else item for name, item in value.items()}


def asked(arguments: JsonObject, **more: Any) -> ApprovalQuestion:
    recorded = ApprovalRequested(
        call_id="c1",
        server="orders",
        tool="refund_order",
        fingerprint="f",
        arguments=arguments,
        rules=more.pop("rules", ("default",)),
    )
    return replace(question(arguments), **{"asked": recorded, **more})


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = tmp_path / "servers.toml"
    path.write_text(SERVER)
    return path


def remembering(config: Path) -> Remembering:
    host: Any = Session()
    return Remembering(load(config, {}), "ann", lambda: host)


def decision(config: Path, arguments: JsonObject, **more: Any) -> str:
    policy = make_policy(load(config, {}), {})
    one = replace(tool(), **more)
    return policy.explain(
        arguments, one, Conversation(run_id="r"), Principal(id="x")
    ).answer.decision


def test_what_is_written_allows_that_call_and_no_other(config: Path) -> None:
    remember = remembering(config)
    shown = remember.proposed(asked(ARGUMENTS), ARGUMENTS)
    assert remember.write(asked(ARGUMENTS), ARGUMENTS) is None
    written = config.read_text()
    assert written.startswith(SERVER)
    assert shown is not None
    assert shown.partition(":\n")[2] in written
    assert decision(config, ARGUMENTS) == "allow"
    assert decision(config, ARGUMENTS, tool="refund") == "ask"
    assert decision(config, ARGUMENTS, server="other") == "ask"
    for name, value in (
        ("order-id", 'é "x" \\ \n \u202e 😁'),
        ("amount", 20.51),
        ("amount", "20.5"),
        ("n", None),
        ("list", [1, 1, None, "a"]),
        ("list", [1, True, None]),
        ("deep", {"k": {"l": [1]}}),
        ("more", 1),
    ):
        assert decision(config, {**ARGUMENTS, name: value}) == "ask", name
    assert decision(config, {k: v for k, v in ARGUMENTS.items() if k != "n"}) == "ask"


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        ({"n": 1}, {"rules": ("large",)}),
        ({"n": 1}, {"in_doubt": True}),
        ({"n": 1}, {"asked": None}),
        ({"n": 1}, {"tool": tool("orders", "refund*")}),
        ({"n": 1}, {"tool": tool("ord[e]rs", "refund")}),
        ({"pin": "s3cret"}, {}),
        ({"n": 2**63}, {}),
        ({"n": -3}, {}),
        ({"n": [-0.5]}, {}),
        ({"n": math.nan}, {}),
        ({"n": ["\ud800"]}, {}),
        ({"\ud800": 1}, {}),
        ({"n": {"x": "\ud800"}}, {}),
        ({"n": "x" * 5000}, {}),
        ({"n": object()}, {}),
    ],
)
def test_what_no_rule_can_say_is_not_written(
    config: Path, arguments: JsonObject, more: dict[str, Any]
) -> None:
    remember = remembering(config)
    one = asked(arguments, **more)
    assert not remember.can(one, arguments)
    assert remember.proposed(one, arguments) is None
    assert remember.write(one, arguments) == "there is no rule that says this"
    assert config.read_text() == SERVER


def test_before_the_session_is_open_nothing_is_offered(config: Path) -> None:
    early = Remembering(load(config, {}), "ann", lambda: None)
    assert not early.can(asked({"n": 1}), {"n": 1})


def test_a_file_that_cannot_be_written_is_said_to_be_that(config: Path) -> None:
    remember = remembering(config)
    config.write_text("[servers\n")
    problem = remember.write(asked({"n": 1}), {"n": 1})
    assert problem is not None
    assert "servers.toml" in problem


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ([], "[]"),
        ("\x7f", '"\\u007f"'),
        ("😀", '"\\U0001f600"'),
        (1e300, "1e+300"),
        (25.0, "25.0"),
        (False, "false"),
    ],
)
def test_values_are_written_as_cel_has_them(value: Any, text: str) -> None:
    assert literal(value) == text
