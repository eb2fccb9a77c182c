"""`agent-host chat`: talk to a model at this terminal, with tools.

The screen libraries are loaded when the command runs, not for its help.
"""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.cli.chat_around import Surroundings, arguments_of, go_on
from agent_host.cli.chat_exports import ChatExports
from agent_host.cli.chat_keyboard import Keyboard, TurnAsker, shown, stands
from agent_host.cli.chat_picking import chosen, picker
from agent_host.cli.chat_runs import ChatRuns
from agent_host.cli.live import enabled
from agent_host.cli.policy_chat import RulesInForce
from agent_host.cli.reloading import Reload
from agent_host.cli.remembering import Remembering
from agent_host.cli.run import local_models, overrides
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.load import Loaded, load
from agent_host.config.terminal_file import read_terminal, user_terminal_file
from agent_host.config.trust import own_command
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.core.text import clean, clean_line
from agent_host.host import HostSession, SessionOptions, open_session, user_name
from agent_host.surfaces.approval import ApprovalMode
from agent_host.surfaces.approve_mode import ApproveMode
from agent_host.surfaces.browser import open_page
from agent_host.surfaces.chat import Chat, status
from agent_host.surfaces.chat_around import Around, Login
from agent_host.surfaces.commands_look import calls_of
from agent_host.surfaces.completion import Offers
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.palette import palette
from agent_host.surfaces.people import People, at_terminal, editor_at
from agent_host.surfaces.preferences import TerminalPreferences
from agent_host.surfaces.purpose import purpose
from agent_host.surfaces.question import wrap_words
from agent_host.surfaces.turns import Turns
from agent_host.surfaces.unseen import typed_unseen

_HISTORY_FILE = "chat-history"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--model", metavar="NAME", help="a model of the config, or PROVIDER:MODEL")
    parser.add_argument(
        "--effort", metavar="LEVEL", help="how much the model thinks, in its provider's word"
    )
    parser.add_argument(
        "--server", metavar="NAME", action="append", help="use only this server (repeatable)"
    )
    parser.add_argument(
        "--approve",
        choices=("ask", "policy", "all", "none"),
        default="ask",
        help="what happens to calls that policy wants a human for: ask here (the default), leave "
        "it to policy or none (refused), all (allowed)",
    )
    parser.add_argument(
        "--resume",
        metavar="ID",
        nargs="?",
        const="",
        help="go on with a run (`last`: the newest; without an id you choose from a list)",
    )
    parser.add_argument("--max-turns", metavar="N", help="at most N answers to one message")
    parser.add_argument("--max-tool-calls", metavar="N", help="at most N tool calls to one message")
    parser.add_argument("--max-tokens", metavar="N", help="at most N tokens, in and out")
    parser.add_argument("--max-cost", metavar="DOLLARS", help="at most this much money")
    parser.add_argument("--max-time", metavar="SECONDS", help="at most this long for one message")
    add_trust_option(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "chat needs a terminal on stdin and stdout; use `agent-host run` for pipes and scripts"
        )
    loaded = load(options.config, os.environ, overrides(options))
    only = enabled(loaded, options.server or ())
    ensure_trusted(loaded, flag=options.trust)
    onward: list[str] = []
    screen = Outlet(sys.stdout, os.environ)
    wishes = TerminalPreferences(**read_terminal(user_terminal_file()))
    if options.resume == "":
        options.resume = chosen(loaded.transcripts, screen, wishes)
        if options.resume is None:
            return ExitStatus.DONE
    with typed_unseen(sys.stdin) if stands(screen, wishes) else nullcontext():
        result = asyncio.run(_chat(options, loaded, only, onward, _Seat(screen, wishes)))
    if onward:
        go_on(onward)
    return result


class _Interrupt:
    """What Ctrl-C in a question does: there is a chat only once the session is open."""

    def __init__(self) -> None:
        self.chat: Chat | None = None

    def __call__(self) -> None:
        if self.chat is not None:
            self.chat.interrupt()


@dataclass(frozen=True, slots=True)
class _Seat:
    """The terminal, and how its user wants it."""

    screen: Outlet
    wishes: TerminalPreferences


