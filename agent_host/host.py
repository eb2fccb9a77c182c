"""The composition root: a config becomes a session. The only file that knows every room.

Theory of operation: server processes are started first, and what has to be imported (the MCP SDK,
the one model SDK that is needed) is imported meanwhile in one thread, in the order in which it is
needed: with every tool known from `servers.lock`, the model's first, so that the first request
leaves before any server is up; else the MCP SDK's. References to secrets are resolved here, at
the last moment, and their values are redacted from the transcript and from what is shown.
"""

import asyncio
import getpass
import json
import os
import random
import shlex
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent_host.config.choose import ModelChoice, choose_model
from agent_host.config.load import Loaded
from agent_host.config.schema import ServerConfig
from agent_host.config.secrets import references, resolve
from agent_host.config.trust import demo_command, is_demo
from agent_host.core.conversation import Conversation
from agent_host.core.errors import ConfigError, RecordError
from agent_host.core.events import (
    RunResumed,
    RunStarted,
)
from agent_host.core.limits import Limits
from agent_host.core.text import clean_line
from agent_host.core.types import Principal
from agent_host.engine.feed import Feed
from agent_host.engine.rooms import Rooms
from agent_host.engine.session import Session
from agent_host.engine.startup import Gate, Loader, Relay
from agent_host.models.registry import module_of
from agent_host.models.settings import AdapterSettings
from agent_host.policy.rules import Rule, RulePolicy
from agent_host.ports import Approver, EventSink, ModelAdapter, Observer
from agent_host.records.ids import new_run_id
from agent_host.records.reader import conversation as resumable
from agent_host.records.reader import find
from agent_host.records.redact import RedactedSink, Redactor
from agent_host.records.transcript import Transcript
from agent_host.servers.lock import Lock
from agent_host.servers.pool import Pool
from agent_host.servers.spec import Connector, HttpSpec, StdioSpec

LOCK_FILE = "servers.lock"

