"""What host and server agree on before anything else: a version, and who can do what.

Theory of operation: servers up to 2025-11-25 want `initialize`; those from 2026-07-28 on want
nothing, and answer `server/discover`. By itself the host asks for the latter with a budget of its
own; whatever is no clear yes means `initialize`, and an outage is no answer either way. What a
server was known as saves the question: an old one is initialized at once, a modern one is asked for
its tools at once, with the remembered answer to `server/discover`. Memory is only believed until
something speaks against it. A version in the config is asked for exactly. Sources: MCP 2025-11-25
basic/lifecycle; 2026-07-28 basic/versioning and server/discover.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.servers.frames import Gate
from agent_host.servers.protocol.requests import CLIENT, META, Requests, stamped
from agent_host.servers.sdk import HANDSHAKE_VERSIONS, MODERN_VERSIONS
from agent_host.servers.spec import ConnectFailedError, Hooks, HttpSpec, Known, Reply, Spec
from agent_host.servers.transports.fate import fate_of
from agent_host.servers.transports.http import failure_facts

PROBE_SHARE = 0.4
"""The part of the connect budget that the question for a modern server may use, and at most:"""
PROBE_MOST = 3.0
MAX_INSTRUCTIONS = 16 * 1024
TASKS = META + "tasks"
SKILLS = META + "skills"
_NO_ELICITATION = ("2024-11-05", "2025-03-26")
_NO_URLS = "2025-06-18"
_MAX_NAME = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What was agreed on. `server_name`, `server_version`, `instructions`: what the server says of
    itself, as it came. `remembered`: nothing was asked, so that nothing of it is sure."""

    version: str
    capabilities: JsonObject
    server_name: str = ""
    server_version: str = ""
    instructions: str = ""
    discovered: JsonObject | None = None
    remembered: bool = False

    def offers(self, name: str) -> bool:
        """Whether the server has a capability, as `tools`."""
        return isinstance(self.capabilities.get(name), dict)

    def tells(self, name: str, key: str = "listChanged") -> bool:
        """Whether the server says so of a capability of its own."""
        held = self.capabilities.get(name)
        return isinstance(held, dict) and held.get(key) is True

    def extends(self, name: str) -> bool:
        """Whether the server has an extension."""
        held = self.capabilities.get("extensions")
        return isinstance(held, dict) and name in held


class Handshake:
    """Agrees with one server."""

    def __init__(self, requests: Requests, gate: Gate, spec: Spec, hooks: Hooks) -> None:
        self._requests = requests
        self._gate = gate
        self._spec = spec
        self._hooks = hooks

    async def agree(self, known: Known | None) -> Agreed:
        """Agree, and have requests sent accordingly. Raises ConnectFailedError."""
        self._requests.speak("", {})
        agreed = await self._agree(known)
        self._requests.speak(agreed.version, self.capabilities(agreed.version))
        if agreed.version in HANDSHAKE_VERSIONS:
            await self._requests.tell("notifications/initialized")
        return agreed

    def capabilities(self, version: str) -> JsonObject:
        """What the host says that it can do. Only what will be answered; no `ui`, which a terminal
        cannot show."""
        held: JsonObject = {}
        if self._hooks.elicitation and version not in _NO_ELICITATION:
            held["elicitation"] = {} if version == _NO_URLS else {"form": {}, "url": {}}
        if self._spec.sampling:
            held["sampling"] = {}
        if self._spec.roots:
            held["roots"] = {}
        if version in MODERN_VERSIONS:
            held["extensions"] = {TASKS: {}, SKILLS: {}}
        return held

    async def _agree(self, known: Known | None) -> Agreed:
        wanted = self._spec.protocol
        if isinstance(self._spec, HttpSpec) and self._spec.sse and wanted == "auto":
            wanted = "legacy"  # that transport is older than the question
        if wanted in MODERN_VERSIONS:
            return await self._pinned(wanted)
        if wanted in HANDSHAKE_VERSIONS:
            return await self._initialize(wanted, probe=False)
        if wanted == "legacy":
            return await self._initialize(HANDSHAKE_VERSIONS[-1], probe=False)
        if wanted != "auto":
            spoken = ", ".join((*HANDSHAKE_VERSIONS, *MODERN_VERSIONS))
            raise ConnectFailedError(f"protocol = {wanted}: the host speaks {spoken}; correct it")
        if known is not None and known.protocol in HANDSHAKE_VERSIONS:
            return await self._initialize(HANDSHAKE_VERSIONS[-1], probe=True)
        if known is not None and (agreed := _remembered(known)) is not None:
            return agreed
        return await self.probe()

    async def _pinned(self, version: str) -> Agreed:
        reply = await self._discover(version)
        if reply.kind != "result":
            raise self._gone(reply)
        found = discovered(reply.raw)
        if found is None:
            raise ConnectFailedError(
                f"handshake failed: it does not speak {version}, which `protocol` asks for"
            )
        return found

    async def _discover(self, version: str) -> Reply:
        capabilities = self.capabilities(version)
        return await self._requests.ask(
            "server/discover", meta=stamped(version, capabilities), version=version
        )

    async def refreshed(self) -> Agreed | None:
        """What a modern server says of itself now, if it says it."""
        reply = Reply(kind="timeout")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROBE_MOST):
                reply = await self._discover(self._requests.version)
        return discovered(reply.raw) if reply.kind == "result" else None

    async def probe(self, version: str = MODERN_VERSIONS[-1], *, again: bool = True) -> Agreed:
        """Ask whether the server is a modern one; agree with what it is. Raises
        ConnectFailedError."""
        budget = min(self._spec.connect_timeout * PROBE_SHARE, PROBE_MOST)
        try:
            async with asyncio.timeout(budget):
                reply = await self._discover(version)
        except TimeoutError:
            self._gate.forget("server/discover")
        else:
            if reply.kind == "refused":
                raise self._gone(reply)
            if reply.kind == "result" and (found := discovered(reply.raw)) is not None:
                return found
            if again and (mutual := _mutual(reply, MODERN_VERSIONS)):
                return await self.probe(mutual, again=False)
        return await self._initialize(HANDSHAKE_VERSIONS[-1], probe=again)

    async def _initialize(self, version: str, *, probe: bool, again: bool = True) -> Agreed:
        params: JsonObject = {
            "protocolVersion": version,
            "capabilities": self.capabilities(version),
            "clientInfo": CLIENT,
        }
        reply = await self._requests.ask("initialize", params)
        if reply.kind == "result":
            return self._initialized(reply.raw, version)
        if again and (older := _mutual(reply, HANDSHAKE_VERSIONS)) not in (None, version):
            return await self._initialize(str(older), probe=probe, again=False)
        # The late answer to a question can lock a slow server to the modern protocol; and one that
        # was old when it was last seen may have become a modern one.
        if probe and reply.kind == "error" and not fate_of(reply.data):
            modern = _mutual(reply, MODERN_VERSIONS) or MODERN_VERSIONS[-1]
            second = await self._discover(modern)
            if second.kind == "result" and (found := discovered(second.raw)) is not None:
                return found
        raise self._gone(reply)

    def _initialized(self, raw: JsonObject, asked: str) -> Agreed:
        version = raw.get("protocolVersion")
        if version not in HANDSHAKE_VERSIONS:
            shown = clean_line(str(version), 40)
            raise ConnectFailedError(
                f"handshake failed: Unsupported protocol version from the server: {shown}"
            )
        if self._spec.protocol == asked != version:
            told = f"was asked for protocol {asked} and answered with {version}"
            self._gate.note("version", told)
        info = _object(raw.get("serverInfo"))
        return Agreed(
            version=str(version),
            capabilities=_object(raw.get("capabilities")),
            server_name=_text(info.get("name")),
            server_version=_text(info.get("version")),
            instructions=_text(raw.get("instructions"))[:MAX_INSTRUCTIONS],
        )

    def _gone(self, reply: Reply) -> ConnectFailedError:
        silent = not (self._gate.answered or self._gate.gave_up)
        text = clean_line(f"handshake failed: {reply.text}", 600)
        return ConnectFailedError(text, silent=silent, **failure_facts(reply.data))


