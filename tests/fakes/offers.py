"""Servers in memory that offer prompts and resources, for a chat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent_host.core.types import Content, Message, Principal, Resource, Text
from tests.fakes import rooms


@dataclass(frozen=True)
class Health:
    name: str = "w"
    state: str = "connected"
    error: str = ""
    version: str = "1.0"
    protocol: str = ""
    tools: int = 5
    connect_seconds: float | None = None
    restarts: int = 0
    stderr: str = ""
    problems: Sequence[str] = ()
    calls: int = 0
    errors: int = 0
    breaker: str = "closed"
    retry_seconds: float | None = None
    sandbox: str = ""
    warning: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Held:
    tool: str
    why: str = "its definition is not as it was"
    server: str = "w"


@dataclass(frozen=True)
class Argument:
    name: str
    required: bool = False
    description: str = ""


@dataclass(frozen=True)
class Prompt:
    name: str
    arguments: Sequence[Argument] = ()
    server: str = "w"
    title: str = ""
    description: str = ""


@dataclass(frozen=True)
class Offered:
    uri: str
    server: str = "w"
    name: str = "notes"
    title: str = ""
    description: str = ""
    media_type: str = ""
    size: int | None = None
    template: bool = False


@dataclass(frozen=True)
class Skill:
    name: str
    description: str = ""
    server: str = "w"


@dataclass(frozen=True)
class Failure:
    text: str


def said(role: str, text: str) -> Message:
    return Message(role=role, content=(Text(text=text),))  # type: ignore[arg-type]


@dataclass
class Servers(rooms.World):
    """A world whose servers have a health, and offer what they are told to."""

    healths: Sequence[Health] = (Health(),)
    prompt_list: Sequence[Prompt] = ()
    resource_list: Sequence[Offered] = ()
    problems: Sequence[str] = ()
    messages: tuple[Message, ...] | Failure = (said("user", "Summarise it."),)
    contents: tuple[Content, ...] | Failure = (Resource(uri="note:1", text="the note"),)
    values: tuple[str, ...] = ()
    skill_list: Sequence[Skill] = ()
    labels: tuple[str, ...] = ()
    held: Sequence[Held] = ()
    note_list: Sequence[str] = ()
    state_table: Mapping[str, str] = field(default_factory=dict)
    sign_table: Mapping[str, Sequence[str]] = field(default_factory=dict)
    asked: list[object] = field(default_factory=list)

    def health(self) -> Sequence[Health]:
        return self.healths

    def states(self) -> Mapping[str, str]:
        return self.state_table

    def signs(self) -> Mapping[str, Sequence[str]]:
        return self.sign_table

    def held_back(self) -> Sequence[Held]:
        return self.held

    def notes(self) -> Sequence[str]:
        return self.note_list

    async def prompts(self, server: str | None = None) -> tuple[Sequence[Prompt], Sequence[str]]:
        self.asked.append(("prompts", server))
        return [p for p in self.prompt_list if server in {None, p.server}], self.problems

    async def resources(self, server: str | None = None) -> tuple[Sequence[Offered], Sequence[str]]:
        self.asked.append(("resources", server))
        return [r for r in self.resource_list if server in {None, r.server}], self.problems

    async def filled_prompt(
        self, server: str, name: str, arguments: Mapping[str, str], principal: Principal
    ) -> tuple[tuple[Message, ...], tuple[str, ...]] | Failure:
        self.asked.append((server, name, dict(arguments), principal.id))
        made = self.messages
        return made if isinstance(made, Failure) else (made, self.labels)

    async def attachment(
        self, server: str, uri: str, principal: Principal
    ) -> tuple[tuple[Content, ...], tuple[str, ...]] | Failure:
        self.asked.append((server, uri, principal.id))
        held = self.contents
        return held if isinstance(held, Failure) else (held, self.labels)

    async def complete(
        self,
        ref: Prompt | Offered,
        argument: str,
        value: str,
        others: Mapping[str, str],
    ) -> tuple[str, ...]:
        self.asked.append((ref, argument, value, dict(others)))
        return self.values

    async def skills(self, server: str | None = None) -> tuple[Sequence[Skill], Sequence[str]]:
        return self.skill_list, ()
