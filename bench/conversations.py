"""Many conversations at once in one process, through the library: seconds, on stdout.

Theory of operation: as a service would, one pool of servers and one model adapter are shared; each
conversation has a session, a policy and a transcript of its own. Reads the servers.toml of the
working folder. One conversation runs before the clock starts, so that everything is connected.
    python bench/conversations.py COUNT
"""

import asyncio
import itertools
import os
import random
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from agent_host.config.load import Loaded, load
from agent_host.core.conversation import Conversation
from agent_host.core.events import RunStarted, UserSaid
from agent_host.core.limits import Limits
from agent_host.core.types import Message, Principal, Text
from agent_host.engine.feed import Feed
from agent_host.engine.rooms import Rooms
from agent_host.engine.session import Session
from agent_host.host import make_policy, open_pool
from agent_host.models.registry import made_by, module_of
from agent_host.models.settings import AdapterSettings
from agent_host.ports import ApprovalQuestion, Deferred, ModelAdapter, ToolSource
from agent_host.records.ids import new_run_id
from agent_host.records.transcript import Transcript

PRINCIPAL = Principal(id="bench")


class Nobody:
    """An approver that never answers; policy allows everything here."""

    async def approve(self, question: ApprovalQuestion) -> Deferred:
        return Deferred()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


async def converse(loaded: Loaded, model: ModelAdapter, pool: ToolSource) -> None:
    """One conversation from its first event to its last."""
    run_id = new_run_id(time.time_ns() // 1_000_000, random.randbytes(10))
    numbers = itertools.count()
    with Transcript.create(loaded.transcripts, run_id, None) as transcript:
        session = Session(
            conversation=Conversation(),
            feed=Feed(run_id=run_id, journal=transcript, sinks=[], clock=now),
            rooms=Rooms(
                model=model, tools=pool, policy=make_policy(loaded, os.environ), approver=Nobody()
            ),
            principal=PRINCIPAL,
            monotonic=time.monotonic,
            new_id=lambda: f"request-{next(numbers)}",
            limits=Limits(),
        )
        origin = model.origin
        session.record(
            RunStarted(
                run_id=run_id,
                principal=PRINCIPAL,
                provider=origin.provider,
                model=origin.model,
                adapter=origin.adapter,
            )
        )
        said = Message(role="user", content=(Text(text="Do what you were made for."),))
        session.tell(UserSaid(message=said))
        conversation = await session.run()
        session.end("done")
        assert conversation.failure is None, conversation.failure
        assert len(conversation.messages) == 12, f"{len(conversation.messages)} messages"


async def main(count: int) -> None:
    loaded = load(Path("servers.toml"), os.environ)
    config = loaded.config.models["bench"]
    adapter = config.adapter or ""
    settings = AdapterSettings(
        provider="bench", model=config.model or "", base_url=config.base_url, api_key="none"
    )
    model = made_by(adapter, import_module(module_of(adapter)), settings)
    async with open_pool(loaded, os.environ) as pool:
        await pool.settled()
        await converse(loaded, model, pool)
        started = time.monotonic()
        await asyncio.gather(*(converse(loaded, model, pool) for _ in range(count)))
        sys.stdout.write(f"{time.monotonic() - started}\n")
        sys.stdout.flush()
    await model.aclose()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
