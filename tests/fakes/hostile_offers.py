"""What a hostile server says of itself and offers: a switch a lie, for `hostile_server`.

A lie about a list gets (server, params, key), where `key` is what the result calls its items, and
returns the result. `offers` alone makes the server offer honest resources, prompts and skills.
"""

import hashlib

from tests.fakes.hostile_lies import NASTY

KEYS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
    "skills/list": "skills",
}
SKILLS = "io.modelcontextprotocol/skills"
SKILL = "---\nname: {name}\ndescription: {text}\n---\n\nBody.\n"


def item(key, name, text="An item."):
    if key == "tools":
        return {"name": name, "description": text, "inputSchema": {"type": "object"}}
    if key == "resources":
        return {"uri": f"x://{name}", "name": name, "description": text, "mimeType": "text/plain"}
    if key == "resourceTemplates":
        return {"uriTemplate": f"x://{name}/{{id}}", "name": name, "description": text}
    if key == "prompts":
        return {"name": name, "description": text, "arguments": [{"name": "who"}]}
    return skill(name, text)


def skill(name, text="A skill.", uri=None, **entry):
    body = SKILL.format(name=name, text=text).encode()
    uri = uri or f"skill://{name}/SKILL.md"
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    listed = {"uri": uri, "digest": digest, "size": len(body)}
    front = {"name": name, "description": text}
    return {"uri": uri, "frontmatter": front, "resources": [listed], **entry}


def endless(server, params, key):
    """A new page behind every page."""
    server.pages += 1
    return {key: [item(key, f"n{server.pages}")], "nextCursor": f"c{server.pages}"}


def same_cursor(server, params, key):
    server.pages += 1
    return {key: [item(key, f"n{server.pages}")], "nextCursor": "again"}


def empty_pages(server, params, key):
    server.pages += 1
    return {key: [], "nextCursor": f"c{server.pages}"}


def pages(server, params, key):
    """Four honest pages."""
    page = int(params.get("cursor") or 0)
    more = {"nextCursor": str(page + 1)} if page < 3 else {}
    return {key: [item(key, f"n{page}")], **more}


def odd_cursor(server, params, key):
    return {key: [item(key, "n")], "nextCursor": {"no": "string"}}


def huge_cursor(server, params, key):
    server.pages += 1
    return {key: [item(key, f"n{server.pages}")], "nextCursor": f"{server.pages}" * (1 << 20)}


def fat_pages(server, params, key):
    """Pages without end of one item each, which alone is too large."""
    server.pages += 1
    items = [item(key, f"n{server.pages}", "d" * (4 << 20))]
    return {key: items, "nextCursor": f"c{server.pages}"}


def fifty_thousand(server, params, key):
    return {key: [item(key, f"n{i}") for i in range(50_000)]}


def junk_items(server, params, key):
    """Nothing is of its type, beside one honest item."""
    junk = ["x", 5, None, [], {}, {"name": 5, "uri": [], "inputSchema": 1}, {"name": ""}]
    return {key: [*junk, item(key, "honest")]}


def no_list(server, params, key):
    return {key: "none"}


def nothing(server, params, key):
    return {}


def nasty(server, params, key):
    """Text that no screen may see, in every field."""
    title = {"title": NASTY, "annotations": {"title": NASTY, "audience": [NASTY]}}
    icons = {"icons": [{"src": "http://127.0.0.1:9/i.svg", "mimeType": NASTY}]}
    good = {**item(key, "nasty", NASTY), **title, **icons, "_meta": {NASTY: NASTY}}
    arguments = [{"name": NASTY, "title": NASTY, "description": NASTY, "required": True}]
    if key == "prompts":
        good["arguments"] = arguments
    named = {**item(key, "named", NASTY), "name": NASTY, "uri": f"x://{NASTY}"}
    return {key: [good, named]}


def huge_item(server, params, key):
    return {key: [item(key, "huge", "d" * (3 << 20)), item(key, "small")]}


def twins(server, params, key):
    return {key: [item(key, "twin"), item(key, "twin", "Another one.")]}