async def _chat(
    options: argparse.Namespace,
    loaded: Loaded,
    only: Collection[str],
    onward: list[str],
    seat: _Seat,
) -> int:
    """`onward` gets the command to go on with, if the user goes on with another run."""
    screen, wishes = seat.screen, seat.wishes
    user, interrupt, sign = user_name(), _Interrupt(), secrets.token_hex(2)
    terminal: Any = import_module("agent_host.surfaces.terminal")
    sink = terminal.TerminalText(
        answer=screen, notes=screen, preferences=wishes, environ=os.environ
    )
    keyboard = Keyboard(screen, wishes, interrupt=interrupt, live=sink.live)
    opened: list[HostSession] = []
    remember = Remembering(loaded, user, lambda: opened[0] if opened else None)
    people, approving = _people(options, keyboard, screen, sign, remember)
    rules = RulesInForce(loaded)
    wanted = SessionOptions(
        model=options.model,
        effort=options.effort,
        resume=options.resume,
        only=only,
        interactive=True,
    )
    async with open_session(
        loaded,
        os.environ,
        wanted,
        sinks=[sink, rules],
        approver=approving,
        respondent=people.respondent,
    ) as host:
        opened.append(host)
        people.meet(host.keep_secret, purpose(host.session))
        sink.number_calls(lambda: len(calls_of(host.session.conversation)))
        _greet(screen, host, sign)
        offers, turns = Offers(host.pool), people.turns
        assert turns is not None  # at a terminal there are
        messages = keyboard.messages(host, offers, turns, approving)
        chat = Chat(
            host,
            messages=messages,
            screen=screen,
            by=user,
            asker=TurnAsker(keyboard.answers, turns),
            cancel=people.cancel,
            around=_around(options, loaded, host, approving, rules=rules, turns=turns, seat=seat),
            offers=offers,
            turns=turns,
        )
        interrupt.chat = chat
        result = await _talked(chat, messages, sink)
        if chat.onward is not None:
            onward += arguments_of(options, chat.onward, host, approving.mode)
        _part(screen, host)
        return result


async def _talked(chat: Chat, messages: Any, sink: Any) -> int:
    """Run a chat at its input and return its exit status; nothing stays at the foot of the screen,
    before the input is taken away and after."""
    try:
        async with shown(messages, chat):
            try:
                return await chat.run()
            finally:
                sink.close()
    finally:
        sink.close()


def _people(
    options: argparse.Namespace,
    keyboard: Keyboard,
    screen: Outlet,
    sign: str,
    remember: Remembering,
) -> tuple[People, ApproveMode]:
    """Who answers at this terminal, and how calls are approved, which may change."""
    user = user_name()
    people = at_terminal(
        "ask",
        keyboard.answers,
        by=user,
        screen=screen,
        hold=(screen,),
        sign=sign,
        browser=open_page(os.environ),
        remember=remember,
        editor=editor_at(screen, os.environ),
    )
    mode: ApprovalMode = options.approve
    return people, ApproveMode(mode, person=people.approver, respondent=people.terminal, by=user)


def _around(
    options: argparse.Namespace,
    loaded: Loaded,
    host: HostSession,
    approving: ApproveMode,
    *,
    rules: RulesInForce,
    turns: Turns,
    seat: _Seat,
) -> Around:
    """What the commands of the chat need beside its session."""
    here, runs = Surroundings(loaded, host), ChatRuns.beside(host.transcript_path)
    return Around(
        login=_login(loaded, host, turns, trusted=options.trust),
        reload=Reload(options, loaded, host),
        rules=rules.lines,
        approving=approving,
        config=here.config,
        models=here.models,
        records=here.records,
        artifact=here.artifact,
        folder=Path.cwd(),
        images=lambda: host.choice.profile.images,
        runs=runs,
        pick=picker(seat.screen, seat.wishes, runs, turns),
        export=ChatExports(host.transcript_path),
        palette=palette(seat.wishes.theme, os.environ),
    )


def _login(loaded: Loaded, host: HostSession, turns: Turns, *, trusted: bool) -> Login:
    """Return how to log in to a server from here: by the command, in a process of its own at
    this terminal, so that the chat's screen and keys are its own again afterwards."""

    async def log_in(server: str) -> str:
        trust = ["--trust"] if trusted else []
        words = ["--config", str(loaded.path), "servers", "login", *trust, "--", server]
        async with turns.take():
            process = await asyncio.create_subprocess_exec(*own_command(sys.executable), *words)
            try:
                status = await process.wait()
            except asyncio.CancelledError:
                process.terminate()
                await process.wait()
                raise
        if status != ExitStatus.DONE:
            return f"that was no login (exit status {status})"
        # Without its tools no call would ever connect to it; a question for a list does.
        await host.pool.prompts(server)
        now = next((one for one in host.pool.health() if one.name == server), None)
        if now is None or now.state != "connected":
            why = f": {clean_line(now.error, 300)}" if now is not None and now.error else ""
            return f"{server} is not connected yet{why}; /servers {server} tells more"
        return f"{server} is connected, with {now.tools} tool{'' if now.tools == 1 else 's'}"

    return log_in


def _part(screen: Outlet, host: HostSession) -> None:
    """Say how to go on with what was said, if anything was."""
    if host.session.conversation.messages:
        screen.write(f"agent-host: to go on: agent-host chat {clean(host.resume_options())}\n")


def _greet(screen: Outlet, host: HostSession, sign: str) -> None:
    servers = ", ".join(clean_line(health.name, 64) for health in host.pool.health()) or "none"
    lines = [f"{status(host.session.conversation)} · servers: {servers} · /help"]
    lines.append(f"Questions to you carry the sign {sign}; nothing else does.")
    notices = (*host.notices, *local_models(host, screen))
    lines += [f"agent-host: {clean_line(notice)}" for notice in notices]
    for line in lines:
        screen.write("\n".join(wrap_words(line, screen.width - 1)) + "\n")
