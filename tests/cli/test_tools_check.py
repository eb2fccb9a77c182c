"""What `agent-host tools check` says of tools; the journey from the command line is elsewhere."""

import argparse
import json
from typing import Any

import pytest

from agent_host.cli.tools_check import check, configure_check, show
from agent_host.core.types import Tool
from agent_host.servers.pool import Pool

SCHEMAS: dict[str, Any] = {
    "s__fine": {"type": "object", "properties": {"a": {"type": "string"}}},
    "s__lossy": {"type": "object", "properties": {"a": {"type": "string", "minLength": 3}}},
    "s__any": {"type": "object", "additionalProperties": {"type": "string"}},
}


def tools(schemas: Any = SCHEMAS) -> dict[str, Tool]:
    return {
        name: Tool(name=name, server="s", tool=name[3:], description="", input_schema=schema)
        for name, schema in schemas.items()
    }


def test_each_tool_is_said_to_be_ok_lossy_or_withheld(capsys: pytest.CaptureFixture[str]) -> None:
    status = show(tools(), "openai-strict", max_tools=0, model_name="gpt\x1b[2J", as_json=False)
    assert status == 1
    assert capsys.readouterr().out == (
        "s__fine: ok\n"
        "s__lossy: lossy\n"
        "  minLength is said in words only: /properties/a\n"
        "s__any: withheld: it takes any keys, which strict mode does not know\n"
        "3 tools for gpt\\u{1b}[2J (openai-strict): 1 ok, 1 lossy, 1 withheld\n"
    )


def test_nothing_withheld_is_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(tools(), "openai", max_tools=0, model_name="m", as_json=False) == 0
    assert capsys.readouterr().out.endswith("3 tools for m (openai): 3 ok, 0 lossy, 0 withheld\n")


def test_tools_beyond_the_models_count_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(tools(), "plain", max_tools=2, model_name="m", as_json=True) == 1
    report = json.loads(capsys.readouterr().out)
    assert [one["state"] for one in report["tools"]] == ["ok", "lossy", "withheld"]
    assert report["tools"][2] == {
        "name": "s__any",
        "server": "s",
        "state": "withheld",
        "losses": [],
        "why": "the model takes 2 tools at most",
        "signs": [],
    }
    assert (report["ok"], report["lossy"], report["withheld"]) == (1, 1, 1)
    assert (report["model"], report["dialect"]) == ("m", "plain")


def test_without_any_server_there_is_nothing_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    def never() -> Any:
        raise AssertionError

    pool = Pool([], lock=None, observe=lambda _: None, connector=never, monotonic=float, environ={})
    parser = argparse.ArgumentParser()
    configure_check(parser)
    options = parser.parse_args(["--model", "m", "--server", "s", "--json", "--trust"])
    assert check(pool, options, "plain", 0, "m") == 0
    assert capsys.readouterr().err == "no servers are configured\n"


def test_the_tools_of_live_servers_are_checked_for_a_model(here, project):
    (project / "servers.toml").write_text(
        '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
    )
    done = here("tools", "check", "--model", "gemini", "--trust")
    assert done.returncode == 0
    assert "orders__refund_order: lossy" in done.stdout
    assert "11 tools for gemini:" in done.stdout + done.stderr
    done = here("tools", "check", "--model", "anthropic", "--json", "--trust")
    found = json.loads(done.stdout)
    assert (found["dialect"], found["ok"], found["withheld"]) == ("anthropic", 11, 0)


def test_a_stand_in_has_nothing_to_check(here, project):
    (project / "servers.toml").write_text("")
    done = here("tools", "check", "--trust")
    assert done.returncode == 2
    assert "takes every tool as it is" in done.stderr
