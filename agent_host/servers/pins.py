"""What servers.lock means for the servers of a pool: what is offered, noted, told and saved.

Theory of operation: a pool asks here whether tools may be offered, has them labelled if something
about them has to be looked at, and lets note what a server said of itself. Without a lock nothing
is pinned and everything is offered. When another process, or a human in another terminal, changed
the file, every list is judged anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent_host.core.catalogue import exposed_name
from agent_host.core.events import ServerLog
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Tool
from agent_host.ports import Observer
from agent_host.servers.differences import brief, prompt_parts, what_to_do
from agent_host.servers.lock import Lock, Met, Remembered, ToolState
from agent_host.servers.pinned import Withheld, WithheldWhy
from agent_host.servers.review import Live, Review, review
from agent_host.servers.spec import Spec
from agent_host.servers.supervisor import Supervisor
from agent_host.servers.tools.signs import FLAGGED, Signs, first_sight, names_of_others, signs


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A tool that is not offered, by server and own name, and why, clean."""

    server: str
    tool: str
    why: str


class Pins:
    """The pins of a pool's servers. `lock`: None pins nothing."""

    def __init__(self, lock: Lock | None, observe: Observer) -> None:
        self.lock = lock
        self._observe = observe
        self._generation = 0
        self._signs = Signs()
        self._said: dict[str, None] = {}

    # -- what is offered -------------------------------------------------------------------

    def recall(self, spec: Spec) -> Remembered | None:
        """What is remembered of a server, if it is configured as it was."""
        return self.lock.recall(spec) if self.lock is not None else None

    def judge(self, spec: Spec, listed: tuple[Tool, ...]) -> Met:
        """Say which tools may be offered (`offer.Judge`)."""
        return self.lock.meet(spec, listed) if self.lock is not None else Met(tools=listed)

    def judge_prompts(self, server: str, prompts: Mapping[str, JsonObject]) -> dict[str, str]:
        """Return the prompts that may not be used, and why, for people."""
        if self.lock is None:
            return {}
        refused = self.lock.meet_prompts(server, prompts)
        pins = self.lock.pinned(server)
        if pins.lost:
            text = f"what it was cannot be read from servers.lock; {what_to_do(server)}"
            return dict.fromkeys(refused, text)
        whole = f"it is one more than servers.lock keeps of one server; {what_to_do(server)}"
        told = {}
        for name in refused:
            change = whole
            if name in pins.prompts:
                text = brief(prompt_parts(pins.prompts[name]), prompt_parts(prompts[name]))
                change = f"it is not as it was when it was pinned: {text}; {what_to_do(server)}"
            told[name] = change
        return told

    def pinned_prompt(self, server: str, name: str) -> bool:
        """Whether a prompt of that name was ever seen, as far as that is known."""
        if self.lock is None:
            return False
        pins = self.lock.pinned(server)
        return pins.lost or name in pins.prompts

    def looked_at(self, table: Mapping[str, Tool]) -> dict[str, Tool]:
        """Return a table of tools with the label `flagged` on those that have signs."""
        self._signs.take(tuple(table.values()))
        return {name: _flagged(tool) if self.signs(tool) else tool for name, tool in table.items()}

    def signs(self, tool: Tool) -> tuple[str, ...]:
        """What to look at in a tool of the table, as clean sentences."""
        return self._signs.of(tool)

    def judge_again(self, servers: Iterable[Supervisor]) -> None:
        """Judge all lists anew if somebody else changed a pin since."""
        if self.lock is None:
            return
        self.lock.refresh()
        if self.lock.generation != self._generation:
            self._generation = self.lock.generation
            for server in servers:
                server.judge_again()

    # -- what is said ----------------------------------------------------------------------

    @property
    def told(self) -> tuple[str, ...]:
        """What a person has to know and no health says, of which it is told only once."""
        lock = (self.lock.problem,) if self.lock is not None and self.lock.problem else ()
        return (*lock, *self._said)

    def begin(self) -> None:
        """Say what is wrong with the file."""
        if self.lock is not None and self.lock.problem:
            self._warn("", self.lock.problem)

    def refusal(self, servers: Mapping[str, Supervisor], name: str) -> str | None:
        """Why the tool of that exposed name is not offered, for whoever calls it, or None."""
        for server in servers.values():
            for own, one in server.offer.withheld.items():
                if exposed_name(server.spec.name, own) == name:
                    return refusal(one)
            for own in self._absent(server):
                if exposed_name(server.spec.name, own) == name:
                    return _refusal(server.spec.name, own, _ABSENT)
        return None

    def held_back(self, servers: Mapping[str, Supervisor]) -> tuple[HeldBack, ...]:
        """The tools that are not offered, and why."""
        live = [
            HeldBack(name, own, _WITHHELD[one.why])
            for name, server in servers.items()
            for own, one in server.offer.withheld.items()
        ]
        absent = [
            HeldBack(name, own, _ABSENT)
            for name, server in servers.items()
            for own in self._absent(server)
        ]
        return (*live, *absent)

    def _absent(self, server: Supervisor) -> Iterable[str]:
        """The tools that were not there as pinned when a server that is not up yet was seen."""
        if self.lock is None or server.live is not None:
            return ()
        return self.lock.pinned(server.spec.name).absent

    def note(self, server: Supervisor, resources: bool | None) -> None:
        """Take over what a server that is up said of itself, and say what is worth a look."""
        lock, connection = self.lock, server.connection
        if lock is None or connection is None:
            return
        name, known, said = server.spec.name, connection.known, connection.instructions
        held = lock.before(name)
        if lock.instructions(name, said) == "changed" and not held.lost:
            self._say(name, f"its instructions changed; {what_to_do(name)}")
        if held.title and connection.title and connection.title != held.title:
            titles = f"{clean_line(connection.title, 80)}, and {clean_line(held.title, 80)} before"
            self._say(name, f"calls itself {titles}")
        lock.remember(
            server.spec,
            known.version,
            known.protocol,
            title=connection.title,
            discovered=known.discovered or {},
            instructions=said,
            resources=resources,
        )

    def tell_signs(self, servers: Iterable[Supervisor]) -> None:
        """Say what to look at in definitions that were not seen before as they are. Of all
        servers, because what one came with may be about what another brings later."""
        for server in servers if self.lock is not None else ():
            self._tell_signs(server)

    def _tell_signs(self, server: Supervisor) -> None:
        name = server.spec.name
        found = [
            text
            for tool in server.tools
            if tool.is_new
            for text in self._signs.found.get((name, tool.tool), ())
        ]
        changed = [one.tool for one in server.offer.withheld.values() if one.why == "changed"]
        if changed:
            others = names_of_others(self._signs.tools, name)
            found += [text for tool in changed for text in signs(tool, others)]
        for text in first_sight(found):
            self._say(name, text)

    def _say(self, server: str, text: str) -> None:
        said = f"{server}: {text}"
        if said not in self._said:
            self._said[said] = None
            self._warn(server, text)

    def _warn(self, server: str, text: str) -> None:
        self._observe(ServerLog(server=server, level="warning", text=text))

    def review(self, server: Supervisor, prompts: Mapping[str, JsonObject]) -> Review | None:
        """Put a live server beside its pins; None without a lock or a connection."""
        connection = server.connection
        if self.lock is None or connection is None:
            return None
        name = server.spec.name
        others = names_of_others(self._signs.tools, name)
        found = {tool.tool: self.signs(tool) for tool in server.tools}
        found |= {own: signs(one.tool, others) for own, one in server.offer.withheld.items()}
        live = Live(
            title=connection.title,
            version=connection.version,
            instructions=connection.instructions,
            tools=server.offer.listed,
            prompts=prompts,
        )
        return review(server.spec, self.lock.before(name), live, found)

    # -- what is kept ----------------------------------------------------------------------

    def states(self, servers: Iterable[Supervisor]) -> dict[tuple[str, str], ToolState]:
        """By server and own name: whether a live tool is as it was when it was first seen."""
        found: dict[tuple[str, str], ToolState] = {}
        for server in servers if self.lock is not None else ():
            if not server.offer.listed:
                continue
            name = server.spec.name
            found |= {(name, t.tool): "new" if t.is_new else "known" for t in server.tools}
            found |= {(name, own): "changed" for own in server.offer.withheld}
        return found

    def save(self, servers: Sequence[Supervisor]) -> None:
        """Write the file if something changed, and go on from what others wrote."""
        if self.lock is None:
            return
        if (problem := self.lock.save()) is not None:
            self._warn("", problem)
        self.judge_again(servers)


