"""A session with everything that belongs to it.

Theory of operation: server processes are started first, and what has to be imported (the MCP SDK,
the one model SDK that is needed) is imported meanwhile in one thread, in the order in which it is
needed: with every tool known from `servers.lock`, the model's first, so that the first request
leaves before any server is up; else the MCP SDK's. Prices are read last of all.
"""

import asyncio
import os
import shlex
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from agent_host.builtin.source import WithHostTools
from agent_host.config.choose import ModelChoice
from agent_host.config.layers import max_asks_of
from agent_host.config.load import Loaded
from agent_host.config.resolve import effort_problem
from agent_host.config.schema import Config
from agent_host.core.conversation import Conversation
from agent_host.core.errors import ConfigError, UsageError
from agent_host.core.events import RunResumed, RunStarted, ServerLog
from agent_host.core.limits import Limits
from agent_host.core.offering import Offering, SearchRules
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Origin, Principal, ToolChoice
from agent_host.engine.feed import Feed
from agent_host.engine.rooms import Compaction, Retry, Rooms, Sampling
from agent_host.engine.session import Session
from agent_host.engine.startup import Gate, Loader, Relay
from agent_host.host.approvals import Approvals
from agent_host.host.audit import Auditing
from agent_host.host.identity import identify
from agent_host.host.models import Fallbacks, Models
from agent_host.host.policy import make_policy
from agent_host.host.secrets import Secrets
from agent_host.host.servers import CONNECTION, spawned, startable_specs
from agent_host.host.sources import Sources
from agent_host.host.telemetry import Telemetry
from agent_host.models.registry import module_of
from agent_host.policy.rules import RulePolicy
from agent_host.ports import Approver, EventSink, Respondent
from agent_host.records.fold import Fold
from agent_host.records.ids import new_run_id
from agent_host.records.reader import find
from agent_host.records.streamed import redacted
from agent_host.records.transcript import Transcript
from agent_host.servers.pool import Pool, Replaced
from agent_host.state.approvals import Waiting

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What a surface asks for. `model`: another one than the config's; `resume`: a run's id or
    the beginning of it; `only`: the names of the servers to use; `tool_choice`: of the first
    request after a user's message; `output_schema`: what an answer has to be; `effort`: how much
    the model should think, in its provider's word; `interactive`: a person sits there, for rules
    that ask about it."""

    model: str | None = None
    resume: str | None = None
    only: Collection[str] | None = None
    tool_choice: ToolChoice = "auto"
    output_schema: JsonObject | None = None
    effort: str | None = None
    interactive: bool = False


@dataclass(slots=True, kw_only=True)
class HostSession:
    """A session with what belongs to it. `notices` are for the user, at the start."""

    session: Session
    pool: Pool
    loaded: Loaded
    run_id: str
    transcript_path: Path
    notices: list[str] = field(default_factory=list)
    _held: "_Held"

    def keep_secret(self, text: str) -> None:
        """Keep what a person typed as a secret out of whatever is written from here on."""
        self._held.secrets.redactor.add({"typed into a form": text})

    def without_secrets(self, value: _Value) -> _Value:
        """Return a text, or a value of JSON, without any secret."""
        return self._held.secrets.redactor.value(value)

    @property
    def choice(self) -> ModelChoice:
        """The model that answers now."""
        return self._held.models.choice

    async def change_model(self, name: str) -> ModelChoice:
        """Let another model answer. Raises ConfigError if it cannot, and then changes nothing;
        UsageError while the present one is being asked."""
        before = self._held.models.choice
        choice, adapter = await self._held.models.make(name, origin="/model")
        try:
            self.session.change_model(adapter, by=self.session.principal.id)
        except UsageError:
            self._held.models.choice = before
            raise
        self._held.fallback.follow(choice)
        self.session.retry = _retry(choice)
        return choice

    async def replace_servers(self, loaded: Loaded, only: Collection[str]) -> Replaced:
        """Go on with these servers of another reading of the config: what is gone is ended, what
        differs started anew. Whether that config may start anything must have been settled
        before."""
        self._held.sources.replace(loaded)
        return await self.pool.replace(startable_specs(loaded, self._held.secrets, only))

    def waiting(self) -> list[tuple[str, Waiting]]:
        """Return the calls that wait for somebody's approval, each with its short id."""
        return self._held.approvals.waiting()

    def resume_options(self) -> str:
        """Return the options that go on with this run, with the model that answers now."""
        try:
            usual = self._held.models.choose(None).name
        except ConfigError:
            usual = ""
        model = "" if self.choice.name == usual else f" --model {shlex.quote(self.choice.name)}"
        return f"--resume {self.run_id}{model}"

    def models(self) -> list[str]:
        """Return the names that `change_model` takes, those of the config first."""
        return [*self.loaded.config.models, "offline"]


