"""What is told of a server's sandbox: what it lacks, once, and which line would grant what it
refused.

Theory of operation: a sandbox refuses silently, and the server then dies, or answers with an error
that looks as if a file were not there. Whoever reads that needs to know that a sandbox stands
between, and what to write where. The line goes behind the reason why a server is down; of a call
that failed it is told beside the result, which stays the server's own, and once.
"""

import json
from collections.abc import Callable

from agent_host.core.text import clean
from agent_host.servers.spec import Reply, Spec, StdioSpec

UNSANDBOXED = "unsandboxed"
HEARD = 4000
"""Characters of a failed call that are looked at."""


class Confinement:
    """The sandbox of one server, as far as it is told of; `tell` takes a line for people."""

    def __init__(self, spec: Spec, tell: Callable[[str], None]) -> None:
        self._sandbox = spec.sandbox if isinstance(spec, StdioSpec) else None
        self._is_program = isinstance(spec, StdioSpec)
        self._tell = tell
        self._told: set[str] = set()

    @property
    def kind(self) -> str:
        """As `ServerHealth.sandbox`."""
        if not self._is_program:
            return ""
        if self._sandbox is None or (self._sandbox.kind == "none" and self.warning):
            return UNSANDBOXED
        return self._sandbox.kind

    @property
    def warning(self) -> str:
        """What it does not enforce though it was asked for; empty if nothing."""
        return "" if self._sandbox is None else self._sandbox.warning

    def started(self) -> None:
        """Tell, once, what a server that runs now is not kept from."""
        if self.warning:
            self._once(self.warning)

    def explained(self, why: str, logged: str) -> str:
        """Why a server is down, with the line that may mend it."""
        if self._sandbox is None:
            return why
        line = self._sandbox.grant(f"{logged}\n{why}")
        return f"{why}; {line}" if line and line not in why else why

    def heard(self, reply: Reply) -> str:
        """Look at what came of a call, and tell what would mend an error that may be the
        sandbox's; return it, or empty."""
        if self._sandbox is None or not _is_error(reply):
            return ""
        text = reply.text or json.dumps(reply.raw.get("content"), ensure_ascii=False, default=str)
        line = self._sandbox.grant(clean(text[:HEARD]))
        if line:
            self._once(line)
        return line

    def _once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


def _is_error(reply: Reply) -> bool:
    return reply.kind == "error" or (reply.kind == "result" and reply.raw.get("isError") is True)
