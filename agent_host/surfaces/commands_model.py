"""Commands about the model: which one answers, what fills its context, and making room there.

Theory of operation: what fills the context is the session's own estimate, by which it decides when
to compact, so that what is shown here is what happens.
"""

from collections.abc import Iterator

from agent_host.core.errors import AgentHostError
from agent_host.core.filling import Filling, Kind, Part
from agent_host.core.text import clean_line
from agent_host.surfaces.chat_around import ModelFacts
from agent_host.surfaces.commands_page import Ground

_KINDS: dict[Kind, str] = {
    "system": "system",
    "tools": "tools of",
    "summary": "summary",
    "user": "your messages",
    "attachments": "attachments",
    "assistant": "answers",
    "results": "results of",
}
_MOST_PARTS = 30
_SUMMARY_LINES = 8


class ModelCommands:
    """See the table of commands for what each does."""

    def __init__(self, ground: Ground) -> None:
        self._host = ground.host
        self._page = ground.page
        self._around = ground.around

    async def model(self, rest: str) -> None:
        """/model"""
        if not rest:
            self._say_model()
            known = {one.name: one for one in self._facts()}
            self._page.rows(self._listed(name, known.get(name)) for name in self._host.models())
            self._page.item("any other: /model PROVIDER:MODEL")
            return
        try:
            await self._host.change_model(rest)
        except AgentHostError as error:
            text = str(error).removeprefix("/model: ").replace("use --model ", "use /model ")
            self._page.item(clean_line(text, 500))
            return
        self._say_model()

    def _facts(self) -> tuple[ModelFacts, ...]:
        if self._around.models is None:
            return ()
        try:
            return tuple(self._around.models())
        except AgentHostError as error:
            self._page.item(clean_line(str(error), 500))
            return ()

    def _listed(self, name: str, facts: ModelFacts | None) -> tuple[str, str]:
        parts = []
        if facts is not None:
            parts += [f"{facts.window:,} tokens"] if facts.window else []
            parts += [facts.price, facts.key]
        return f"/model {clean_line(name, 80)}", "  ".join(filter(None, parts))

    def _say_model(self) -> None:
        conversation = self._host.session.conversation
        current = conversation.origin
        names = dict.fromkeys(clean_line(n, 60) for n in (current.provider, current.model) if n)
        how = "no AI" if conversation.simulated else clean_line(current.adapter, 40)
        self._page.item(f"now: {' '.join(names)} ({how})")

    # -- context ---------------------------------------------------------------------------

    async def context(self, rest: str) -> None:
        """/context"""
        filling = self._host.session.filling()
        whole = filling.window or filling.used
        self._page.heading(_sum(filling))
        for part in filling.parts[:_MOST_PARTS]:
            self._page.share(_named(part), part.tokens, whole)
        rest_of = filling.parts[_MOST_PARTS:]
        if rest_of:
            self._page.share(f"{len(rest_of)} more", sum(p.tokens for p in rest_of), whole)
        if filling.window:
            free = max(0, filling.window - filling.used)
            self._page.share("free", free, whole)
        self._page.items(self._not_counted())
        self._page.item(self._when(filling))

    def _not_counted(self) -> Iterator[str]:
        for server in self._host.pool.health():
            if server.state == "starting" and not server.tools:
                yield f"{clean_line(server.name, 64)} is connecting: its tools are not counted yet"

    def _when(self, filling: Filling) -> str:
        c = self._host.session.conversation
        now = "/compact leaves out old tool results first, then the oldest messages"
        if c.covered:
            now += f"; {c.covered} of {len(c.messages)} messages are left out or shortened already"
        if not filling.window:
            return f"how much the model takes is not known; {now}"
        if not filling.mark:
            return f"it is compacted when the provider refuses, or by you: {now}"
        left = max(0, filling.mark - filling.used)
        return f"compacted by itself at {filling.mark:,} tokens, {left:,} from here; {now}"

    async def compact(self, rest: str) -> None:
        """/compact"""
        session = self._host.session
        before = session.filling().used
        try:
            done = await session.compact(session.principal.id, rest)
        except AgentHostError as error:
            self._page.item(clean_line(str(error), 500))
            return
        if done is None:
            self._page.item("there is nothing that could be left out")
            return
        parts = []
        if done.messages:
            parts.append(f"a summary stands for the first {done.messages} messages")
        if done.results:
            parts.append(f"long tool results in the first {done.results} messages are left out")
        after = session.filling().used
        self._page.item(f"{'; '.join(parts)}: about {before:,} tokens became {after:,}")
        self._page.item("the transcript keeps everything, and the model can look it up")
        if done.messages and done.summary:
            self._page.behind_bar(done.summary, _SUMMARY_LINES)


def _sum(filling: Filling) -> str:
    used = f"about {filling.used:,} tokens"
    if not filling.window:
        return used
    share = 100 * filling.used / filling.window
    return f"{used}, {share:.0f}% of a window of {filling.window:,}"


def _named(part: Part) -> str:
    name = _KINDS[part.kind]
    return f"{name} {clean_line(part.server, 40) or 'the host'}" if name.endswith(" of") else name
