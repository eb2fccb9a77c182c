"""Commands about how the chat works: help, how calls are approved, the rules, the config.

Theory of operation: the mode of approval is the chat's own, for as long as it lasts: it decides who
answers what policy wants a human for, never what policy says. The loosest one is confirmed by
typing its whole word, so that no slip of a finger can choose it.
"""

import difflib

from agent_host.core.errors import AgentHostError
from agent_host.core.text import clean_line
from agent_host.surfaces.commands_page import Ground
from agent_host.surfaces.commands_table import BY_NAME, GROUPS, KEYS, TABLE

MODES: dict[str, str] = {
    "ask": "you are asked about each call that policy wants a human for",
    "policy": "nobody is asked: what policy does not allow by itself is refused",
    "none": "nobody is asked: what policy wants a human for is refused",
    "all": "what policy wants a human for is ALLOWED, unseen; what it denies stays denied",
}
"""The modes of `--approve` that a chat has, and what they mean."""

_CONFIRM = "all"
_COLUMN = max(len(command.name) for command in TABLE)


class SettingsCommands:
    """See the table of commands for what each does."""

    def __init__(self, ground: Ground) -> None:
        self._page = ground.page
        self._around = ground.around

    async def help(self, rest: str) -> None:
        """/help"""
        if rest:
            self._help_one(rest)
            return
        for group, title in GROUPS.items():
            self._page.heading(title)
            for command in TABLE:
                if command.group == group:
                    self._page.row(command.name, command.about, _COLUMN)
        self._page.item("/help COMMAND tells all about one")
        self._page.item(KEYS)

    def _help_one(self, rest: str) -> None:
        name = f"/{rest.lstrip('/')}"
        command = BY_NAME.get(name)
        if command is None:
            self._page.item(unknown(name))
            return
        self._page.heading(command.usage)
        self._page.item(f"{command.about}. {command.more}".strip())
        if command.while_working:
            self._page.item("It may be used while the model works.")
        self._page.rows(command.examples)
        if command.name == "/approve-mode":
            self._page.rows(MODES.items())

    # -- approving -------------------------------------------------------------------------

    async def approve_mode(self, rest: str) -> None:
        """/approve-mode"""
        approving = self._around.approving
        if approving is None:
            self._page.item("how calls are approved cannot be changed here")
            return
        wanted = rest.strip().lower()
        if not wanted:
            others = {m: text for m, text in MODES.items() if m != approving.mode}
            now = (f"now: {approving.mode}", MODES.get(approving.mode, ""))
            self._page.rows([now, *((f"/approve-mode {m}", t) for m, t in others.items())])
        elif wanted not in MODES:
            harmless = [mode for mode in MODES if mode != _CONFIRM]
            near = difflib.get_close_matches(wanted, harmless, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            known = ", ".join(MODES)
            self._page.item(f"there is no mode {clean_line(wanted, 20)!r}{hint} ({known})")
        elif wanted == approving.mode:
            self._page.item(f"it is {wanted} already: {MODES[wanted]}")
        elif wanted != _CONFIRM or await self._confirmed():
            self._change(wanted)

    async def _confirmed(self) -> bool:
        self._page.item(f"{MODES[_CONFIRM]}; it holds until this chat ends or the mode changes")
        typed = await self._page.ask(f"type the word {_CONFIRM} to confirm: ")
        if typed == _CONFIRM:
            return True
        self._page.item("nothing was changed")
        return False

    def _change(self, wanted: str) -> None:
        assert self._around.approving is not None
        try:
            self._around.approving.change(wanted)
        except AgentHostError as error:
            self._page.item(clean_line(str(error), 500))
            return
        self._page.item(f"  {MODES[wanted]}", bold=f"from here on: {wanted}")

    # -- policy and config -----------------------------------------------------------------

    async def policy(self, rest: str) -> None:
        """/policy"""
        if self._around.rules is None:
            self._page.item("there are no rules to show here")
            return
        for line in self._around.rules():
            self._page.indented(line)

    async def config(self, rest: str) -> None:
        """/config"""
        if self._around.config is None:
            self._page.item("there is no config to show here")
            return
        try:
            values = self._around.config()
        except AgentHostError as error:
            self._page.item(clean_line(str(error), 500))
            return
        word = rest.strip().lower()
        shown = [v for v in values if word in v.key.lower() and (word or v.origin != "default")]
        for one in shown:
            origin = clean_line(one.origin, 200)
            self._page.item(
                f" = {clean_line(one.value, 300)}  ({origin})", bold=clean_line(one.key, 120)
            )
        if not shown and word:
            self._page.item(f"no key has {clean_line(word, 40)!r} in it")
        elif not shown:
            self._page.item("nothing differs from the defaults")
        elif not word:
            left = len(values) - len(shown)
            self._page.item(f"{left} more at their defaults; /config WORD shows those with a word")


def unknown(name: str) -> str:
    """Return what to say of a command that there is not."""
    near = difflib.get_close_matches(name, list(BY_NAME), n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else "; /help lists the commands"
    return f"there is no command {clean_line(name, 40)}{hint}"