def difference(server: Supervisor, tool: Tool) -> str | None:
    """How the live definition differs from `tool`, for whoever called it, or None."""
    live = (server.live or {}).get(tool.tool)
    if live is None and (withheld := server.offer.withheld.get(tool.tool)) is not None:
        return refusal(withheld)
    if live is None:
        return f"The server no longer offers {tool.tool}; the call was not made."
    if live.fingerprint != tool.fingerprint:
        return f"The definition of {tool.tool} changed since it was offered; the call was not made."
    return None


def refusal(withheld: Withheld) -> str:
    """What a call of a withheld tool is told: nothing of what the server says now, because it may
    be said to a model."""
    tool = withheld.tool
    return _refusal(tool.server, tool.tool, _WITHHELD[withheld.why])


def _refusal(server: str, own: str, because: str) -> str:
    return (
        f"The call was not made: {own} is withheld, because {because}. Only the user can allow "
        f"it: {what_to_do(server, own)}."
    )


_ABSENT = "it was not there as it was pinned when its server was seen last"
_WITHHELD: dict[WithheldWhy, str] = {
    "changed": "its definition is not as it was when it was pinned",
    "lost": "what it was cannot be read from servers.lock",
    "full": "its server has more tools than servers.lock keeps",
}


def _flagged(tool: Tool) -> Tool:
    return replace(tool, labels=tuple(sorted({*tool.labels, FLAGGED})))
