"""What a server's table would start, contact, send and allow, for the question of trust.

Theory of operation: every key counts but those that only say how long, how much or whether at all
(`_HARMLESS`), so a key that comes to the schema later counts by itself and is shown as it is
written until it gets a sentence here. What is hashed are the values; of the keys that were not
there always only those that say something, so that older digests stay what they were.
"""

import json
import shlex
from collections.abc import Iterator
from typing import Any

from agent_host.config.looks import looks_secret, secret_in_url
from agent_host.config.server_tables import AuthConfig, ForwardUser, ServerConfig
from agent_host.config.show import HIDDEN, mask, mask_url

_ALWAYS = {"command", "args", "env", "cwd", "url", "headers", "trust_annotations"}
_HARMLESS = {
    "timeout",
    "connect_timeout",
    "tools",
    "parallel",
    "enabled",
    "protocol",
    "resources",
}
_TOLD = {"sse", "proxy", "tls", "auth", "roots", "sampling", "forward_user", "labels", "sandbox"}
_REACH = {"none": "no network", "loopback": "this machine's loopback", "all": "every network"}
_LOGINS = {
    "oauth": "a person logs in, and what they allow is used",
    "client-credentials": "with an id and a secret of its own",
    "enterprise": "the user's ID token is exchanged for one of this server",
    "workload": "a token of the platform is exchanged for one of this server",
}


def substance(server: ServerConfig) -> dict[str, Any]:
    """Return every value that trust covers."""
    what = server.model_dump(include=_ALWAYS)
    return what | server.model_dump(exclude=_ALWAYS | _HARMLESS, exclude_defaults=True)


def lines_of(server: ServerConfig) -> list[str]:
    """Return what trust covers as lines for people, without secrets, not yet cleaned."""
    return list(_lines(server))


def _lines(server: ServerConfig) -> Iterator[str]:
    if server.command is not None:
        yield f"starts: {shlex.join([server.command, *server.args])}"
    if server.cwd is not None:
        yield f"in the folder: {server.cwd}"
    yield from (f"with: {k}={_masked('env', k, value)}" for k, value in server.env.items())
    if server.url is not None:
        yield f"contacts: {mask_url(server.url)}{' (HTTP+SSE)' if server.sse else ''}"
    yield from (f"header: {k}: {_masked('headers', k, v)}" for k, v in server.headers.items())
    yield from _way(server)
    if server.auth is not None:
        yield from _auth(server.auth)
    yield from _user(server.forward_user)
    yield from (f"is told that it may work in the folder: {folder}" for folder in server.roots)
    if server.sampling:
        yield "may ask for answers of the model (sampling)"
    if server.trust_annotations:
        yield "and its hints about its tools are believed"
    for tools, labels in server.labels.items():
        yield f"labelled: {json.dumps(tools)} as {', '.join(labels) or 'nothing'}"
    yield from _sandbox(server)
    rest = server.model_dump(exclude=_ALWAYS | _HARMLESS | _TOLD, exclude_defaults=True)
    for key, value in rest.items():
        yield f"{key} = {json.dumps(mask((key,), value), default=str)}"


def _sandbox(server: ServerConfig) -> Iterator[str]:
    said = server.sandbox
    if said.mode == "off":
        return
    yield "in a sandbox" + (", or not at all" if said.mode == "required" else " where there is one")
    yield from (f"  where it may read: {path}" for path in said.read)
    yield from (f"  where it may read and change: {path}" for path in said.write)
    yield f"  where it may reach: {_REACH[said.network]}"
    if said.memory is not None:
        yield f"  with {said.memory} MB of memory"
    if said.processes is not None:
        yield f"  with {said.processes} processes"


def _way(server: ServerConfig) -> Iterator[str]:
    if server.proxy is not None:
        yield f"through the proxy: {mask_url(server.proxy)}" if server.proxy else "without a proxy"
    if server.tls.ca is not None:
        yield f"believes the certificate authorities in: {server.tls.ca}"
    if server.tls.cert is not None:
        yield f"shows the client certificate: {server.tls.cert}"
    if server.tls.key is not None:
        yield f"with the key in: {server.tls.key}"


def _auth(auth: AuthConfig) -> Iterator[str]:
    yield f"logs in ({auth.type}): {_LOGINS[auth.type]}"
    for key, value in auth.model_dump(exclude={"type"}, exclude_defaults=True).items():
        if isinstance(value, str) and value.startswith(("http://", "https://")):
            shown: Any = mask_url(value)
        elif isinstance(value, list):
            shown = " ".join(value)
        else:
            shown = mask(("auth", key), value)
        yield f"  {key.replace('_', ' ')}: {shown}"


def _user(user: ForwardUser) -> Iterator[str]:
    if user.meta is not None:
        yield f"is told who the user is, in the key: {user.meta}"
    for name, value in user.headers.items():
        yield f"is told who the user is, in the header: {name}: {value}"
    if user.exchange:
        audience = f" for: {user.audience}" if user.audience else ""
        yield f"gets a token of the user{audience}"


def _masked(table: str, name: str, value: str) -> str:
    shown = str(mask((table, name), value))
    if shown != value or not looks_secret(name, value):
        return shown
    return mask_url(value) if secret_in_url(value) else HIDDEN
