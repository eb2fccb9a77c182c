"""What servers offer besides tools: resources, prompts, completion, skills.

Theory of operation: nothing here is fetched before somebody asks, and none of it goes to a model by
itself. Items are read one by one like tools are: one that makes no sense is left out and said, and
never costs the others. What comes back is raw text in bounded values; it is cleaned where it is
shown. Reading changes nothing, so what surely did not arrive is asked once more. A server that is
not there, does not have it, or answers with an error is a `Failed`. Sources: MCP 2025-11-25 and
2026-07-28, server/resources, server/prompts, server/utilities/completion; SEP-2640.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from agent_host.core.text import clean_line, clip
from agent_host.core.types import Content, JsonObject, Message, Principal
from agent_host.servers.frames import sound
from agent_host.servers.pins import Pins
from agent_host.servers.spec import Connection, Reply
from agent_host.servers.supervisor import Supervisor
from agent_host.servers.tools.labelling import PROMPTS, READ, configured, labels_in
from agent_host.servers.tools.leaking import WHY, leaks
from agent_host.servers.tools.results import content_of

if TYPE_CHECKING:
    from agent_host.servers.protocol.skills import Skill

SKILLS_MODULE = "agent_host.servers.protocol.skills"
"""Loaded when the first skill is asked for, because of what it imports."""
MAX_NAME = 300
MAX_URI = 8192
MAX_DESCRIPTION = 4000
MAX_ARGUMENTS = 100
MAX_MESSAGES = 500
MAX_COMPLETIONS = 100
"""Values of one completion (MCP server/utilities/completion)."""
MAX_REASON = 2000

FailedKind = Literal[
    "unknown_server", "server_unavailable", "timeout", "error", "unverified", "changed"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceInfo:
    """A resource, or (`template`) many: `uri` is then a template (RFC 6570). `size` in bytes."""

    server: str
    uri: str
    name: str
    title: str = ""
    description: str = ""
    media_type: str = ""
    size: int | None = None
    template: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptArgument:
    """What a prompt can be given."""

    name: str
    description: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptInfo:
    """A prompt."""

    server: str
    name: str
    title: str = ""
    description: str = ""
    arguments: tuple[PromptArgument, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why there is nothing. `unverified`: what came is not what was announced; `changed`: not what
    was pinned. `text` is clean."""

    kind: FailedKind
    text: str


_T = TypeVar("_T")
Labelled = tuple[_T, tuple[str, ...]]
"""Something, and the labels that it brings into a conversation, sorted."""


