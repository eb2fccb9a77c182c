"""A model server on this machine, as a hint only: nothing is ever switched because of it.

Theory of operation: the usual ports of 127.0.0.1 are tried at once; a closed port answers within
a fraction of a millisecond. Where something listens, it is asked for its models (the one request
that every OpenAI-compatible server answers), bounded in time and bytes. Used by `doctor` and when
there is nothing better to say than "no key", never on the way to a request.
"""

import contextlib
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from agent_host.core.text import clean_line
from agent_host.profiles.table import built_in

_CONNECT_SECONDS = 0.02
_ANSWER_SECONDS = 0.25
_ANSWER_PARTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalServer:
    """A model server found on this machine. `models`: what it serves, as it says (cleaned)."""

    name: str
    base_url: str
    models: tuple[str, ...]

    @property
    def hint(self) -> str:
        """What to say to use it."""
        model = self.models[0] if self.models else "MODEL"
        return f"{self.base_url}:{model}"


def usual_ports() -> tuple[int, ...]:
    """Return the ports that model servers on this machine usually listen on."""
    return tuple(p.port for p in built_in().providers if p.port)


def local_hint(ports: Iterable[int] | None = None) -> tuple[LocalServer, ...]:
    """Return the model servers that answer on 127.0.0.1. Takes at most about two seconds for
    a port whose server dribbles, a quarter of one for a silent one, nothing for a closed one."""
    names = {p.port: p.title for p in built_in().providers if p.port}
    found = []
    for port in ports if ports is not None else usual_ports():
        models = _models(port)
        if models is not None:
            found.append(
                LocalServer(
                    name=names.get(port, "a model server"),
                    base_url=f"http://127.0.0.1:{port}/v1",
                    models=models,
                )
            )
    return tuple(found)


def _models(port: int) -> tuple[str, ...] | None:
    """Return what the server on `port` says its models are; None if it is no model server."""
    request = f"GET /v1/models HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n\r\n"
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), _CONNECT_SECONDS) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.sendall(request.encode())
            with contextlib.suppress(TimeoutError):
                for _ in range(_ANSWER_PARTS):
                    answer += (part := connection.recv(65536))
                    if not part:
                        break
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200" not in head.split(b"\r\n")[0]:
        return None
    try:
        listed = json.loads(body)["data"]
        return tuple(clean_line(model["id"], 80) for model in listed[:20])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
