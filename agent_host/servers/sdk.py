"""What this room uses of the MCP SDK: its dispatcher and transports, without models of payloads.

Every other file of the room takes these names from here, so that nothing imports the SDK before
its packages are deferred.
"""

from agent_host.engine.deferred import defer

defer("mcp", "mcp.client")

from mcp.client.streamable_http import streamable_http_client  # noqa: E402 - after the deferral
from mcp.shared.exceptions import MCPError  # noqa: E402
from mcp.shared.inbound import (  # noqa: E402
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher  # noqa: E402
from mcp.shared.message import SessionMessage  # noqa: E402
from mcp_types.version import (  # noqa: E402
    HANDSHAKE_PROTOCOL_VERSIONS as HANDSHAKE_VERSIONS,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS as MODERN_VERSIONS  # noqa: E402

__all__ = [
    "HANDSHAKE_VERSIONS",
    "MODERN_VERSIONS",
    "JSONRPCDispatcher",
    "MCPError",
    "SessionMessage",
    "encode_header_value",
    "find_invalid_x_mcp_header",
    "mcp_param_headers",
    "streamable_http_client",
    "x_mcp_header_map",
]
