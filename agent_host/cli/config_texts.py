"""The text of a first servers.toml."""

import json
from dataclasses import dataclass

_HEAD = """\
# agent-host reads this file; `agent-host config show` prints every value in effect.
# All keys: docs/reference/config.md. An unknown key is an error.

# Which model answers: a name under [models], "provider:model", "URL:model", "offline", or
# "auto": the first provider whose key is in the environment, else offline (no AI).
"""

_DEMO = """
# The bundled demo server, an order desk. It needs no trust; remove it when you have others.
[servers.orders]
command = "agent-host"
args = ["demo-server"]
"""
_BELIEVED = "trust_annotations = true          # believe its hints which tools only read\n"

_MORE = """
# A server that is started: one text an argument, no shell.
# [servers.files]
# command = "npx"
# args = ["-y", "@modelcontextprotocol/server-filesystem@2026.8.31", "./documents"]
# env = { API_TOKEN = "${env:FILES_TOKEN}" }     # it gets only what is named here
# tools = { include = ["read_*", "list_*"], exclude = [] }

# A server that is there already, at a URL (streamable HTTP).
# [servers.crm]
# url = "https://mcp.example.com/mcp"
# headers = { Authorization = "Bearer ${env:CRM_TOKEN}" }

# A model on this machine.
# [models.local]
# adapter = "openai-chat"
# base_url = "http://127.0.0.1:11434/v1"
# model = "llama4"

# Who may do what. Every rule that matches counts, the strictest wins; no rule: default.
[policy]
default = "ask"

# What only reads runs without a question where the server's hints are believed. More rules:
# [[policy.rules]]
# id = "files-read"
# server = "files"
# tools = ["read_*", "list_*"]
# effect = "allow"                # allow, ask or deny
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a first config is to say. `model` as in servers.toml; `demo`: with the demo server;
    `reads`: its hints are believed, so that what only reads runs without a question."""

    model: str = "auto"
    demo: bool = True
    reads: bool = True


def text_of(wishes: Wishes) -> str:
    """Return the text of the file."""
    demo = _DEMO + (_BELIEVED if wishes.reads else "") if wishes.demo else ""
    # A JSON text without escapes of its own is a TOML text; names of models are cleaned before.
    return f"{_HEAD}model = {json.dumps(wishes.model)}\n{demo}{_MORE}"
