"""The order desk as its clients meet it: real processes, the SDK's client, both transports."""

import asyncio
import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import date

import jsonschema_rs
import pytest
from mcp import Client, MCPError, StdioServerParameters

from agent_host.demo.desk import Desk
from agent_host.demo.tools import TOOLS

LAUNCH = """
import argparse, sys
from agent_host.cli import demo_server
from agent_host.core.errors import AgentHostError
parser = argparse.ArgumentParser(prog="demo-server")
demo_server.configure(parser)
try:
    sys.exit(demo_server.execute(parser.parse_args()))
except AgentHostError as error:
    sys.stderr.write(f"agent-host: {error}\\n")
    sys.exit(error.exit_status)
"""


ARGUMENTS = {
    "get_order": {"order_id": 12345},
    "list_orders": {"status": "delivered", "limit": 3},
    "get_customer": {"customer": "Hana Sato"},
    "list_refunds": {"customer_id": "C-1005"},
    "list_tickets": {"status": "open"},
    "refund_order": {"order_id": "12345", "amount": 15, "reason": "Late"},
    "create_ticket": {"customer_id": "C-1001", "subject": "Late", "description": "Very."},
    "update_shipping_address": {"order_id": "12367", "address": "Am Markt 1, München"},
    "add_note": {"order_id": "12345", "note": "Called."},
    "cancel_order": {"order_id": "12360", "reason": "Changed my mind"},
    "send_message": {"customer_id": "C-1001", "subject": "Hello", "body": "Sorry!"},
}

WISHES = {
    "get_order": ({}, ['"order_id" is a required property', "parameters are: order_id"]),
    "list_orders": ({"status": "lost"}, ["status:", "processing, shipped"]),
    "refund_order": (
        {"order_id": "12345", "amount": -5, "reason": "x", "why": 1},
        ["amount:", "in EUR", "'why' was unexpected"],
    ),
    "cancel_order": ({"order_id": "12345", "reason": "x"}, ["shipped", "refund_order"]),
    "get_customer": ({"customer": "nobody"}, ["no customer", "C-1001 to C-1008"]),
    "list_refunds": ({"order_id": "99999"}, ["no order 99999", "list_orders"]),
}


def command(*options):
    return [sys.executable, "-c", LAUNCH, *options]


def stdio(*options):
    program, *arguments = command(*options)
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return StdioServerParameters(command=program, args=arguments, env=measured)


def talk(server, conversation, **options):
    async def connected():
        async with Client(server, **options) as client:
            return await conversation(client)

    return asyncio.run(connected())


