"""One call of a tool, with everything that a server may do before it answers.

Theory of operation: `tools/call` is sent, and sent again where the protocol says so: with headers
that the server corrected, after URLs were visited that it wanted visited (-32042), with the state
of a leg that asked for nothing, with roots. Each of these is bounded. A result that asks a person
or the model for something ends the call for now (`paused`): whoever called remembers it, and calls
again with the answers. A server that does not know its state any more (it was started anew, or the
answer took long) is called from the start; what it asks once more gets the answer that was given. A
result that is a task is followed to its end. The call's time is `patience`; who it is for is in the
context of each request (`user`). Sources: MCP 2025-11-25 server/tools, client/elicitation;
2026-07-28 server/tools, basic/patterns/mrtr, basic/transports.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent_host.core.types import JsonObject, Principal, ServerRequest
from agent_host.ports import Answers
from agent_host.servers.frames import Gate
from agent_host.servers.protocol.inputs import MAX_STATE, ROOTS, Inputs, OpenCall
from agent_host.servers.protocol.patience import MOST, Patience
from agent_host.servers.protocol.requests import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    URL_NEEDED,
    Requests,
)
from agent_host.servers.protocol.tasks import TASK_SECONDS, Task, Tasks, read_task
from agent_host.servers.sdk import find_invalid_x_mcp_header, mcp_param_headers, x_mcp_header_map
from agent_host.servers.spec import Progress, Reply, Spec
from agent_host.servers.user import principal as current
from agent_host.servers.user import user_meta

MAX_LEGS = 10
"""Times that a call is sent again because the server says that it is not done."""
LEG_PAUSE = 0.1
"""Seconds until it is; doubles up to LEG_PAUSE_MOST."""
LEG_PAUSE_MOST = 5.0
LEGACY_HINT = (
    'the tool asks in a way that protocol 2026-07-28 lacks; it works with `protocol = "legacy"` '
    "for this server in servers.toml"
)
_HINTED = "server-initiated request"


class ToolHeaders:
    """Which arguments of which tool travel as headers (`x-mcp-header`, 2026-07-28)."""

    def __init__(self) -> None:
        self._maps: dict[str, Mapping[tuple[str, ...], str]] = {}

    def take(self, page: JsonObject) -> list[str]:
        """Learn from a page of tools; return the names of those whose headers are not sound."""
        bad = []
        for tool in page.get("tools", []):
            schema = tool.get("inputSchema") if isinstance(tool, dict) else None
            if not isinstance(schema, dict) or not isinstance(tool.get("name"), str):
                continue
            name = tool["name"]
            try:
                if find_invalid_x_mcp_header(schema) is not None:
                    bad.append(name)
                    self._maps.pop(name, None)
                else:
                    self._maps[name] = x_mcp_header_map(schema)
            except RecursionError:
                bad.append(name)
        return bad

    def of(self, name: str, arguments: JsonObject) -> dict[str, str]:
        """The headers of a call."""
        return mcp_param_headers(self._maps.get(name, {}), arguments)


class Calls:
    """The calls over one connection. `as_tasks`: the tools that are asked to run as tasks
    (2025-11-25). `relist`: lists the tools again, for their headers."""

    def __init__(
        self, spec: Spec, requests: Requests, gate: Gate, inputs: Inputs, tasks: Tasks
    ) -> None:
        self._spec = spec
        self.requests = requests
        self._gate = gate
        self.inputs = inputs
        self.tasks = tasks
        self._tokens = itertools.count(1)
        self.headers = ToolHeaders()
        self.as_tasks: frozenset[str] = frozenset()
        self.relist: Callable[[], Awaitable[Any]] | None = None

    async def call(
        self,
        name: str,
        arguments: JsonObject,
        progress: Progress,
        *,
        principal: Principal | None,
        answers: Answers | None,
        call_id: str,
    ) -> Reply:
        """See `spec.Connection`."""
        params: JsonObject = {"name": name, "arguments": arguments}
        if answers is not None:
            params |= self.inputs.responses(answers)
        if name in self.as_tasks:
            params["task"] = {"ttl": int(TASK_SECONDS * 1000)}
        one = _Call(self, params, progress, answers=answers)
        return await self._within(one, principal, call_id)

    async def resume(
        self, task_id: str, progress: Progress, *, principal: Principal | None, call_id: str
    ) -> Reply:
        """See `spec.Connection`."""
        task = read_task({"taskId": task_id, "status": "working", "pollInterval": 1})
        one = _Call(self, {}, progress, task)
        return await self._within(one, principal, call_id)

    async def request(
        self, method: str, params: JsonObject, *, principal: Principal | None
    ) -> Reply:
        """See `spec.Connection`."""
        patience = Patience(self._spec.call_timeout)
        before = current.set(principal)
        try:
            with self.inputs.during("", patience) as open_call:
                async with patience:
                    meta = user_meta(self._spec.user, principal)
                    return await self._driven(method, params, meta, open_call)
        except TimeoutError:
            return Reply(kind="timeout", text=self._late(patience))
        finally:
            current.reset(before)

    async def _driven(
        self, method: str, params: JsonObject, meta: JsonObject, open_call: OpenCall
    ) -> Reply:
        """Send a request that is no tool's, and answer at once what the server wants for it."""
        more: JsonObject = {}
        pause = LEG_PAUSE
        for _ in range(MAX_LEGS):
            reply = await self.requests.ask(method, params | more, meta=meta)
            if reply.raw.get("resultType", "complete") != "input_required":
                return reply
            open_call.patience.heard()
            wanted = self.inputs.wanted(reply.raw.get("inputRequests"))
            if isinstance(wanted, str):
                return Reply(kind="error", text=wanted)
            given = await self.inputs.answered(wanted, open_call)
            if isinstance(given, str):
                return Reply(kind="error", text=given)
            more = {"inputResponses": given} if given else {}
            if "requestState" in reply.raw:
                more["requestState"] = reply.raw["requestState"]
            if not given:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LEG_PAUSE_MOST)
        return Reply(kind="error", text=f"the server was not done after {MAX_LEGS} answers")

    async def _within(self, one: "_Call", principal: Principal | None, call_id: str) -> Reply:
        """Make a call within its time."""
        patience = Patience(self._spec.call_timeout)
        token = f"p{next(self._tokens)}"
        before = current.set(principal)

        def heard(amount: float, total: float | None, message: str) -> None:
            patience.heard()
            one.progress(amount, total, message)

        self._gate.watch_progress(token, heard)
        meta = {"progressToken": token, **user_meta(self._spec.user, principal)}
        try:
            with self.inputs.during(call_id, patience) as open_call:
                async with patience:
                    return _hinted(await one.run(open_call, meta))
        except TimeoutError:
            return Reply(kind="timeout", text=self._late(patience))
        finally:
            self._gate.forget_progress(token)
            current.reset(before)

    def _late(self, patience: Patience) -> str:
        seconds = self._spec.call_timeout
        if patience.tired:
            return f"It was still at work after {MOST * seconds:g} s and was given up"
        return f"No answer within {seconds:g} s"


