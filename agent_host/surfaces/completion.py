"""What may stand at the cursor: commands, prompts and their arguments, resources, files.

Theory of operation: names come from what the servers listed last, asked for once a message at
most, and a slow server holds up nothing that is typed. What takes more words is completed with a
blank behind it. Values of arguments and of a template's variables come from the server (MCP,
server/utilities/completion), and only when the user presses Tab: a server is not told what is
being typed. A candidate that a line cannot hold as it is, or that hides something, is left out.
"""

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agent_host.core.text import clean, clean_line
from agent_host.surfaces.chat_host import PromptInfo, ResourceInfo, Servers
from agent_host.surfaces.commands_table import BY_NAME
from agent_host.surfaces.mentions import Mention

PATIENCE = 3.0
"""Seconds that a list or a completion may take before there is none."""
GLANCE = 0.4
"""The same for a list, while a person types and has not pressed Tab."""
_MOST = 100
_LONGEST = 4096
_T = TypeVar("_T")
_U = TypeVar("_U")
_AT = re.compile(r"(?<![^\s(\[\"'])@(\S*)\Z")
_VARIABLE = re.compile(r"\{([A-Za-z0-9_.]+)\}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be written in the place of the last `replaces` characters."""

    text: str
    replaces: int
    about: str = ""


class Offers:
    """What the servers offer, as far as it is known; asked for once until `forget`."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._prompts: Sequence[PromptInfo] | None = None
        self._resources: Sequence[ResourceInfo] | None = None

    def forget(self) -> None:
        """Ask again the next time."""
        self._prompts = self._resources = None

    async def prompts(self, *, wait: bool = True) -> Sequence[PromptInfo]:
        """The prompts of all servers; none, and asked for again the next time, if that takes too
        long. `wait`: also for a server that is slow."""
        if self._prompts is None:
            told = await _in_time(self._servers.prompts(), None, PATIENCE if wait else GLANCE)
            self._prompts = None if told is None else told[0]
        return self._prompts or ()

    async def resources(self, *, wait: bool = True) -> Sequence[ResourceInfo]:
        """The resources and templates of all servers, in the same way."""
        if self._resources is None:
            told = await _in_time(self._servers.resources(), None, PATIENCE if wait else GLANCE)
            self._resources = None if told is None else told[0]
        return self._resources or ()

    async def known(self) -> set[Mention]:
        """The resources that can be mentioned as they are listed."""
        return {Mention(r.server, r.uri) for r in await self.resources() if not r.template}

    async def values(
        self, ref: PromptInfo | ResourceInfo, name: str, value: str, others: Mapping[str, str]
    ) -> tuple[str, ...]:
        """What its server says that an argument may be."""
        return await _in_time(self._servers.complete(ref, name, value, others), (), PATIENCE)


async def _in_time(asked: Awaitable[_T], otherwise: _U, seconds: float) -> _T | _U:
    try:
        async with asyncio.timeout(seconds):
            return await asked
    except TimeoutError:
        return otherwise


class Files(Protocol):
    """The files that a message may name (see `file_words.FileWords`)."""

    async def candidates(self, typed: str) -> list[Candidate]:
        """Return what may stand in the place of what was typed behind an @."""


class Completion:
    """Candidates for the text before a cursor. `words`: what may follow a command; `files`: what
    may be named besides resources."""

    def __init__(
        self,
        commands: Sequence[tuple[str, str]],
        words: Callable[[str], Iterable[str]],
        offers: Offers,
        files: Files | None = None,
    ) -> None:
        self._commands = commands
        self._words = words
        self._offers = offers
        self._files = files

    async def candidates(self, text: str, *, tab: bool) -> list[Candidate]:
        """Return what may stand at the end of `text`. `tab`: the user asked for it."""
        found: list[Candidate] = []
        if text.startswith("/") and not text.startswith("//") and "\n" not in text:
            found = await self._after_slash(text, tab=tab)
        elif (match := _AT.search(text)) is not None:
            found = await self._after_at(match[1], tab=tab)
        return [c for c in found if _writable(c.text)][:_MOST]

    async def _after_slash(self, text: str, *, tab: bool) -> list[Candidate]:
        name, blank, rest = text.partition(" ")
        if not blank:
            commands = [
                Candidate(_followed(c, more=_takes_words(c)), len(name), about)
                for c, about in self._commands
            ]
            prompts = [
                Candidate(
                    _followed(f"/{p.server}:{p.name}", more=bool(p.arguments)), len(name), _about(p)
                )
                for p in await self._offers.prompts(wait=tab)
                if " " not in p.name
            ]
            return [c for c in (*commands, *prompts) if c.text.startswith(name)]
        if ":" in name:
            return await self._arguments(name, rest, tab=tab)
        if name == "/prompt":
            return await self._prompt(rest, tab=tab)
        given, _, last = rest.rpartition(" ")
        words = self._words(f"{name} {given}".rstrip())
        return [Candidate(w, len(last)) for w in words if w.startswith(last)]

    async def _prompt(self, rest: str, *, tab: bool) -> list[Candidate]:
        """What may follow /prompt: a server, one of its prompts, that one's arguments."""
        server, blank, more = rest.partition(" ")
        if not blank:
            servers = (_followed(word, more=True) for word in self._words("/prompt"))
            return [Candidate(w, len(rest)) for w in servers if w.startswith(rest)]
        name, blank, arguments = more.partition(" ")
        if blank:
            return await self._arguments(f"/{server}:{name}", arguments, tab=tab)
        return [
            Candidate(_followed(p.name, more=bool(p.arguments)), len(name), _about(p))
            for p in await self._offers.prompts(wait=tab)
            if p.server == server and p.name.startswith(name) and " " not in p.name
        ]

    async def _arguments(self, name: str, rest: str, *, tab: bool) -> list[Candidate]:
        """The names of a prompt's arguments, and with Tab the values of one."""
        prompts = await self._offers.prompts(wait=tab)
        prompt = next(
            (p for p in prompts if f"/{p.server}:{p.name}" == name),
            None,
        )
        if prompt is None:
            return []
        words = rest.split(" ")
        last = words[-1]
        given = dict(word.split("=", 1) for word in words[:-1] if "=" in word)
        argument, equals, value = last.partition("=")
        if not equals:
            return [
                Candidate(f"{a.name}=", len(last), clean_line(a.description, 80))
                for a in prompt.arguments
                if a.name.startswith(last) and a.name not in given
            ]
        if not tab or argument not in {a.name for a in prompt.arguments}:
            return []
        values = await self._offers.values(prompt, argument, value, given)
        return [Candidate(shlex.quote(v) if " " in v else v, len(value)) for v in values]

    async def _after_at(self, typed: str, *, tab: bool) -> list[Candidate]:
        found: list[Candidate] = []
        for resource in await self._offers.resources(wait=tab):
            whole = f"{resource.server}:{resource.uri}"
            if not resource.template:
                if whole.startswith(typed):
                    found.append(Candidate(f"@{whole}", len(typed) + 1, _about(resource)))
                continue
            start = whole.partition("{")[0]
            if start.startswith(typed):
                about = clean_line(resource.uri, 80)
                found.append(Candidate(f"@{start}", len(typed) + 1, about))
            elif tab and typed.startswith(start):
                found += await self._variable(resource, typed)
        if self._files is not None and ":" not in typed:
            found += await self._files.candidates(typed)
        return found

    async def _variable(self, template: ResourceInfo, typed: str) -> list[Candidate]:
        spot = variable_at(template.uri, typed.removeprefix(f"{template.server}:"))
        if spot is None:
            return []
        name, value, others = spot
        values = await self._offers.values(template, name, value, others)
        return [Candidate(v, len(value)) for v in values]


def variable_at(template: str, typed: str) -> tuple[str, str, dict[str, str]] | None:
    """Return which variable of a URI template (RFC 6570, level 1) `typed` ends in, its value so
    far, and the values of those before it; None if `typed` is no beginning of the template."""
    given: dict[str, str] = {}
    parts = _VARIABLE.split(template)
    literals, names = parts[::2], parts[1::2]
    rest = typed
    for place, name in enumerate(names):
        if not rest.startswith(literals[place]):
            return None
        rest = rest[len(literals[place]) :]
        after = literals[place + 1]
        value, found, _ = rest.partition(after) if after else (rest, "", "")
        if not found:
            return name, rest, given
        given[name] = value
        rest = rest[len(value) :]
    return None


def _takes_words(command: str) -> bool:
    known = BY_NAME.get(command)
    return known is not None and bool(known.arguments)


def _followed(text: str, *, more: bool) -> str:
    """A candidate, with a blank behind it if something is to follow."""
    return f"{text} " if more else text


def _about(offer: PromptInfo | ResourceInfo) -> str:
    return clean_line(offer.title or offer.description, 80)


def _writable(text: str) -> bool:
    """Whether a line can hold a candidate as it is, and a person can see all of it."""
    return (
        0 < len(text) <= _LONGEST and "\n" not in text and "\t" not in text and clean(text) == text
    )
