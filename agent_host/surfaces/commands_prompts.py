"""A server's prompt as a command: `/SERVER:PROMPT`, and what is asked before it is said.

Theory of operation: the message that a server makes of a prompt is shown whole before it is sent,
and sent when the user says so: it is said in their name. Arguments that it needs and has not got
are asked for.
"""

import difflib

from agent_host.core.events import UserSaid
from agent_host.core.text import clean_line
from agent_host.core.types import Message
from agent_host.surfaces.cards import title
from agent_host.surfaces.chat_host import PromptInfo
from agent_host.surfaces.commands_page import Ground, no_server
from agent_host.surfaces.invocations import Invocation, arguments_of, shown_turn, turn_of, usage
from agent_host.surfaces.mentions import PROMPT, labels_seen

_LISTED = 50


class PromptCommands:
    """Calls prompts for a user who types."""

    def __init__(self, ground: Ground) -> None:
        self._host = ground.host
        self._page = ground.page

    async def named(self, rest: str) -> UserSaid | None:
        """/prompt SERVER NAME [ARGUMENTS]"""
        server, _, more = rest.partition(" ")
        prompt, _, arguments = more.strip().partition(" ")
        if not prompt:
            self._page.item("as in /prompt SERVER NAME; /prompts lists them")
            await self._of(server)
            return None
        return await self.invoke(Invocation(server, prompt, arguments.strip()))

    async def _of(self, server: str) -> None:
        """List the prompts of a server, if it is one."""
        if server in {health.name for health in self._host.pool.health()}:
            prompts, _ = await self._host.pool.prompts(server)
            self._page.items(usage(prompt) for prompt in prompts[:_LISTED])

    async def invoke(self, called: Invocation) -> UserSaid | None:
        """Return the message that a prompt makes, once the user has seen it."""
        prompt = await self._find(called)
        if prompt is None:
            return None
        given = arguments_of(prompt.arguments, called.rest)
        if isinstance(given, str):
            self._page.item(f"{given}; as in {usage(prompt)}")
            return None
        if not await self._ask_missing(prompt, given):
            return None
        who = self._host.session.principal
        made = await self._host.pool.filled_prompt(prompt.server, prompt.name, given, who)
        if not isinstance(made, tuple):
            self._page.item(f"the prompt cannot be had: {clean_line(made.text, 500)}")
            return None
        messages, labels = made
        turn = turn_of(messages)
        if not turn.content:
            self._page.item("the prompt is empty; nothing was sent")
            return None
        if not await self._agreed(prompt, turn):
            return None
        return UserSaid(message=turn, labels=labels_seen(prompt.server, PROMPT, labels))

    async def _find(self, called: Invocation) -> PromptInfo | None:
        servers = [health.name for health in self._host.pool.health()]
        if called.server not in servers:
            self._page.item(no_server(called.server, servers))
            return None
        prompts, problems = await self._host.pool.prompts(called.server)
        for prompt in prompts:
            if prompt.name == called.name:
                return prompt
        self._page.items(clean_line(problem, 300) for problem in problems)
        near = difflib.get_close_matches(called.name, [p.name for p in prompts], n=1, cutoff=0.4)
        hint = f"; did you mean {clean_line(near[0], 80)}?" if near else "; /prompts lists them"
        where = clean_line(called.server, 64)
        self._page.item(f"{where} has no prompt {clean_line(called.name, 80)!r}{hint}")
        return None

    async def _ask_missing(self, prompt: PromptInfo, given: dict[str, str]) -> bool:
        """Ask for the arguments that a prompt needs and has not got."""
        for argument in prompt.arguments:
            if not argument.required or given.get(argument.name):
                continue
            if self._page.asker is None:
                self._page.item(f"it needs {clean_line(argument.name, 60)}; as in {usage(prompt)}")
                return False
            if argument.description:
                self._page.behind_bar(argument.description)
            typed = await self._page.asker.type_in(f"{clean_line(argument.name, 40)}: ")
            if not typed or not typed.strip():
                self._page.item("given up; nothing was sent")
                return False
            given[argument.name] = typed
        return True

    async def _agreed(self, prompt: PromptInfo, turn: Message) -> bool:
        """Show what would be sent, and ask if it is meant."""
        self._page.say(f"{title(prompt.server, prompt.name)} would have you say:")
        self._page.behind_bar(shown_turn(turn))
        if self._page.asker is None or await self._page.agreed("send it?", usual=True):
            return True
        self._page.item("nothing was sent")
        return False
