"""The runs of a folder, as a chat's `/resume` and `chat --resume` list them.

Theory of operation: what runs there are and what was said in them comes from the index of
transcripts, read in a thread, and brought up to date once while somebody types. The last word may
be the beginning of one, because it is searched while it is typed. Without words only the newest
files are read. Runs that are damaged, or in which nothing was answered, cannot be gone on with and
are left out.
"""

import asyncio
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from agent_host.cli.transcripts_index import place_of
from agent_host.core.errors import RecordError, UsageError
from agent_host.core.text import clean_line
from agent_host.records.forks import fork
from agent_host.records.holder import holder
from agent_host.records.index import Index, Tell
from agent_host.records.index_search import Filters, Found, newest, search
from agent_host.records.looked_for import LookedFor, looked_for
from agent_host.records.reader import Summary, conversation, run_ids, summary
from agent_host.records.said import END, HIT
from agent_host.surfaces.chat_around import RunInfo

_SPARE = 100
"""Runs that are looked at beyond those that are wanted, because some cannot be gone on with."""
_FRESH = 3.0
_ONE = re.compile(r"(?<!\S)-?[A-Za-z0-9]\Z")
"""A word of which one letter is typed: too many begin so."""
_BEFORE = 20
"""Characters that are shown before what was looked for."""
_LEAST = 4
"""Characters of an id that are taken for its beginning."""


class _StoppedError(Exception):
    """Nobody waits for the answer any more."""


class ChatRuns:
    """See `surfaces.chat_around.Runs`. `current` is the run of the chat itself, if there is one;
    `fresh`: seconds for which files need not be looked at again."""

    def __init__(self, folder: Path, current: str = "", *, fresh: float = _FRESH) -> None:
        self._folder = folder
        self.current = current
        self._reading = ""
        self._fresh = fresh
        self._looked = float("-inf")

    @classmethod
    def beside(cls, path: Path) -> "ChatRuns":
        """Return the runs beside that of a chat, whose transcript this is."""
        return cls(path.parent, path.name.removesuffix(".jsonl"))

    def reading(self) -> str:
        """Say how far it is, while transcripts are read for the index."""
        return self._reading

    async def find(self, words: str, limit: int) -> tuple[Sequence[RunInfo], int]:
        """Return the newest runs that hold these words, and how many there are."""
        given_up = threading.Event()
        try:
            return await asyncio.to_thread(self._find, words, limit, given_up)
        except asyncio.CancelledError:
            given_up.set()
            raise

    def _find(
        self, words: str, limit: int, given_up: threading.Event
    ) -> tuple[Sequence[RunInfo], int]:
        def tell(done: int, todo: int) -> None:
            if given_up.is_set():
                raise _StoppedError
            percent = min(100 * done // todo, 100) if todo else 100
            self._reading = f"reading transcripts: {percent} % of {todo / 1e6:,.0f} MB"

        wanted = _looked_for(words)
        index = Index(self._folder, place_of(self._folder))
        try:
            self._refresh(index, tell, None if wanted else limit + _SPARE)
            if wanted is None:
                runs, total = newest(index, limit + _SPARE)
                found = [Found(run) for run in runs]
            else:
                found, total = search(index, wanted, Filters(), limit + _SPARE, places=1)
        except _StoppedError:
            return (), 0
        finally:
            self._reading = ""
            index.close()
        usable = [one for one in found if not one.run.broken and one.run.turns]
        named = self._named(words, {one.run.run_id for one in usable})
        total += len(named) - (len(found) - len(usable))
        return [*map(_info, (*named, *usable))][:limit], total

    def _refresh(self, index: Index, tell: Tell, newest: int | None) -> None:
        if time.monotonic() < self._looked + self._fresh:
            return
        index.refresh(tell, newest)
        self._reading = ""
        if newest is None:
            self._looked = time.monotonic()

    def _named(self, words: str, known: set[str]) -> list[Found]:
        """The runs whose id begins so."""
        begins = words.strip().upper()
        if len(begins) < _LEAST or not begins.isalnum():
            return []
        names = [name for name in run_ids(self._folder)[::-1] if name.startswith(begins)]
        runs = (summary(self._folder / f"{name}.jsonl") for name in names[:3] if name not in known)
        return [Found(run) for run in runs if not run.broken and run.turns]

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


def _looked_for(words: str) -> LookedFor | None:
    """What is looked for while it is typed: the last word may be a beginning. None: anything."""
    words = _ONE.sub("", words)
    end = '"' if words.count('"') % 2 else ""
    try:
        return looked_for([f"{words}{end}*" if words[-1:].isalnum() else words])
    except UsageError:
        return None


def _info(one: Found) -> RunInfo:
    run: Summary = one.run
    answers = f"{run.turns} answer{'' if run.turns == 1 else 's'}"
    calls = f"{run.calls} call{'' if run.calls == 1 else 's'}"
    about = f"{answers}, {calls}, {run.outcome}"
    said = ""
    if one.places:
        place = one.places[0]
        before, _, after = place.text.partition(HIT)
        if len(before) > _BEFORE:
            before = f"…{before[-_BEFORE:]}"
        text = clean_line(f"{before}{after}".replace(HIT, "").replace(END, ""), 300)
        said = f"turn {place.turn}, {place.kind}: {text}"
    return RunInfo(run_id=run.run_id, when=run.started_at, title=run.words, about=about, found=said)
