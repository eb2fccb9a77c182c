"""Who answers questions about calls: a human at a terminal, or a fixed rule where there is none.

Theory of operation: `TerminalApprover` holds one dialogue over any `LineReader` (a plain terminal
for `run`, prompt-toolkit for `chat`). Questions come one after another; while one is open all other
output is held back; what was typed before it was shown is thrown away. Yes is possible only once
every line of the arguments was on the screen; Enter alone is no answer; the end of input means no.
The arguments are copied when the question is put, and the copy is what an edit starts from.
"""

import asyncio
import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Literal, Protocol

from agent_host.core.approvals import terms_of
from agent_host.core.events import ApprovalGiven, ApprovalScope
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.ports import ApprovalQuestion, Approver, Deferred
from agent_host.surfaces.arguments import difference, editable, parse_edited, tree
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.pages import header, keys, rows
from agent_host.surfaces.question import BAR, grants, head, lasting, shown, wrap, wrap_words
from agent_host.surfaces.turns import Turns

ApprovalMode = Literal["ask", "policy", "all", "none", "defer"]
"""The values of `--approve`."""

_YES: dict[str, ApprovalScope] = {
    "y": "once",
    "yes": "once",
    "a": "session_call",
    "always": "session_call",
    "t": "session_tool",
}
_FEEDBACK_LIMIT = 2000
_ELSEWHERE = "another person answers with: agent-host approvals approve {}"


class LineReader(Protocol):
    """Where a human's answers come from. Cancelling any of its calls stops asking."""

    def discard_typed_ahead(self) -> None:
        """Forget what was typed so far."""

    async def ask(self, prompt: str) -> str | None:
        """Return one line, or None at the end of input."""

    async def edit(self, text: str) -> str | None:
        """Let a human change `text` (JSON); None: they gave up."""


class Remember(Protocol):
    """Who can make an "always" last: a rule in the config."""

    def can(self, question: ApprovalQuestion, arguments: JsonObject) -> bool:
        """Whether there is a rule to write. Cheap."""

    def proposed(self, question: ApprovalQuestion, arguments: JsonObject) -> str | None:
        """Return the lines that would be written and where, None if there is nothing to write."""

    def write(self, question: ApprovalQuestion, arguments: JsonObject) -> str | None:
        """Write them; return why that could not be, or None. Never raises."""


class FixedApprover:
    """Answers without a human, as `--approve` says. `people`: who is asked all the same for what
    takes particular people; without them that waits."""

    def __init__(self, mode: ApprovalMode, people: Approver | None = None) -> None:
        self._mode = mode
        self._people = people

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        """Answer at once. What is in doubt is never run again without a human, and what takes
        particular people never approved without them."""
        particular = question.asked is not None and not terms_of(question.asked).anybody
        if self._mode == "all" and particular and self._people is not None:
            return await self._people.approve(question)
        if self._mode == "defer" or (self._mode == "all" and particular):
            return Deferred()
        if self._mode == "all" and not question.in_doubt:
            return ApprovalGiven(call_id=question.call_id, decision="approve", by="--approve all")
        return ApprovalGiven(
            call_id=question.call_id,
            decision="deny",
            by=f"--approve {self._mode}",
            feedback=self._why(question),
        )

    def _why(self, question: ApprovalQuestion) -> str:
        if self._mode == "all":
            return (
                "it was started before the host stopped and may have taken effect; only a human "
                "can decide whether it runs again"
            )
        if self._mode == "ask":
            return "this call needs a human's approval and there is no terminal to ask at"
        return f"this call needs a human's approval and --approve {self._mode} asks nobody"


