"""A live server beside its pins: what is as it was, what is not, and what a human would accept.

Theory of operation: compared is what the file held when it was read, so that what this very process
has pinned counts as new. Everything that a server can change unseen is an item: its command or URL,
what it calls itself, its instructions, each prompt and each tool. What a human accepts is what the
review shows, whatever the server says a moment later.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agent_host.core.types import JsonObject, Tool
from agent_host.servers import differences
from agent_host.servers.lock import Lock, spec_hash
from agent_host.servers.pinned import Pinned
from agent_host.servers.spec import Spec

Kind = Literal["server", "instructions", "prompt", "tool"]
State = Literal["known", "new", "changed", "gone", "lost", "noted"]
"""`gone`: pinned, and not there now; `lost`: its pin cannot be read; `noted`: it changed, which is
recorded and withholds nothing."""

INSTRUCTIONS = "server/instructions"
PROMPT = "prompts/"
"""Before a prompt's name, so that it is no tool's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that is pinned. `name`: a tool's own name, `prompts/NAME`, `server/instructions`,
    or `server/` and what of it; `before` and `after`: its parts as text; `signs`: what to look at,
    clean."""

    kind: Kind
    name: str
    state: State
    before: Mapping[str, str]
    after: Mapping[str, str]
    signs: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield how it differs, or all of it if there was nothing before; clean."""
        yield from differences.lines(dict(self.before), dict(self.after))


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What a server says now."""

    title: str
    version: str
    instructions: str
    tools: tuple[Tool, ...]
    prompts: Mapping[str, JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The items of a server, and what it said when they were made."""

    spec: Spec
    items: tuple[Item, ...]
    live: Live

    def named(self, names: Collection[str]) -> tuple[Item, ...]:
        """Return the items of these names; all for no name."""
        return tuple(item for item in self.items if not names or item.name in names)


def review(spec: Spec, before: Pinned, live: Live, signs: Mapping[str, tuple[str, ...]]) -> Review:
    """Compare. `signs`: by own name of a tool."""
    lost = before.lost
    items = [*_server(spec, before, live), _instructions(before, live)]
    items += _things("prompt", before.prompts, live.prompts, lost=lost)
    names = sorted({*before.tools, *(tool.tool for tool in live.tools)})
    now = {tool.tool: tool for tool in live.tools}
    for name in names:
        old, new = before.tools.get(name), now.get(name)
        same = old is not None and new is not None and old.fingerprint == new.fingerprint
        items.append(
            Item(
                kind="tool",
                name=name,
                state=_state(old, new, same=same, lost=lost),
                before=differences.tool_parts(old) if old is not None else {},
                after=differences.tool_parts(new) if new is not None else {},
                signs=signs.get(name, ()),
            )
        )
    return Review(spec=spec, items=tuple(items), live=live)


def accept(lock: Lock, seen: Review, names: Collection[str]) -> None:
    """Pin what a review shows under these names, or all of it."""
    chosen = seen.named(names)
    if not names and lock.pinned(seen.spec.name).lost:
        lock.accept(
            seen.spec,
            seen.live.tools,
            prompts=seen.live.prompts,
            instructions=seen.live.instructions,
            whole=True,
        )
        return
    tools = {item.name for item in chosen if item.kind == "tool"}
    prompts = {item.name for item in chosen if item.kind == "prompt"}
    lock.accept(
        seen.spec,
        [tool for tool in seen.live.tools if tool.tool in tools],
        gone=[item.name for item in chosen if item.kind == "tool" and item.state == "gone"],
        gone_prompts=[
            item.name.removeprefix(PROMPT)
            for item in chosen
            if item.kind == "prompt" and item.state == "gone"
        ],
        prompts={n: p for n, p in seen.live.prompts.items() if PROMPT + n in prompts},
        instructions=(
            seen.live.instructions if any(i.kind == "instructions" for i in chosen) else None
        ),
    )


def _server(spec: Spec, before: Pinned, live: Live) -> Iterator[Item]:
    hashed = spec_hash(spec)
    if before.spec and before.spec != hashed:
        yield _fact("command or URL", before.spec[:16], hashed[:16], "changed")
    if before.title and live.title != before.title:
        yield _fact("name", before.title, live.title, "changed")
    if before.version and live.version != before.version:
        yield _fact("version", before.version, live.version, "noted")


def _fact(what: str, old: str, new: str, state: State) -> Item:
    return Item(
        kind="server", name=f"server/{what}", state=state, before={what: old}, after={what: new}
    )


def _instructions(before: Pinned, live: Live) -> Item:
    old, new = before.instructions, live.instructions
    return Item(
        kind="instructions",
        name=INSTRUCTIONS,
        state=_state(old, new, same=old == new, lost=before.lost),
        before={"instructions": old} if old else {},
        after={"instructions": new} if new else {},
    )


def _things(
    kind: Kind, before: Mapping[str, JsonObject], now: Mapping[str, JsonObject], *, lost: bool
) -> Iterator[Item]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        yield Item(
            kind=kind,
            name=PROMPT + name,
            state=_state(old, new, same=old == new, lost=lost),
            before=differences.prompt_parts(old),
            after=differences.prompt_parts(new),
        )


def _state(old: object, new: object, *, same: bool, lost: bool) -> State:
    if lost:
        return "lost"
    if new is None:
        return "gone"
    if old is None:
        return "new"
    return "known" if same else "changed"