@asynccontextmanager
async def open_session(
    loaded: Loaded,
    environ: Mapping[str, str],
    options: SessionOptions,
    *,
    sinks: Sequence[EventSink],
    approver: Approver,
    respondent: Respondent | None = None,
) -> AsyncIterator[HostSession]:
    """Make a session: a new run, or one taken over. Leaving ends every server. `respondent`: who
    answers what servers ask for; without one they are not told that they may ask.

    Raises ConfigError, RecordError (the transcript cannot be made or read) or UsageError.
    """
    secrets, loader = Secrets(environ), Loader()
    begin = _Beginning(secrets, loader, Relay(), Gate(), Models(loaded, secrets, loader))
    models, gate = begin.models, begin.gate
    try:
        secrets.look(loaded)
        policy, sources = _judging(loaded, environ, options)
        pool = _begun(loaded, options, begin, asks=respondent is not None)
        principal, found, audit = await _opened(loaded, options.resume, secrets, pool)
        file, conversation = found
        with file as transcript, Approvals(approver, loaded, secrets, transcript.path) as approvals:
            async with audit, pool:
                _, model = await models.make(options.model)
                fallback, own = Fallbacks(models), WithHostTools(pool, transcript.artifacts)
                rooms = Rooms(
                    model=model,
                    policy=policy,
                    approver=approvals,
                    fallback=fallback,
                    respondent=respondent,
                    **_more_rooms(loaded, begin, own, options),
                )
                telemetry = Telemetry(loaded, secrets, loader)
                watching = (*sinks, *filter(None, [telemetry.sink]))
                watching = (*redacted(watching, secrets.redactor), approvals, gate)
                opened = _Opened(rooms, principal, _retry(models.choice), watching, audit)
                session, notices = _session(loaded, transcript, opened, options, conversation)
                begin.relay.connect(session.observe)
                own.follow(lambda: session.conversation)
                pool.answer_with(session.answer)
                fallback.tell = approvals.tell = transcript.tell = _teller(session)
                asyncio.get_running_loop().call_later(gate.LONGEST, gate.open)
                telemetry.start()
                yield HostSession(
                    session=session,
                    pool=pool,
                    loaded=loaded,
                    run_id=transcript.run_id,
                    transcript_path=transcript.path,
                    notices=[*filter(None, [transcript.recovered, telemetry.problem]), *notices],
                    _held=_Held(models, fallback, secrets, approvals, sources),
                )
                await _finished(transcript, telemetry, audit, tell=fallback.tell)
    finally:
        for adapter in models.made:
            await adapter.aclose()
        loader.close()


async def _finished(
    transcript: Transcript, telemetry: Telemetry, audit: Auditing, *, tell: Callable[[str], None]
) -> None:
    """Return once all that a run leaves is where it belongs. Raises RecordError."""
    await asyncio.to_thread(transcript.finish)
    for problem in (await telemetry.close(), await asyncio.to_thread(audit.finish)):
        if problem:
            tell(problem)


@dataclass(frozen=True, slots=True)
class _Held:
    """What a host session works with and does not show."""

    models: Models
    fallback: Fallbacks
    secrets: Secrets
    approvals: Approvals
    sources: Sources


def _checked_effort(effort: str | None, choice: ModelChoice) -> str | None:
    """Raise ConfigError for an effort that the model does not know."""
    if effort is None:
        return None
    problem = effort_problem(effort, choice.profile, choice.settings.model or choice.name)
    if problem:
        raise ConfigError(f"--effort {problem}")
    return effort


def _judging(
    loaded: Loaded, environ: Mapping[str, str], options: SessionOptions
) -> tuple[RulePolicy, Sources]:
    """The policy, and where the servers come from that it judges calls of."""
    sources = Sources(loaded, environ)
    interactive = options.interactive
    return make_policy(loaded, environ, interactive=interactive, sources=sources), sources


def _more_rooms(
    loaded: Loaded,
    begin: "_Beginning",
    own: WithHostTools,
    options: SessionOptions,
) -> dict[str, Any]:
    """The rooms that follow from what there is already."""
    secrets = begin.secrets
    return {
        "tools": own,
        "windows": begin.models.window,
        "recorded": secrets.redactor.value,
        "vault": secrets.vault(loaded, resumed=options.resume is not None),
        "prices": begin.models.prices,
        "offering": _offering(loaded),
    }


def _offering(loaded: Loaded) -> Offering:
    tools = loaded.config.tools
    return Offering(
        SearchRules(
            search=tools.search,
            above=tools.search_above,
            above_size=tools.search_above_size,
            always=tuple(tools.always),
        )
    )


def _retry(choice: ModelChoice) -> Retry:
    """How often a model is asked, as its table says."""
    return Retry(attempts=choice.settings.attempts, seconds=choice.settings.retry_timeout)


def _teller(session: Session) -> Callable[[str], None]:
    """What tells the user something that is no fact of the run."""

    def tell(text: str) -> None:
        session.feed.show(ServerLog(server="", level="warning", text=text))

    return tell


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a session is made of."""

    rooms: Rooms
    principal: Principal
    retry: Retry
    sinks: Sequence[EventSink]
    audit: Auditing


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What is needed before there is a session."""

    secrets: Secrets
    loader: Loader
    relay: Relay
    gate: Gate
    models: Models


