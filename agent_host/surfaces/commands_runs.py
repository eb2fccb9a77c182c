"""Commands about this run and others: back to an earlier message, forks, other runs, exports.

Theory of operation: the transcript never loses anything: going back is an event, and a fork is a
run of its own. A chat has one session, so going on with another run means leaving this one: the
chat ends, and begins again at the same terminal with the same options (`Outcome.onward`).
"""

from collections.abc import Sequence

from agent_host.core.conversation import Conversation
from agent_host.core.errors import AgentHostError
from agent_host.core.events import ToolStarted
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Message, Text, ToolCall, ToolResult
from agent_host.surfaces.cards import brief_arguments, title
from agent_host.surfaces.chat_around import RunInfo, Runs
from agent_host.surfaces.commands_page import Ground, first_line

_RUNS = 10
_NO_EFFECT = frozenset(
    {"denied", "invalid_arguments", "malformed_call", "truncated_call", "unknown_tool", "changed"}
)
"""Errors of calls that certainly did not run."""


def said_at(conversation: Conversation) -> list[int]:
    """Return the places of the user's messages."""
    return [place for place, m in enumerate(conversation.messages) if m.role == "user"]


class RunCommands:
    """See the table of commands for what each does."""

    def __init__(self, ground: Ground) -> None:
        self._host = ground.host
        self._page = ground.page
        self._around = ground.around
        self._outcome = ground.outcome

    # -- back ------------------------------------------------------------------------------

    async def undo(self, rest: str) -> None:
        """/undo"""
        session = self._host.session
        said = said_at(session.conversation)
        number = int(rest[:9]) if rest.isdecimal() else 0
        if (rest and not number) or number > len(said):
            self._page.item(f"as in /undo or /undo 2; your messages so far: {len(said)}")
            return
        if not said:
            self._page.item("there is nothing to take back")
            return
        place = said[-(number or 1)]
        gone = session.conversation.messages[place:]
        try:
            session.rewind(place, session.principal.id)
        except AgentHostError as error:
            self._page.item(clean_line(str(error), 500))
            return
        self._taken_back(gone)
        self._outcome.draft = _text(gone[0])

    def _taken_back(self, gone: Sequence[Message]) -> None:
        """Say what is no longer part of the conversation, and what happened all the same."""
        mine = [m for m in gone if m.role == "user"]
        self._page.item(f"taken back: {len(gone)} message{'' if len(gone) == 1 else 's'}, from")
        self._page.behind_bar(first_line(_text(mine[0])) or "(no text)")
        ran = _ran(gone)
        if ran:
            self._page.item("what tools did is NOT undone; these ran:")
        sent = self._sent() if ran else {}
        for call in ran:
            tool = self._host.pool.tools().get(call.name)
            name = clean_line(call.name, 128) if tool is None else title(tool.server, tool.tool)
            reads = " (reads only)" if tool is not None and tool.read_only else ""
            arguments = sent.get(call.id, call.arguments)
            self._page.item(f"{reads}  {brief_arguments(arguments)}", bold=f"  {name}")

    def _sent(self) -> dict[str, JsonObject]:
        """The arguments that calls ran with, by the call's id: a person may have edited them."""
        records = self._around.records
        events = () if records is None else (record.event for record in records())
        return {e.call_id: e.arguments for e in events if isinstance(e, ToolStarted)}

    # -- other runs ------------------------------------------------------------------------

    async def fork(self, rest: str) -> None:
        """/fork"""
        runs = self._around.runs
        if runs is None:
            self._page.item("run this in another terminal: agent-host transcripts fork")
            return
        conversation = self._host.session.conversation
        said = said_at(conversation)
        number = int(rest[:9]) if rest.isdecimal() else 0
        if (rest and not number) or number > len(said):
            there = "your messages are:" if said else "there are no messages yet"
            self._page.item(f"as in /fork or /fork 2; {there}")
            for count, place in enumerate(said, 1):
                text = first_line(_text(conversation.messages[place]), 60)
                self._page.item(f"{count}  {text or '(no text)'}")
            return
        try:
            made = await runs.fork(said[number - 1] if number else None)
        except AgentHostError as error:
            self._page.item(clean_line(str(error), 500))
            return
        self._page.item(f"this run stays as it is; the chat goes on in {clean_line(made, 60)}")
        self._go_on("--resume", made)

    async def resume(self, rest: str) -> None:
        """/resume"""
        runs = self._around.runs
        if runs is None:
            self._page.item("leave, then: agent-host chat --resume ID")
            return
        if self._around.pick is not None:
            picked = await self._around.pick(rest)
            if picked is None:
                self._page.item("the chat goes on here")
            else:
                await self._choose(picked, runs)
            return
        words = rest
        while True:
            try:
                found, total = await runs.find(words, _RUNS + 1)
            except AgentHostError as error:
                self._page.item(clean_line(str(error), 500))
                return
            others = [run for run in found if run.run_id != runs.current][:_RUNS]
            self._list(others, total - (len(others) != len(found)), words)
            if self._page.asker is None or (not others and not words):
                return
            typed = await self._page.ask("number, words or Enter: ")
            if not typed:
                self._page.item("the chat goes on here")
                return
            if typed.isdecimal() and 1 <= int(typed[:9]) <= len(others):
                await self._choose(others[int(typed[:9]) - 1], runs)
                return
            words = typed

    def _list(self, runs: Sequence[RunInfo], total: int, words: str) -> None:
        if runs and self._page.asker is not None:
            self._page.item("a number goes on with a run, words search them, Enter stays here:")
        for number, run in enumerate(runs, 1):
            when = clean_line(run.when, 40).replace("T", " ")[:16]
            about = f"  {clean_line(run.about, 80)}" if run.about else ""
            self._page.item(f"  {when}  {first_line(run.title, 60)}{about}", bold=f"{number:>2}")
            if run.found:
                self._page.item(f"    {clean_line(run.found, 120)}")
        if not runs:
            which = f"that speaks of {clean_line(words, 40)!r}" if words else "in this folder"
            self._page.item(f"there is no other run {which}")
        elif total > len(runs):
            self._page.item(f"… and {total - len(runs)} more; words search them all")

    async def _choose(self, run: RunInfo, runs: Runs) -> None:
        try:
            await runs.check(run.run_id)
        except AgentHostError as error:
            self._page.item(clean_line(str(error), 500))
            return
        here = clean_line(runs.current, 60)
        self._page.item(f"this run is {here}; the chat goes on in {clean_line(run.run_id, 60)}")
        self._go_on("--resume", run.run_id)

    async def clear(self, rest: str) -> None:
        """/clear"""
        runs = self._around.runs
        here = f" {clean_line(runs.current, 60)}" if runs is not None else ""
        self._page.item(f"this run{here} stays recorded; an empty conversation begins")
        self._go_on()

    def _go_on(self, *options: str) -> None:
        self._outcome.leaving = True
        self._outcome.onward = options

    # -- export ----------------------------------------------------------------------------

    async def export(self, rest: str) -> None:
        """/export"""
        export = self._around.export
        if export is None:
            self._page.item("run this in another terminal: agent-host transcripts export")
            return
        form, _, file = rest.partition(" ")
        if form and form not in export.formats:
            form, file = export.form_of(rest), rest
        if rest and not form:
            known = ", ".join(export.formats)
            self._page.item(f"there is no format {clean_line(rest, 30)!r}; there is {known}")
            return
        form = form or export.formats[0]
        path = export.target(form, file.strip())
        try:
            if export.exists(path) and not await self._page.agreed(
                f"{clean_line(path, 300)} is there; write over it?"
            ):
                self._page.item("nothing was written")
                return
            self._page.item(f"written: {clean_line(await export.write(form, path), 1000)}")
        except AgentHostError as error:
            self._page.item(clean_line(str(error), 500))

    async def quit(self, rest: str) -> None:
        """/quit"""
        self._outcome.leaving = True


def _text(message: Message) -> str:
    """What a user typed of a message."""
    return next((block.text for block in message.content if isinstance(block, Text)), "")


def _ran(messages: Sequence[Message]) -> list[ToolCall]:
    """The calls that ran, or may have."""
    calls = [b for m in messages for b in m.content if isinstance(b, ToolCall)]
    results = [b for m in messages for b in m.content if isinstance(b, ToolResult)]
    idle = {r.call_id for r in results if r.error in _NO_EFFECT}
    return [call for call in calls if call.id not in idle]