def discovered(raw: JsonObject) -> Agreed | None:
    """What an answer to `server/discover` says, or None if it shares no version with the host."""
    named = raw.get("supportedVersions")
    versions = named if isinstance(named, list) else []
    version = next((v for v in reversed(MODERN_VERSIONS) if v in versions), None)
    if version is None or not isinstance(raw.get("capabilities"), dict):
        return None
    instructions = _text(raw.get("instructions"))[:MAX_INSTRUCTIONS]
    info = {"name": _text(_info(raw).get("name"))[:_MAX_NAME], "version": said_version(raw)}
    return Agreed(
        version=version,
        capabilities=raw["capabilities"],
        server_name=info["name"],
        server_version=info["version"],
        instructions=instructions,
        discovered={
            "supportedVersions": [version],
            "capabilities": raw["capabilities"],
            "instructions": instructions,
            "_meta": {META + "serverInfo": info},
        },
    )


def said_version(raw: JsonObject) -> str:
    """The server's own version as a result of the modern protocol carries it; may be empty."""
    return _text(_info(raw).get("version"))


def _info(raw: JsonObject) -> JsonObject:
    return _object(_object(raw.get("_meta")).get(META + "serverInfo") or raw.get("serverInfo"))


def disproved(reply: Reply) -> bool:
    """Whether a first answer shows that the server is not the modern one that it was."""
    if reply.kind == "result":
        return not isinstance(reply.raw.get("resultType"), str)
    return reply.kind == "error" or reply.data.get("httpStatus") in (400, 404, 405, 406)


def _remembered(known: Known) -> Agreed | None:
    if known.protocol not in MODERN_VERSIONS or known.discovered is None:
        return None
    agreed = discovered(known.discovered)
    if agreed is None or not agreed.offers("tools"):
        return None  # nothing would be asked that could prove it wrong
    return Agreed(
        version=agreed.version,
        capabilities=agreed.capabilities,
        server_name=agreed.server_name,
        server_version=known.version,
        instructions=agreed.instructions,
        discovered=agreed.discovered,
        remembered=True,
    )


def _mutual(reply: Reply, ours: tuple[str, ...]) -> str | None:
    """The newest version of ours that a server names when it refuses the one it was asked for."""
    named = reply.data.get("supported")
    if reply.kind != "error" or not isinstance(named, list):
        return None
    return next((version for version in reversed(ours) if version in named), None)


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
