"""The runs beside a chat's own, as its `/resume` lists them.

Theory of operation: the transcripts of the same folder, the newest first, read in a thread. Words
look into what each run's user said first, its model and its outcome.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent_host.core.errors import RecordError
from agent_host.records.forks import fork
from agent_host.records.holder import holder
from agent_host.records.reader import Summary, conversation, run_ids, summary
from agent_host.surfaces.chat_around import RunInfo

_NEWEST = 300
"""Runs that are looked into."""


class ChatRuns:
    """See `surfaces.chat_around.Runs`. `path` is the transcript of the chat's own run."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self.current = path.name.removesuffix(".jsonl")

    async def find(self, words: str, limit: int) -> tuple[Sequence[RunInfo], int]:
        """Return the newest runs that hold these words, and how many there are."""
        found = await asyncio.to_thread(lambda: list(self._matching(words)))
        return found[:limit], len(found)

    def _matching(self, words: str) -> Iterator[RunInfo]:
        wanted = words.casefold().split()
        for name in run_ids(self._folder)[::-1][:_NEWEST]:
            one = summary(self._folder / f"{name}.jsonl")
            text = f"{one.run_id} {one.words} {one.model} {one.outcome}".casefold()
            if not one.broken and one.turns and all(word in text for word in wanted):
                yield _info(one)

    async def check(self, run_id: str) -> None:
        """Raise RecordError if nobody could go on with that run now."""
        path = self._folder / f"{run_id}.jsonl"
        who = holder(path)
        if who is not None:
            raise RecordError(f"{run_id} is in use by {who}; end that first")
        await asyncio.to_thread(conversation, path)

    async def fork(self, messages: int | None) -> str:
        """Make a new run of the first `messages` messages of this one (None: all); return its
        id. Raises AgentHostError."""
        own = self._folder / f"{self.current}.jsonl"
        return await asyncio.to_thread(fork, own, messages)


def _info(one: Summary) -> RunInfo:
    answers = f"{one.turns} answer{'' if one.turns == 1 else 's'}"
    calls = f"{one.calls} call{'' if one.calls == 1 else 's'}"
    about = f"{answers}, {calls}, {one.outcome}"
    return RunInfo(run_id=one.run_id, when=one.started_at, title=one.words, about=about)
