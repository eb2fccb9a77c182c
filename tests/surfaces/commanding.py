"""A chat's commands on a session in memory: lines in, the screen out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent_host.core.errors import UsageError
from agent_host.core.events import UserSaid
from agent_host.core.types import Message, Text
from agent_host.surfaces.chat_around import Around, RunInfo
from agent_host.surfaces.chat_commands import Commands
from agent_host.surfaces.outlet import Outlet
from tests.fakes.screens import outlet
from tests.fakes.typists import Typist
from tests.surfaces.test_chat import Desk


@dataclass
class Commanded:
    """What came of some lines."""

    commands: Commands
    screen: str


def command(
    host: Desk,
    *lines: str,
    asker: Typist | None = None,
    around: Around | None = None,
    out: Outlet | None = None,
) -> Commanded:
    """Say each line, as a user would: what begins with a slash is a command."""
    mine, screen = outlet(tty=True, NO_COLOR="1")
    commands = Commands(host, screen=out or mine, asker=asker, around=around)

    async def talk() -> None:
        for line in lines:
            if line.startswith("/"):
                assert await commands.take(line) is None
                continue
            said = Message(role="user", content=(Text(text=line),))
            host.session.tell(UserSaid(message=said))
            await host.session.run()

    asyncio.run(talk())
    return Commanded(commands, screen.getvalue())


@dataclass
class Runs:
    """The runs of a folder, in memory."""

    runs: Sequence[RunInfo] = ()
    current: str = "here"
    forked: list[int | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    broken: str = ""
    in_use: Sequence[str] = ()

    async def check(self, run_id: str) -> None:
        if run_id in self.in_use:
            raise UsageError(f"{run_id} is in use")

    async def find(self, words: str, limit: int) -> tuple[Sequence[RunInfo], int]:
        if self.broken:
            raise UsageError(self.broken)
        self.asked.append(words)
        found = [run for run in self.runs if words in run.title]
        return found[:limit], len(found)

    async def fork(self, messages: int | None) -> str:
        if self.broken:
            raise UsageError(self.broken)
        self.forked.append(messages)
        return "the-fork"


@dataclass
class Exports:
    """Writes nothing."""

    formats: Sequence[str] = ("markdown", "html")
    there: Sequence[str] = ()
    written: list[tuple[str, str]] = field(default_factory=list)

    def form_of(self, file: str) -> str:
        return "html" if file.endswith(".html") else ""

    def target(self, form: str, file: str) -> str:
        return file or f"run.{form}"

    def exists(self, path: str) -> bool:
        return path in self.there

    async def write(self, form: str, path: str) -> str:
        if path == "/full":
            raise UsageError("the disk is full")
        self.written.append((form, path))
        return f"wrote {path}"