def odd_names(server, params, key):
    """Names that are something else in some language or system."""
    names = ["constructor", "__proto__", "toString", "a.b", "a-b", "a/b", "A", "a" * 128]
    return {key: [item(key, name) for name in names]}


def ttl_for_ever(server, params, key):
    return {key: [item(key, "n")], "ttlMs": 10**30, "cacheScope": "public"}


def ttl_negative(server, params, key):
    return {key: [item(key, "n")], "ttlMs": -1, "cacheScope": "private"}


def ttl_text(server, params, key):
    return {key: [item(key, "n")], "ttlMs": "soon", "cacheScope": 5}


def list_dies(server, params, key):
    return None


LISTS = {
    lie.__name__: lie
    for lie in (
        endless, fat_pages, same_cursor, empty_pages, pages, odd_cursor, huge_cursor,
        fifty_thousand, junk_items, no_list, nothing, nasty, huge_item, odd_names, twins,
        ttl_for_ever, ttl_negative, ttl_text, list_dies,
    )
}  # fmt: skip


class Offers:
    """Methods of `hostile_server.Server` for what is offered beside tools. A mode `LIST:LIE`, such
    as `prompts:endless`, lies about one list; `every:LIE` about all but the tools."""

    def lied(self, method, params):
        """The lie about this list, or None for an honest answer."""
        key = KEYS[method]
        for mode in self.modes:
            about, _, name = mode.partition(":")
            if name in LISTS and (about == key or (about == "every" and key != "tools")):
                return LISTS[name](self, params, key) or {"error": "gone"}
        return None

    def offered(self):
        """Capabilities beside tools."""
        if not any(":" in mode or mode == "offers" for mode in self.modes):
            return {}
        return {
            "resources": {"listChanged": True, "subscribe": True},
            "prompts": {"listChanged": True},
            "completions": {},
            "extensions": {SKILLS: {}},
        }

    def listed(self, method, params):
        result = self.lied(method, params)
        if result == {"error": "gone"}:
            return {"error": {"code": -32603, "message": NASTY}}
        return {"result": result or {KEYS[method]: [item(KEYS[method], "one")]}}

    def on_resources_list(self, message, params):
        return self.listed("resources/list", params)

    def on_resources_templates_list(self, message, params):
        return self.listed("resources/templates/list", params)

    def on_prompts_list(self, message, params):
        return self.listed("prompts/list", params)

    def on_skills_list(self, message, params):
        for mode in self.modes:
            if mode.startswith("skill_"):
                return {"result": {"skills": BAD_SKILLS[mode]()}}
        return self.listed("skills/list", params)

    def on_resources_read(self, message, params):
        uri = params.get("uri")
        self.reads.append(uri)
        if "read_tells" in self.modes and "skill:" not in str(uri):
            return {"result": {"contents": [{"uri": uri, "text": " ".join(self.reads)}]}}
        if "read_huge" in self.modes:
            return {"result": {"contents": [{"uri": uri, "text": "x" * (9 << 20)}]}}
        if "read_large" in self.modes:
            return {"result": {"contents": [{"uri": uri, "text": "x" * (5 << 20)}]}}
        if "read_many" in self.modes:
            return {"result": {"contents": [{"uri": uri, "text": "x"}] * 20_000}}
        if "read_other" in self.modes:
            return {"result": {"contents": [{"uri": "file:///etc/passwd", "text": "root"}]}}
        if "read_junk" in self.modes:
            return {"result": {"contents": ["x", 5, {"uri": 5}, {"uri": uri, "blob": "?"}]}}
        if "read_nothing" in self.modes:
            return {"result": {}}
        if "read_nasty" in self.modes:
            return {"result": {"contents": [{"uri": uri, "text": NASTY, "mimeType": NASTY}]}}
        if "read_error" in self.modes:
            return {"error": {"code": -32602, "message": NASTY}}
        if "read_hangs" in self.modes:
            return None
        if "read_needs_input" in self.modes:
            return self.input_required()
        text = SKILL.format(name="one", text="An item.") if "skill:" in str(uri) else "read"
        return {"result": {"contents": [{"uri": uri, "text": text}]}}

    def on_prompts_get(self, message, params):
        said = {"role": "user", "content": {"type": "text", "text": f"Hello {params.get('name')}"}}
        if "get_huge" in self.modes:
            said["content"]["text"] = "x" * (9 << 20)
        if "get_many" in self.modes:
            return {"result": {"messages": [said] * 50_000}}
        if "get_junk" in self.modes:
            return {"result": {"messages": ["x", 5, {"role": "boss", "content": []}, {}, said]}}
        if "get_nothing" in self.modes:
            return {"result": {}}
        if "get_nasty" in self.modes:
            said = {"role": "user", "content": {"type": "text", "text": NASTY}}
            return {"result": {"description": NASTY, "messages": [said]}}
        if "get_error" in self.modes:
            return {"error": {"code": -32602, "message": NASTY}}
        if "get_hangs" in self.modes:
            return None
        if "get_needs_input" in self.modes:
            return self.input_required()
        return {"result": {"messages": [said]}}

    def input_required(self):
        """Wants input for ever."""
        self.rounds += 1
        form = {"message": f"{self.rounds}", "requestedSchema": {"type": "object"}}
        request = {"method": "elicitation/create", "params": form}
        state = {"requestState": f"s{self.rounds}"}
        return {
            "result": {"resultType": "input_required", "inputRequests": {"k": request}, **state}
        }

    def on_tasks_get(self, message, params):
        if "task_for_ever" not in self.modes:
            return self.unknown(message, params)
        task = {"taskId": "t", "status": "working", "pollIntervalMs": 0, "ttlMs": -1}
        return {"result": {"resultType": "complete", **task, "statusMessage": NASTY}}

    def on_completion_complete(self, message, params):
        values = ["a", "b"]
        if "complete_many" in self.modes:
            values = ["v" * 1000] * 5000
        if "complete_junk" in self.modes:
            values = [5, None, {"x": 1}, NASTY]
        if "complete_nothing" in self.modes:
            return {"result": {}}
        return {"result": {"completion": {"values": values, "total": -5, "hasMore": True}}}