class Offers:
    """What the servers by name offer."""

    def __init__(self, servers: Mapping[str, Supervisor], pins: Pins) -> None:
        self._servers = servers
        self._pins = pins

    async def resources(
        self, server: str | None
    ) -> tuple[tuple[ResourceInfo, ...], tuple[str, ...]]:
        """See `Pool.resources`."""
        plain, noted = await self._all("resources", server, _resource)
        templates, also = await self._all("resourceTemplates", server, _template)
        return (*plain, *templates), tuple(dict.fromkeys((*noted, *also)))

    async def prompts(self, server: str | None) -> tuple[tuple[PromptInfo, ...], tuple[str, ...]]:
        """See `Pool.prompts`."""
        infos, problems = await self._all("prompts", server, _prompt)
        refused = self._refused(infos)
        told = [
            f"{name}: the prompt {clean_line(own, 80)} is withheld: {text}"
            for (name, own), text in refused.items()
        ]
        kept = tuple(info for info in infos if (info.server, info.name) not in refused)
        return kept, (*problems, *told)

    async def all_prompts(self, server: str) -> dict[str, JsonObject]:
        """What is pinned of each prompt that a server lists, withheld or not, by name."""
        infos, _ = await self._all("prompts", server, _prompt)
        self._refused(infos)
        return {info.name: pinnable(info) for info in infos if not self._leaks(info)}

    def _leaks(self, info: PromptInfo) -> bool:
        return leaks(self._servers[info.server].spec, pinnable(info))

    def _refused(self, infos: Iterable[PromptInfo]) -> dict[tuple[str, str], str]:
        """Why prompts are not as pinned, by server and name; what was never seen is pinned."""
        by_server: dict[str, dict[str, JsonObject]] = {}
        refused: dict[tuple[str, str], str] = {}
        for info in infos:
            if self._leaks(info):
                refused[info.server, info.name] = f"it {WHY}"
            else:
                by_server.setdefault(info.server, {})[info.name] = pinnable(info)
        return refused | {
            (server, name): text
            for server, prompts in by_server.items()
            for name, text in self._pins.judge_prompts(server, prompts).items()
        }

    async def _unlike(self, server: str, name: str) -> str:
        """Why a prompt may not be used; empty if it may."""
        infos, problems = await self._all("prompts", server, _prompt)
        listed = any(info.name == name for info in infos)
        if not listed and self._pins.pinned_prompt(server, name):
            why = f" ({problems[0]})" if problems else ""
            return f"its server does not list it, so it cannot be compared with its pin{why}"
        return self._refused(infos).get((server, name), "")

    async def skills(self, server: str | None) -> "tuple[tuple[Skill, ...], tuple[str, ...]]":
        """See `Pool.skills`."""
        if server is None and not self._servers:
            return (), ()
        module: Any = import_module(SKILLS_MODULE)
        found: list[Skill] = []
        problems: list[str] = []
        for name, raw, noted in await self._raw("skills", server):
            told = list(noted)
            found += module.read_skills(name, raw, told)
            problems += [f"{name}: {text}" for text in told]
        return tuple(found), tuple(problems)

    async def read(
        self, server: str, uri: str, principal: Principal | None
    ) -> Labelled[tuple[Content, ...]] | Failed:
        """See `Pool.attachment`."""
        reply = await self._request(server, "resources/read", {"uri": uri}, principal)
        if isinstance(reply, Failed):
            return reply
        items = reply.raw.get("contents")
        if not isinstance(items, list):
            return Failed(kind="error", text="resources/read: the answer holds no contents")
        blocks = [{"type": "resource", "resource": item} for item in items]
        return content_of({"content": blocks})[0], self._labels(server, READ, reply.raw)

    def _labels(self, server: str, name: str, raw: JsonObject) -> tuple[str, ...]:
        """What a result of a server brings along: what the config says of such, and what the
        server does if it is trusted."""
        spec = self._servers[server].spec
        said = labels_in(raw) if spec.trust_annotations else ()
        return tuple(sorted({*configured(spec, name), *said}))

    async def read_skill(
        self, server: str, name: str, uri: str, principal: Principal | None
    ) -> str | Failed:
        """See `Pool.read_skill`."""
        skills, problems = await self.skills(server)
        skill = next((skill for skill in skills if skill.name == name), None)
        if skill is None:
            why = f" ({problems[0]})" if problems else ""
            missing = f"{server} offers no skill {clean_line(name, 80)}{why}"
            return Failed(kind=self._kind_of(server), text=missing)
        place = uri or skill.uri
        if skill.files is not None and place not in skill.files:
            return Failed(kind="error", text=f"{clean_line(place)} is no file of the skill {name}")
        reply = await self._request(server, "resources/read", {"uri": place}, principal)
        if isinstance(reply, Failed):
            return reply
        module: Any = import_module(SKILLS_MODULE)
        try:
            text: str = module.verified(skill, place, reply.raw.get("contents"))
        except ValueError as error:
            why = clean_line(str(error))
            return Failed(kind="unverified", text=f"{clean_line(place)} is not used: {why}")
        return text

    async def get_prompt(
        self, server: str, name: str, arguments: Mapping[str, str], principal: Principal | None
    ) -> Labelled[tuple[Message, ...]] | Failed:
        """See `Pool.filled_prompt`."""
        if text := await self._unlike(server, name):
            shown = clean_line(name, 80)
            return Failed(kind="changed", text=clip(f"{shown} is withheld: {text}", MAX_REASON))
        params = {"name": name, "arguments": dict(arguments)}
        reply = await self._request(server, "prompts/get", params, principal)
        if isinstance(reply, Failed):
            return reply
        raw = reply.raw.get("messages")
        messages = [_message(item) for item in raw[:MAX_MESSAGES]] if isinstance(raw, list) else []
        if not messages:
            return Failed(kind="error", text="prompts/get: the answer holds no messages")
        return tuple(messages), self._labels(server, PROMPTS, reply.raw)

    async def complete(
        self,
        ref: ResourceInfo | PromptInfo,
        argument: str,
        value: str,
        others: Mapping[str, str],
    ) -> tuple[str, ...]:
        """See `Pool.complete`."""
        connection = await self._connection(ref.server)
        if isinstance(connection, Failed) or not await connection.offers("completions"):
            return ()
        if isinstance(ref, PromptInfo):
            named = {"type": "ref/prompt", "name": ref.name}
        else:
            named = {"type": "ref/resource", "uri": ref.uri}
        params: JsonObject = {"ref": named, "argument": {"name": argument, "value": value}}
        if others:
            params["context"] = {"arguments": dict(others)}
        reply = await connection.request("completion/complete", params)
        held = reply.raw.get("completion")
        values = held.get("values") if isinstance(held, dict) else None
        listed = values if isinstance(values, list) else []
        return tuple(_text(v, MAX_NAME) for v in listed[:MAX_COMPLETIONS] if isinstance(v, str))

    async def watch(
        self, server: str, uri: str, changed: Callable[[], None] | None
    ) -> Failed | None:
        """See `Pool.watch_resource`."""
        connection = await self._connection(server)
        if isinstance(connection, Failed):
            return connection
        return _failed(server, await connection.watch_resource(uri, changed))

    async def log_level(self, server: str, level: str) -> Failed | None:
        """See `Pool.log_level`."""
        connection = await self._connection(server)
        if isinstance(connection, Failed):
            return connection
        return _failed(server, await connection.log_level(level))

    async def _all(
        self, kind: str, server: str | None, read: Callable[[str, JsonObject], _T | None]
    ) -> tuple[tuple[_T, ...], tuple[str, ...]]:
        found: list[_T] = []
        problems: list[str] = []
        for name, raw, noted in await self._raw(kind, server):
            items, bad = _read(name, raw, read)
            found += items
            problems += [f"{name}: {text}" for text in noted]
            if bad:
                problems.append(f"{name}: {bad} items of {kind} make no sense and are left out")
        return tuple(found), tuple(problems)

    async def _raw(
        self, kind: str, server: str | None
    ) -> list[tuple[str, list[Any], tuple[str, ...]]]:
        """The raw items of each server, or why there are none; all servers at once."""

        async def one(name: str, *, wait: bool) -> tuple[str, list[Any], tuple[str, ...]]:
            connection = await self._connection(name, wait=wait)
            if isinstance(connection, Failed):
                return name, [], (connection.text,)
            items, problems = await connection.listed(kind)
            return name, items, problems

        if server is not None:
            return [await one(server, wait=True)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name, wait=False)) for name in self._servers]
        return [task.result() for task in tasks]

    async def _connection(self, server: str, *, wait: bool = True) -> Connection | Failed:
        """A live connection. `wait`: also for one that has to be opened again first."""
        supervisor = self._servers.get(server)
        if supervisor is None:
            return Failed(kind="unknown_server", text=f"there is no server {clean_line(server)}")
        if wait:
            await supervisor.connected()
        else:
            await supervisor.settled()
        if (connection := supervisor.connection) is not None:
            return connection
        text = f"is not available: {clip(supervisor.reason(), MAX_REASON)}"
        return Failed(kind="server_unavailable", text=text)

    async def _request(
        self, server: str, method: str, params: JsonObject, principal: Principal | None
    ) -> Reply | Failed:
        reply = Reply(kind="refused")
        for _ in range(2):
            connection = await self._connection(server)
            if isinstance(connection, Failed):
                return connection
            reply = await connection.request(method, params, principal=principal)
            if reply.kind not in ("refused", "lost"):
                break
        return _failed(f"{server}: {method}", reply) or reply

    def _kind_of(self, server: str) -> FailedKind:
        return "error" if server in self._servers else "unknown_server"


