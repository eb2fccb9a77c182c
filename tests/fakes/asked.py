"""What tests over `asking_server` share: it over stdio and over HTTP, and who answers it."""

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from agent_host.servers.spec import HttpSpec, StdioSpec
from tests.fakes.hosting import DEADLINE, context, make_pool

PROGRAM = str(Path(__file__).with_name("asking_server.py"))
OLD, MODERN = "2025-11-25", "2026-07-28"


def _arguments(speaks, mode, more):
    flags = [part for key, value in more.items() for part in (f"--{key}", str(value))]
    return ("-S", PROGRAM, "--speaks", speaks, "--mode", mode, *flags)


def asking(speaks=OLD, mode="", *, name="a", flags=None, **spec):
    """The spec of the server over stdio."""
    spec.setdefault("connect_timeout", 10)
    spec.setdefault("call_timeout", 5)
    args = _arguments(speaks, mode, flags or {})
    return StdioSpec(name=name, command=sys.executable, args=args, **spec)


@contextmanager
def asking_http(speaks=OLD, mode="", *, name="a", flags=None, port=0, **spec):
    """The spec of the server over HTTP, which runs inside."""
    spec.setdefault("connect_timeout", 10)
    spec.setdefault("call_timeout", 5)
    command = [sys.executable, *_arguments(speaks, mode, flags or {}), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        port = int(process.stdout.readline())
        yield HttpSpec(name=name, url=f"http://127.0.0.1:{port}/mcp", **spec)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def over(transport, speaks=OLD, mode="", **more):
    """The spec over `stdio` or `http`."""
    if transport == "http":
        with asking_http(speaks, mode, **more) as spec:
            yield spec
    else:
        yield asking(speaks, mode, **more)


class Person:
    """Answers like a session would, and remembers what was asked."""

    def __init__(self, *answers, pause=0.0):
        self.asked = []
        self.answers = list(answers)
        self.pause = pause
        self.given_up = 0

    async def answer(self, server, request, call_id):
        self.asked.append((server, request, call_id))
        try:
            await asyncio.sleep(self.pause)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if self.answers:
            return self.answers.pop(0)
        return {"action": "accept", "content": {"name": "Ada"}}


@asynccontextmanager
async def pooled(spec, person=None, *, lock=None, observe=None):
    """A pool over one server that is up, with a person to ask."""
    pool = make_pool(spec, lock=lock, observe=observe, elicitation=person is not None)
    if person is not None:
        pool.answer_with(person.answer)
    pool.spawn()
    async with pool:
        async with asyncio.timeout(DEADLINE):
            await pool.ready()
            await pool.settled()
        yield pool


async def called(pool, tool, arguments=None, *, progress=None, **more):
    """What a call of a tool comes to."""
    asked = replace(context(progress), **more)
    async with asyncio.timeout(DEADLINE):
        return await pool.call(pool.tools()[f"a__{tool}"], arguments or {}, asked)


def seen(path):
    """The messages that the server got."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def methods(path):
    """The methods of what the server got, without notifications."""
    return [m["method"] for m in seen(path) if "method" in m and "id" in m]