def _escaping():
    for uri in (
        "skill://../../etc/SKILL.md",
        "skill://one/../../../SKILL.md",
        "skill://../one/SKILL.md",
        "skill://x/../../one/SKILL.md",
        "skill://%2e%2e/%2e%2e/one/SKILL.md",
        "skill://x/..%2f..%2fone/SKILL.md",
        "skill://one/%2e%2e/%2e%2e/SKILL.md",
        "skill:///etc/SKILL.md",
        "file:///etc/passwd",
        "skill://one/..\\..\\SKILL.md",
        "skill://one/\x00/SKILL.md",
    ):
        yield skill("one", uri=uri)


def _inner(uri):
    return {"uri": uri, "digest": "sha256:" + "0" * 64, "size": 1}


BAD_SKILLS = {
    "skill_escapes": lambda: list(_escaping()),
    "skill_inner_escapes": lambda: [
        skill(f"s{i}", resources=[_inner(f"skill://s{i}/SKILL.md"), _inner(uri)])
        for i, uri in enumerate(
            (
                "skill://s0/../../x",
                "skill://s1/%2e%2e/%2e%2e/x",
                "file:///etc/passwd",
                "http://127.0.0.1:9/x",
                5,
            )
        )
    ],
    "skill_no_digest": lambda: [skill("one", resources=[{"uri": "skill://one/SKILL.md"}])],
    "skill_huge": lambda: [skill("one", text="d" * (2 << 20))],
    "skill_twins": lambda: [skill("one"), skill("one")],
    "skill_junk": lambda: ["x", 5, None, {}, {"uri": 5}, {"uri": "skill://a/SKILL.md"}],
    "skill_nasty": lambda: [skill("one", text=NASTY), skill(NASTY)],
}