_CONNECTION = "agent_host.servers.connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What a surface asks for. `model`: another one than the config's; `resume`: a run's id or
    the beginning of it; `only`: the names of the servers to use."""

    model: str | None = None
    resume: str | None = None
    only: Collection[str] | None = None


@dataclass(slots=True, kw_only=True)
class HostSession:
    """A session with what belongs to it. `notices` are for the user, at the start."""

    session: Session
    pool: Pool
    loaded: Loaded
    run_id: str
    transcript_path: Path
    choice: ModelChoice
    notices: list[str] = field(default_factory=list)
    _models: "_Models"

    async def change_model(self, name: str) -> ModelChoice:
        """Let another model answer. Raises ConfigError if it cannot, and then changes nothing;
        UsageError while the present one is being asked."""
        choice, adapter = await self._models.make(name, origin="/model")
        self.session.change_model(adapter, by=self.session.principal.id)
        self.choice = choice
        return choice

    def resume_options(self) -> str:
        """Return the options that go on with this run, with the model that answers now."""
        try:
            usual = self._models.choose(None).name
        except ConfigError:
            usual = ""
        model = "" if self.choice.name == usual else f" --model {shlex.quote(self.choice.name)}"
        return f"--resume {self.run_id}{model}"

    def models(self) -> list[str]:
        """Return the names that `change_model` takes, those of the config first."""
        return [*self.loaded.config.models, "offline"]


class _Secrets:
    """Resolves references, and tells the redactor of the values as they become known."""

    def __init__(self, environ: Mapping[str, str], redactor: Redactor | None = None) -> None:
        self.environ = environ
        self.redactor = redactor or Redactor({})

    def resolve(self, text: str, base: Path, key: str) -> str:
        """Return `text` with its references resolved. Raises ConfigError."""
        resolved = resolve(text, self.environ, base, key=key)
        for name in references(text):
            value = resolve(f"${{{name}}}", self.environ, base, key=key)
            self.redactor.add({name.removeprefix("env:"): value})
        return resolved


class _Models:
    """Makes model adapters from what the config or a user names."""

    def __init__(self, loaded: Loaded, secrets: _Secrets, loader: Loader) -> None:
        self._loaded = loaded
        self._secrets = secrets
        self._loader = loader
        self.made: list[ModelAdapter] = []

    def choose(self, name: str | None, origin: str = "--model") -> ModelChoice:
        """Return what a name stands for, by default the config's. Raises ConfigError, which says
        that the name came from `origin`."""
        origin = origin if name is not None else self._loaded.origin("model")
        return choose_model(self._loaded.config, self._secrets.environ, name=name, origin=origin)

    async def make(
        self, name: str | None, origin: str = "--model"
    ) -> tuple[ModelChoice, ModelAdapter]:
        """Return a choice and its adapter. Raises ConfigError."""
        choice = self.choose(name, origin)
        settings = self.settings(choice, base=self.base(name, choice))
        module = await self._loader.load(module_of(choice.settings.adapter))
        adapter: ModelAdapter = module.create(settings)
        self.made.append(adapter)
        prepare: Callable[[], None] | None = getattr(adapter, "prepare", None)
        if prepare is not None:
            await self._loader.call(prepare)
        return choice, adapter

    def base(self, name: str | None, choice: ModelChoice) -> Path:
        """Return the folder that a choice's paths start from: that of the file that says them."""
        loaded = self._loaded
        from_file = name is None and ("model",) not in loaded.origins
        return loaded.folder if from_file or choice.name in loaded.config.models else Path()

    def settings(self, choice: ModelChoice, *, base: Path) -> AdapterSettings:
        """Return an adapter's settings with every reference resolved. Raises ConfigError, also
        for a script or recording that is not there."""
        config, loaded = choice.settings, self._loaded
        declared = choice.name in loaded.config.models
        path = None if config.path is None else base / Path(config.path).expanduser()
        if path is not None and not path.is_file():
            at = loaded.at("models", choice.name, "path") if declared else f"model {choice.name}"
            raise ConfigError(f"{clean_line(at)}: there is no file {path}; check the path")

        def value(key: str, text: str) -> str:
            at = loaded.at("models", choice.name, key) if declared else f"--model {choice.name}"
            return self._secrets.resolve(text, base, at)

        return AdapterSettings(
            provider=choice.provider,
            model=config.model or choice.name,
            base_url=None if config.base_url is None else value("base_url", config.base_url),
            api_key=None if config.api_key is None else value("api_key", config.api_key),
            path=path,
            timeout=config.timeout,
            headers={name: value("headers", text) for name, text in config.headers.items()},
            max_output_tokens=config.max_output_tokens,
        )


def open_pool(
    loaded: Loaded,
    environ: Mapping[str, str],
    *,
    only: Collection[str] | None = None,
    observe: Observer | None = None,
    redactor: Redactor | None = None,
) -> AbstractAsyncContextManager[Pool]:
    """Start the config's servers, all at once; leaving ends them all.

    `only`: names of servers, by default all that are enabled. `redactor`: who is told the values
    of the secrets that the servers get. Raises ConfigError for references
    that cannot be resolved; what goes wrong with a server is that server's state.
    """
    secrets = _Secrets(environ, redactor)
    return _open_pool(loaded, secrets, only=only, observe=observe)


@asynccontextmanager
async def _open_pool(
    loaded: Loaded,
    secrets: _Secrets,
    *,
    only: Collection[str] | None,
    observe: Observer | None,
) -> AsyncIterator[Pool]:
    loader = Loader()
    try:
        gate = Gate()
        pool, _ = _spawned(loaded, secrets, loader, gate, only=only, observe=observe or Relay())
        gate.open()
        async with pool:
            yield pool
    finally:
        loader.close()


