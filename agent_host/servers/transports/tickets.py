"""Who waits for what travels over HTTP: one ticket a message, carried by the context.

Theory of operation: the SDK's transport does not say which request a POST, a redirect or the
resumption of a stream belongs to, and does not end them when their caller gives up. But it runs
each in the context of whoever sent the message, so the writer puts a ticket there. When a caller
gives up, the ticket ends every exchange that it stands on, also one on which the server sends
nothing at all.
"""

from contextvars import ContextVar
from types import TracebackType

import anyio
from mcp_types import JSONRPCNotification, JSONRPCRequest

from agent_host.servers.sdk import SessionMessage

PROBE = "server/discover"


class Ticket:
    """One message on its way. `request_id` is None for what gets no answer."""

    __slots__ = ("given_up", "method", "request_id", "resumed", "scopes")

    def __init__(self, method: str, request_id: int | str | None) -> None:
        self.method = method
        self.request_id = request_id
        self.given_up = False
        self.resumed = 0
        self.scopes: set[anyio.CancelScope] = set()

    def waiting(self) -> "_Stretch":
        """A stretch that ends early, with `cancelled_caught`, once the caller gives up."""
        return _Stretch(self)

    def give_up(self) -> None:
        """Nobody waits any more: end what goes on for this message."""
        self.given_up = True
        for scope in tuple(self.scopes):
            scope.cancel()


class _Stretch:
    """See `Ticket.waiting`."""

    __slots__ = ("_scope", "_ticket")

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._scope = anyio.CancelScope()

    def __enter__(self) -> anyio.CancelScope:
        scope = self._scope.__enter__()
        if self._ticket.given_up:
            scope.cancel()
        self._ticket.scopes.add(scope)
        return scope

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool:
        self._ticket.scopes.discard(self._scope)
        return self._scope.__exit__(exc_type, exc_val, exc_tb)


CURRENT: ContextVar[Ticket | None] = ContextVar("ticket", default=None)
"""The ticket of the message that is being sent."""


class Tickets:
    """The tickets of one connection's open requests."""

    def __init__(self) -> None:
        self._open: dict[int | str, Ticket] = {}

    def __len__(self) -> int:
        return len(self._open)

    def of(self, item: SessionMessage) -> Ticket:
        """A ticket for a message on its way out."""
        message = item.message
        if isinstance(message, JSONRPCRequest):
            if message.method == "initialize":
                # Whoever shakes hands the old way no longer waits for the probe's answer.
                self._give_up_all(PROBE)
            ticket = self._open[message.id] = Ticket(message.method, message.id)
            return ticket
        method = message.method if isinstance(message, JSONRPCNotification) else ""
        return Ticket(method, None)

    def sent(self, item: SessionMessage) -> None:
        """Note what was handed over: after a cancellation nobody waits for that request."""
        message = item.message
        if isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self.close((message.params or {}).get("requestId"))

    def answered(self, request_id: int | str | None) -> None:
        """Forget a request that has its answer."""
        if request_id is not None:
            self._open.pop(request_id, None)

    def close(self, request_id: object) -> None:
        """Give a request up."""
        if isinstance(request_id, int | str) and (ticket := self._open.pop(request_id, None)):
            ticket.give_up()

    def _give_up_all(self, method: str) -> None:
        for key in [key for key, ticket in self._open.items() if ticket.method == method]:
            self.close(key)
