"""A tool called by hand whose server asks for something meanwhile."""

import json
import sys
from pathlib import Path

import pytest

from tests.fakes.asked import MODERN, OLD, PROGRAM
from tests.fakes.programs import agent_host
from tests.fakes.ptys import Terminal


def configured(folder: Path, speaks: str) -> Path:
    arguments = json.dumps(["-S", PROGRAM, "--speaks", speaks])
    (folder / "servers.toml").write_text(
        f'[servers.a]\ncommand = {json.dumps(sys.executable)}\nargs = {arguments}\nroots = ["."]\n'
    )
    return folder


@pytest.mark.parametrize(("speaks", "tool"), [(OLD, "elicit"), (MODERN, "pause")])
def test_at_a_terminal_the_user_is_asked(tmp_path, speaks, tool):
    with Terminal("tools", "call", f"a__{tool}", "--trust", cwd=configured(tmp_path, speaks)) as t:
        t.wait("Who")
        t.wait("name:")
        t.keys("Ada\r")
        t.wait("send to a?")
        t.keys("s\r")
        assert t.exit_status() == 0
        assert '"name": "Ada"' in t.text


def test_what_is_for_the_user_alone_is_shown_to_who_types_the_call(tmp_path):
    server = tmp_path / "server.py"
    server.write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    m = json.loads(line)\n"
        "    said = {'content': [{'type': 'text', 'text': 'a PIN',"
        " 'annotations': {'audience': ['user']}}, {'type': 'text', 'text': 'rest'}]}\n"
        "    results = {'initialize': {'protocolVersion': '2025-11-25', 'capabilities':"
        " {'tools': {}}, 'serverInfo': {'name': 's', 'version': '1'}},"
        " 'tools/list': {'tools': [{'name': 't', 'inputSchema': {'type': 'object'}}]},"
        " 'tools/call': said}\n"
        "    if 'id' in m:\n"
        "        reply = {'jsonrpc': '2.0', 'id': m['id']}\n"
        "        none = {'error': {'code': -32601, 'message': 'no'}}\n"
        "        known = m['method'] in results\n"
        "        reply |= {'result': results[m['method']]} if known else none\n"
        "        print(json.dumps(reply), flush=True)\n"
    )
    (tmp_path / "servers.toml").write_text(
        f"[servers.s]\ncommand = {json.dumps(sys.executable)}\nargs = ['server.py']\n"
    )
    done = agent_host("tools", "call", "s__t", "--trust", folder=tmp_path)
    assert (done.status, done.out.splitlines()[:2]) == (0, ["a PIN", "rest"])


@pytest.mark.parametrize(("speaks", "tool"), [(OLD, "elicit"), (MODERN, "pause")])
def test_without_a_terminal_it_is_declined(tmp_path, speaks, tool):
    done = agent_host("tools", "call", f"a__{tool}", "--trust", folder=configured(tmp_path, speaks))
    assert done.status == 0
    assert '"action": "decline"' in done.out


def test_the_model_is_not_asked_for(tmp_path):
    folder = configured(tmp_path, MODERN)
    with (folder / "servers.toml").open("a") as file:
        file.write("sampling = true\n")
    done = agent_host("tools", "call", "a__pause", "samples=true", "--trust", folder=folder)
    assert done.status == 1
    assert "gets no answers of a model" in done.err


def test_only_the_server_whose_tool_is_named_is_started_and_complained_about(tmp_path):
    with (configured(tmp_path, OLD) / "servers.toml").open("a") as file:
        file.write('[servers.b]\ncommand = "no-such-program"\n')
    done = agent_host("tools", "call", "a__echo", "--trust", folder=tmp_path)
    assert (done.status, "b:" in done.err) == (0, False)
    done = agent_host("tools", "call", "b__echo", "--trust", folder=tmp_path)
    assert (done.status, "no-such-program" in done.err) == (5, True)
    assert "did you mean" not in done.err


def test_a_call_that_a_server_does_not_take_any_more_says_who_ended_it(tmp_path):
    server = tmp_path / "server.py"
    server.write_text(
        "import json, os, sys, time\n"
        "for line in sys.stdin:\n"
        "    m = json.loads(line)\n"
        "    says = {'initialize': {'protocolVersion': '2025-11-25', 'capabilities': {'tools': {}},"
        " 'serverInfo': {'name': 's', 'version': '1'}},"
        " 'tools/list': {'tools': [{'name': 't', 'inputSchema': {'type': 'object'}}]}}\n"
        "    reply = {'jsonrpc': '2.0', 'id': m.get('id')}\n"
        "    no = {'error': {'code': -32601, 'message': 'no'}}\n"
        "    reply |= {'result': says[m['method']]} if m['method'] in says else no\n"
        "    'id' in m and print(json.dumps(reply), flush=True)\n"
        "    if m['method'] == 'tools/list':\n"
        "        os.close(0)\n"
        "        time.sleep(60)\n"
    )
    (tmp_path / "servers.toml").write_text(
        f"[servers.s]\ncommand = {json.dumps(sys.executable)}\nargs = ['server.py']\n"
    )
    done = agent_host("tools", "call", "s__t", "--trust", folder=tmp_path)
    assert done.status in (1, 5)
    assert "it closed its input" in done.err
    assert "the host ended" not in done.err