def _begun(loaded: Loaded, options: SessionOptions, begin: _Beginning, *, asks: bool) -> Pool:
    """Start the servers, and begin to import what is needed, in the order in which it is.
    `asks`: servers may ask for input. Raises ConfigError before anything was started."""
    models, loader = begin.models, begin.loader
    chosen = models.choose(options.model)
    models.effort = _checked_effort(options.effort, chosen)
    models.settings(chosen, base=models.base(options.model, chosen))
    pool, warm = spawned(
        loaded,
        begin.secrets,
        loader,
        begin.gate,
        only=options.only,
        observe=begin.relay,
        elicitation=asks,
    )
    module = module_of(chosen.adapter)
    loader.expected.add(module)
    if not warm:
        begin.gate.open()
        loader.start(CONNECTION)
    loader.start(module)
    return pool


async def _opened(
    loaded: Loaded, resume: str | None, secrets: Secrets, pool: Pool
) -> tuple[Principal, tuple[Transcript, Conversation], Auditing]:
    """Establish the user, then make or open the files; if one of these cannot be, end the servers
    that are starting already."""
    transcript: Transcript | None = None
    try:
        principal = await identify(loaded, secrets)
        transcript, conversation = _transcript(loaded, resume, secrets)
        return principal, (transcript, conversation), Auditing(loaded, secrets)
    except BaseException:
        pool.discard()
        if transcript is not None:
            transcript.close()
        raise


def _transcript(
    loaded: Loaded, resume: str | None, secrets: Secrets
) -> tuple[Transcript, Conversation]:
    """The file of the run, and the conversation that it holds."""
    if resume is not None:
        path = find(loaded.transcripts, resume)
        run_id, fold = path.name.removesuffix(".jsonl"), Fold(path)
        file = Transcript.open(path.parent, run_id, secrets.redactor, walk=fold.walk)
        return file, fold.state
    try:
        others = [path.name.removesuffix(".jsonl") for path in loaded.transcripts.iterdir()]
    except OSError:  # there are none yet, or `create` says what is wrong
        others = []
    run_id = new_run_id(time.time_ns() // 1_000_000, os.urandom(10), others)
    return Transcript.create(loaded.transcripts, run_id, secrets.redactor), Conversation()


def _session(
    loaded: Loaded,
    transcript: Transcript,
    opened: "_Opened",
    options: SessionOptions,
    conversation: Conversation,
) -> tuple[Session, list[str]]:
    """Return the session, and what its user should know of how it begins."""
    resumed = options.resume is not None
    config = loaded.config
    principal = opened.principal
    feed = Feed(
        run_id=transcript.run_id,
        journal=opened.audit.around(transcript, opened.rooms.policy.fingerprint, conversation),
        sinks=opened.sinks,
        clock=_now,
        next_seq=transcript.seq,
    )
    session = Session(
        conversation=conversation,
        feed=feed,
        rooms=opened.rooms,
        principal=principal,
        monotonic=time.monotonic,
        wall=time.time,
        new_id=_Counter(transcript.seq),
        limits=_limits(loaded),
        retry=opened.retry,
        sampling=_sampling(config),
        compaction=Compaction(
            share=config.context.compact_at, by_model=config.context.summary == "model"
        ),
        tool_choice=options.tool_choice,
        output_schema=options.output_schema,
    )
    origin = opened.rooms.model.origin
    if resumed:
        session.record(RunResumed(principal=principal))
        if origin == conversation.origin:
            return session, []
        session.change_model(opened.rooms.model, by=principal.id)
        was, now = _named(conversation.origin), _named(origin)
        return session, [f"{was} answered this run before; from here on {now} does (--model)"]
    session.record(
        RunStarted(
            run_id=transcript.run_id,
            principal=principal,
            provider=origin.provider,
            model=origin.model,
            adapter=origin.adapter,
            simulated=opened.rooms.model.simulated,
            config_fingerprint=loaded.fingerprint,
            system=config.system,
        )
    )
    return session, []


def _limits(loaded: Loaded) -> Limits:
    """What the run may use."""
    said = loaded.config.limits
    return Limits(
        max_turns=said.max_turns,
        max_tool_calls=said.max_tool_calls,
        max_tokens=said.max_tokens,
        max_seconds=said.max_seconds,
        max_cost=said.max_cost,
        max_asks=max_asks_of(loaded.layers),
    )


def _sampling(config: Config) -> Sampling:
    """What servers may have of the model."""
    said = config.sampling
    return Sampling(
        ask=said.approve == "ask",
        max_requests=said.max_requests,
        max_tokens=said.max_tokens,
    )


def _named(origin: Origin) -> str:
    return clean_line(f"{origin.provider}:{origin.model} ({origin.adapter})", 160)


class _Counter:
    """Names model requests; unique in a run, also after it was resumed."""

    def __init__(self, start: int) -> None:
        self._next = start

    def __call__(self) -> str:
        self._next += 1
        return f"request-{self._next}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
