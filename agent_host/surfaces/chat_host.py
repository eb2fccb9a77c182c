"""What a chat is opened on: the session, its servers, and who types, as far as a chat needs them.

Theory of operation: surfaces and servers are neighbours and do not import each other; these are
the shapes of `engine.session`, `servers.pool` and `servers.offers` that a chat relies on. What
servers send through them is untrusted and uncleaned.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from agent_host.core.conversation import Conversation
from agent_host.core.events import ContextCompacted, EndReason, Interrupted, UserSaid
from agent_host.core.filling import Filling
from agent_host.core.limits import Limits
from agent_host.core.types import Content, Message, Principal, Tool


class Dialogue(Protocol):
    """The session, as far as a chat needs it (see engine.session)."""

    @property
    def conversation(self) -> Conversation:
        """The state after the last event."""

    @property
    def principal(self) -> Principal:
        """For whom the session acts."""

    @property
    def limits(self) -> Limits:
        """What the run may use."""

    def tell(self, event: UserSaid | Interrupted) -> None:
        """Take an event. Raises UsageError if it is not legal now."""

    def rewind(self, messages: int, by: str) -> None:
        """Go back to the first `messages` messages. Raises UsageError if that is not legal now."""

    async def compact(self, by: str, instructions: str = "") -> ContextCompacted | None:
        """Make the view shorter; None if nothing can be left out. Raises UsageError."""

    def filling(self) -> Filling:
        """What the next request would be made of."""

    async def run(self) -> Conversation:
        """Work until the user is awaited."""

    def end(self, reason: EndReason) -> None:
        """Record the end of the run."""


class Health(Protocol):
    """How a server is (see servers.spec.ServerHealth)."""

    @property
    def name(self) -> str:
        """The server's name in the config."""

    @property
    def state(self) -> str:
        """starting, connected, failed, needs_login or stopped."""

    @property
    def error(self) -> str:
        """What is wrong, or nothing."""

    @property
    def version(self) -> str:
        """The version it says it has."""

    @property
    def protocol(self) -> str:
        """The version of the protocol that is spoken with it."""

    @property
    def tools(self) -> int:
        """How many tools it has."""

    @property
    def connect_seconds(self) -> float | None:
        """How long the handshake took."""

    @property
    def restarts(self) -> int:
        """How often it was started again."""

    @property
    def stderr(self) -> str:
        """What it last said there, clean."""

    @property
    def problems(self) -> Sequence[str]:
        """Notes about tools that are withheld."""

    @property
    def calls(self) -> int:
        """How many there were since the host started."""

    @property
    def errors(self) -> int:
        """How many of them it did not answer with a result."""

    @property
    def breaker(self) -> str:
        """`open` while calls fail at once, because it keeps failing; `closed` else."""

    @property
    def retry_seconds(self) -> float | None:
        """Until it is tried again."""

    @property
    def sandbox(self) -> str:
        """What it is confined by; empty for a URL."""

    @property
    def warning(self) -> str:
        """What its sandbox does not enforce."""

    @property
    def hint(self) -> str:
        """What in the config would help."""


class Withheld(Protocol):
    """A tool that is not offered until a person has accepted it."""

    @property
    def server(self) -> str:
        """The server's name in the config."""

    @property
    def tool(self) -> str:
        """Its own name."""

    @property
    def why(self) -> str:
        """Why, in words."""


class Failed(Protocol):
    """Why there is nothing (see servers.offers.Failed)."""

    @property
    def text(self) -> str:
        """For people."""


class PromptArgument(Protocol):
    """An argument of a prompt. All text."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def description(self) -> str:
        """What it is."""

    @property
    def required(self) -> bool:
        """Whether the prompt needs it."""


class PromptInfo(Protocol):
    """A prompt that a server offers (MCP, server/prompts)."""

    @property
    def server(self) -> str:
        """The server's name in the config."""

    @property
    def name(self) -> str:
        """Its name there."""

    @property
    def title(self) -> str:
        """What people call it; may be empty."""

    @property
    def description(self) -> str:
        """What it is for."""

    @property
    def arguments(self) -> Sequence[PromptArgument]:
        """Its arguments in their order."""