def _failed(what: str, reply: Reply) -> Failed | None:
    if reply.kind == "result":
        return None
    text = clip(f"{what}: {reply.text}", MAX_REASON)
    if reply.kind in ("refused", "lost"):
        return Failed(kind="server_unavailable", text=text)
    return Failed(kind="timeout" if reply.kind == "timeout" else "error", text=text)


def _read(
    server: str, raw: Iterable[Any], read: Callable[[str, JsonObject], _T | None]
) -> tuple[list[_T], int]:
    """The items that make sense, each once, and how many do not."""
    found: dict[_T, None] = {}
    bad = 0
    for item in raw:
        made = read(server, item) if isinstance(item, dict) else None
        if made is None:
            bad += 1
        else:
            found[made] = None
    return list(found), bad


def _resource(server: str, item: JsonObject) -> ResourceInfo | None:
    uri, size = item.get("uri"), item.get("size")
    if not isinstance(uri, str) or not 0 < len(uri) <= MAX_URI:
        return None
    whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return _info(server, sound(uri), item, size=size if whole else None, template=False)


def _template(server: str, item: JsonObject) -> ResourceInfo | None:
    uri = item.get("uriTemplate")
    if not isinstance(uri, str) or not 0 < len(uri) <= MAX_URI:
        return None
    return _info(server, sound(uri), item, size=None, template=True)