class TerminalApprover:
    """Asks a human at a terminal.

    `screen` shows the question, `hold` are all the outlets of that terminal, `by` is who answers,
    `sign` a short text that no server or model knows, shown with every question. `turns`: the
    line of all who ask at this terminal. `leave`: the run can be left waiting for others.
    `remember`: how an "always" is written into the config, if it can be.
    """

    def __init__(
        self,
        reader: LineReader,
        *,
        screen: Outlet,
        hold: Sequence[Outlet],
        by: str,
        sign: str = "",
        turns: Turns | None = None,
        leave: bool = False,
        remember: Remember | None = None,
    ) -> None:
        self._reader = reader
        self._screen = screen
        self._remember = remember
        self._by = by
        self._sign = sign
        self._leave = leave
        self._turns = turns or Turns(screen=screen, hold=hold)

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        """Ask, after the questions that came before, and return the answer."""
        async with self._turns.take():
            dialogue = _Dialogue(
                question,
                reader=self._reader,
                screen=self._screen,
                sign=self._sign,
                leave=self._leave,
                remember=self._remember,
            )
            try:
                return await dialogue.run(self._by)
            except asyncio.CancelledError:
                self._screen.write_now("\n  (this is no longer asked)\n")
                raise


class _Dialogue:
    """One question until it is answered."""

    def __init__(
        self,
        question: ApprovalQuestion,
        *,
        reader: LineReader,
        screen: Outlet,
        sign: str,
        leave: bool,
        remember: Remember | None,
    ) -> None:
        self._question = question
        self._remember = remember if lasting(question) and question.not_you is None else None
        self._leave = leave and question.not_you is not None
        self._reader = reader
        self._screen = screen
        self._sign = sign
        self._original: JsonObject = deepcopy(question.arguments)
        self._arguments: JsonObject = self._original
        self._unseen: list[str] = []

    async def run(self, by: str) -> ApprovalGiven | Deferred:
        self._show()
        self._reader.discard_typed_ahead()
        while True:
            line = await self._reader.ask(self._prompt())
            if line is None:
                return self._deny(by, "no answer: the input has ended")
            answer = await self._take(line.strip(), by)
            if answer is not None:
                return answer

    def _prompt(self) -> str:
        if self._question.not_you is not None:
            more = f" ({len(self._unseen)} lines not shown yet)" if self._unseen else ""
            left = "/l" if self._leave else ""
            return f"waiting for another person{more} [{'m/' if more else ''}n/r{left}] "
        if self._unseen:
            return f"approve? ({len(self._unseen)} lines not shown yet) [m/n/r/e] "
        return f"approve? [y/n/r/e{'/a/t' if lasting(self._question) else ''}] "

    async def _take(self, line: str, by: str) -> ApprovalGiven | Deferred | None:
        word, _, rest = line.partition(" ")
        word = word.lower()
        if word == "l" and self._leave and not rest:
            return Deferred()
        if self._question.not_you is not None and (word in _YES or word == "e"):
            self._say(f"you cannot approve this: {clean_line(self._question.not_you, 300)}")
            return None
        if word in {"n", "no"} and not rest:
            return self._deny(by, "")
        if word == "r":
            reason = rest or await self._reader.ask("reason, for the model: ") or ""
            return self._deny(by, reason.strip()[:_FEEDBACK_LIMIT])
        if word in _YES and not rest:
            return self._approve(_YES[word], by)
        if word == "w" and not rest and self._remember is not None:
            return await self._always(self._remember, by)
        if word == "e" and not rest:
            await self._edit()
        elif word in {"m", "all"} and not rest:
            self._show_more(everything=word == "all")
        elif line:
            self._say(f"{clean_line(line, 20)!r} is no answer")
        else:
            self._say("Enter alone is no answer; n refuses")
        return None

    def _approve(self, scope: ApprovalScope, by: str) -> ApprovalGiven | None:
        if self._unseen:
            self._say("not everything was shown yet: m shows the next page, all shows the rest")
            return None
        if scope != "once" and not lasting(self._question):
            self._say("this can be approved once only")
            return None
        # Compared as text: to Python 1, 1.0 and true are equal, to a server they are not.
        edited = json.dumps(self._arguments) != json.dumps(self._original)
        return ApprovalGiven(
            call_id=self._question.call_id,
            decision="approve",
            by=by,
            scope=scope,
            arguments=self._arguments if edited else None,
        )

    async def _always(self, remember: Remember, by: str) -> ApprovalGiven | None:
        """Have the rule written that allows exactly this call, once a person has seen it."""
        text = remember.proposed(self._question, self._arguments)
        if text is None:
            self._say("no rule of the config can say this")
            return None
        if self._unseen:
            self._say("not everything was shown yet: m shows the next page, all shows the rest")
            return None
        lines = wrap(shown(text), self._screen.width - 4)
        self._screen.write_now("".join(f"  {line}\n" for line in lines))
        answer = await self._reader.ask("write this, and say yes? [y/N] ")
        if (answer or "").strip().lower() not in {"y", "yes"}:
            self._say("nothing was written")
            return None
        problem = remember.write(self._question, self._arguments)
        if problem is not None:
            self._say(f"not written: {clean_line(problem, 500)}")
            return None
        return self._approve("session_call", by)

    def _deny(self, by: str, feedback: str) -> ApprovalGiven:
        return ApprovalGiven(
            call_id=self._question.call_id, decision="deny", by=by, feedback=feedback
        )

    def _say(self, text: str) -> None:
        for line in wrap_words(text, self._screen.width - 4):
            self._screen.write_now(f"  {line}\n")

    def _show(self) -> None:
        """Show the question: who asks for what and why, the arguments, the keys."""
        width = self._screen.width
        above = [header("approval", self._sign, self._screen), *rows(head(self._question), width)]
        below = keys(grants(self._question), width)
        if self._remember and self._remember.can(self._question, self._arguments):
            below += keys([("w", "always, also in later runs: writes a rule to the config")], width)
        if self._leave:
            below += keys([("l", "leave: the run waits, and you get this terminal back")], width)
        if self._question.not_you is not None and self._question.asked is not None:
            short = self._question.asked.binding[:8]
            below += [f"  {part}" for part in wrap_words(_ELSEWHERE.format(short), width - 4)]
        room = max(self._screen.height - len(above) - len(below) - 3, 3)
        body = self._arguments_shown(width, room)
        self._screen.write_now("\n".join([*above, *body, *below]) + "\n")

    def _arguments_shown(self, width: int, room: int) -> list[str]:
        whole = tree(self._arguments, width, whole=True)
        if len(whole.lines) <= room:
            self._unseen = []
            return list(whole.lines)
        first = tree(self._arguments, width, whole=False)
        shown = list(first.lines[: max(room - 1, 1)])
        # Everything comes again from its start: what was cut is then seen in its place.
        self._unseen = list(whole.lines)
        note = (
            f"{len(whole.lines)} lines in all; m shows the next page, all the rest; "
            "y works after the last"
        )
        return [*shown, *(f"{BAR}… {line}" for line in wrap_words(note, width - 4))]

    def _show_more(self, *, everything: bool) -> None:
        if not self._unseen:
            self._say("everything was shown")
            return
        page = len(self._unseen) if everything else max(self._screen.height - 3, 3)
        lines, self._unseen = self._unseen[:page], self._unseen[page:]
        self._screen.write_now("\n".join(lines) + "\n")
        if not self._unseen:
            self._say("that was all of it")

    async def _edit(self) -> None:
        """Let the human edit until the arguments are valid or they give up; then show the change
        and ask again: an edit is not yet a yes."""
        text = editable(self._arguments)
        while True:
            edited = await self._reader.edit(text)
            if edited is None:
                self._say("the arguments are unchanged")
                return
            text = edited
            value = parse_edited(edited)
            if isinstance(value, str):
                self._say(value)
                continue
            problem = self._question.invalid(value)
            if problem is None:
                break
            self._say(f"not valid for this tool: {clean_line(problem, 500)}")
        before, self._arguments = self._original, value
        changes = difference(before, value, self._screen.width)
        self._screen.write_now("\n".join(["  changed:", *changes]) + "\n")
        self._show()
