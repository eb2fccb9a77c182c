"""The tools of one server: what it listed, what of that may be offered, and what changed.

Theory of operation: a list replaces the one before it, be that of an earlier connection or of
servers.lock. Each list, the first and the hundredth alike, is judged against the pins: what is not
as pinned is withheld, said once, and comes back when it is as it was or a human accepts it.
Definitions are judged in slices, so that a server with thousands of tools does not stop the others.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from agent_host.core.catalogue import changes
from agent_host.core.events import ServerLog, ToolsChanged
from agent_host.core.text import clean_line
from agent_host.core.types import Tool
from agent_host.ports import Observer
from agent_host.servers.differences import what_to_do, why
from agent_host.servers.lock import Met
from agent_host.servers.pinned import Withheld
from agent_host.servers.spec import Spec
from agent_host.servers.tools.definitions import PROBLEMS_KEPT, read_definitions
from agent_host.servers.tools.labelling import labels_of
from agent_host.servers.tools.leaking import WHY, tool_leaks

PROBLEMS_TOLD = 3
"""Problems with a server's tools, above which only the first and their number are told."""
CHANGES_TOLD = 3
"""Changed tools that are told one by one; of more only the names."""
VET_SLICE = 0.005
"""Seconds for which definitions are judged before other tasks get a turn."""
_NAMES = 20

Judge = Callable[[Spec, tuple[Tool, ...]], Met]
"""Says which tools of a list may be offered."""


def trusting(_: Spec, listed: tuple[Tool, ...]) -> Met:
    """The judge of a pool without pins."""
    return Met(tools=listed)


class Offer:
    """What the server of `spec` offers. `remembered`: what it was seen to offer, None if it was
    never seen. `now` is a monotonic clock in seconds. `changed` is called when the tools are other
    ones, before anybody is told. `notes`: what was told about its pins."""

    def __init__(
        self,
        spec: Spec,
        observe: Observer,
        now: Callable[[], float],
        changed: Callable[[], None],
        *,
        remembered: tuple[Tool, ...] | None,
        judge: Judge,
    ) -> None:
        self._spec = spec
        self._observe = observe
        self._now = now
        self._changed = changed
        self._judge = judge
        self.tools = self._included(remembered or ())
        self.listed: tuple[Tool, ...] = ()
        self.withheld: Mapping[str, Withheld] = {}
        self.problems: tuple[str, ...] = ()
        self.is_known = remembered is not None
        self.notes: tuple[str, ...] = ()
        self._told: dict[str, None] = {}
        self._moved = False

    async def take(self, raw: list[Any], noted: tuple[str, ...]) -> None:
        """Take over a list that the server sent. `noted`: what was wrong with the list itself."""
        problems = list(noted)
        listed: list[Tool] = []
        since = self._now()
        for tool in read_definitions(self._spec, raw, problems):
            if tool_leaks(self._spec, tool):
                problems.append(f"the definition of {clean_line(tool.tool, 80)} {WHY}")
            else:
                listed.append(tool)
            if self._now() - since > VET_SLICE:
                await asyncio.sleep(0)
                since = self._now()
        self._note_problems(tuple(dict.fromkeys(problems))[:PROBLEMS_KEPT])
        self._replace(tuple(listed))

    def judge_again(self) -> None:
        """Judge the last list anew, because pins changed."""
        if self.is_known and self.listed:
            self._replace(self.listed)

    def _replace(self, listed: tuple[Tool, ...]) -> None:
        first = not self.is_known
        before = {tool.tool: tool.fingerprint for tool in self.tools}
        was_withheld = self.withheld
        met = self._judge(self._spec, listed)
        self.listed, self.tools, self.is_known = listed, self._included(met.tools), True
        self.withheld = {
            one.tool.tool: one for one in met.withheld if _includes(self._spec, one.tool)
        }
        self._tell_moved(met)
        after = {tool.tool: tool.fingerprint for tool in self.tools}
        added, removed, changed = changes(before, after)
        withheld = tuple(name for name in self.withheld if name not in was_withheld)
        other = bool(added or removed or changed)
        if first or other or withheld or was_withheld.keys() != self.withheld.keys():
            self._changed()
        if (other and not first) or withheld:
            self._observe(
                ToolsChanged(
                    server=self._spec.name,
                    added=() if first else added,
                    removed=removed,
                    changed=changed,
                    withheld=withheld,
                )
            )
        self._tell_withheld()

    def _tell_moved(self, met: Met) -> None:
        if met.moved and not self._moved:
            self._moved = True
            self._note(
                "is configured with another command or URL than when it was pinned; what it "
                "offers is compared with what was pinned"
            )

    def _tell_withheld(self) -> None:
        """Say what is withheld: each tool once, however often it changes after that."""
        new = [one for name, one in self.withheld.items() if name not in self._told]
        self._told.update(dict.fromkeys(one.tool.tool for one in new))
        lost = [one for one in new if one.why == "lost"]
        if lost:
            self._note(
                f"its {len(lost)} tools are withheld: what they were cannot be read from "
                f"servers.lock; {what_to_do(self._spec.name)}"
            )
        others = [one for one in new if one.why != "lost"]
        for one in others[:CHANGES_TOLD]:
            self._note(f"withheld: {why(one)}; {what_to_do(self._spec.name, one.tool.tool)}")
        if rest := [one.tool.tool for one in others[CHANGES_TOLD:]]:
            names = clean_line(", ".join(rest[:_NAMES]), 300)
            more = f" and {len(rest) - _NAMES} more" if len(rest) > _NAMES else ""
            self._note(f"withheld as well: {names}{more}; {what_to_do(self._spec.name)}")

    def _note(self, text: str) -> None:
        self.notes = (*self.notes, text)
        self._warn(text)

    def _warn(self, text: str) -> None:
        self._observe(ServerLog(server=self._spec.name, level="warning", text=text))

    def _note_problems(self, problems: tuple[str, ...]) -> None:
        new = [text for text in problems if text not in self.problems]
        self.problems = problems
        if len(new) > PROBLEMS_TOLD:
            more = f"and {len(new) - 1} more; `agent-host servers test {self._spec.name}`"
            new = [f"{new[0]} ({more} shows them)"]
        for text in new:
            self._warn(text)

    def _included(self, tools: Iterable[Tool]) -> tuple[Tool, ...]:
        """The tools that the config includes, with what the config says of their server."""
        spec = self._spec
        return tuple(
            replace(
                tool,
                trusted=spec.trust_annotations,
                parallel=spec.parallel,
                labels=labels_of(spec, tool),
            )
            for tool in tools
            if _includes(spec, tool)
        )


def _includes(spec: Spec, tool: Tool) -> bool:
    return any(fnmatchcase(tool.tool, glob) for glob in spec.include) and not any(
        fnmatchcase(tool.tool, glob) for glob in spec.exclude
    )