class _Call:
    """One call on its way."""

    def __init__(
        self,
        calls: Calls,
        params: JsonObject,
        progress: Progress,
        task: Task | None = None,
        *,
        answers: Answers | None = None,
    ) -> None:
        self._calls = calls
        self._params = params
        self._task = task
        self._answers = answers
        self._given: Answers | None = None
        self.progress = progress

    async def run(self, open_call: OpenCall, meta: JsonObject) -> Reply:
        """Send it until there is an end."""
        tasks, pause = self._calls.tasks, LEG_PAUSE
        if self._task is not None:
            return await tasks.follow(self._task, open_call, self.progress)
        reply = Reply(kind="error", text="")
        for leg in range(MAX_LEGS):
            if leg:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LEG_PAUSE_MOST)
            reply = await self._sent(open_call, meta)
            if reply.kind != "result":
                return reply
            if (task := _task_of(reply.raw, asked="task" in self._params)) is not None:
                return await tasks.follow(task, open_call, self.progress)
            if reply.raw.get("resultType", "complete") != "input_required":
                return reply
            open_call.patience.heard()
            if (paused := self._again(reply.raw)) is not None:
                return paused
        return Reply(kind="error", text=f"the server was not done after {MAX_LEGS} answers")

    async def _sent(self, open_call: OpenCall, meta: JsonObject) -> Reply:
        """Send it once, and once more where an error says how."""
        calls = self._calls
        reply = await self._ask(meta)
        if reply.kind == "error" and reply.code == HEADER_MISMATCH and calls.relist is not None:
            await calls.relist()
            reply = await self._ask(meta)
        if self._answers is not None and _state_refused(reply):
            self._given, self._answers = self._answers, None
            self._params = self._first()
            reply = await self._ask(meta)
        if reply.kind == "error" and reply.code == URL_NEEDED:
            problem = await calls.inputs.visited(reply.data, open_call)
            if problem:
                return Reply(kind="error", text=f"{reply.text}: {problem}", code=reply.code)
            reply = await self._ask(meta)
        return reply

    async def _ask(self, meta: JsonObject) -> Reply:
        calls, params = self._calls, self._params
        headers = calls.headers.of(params["name"], params["arguments"])
        return await calls.requests.ask("tools/call", params, meta=meta, headers=headers)

    def _again(self, raw: JsonObject) -> Reply | None:
        """Take over what the next leg carries, or return why there is none."""
        inputs = self._calls.inputs
        wanted, state = inputs.wanted(raw.get("inputRequests")), raw.get("requestState")
        if isinstance(wanted, str):
            return Reply(kind="error", text=wanted)
        if state is not None and (not isinstance(state, str) or len(state) > MAX_STATE):
            return Reply(kind="error", text="the server's state is no text, or too long to carry")
        given = self._known(wanted)
        if given is None:
            return Reply(kind="paused", requests=wanted, state=state)
        answers = Answers(state=state, requests=wanted, given=given)
        self._params = self._first() | inputs.responses(answers)
        return None

    def _first(self) -> JsonObject:
        """The parameters of the call's first leg."""
        return {key: self._params[key] for key in ("name", "arguments")}

    def _known(self, wanted: tuple[ServerRequest, ...]) -> Mapping[str, JsonObject] | None:
        """The answers to what is wanted, if nobody needs to be asked: those to the very same
        questions, if the server has forgotten that it got them."""
        asked = tuple(request for request in wanted if request.method != ROOTS)
        if not asked:
            return {}
        before, self._given = self._given, None
        if before is None or not all(r in before.requests and r.key in before.given for r in asked):
            return None
        return {request.key: before.given[request.key] for request in asked}


