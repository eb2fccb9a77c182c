"""What `asking_server` offers besides tools: resources, prompts, completion, skills."""

import hashlib
import json

from asking_tools import FORM, META, fault, ok, required, text

SKILL = "---\nname: brew-tea\ndescription: How to brew tea\nmetadata:\n  cups: 2\n---\n\nBoil.\n"
MORE = "Use leaves.\n"


class Offers:
    # -- what else it offers

    def on_resources_list(self, message, params, stream):
        if "endless_resources" in self.modes:
            return ok(resources=[{"uri": "a:b", "name": "n"}], nextCursor=str(self.numbers))
        page = int(params.get("cursor") or 0)
        items = [
            {"uri": f"memo://{page}", "name": f"memo {page}", "mimeType": "text/plain", "size": 3}
        ]
        if page == 0:
            items += [{"name": "no uri"}, "junk", {"uri": 7, "name": "n"}]
        return ok(resources=items, **({"nextCursor": str(page + 1)} if page < 2 else {}))

    def on_resources_templates_list(self, message, params, stream):
        return ok(
            resourceTemplates=[{"uriTemplate": "memo://{n}", "name": "memos", "title": "Memos"}]
        )

    def on_resources_read(self, message, params, stream):
        uri = params["uri"]
        if uri == "memo://ask" and self.is_modern(params):
            if "inputResponses" in params:
                said = json.dumps(params["inputResponses"])
                return ok(contents=[{"uri": uri, "text": said}])
            form = {"message": "Who?", "requestedSchema": FORM}
            return required({"q": {"method": "elicitation/create", "params": form}}, "s")
        if uri == "memo://endless":
            return required({}, "s")
        if uri == "memo://blob":
            return ok(contents=[{"uri": uri, "blob": "aGk=", "mimeType": "image/png"}])
        if uri == "memo://none":
            return fault(-32602, "no such resource")
        if uri.startswith("skill:"):
            body = self.skill_text() if uri.endswith("SKILL.md") else MORE
            return ok(contents=[{"uri": uri, "mimeType": "text/markdown", "text": body}])
        return ok(contents=[{"uri": uri, "text": "note"}])

    def on_resources_subscribe(self, message, params, stream):
        self.subscribed.add(params["uri"])
        return ok()

    def on_resources_unsubscribe(self, message, params, stream):
        self.subscribed.discard(params["uri"])
        return ok()

    def on_subscriptions_listen(self, message, params, stream):
        wanted = params["notifications"]
        stamp = {META + "subscriptionId": message["id"]}
        self.listeners = [(stream, stamp, wanted)]
        stream.notify(
            "notifications/subscriptions/acknowledged", {"notifications": wanted, "_meta": stamp}
        )
        if "drops_listen" in self.modes and not self.done:
            self.done.add("dropped")
            return ok()
        stream.keep(message, self)
        return None

    def tell(self, stream, method, params):
        if self.listeners:
            for target, stamp, _ in self.listeners:
                target.notify(method, {**params, "_meta": stamp})
        else:
            next(iter(self.streams.values()), stream).notify(method, params)

    def tool_update(self, message, arguments, params, stream):
        self.tell(stream, "notifications/resources/updated", {"uri": arguments["uri"]})
        wanted = self.listeners[0][2] if self.listeners else {}
        heard = sorted(wanted.get("resourceSubscriptions", self.subscribed))
        return text(json.dumps(heard))

    def tool_changes(self, message, arguments, params, stream):
        self.tell(stream, f"notifications/{arguments['what']}/list_changed", {})
        return text("told")

    def on_prompts_list(self, message, params, stream):
        held = [{"name": "tone", "description": "How", "required": True}, {"name": 5}]
        prompts = [{"name": "greet", "title": "Greet", "arguments": held}, {"title": "nameless"}]
        return ok(prompts=prompts)

    def on_prompts_get(self, message, params, stream):
        said = {"type": "text", "text": json.dumps(params.get("arguments"))}
        messages = [
            {"role": "user", "content": said},
            {"role": "assistant", "content": {"type": "hologram"}},
            {"role": "wizard", "content": [said, said]},
        ]
        return ok(messages=messages)

    def on_completion_complete(self, message, params, stream):
        typed, others = params["argument"]["value"], params.get("context", {}).get("arguments", {})
        kind = params["ref"]["type"]
        values = [f"{typed}{end}" for end in ("a", "b")] + [f"{kind}:{json.dumps(others)}", 5]
        return ok(completion={"values": values})

    # -- skills

    def skill_text(self):
        if "skill_digest" in self.modes:
            return SKILL.replace("Boil.", "Burn.")
        if "skill_size" in self.modes:
            return SKILL + "and more"
        if "skill_front" in self.modes:
            return SKILL.replace("cups: 2", "cups: 3")
        if "skill_alias" in self.modes:
            return SKILL.replace("cups: 2", "cups: &a 2\n  more: *a")
        return SKILL

    def on_skills_list(self, message, params, stream):
        def file(uri, body):
            digest = hashlib.sha256(body.encode()).hexdigest()
            return {"uri": uri, "digest": f"sha256:{digest}", "size": len(body.encode())}

        body = self.skill_text() if {"skill_front", "skill_alias"} & self.modes else SKILL
        root = "skill://brew-tea/"
        front = {"name": "brew-tea", "description": "How to brew tea", "metadata": {"cups": 2}}
        files = [file(root + "SKILL.md", body), file(root + "leaves.md", MORE)]
        good = {"uri": root + "SKILL.md", "frontmatter": front, "resources": files}
        loose = {**good, "uri": "skill://made-up/SKILL.md", "resources": "dynamic"}
        loose["frontmatter"] = {"name": "made-up", "description": "d"}
        out = {**good, "resources": [*files, file("skill://other/x.md", "x")]}
        bad = [
            "junk", {"uri": 5}, {**good, "uri": "skill://x/../SKILL.md"},
            {**good, "frontmatter": {**front, "name": "Brew Tea"}},
            {**good, "resources": files[1:]},
            out, {**good, "resources": [{**files[0], "digest": "md5:1"}]},
        ]  # fmt: skip
        return ok(skills=[good, loose, *bad])
