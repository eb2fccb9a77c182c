"""What this room uses of the MCP SDK: its client half, without the server half.

Every other file of the room takes these names from here, so that nothing imports the SDK before
its packages are deferred.
"""

from agent_host.engine.deferred import defer

defer("mcp", "mcp.client")

from mcp.client.session import ClientSession  # noqa: E402 - after the deferral
from mcp.client.streamable_http import streamable_http_client  # noqa: E402
from mcp.client.subscriptions import SubscriptionLost, listen  # noqa: E402
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError  # noqa: E402
from mcp.shared.message import SessionMessage  # noqa: E402

__all__ = [
    "ClientSession",
    "MCPDeprecationWarning",
    "MCPError",
    "SessionMessage",
    "SubscriptionLost",
    "listen",
    "streamable_http_client",
]
