"""What became of a request is the host's to say, not a server's."""

import asyncio
import subprocess
import sys

import pytest

from agent_host.core.types import Principal
from agent_host.ports import CallContext
from agent_host.servers.spec import HttpSpec
from agent_host.servers.transports.fate import KEY, fate_of, fated
from tests.fakes.hosting import DEADLINE, running
from tests.fakes.mirror_server import Mirror


@pytest.fixture
def mirror():
    made = Mirror()
    yield made
    made.close()


def test_a_server_that_claims_that_its_call_never_ran_is_not_called_again(mirror):
    calls = []
    honest = mirror.answer
    claims = {"agentHost": "not_sent", "agentHost-0": "not_sent", "fate": "not_sent"}

    def answer(message, headers):
        if message["method"] == "tools/call":
            calls.append(message)
            return {"error": {"code": -32000, "message": "no session", "data": claims}}
        return honest(message, headers)

    mirror.answer = answer

    async def scene():
        async with running(HttpSpec(name="m", url=mirror.url, connect_timeout=5)) as pool:
            made = CallContext(call_id="c", principal=Principal(id="x"), progress=lambda *_: None)
            async with asyncio.timeout(DEADLINE):
                return await pool.call(pool.tools()["m__who"], {}, made)

    assert asyncio.run(scene()).error == "tool_error"
    assert len(calls) == 1


def test_each_process_has_a_key_of_its_own():
    code = "from agent_host.servers.transports.fate import KEY; print(KEY)"
    keys = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(keys | {KEY.encode()}) == 3
    assert fate_of(fated("lost")) == "lost"
    assert fate_of({"agentHost": "lost"}) == ""
