"""People at a terminal, in memory: they type what they were told to, and then nothing any more."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Typist:
    """A FieldReader. `asked` are the prompts, `offered` the texts that were there already (of
    fields), `hidden` the prompts whose answers are not shown."""

    lines: list[str]
    asked: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    discarded: int = 0

    def discard_typed_ahead(self) -> None:
        self.discarded += 1

    async def ask(self, prompt: str) -> str | None:
        self.asked.append(prompt)
        return self.lines.pop(0) if self.lines else None

    async def edit(self, text: str) -> str | None:
        raise AssertionError("nothing is edited here")

    async def type_in(self, prompt: str, *, text: str = "", hidden: bool = False) -> str | None:
        self.offered.append(text)
        if hidden:
            self.hidden.append(prompt)
        return await self.ask(prompt)


def typist(*lines: str) -> Typist:
    return Typist(list(lines))


def object_of(required: Sequence[str] = (), **properties: object) -> dict[str, object]:
    """A requested schema."""
    return {"type": "object", "properties": properties, "required": list(required)}
