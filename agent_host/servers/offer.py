"""The tools of one server: what it listed, what of that the config includes, and what changed.

Theory of operation: a list replaces the one before it, be that of an earlier connection or of
servers.lock. Definitions are judged in slices, so that a server with thousands of tools does not
stop the others.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from agent_host.core.catalogue import changes
from agent_host.core.events import ServerLog, ToolsChanged
from agent_host.core.types import Tool
from agent_host.ports import Observer
from agent_host.servers.spec import Spec
from agent_host.servers.tools.definitions import PROBLEMS_KEPT, read_definitions

PROBLEMS_TOLD = 3
"""Problems with a server's tools, above which only the first and their number are told."""
VET_SLICE = 0.005
"""Seconds for which definitions are judged before other tasks get a turn."""


class Offer:
    """What the server of `spec` offers. `remembered`: what it was seen to offer, None if it was
    never seen. `now` is a monotonic clock in seconds. `changed` is called when the tools are other
    ones, before anybody is told."""

    def __init__(
        self,
        spec: Spec,
        observe: Observer,
        now: Callable[[], float],
        changed: Callable[[], None],
        remembered: tuple[Tool, ...] | None,
    ) -> None:
        self._spec = spec
        self._observe = observe
        self._now = now
        self._changed = changed
        self.tools = self._included(remembered or ())
        self.listed: tuple[Tool, ...] = ()
        self.problems: tuple[str, ...] = ()
        self.is_known = remembered is not None

    async def take(self, raw: list[Any], noted: tuple[str, ...]) -> None:
        """Take over a list that the server sent. `noted`: what was wrong with the list itself."""
        problems = list(noted)
        listed: list[Tool] = []
        since = self._now()
        for tool in read_definitions(self._spec, raw, problems):
            listed.append(tool)
            if self._now() - since > VET_SLICE:
                await asyncio.sleep(0)
                since = self._now()
        self._note_problems(tuple(dict.fromkeys(problems))[:PROBLEMS_KEPT])
        self._replace(tuple(listed))

    def _replace(self, listed: tuple[Tool, ...]) -> None:
        first = not self.is_known
        before = {tool.tool: tool.fingerprint for tool in self.tools}
        self.listed, self.tools, self.is_known = listed, self._included(listed), True
        after = {tool.tool: tool.fingerprint for tool in self.tools}
        added, removed, changed = changes(before, after)
        other = bool(added or removed or changed)
        if first or other:
            self._changed()
        if other and not first:
            server = self._spec.name
            self._observe(
                ToolsChanged(server=server, added=added, removed=removed, changed=changed)
            )

    def _note_problems(self, problems: tuple[str, ...]) -> None:
        new = [text for text in problems if text not in self.problems]
        self.problems = problems
        if len(new) > PROBLEMS_TOLD:
            more = f"and {len(new) - 1} more; `agent-host servers test {self._spec.name}`"
            new = [f"{new[0]} ({more} shows them)"]
        for text in new:
            self._observe(ServerLog(server=self._spec.name, level="warning", text=text))

    def _included(self, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        """The tools that the config includes, with what the config says of their server."""
        spec = self._spec
        return tuple(
            replace(tool, trusted=spec.trust_annotations, parallel=spec.parallel)
            for tool in tools
            if any(fnmatchcase(tool.tool, glob) for glob in spec.include)
            and not any(fnmatchcase(tool.tool, glob) for glob in spec.exclude)
        )
