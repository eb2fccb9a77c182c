"""What a chat does for a line that starts with `/`: its own commands, and the servers' prompts.

Theory of operation: a table says which commands there are (`commands_table`), a method each does
their work (`commands_*`), and this file brings the two together. Commands show something; only a
prompt returns a message, which the chat then says in the user's name. Whatever comes from a server
is cleaned, and shown between margins that are ours. What the chat does afterwards (leave, go on in
another run, offer a text for editing) is their `outcome`.
"""

from collections.abc import Awaitable, Callable

from agent_host.core.events import UserSaid
from agent_host.core.text import clean_line
from agent_host.surfaces.chat_around import Around, Login, Reload, Rules
from agent_host.surfaces.chat_host import Asker, Host
from agent_host.surfaces.commands_look import LookCommands
from agent_host.surfaces.commands_model import ModelCommands
from agent_host.surfaces.commands_page import Ground, Outcome, Page
from agent_host.surfaces.commands_prompts import PromptCommands
from agent_host.surfaces.commands_runs import RunCommands
from agent_host.surfaces.commands_servers import ServersCommands
from agent_host.surfaces.commands_settings import SettingsCommands, unknown
from agent_host.surfaces.commands_table import COMMANDS, TABLE
from agent_host.surfaces.invocations import invocation
from agent_host.surfaces.outlet import Outlet

__all__ = ["COMMANDS", "Around", "Commands", "Login", "Reload", "Rules"]

_Work = Callable[[str], Awaitable[UserSaid | None]]
_ALONE = frozenset(c.name for c in TABLE if not c.arguments) - {"/quit"}
"""Commands that take no words: one that is given some may be meant otherwise."""


class Commands:
    """The commands of one chat. `outcome` is what the chat does next."""

    def __init__(
        self, host: Host, *, screen: Outlet, asker: Asker | None, around: Around | None = None
    ) -> None:
        ground = Ground(host, Page(screen, asker), around or Around())
        self._page = ground.page
        self.outcome: Outcome = ground.outcome
        self._prompts = PromptCommands(ground)
        self._works = _works(ground, self._prompts)

    @property
    def leaving(self) -> bool:
        """Whether the user has said so."""
        return self.outcome.leaving

    def take_draft(self) -> str:
        """Return, once, what a command would have the user edit; empty if nothing."""
        draft, self.outcome.draft = self.outcome.draft, ""
        return draft

    async def take(self, line: str) -> UserSaid | None:
        """Do what a line says; return what the user says by it, if anything."""
        name, _, rest = line.partition(" ")
        work = self._works.get(name)
        if rest.strip() and name in _ALONE:
            self._page.item(f"{name} stands alone; {clean_line(rest, 40)!r} means nothing to it")
            return None
        if work is not None:
            return await work(rest.strip())
        called = invocation(line)
        if called is not None:
            return await self._prompts.invoke(called)
        self._page.item(unknown(name))
        return None


def _works(ground: Ground, prompts: PromptCommands) -> dict[str, _Work]:
    """Who does the work of each command of the table."""
    servers, model, look = ServersCommands(ground), ModelCommands(ground), LookCommands(ground)
    runs, settings = RunCommands(ground), SettingsCommands(ground)
    shows: dict[str, Callable[[str], Awaitable[None]]] = {
        "/help": settings.help,
        "/compact": model.compact,
        "/undo": runs.undo,
        "/clear": runs.clear,
        "/show": look.show,
        "/reasoning": look.reasoning,
        "/context": model.context,
        "/cost": look.cost,
        "/servers": servers.servers,
        "/tools": servers.tools,
        "/prompts": servers.prompts,
        "/resources": servers.resources,
        "/skills": servers.skills,
        "/login": servers.login,
        "/reload": servers.reload,
        "/model": model.model,
        "/approve-mode": settings.approve_mode,
        "/policy": settings.policy,
        "/config": settings.config,
        "/fork": runs.fork,
        "/resume": runs.resume,
        "/export": runs.export,
        "/quit": runs.quit,
    }
    return {name: _silent(show) for name, show in shows.items()} | {"/prompt": prompts.named}


def _silent(show: Callable[[str], Awaitable[None]]) -> _Work:
    """A command by which the user says nothing."""

    async def work(rest: str) -> UserSaid | None:
        await show(rest)
        return None

    return work
