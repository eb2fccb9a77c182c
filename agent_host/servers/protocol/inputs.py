"""What a server asks of the host: input from a person, an answer of the model, the roots.

Theory of operation: up to 2025-11-25 these are requests that come while a call runs; later they are
part of a result (`input_required`) or of a task. Both are the same to the host: bounded here, and
answered by whoever `ports.Answer` stands for; roots come from the config. A call's clocks stand
still while somebody is asked on its behalf, and a question ends with its call. Which call that is,
the transport may know (the stream on which the request came); else it is the only one open, or
nobody knows. A server that asks without end is refused, and that is told once. Sources: MCP
2025-11-25 client/elicitation, client/sampling, client/roots; 2026-07-28 basic/patterns/mrtr.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio

from agent_host.core.context import deeper_than
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, ServerRequest
from agent_host.ports import Answers, RequestRefused
from agent_host.servers.frames import OWNER, Gate, sound
from agent_host.servers.protocol.patience import Patience
from agent_host.servers.protocol.requests import INVALID_PARAMS, METHOD_NOT_FOUND, Refusal
from agent_host.servers.spec import Hooks, Spec

ELICIT, SAMPLE, ROOTS = "elicitation/create", "sampling/createMessage", "roots/list"
MAX_SIZE: Mapping[str, int] = {ELICIT: 128 * 1024, SAMPLE: 4 * 1024 * 1024, ROOTS: 16 * 1024}
"""Characters of JSON of one request."""
MAX_DEPTH = 64
MAX_AT_ONCE = 8
"""Requests of one server that may wait for an answer at once."""
MAX_PER_CALL = 32
MAX_PER_CONNECTION = 256
MAX_REQUESTS = 32
"""Requests of one `input_required` result."""
MAX_STATE = 1024 * 1024
"""Characters of the state that a server has the host carry."""
MAX_VISITS = 8
"""URLs of one error that wants them visited."""
VISIT_SECONDS = 120.0
"""Seconds that the host waits to be told that a URL was visited, before it tries again."""
COMPLETIONS_KEPT = 256
RELATED = "io.modelcontextprotocol/related-task"
REFUSED = -1
"""The protocol's code for a request that the user, or who decides for the user, refused."""
BUSY = -32000


@dataclass(slots=True, eq=False)
class OpenCall:
    """A call that runs: its clocks, how often the server asked on its behalf, and what still asks.
    `tasks`: the ids of the tasks that it became."""

    call_id: str
    patience: Patience
    asked: int = 0
    scopes: set[anyio.CancelScope] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)


