"""What a chat does for a line that starts with `/`: its own commands, and the servers' prompts.

Theory of operation: a table of commands, each a method that shows something; only a prompt returns
a message, which the chat then says in the user's name. The message that a server makes of a prompt
is shown whole before it is sent, and sent when the user says so. Whatever comes from a server is
cleaned, and shown between margins that are ours.
"""

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from agent_host.core.errors import AgentHostError
from agent_host.core.events import UserSaid
from agent_host.core.text import clean, clean_line
from agent_host.core.types import Message
from agent_host.surfaces.cards import title
from agent_host.surfaces.chat_host import Asker, Host, PromptInfo
from agent_host.surfaces.invocations import (
    Invocation,
    arguments_of,
    invocation,
    shown_turn,
    turn_of,
    usage,
)
from agent_host.surfaces.mentions import PROMPT, labels_seen
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.question import BAR, wrap, wrap_words

Login = Callable[[str], Awaitable[str]]
"""Logs in to a server; returns what to tell the user. Never raises for the world's faults."""


Rules = Callable[[], Sequence[str]]
"""Lines, clean, about the rules in force and the last decision."""


class Reload(Protocol):
    """A servers.toml that may change while the chat goes on."""

    def notice(self) -> str:
        """What to tell if it changed since it was last looked at, else nothing."""

    async def __call__(self) -> str:
        """Take over what it says now; return what to tell. Never raises for the world's faults."""


COMMANDS: tuple[tuple[str, str], ...] = (
    ("/help", "what can be typed here"),
    ("/tools", "the tools of all servers"),
    ("/servers", "the servers and how they are"),
    ("/prompts", "the servers' prompts: /prompts [SERVER]"),
    ("/prompt", "use a prompt: /prompt SERVER NAME [ARGUMENTS]; shorter: /SERVER:NAME"),
    ("/resources", "the servers' resources: /resources [SERVER]; @SERVER:URI attaches one"),
    ("/skills", "the servers' skills"),
    ("/policy", "the rules in force, and why the last call was answered as it was"),
    ("/login", "log in to a server: /login SERVER"),
    ("/reload", "take over the servers of a servers.toml that changed"),
    ("/model", "show the models, or change to one: /model NAME"),
    ("/quit", "leave (also Ctrl-D)"),
)

_PATIENCE = 5.0
"""Seconds that /tools waits for servers that are starting."""
_LISTED = 200
"""Resources and the like that are shown of one list."""

_KEYS = (
    "Enter sends; Alt-Enter or a backslash before Enter makes a new line; // starts a message "
    "with a slash; Tab completes commands, prompts and resources. Ctrl-C stops what is under way, "
    "Ctrl-D leaves."
)