def _state_refused(reply: Reply) -> bool:
    """Whether the server does not take the state that it had the host carry. It did nothing then:
    what is continued is refused before it runs."""
    return reply.kind == "error" and reply.code == INVALID_PARAMS and "requestState" in reply.text


def _task_of(raw: JsonObject, *, asked: bool) -> Task | None:
    """The task that a result is, if it is one: flat from 2026-07-28 on; before that inside, and
    only where one was asked for."""
    if raw.get("resultType") == "task":
        return read_task(raw)
    return read_task(raw.get("task")) if asked and "content" not in raw else None


def _hinted(reply: Reply) -> Reply:
    """The reply, with what to do about an error that has one known cause."""
    if reply.kind == "error" and _HINTED in reply.text:
        return Reply(kind="error", text=f"{reply.text} ({LEGACY_HINT})", code=reply.code)
    content = reply.raw.get("content")
    if reply.kind == "result" and reply.raw.get("isError") is True and isinstance(content, list):
        texts = [block.get("text") for block in content if isinstance(block, dict)]
        if any(isinstance(text, str) and _HINTED in text for text in texts):
            note = {"type": "text", "text": f"[{LEGACY_HINT}]"}
            return Reply(kind="result", raw={**reply.raw, "content": [*content, note]})
    return reply
