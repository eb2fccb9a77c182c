"""Who answers at this terminal: calls to approve, and what servers ask for.

Theory of operation: where a person can be asked, approver and respondent share one line of
questions and one sign. Where nobody can be asked there is no respondent: servers are then not told
that they may ask, and what they ask all the same is declined. In `run` the screen library is
loaded only when a form is to be filled in, and only for a terminal that can draw.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from agent_host.ports import Approver, Respondent
from agent_host.surfaces.approval import (
    ApprovalMode,
    FixedApprover,
    Remember,
    TerminalApprover,
)
from agent_host.surfaces.ask_keys import KeyedLines, Keys, OfTerminal
from agent_host.surfaces.browser import OpenPage
from agent_host.surfaces.dialogue import Editor
from agent_host.surfaces.editor import json_editor
from agent_host.surfaces.form import FieldReader
from agent_host.surfaces.lines import open_terminal
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.question import wrap_words
from agent_host.surfaces.respondent import DeferringRespondent, TerminalRespondent
from agent_host.surfaces.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """`terminal` is the respondent, if it is a person at a terminal; `turns` the line of all who
    ask there."""

    approver: Approver
    respondent: Respondent | None
    terminal: TerminalRespondent | None = None
    turns: Turns | None = None

    def cancel(self) -> bool:
        """Give up what a person is asked for a server; False if nothing is."""
        return self.terminal is not None and self.terminal.cancel()

    def meet(self, keep_secret: Callable[[str], None], about: Callable[[str], str]) -> None:
        """Tell whoever is asked what the session, now open, knows; see `TerminalRespondent`."""
        if self.terminal is not None:
            self.terminal.keep_secret = keep_secret
            self.terminal.about = about


def make_people(
    mode: ApprovalMode,
    *,
    by: str,
    screen: Outlet,
    hold: Sequence[Outlet],
    sign: str,
    browser: OpenPage | None,
    interrupt: Callable[[], object],
    remember: Remember | None = None,
    editor: Editor | None = None,
) -> People:
    """Return who answers in `run`. A person is asked about calls if the mode is `ask`, and for
    what servers want also if it is `all`; both if there is a terminal. `screen` is stderr;
    `interrupt` is what Ctrl-C does in a form."""
    if mode == "defer":
        return People(approver=FixedApprover(mode), respondent=DeferringRespondent())
    lines = open_terminal(screen) if mode in {"ask", "all"} else None
    if lines is None:
        return People(approver=FixedApprover(mode), respondent=None)
    made: list[FieldReader] = []

    def forms() -> FieldReader:
        if not made:
            prompt: Any = import_module("agent_host.surfaces.prompt_lines")
            made.append(keyed(prompt.PromptLines(interrupt=interrupt, screen=sys.stderr), screen))
        return made[0]

    reader = forms if screen.movable else None
    return at_terminal(
        mode,
        lines,
        by=by,
        screen=screen,
        hold=hold,
        sign=sign,
        browser=browser,
        forms=reader,
        leave=True,
        remember=remember,
        editor=editor,
    )


def editor_at(screen: Outlet, environ: Mapping[str, str]) -> Editor | None:
    """Return the person's own editor for the arguments of calls, if one is named."""

    def say(text: str) -> None:
        for line in wrap_words(text, screen.width - 4):
            screen.write_now(f"  {line}\n")

    return json_editor(environ, say)


def keyed(lines: FieldReader, screen: Outlet) -> FieldReader:
    """Return a reader that takes single keys as well, where `screen` can be drawn on and it is
    known which terminal `lines` reads."""
    if not screen.movable or not isinstance(lines, OfTerminal):
        return lines
    keys = Keys(lines.fileno, write=screen.write_now, size=lambda: (screen.width, screen.height))
    return KeyedLines(lines, keys)


def at_terminal(
    mode: ApprovalMode,
    reader: FieldReader,
    *,
    by: str,
    screen: Outlet,
    hold: Sequence[Outlet],
    sign: str,
    browser: OpenPage | None,
    forms: Callable[[], FieldReader] | None = None,
    leave: bool = False,
    remember: Remember | None = None,
    editor: Editor | None = None,
) -> People:
    """Return who answers where there is a person: calls as the mode says, forms and pages always,
    requests for the model unless the mode asks nobody. `leave`: a run can be left waiting; where
    it cannot, what takes particular people is waited for whatever the mode."""
    turns = Turns(screen=screen, hold=hold)
    reader = keyed(reader, screen)
    asked = TerminalApprover(
        reader,
        screen=screen,
        hold=hold,
        by=by,
        sign=sign,
        turns=turns,
        leave=leave,
        remember=remember,
        editor=editor if screen.movable else None,
    )
    approver: Approver = FixedApprover(mode, None if leave else asked)
    if mode == "ask":
        approver = asked
    respondent = TerminalRespondent(
        reader,
        screen=screen,
        turns=turns,
        by=by,
        sign=sign,
        browser=browser,
        refuse_sampling=f"--approve {mode}" if mode in {"none", "policy"} else "",
        forms=forms,
    )
    return People(approver=approver, respondent=respondent, terminal=respondent, turns=turns)
