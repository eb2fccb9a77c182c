"""Calls that a server goes on with after it answered: tasks.

Theory of operation: there are two forms. Up to 2025-11-25 the host asks for a task (`task` in
tools/call), polls `tasks/get` and fetches the result with `tasks/result`, which is also how the
server gets to ask for input. From 2026-07-28 on the server decides (`resultType: task`),
`tasks/get` carries the result, and input goes back by `tasks/update`. In both, a call to such a
tool simply works: what the server says of the task is progress, each answered poll renews the
call's time, a call that is given up cancels the task, and a total limit holds however often the
server says that it is at work. A poll that fails is repeated; if the connection is lost, the reply
names the task, which another connection may take up. Sources: MCP 2025-11-25
basic/utilities/tasks; SEP-2663.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio

from agent_host.core.text import clean, clean_line
from agent_host.core.types import JsonObject
from agent_host.servers.frames import Gate
from agent_host.servers.protocol.inputs import Inputs, OpenCall
from agent_host.servers.protocol.requests import Requests
from agent_host.servers.spec import Progress, Reply

TASK_SECONDS = 3600.0
"""Seconds that a task may take in all."""
FIRST_POLL = 0.05
"""Seconds until the first poll; doubles up to what the server asks for."""
POLL = 1.0
"""Seconds between two polls if the server says nothing."""
POLL_MOST = 30.0
POLL_LEAST = 0.02
POLLS_FAILED = 6
"""Polls in a row that may fail before the task is given up for lost."""
CANCEL_SECONDS = 0.5
"""Seconds that telling the server of a cancellation may take."""
MAX_ID = 1000
_ENDED = ("completed", "failed", "cancelled")
_STATES = ("working", "input_required", *_ENDED)


@dataclass(frozen=True, slots=True)
class Task:
    """A task as a server describes it."""

    task_id: str
    status: str
    message: str
    interval: float
    raw: JsonObject


def read_task(raw: Any) -> Task | None:
    """A task as the server describes it, in either form, or None if that is none."""
    if not isinstance(raw, dict):
        return None
    task_id, status = raw.get("taskId"), raw.get("status")
    if not isinstance(task_id, str) or not 0 < len(task_id) <= MAX_ID or status not in _STATES:
        return None
    interval: Any = raw.get("pollIntervalMs", raw.get("pollInterval"))
    sound = isinstance(interval, int | float) and not isinstance(interval, bool) and interval > 0
    seconds = min(interval / 1000, POLL_MOST) if sound else POLL
    message = raw.get("statusMessage")
    return Task(
        task_id=task_id,
        status=status,
        message=clean_line(message) if isinstance(message, str) else "",
        interval=max(seconds, POLL_LEAST),
        raw=raw,
    )


class Tasks:
    """Follows the tasks of one connection to their ends."""

    def __init__(self, requests: Requests, inputs: Inputs, gate: Gate) -> None:
        self._requests = requests
        self._inputs = inputs
        self._news: dict[str, Callable[[Task], None]] = {}
        gate.hear("notifications/tasks/status", self._told)
        gate.hear("notifications/tasks", self._told)

    async def follow(self, task: Task, call: OpenCall, progress: Progress) -> Reply:
        """Wait for the end of a task and return what came of it. Cancelled, it is cancelled."""
        call.patience.allow(TASK_SECONDS)
        call.tasks.add(task.task_id)
        following = _Following(self._requests, self._inputs, task, call, progress)
        self._news[task.task_id] = following.told
        try:
            return await following.end()
        except asyncio.CancelledError:
            await self._cancel(task.task_id)
            raise
        finally:
            del self._news[task.task_id]

    async def _cancel(self, task_id: str) -> None:
        with contextlib.suppress(Exception), anyio.move_on_after(CANCEL_SECONDS, shield=True):
            await self._requests.ask("tasks/cancel", {"taskId": task_id})

    def _told(self, params: JsonObject) -> None:
        task = read_task(params)
        if task is not None and (news := self._news.get(task.task_id)) is not None:
            news(task)


class _Following:
    """One task on its way."""

    def __init__(
        self, requests: Requests, inputs: Inputs, task: Task, call: OpenCall, progress: Progress
    ) -> None:
        self._requests = requests
        self._inputs = inputs
        self._task = task
        self._call = call
        self._progress = progress
        self._said = ""
        self._steps = 0.0
        self._pause = FIRST_POLL
        self._given: set[str] = set()
        self._woken = asyncio.Event()

    def told(self, task: Task) -> None:
        """A notification says how the task is doing."""
        self._say(task)
        self._woken.set()

    async def end(self) -> Reply:
        """Poll until there is an end."""
        while True:
            task = self._task
            self._say(task)
            if task.status in _ENDED:
                return await self._ended(task)
            if task.status == "input_required" and (reply := await self._input(task)) is not None:
                return reply
            await self._wait()
            if (reply := await self._poll()) is not None:
                return reply

    def _say(self, task: Task) -> None:
        if task.message and task.message != self._said:
            self._said = task.message
            self._steps += 1
            self._progress(self._steps, None, task.message)

    async def _wait(self) -> None:
        self._woken.clear()
        seconds = min(self._pause, self._task.interval)
        self._call.patience.heard(seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._pause = min(2 * self._pause, POLL_MOST)

    async def _poll(self) -> Reply | None:
        """Look at the task again; a reply if it cannot be followed any further."""
        reply = Reply(kind="lost")
        for attempt in range(POLLS_FAILED):
            reply = await self._requests.ask("tasks/get", {"taskId": self._task.task_id})
            if reply.kind == "error":
                text = f"the server no longer knows the task: {reply.text}"
                return Reply(kind="error", text=text, code=reply.code, data=reply.data)
            if reply.kind == "result":
                task = read_task(reply.raw)
                if task is None or task.task_id != self._task.task_id:
                    return Reply(kind="error", text="the server describes the task in no sound way")
                self._task = task
                self._call.patience.heard()
                return None
            if self._requests.ended:
                break
            await asyncio.sleep(min(FIRST_POLL * 4**attempt, POLL_MOST))
        return Reply(kind="lost", text=reply.text, task=self._task.task_id)

    async def _ended(self, task: Task) -> Reply:
        if task.status == "cancelled":
            return Reply(kind="error", text=f"the task was cancelled {task.message}".strip())
        if not self._requests.modern:
            return await self._fetch()
        result = task.raw.get("result")
        if task.status == "completed" and isinstance(result, dict):
            return Reply(kind="result", raw={"resultType": "complete", **result})
        error = task.raw.get("error")
        told = error.get("message") if isinstance(error, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        text = told if isinstance(told, str) else task.message or "the task failed"
        return Reply(
            kind="error", text=clean(text[:4000]), code=code if isinstance(code, int) else 0
        )

    async def _fetch(self) -> Reply:
        """The result of a task of the older form."""
        reply = await self._requests.ask("tasks/result", {"taskId": self._task.task_id})
        if reply.kind in ("lost", "refused"):
            return Reply(kind="lost", text=reply.text, task=self._task.task_id)
        return reply

    async def _input(self, task: Task) -> Reply | None:
        """Answer what the task waits for; a reply if that was its end."""
        if not self._requests.modern:
            return await self._listen()
        listed = task.raw.get("inputRequests")
        new = {
            key: item
            for key, item in (listed.items() if isinstance(listed, dict) else ())
            if key not in self._given
        }
        if not new:
            return None  # the server has not taken the answers in yet
        wanted = self._inputs.wanted(new)
        given = wanted if isinstance(wanted, str) else await self._answered(wanted)
        if isinstance(given, str):
            await self._requests.ask("tasks/cancel", {"taskId": task.task_id})
            return Reply(kind="error", text=given)
        params = {"taskId": task.task_id, "inputResponses": given}
        reply = await self._requests.ask("tasks/update", params)
        if reply.kind == "error":
            return reply
        if reply.kind == "result":
            self._given.update(given)
        self._pause = FIRST_POLL
        return None

    async def _answered(self, wanted: Any) -> dict[str, JsonObject] | str:
        return await self._inputs.answered(wanted, self._call)

    async def _listen(self) -> Reply | None:
        """Fetch the result early, which lets the server ask; keep polling, which shows that it
        lives."""
        async with asyncio.TaskGroup() as group:
            result = group.create_task(self._fetch())
            while not result.done():
                self._call.patience.heard(self._task.interval)
                await asyncio.wait({result}, timeout=self._task.interval)
                if not result.done() and (reply := await self._poll()) is not None:
                    result.cancel()
                    return reply
                self._say(self._task)
        return result.result()
