"""Runs whose conversation was shortened, recorded with a script, and run again with real tools."""

import asyncio
import json
import os
import sys

import pytest

from agent_host.config.load import load
from agent_host.core.events import ContextCompacted, UserSaid
from agent_host.core.types import Message, Text
from agent_host.host.live_tools import with_live_tools
from agent_host.host.replaying import read_run, replay
from agent_host.host.session import SessionOptions, open_session
from agent_host.surfaces.approval import FixedApprover
from tests.fakes.programs import ROOT

CONFIG = """
model = "actor"
transcripts = "transcripts"
[models.actor]
adapter = "script"
path = "script.toml"
[servers.orders]
command = {python}
args = ["-m", "agent_host", "demo-server", "--today", "{day}"]
env = {{ PYTHONPATH = {root} }}
trust_annotations = true
"""
LIST = '{ name = "orders__list_orders", arguments = {} }'
FIND = '{ name = "host__search_conversation", arguments = { query = "Standing desk mat" } }'


def turn(say, *calls):
    return f"[[turn]]\nsay = {json.dumps(say)}\ncall = [{', '.join(calls)}]\n"


SCRIPT = "".join([
    turn("I look.", LIST), turn("There are many."),
    turn("Again.", LIST), turn("As many."),
    turn("I look back.", FIND), turn("It was there."),
    turn("Once more.", LIST, FIND), turn("That is all."),
])  # fmt: skip


def loaded(folder, day="2026-11-22"):
    config = CONFIG.format(python=json.dumps(sys.executable), root=json.dumps(str(ROOT)), day=day)
    (folder / "servers.toml").write_text(config)
    (folder / "script.toml").write_text(SCRIPT)
    return load(folder / "servers.toml", {})


class Middle:
    """A sink that shortens the conversation behind a tool's second result, as the engine does by
    itself between two requests of one step."""

    session = None
    seen = 0

    def emit(self, item):
        if getattr(getattr(item, "event", None), "type", "") == "tool_finished":
            self.seen += 1
            if self.session is not None and self.seen == 2:
                asyncio.get_running_loop().call_soon(self.session.record, EARLY)


EARLY = ContextCompacted(messages=4, summary="[what was said before]", reason="window")


async def record(folder, shorten, *, middle=False):
    """Record the script's run; `shorten` is called with the session before each message."""
    sink = Middle()
    async with open_session(
        loaded(folder), os.environ, SessionOptions(), sinks=[sink], approver=FixedApprover("all")
    ) as host:
        sink.session = host.session if middle else None
        for number in range(4):
            await shorten(host.session, number)
            said = Message(role="user", content=(Text(text=f"question {number}"),))
            host.session.tell(UserSaid(message=said))
            await host.session.run()
        host.session.end("done")
        return host.transcript_path


def live(folder, path, day="2026-11-22"):
    return asyncio.run(
        with_live_tools(path, loaded(folder, day), os.environ, approver=FixedApprover("all"))
    )


def compactions(path):
    return [event for event in read_run(path).events if isinstance(event, ContextCompacted)]


async def asked(session, number):
    if number == 2:
        assert await session.compact("tester") is not None


async def never(session, number):
    """Nobody asks for it."""


async def taken_back(session, number):
    """What a summary stood for is taken back, and with it the summary; then another one comes."""
    if number == 1:
        session.record(ContextCompacted(messages=2, summary="[the beginning]", reason="asked"))
        session.rewind(0, "tester")
    if number == 3:
        assert await session.compact("tester") is not None


@pytest.mark.parametrize(
    ("shorten", "middle"), [(asked, False), (never, True), (taken_back, False)]
)
def test_a_run_that_was_shortened_is_the_same_with_live_tools(tmp_path, shorten, middle):
    path = asyncio.run(record(tmp_path, shorten, middle=middle))
    assert replay(path).divergence is None
    assert compactions(path)
    found = live(tmp_path, path)
    assert found.divergence is None
    assert found.same == found.whole > 2
    kept = path.with_name(f"{found.kept_as}.jsonl")
    gone = 1 if shorten is taken_back else 0
    assert compactions(kept) == compactions(path)[gone:]
    assert replay(kept).divergence is None


def test_another_result_behind_a_compaction_is_the_step_that_is_shown(tmp_path):
    path = asyncio.run(record(tmp_path, asked))
    text = path.read_text().splitlines()
    place = max(i for i, line in enumerate(text) if '"host__search' in line)
    found = live(tmp_path, path, "2026-11-25")
    assert found.divergence is not None
    assert found.divergence.step.turn == 1
    assert (found.same, found.whole) == (0, 5)
    changed = [*text]
    finished = next(
        i
        for i in range(place, len(text))
        if '"tool_finished"' in text[i] and "Standing desk mat" in text[i]
    )
    changed[finished] = text[finished].replace("Standing desk mat", "Standing desk hat")
    assert changed != text
    path.write_text("\n".join(changed) + "\n")
    found = live(tmp_path, path)
    assert found.divergence is not None
    assert found.divergence.reason == "the tool returned something else"
    assert found.divergence.step.turn == 7