def _info(
    server: str, uri: str, item: JsonObject, *, size: int | None, template: bool
) -> ResourceInfo:
    return ResourceInfo(
        server=server,
        uri=uri,
        name=_text(item.get("name"), MAX_NAME),
        title=_text(item.get("title"), MAX_NAME),
        description=_text(item.get("description"), MAX_DESCRIPTION),
        media_type=_text(item.get("mimeType"), 100),
        size=size,
        template=template,
    )


def _prompt(server: str, item: JsonObject) -> PromptInfo | None:
    name, listed = item.get("name"), item.get("arguments")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        return None
    arguments = listed[:MAX_ARGUMENTS] if isinstance(listed, list) else []
    return PromptInfo(
        server=server,
        name=sound(name),
        title=_text(item.get("title"), MAX_NAME),
        description=_text(item.get("description"), MAX_DESCRIPTION),
        arguments=tuple(
            PromptArgument(
                name=_text(one["name"], MAX_NAME),
                description=_text(one.get("description"), MAX_DESCRIPTION),
                required=one.get("required") is True,
            )
            for one in arguments
            if isinstance(one, dict) and isinstance(one.get("name"), str)
        ),
    )


def pinnable(info: PromptInfo) -> JsonObject:
    """What is pinned of a prompt."""
    return {
        "title": info.title,
        "description": info.description,
        "arguments": [asdict(argument) for argument in info.arguments],
    }


def _message(item: Any) -> Message:
    """A prompt's message; one that makes no sense becomes text, like content does."""
    made = item if isinstance(item, dict) else {"content": item}
    role: Literal["user", "assistant"] = "assistant" if made.get("role") == "assistant" else "user"
    content = made.get("content")
    return Message(role=role, content=content_of({"content": content})[0])


def _text(value: Any, limit: int) -> str:
    return sound(value[:limit]) if isinstance(value, str) else ""
