"""Commands about the servers: how they are, and their tools, prompts, resources and skills.

Theory of operation: everything shown here came from a server, so it is cleaned, cut to a line where
it is one of many, and bounded in number; one tool alone is shown whole. Tools are listed by their
identity, server and own name, with their state beside the pins where that is not the usual one.
Right after the start servers are still connecting: a command waits a moment for them, then shows
what there is and says who is missing, so that one slow server hides nothing of the others.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from agent_host.core.search import ToolSearch
from agent_host.core.text import clean_line
from agent_host.core.types import Tool
from agent_host.surfaces.cards import title
from agent_host.surfaces.chat_host import Health, Withheld
from agent_host.surfaces.commands_page import Ground, counted, first_line, no_server
from agent_host.surfaces.invocations import usage

_SHORT = 1.0
"""Seconds that a command waits for servers that are connecting before it says that it waits."""
_PATIENCE = 5.0
"""Seconds after which it shows what there is."""
_LISTED = 200
"""Tools, resources and the like that are shown of one list."""
_FOUND = 20
_NAME = 64
_STATES = {"starting": "still connecting", "needs_login": "needs a login"}
_T = TypeVar("_T")
_Told = tuple[Sequence[_T], Sequence[str]]


class ServersCommands:
    """See the table of commands for what each does."""

    def __init__(self, ground: Ground) -> None:
        self._host = ground.host
        self._page = ground.page
        self._around = ground.around
        self._search = ToolSearch()

    # -- servers ---------------------------------------------------------------------------

    async def servers(self, rest: str) -> None:
        """/servers"""
        servers = self._host.pool.health()
        if not servers:
            self._page.say("  no servers are configured")
            return
        if rest and not self._is_server(rest):
            return
        await self._settle(_SHORT)
        for server in self._host.pool.health():
            if rest not in {"", server.name}:
                continue
            self._server(server, whole=bool(rest))
        if not rest:
            self._page.items(clean_line(note, 300) for note in self._host.pool.notes())

    def _server(self, server: Health, *, whole: bool) -> None:
        error = f": {clean_line(server.error)}" if server.error else ""
        version = f" {clean_line(server.version, 40)}" if server.version else ""
        parts = [f"{version}  {_STATES.get(server.state, server.state)}{error}"]
        parts += self._its_tools(server)
        if server.protocol:
            parts.append(f"MCP {clean_line(server.protocol, 20)}")
        if server.connect_seconds is not None:
            parts.append(f"up after {server.connect_seconds:.2f} s")
        if server.restarts:
            parts.append(f"restarted {counted(server.restarts, 'time')}")
        self._page.item("  ".join(parts), bold=clean_line(server.name, _NAME))
        if server.state == "needs_login":
            self._page.item(f"  /login {clean_line(server.name, _NAME)}")
        if server.hint:
            self._page.item(f"  {clean_line(server.hint, 300)}")
        if server.warning:
            self._page.item(f"  {clean_line(server.warning, 300)}")
        if whole:
            self._details(server)

    def _its_tools(self, server: Health) -> Iterator[str]:
        """How many there are; of a server that is not connected, those that a pin tells of."""
        if server.state == "connected":
            yield counted(server.tools, "tool")
        elif server.tools:
            yield f"{counted(server.tools, 'tool')}, as known before"
        held = sum(one.server == server.name for one in self._host.pool.held_back())
        if held:
            yield f"{held} withheld"

    def _details(self, server: Health) -> None:
        calls = f"  {counted(server.calls, 'call')}"
        calls += f", {server.errors} of them failed" if server.errors else ""
        self._page.item(f"{calls}{f'; sandbox: {server.sandbox}' if server.sandbox else ''}")
        if server.breaker != "closed":
            again = "" if server.retry_seconds is None else f" in {server.retry_seconds:.0f} s"
            self._page.item(f"  calls fail at once, because it keeps failing; tried again{again}")
        self._page.items(f"  {clean_line(problem, 300)}" for problem in server.problems)
        if server.stderr.strip():
            self._page.item("  what it last said on stderr:")
            self._page.behind_bar(server.stderr[-2000:])

    def _is_server(self, name: str) -> bool:
        """Whether there is such a server; if not, that is said."""
        known = [health.name for health in self._host.pool.health()]
        if name not in known:
            self._page.item(no_server(name, known))
        return name in known

    def _names(self) -> list[str]:
        return [clean_line(health.name, _NAME) for health in self._host.pool.health()]

    # -- tools -----------------------------------------------------------------------------

    async def tools(self, rest: str) -> None:
        """/tools"""
        await self._settle(_SHORT)
        if not self._host.pool.tools():
            await self._wait_more()
        server, _, more = rest.partition(" ")
        servers = {health.name for health in self._host.pool.health()}
        if not rest:
            self._all_tools(None)
        elif server in servers and not more:
            self._all_tools(server)
        elif server in servers and self._one_tool(server, more.strip()):
            return
        else:
            self._found_tools(rest)
        self._missing("/tools", server if server in servers else "")

    async def _settle(self, seconds: float) -> None:
        """Wait so long for servers that are connecting."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._host.pool.ready()

    async def _wait_more(self) -> None:
        """Wait longer for those that are not there yet, and say so."""
        if missing := self._connecting():
            self._page.item(f"waiting for {', '.join(missing)} (Ctrl-C gives up)")
            await self._settle(_PATIENCE - _SHORT)

    def _connecting(self, only: str = "") -> list[str]:
        """The servers that are, clean."""
        servers = [s for s in self._host.pool.health() if s.state == "starting"]
        return [clean_line(s.name, _NAME) for s in servers if only in {"", s.name}]

    def _missing(self, command: str, only: str = "") -> None:
        """Say who is not there yet."""
        if missing := self._connecting(only):
            are = "is" if len(missing) == 1 else "are"
            names = ", ".join(missing)
            self._page.item(f"{names} {are} still connecting; {command} shows more then")

    def _all_tools(self, only: str | None) -> None:
        pool = self._host.pool
        tools = [t for t in pool.tools().values() if only in {None, t.server}]
        held = [one for one in pool.held_back() if only in {None, one.server}]
        if not tools and not held and not self._connecting(only or ""):
            whose = f"{clean_line(only, _NAME)} has no tools" if only else "no tools"
            self._page.say(f"  {whose}; /servers tells how the servers are")
        names = dict.fromkeys([*(t.server for t in tools), *(one.server for one in held)])
        left = _LISTED
        for name in names:
            own = [tool for tool in tools if tool.server == name]
            withheld = [one for one in held if one.server == name]
            self._page.heading(self._counted(name, own, withheld))
            usual = "new" if all(self._state(tool) == "new" for tool in own) else "known"
            for tool in own[: max(left, 0)]:
                self._listed(tool, usual)
            left -= len(own)
            self._withheld(withheld)
        if left < 0:
            self._page.item(f"… and {-left} more; name a server, or /tools WORDS searches")

    def _counted(self, server: str, tools: Sequence[Tool], held: Sequence[Withheld]) -> str:
        states = [self._state(tool) for tool in tools]
        parts = [counted(len(tools), "tool")]
        parts += [
            f"{'all' if count == len(tools) else count} {word}"
            for word in ("new", "changed")
            if (count := states.count(word))
        ]
        parts += [f"{len(held)} withheld"] if held else []
        return f"{clean_line(server, _NAME)}: {', '.join(parts)}"

    def _state(self, tool: Tool) -> str:
        state = self._host.pool.states().get(tool.name, "known")
        return "new" if state == "known" and tool.is_new else state

    def _listed(self, tool: Tool, usual: str = "known") -> None:
        """One line; `usual` is the state that need not be said."""
        signs = [state] if (state := self._state(tool)) != usual else []
        signs += ["reads only"] if tool.read_only else []
        sign = f" ({', '.join(signs)})" if signs else ""
        about = first_line(tool.description)
        self._page.item(f"{sign}  {about}", bold=title(tool.server, tool.tool))

    def _withheld(self, held: Sequence[Withheld]) -> None:
        for one in held[:_LISTED]:
            why = clean_line(one.why, 200)
            self._page.item(f" (withheld)  {why}", bold=title(one.server, one.tool))

    def _found_tools(self, words: str) -> None:
        self._search.take(self._host.pool.tools().values())
        found = self._search.find(words, limit=_FOUND)
        for tool in found.tools:
            self._listed(tool)
        if not found.tools:
            self._page.item(f"no tool is about {clean_line(words, 60)!r}; /tools lists them all")
        elif found.total > len(found.tools):
            self._page.item(f"… and {found.total - len(found.tools)} more that fit less")

    def _one_tool(self, server: str, name: str) -> bool:
        """Show one tool whole; False if there is none of that name."""
        pool = self._host.pool
        for one in pool.held_back():
            if (one.server, one.tool) == (server, name):
                self._withheld([one])
                return True
        tool = next(
            (t for t in pool.tools().values() if t.server == server and name in {t.tool, t.name}),
            None,
        )
        if tool is None:
            return False
        self._page.heading(title(tool.server, tool.tool))
        self._page.items(self._facts(tool))
        if tool.description.strip():
            self._page.behind_bar(tool.description)
        self._page.item("arguments:")
        self._page.behind_bar(json.dumps(tool.input_schema, indent=2, ensure_ascii=False))
        if tool.output_schema is not None:
            self._page.item("what it returns:")
            self._page.behind_bar(json.dumps(tool.output_schema, indent=2, ensure_ascii=False))
        return True

    def _facts(self, tool: Tool) -> Iterator[str]:
        yield f"state: {self._state(tool)}"
        yield f"the model sees it as {clean_line(tool.name, 80)}"
        hints = tool.annotations
        told = (
            (hints.read_only, "reads only"),
            (hints.destructive, "may destroy"),
            (hints.idempotent, "harmless to repeat"),
            (hints.open_world, "reaches outside"),
        )
        said = ", ".join(text for flag, text in told if flag)
        if said:
            whom = "and is trusted" if tool.trusted else "which is not trusted"
            yield f"its server says: {said} ({whom})"
        if tool.labels:
            yield f"labels: {', '.join(clean_line(label, 60) for label in tool.labels)}"
        for sign in self._host.pool.signs().get(tool.name, ()):
            yield f"look at this: {clean_line(sign, 300)}"

    # -- what else servers offer -----------------------------------------------------------

    async def prompts(self, rest: str) -> None:
        """/prompts"""
        told = await self._told("/prompts", rest, self._host.pool.prompts)
        if told is None:
            return
        prompts, problems = told
        for prompt in prompts[:_LISTED]:
            about = first_line(prompt.description or prompt.title)
            self._page.item(f"  {about}", bold=usage(prompt))
        self._end_list("prompts", rest, len(prompts), problems)

    async def resources(self, rest: str) -> None:
        """/resources"""
        told = await self._told("/resources", rest, self._host.pool.resources)
        if told is None:
            return
        resources, problems = told
        for resource in resources[:_LISTED]:
            parts = [clean_line(resource.title or resource.name, 80)]
            parts += [clean_line(resource.media_type, 60)] if resource.media_type else []
            parts += [f"{resource.size:,} bytes"] if resource.size is not None else []
            parts += ["fill in the braces"] if resource.template else []
            name = f"@{clean_line(resource.server, _NAME)}:{clean_line(resource.uri, 500)}"
            self._page.item(f"  {'  '.join(filter(None, parts))}", bold=name)
        self._end_list("resources", rest, len(resources), problems)

    async def skills(self, rest: str) -> None:
        """/skills"""
        told = await self._told("/skills", rest, self._host.pool.skills)
        if told is None:
            return
        skills, problems = told
        for skill in skills[:_LISTED]:
            about = first_line(skill.description)
            self._page.item(f"  {about}", bold=title(skill.server, skill.name))
        self._end_list("skills", rest, len(skills), problems)

    async def _told(
        self, command: str, server: str, ask: Callable[[str | None], Awaitable[_Told[_T]]]
    ) -> _Told[_T] | None:
        """What one server tells, or all that are there; None if there is no such server."""
        if server and not self._is_server(server):
            return None
        await self._settle(_SHORT)
        if server:
            if self._connecting(server):
                self._page.item(f"waiting for {clean_line(server, _NAME)} (Ctrl-C gives up)")
            return await ask(server)
        await self._wait_more()
        if not self._connecting():
            return await ask(None)
        there = [one.name for one in self._host.pool.health() if one.state == "connected"]
        answers = await asyncio.gather(*map(ask, there))
        self._missing(command)
        return (
            [item for items, _ in answers for item in items],
            [problem for _, problems in answers for problem in problems],
        )

    def _end_list(self, what: str, server: str, count: int, problems: Sequence[str]) -> None:
        self._page.items(clean_line(problem, 300) for problem in problems)
        if count > _LISTED:
            self._page.item(f"… and {count - _LISTED} more; name a server to see its own")
        elif not count and problems:
            return
        elif not count and server:
            self._page.item(f"{clean_line(server, _NAME)} offers no {what}")
        elif not count and not self._connecting():
            self._page.item(f"no {what}; /servers tells how the servers are")

    async def login(self, rest: str) -> None:
        """/login"""
        log_in = self._around.login
        if not rest:
            known = ", ".join(self._names()) or "none"
            self._page.item(f"as in /login SERVER; there is {known}")
        elif not self._is_server(rest):
            return
        elif any(health.sandbox for health in self._host.pool.health() if health.name == rest):
            self._page.item(
                f"{clean_line(rest, _NAME)} is a program on this machine, which has no login; what "
                "it needs to know goes into its env"
            )
        elif log_in is None:
            self._page.item(f"run this in another terminal: agent-host servers login {rest}")
        else:
            self._page.item(clean_line(await log_in(rest), 500))

    async def reload(self, rest: str) -> None:
        """/reload"""
        if self._around.reload is None:
            self._page.item("there is no servers.toml to read again here")
        else:
            self._page.item(clean_line(await self._around.reload(), 1000))
