"""`agent-host run`: answer one prompt, with tools, and leave.

The answer goes to stdout, everything else to stderr; the exit status says how it ended.
"""

import argparse
import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from agent_host.cli.answers import AnswerSchema, in_schema, read_schema, shown_json
from agent_host.cli.live import enabled
from agent_host.cli.remembering import Remembering
from agent_host.cli.stdin import read_prompt
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.load import Loaded, load
from agent_host.config.local import local_hint
from agent_host.config.terminal_file import read_terminal, user_terminal_file
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.core.events import EndReason, Interrupted, UserSaid
from agent_host.core.loop import outcome
from agent_host.core.money import shown_cost
from agent_host.core.text import clean
from agent_host.core.types import Json, Message, Text
from agent_host.host import HostSession, SessionOptions, open_session, user_name
from agent_host.ports import EventSink
from agent_host.records.codec import encode_value
from agent_host.surfaces.browser import open_page
from agent_host.surfaces.cards import title
from agent_host.surfaces.jsonl import JsonLines, JsonSummary
from agent_host.surfaces.notes import Notes
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.people import People, editor_at, make_people
from agent_host.surfaces.plain import PlainText
from agent_host.surfaces.preferences import TerminalPreferences
from agent_host.surfaces.purpose import purpose
from agent_host.surfaces.question import demanded

STATUS: Mapping[EndReason | None, ExitStatus] = {
    "done": ExitStatus.DONE,
    "failed": ExitStatus.FAILED,
    "limit": ExitStatus.LIMIT,
    "refused": ExitStatus.REFUSED,
    "model_unavailable": ExitStatus.MODEL_UNAVAILABLE,
    "interrupted": ExitStatus.INTERRUPTED,
    None: ExitStatus.PARKED,
}
"""How a run ended (None: parked) -> the exit status."""

