"""A project with rules, and a servers.lock that says what its servers' tools are."""

from dataclasses import replace

from agent_host.config.load import load
from agent_host.core.catalogue import fingerprint
from agent_host.core.types import Tool
from agent_host.host.known import bare_spec
from agent_host.servers.lock import Lock

REFUND = {
    "type": "object",
    "properties": {
        "order": {"type": "string"},
        "amount": {"type": "number", "minimum": 0},
        "reason": {"enum": ["damaged", "late"]},
    },
    "required": ["order", "amount"],
    "additionalProperties": False,
}
READ = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}

SERVERS = """\
model = "offline"
[servers.crm]
command = "crm-server"
labels = { "get_*" = ["private"], "send" = ["egress"] }
"""
POLICY = """
[policy]
default = "ask"
[policy.roles]
boss = ["ann", "cho"]
[policy.totals.refunds]
server = "crm"
tools = ["refund"]
value = "args.amount"
[[policy.rules]]
id = "small"
server = "crm"
tools = ["refund"]
when = 'args.amount <= 100 && total_after("refunds") <= 300'
effect = "allow"
[[policy.rules]]
id = "big"
server = "crm"
tools = ["refund"]
when = "args.amount > 100"
effect = "ask"
approvers = ["boss"]
self_approval = false
reason = "over 100"
[[policy.rules]]
id = "huge"
server = "crm"
tools = ["refund"]
when = "args.amount > 1000"
effect = "deny"
reason = "nobody refunds that"
"""


def tool(name, schema=READ, **more):
    made = Tool(name="", server="crm", tool=name, description="", input_schema=schema, **more)
    return replace(made, fingerprint=fingerprint(made))


TOOLS = (tool("get_order"), tool("refund", REFUND), tool("send", {"type": "object"}))


def write(project, policy=POLICY, servers=SERVERS, tools=TOOLS):
    """Write servers.toml and servers.lock into a folder."""
    (project / "servers.toml").write_text(servers + policy)
    if tools is not None:
        loaded = load(project / "servers.toml", {}, cwd=project)
        lock = Lock.read(project / "servers.lock")
        spec = bare_spec("crm", loaded.config.servers["crm"])
        lock.remember(spec, "1", "2025-11-25", list(tools))
        assert lock.save() is None
