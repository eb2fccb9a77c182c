"""What logging in uses of the MCP SDK: its models of the standards' documents, and its checks.

Imported only when a login is under way: neither a stored token nor its refresh needs it.
"""

from agent_host.engine.deferred import defer

defer("mcp", "mcp.client")

from mcp.client.auth.exceptions import OAuthFlowError, OAuthRegistrationError  # noqa: E402
from mcp.client.auth.oauth2 import PKCEParameters, check_registration_usable  # noqa: E402
from mcp.client.auth.utils import (  # noqa: E402
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    issuers_match,
    union_scopes,
    validate_metadata_issuer,
)
from mcp.shared.auth import (  # noqa: E402
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    ProtectedResourceMetadata,
)
from mcp.shared.auth_utils import check_resource_allowed  # noqa: E402

__all__ = [
    "OAuthClientInformationFull",
    "OAuthClientMetadata",
    "OAuthFlowError",
    "OAuthMetadata",
    "OAuthRegistrationError",
    "PKCEParameters",
    "ProtectedResourceMetadata",
    "build_oauth_authorization_server_metadata_discovery_urls",
    "build_protected_resource_metadata_discovery_urls",
    "check_registration_usable",
    "check_resource_allowed",
    "issuers_match",
    "union_scopes",
    "validate_metadata_issuer",
]
