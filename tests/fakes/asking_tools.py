"""The tools of `asking_server`, and its tasks in both forms."""

import json
import os
import queue
import threading
import time
from pathlib import Path

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


class GoneError(Exception):
    """The host cancelled the call."""


def ok(**result):
    return {"result": result}


def text(said):
    return ok(content=[{"type": "text", "text": said}])


def fault(code, message, data=None):
    return {"error": {"code": code, "message": message, **({"data": data} if data else {})}}


def required(requests, state):
    result = {"resultType": "input_required"}
    if requests:
        result["inputRequests"] = requests
    if state is not None:
        result["requestState"] = state
    return {"result": result}


class Tools:
    def tool(self, name, **more):
        return {"name": name, "inputSchema": {"type": "object"}, **more}

    def on_tools_list(self, message, params, stream):
        if "die_on_list" in self.modes:
            os._exit(5)
        names = (
            "elicit", "visit", "sample", "roots", "leave", "echo", "progress", "linger", "pause",
            "legs", "endless", "bare", "cancelled", "flood", "old_style", "die", "both_roots",
            "pings", "empty_task", "crowd", "odd", "huge_ask", "deep_ask", "update", "changes",
            "complete_late",
        )  # fmt: skip
        tools = [self.tool(name) for name in names]
        self.lists = getattr(self, "lists", 0) + 1
        named = {"type": "string", "x-mcp-header": "Region" if self.lists > 1 else "Old"}
        tools.append(
            self.tool("headed", inputSchema={"type": "object", "properties": {"r": named}})
        )
        support = {"taskSupport": "required"}
        tools += [self.tool(n, execution=support) for n in ("task", "task_ask", "task_fail")]
        tools.append(self.tool("task_forever", execution={"taskSupport": "optional"}))
        return ok(tools=tools)

    def on_tools_call(self, message, params, stream):
        name = params["name"]
        if name.startswith("task"):
            return self.start_task(message, params, stream)
        return getattr(self, "tool_" + name)(message, params.get("arguments") or {}, params, stream)

    # -- tools

    def tool_echo(self, message, arguments, params, stream):
        return text(json.dumps({"arguments": arguments, "_meta": params.get("_meta") or {}}))

    def tool_headed(self, message, arguments, params, stream):
        region = stream.headers.get("mcp-param-region")
        return text(region) if region else fault(-32020, "the headers differ")

    def tool_elicit(self, message, arguments, params, stream):
        body = {"message": "Who are you?", "requestedSchema": FORM, **arguments}
        return self.asked(self.ask(message, stream, "elicitation/create", body))

    def tool_sample(self, message, arguments, params, stream):
        said = {"role": "user", "content": {"type": "text", "text": "hi"}}
        body = {"messages": [said], "maxTokens": 10, **arguments}
        return self.asked(self.ask(message, stream, "sampling/createMessage", body))

    def tool_roots(self, message, arguments, params, stream):
        return self.asked(self.ask(message, stream, "roots/list", {}))

    def tool_leave(self, message, arguments, params, stream):
        """Ask, then take the question back."""
        with self.lock:
            number = "taken-back"
            self.waiting[number] = queue.Queue()
        body = {"message": "Never mind", "requestedSchema": FORM}
        stream.send(
            {"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": body}
        )
        time.sleep(0.3)
        stream.notify("notifications/cancelled", {"requestId": number})
        time.sleep(0.2)
        return text("answered" if number not in self.waiting else "taken back")

    def tool_huge_ask(self, message, arguments, params, stream):
        body = {"message": "x" * 300_000, "requestedSchema": FORM}
        return self.asked(self.ask(message, stream, "elicitation/create", body))

    def tool_deep_ask(self, message, arguments, params, stream):
        schema = {}
        for _ in range(200):
            schema = {"a": schema}
        body = {"message": "x", "requestedSchema": schema}
        return self.asked(self.ask(message, stream, "elicitation/create", body))

    def tool_pings(self, message, arguments, params, stream):
        return self.asked(self.ask(message, stream, "ping", {}))

    def tool_empty_task(self, message, arguments, params, stream):
        return ok(resultType="task", status="working", taskId="")

    def tool_crowd(self, message, arguments, params, stream):
        """Ask sixty things at once and wait for no answer."""
        for number in range(60):
            body = {"message": f"{number}?", "requestedSchema": FORM}
            ask = {"jsonrpc": "2.0", "id": f"c{number}", "method": "elicitation/create"}
            stream.send({**ask, "params": body})
        time.sleep(0.3)
        return text("asked")

    def tool_odd(self, message, arguments, params, stream):
        return self.asked(self.ask(message, stream, "host/selfDestruct", {}))

    def tool_flood(self, message, arguments, params, stream):
        body = {"message": "Again?", "requestedSchema": FORM}
        answers = [self.ask(message, stream, "elicitation/create", body) for _ in range(40)]
        return text(json.dumps([a.get("result", {}).get("action") for a in answers]))

    def asked(self, answer):
        return text(json.dumps(answer.get("result", answer.get("error"))))

    def tool_progress(self, message, arguments, params, stream):
        token = params["_meta"]["progressToken"]
        for step in range(arguments.get("steps", 3)):
            time.sleep(arguments.get("every", 0.1))
            self.check(message)
            stream.notify("notifications/progress", {"progressToken": token, "progress": step})
        return text("arrived")

    def tool_linger(self, message, arguments, params, stream):
        for _ in range(int(arguments.get("seconds", 5) / 0.02)):
            time.sleep(0.02)
            self.check(message)
        return text("done")

    def tool_cancelled(self, message, arguments, params, stream):
        return text(json.dumps(sum(event.is_set() for event in self.cancelled.values())))

    def tool_die(self, message, arguments, params, stream):
        os._exit(7)

    def tool_old_style(self, message, arguments, params, stream):
        said = "this transport context has no back-channel for server-initiated requests."
        return fault(-32600, f"Cannot send 'elicitation/create': {said}")

    def tool_visit(self, message, arguments, params, stream):
        if "here" in self.done:
            return text("visited")
        url = {
            "mode": "url",
            "elicitationId": "here",
            "url": "https://a.example/x",
            "message": "Go",
        }
        if arguments.get("tells", True):
            threading.Timer(0.3, self.complete, (stream,)).start()
        else:
            self.done.add("here")
        return fault(-32042, "Visit first", {"elicitations": [url]})

    def complete(self, stream):
        self.done.add("here")
        target = next(iter(self.streams.values()), stream)
        target.notify("notifications/elicitation/complete", {"elicitationId": "here"})

    def tool_complete_late(self, message, arguments, params, stream):
        return text(json.dumps(sorted(self.done)))

    # -- multi-round trips

    def tool_pause(self, message, arguments, params, stream):
        if "inputResponses" in params or "requestState" in params:
            kept = {k: params.get(k) for k in ("inputResponses", "requestState")}
            return text(json.dumps(kept))
        form = {
            "method": "elicitation/create",
            "params": {"message": "Who?", "requestedSchema": FORM},
        }
        wanted = {"who": form, "where": {"method": "roots/list"}}
        if arguments.get("samples"):
            wanted["what"] = {"method": "sampling/createMessage", "params": {"messages": []}}
        if arguments.get("odd"):
            wanted["what"] = {"method": "host/selfDestruct"}
        return required(wanted, " state \u00e9 ")

    def tool_legs(self, message, arguments, params, stream):
        leg = int(params.get("requestState") or 0)
        return text(f"after {leg}") if leg >= 3 else required({}, str(leg + 1))

    def tool_endless(self, message, arguments, params, stream):
        return required({}, "again")

    def tool_both_roots(self, message, arguments, params, stream):
        if "inputResponses" in params:
            return text(json.dumps(params["inputResponses"]))
        return required({"r": {"method": "roots/list"}}, None)

    def tool_bare(self, message, arguments, params, stream):
        return {"result": {"resultType": "input_required", "requestState": 5}}

    # -- tasks

    def start_task(self, message, params, stream):
        modern = self.is_modern(params)
        if not modern and "task" not in params:
            return fault(-32601, "this tool runs as a task only")
        token = (params.get("_meta") or {}).get("progressToken")
        with self.lock:
            number = f"t{len(self.tasks) + 1}-{os.getpid()}"
            task = self.tasks[number] = {
                "name": params["name"], "polls": 0, "modern": modern, "status": "working",
                "token": token, "answers": None,
                "steps": (params.get("arguments") or {}).get("steps", 3),
            }  # fmt: skip
        self.save()
        if "die_with_task" in self.modes:
            threading.Timer(0.15, os._exit, (9,)).start()
        made = self.described(number, task)
        return ok(**made, resultType="task") if modern else ok(task=made)

    def save(self):
        if self.options.state:
            Path(self.options.state).write_text(json.dumps(self.tasks))

    def find(self, number):
        if self.options.state and number not in self.tasks and Path(self.options.state).exists():
            self.tasks.update(json.loads(Path(self.options.state).read_text()))
        return self.tasks.get(number)

    def described(self, number, task):
        body = {"taskId": number, "status": task["status"], "createdAt": "x", "lastUpdatedAt": "x"}
        body["statusMessage"] = f"step {task['polls']}"
        rest = 800 if "rare_polls" in self.modes else 50
        body |= (
            {"ttlMs": 60000, "pollIntervalMs": rest}
            if task["modern"]
            else {"ttl": 60000, "pollInterval": rest}
        )
        return body

    def on_tasks_get(self, message, params, stream):
        task = self.find(params["taskId"])
        if task is None:
            return fault(-32602, "no such task")
        task["polls"] += 1
        asks, forever = task["name"] == "task_ask", task["name"] == "task_forever"
        if asks and task["polls"] >= 2 and task["answers"] is None:
            task["status"] = "input_required"
        elif task["polls"] >= task["steps"] and not forever and task["status"] == "working":
            task["status"] = "failed" if task["name"] == "task_fail" else "completed"
        body = self.described(params["taskId"], task)
        if task["modern"]:
            if task["status"] == "completed":
                body["result"] = self.outcome(task)
            if task["status"] == "failed":
                body["error"] = {"code": -32000, "message": "out of steam"}
            if task["status"] == "input_required":
                form = {"message": "Who?", "requestedSchema": FORM}
                body["inputRequests"] = {"q": {"method": "elicitation/create", "params": form}}
        return ok(**body)

    def outcome(self, task):
        return {"content": [{"type": "text", "text": f"task said {json.dumps(task['answers'])}"}]}

    def on_tasks_update(self, message, params, stream):
        task = self.find(params["taskId"])
        task["answers"], task["status"] = params["inputResponses"], "working"
        return ok()

    def on_tasks_cancel(self, message, params, stream):
        task = self.find(params["taskId"])
        task["status"] = "cancelled"
        return ok(**self.described(params["taskId"], task))

    def on_tasks_result(self, message, params, stream):
        task = self.find(params["taskId"])
        if task["status"] == "input_required":
            related = {META + "related-task": {"taskId": params["taskId"]}}
            body = {"message": "Who?", "requestedSchema": FORM, "_meta": related}
            answer = self.ask(message, stream, "elicitation/create", body)
            task["answers"], task["status"] = answer.get("result"), "working"
        while task["status"] not in ("completed", "failed", "cancelled"):
            time.sleep(0.01)
            self.check(message)
        if task["status"] == "failed":
            return {"result": {**self.outcome(task), "isError": True}}
        return {"result": self.outcome(task)}