class Inputs:
    """Answers what one connection's server asks."""

    def __init__(self, spec: Spec, hooks: Hooks, gate: Gate) -> None:
        self._spec = spec
        self._hooks = hooks
        self._gate = gate
        self._calls: list[OpenCall] = []
        self._asking = 0
        self._asked = 0
        self._completed: dict[str, None] = {}
        self._news = anyio.Event()
        gate.hear("notifications/elicitation/complete", self._complete)

    @contextmanager
    def during(self, call_id: str, patience: Patience) -> Iterator[OpenCall]:
        """A call runs inside; what is asked on its behalf ends with it."""
        call = OpenCall(call_id, patience)
        self._calls.append(call)
        before = OWNER.set(call)
        try:
            yield call
        finally:
            OWNER.reset(before)
            self._calls.remove(call)
            for scope in tuple(call.scopes):
                scope.cancel()

    async def serve(
        self, method: str, params: JsonObject, call: OpenCall | None = None
    ) -> JsonObject | Refusal:
        """Answer a request that the server waits for (`requests.Serve`). `call`: the one that it
        came with, if the transport knows."""
        if method == "ping":
            return {}
        if method not in MAX_SIZE or (problem := self._unwanted(method)):
            text = "the host does not do that" if method not in MAX_SIZE else problem
            return Refusal(METHOD_NOT_FOUND, text)
        request = sound_request(method, params)
        if isinstance(request, str):
            self._gate.note("unsound request", f"asks for what the host refuses: {request}")
            return Refusal(INVALID_PARAMS, request)
        if method == ROOTS:
            return self.roots()
        answer = await self._ask(request, call or self._call_of(params))
        if isinstance(answer, RequestRefused):
            return Refusal(REFUSED, answer.text)
        return answer

    def roots(self) -> JsonObject:
        """The folders that the server is told of."""
        return {"roots": [{"uri": uri, "name": _folder(uri)} for uri in self._spec.roots]}

    def wanted(self, raw: Any) -> tuple[ServerRequest, ...] | str:
        """What a result that is no end of a call asks for, or what is wrong with it."""
        if raw is None:
            return ()
        if not isinstance(raw, dict) or len(raw) > MAX_REQUESTS:
            return "the server's requests for input are not as the protocol has them"
        requests = []
        for key, item in raw.items():
            method = item.get("method") if isinstance(item, dict) else None
            if not isinstance(method, str) or method not in MAX_SIZE:
                return f"the server asks for {clean_line(str(method), 60)}, which the host lacks"
            if problem := self._unwanted(method, listed=True):
                return f"the server asks for {method}: {problem}"
            params = item.get("params")
            request = sound_request(method, params if isinstance(params, dict) else {}, key)
            if isinstance(request, str):
                return request
            requests.append(request)
        return tuple(requests)

    def responses(self, answers: Answers) -> JsonObject:
        """What a paused call goes on with, as its parameters."""
        params: JsonObject = {}
        given = dict(answers.given)
        given |= {r.key: self.roots() for r in answers.requests if r.method == ROOTS}
        if given:
            params["inputResponses"] = given
        if answers.state is not None:
            params["requestState"] = answers.state
        return params

    async def answered(
        self, requests: tuple[ServerRequest, ...], call: OpenCall | None
    ) -> dict[str, JsonObject] | str:
        """The answers by key, or why there are none."""
        given: dict[str, JsonObject] = {}
        for request in requests:
            if request.method == ROOTS:
                given[request.key] = self.roots()
                continue
            answer = await self._ask(request, call)
            if isinstance(answer, RequestRefused):
                return f"what the server asked for was refused: {answer.text}"
            given[request.key] = answer
        return given

    async def visited(self, data: JsonObject, call: OpenCall) -> str:
        """Have the URLs of an error (-32042) visited; return why not, or nothing."""
        listed = data.get("elicitations")
        items = listed if isinstance(listed, list) else []
        if not items or len(items) > MAX_VISITS:
            return "it names no URL that could be visited"
        waits = []
        for item in items:
            params = {"mode": "url", **item} if isinstance(item, dict) else {}
            request = sound_request(ELICIT, params)
            if isinstance(request, str) or params.get("mode") != "url":
                return "what it wants to be visited cannot be read"
            answer = await self._ask(request, call)
            if isinstance(answer, RequestRefused) or answer.get("action") != "accept":
                return "the user did not agree to visit it"
            waits.append(params.get("elicitationId"))
        with call.patience.still(), anyio.move_on_after(VISIT_SECONDS):
            while not all(isinstance(i, str) and i in self._completed for i in waits):
                await self._news.wait()
        return ""

    def _complete(self, params: JsonObject) -> None:
        done = params.get("elicitationId")
        if not isinstance(done, str) or len(done) > MAX_STATE:
            return
        self._completed[done] = None
        while len(self._completed) > COMPLETIONS_KEPT:
            del self._completed[next(iter(self._completed))]
        self._news.set()
        self._news = anyio.Event()

    def _unwanted(self, method: str, *, listed: bool = False) -> str:
        """Why a server may not ask that at all; who is asked for input can still say no. Among
        other requests (`listed`), one for roots that are none gets none."""
        if method == SAMPLE and not self._spec.sampling:
            return "sampling is not allowed (`sampling = true` in servers.toml allows it)"
        if method == ROOTS and not self._spec.roots and not listed:
            return "the host has no roots for this server"
        return ""

    def _call_of(self, params: JsonObject) -> OpenCall | None:
        """The call that a request belongs to, if that is certain."""
        meta = params.get("_meta")
        related = meta.get(RELATED) if isinstance(meta, dict) else None
        task = related.get("taskId") if isinstance(related, dict) else None
        if isinstance(task, str):
            return next((call for call in self._calls if task in call.tasks), None)
        return self._calls[0] if len(self._calls) == 1 else None

    async def _ask(
        self, request: ServerRequest, call: OpenCall | None
    ) -> JsonObject | RequestRefused:
        self._asked += 1
        if call is not None:
            call.asked += 1
        many = self._asked > MAX_PER_CONNECTION or (call is not None and call.asked > MAX_PER_CALL)
        if many or self._asking >= MAX_AT_ONCE:
            self._gate.note("asks", "asks for more than the host lets a server ask; refused")
            return self._no(request, "too many requests")
        held = [call] if call is not None else self._calls
        self._asking += 1
        try:
            with ExitStack() as stack, anyio.CancelScope() as scope:
                for one in held:
                    stack.enter_context(one.patience.still())
                if call is not None:
                    call.scopes.add(scope)
                call_id = call.call_id if call is not None else ""
                return await self._hooks.answer(self._spec.name, request, call_id)
        finally:
            self._asking -= 1
            if call is not None:
                call.scopes.discard(scope)
        return self._no(request, "the call is over")

    def _no(self, request: ServerRequest, text: str) -> JsonObject | RequestRefused:
        return {"action": "cancel"} if request.method == ELICIT else RequestRefused(text)


def sound_request(method: str, params: JsonObject, key: str = "") -> ServerRequest | str:
    """A server's request that can be recorded and shown, or why it is refused."""
    if deeper_than(params, MAX_DEPTH):
        return f"{method} is nested too deeply"
    try:
        text = json.dumps(params, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return f"{method} holds what is no JSON"
    if len(text) > MAX_SIZE[method]:
        return f"{method} is larger than {MAX_SIZE[method] >> 10} KiB"
    if len(key) > 200 or sound(key) != key:
        return f"{method} has a key that is too long or no text"
    if method == ELICIT and params.get("mode", "form") not in ("form", "url"):
        return f"{method} has a mode that is neither form nor url"
    return ServerRequest(method=method, params=json.loads(sound(text)), key=key)


def _folder(uri: str) -> str:
    return PurePosixPath(unquote(urlsplit(uri).path)).name or "/"
