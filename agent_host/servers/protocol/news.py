"""How the host hears that what a server offers has changed.

Theory of operation: up to 2025-11-25 a server tells by itself, and is asked about each resource
(`resources/subscribe`). From 2026-07-28 on there is one request that stays open
(`subscriptions/listen`), which names all that the host wants to hear; it is opened again when it
ends, and then everything counts as changed, because what happened meanwhile was not heard. The
notifications are the same in both, and each is only a reason to look again. Lists are kept until
then where the server says that it tells. Sources: MCP 2025-11-25 server/resources; SEP-2575.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from agent_host.core.types import JsonObject
from agent_host.servers.frames import LISTEN, Gate
from agent_host.servers.protocol.handshake import Agreed
from agent_host.servers.protocol.requests import Requests
from agent_host.servers.spec import Hooks, Reply

RELISTEN_PAUSE = 1.0
"""Seconds until a subscription that ended is opened again; doubles up to RELISTEN_MOST."""
RELISTEN_MOST = 60.0
LISTENED = 10.0
"""Seconds that a subscription must have lived for the pause to start over."""
ANSWER_SECONDS = 10.0
"""Seconds that a server has to say that it will tell."""
MAX_WATCHED = 200
"""Resources of one server whose updates are heard."""
LISTS = ("tools", "prompts", "resources")
LOG_LEVEL = "info"
"""From which level on a server is asked to log, if it logs over the protocol."""


class News:
    """What is heard over one connection."""

    def __init__(self, requests: Requests, gate: Gate, hooks: Hooks) -> None:
        self._requests = requests
        self._gate = gate
        self._hooks = hooks
        self._agreed: Agreed | None = None
        self._ids = itertools.count(1)
        self._again = asyncio.Event()
        self._acknowledged = False
        self._kept: dict[str, Any] = {}
        for name in LISTS:
            gate.hear(f"notifications/{name}/list_changed", self._changed(name))
        gate.hear("notifications/resources/updated", self._updated)
        gate.hear("notifications/subscriptions/acknowledged", self._acknowledge)

    def begin(self, agreed: Agreed) -> None:
        """Take note of what the server tells of."""
        self._agreed = agreed
        if agreed.offers("logging"):
            self._requests.want_logs(LOG_LEVEL)

    async def log_level(self, level: str) -> Reply:
        """See `spec.Connection`."""
        self._requests.want_logs(level)
        if self._requests.modern:
            return Reply(kind="result")
        return await self._ask("logging/setLevel", {"level": level})

    def keep(self, name: str, listed: Any) -> None:
        """Remember a list until the server says that it changed."""
        of = "resources" if name == "resourceTemplates" else name
        heard = not self._requests.modern or self._acknowledged
        if heard and self._agreed is not None and self._agreed.tells(of):
            self._kept[name] = listed

    def kept(self, name: str) -> Any:
        """The list that was kept, or None."""
        return self._kept.get(name)

    async def follow(self) -> None:
        """Ask to be told, for as long as the connection lives."""
        if self._requests.modern:
            await self._listen()
            return
        if self._agreed is not None and self._agreed.offers("logging"):
            await self.log_level(LOG_LEVEL)
        for uri in tuple(self._hooks.relations.watched):
            await self._ask("resources/subscribe", {"uri": uri})

    async def _ask(self, method: str, params: JsonObject) -> Reply:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._requests.ask(method, params)
        except TimeoutError:
            return Reply(kind="timeout", text=f"{method}: no answer within {ANSWER_SECONDS:g} s")

    async def watch(self, uri: str, changed: Callable[[], None] | None) -> Reply:
        """See `spec.Connection.watch_resource`."""
        watched = self._hooks.relations.watched
        if changed is None:
            if watched.pop(uri, None) is None:
                return Reply(kind="result")
        elif len(watched) >= MAX_WATCHED:
            return Reply(kind="error", text=f"more than {MAX_WATCHED} resources are not watched")
        else:
            watched[uri] = changed
        if self._requests.modern:
            self._again.set()
            return Reply(kind="result")
        method = "resources/unsubscribe" if changed is None else "resources/subscribe"
        return await self._ask(method, {"uri": uri})

    def _changed(self, name: str) -> Callable[[JsonObject], None]:
        def changed(_: JsonObject) -> None:
            self._forget(name)
            if name == "tools":
                self._hooks.tools_changed()
            elif name == "resources":
                self._hooks.resources_changed()

        return changed

    def _forget(self, name: str) -> None:
        self._kept.pop(name, None)
        if name == "resources":
            self._kept.pop("resourceTemplates", None)

    def _updated(self, params: JsonObject) -> None:
        uri = params.get("uri")
        if not isinstance(uri, str):
            return
        # It may be of a part of the resource that is watched.
        for known, changed in tuple(self._hooks.relations.watched.items()):
            if uri == known or uri.startswith(known.rstrip("/") + "/"):
                changed()

    def _acknowledge(self, _: JsonObject) -> None:
        if not self._acknowledged and self._requests.called:
            self._look_again()  # what a call has changed by now was not heard
        self._acknowledged = True

    def _wanted(self) -> JsonObject:
        wanted: JsonObject = {}
        if self._agreed is not None:
            wanted = {f"{n}ListChanged": True for n in LISTS if self._agreed.tells(n)}
        if watched := list(self._hooks.relations.watched):
            wanted["resourceSubscriptions"] = watched
        return wanted

    async def _listen(self) -> None:
        pause, now = 0.0, asyncio.get_running_loop().time
        while True:
            self._again.clear()
            wanted, began = self._wanted(), now()
            reply = await self._until_again(wanted) if wanted else None
            if reply is None:
                await self._again.wait()
                continue
            if reply.kind == "error" and not self._acknowledged:
                return  # the server does not offer it
            if self._requests.ended:
                return
            lived = self._acknowledged and now() - began > LISTENED
            pause = RELISTEN_PAUSE if lived else min(max(2 * pause, RELISTEN_PAUSE), RELISTEN_MOST)
            self._acknowledged = False
            self._kept.clear()
            await asyncio.sleep(pause)
            self._look_again()

    async def _until_again(self, wanted: JsonObject) -> Reply | None:
        """Listen until the server ends it (the reply) or the host wants to hear something else."""
        request_id = f"listen-{next(self._ids)}"
        ask = self._requests.ask(LISTEN, {"notifications": wanted}, request_id=request_id)
        again = self._again.wait()
        async with asyncio.TaskGroup() as group:
            answer, wake = group.create_task(ask), group.create_task(again)
            await asyncio.wait({answer, wake}, return_when=asyncio.FIRST_COMPLETED)
            ended = answer.done()
            answer.cancel()
            wake.cancel()
        return answer.result() if ended else None

    def _look_again(self) -> None:
        """What happened meanwhile was not heard."""
        self._hooks.tools_changed()
        self._hooks.resources_changed()
        for changed in tuple(self._hooks.relations.watched.values()):
            with contextlib.suppress(Exception):
                changed()
