"""One call that a person is asked about, until it is answered.

Theory of operation: the question is drawn whole: who asks for what and why, the arguments, the
keys. What does not fit the screen is counted, and yes works only once every line was on it; a
question that is drawn anew (after an edit, on another screen) has to be seen anew. A key means the
same as a line with Enter. The arguments are copied when the question is put, and the copy is what
an edit starts from; an edit is shown as a difference and is not yet a yes. Esc gives up what is
open (a reason, an edit), and at the question itself it is a no.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal, Protocol

from agent_host.core.events import ApprovalGiven, ApprovalScope
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.ports import ApprovalQuestion, Deferred
from agent_host.surfaces.arguments import as_json, difference, editable, parse_edited, tree
from agent_host.surfaces.ask_keys import ESC, RESIZED, KeyReader, choose
from agent_host.surfaces.explained import explained
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.pages import header, keys, rows
from agent_host.surfaces.question import (
    BAR,
    grants,
    head,
    lasting,
    no_answer,
    shown,
    wrap,
    wrap_words,
)

_YES: dict[str, ApprovalScope] = {
    "y": "once",
    "yes": "once",
    "a": "session_call",
    "always": "session_call",
    "t": "session_tool",
}
_FEEDBACK_LIMIT = 2000
_ELSEWHERE = "another person answers with: agent-host approvals approve {}"
_ALARMING = frozenset({"risk", "IN DOUBT", "NOT YOU", "LETTERS"})
_ROOM = 8
"""Lines of the arguments that are worth more than the keys in full sentences."""
_UNSEEN = "not everything was shown yet: m shows the next page, s the rest"

Move = Literal["next", "previous", "same"]
"""To another question that waits, or one answer to all of a tool."""

_MOVES: dict[str, Move] = {">": "next", "<": "previous", "g": "same"}


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


Editor = Callable[[str], Awaitable[str | None]]
"""Lets a human change a text in a program of their own; None: they gave up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a person answers: see `approval.TerminalApprover`."""

    reader: LineReader
    screen: Outlet
    by: str
    sign: str = ""
    leave: bool = False
    remember: Remember | None = None
    editor: Editor | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The how manieth question of how many that wait this is."""

    number: int = 1
    total: int = 1


