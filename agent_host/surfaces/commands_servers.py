"""Commands about the servers: how they are, and their tools, prompts, resources and skills.

Theory of operation: everything shown here came from a server, so it is cleaned, cut to a line where
it is one of many, and bounded in number; one tool alone is shown whole. Tools are listed by their
identity, server and own name, with their state beside the pins where that is not the usual one.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence

from agent_host.core.search import ToolSearch
from agent_host.core.text import clean_line
from agent_host.core.types import Tool
from agent_host.surfaces.cards import title
from agent_host.surfaces.chat_host import Health, Withheld
from agent_host.surfaces.commands_page import Ground, first_line
from agent_host.surfaces.invocations import usage

_PATIENCE = 5.0
"""Seconds that /tools waits for servers that are starting."""
_LISTED = 200
"""Tools, resources and the like that are shown of one list."""
_FOUND = 20
_NAME = 64


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
        chosen = [server for server in servers if server.name == rest] if rest else servers
        if not chosen:
            self._no_server(rest)
        for server in chosen:
            self._server(server, whole=bool(rest))
        if not rest:
            self._page.items(clean_line(note, 300) for note in self._host.pool.notes())

    def _server(self, server: Health, *, whole: bool) -> None:
        error = f": {clean_line(server.error)}" if server.error else ""
        version = f" {clean_line(server.version, 40)}" if server.version else ""
        parts = [f"{version}  {server.state}{error}", f"{server.tools} tools"]
        held = sum(one.server == server.name for one in self._host.pool.held_back())
        if held:
            parts.append(f"{held} withheld")
        if server.protocol:
            parts.append(f"MCP {clean_line(server.protocol, 20)}")
        if server.connect_seconds is not None:
            parts.append(f"up after {server.connect_seconds:.2f} s")
        if server.restarts:
            parts.append(f"restarted {server.restarts} times")
        self._page.item("  ".join(parts), bold=clean_line(server.name, _NAME))
        if server.state == "needs_login":
            self._page.item(f"  /login {clean_line(server.name, _NAME)}")
        if server.hint:
            self._page.item(f"  {clean_line(server.hint, 300)}")
        if server.warning:
            self._page.item(f"  {clean_line(server.warning, 300)}")
        if whole:
            self._details(server)

    def _details(self, server: Health) -> None:
        calls = f"  {server.calls} calls, {server.errors} of them failed"
        self._page.item(f"{calls}{f'; sandbox: {server.sandbox}' if server.sandbox else ''}")
        if server.breaker != "closed":
            again = "" if server.retry_seconds is None else f" in {server.retry_seconds:.0f} s"
            self._page.item(f"  calls fail at once, because it keeps failing; tried again{again}")
        self._page.items(f"  {clean_line(problem, 300)}" for problem in server.problems)
        if server.stderr.strip():
            self._page.item("  what it last said on stderr:")
            self._page.behind_bar(server.stderr[-2000:])

    def _no_server(self, name: str) -> None:
        known = ", ".join(self._names()) or "none"
        self._page.item(f"there is no server {clean_line(name, 40)!r}; there is {known}")

    def _names(self) -> list[str]:
        return [clean_line(health.name, _NAME) for health in self._host.pool.health()]

    # -- tools -----------------------------------------------------------------------------

    async def tools(self, rest: str) -> None:
        """/tools"""
        await self._settle()
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

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._host.pool.ready()
        except TimeoutError:
            self._page.say("  some servers are still starting")

    def _all_tools(self, only: str | None) -> None:
        pool = self._host.pool
        tools = [t for t in pool.tools().values() if only in {None, t.server}]
        held = [one for one in pool.held_back() if only in {None, one.server}]
        if not tools and not held:
            self._page.say("  no tools; /servers tells how the servers are")
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
        parts = [f"{len(tools)} tool{'' if len(tools) == 1 else 's'}"]
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
        prompts, problems = await self._host.pool.prompts(rest or None)
        for prompt in prompts[:_LISTED]:
            about = first_line(prompt.description or prompt.title)
            self._page.item(f"  {about}", bold=usage(prompt))
        self._end_list("prompts", len(prompts), problems)

    async def resources(self, rest: str) -> None:
        """/resources"""
        resources, problems = await self._host.pool.resources(rest or None)
        for resource in resources[:_LISTED]:
            parts = [clean_line(resource.title or resource.name, 80)]
            parts += [clean_line(resource.media_type, 60)] if resource.media_type else []
            parts += [f"{resource.size:,} bytes"] if resource.size is not None else []
            parts += ["fill in the braces"] if resource.template else []
            name = f"@{clean_line(resource.server, _NAME)}:{clean_line(resource.uri, 500)}"
            self._page.item(f"  {'  '.join(filter(None, parts))}", bold=name)
        self._end_list("resources", len(resources), problems)

    async def skills(self, rest: str) -> None:
        """/skills"""
        skills, problems = await self._host.pool.skills(rest or None)
        for skill in skills[:_LISTED]:
            about = first_line(skill.description)
            self._page.item(f"  {about}", bold=title(skill.server, skill.name))
        self._end_list("skills", len(skills), problems)

    def _end_list(self, what: str, count: int, problems: Sequence[str]) -> None:
        self._page.items(clean_line(problem, 300) for problem in problems)
        if count > _LISTED:
            self._page.item(f"… and {count - _LISTED} more; name a server to see its own")
        elif not count:
            self._page.item(f"no {what}; /servers tells how the servers are")

    async def login(self, rest: str) -> None:
        """/login"""
        log_in = self._around.login
        if not rest:
            known = ", ".join(self._names()) or "none"
            self._page.item(f"as in /login SERVER; there is {known}")
        elif rest not in [health.name for health in self._host.pool.health()]:
            self._no_server(rest)
        elif log_in is None:
            self._page.item(f"run this in another terminal: agent-host servers login {rest}")
        else:
            self._page.item(await log_in(rest))

    async def reload(self, rest: str) -> None:
        """/reload"""
        if self._around.reload is None:
            self._page.item("there is no servers.toml to read again here")
        else:
            self._page.item(clean_line(await self._around.reload(), 1000))