class ResourceInfo(Protocol):
    """A resource, or a template of many, that a server offers (MCP, server/resources)."""

    @property
    def server(self) -> str:
        """The server's name in the config."""

    @property
    def uri(self) -> str:
        """Its URI, of a template with variables in braces (RFC 6570)."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def title(self) -> str:
        """What people call it; may be empty."""

    @property
    def description(self) -> str:
        """What it is."""

    @property
    def media_type(self) -> str:
        """As `text/plain`; may be empty."""

    @property
    def size(self) -> int | None:
        """Bytes, if that is known."""

    @property
    def template(self) -> bool:
        """Whether its URI has variables."""


class SkillInfo(Protocol):
    """A skill that a server offers (MCP, extension skills)."""

    @property
    def server(self) -> str:
        """The server's name in the config."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def description(self) -> str:
        """What it is for."""


class Servers(Protocol):
    """The servers, as far as a chat needs them (see servers.pool)."""

    def tools(self) -> Mapping[str, Tool]:
        """The tools by exposed name."""

    async def ready(self) -> None:
        """Return once each server's tools are known, or its connect budget is spent."""

    def health(self) -> Sequence[Health]:
        """Every server of the config."""

    def states(self) -> Mapping[str, str]:
        """By exposed name: new, known or changed, beside its pin."""

    def signs(self) -> Mapping[str, Sequence[str]]:
        """By exposed name: what to look at in a tool."""

    def held_back(self) -> Sequence[Withheld]:
        """The tools that are not offered."""

    def notes(self) -> Sequence[str]:
        """What a person has to know of the servers and no health says."""

    async def prompts(
        self, server: str | None = None
    ) -> tuple[Sequence[PromptInfo], Sequence[str]]:
        """The prompts of one server or all, and what kept others from being told."""

    async def resources(
        self, server: str | None = None
    ) -> tuple[Sequence[ResourceInfo], Sequence[str]]:
        """The resources and templates of one server or all, and what kept others away."""

    async def filled_prompt(
        self, server: str, name: str, arguments: Mapping[str, str], principal: Principal
    ) -> tuple[tuple[Message, ...], tuple[str, ...]] | Failed:
        """The messages that a prompt makes, and the labels of what they hold."""

    async def attachment(
        self, server: str, uri: str, principal: Principal
    ) -> tuple[tuple[Content, ...], tuple[str, ...]] | Failed:
        """What a resource holds, and its labels."""

    async def complete(
        self, ref: Any, argument: str, value: str, others: Mapping[str, str]
    ) -> tuple[str, ...]:
        """What a value of an argument may be (MCP, server/utilities/completion); `ref` is the
        PromptInfo or ResourceInfo that has it."""

    async def skills(self, server: str | None = None) -> tuple[Sequence[SkillInfo], Sequence[str]]:
        """The skills of one server or all, and what kept others from being told."""


class Host(Protocol):
    """What a chat is opened on."""

    @property
    def session(self) -> Dialogue:
        """The session; the same object throughout."""

    @property
    def pool(self) -> Servers:
        """Its servers."""

    def models(self) -> Sequence[str]:
        """The names that `change_model` takes."""

    async def change_model(self, name: str) -> object:
        """Let another model answer from here on. Raises AgentHostError if it cannot."""


class Input(Protocol):
    """Where messages come from; see ChatInput."""

    async def read(self) -> str | None:
        """Return a message, None at the end; KeyboardInterrupt for Ctrl-C in an empty line."""


@runtime_checkable
class Editable(Protocol):
    """Where a message can be edited before it is sent; see ChatInput."""

    def offer(self, text: str) -> None:
        """Put text into the next line."""


class Asker(Protocol):
    """Where a chat asks for one line more; see FieldReader."""

    async def type_in(self, prompt: str, *, text: str = "", hidden: bool = False) -> str | None:
        """Return one line, or None at the end of input."""
