"""The ways to connect to one server: what was learned, and what else to try.

Theory of operation: a spec may leave open how a server speaks. A program that says nothing, or
leaves, at a first message that is not `initialize` is started again for the older handshake; a URL
that takes no POST is asked for the older transport (MCP 2025-11-25 basic/transports, backwards
compatibility). Both belong to the attempt that found it out, if its time allows.
"""

from dataclasses import replace
from typing import Literal

from agent_host.servers.spec import ConnectFailedError, HttpSpec, Spec, StdioSpec

SECOND_NEEDS = 1.0
"""Seconds of the connect timeout that must be left for a second way within one attempt."""
NOT_POSTED = (400, 404, 405)
"""HTTP statuses of a URL that may speak the older transport."""


class Ways:
    """How to connect to the server of `spec`."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._legacy_next = False
        self._sse = False

    def first(self) -> Spec:
        """The spec of the next attempt, with what the last ones taught."""
        legacy, self._legacy_next = self._legacy_next, False
        if isinstance(self._spec, HttpSpec):
            return replace(self._spec, sse=self._spec.sse or self._sse)
        return replace(self._spec, protocol="legacy") if legacy else self._spec

    def second(
        self, error: ConnectFailedError, spec: Spec, left: float, *, new: bool
    ) -> Spec | None:
        """Another way within the attempt that failed so; None: no other. `left`: the seconds that
        it still has; `new`: it was no repetition of a failure."""
        if spec.protocol != "auto":
            return None
        if isinstance(spec, HttpSpec):
            if spec.sse or error.status not in NOT_POSTED or left < SECOND_NEEDS:
                return None
            return replace(spec, sse=True, connect_timeout=left)
        if not (error.silent and new):
            return None
        if left < SECOND_NEEDS:
            self._legacy_next = True
            return None
        return replace(spec, protocol="legacy", connect_timeout=left)

    def worked(self, spec: Spec) -> None:
        """A connection was made in that way."""
        self._sse = isinstance(spec, HttpSpec) and spec.sse

    def explains(self, error: ConnectFailedError, spec: Spec) -> bool:
        """Whether the failure of a second way says more than that of the first did: who speaks
        neither transport of HTTP is not told about the older one."""
        return not isinstance(spec, HttpSpec) or self._sse or error.needs_login


def transport_of(spec: Spec) -> Literal["stdio", "http", "sse"]:
    """The transport that a spec names."""
    if isinstance(spec, StdioSpec):
        return "stdio"
    return "sse" if spec.sse else "http"