def _spawned(
    loaded: Loaded,
    secrets: _Secrets,
    loader: Loader,
    gate: Gate,
    *,
    only: Collection[str] | None,
    observe: Observer,
) -> tuple[Pool, bool]:
    """Return a pool whose processes are starting, and whether every server's tools are known."""

    async def connector() -> Connector:
        await gate.wait()
        module: Any = await loader.load(_CONNECTION)
        connect: Connector = module.connect
        return connect

    specs = server_specs(loaded, secrets, only)
    if specs:
        loader.expected.add(_CONNECTION)
    lock = Lock.read(loaded.folder / LOCK_FILE)
    pool = Pool(
        specs,
        lock=lock,
        observe=observe,
        connector=connector,
        environ=secrets.environ,
        monotonic=time.monotonic,
        chance=random.random,
    )
    pool.spawn()
    return pool, all(lock.recall(spec) is not None for spec in specs)


def server_specs(
    loaded: Loaded, secrets: _Secrets, only: Collection[str] | None
) -> tuple[StdioSpec | HttpSpec, ...]:
    """Return the specs of the servers to start, in the config's order. Raises ConfigError."""
    return tuple(
        _spec(name, server, loaded, secrets)
        for name, server in loaded.config.servers.items()
        if (server.enabled if only is None else name in only)
    )


def _spec(
    name: str, server: ServerConfig, loaded: Loaded, secrets: _Secrets
) -> StdioSpec | HttpSpec:
    def value(key: tuple[str, ...], text: str) -> str:
        return secrets.resolve(text, loaded.folder, loaded.at("servers", name, *key))

    common: dict[str, Any] = {
        "name": name,
        "connect_timeout": server.connect_timeout,
        "call_timeout": server.timeout,
        "include": tuple(server.tools.include),
        "exclude": tuple(server.tools.exclude),
        "trust_annotations": server.trust_annotations,
        "parallel": server.parallel,
        "protocol": server.protocol,
        "identity": _identity(server),
    }
    if server.url is not None:
        headers = {k: value(("headers", k), text) for k, text in server.headers.items()}
        return HttpSpec(url=value(("url",), server.url), headers=headers, **common)
    command, args = server.command or "", tuple(server.args)
    if is_demo(server):
        # The bundled server is this very program, whatever PATH holds.
        command, *rest = demo_command(sys.executable)
        args = tuple(rest)
    folder = loaded.folder / Path(server.cwd).expanduser() if server.cwd else loaded.folder
    env = {k: value(("env", k), text) for k, text in server.env.items()}
    return StdioSpec(command=command, args=args, env=env, cwd=str(folder), **common)


def _identity(server: ServerConfig) -> str:
    """What decides which server this is, as the config has it: the same on every machine that
    shares it, and without any secret."""
    parts = [server.command, server.args, server.cwd, sorted(server.env)]
    return json.dumps([*parts, server.url, sorted(server.headers)])


@asynccontextmanager
async def open_session(
    loaded: Loaded,
    environ: Mapping[str, str],
    options: SessionOptions,
    *,
    sinks: Sequence[EventSink],
    approver: Approver,
) -> AsyncIterator[HostSession]:
    """Make a session: a new run, or one taken over. Leaving ends every server.

    Raises ConfigError, RecordError (the transcript cannot be made or read) or UsageError.
    """
    secrets, loader, relay, gate = _Secrets(environ), Loader(), Relay(), Gate()
    models = _Models(loaded, secrets, loader)
    try:
        chosen = models.choose(options.model)
        models.settings(chosen, base=models.base(options.model, chosen))
        policy = make_policy(loaded)
        pool, warm = _spawned(loaded, secrets, loader, gate, only=options.only, observe=relay)
        module = module_of(chosen.settings.adapter)
        loader.expected.add(module)
        if not warm:
            gate.open()
            loader.start(_CONNECTION)
        loader.start(module)
        with _transcript(loaded, options.resume, secrets, pool) as transcript:
            async with pool:
                choice, model = await models.make(options.model)
                rooms = Rooms(model=model, tools=pool, policy=policy, approver=approver)
                shown = [RedactedSink(sink, secrets.redactor) for sink in sinks]
                session, notices = _session(loaded, transcript, rooms, (*shown, gate), options)
                relay.connect(session.observe)
                asyncio.get_running_loop().call_later(gate.LONGEST, gate.open)
                yield HostSession(
                    session=session,
                    pool=pool,
                    loaded=loaded,
                    run_id=transcript.run_id,
                    transcript_path=transcript.path,
                    choice=choice,
                    notices=[*filter(None, [transcript.recovered]), *notices],
                    _models=models,
                )
    finally:
        for adapter in models.made:
            await adapter.aclose()
        loader.close()


