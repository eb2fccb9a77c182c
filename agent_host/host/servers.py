"""Servers out of what a config says."""

import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from agent_host.config.load import Loaded
from agent_host.config.paths import user_data_folder
from agent_host.config.secrets import references
from agent_host.config.server_tables import ServerConfig
from agent_host.config.trust import demo_command, is_demo
from agent_host.core.errors import ConfigError
from agent_host.engine.startup import Gate, Loader, Relay
from agent_host.host.identity import identify
from agent_host.host.known import LOCK_FILE, identity_of, labels_in
from agent_host.host.secrets import Secrets
from agent_host.ports import Observer, Sandbox
from agent_host.records.redact import Redactor
from agent_host.servers.lock import Lock
from agent_host.servers.pool import Pool
from agent_host.servers.spec import (
    AuthSpec,
    Connector,
    HttpSpec,
    StdioSpec,
    TlsSpec,
    UserSpec,
)

CONNECTION = "agent_host.servers.connection"

_TELLING = 8
"""Characters of a secret that no definition holds by chance."""


def open_pool(
    loaded: Loaded,
    environ: Mapping[str, str],
    *,
    only: Collection[str] | None = None,
    observe: Observer | None = None,
    redactor: Redactor | None = None,
    elicitation: bool = False,
    acting: bool = False,
    lock: Lock | None = None,
) -> AbstractAsyncContextManager[Pool]:
    """Start the config's servers, all at once; leaving ends them all.

    `only`: names of servers, by default all that are enabled. `redactor`: who is told the values
    of the secrets that the servers get. `elicitation`: servers are told that they may ask for
    input. `acting`: calls are made, so the pool has to know for whom. `lock`: by default the
    config's servers.lock. Raises AgentHostError for a
    user who cannot be established; what goes wrong with a server, also a reference of its that
    cannot be resolved, is that server's state.
    """
    secrets = Secrets(environ, redactor)
    return _open_pool(
        loaded,
        secrets,
        only=only,
        observe=observe,
        elicitation=elicitation,
        acting=acting,
        lock=lock,
    )


@asynccontextmanager
async def _open_pool(
    loaded: Loaded,
    secrets: Secrets,
    *,
    only: Collection[str] | None,
    observe: Observer | None,
    elicitation: bool,
    acting: bool,
    lock: Lock | None,
) -> AsyncIterator[Pool]:
    loader = Loader()
    try:
        gate = Gate()
        pool, _ = spawned(
            loaded,
            secrets,
            loader,
            gate,
            only=only,
            observe=observe or Relay(),
            elicitation=elicitation,
            lock=lock,
        )
        gate.open()
        async with pool:
            if acting:
                pool.principal = await identify(loaded, secrets)
            yield pool
    finally:
        loader.close()


def spawned(
    loaded: Loaded,
    secrets: Secrets,
    loader: Loader,
    gate: Gate,
    *,
    only: Collection[str] | None,
    observe: Observer,
    elicitation: bool = False,
    lock: Lock | None = None,
) -> tuple[Pool, bool]:
    """Return a pool whose processes are starting, and whether every server's tools are known.
    `elicitation`: servers are told that they may ask for input. `lock`: by default the config's."""

    async def connector() -> Connector:
        await gate.wait()
        module: Any = await loader.load(CONNECTION)
        connect: Connector = module.connect
        return connect

    specs = startable_specs(loaded, secrets, only)
    if specs:
        loader.expected.add(CONNECTION)
    lock = lock or Lock.read(loaded.folder / LOCK_FILE)
    pool = Pool(
        specs,
        lock=lock,
        observe=observe,
        connector=connector,
        environ=secrets.environ,
        monotonic=time.monotonic,
        chance=random.random,
        elicitation=elicitation,
    )
    pool.spawn()
    return pool, all(lock.recall(spec) is not None for spec in specs)


def startable_specs(
    loaded: Loaded, secrets: Secrets, only: Collection[str] | None
) -> tuple[StdioSpec | HttpSpec, ...]:
    """Return the specs of the servers to start, in the config's order. One whose references
    cannot be resolved now says so itself (`unusable`), so that the others are not held up."""

    def spec(name: str) -> StdioSpec | HttpSpec:
        try:
            return server_specs(loaded, secrets, [name])[0]
        except ConfigError as error:
            return _unusable(name, loaded.config.servers[name], str(error))

    return tuple(map(spec, _wanted(loaded, only)))


def server_specs(
    loaded: Loaded, secrets: Secrets, only: Collection[str] | None
) -> tuple[StdioSpec | HttpSpec, ...]:
    """Return the specs of the servers to start, in the config's order. Raises ConfigError."""
    servers = loaded.config.servers
    return tuple(_spec(name, servers[name], loaded, secrets) for name in _wanted(loaded, only))


def _wanted(loaded: Loaded, only: Collection[str] | None) -> tuple[str, ...]:
    return tuple(
        name
        for name, server in loaded.config.servers.items()
        if (server.enabled if only is None else name in only)
    )