class Commands:
    """The commands of one chat. `leaving` once the user has said so."""

    def __init__(
        self,
        host: Host,
        *,
        screen: Outlet,
        asker: Asker | None,
        login: Login | None,
        reload: Reload | None = None,
        rules: Rules | None = None,
    ) -> None:
        self._host = host
        self._screen = screen
        self._asker = asker
        self._log_in = login
        self._take_over = reload
        self._rules = rules
        self.leaving = False
        self._shows: dict[str, Callable[[str], Awaitable[None]]] = {
            "/help": self._help,
            "/tools": self._tools,
            "/servers": self._servers,
            "/prompts": self._prompts,
            "/resources": self._resources,
            "/skills": self._skills,
            "/policy": self._policy,
            "/login": self._login,
            "/reload": self._reload,
            "/model": self._model,
            "/quit": self._quit,
        }

    async def take(self, line: str) -> UserSaid | None:
        """Do what a line says; return what the user says by it, if anything."""
        name, _, rest = line.partition(" ")
        show = self._shows.get(name)
        if show is not None:
            await show(rest.strip())
            return None
        called = invocation(line)
        if name == "/prompt":
            server, _, more = rest.strip().partition(" ")
            prompt, _, arguments = more.strip().partition(" ")
            if not prompt:
                self._say_item("as in /prompt SERVER NAME; /prompts lists them")
                return None
            called = Invocation(server, prompt, arguments.strip())
        if called is not None:
            return await self._invoke(called)
        near = difflib.get_close_matches(name, [c for c, _ in COMMANDS], n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else "; /help lists the commands"
        self._say(f"there is no command {clean_line(name, 40)}{hint}")
        return None

    # -- prompts ---------------------------------------------------------------------------

    async def _invoke(self, called: Invocation) -> UserSaid | None:
        """Return the message that a prompt makes, once the user has seen it."""
        prompt = await self._find(called)
        if prompt is None:
            return None
        given = arguments_of(prompt.arguments, called.rest)
        if isinstance(given, str):
            self._say_item(f"{given}; as in {usage(prompt)}")
            return None
        if not await self._ask_missing(prompt, given):
            return None
        who = self._host.session.principal
        made = await self._host.pool.filled_prompt(prompt.server, prompt.name, given, who)
        if not isinstance(made, tuple):
            self._say_item(f"the prompt cannot be had: {clean_line(made.text, 500)}")
            return None
        messages, labels = made
        turn = turn_of(messages)
        if not turn.content:
            self._say_item("the prompt is empty; nothing was sent")
            return None
        if not await self._agreed(prompt, turn):
            return None
        return UserSaid(message=turn, labels=labels_seen(prompt.server, PROMPT, labels))

    async def _find(self, called: Invocation) -> PromptInfo | None:
        servers = [health.name for health in self._host.pool.health()]
        if called.server not in servers:
            known = ", ".join(clean_line(name, 64) for name in servers) or "none"
            self._say_item(
                f"there is no server {clean_line(called.server, 40)!r}; there is {known}"
            )
            return None
        prompts, problems = await self._host.pool.prompts(called.server)
        for prompt in prompts:
            if prompt.name == called.name:
                return prompt
        for problem in problems:
            self._say_item(clean_line(problem, 300))
        near = difflib.get_close_matches(called.name, [p.name for p in prompts], n=1, cutoff=0.4)
        hint = f"; did you mean {clean_line(near[0], 80)}?" if near else "; /prompts lists them"
        where = clean_line(called.server, 64)
        self._say_item(f"{where} has no prompt {clean_line(called.name, 80)!r}{hint}")
        return None

    async def _ask_missing(self, prompt: PromptInfo, given: dict[str, str]) -> bool:
        """Ask for the arguments that a prompt needs and has not got."""
        for argument in prompt.arguments:
            if not argument.required or given.get(argument.name):
                continue
            if self._asker is None:
                self._say_item(f"it needs {clean_line(argument.name, 60)}; as in {usage(prompt)}")
                return False
            if argument.description:
                self._behind_bar(argument.description)
            typed = await self._asker.type_in(f"{clean_line(argument.name, 40)}: ")
            if not typed or not typed.strip():
                self._say_item("given up; nothing was sent")
                return False
            given[argument.name] = typed
        return True

    async def _agreed(self, prompt: PromptInfo, turn: Message) -> bool:
        """Show what would be sent, and ask if it is meant."""
        self._say(f"{title(prompt.server, prompt.name)} would have you say:")
        self._behind_bar(shown_turn(turn))
        if self._asker is None:
            return True
        typed = await self._asker.type_in("send it? [Y/n] ")
        if typed is not None and typed.strip().lower() in {"", "y", "yes"}:
            return True
        self._say_item("nothing was sent")
        return False

    # -- what is shown ---------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._screen.end_line()
        self._screen.write(f"{text}\n")

    def _say_item(self, text: str, *, bold: str = "") -> None:
        """Write clean text between margins, its beginning `bold`, broken between words."""
        first, *others = wrap_words(bold + text, self._screen.width - 6)
        if bold and first.startswith(bold):
            first = self._screen.paint(bold, "bold") + first.removeprefix(bold)
        self._say("\n".join([f"  {first}", *(f"    {other}" for other in others)]))

    def _behind_bar(self, text: str) -> None:
        lines = wrap(clean(text).strip(), self._screen.width - 3)
        self._say("\n".join(f"{BAR}{line}" for line in lines))

    async def _help(self, rest: str) -> None:
        for name, text in COMMANDS:
            self._say_item(f"{name}{'':{10 - len(name)}} {text}")
        self._say_item(_KEYS)

    async def _tools(self, rest: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._host.pool.ready()
        except TimeoutError:
            self._say("  some servers are still starting")
        tools = self._host.pool.tools().values()
        if not tools:
            self._say("  no tools; /servers tells how the servers are")
        for tool in tools:
            sign = " (reads only)" if tool.read_only else ""
            about = _first_line(tool.description)
            self._say_item(f"{sign}  {about}", bold=title(tool.server, tool.tool))

    async def _servers(self, rest: str) -> None:
        servers = self._host.pool.health()
        if not servers:
            self._say("  no servers are configured")
        for server in servers:
            error = f": {clean_line(server.error)}" if server.error else ""
            version = f" {clean_line(server.version, 40)}" if server.version else ""
            parts = [f"{version}  {server.state}{error}", f"{server.tools} tools"]
            if server.protocol:
                parts.append(f"MCP {clean_line(server.protocol, 20)}")
            if server.connect_seconds is not None:
                parts.append(f"up after {server.connect_seconds:.2f} s")
            if server.restarts:
                parts.append(f"restarted {server.restarts} times")
            self._say_item("  ".join(parts), bold=clean_line(server.name, 64))
            if server.state == "needs_login":
                self._say_item(f"  /login {clean_line(server.name, 64)}")

    async def _prompts(self, rest: str) -> None:
        prompts, problems = await self._host.pool.prompts(rest or None)
        for prompt in prompts[:_LISTED]:
            about = _first_line(prompt.description or prompt.title)
            self._say_item(f"  {about}", bold=usage(prompt))
        self._end_list("prompts", len(prompts), problems)

    async def _resources(self, rest: str) -> None:
        resources, problems = await self._host.pool.resources(rest or None)
        for resource in resources[:_LISTED]:
            parts = [clean_line(resource.title or resource.name, 80)]
            parts += [clean_line(resource.media_type, 60)] if resource.media_type else []
            parts += [f"{resource.size:,} bytes"] if resource.size is not None else []
            parts += ["fill in the braces"] if resource.template else []
            name = f"@{clean_line(resource.server, 64)}:{clean_line(resource.uri, 500)}"
            self._say_item(f"  {'  '.join(filter(None, parts))}", bold=name)
        self._end_list("resources", len(resources), problems)

    async def _skills(self, rest: str) -> None:
        skills, problems = await self._host.pool.skills(rest or None)
        for skill in skills[:_LISTED]:
            about = _first_line(skill.description)
            self._say_item(f"  {about}", bold=title(skill.server, skill.name))
        self._end_list("skills", len(skills), problems)

    def _end_list(self, what: str, count: int, problems: Sequence[str]) -> None:
        for problem in problems:
            self._say_item(clean_line(problem, 300))
        if count > _LISTED:
            self._say_item(f"… and {count - _LISTED} more; name a server to see its own")
        elif not count:
            self._say_item(f"no {what}; /servers tells how the servers are")

    async def _policy(self, rest: str) -> None:
        if self._rules is None:
            self._say_item("there are no rules to show here")
            return
        for line in self._rules():
            self._say("\n".join(wrap(line, self._screen.width - 1)))

    async def _login(self, rest: str) -> None:
        servers = [health.name for health in self._host.pool.health()]
        if rest not in servers:
            known = ", ".join(clean_line(name, 64) for name in servers) or "none"
            self._say_item(f"as in /login SERVER; there is {known}")
        elif self._log_in is None:
            self._say_item(f"run this in another terminal: agent-host servers login {rest}")
        else:
            self._say_item(await self._log_in(rest))

    async def _reload(self, rest: str) -> None:
        if self._take_over is None:
            self._say_item("there is no servers.toml to read again here")
        else:
            self._say_item(clean_line(await self._take_over(), 1000))

    async def _model(self, rest: str) -> None:
        if not rest:
            self._say_model()
            for name in self._host.models():
                self._say(f"  /model {clean_line(name, 80)}")
            return
        try:
            await self._host.change_model(rest)
        except AgentHostError as error:
            self._say_item(clean_line(str(error), 500))
            return
        self._say_model()

    def _say_model(self) -> None:
        current = self._host.session.conversation.origin
        who = f"{clean_line(current.provider, 60)} {clean_line(current.model, 60)}"
        self._say(f"  now: {who} ({clean_line(current.adapter, 40)})")

    async def _quit(self, rest: str) -> None:
        self.leaving = True


def _first_line(text: str) -> str:
    return clean_line(clean(text[:400]).strip().partition("\n")[0], 100)