_LIMITS = {
    "max_turns": "limits.max_turns",
    "max_tool_calls": "limits.max_tool_calls",
    "max_tokens": "limits.max_tokens",
    "max_cost": "limits.max_cost",
    "max_time": "limits.max_seconds",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("prompt", nargs="?", help="what to say; standard input is appended")
    parser.add_argument("--model", metavar="NAME", help="a model of the config, or PROVIDER:MODEL")
    parser.add_argument(
        "--effort", metavar="LEVEL", help="how much the model thinks, in its provider's word"
    )
    parser.add_argument(
        "--server", metavar="NAME", action="append", help="use only this server (repeatable)"
    )
    parser.add_argument(
        "--approve",
        choices=("ask", "policy", "all", "none", "defer"),
        default="ask",
        help="what happens to calls that policy wants a human for: ask at this terminal (the "
        "default; refused where there is none), leave it to policy or none (refused), all "
        "(allowed, but for what takes particular people), defer (the run parks, exit status 7; "
        "`agent-host approvals` answers)",
    )
    parser.add_argument(
        "--output",
        choices=("text", "json", "stream-json"),
        default="text",
        help="what stdout gets: the answer, one JSON object, or a line of JSON for each event",
    )
    parser.add_argument("--resume", metavar="ID", help="go on with a run (`last`: the newest)")
    parser.add_argument("--max-turns", metavar="N", help="at most N answers of the model")
    parser.add_argument("--max-tool-calls", metavar="N", help="at most N tool calls")
    parser.add_argument("--max-tokens", metavar="N", help="at most N tokens, in and out")
    parser.add_argument("--max-cost", metavar="DOLLARS", help="at most this much money")
    parser.add_argument("--max-time", metavar="SECONDS", help="at most this long")
    parser.add_argument(
        "--schema",
        metavar="FILE",
        help="the answer has to be JSON under this JSON Schema; an invalid one is sent back once",
    )
    parser.add_argument(
        "--tool-choice",
        metavar="CHOICE",
        default="auto",
        help="whether the model calls a tool first: auto, none, required, or a tool's name",
    )
    add_trust_option(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    loaded = load(options.config, os.environ, overrides(options))
    prompt = read_prompt(options.prompt)
    if not prompt and options.resume is None:
        raise UsageError("the prompt is empty; say something: agent-host run 'What can you do?'")
    schema = None if options.schema is None else read_schema(options.schema)
    only = enabled(loaded, options.server or ())
    ensure_trusted(loaded, flag=options.trust)
    return asyncio.run(_run(options, loaded, prompt, only, schema))


def overrides(options: argparse.Namespace) -> dict[str, str]:
    """Return what the limits' options set, by config key."""
    given = {key: getattr(options, name) for name, key in _LIMITS.items()}
    return {key: text for key, text in given.items() if text is not None}


@dataclass(slots=True)
class _Screen:
    """Who watches, and how it ends."""

    answer: Outlet
    notes: Outlet
    sinks: list[EventSink]
    close: Callable[[HostSession, int], None]

    async def drain(self) -> None:
        """Return once the readers have taken what was written; unlike `finish`, Ctrl-C ends it."""
        await asyncio.sleep(0)  # what waits for the end of the tick is written
        await self.answer.drain()
        await self.notes.drain()

    def finish(self) -> None:
        """Write what is left, however long the readers take."""
        self.answer.finish()
        self.notes.finish()


def _screen(output: str, *, held: bool) -> _Screen:
    """`held`: the answer is written by whoever has validated it."""
    answer, notes = Outlet(sys.stdout, os.environ), Outlet(sys.stderr, os.environ)
    if output == "text" and answer.tty and not held:
        return _terminal(answer, notes)
    if output == "text":
        text = PlainText(answer=answer, notes=notes, held=held)
        return _Screen(answer, notes, [text], lambda _host, _status: text.close())
    if output == "stream-json":
        lines = JsonLines(answer, encode=encode_value)
        return _Screen(answer, notes, [lines, Notes(notes)], lambda _host, _status: lines.close())
    summary = JsonSummary(answer, encode=encode_value)

    def finish(host: HostSession, status: int) -> None:
        path = str(host.transcript_path)
        summary.finish(run_id=host.run_id, exit_status=status, transcript=path)

    return _Screen(answer, notes, [summary, Notes(notes)], finish)


def _terminal(answer: Outlet, notes: Outlet) -> _Screen:
    """A human watches: the same picture as in a chat. One screen is one outlet."""
    notes = answer if notes.tty else notes
    wanted = TerminalPreferences(**read_terminal(user_terminal_file()))
    surface: Any = import_module("agent_host.surfaces.terminal")
    sink = surface.TerminalText(answer=answer, notes=notes, preferences=wanted, environ=os.environ)
    return _Screen(answer, notes, [sink], lambda _host, _status: sink.close())


async def _run(
    options: argparse.Namespace,
    loaded: Loaded,
    prompt: str,
    only: Collection[str],
    schema: AnswerSchema | None,
) -> int:
    screen = _screen(options.output, held=schema is not None)
    interrupts = _Interrupts()
    people = _people(options, loaded, screen, interrupts)
    wanted = SessionOptions(
        model=options.model,
        effort=options.effort,
        resume=options.resume,
        only=only,
        tool_choice=options.tool_choice,
        output_schema=None if schema is None else schema.schema,
        interactive=options.approve in {"ask", "all"} and people.respondent is not None,
    )
    interrupts.listen()
    try:
        async with open_session(
            loaded,
            os.environ,
            wanted,
            sinks=screen.sinks,
            approver=people.approver,
            respondent=people.respondent,
        ) as host:
            people.meet(host.keep_secret, purpose(host.session))
            for notice in (*host.notices, *local_models(host, screen.notes)):
                screen.notes.write(f"agent-host: {clean(notice)}\n")
            interrupts.host = host
            reason = await _answer(host, prompt)
            detail = ""
            if reason == "done" and schema is not None:
                reason, detail = await _validated(host, schema, screen, options.output)
            status = _status(host, reason)
            if reason is not None:
                host.session.end(reason, detail)
            await screen.drain()
            screen.close(host, status)
            _say_cost(screen.notes, host)
            _say_how_to_go_on(screen.notes, host, reason)
            _say_dropped(screen.notes, host)
            if screen.answer.failure:
                status = _say_unwritten(screen, host)
            await screen.drain()
            return status
    except asyncio.CancelledError:
        if not interrupts.left:
            raise
        return ExitStatus.INTERRUPTED
    finally:
        if not interrupts.left:
            screen.finish()


def _people(
    options: argparse.Namespace, loaded: Loaded, screen: _Screen, interrupts: "_Interrupts"
) -> People:
    """Who is asked, and given up on by Ctrl-C before anything else is."""
    people = make_people(
        options.approve,
        by=user_name(),
        screen=screen.notes,
        hold=(screen.answer, screen.notes),
        sign=secrets.token_hex(2),
        browser=open_page(os.environ),
        interrupt=interrupts.interrupt,
        remember=Remembering(loaded, user_name(), lambda: interrupts.host),
        editor=editor_at(screen.notes, os.environ),
    )
    interrupts.cancel = people.cancel
    return people


def local_models(host: HostSession, notes: Outlet) -> list[str]:
    """Return hints at model servers on this machine, for a human whom no AI answers."""
    if host.choice.name != "offline" or not notes.tty:
        return []
    return [f"a model server runs here; use it with --model {s.hint}" for s in local_hint()]


def _status(host: HostSession, reason: EndReason | None) -> ExitStatus:
    """What there is to answer with no server at all is no success of a script's; where a login is
    all that they need, that is said."""
    states = {health.state for health in host.pool.health()}
    if reason == "done" and states and states <= {"failed", "needs_login"}:
        only_logins = states == {"needs_login"}
        return ExitStatus.NEEDS_LOGIN if only_logins else ExitStatus.SERVER_UNAVAILABLE
    return STATUS[reason]


async def _answer(host: HostSession, prompt: str) -> EndReason | None:
    session = host.session
    if prompt:
        if session.conversation.calls:
            # The user has moved on: what was open is closed as not run, or as unknown.
            session.tell(Interrupted(by=session.principal.id))
            await session.run()
        session.tell(UserSaid(message=Message(role="user", content=(Text(text=prompt),))))
    elif not session.conversation.messages:
        raise UsageError(
            f"run {host.run_id} was stopped before it heard what to do; say it: "
            f"agent-host run --resume {host.run_id} 'What can you do?'"
        )
    return outcome(await session.run())


async def _validated(
    host: HostSession, schema: AnswerSchema, screen: _Screen, output: str
) -> tuple[EndReason | None, str]:
    """Have the answer validated, and in text mode written."""

    def hand_out(value: Json) -> None:
        if output == "text":
            screen.answer.write(shown_json(host.without_secrets(value)) + "\n")

    return await in_schema(host.session, schema, hand_out)


def _say_cost(notes: Outlet, host: HostSession) -> None:
    """What the run has used so far, where somebody pays for it."""
    c = host.session.conversation
    if c.simulated or not (c.usage.input_tokens or c.usage.output_tokens):
        return
    cached = f" ({c.usage.cache_read_tokens:,} cached)" if c.usage.cache_read_tokens else ""
    notes.write(
        f"agent-host: {c.usage.input_tokens:,} tokens in{cached}, "
        f"{c.usage.output_tokens:,} out, {shown_cost(c.cost, c.unpriced, c.answers)}\n"
    )


def _say_how_to_go_on(notes: Outlet, host: HostSession, reason: EndReason | None) -> None:
    if reason is None:
        wants = "input" if host.session.conversation.awaiting == "input" else "approval"
        for short, one in host.waiting():
            name = title(one.server, one.tool)
            whom = "" if one.terms.anybody else f" ({demanded(one.terms)})"
            notes.write(
                f"agent-host: {name} waits for approval{whom}: agent-host approvals show {short}, "
                f"then agent-host approvals approve {short}\n"
            )
        what = f"waits for {wants}; go on with"
    elif reason in {"limit", "interrupted", "model_unavailable"}:
        what = "can go on with"
    else:
        return
    options = clean(host.resume_options())
    notes.write(f"agent-host: this run {what}: agent-host run {options}\n")


def _say_dropped(notes: Outlet, host: HostSession) -> None:
    for dropped in map(host.without_secrets, host.session.feed.dropped):
        notes.write(f"agent-host: an output failed and was left out: {clean(dropped)}\n")


def _say_unwritten(screen: _Screen, host: HostSession) -> ExitStatus:
    """The run went well, but who asked did not get the answer."""
    screen.notes.write(
        f"agent-host: the answer cannot be written to standard output: {screen.answer.failure}; "
        f"it is in the transcript: agent-host transcripts show {host.run_id}\n"
    )
    return ExitStatus.FAILED


class _Interrupts:
    """Ctrl-C gives up what a server asked for (`cancel`); with nothing asked it stops the step and
    keeps the conversation legal, and leaves when that was said before; being told to
    end (SIGTERM, SIGHUP) leaves at once. Leaving ends every server; whoever is told to leave while
    leaving goes without waiting for that (the servers' keepers then end them)."""

    def __init__(self, go: Callable[[int], object] = os._exit) -> None:
        self.host: HostSession | None = None
        self.left = False
        self.cancel: Callable[[], bool] = lambda: False
        self._go = go
        self._task: asyncio.Task[object] | None = None

    def listen(self) -> None:
        """Take over the signals of this process until it ends."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._leave)

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        if self.cancel():
            return
        host = self.host
        state = host.session.conversation if host is not None else None
        if (
            host is None
            or state is None
            or state.interrupted
            or state.awaiting in {"user", "nothing"}
        ):
            self._leave()
        else:
            host.session.tell(Interrupted(by=host.session.principal.id))

    def _leave(self) -> None:
        if self.left:
            self._go(ExitStatus.INTERRUPTED)
            return
        self.left = True
        if self._task is not None:
            self._task.cancel()