class Dialogue:
    """One question until it is answered. `seen`: all of it was on the screen."""

    def __init__(self, question: ApprovalQuestion, desk: Desk) -> None:
        self.question = question
        self._desk = desk
        self._reader = desk.reader
        self._screen = desk.screen
        able = lasting(question) and question.not_you is None
        self._remember = desk.remember if able else None
        self._leave = desk.leave and question.not_you is not None
        self._original: JsonObject = deepcopy(question.arguments)
        self._arguments: JsonObject = self._original
        self._unseen: list[str] = []
        self._place = Place()
        self.seen = False

    async def run(self, place: Place) -> ApprovalGiven | Deferred | Move:
        """Ask; return the answer, or to which other question the person wants."""
        self._place = place
        self._show()
        self._reader.discard_typed_ahead()
        while True:
            line = await choose(self._reader, self._prompt())
            if line is None:
                return self.no("no answer: the input has ended")
            answer = await self._take(line if line == RESIZED else line.strip())
            if answer is not None:
                return answer

    def yes(self, scope: ApprovalScope = "once") -> ApprovalGiven | None:
        """Return a yes, if it may be given yet; else say why not."""
        if self._unseen:
            self._say(_UNSEEN)
            return None
        if scope != "once" and not lasting(self.question):
            self._say("this can be approved once only")
            return None
        # Compared as text: to Python 1, 1.0 and true are equal, to a server they are not.
        edited = json.dumps(self._arguments) != json.dumps(self._original)
        return ApprovalGiven(
            call_id=self.question.call_id,
            decision="approve",
            by=self._desk.by,
            scope=scope,
            arguments=self._arguments if edited else None,
        )

    def no(self, feedback: str = "") -> ApprovalGiven:
        """Return a no, with a reason for the model."""
        return ApprovalGiven(
            call_id=self.question.call_id, decision="deny", by=self._desk.by, feedback=feedback
        )

    # -- what was typed ------------------------------------------------------------------------

    def _prompt(self) -> str:
        if self.question.not_you is not None:
            more = f" ({len(self._unseen)} lines not shown yet)" if self._unseen else ""
            left = "/l" if self._leave else ""
            return f"waiting for another person{more} [{'m/' if more else ''}n/r{left}] "
        if self._unseen:
            return f"approve? ({len(self._unseen)} lines not shown yet) [m/n/r/e] "
        return f"approve? [y/n/r/e{'/a/t' if lasting(self.question) else ''}] "

    async def _take(self, line: str) -> ApprovalGiven | Deferred | Move | None:
        word, _, rest = line.partition(" ")
        word = word.lower()
        if word == "r":
            return await self._refuse(rest)
        if rest:
            self._no_answer(line)
            return None
        if word == "l" and self._leave:
            return Deferred()
        if word in _MOVES and self._place.total > 1:
            return _MOVES[word]
        if word in {"n", "no", ESC}:
            return self.no()
        if self.question.not_you is not None and (word in _YES or word in {"e", "v"}):
            self._say(f"you cannot approve this: {clean_line(self.question.not_you, 300)}")
            return None
        if word in _YES:
            return self.yes(_YES[word])
        if word == "w" and self._remember is not None:
            return await self._always(self._remember)
        await self._do(word, line)
        return None

    async def _do(self, word: str, line: str) -> None:
        """What answers nothing."""
        if word == "e":
            await self._edit(self._reader.edit)
        elif word == "v" and self._desk.editor is not None:
            await self._screen.drain()
            await self._edit(self._desk.editor)
        elif word in {"m", "s", "all"}:
            self._show_more(everything=word in {"s", "all"})
        elif word == "j":
            self._write(as_json(self._arguments, self._screen.width))
        elif word == "x":
            self._write(explained(self.question, self._screen.width))
        elif word in {"?", RESIZED}:
            self._show()
        elif line:
            self._no_answer(line)
        else:
            self._say("Enter alone is no answer; n refuses")

    def _no_answer(self, line: str) -> None:
        self._say(no_answer(line))
        self._write(self._keys_shown(short=isinstance(self._reader, KeyReader)))

    async def _refuse(self, reason: str) -> ApprovalGiven | None:
        said = reason or await self._reader.ask("reason, for the model: ") or ""
        if said == ESC:
            self._say("not refused")
            return None
        return self.no(said.strip()[:_FEEDBACK_LIMIT])

    async def _always(self, remember: Remember) -> ApprovalGiven | None:
        """Have the rule written that allows exactly this call, once a person has seen it."""
        text = remember.proposed(self.question, self._arguments)
        if text is None:
            self._say("no rule of the config can say this")
            return None
        if self._unseen:
            self._say(_UNSEEN)
            return None
        lines = wrap(shown(text), self._screen.width - 4)
        self._write([f"  {line}" for line in lines])
        answer = await choose(self._reader, "write this, and say yes? [y/N] ")
        if (answer or "").strip().lower() not in {"y", "yes"}:
            self._say("nothing was written")
            return None
        problem = remember.write(self.question, self._arguments)
        if problem is not None:
            self._say(f"not written: {clean_line(problem, 500)}")
            return None
        return self.yes("session_call")

    async def _edit(self, edit: Editor) -> None:
        """Let the human edit until the arguments are valid or they give up; then show the change
        and ask again: an edit is not yet a yes."""
        text = editable(self._arguments)
        while True:
            edited = await edit(text)
            if edited is None or (edit is not self._reader.edit and edited == text):
                self._say("the arguments are unchanged")
                return
            text = edited
            value = parse_edited(edited)
            if isinstance(value, str):
                self._say(value)
                continue
            problem = self.question.invalid(value)
            if problem is None:
                break
            self._say(f"not valid for this tool: {clean_line(problem, 500)}")
        self._arguments = value
        self._show()
        self._reader.discard_typed_ahead()

    # -- the screen ----------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._write([f"  {line}" for line in wrap_words(text, self._screen.width - 4)])

    def _write(self, lines: Sequence[str]) -> None:
        self._screen.write_now("".join(f"{line}\n" for line in lines))

    def _show(self) -> None:
        """Show the question: who asks for what and why, the arguments, the keys."""
        width, height = self._screen.width, self._screen.height
        where = f"{self._place.number} of {self._place.total}" if self._place.total > 1 else ""
        above = [header("approval", self._desk.sign, self._screen, where)]
        about = self._head()
        whole = [*tree(self._arguments, width, whole=True).lines, *self._changes()]
        below = self._keys_shown(short=False)
        if height - 4 - len(about) - len(below) < min(len(whole), _ROOM):
            below = self._keys_shown(short=True)
        if height - 4 - len(about) - len(below) >= min(len(whole), 3):
            above += about
        else:
            whole = [*about, *whole]
        room = max(height - len(above) - len(below) - 3, 3)
        self._write([*above, *self._fitting(whole, room), *below])
        self.seen = not self._unseen

    def _fitting(self, whole: list[str], room: int) -> list[str]:
        """As much as there is room for; the rest waits for `m`."""
        if len(whole) <= room:
            self._unseen = []
            return whole
        first = [*tree(self._arguments, self._screen.width, whole=False).lines]
        if whole[0].startswith(BAR):
            # Everything comes again from its start: what was cut is then seen in its place.
            part, self._unseen = first[: max(room - 1, 1)], whole
        else:
            part, self._unseen = whole[: max(room - 1, 1)], whole[max(room - 1, 1) :]
        note = f"{len(whole)} lines in all; m shows the next page, s all; y works after the last"
        return [*part, *(f"{BAR}… {line}" for line in wrap_words(note, self._screen.width - 4))]

    def _head(self) -> list[str]:
        others = self._place.total - self._place.number
        lines: list[str] = []
        for name, text in head(self.question, others):
            style = "alert" if name in _ALARMING else None
            block = rows([(name, text)], self._screen.width)
            lines += [self._screen.paint(line, style) for line in block]
        return lines

    def _changes(self) -> list[str]:
        """What an edit has changed so far, against what the model asked for."""
        if self._arguments is self._original:
            return []
        changes = difference(self._original, self._arguments, self._screen.width)
        return [self._screen.paint("  changed:", "bold"), *changes]

    def _keys_shown(self, *, short: bool) -> list[str]:
        width, screen = self._screen.width, self._screen
        able = self.question.not_you is None
        answers = grants(self.question)
        if self._remember and self._remember.can(self.question, self._arguments):
            answers.append(("w", "always, also in later runs: writes a rule to the config"))
        if self._leave:
            answers.append(("l", "leave: the run waits, and you get this terminal back"))
        also = [("v", "edit in your editor")] if able and self._desk.editor else []
        also += [("j", "as JSON"), ("x", "explain"), ("?", "show again")]
        if self._place.total > 1:
            also += [("< >", "another question"), ("g", "one answer for all of this tool")]
        if short:
            words = [f"{key} {_SHORT.get(key, text)}" for key, text in [*answers, *also]]
            lines = [f"  {line}" for line in wrap_words(" · ".join(words), width - 4)]
        else:
            text = " · ".join(f"{key} {what}" for key, what in also)
            lines = keys(answers, width)
            lines += [screen.paint(f"  {x}", "dim") for x in wrap_words(text, width - 4)]
        if not able and self.question.asked is not None:
            binding = self.question.asked.binding[:8]
            lines += [f"  {part}" for part in wrap_words(_ELSEWHERE.format(binding), width - 4)]
        return lines

    def _show_more(self, *, everything: bool) -> None:
        if not self._unseen:
            self._say("everything was shown")
            return
        page = len(self._unseen) if everything else max(self._screen.height - 3, 3)
        lines, self._unseen = self._unseen[:page], self._unseen[page:]
        self._write(lines)
        if not self._unseen:
            self.seen = True
            self._say("that was all of it")


_SHORT = {
    "y": "once",
    "n": "no",
    "r": "no, with a reason",
    "e": "edit",
    "a": "always, this call",
    "t": "always, ANY arguments",
    "w": "write a rule",
    "l": "leave it waiting",
    "v": "editor",
    "g": "same for all",
}
