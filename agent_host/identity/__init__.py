"""Identity: who a run acts for, verified; see `oidc` for the theory of operation."""

from agent_host.identity.oidc import IdentityError, Verified, verify

__all__ = ["IdentityError", "Verified", "verify"]
