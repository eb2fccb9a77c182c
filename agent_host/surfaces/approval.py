"""Who answers questions about calls: a human at a terminal, or a fixed rule where there is none.

Theory of operation: `TerminalApprover` holds one dialogue at a time over any `LineReader` (a plain
terminal for `run`, prompt-toolkit for `chat`, with single keys where the terminal has them). While
one is open all other output is held back; what was typed before it was shown is thrown away. Where
several calls wait, the one whose turn it is opens, and the person may go to the others and answer
them in any order, or all of one tool at once, after each was shown. A question that is answered
elsewhere meanwhile vanishes with a word.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

from agent_host.core.approvals import terms_of
from agent_host.core.events import ApprovalGiven
from agent_host.ports import ApprovalQuestion, Approver, Deferred
from agent_host.surfaces.ask_keys import choose
from agent_host.surfaces.cards import title
from agent_host.surfaces.dialogue import (
    Desk,
    Dialogue,
    Editor,
    LineReader,
    Move,
    Place,
    Remember,
)
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.question import wrap_words
from agent_host.surfaces.turns import Turns

__all__ = ["ApprovalMode", "FixedApprover", "LineReader", "Remember", "TerminalApprover"]

ApprovalMode = Literal["ask", "policy", "all", "none", "defer"]
"""The values of `--approve`."""


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


class _Call:
    """A call that waits for its answer. `turn`: the task that waits to ask about it."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.dialogue = dialogue
        self.answer: ApprovalGiven | Deferred | None = None
        self.turn: asyncio.Task[None] | None = None

    @property
    def tool(self) -> tuple[str, str, str]:
        """Which tool it is of."""
        tool = self.dialogue.question.tool
        return tool.server, tool.tool, tool.fingerprint


class TerminalApprover:
    """Asks a human at a terminal.

    `screen` shows the question, `hold` are all the outlets of that terminal, `by` is who answers,
    `sign` a short text that no server or model knows, shown with every question. `turns`: the
    line of all who ask at this terminal. `leave`: the run can be left waiting for others.
    `remember`: how an "always" is written into the config, if it can be. `editor`: a program in
    which arguments can be edited.
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
        editor: Editor | None = None,
    ) -> None:
        self._desk = Desk(
            reader=reader,
            screen=screen,
            by=by,
            sign=sign,
            leave=leave,
            remember=remember,
            editor=editor,
        )
        self._turns = turns or Turns(screen=screen, hold=hold)
        self._calls: list[_Call] = []
        self._done = 0
        self._open: tuple[_Call, asyncio.Task[ApprovalGiven | Deferred | Move]] | None = None

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        """Ask, after the questions that came before, and return the answer."""
        call = _Call(Dialogue(question, self._desk))
        self._calls.append(call)
        try:
            async with asyncio.TaskGroup() as group:
                call.turn = group.create_task(self._turn(call))
        finally:
            self._calls.remove(call)
            self._done = self._done + 1 if self._calls else 0
            if self._open is not None and self._open[0] is call:
                self._open[1].cancel()
        assert call.answer is not None  # whoever cancels its turn has answered it
        return call.answer

    async def _turn(self, call: _Call) -> None:
        async with self._turns.take():
            try:
                await self._hold(call)
            except asyncio.CancelledError:
                self._gone()
                raise

    async def _hold(self, own: _Call) -> None:
        """Ask about `own`, and about others if the person goes there, until it is answered."""
        current = own
        while own.answer is None:
            said = await self._ask(current)
            if said is None:
                self._gone()
                current = own
            elif said == "same":
                await self._same(current)
                current = own if current.answer is not None else current
            elif said == "next" or said == "previous":  # noqa: PLR1714 - so that types are narrowed
                here = self._calls.index(current)
                current = self._calls[(here + (1 if said == "next" else -1)) % len(self._calls)]
            else:
                self._give(current, said)
                current = own

    async def _ask(self, call: _Call) -> ApprovalGiven | Deferred | Move | None:
        """Return what a dialogue comes to; None if its question is no longer asked."""
        total = self._done + len(self._calls)
        place = Place(self._done + self._calls.index(call) + 1, total)
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(call.dialogue.run(place))
                self._open = call, task
        finally:
            self._open = None
        return None if task.cancelled() else task.result()

    def _give(self, call: _Call, answer: ApprovalGiven | Deferred) -> None:
        call.answer = answer
        if call.turn is not None and call.turn is not asyncio.current_task():
            call.turn.cancel()

    async def _same(self, current: _Call) -> None:
        """Give one answer to all calls of a tool, each of which was shown."""
        of_tool = [call for call in self._calls if call.tool == current.tool]
        if any(not call.dialogue.seen for call in of_tool):
            self._say("not all of this tool were shown yet: > shows the next, m and s the rest")
            return
        if any(one.dialogue.question.not_you or one.dialogue.question.in_doubt for one in of_tool):
            self._say("each of these has to be answered by itself")
            return
        tool = current.dialogue.question.tool
        prompt = f"the same for all {len(of_tool)} of {title(tool.server, tool.tool)}? [y/n/?] "
        said = await choose(self._desk.reader, prompt)
        word = (said or "").strip().lower()
        if word not in {"y", "yes", "n", "no"}:
            self._say("nothing was answered")
            return
        for call in of_tool:
            yes = word.startswith("y")
            answer = call.dialogue.yes() if yes else call.dialogue.no()
            # It may have been answered elsewhere while this was asked.
            if answer is not None and call in self._calls:
                self._give(call, answer)

    def _gone(self) -> None:
        self._desk.screen.write_now("\n  (this is no longer asked)\n")

    def _say(self, text: str) -> None:
        for line in wrap_words(text, self._desk.screen.width - 4):
            self._desk.screen.write_now(f"  {line}\n")