def _transcript(loaded: Loaded, resume: str | None, secrets: _Secrets, pool: Pool) -> Transcript:
    """Make or open the file; if that fails, end the servers that are starting already."""
    try:
        return _opened(loaded, resume, secrets)
    except RecordError:
        pool.discard()
        raise


def _opened(loaded: Loaded, resume: str | None, secrets: _Secrets) -> Transcript:
    if resume is not None:
        path = find(loaded.transcripts, resume)
        return Transcript.open(path.parent, path.name.removesuffix(".jsonl"), secrets.redactor)
    run_id = new_run_id(time.time_ns() // 1_000_000, os.urandom(10))
    return Transcript.create(loaded.transcripts, run_id, secrets.redactor)


def _session(
    loaded: Loaded,
    transcript: Transcript,
    rooms: Rooms,
    sinks: Sequence[EventSink],
    options: SessionOptions,
) -> tuple[Session, list[str]]:
    """Return the session, and what its user should know of how it begins."""
    resumed = options.resume is not None
    conversation = resumable(transcript.path) if resumed else Conversation()
    config = loaded.config
    principal = Principal(id=user_name())
    feed = Feed(
        run_id=transcript.run_id,
        journal=transcript,
        sinks=sinks,
        clock=_now,
        next_seq=transcript.seq,
    )
    session = Session(
        conversation=conversation,
        feed=feed,
        rooms=rooms,
        principal=principal,
        monotonic=time.monotonic,
        new_id=_Counter(transcript.seq),
        limits=Limits(
            max_turns=config.limits.max_turns,
            max_tool_calls=config.limits.max_tool_calls,
            max_tokens=config.limits.max_tokens,
            max_seconds=config.limits.max_seconds,
        ),
    )
    origin = rooms.model.origin
    if resumed:
        session.record(RunResumed(principal=principal))
        if origin == conversation.origin:
            return session, []
        session.change_model(rooms.model, by=principal.id)
        was = clean_line(f"{conversation.origin.provider}:{conversation.origin.model}", 120)
        now = clean_line(f"{origin.provider}:{origin.model}", 120)
        return session, [f"{was} answered this run before; from here on {now} does (--model)"]
    session.record(
        RunStarted(
            run_id=transcript.run_id,
            principal=principal,
            provider=origin.provider,
            model=origin.model,
            adapter=origin.adapter,
            simulated=rooms.model.simulated,
            config_fingerprint=loaded.fingerprint,
            system=config.system,
        )
    )
    return session, []


def make_policy(loaded: Loaded) -> RulePolicy:
    """Return the policy that a config describes. Raises ConfigError."""
    policy = loaded.config.policy
    rules = [
        Rule(
            id=rule.id,
            effect=rule.effect,
            server=rule.server,
            tools=tuple(rule.tools),
            reason=rule.reason,
            where=loaded.where("policy", "rules", place),
        )
        for place, rule in enumerate(policy.rules)
    ]
    return RulePolicy(rules, policy.default)


class _Counter:
    """Names model requests; unique in a run, also after it was resumed."""

    def __init__(self, start: int) -> None:
        self._next = start

    def __call__(self) -> str:
        self._next += 1
        return f"request-{self._next}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def user_name() -> str:
    """Return the name of this process's user, or its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