def _unusable(name: str, server: ServerConfig, why: str) -> StdioSpec | HttpSpec:
    """A spec that says why there is none, and which server it would be."""
    common: dict[str, Any] = {
        "name": name,
        "include": tuple(server.tools.include),
        "exclude": tuple(server.tools.exclude),
        "protocol": server.protocol,
        "identity": identity_of(server),
        "labels": labels_in(server),
        "unusable": why,
    }
    if server.url is not None:
        return HttpSpec(url=server.url, sse=server.sse, **common)
    return StdioSpec(command=server.command or "", **common)


def _spec(
    name: str, server: ServerConfig, loaded: Loaded, secrets: Secrets
) -> StdioSpec | HttpSpec:
    given = Redactor({})

    value = _resolver(name, loaded, secrets, given)
    user = server.forward_user
    common: dict[str, Any] = {
        "name": name,
        "connect_timeout": server.connect_timeout,
        "call_timeout": server.timeout,
        "include": tuple(server.tools.include),
        "exclude": tuple(server.tools.exclude),
        "trust_annotations": server.trust_annotations,
        "parallel": server.parallel,
        "protocol": server.protocol,
        "identity": identity_of(server),
        "roots": tuple(
            (loaded.folder / Path(r).expanduser()).resolve().as_uri() for r in server.roots
        ),
        "sampling": server.sampling,
        "resources": server.resources,
        "labels": labels_in(server),
        "leaks": lambda text: given.text(text) != text,
        "user": UserSpec(
            headers=user.headers,
            meta=user.meta or "",
            exchange=user.exchange,
            audience=user.audience or "",
            subject=secrets.user_token,
        ),
    }
    if server.url is not None:
        headers = {k: value(("headers", k), text) for k, text in server.headers.items()}
        return HttpSpec(
            url=value(("url",), server.url),
            headers=headers,
            sse=server.sse,
            auth=_auth(server, headers, value, secrets),
            tls=_tls(server, loaded.folder),
            proxy=server.proxy and value(("proxy",), server.proxy),
            **common,
        )
    command, args = server.command or "", tuple(server.args)
    if is_demo(server):
        # The bundled server is this very program, whatever PATH holds.
        command, *rest = demo_command(sys.executable)
        args = tuple(rest)
    folder = loaded.folder / Path(server.cwd).expanduser() if server.cwd else loaded.folder
    env = {k: value(("env", k), text) for k, text in server.env.items()}
    return StdioSpec(
        command=command,
        args=args,
        env=env,
        cwd=str(folder),
        sandbox=_sandbox(name, server, loaded, secrets.environ),
        **common,
    )


def _resolver(
    name: str, loaded: Loaded, secrets: Secrets, given: Redactor
) -> Callable[[tuple[str, ...], str], str]:
    """What resolves the references of a server's values; `given` gets to know what they stand
    for."""

    def value(key: tuple[str, ...], text: str) -> str:
        where = loaded.at("servers", name, *key)
        for one in references(text):
            secret = secrets.resolve(f"${{{one}}}", loaded.folder, where)
            if len(secret) >= _TELLING:
                given.add({one: secret})
        return secrets.resolve(text, loaded.folder, where)

    return value


def _sandbox(
    name: str, server: ServerConfig, loaded: Loaded, environ: Mapping[str, str]
) -> Sandbox | None:
    if server.sandbox.mode == "off":
        return None
    from agent_host.host.sandboxes import sandbox_of

    return sandbox_of(name, server, loaded, environ)


def _auth(
    server: ServerConfig,
    headers: Mapping[str, str],
    value: Callable[[tuple[str, ...], str], str],
    secrets: Secrets,
) -> AuthSpec | None:
    """How to log in. A server without a table may still ask for a login; one that is sent a
    header of its own for that is not asked."""
    auth = server.auth
    if auth is None:
        named = {name.lower() for name in headers}
        if "authorization" in named:
            return None
        return AuthSpec(type="oauth", store=_token_store(), keep_secret=secrets.keep)

    def secret(key: str) -> str:
        text = getattr(auth, key)
        return "" if text is None else value(("auth", key), text)

    key = secret("private_key")
    assertion = auth.assertion
    return AuthSpec(
        type=auth.type,
        store=_token_store(),
        client_id=auth.client_id or "",
        client_secret=secret("client_secret"),
        client_metadata_url=secret("client_metadata_url"),
        private_key=key,
        algorithm=auth.algorithm,
        scopes=tuple(auth.scopes),
        issuer=secret("issuer"),
        redirect_port=auth.redirect_port,
        dpop=auth.dpop,
        assertion=None if assertion is None else lambda: value(("auth", "assertion"), assertion),
        idp_token_url=secret("idp_token_url"),
        idp_client_id=auth.idp_client_id or "",
        idp_client_secret=secret("idp_client_secret"),
        keep_secret=secrets.keep,
    )


def _token_store() -> Path:
    return user_data_folder() / "logins"


def _tls(server: ServerConfig, folder: Path) -> TlsSpec:
    def path(name: str | None) -> str:
        return "" if name is None else str(folder / Path(name).expanduser())

    tls = server.tls
    return TlsSpec(ca=path(tls.ca), cert=path(tls.cert), key=path(tls.key))