@contextmanager
def http_server(*options):
    process = subprocess.Popen(
        command("--http", *options), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stderr.readline()
        yield process, re.search(r"http://\S+", line)[0]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


async def order_12345(client):
    return await client.call_tool("get_order", {"order_id": "12345"})


@pytest.fixture(scope="module")
def session():
    """One connection in which everything is listed, called and wished for."""

    async def ask(client):
        tools = (await client.list_tools()).tools
        answers = {name: await client.call_tool(name, given) for name, given in ARGUMENTS.items()}
        refusals = {name: await client.call_tool(name, wish[0]) for name, wish in WISHES.items()}
        try:
            await client.call_tool("get_weather\x1b[2J", {})
        except MCPError as error:
            return tools, answers, refusals, error
        raise AssertionError("an unknown tool was called")

    return talk(stdio(), ask)


def test_every_tool_is_described_annotated_and_has_both_schemas(session):
    tools = session[0]
    assert [tool.name for tool in tools] == list(TOOLS)
    for tool in tools:
        hints = tool.annotations
        assert tool.title == hints.title
        assert tool.description.endswith((".", ".)"))
        for hint in ("read_only", "destructive", "idempotent", "open_world"):
            assert isinstance(getattr(hints, f"{hint}_hint"), bool), (tool.name, hint)
        assert not (hints.read_only_hint and hints.destructive_hint)
        for schema in (tool.input_schema, tool.output_schema):
            assert schema["type"] == "object"
            jsonschema_rs.meta.validate(schema)
        for name, parameter in tool.input_schema["properties"].items():
            assert parameter["description"], (tool.name, name)
    hints = {tool.name: tool.annotations for tool in tools}
    assert [name for name, hint in hints.items() if hint.read_only_hint] == [
        *("get_order", "list_orders", "get_customer", "list_refunds", "list_tickets")
    ]
    assert hints["cancel_order"].destructive_hint
    assert [name for name, hint in hints.items() if hint.open_world_hint] == ["send_message"]


def test_the_status_of_order_12345_comes_as_text_and_as_data_in_every_protocol_era():
    for mode in ("legacy", "auto"):
        result = talk(stdio(), order_12345, mode=mode)
        assert not result.is_error
        assert json.loads(result.content[0].text) == result.structured_content
        assert re.match(
            r"Shipped yesterday \(\w+day, \d+ \w+ \d{4}\) via DHL, tracking DE4839201, "
            r"expected (tomorrow \()?Thursday, \d+ \w+ \d{4}\)?$",
            result.structured_content["status_text"],
        )


def test_every_tool_answers_as_its_output_schema_says(session):
    answers = session[1]
    assert set(answers) == set(TOOLS)
    for name, result in answers.items():
        assert not result.is_error, (name, result.content)
        jsonschema_rs.validate(TOOLS[name].output, result.structured_content)
    assert answers["send_message"].structured_content["simulated"] is True


def test_wrong_arguments_and_impossible_wishes_are_errors_that_say_what_to_do(session):
    for name, result in session[2].items():
        assert result.is_error, name
        assert result.structured_content is None
        for text in WISHES[name][1]:
            assert text in result.content[0].text


def test_an_unknown_tool_is_a_protocol_error_that_names_the_tools(session):
    error = session[3]
    assert error.code == -32602
    assert "get_order" in error.message
    assert "\x1b" not in error.message


def test_each_start_has_fresh_data_unless_a_file_keeps_it(tmp_path):
    async def refund(client):
        await client.call_tool("refund_order", ARGUMENTS["refund_order"])

    talk(stdio(), refund)
    assert talk(stdio(), order_12345).structured_content["refunded"] == 0
    path = tmp_path / "desk.db"
    talk(stdio("--database", str(path)), refund)
    with closing(Desk.open(path, lambda: date(2026, 11, 22))) as desk:
        assert desk.get_order("12345")["refunded"] == 15


def test_a_recording_can_be_made_on_a_day_of_its_own():
    order = talk(stdio("--today", "2024-02-29"), order_12345).structured_content
    assert order["status_text"] == (
        "Shipped yesterday (Wednesday, 28 February 2024) via DHL, tracking DE4839201, "
        "expected Thursday, 7 March 2024"
    )


def test_the_server_ends_quietly_when_its_client_goes():
    ended = subprocess.run(command(), input="", capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_at_a_terminal_it_says_what_it_waits_for_and_an_interrupt_ends_it():
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        command(), stdin=inside, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert "waiting for an MCP client on stdin" in process.stderr.readline()
        os.write(terminal, b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == -signal.SIGINT
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        os.close(terminal)
        os.close(inside)


def test_a_database_that_another_process_holds_is_a_result_and_not_a_crash(tmp_path):
    path = tmp_path / "desk.db"
    Desk.open(path, date.today).close()

    async def blocked(client):
        await order_12345(client)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = await client.call_tool("add_note", ARGUMENTS["add_note"])
            other.execute("ROLLBACK")
        return refused, await client.call_tool("add_note", ARGUMENTS["add_note"])

    refused, done = talk(stdio("--database", str(path)), blocked)
    assert refused.is_error
    assert "changed nothing" in refused.content[0].text
    assert not done.is_error


def test_http_serves_several_clients_of_one_shop_and_ends_on_an_interrupt():
    with http_server() as (process, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/mcp", url)

        async def both():
            async with Client(url) as one, Client(url, mode="legacy") as two:
                await one.call_tool("refund_order", ARGUMENTS["refund_order"])
                return await asyncio.gather(order_12345(one), order_12345(two))

        for result in asyncio.run(both()):
            assert result.structured_content["refunded"] == 15
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read() == ""


def test_serving_more_than_this_machine_is_warned_about():
    process = subprocess.Popen(
        command("--http", "--host", "0.0.0.0"), stderr=subprocess.PIPE, text=True
    )
    try:
        assert "warning: whoever reaches this address" in process.stderr.readline()
        assert re.search(r"http://0\.0\.0\.0:\d+/mcp", process.stderr.readline())
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_taken_port_is_one_line_and_its_own_exit_status():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            command("--http", "--port", port), capture_output=True, text=True, check=False
        )
    assert ended.returncode == 5
    assert ended.stdout == ""
    assert re.fullmatch(
        rf"agent-host: demo-server: cannot listen on 127\.0\.0\.1 port {port}: .*--port 0.*\n",
        ended.stderr,
    )


def test_wrong_options_are_refused_before_the_sdk_is_imported(tmp_path):
    for options in (
        ["--port", "80"],
        ["--http", "--port", "65536"],
        ["--http", "--port", "x"],
        ["--today", "yesterday"],
        ["--database", str(tmp_path / "none" / "desk.db")],
    ):
        ended = subprocess.run(
            [*command(*options)[:2], LAUNCH.replace("sys.exit(", "assert 'mcp' not in sys.modules; "
             "sys.exit("), *options], capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 2, (options, ended.stderr)
        assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
