"""A form that a server asks for, filled in at a terminal: one field after another, then a review.

Theory of operation: each field shows what it wants, its default and its choices, and is asked until
what was typed is a value of it; what was typed stays to be mended. Nothing is sent before all the
answers were on the screen and "send" was said. At any field `/back`, `/skip`, `/decline`, `/cancel`
and `/never` do what they say; the end of input cancels. What does not fit on the screen is shown
in pages, never left out; in a long list of choices, part of a name shows those that hold it. Yes
or no, a choice among few and the review take one key where the terminal hands over keys; any other
key there begins a line. A server's text stands behind a bar and is cleaned; what looks like a
secret is not asked for unless the person says so, and is not shown while it is typed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from unicodedata import east_asian_width

from agent_host.core.text import clean, clean_line
from agent_host.core.types import Json, JsonObject
from agent_host.surfaces.approval import LineReader
from agent_host.surfaces.ask_keys import ESC, RESIZED, KeyReader, choose
from agent_host.surfaces.form_fields import Choice, Field
from agent_host.surfaces.form_values import Problem, hint, matching, problem, read, shown
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.pages import header, rows
from agent_host.surfaces.question import BAR, no_answer, wrap, wrap_words

Leaving = Literal["decline", "cancel", "never"]
"""How a person leaves without an answer. `never`: decline, and all else of that server too."""

_LEAVING: dict[str, Leaving] = {"/decline": "decline", "/cancel": "cancel", "/never": "never"}
_REVIEW: dict[str, Leaving] = dict.fromkeys(("d", "decline", "n", "no"), "decline")
_REVIEW |= {**dict.fromkeys(("c", "cancel", ESC), "cancel"), "never": "never", **_LEAVING}
_REVIEW["v"] = "never"
_SEND = frozenset({"s", "send", "y", "yes"})
_SKIP = "/skip"
_BACK = "/back"
_MOST_KEYS = 9
"""Choices, or fields, that one digit can tell apart."""
_MOST_FOUND = 50
"""Choices that are listed for a part of a name."""
_WARNING = (
    "looks like a secret: servers may not ask for one in a form, and whatever you type goes to "
    "that server"
)


class FieldReader(LineReader, Protocol):
    """Where the answers to a form are typed."""

    async def type_in(self, prompt: str, *, text: str = "", hidden: bool = False) -> str | None:
        """Return one line, or None at the end of input. `text` is there already, to be changed;
        `hidden`: what is typed is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks for a form, and why. `head`: rows of a name and clean text; `message` is the
    server's, uncleaned."""

    server: str
    head: Sequence[tuple[str, str]]
    message: str
    sign: str


class _LeftError(Exception):
    """The person leaves."""

    def __init__(self, how: Leaving) -> None:
        super().__init__(how)
        self.how: Leaving = how


class _BackError(Exception):
    """The person wants the field before."""


class Form:
    """One form until it is answered."""

    def __init__(
        self, asked: Asked, fields: Sequence[Field], *, reader: FieldReader, screen: Outlet
    ) -> None:
        self._asked = asked
        self._fields = tuple(fields)
        self._reader = reader
        self._screen = screen
        self._typed: dict[str, str] = {}
        self._values: dict[str, Json] = {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What was typed into fields that look like secrets."""
        found = (str(self._values.get(f.name, "")) for f in self._fields if f.secret)
        return tuple(filter(None, found))

    async def run(self) -> JsonObject | Leaving:
        """Ask, and return the content to send, or how the person left."""
        try:
            await self._open()
            await self._fill()
            await self._review()
        except _LeftError as left:
            return left.how
        return {f.name: self._values[f.name] for f in self._fields if f.name in self._values}

    # -- the parts of a form ---------------------------------------------------------------

    async def _open(self) -> None:
        width = self._screen.width
        top = [header("input", self._asked.sign, self._screen), *rows(self._asked.head, width)]
        top += self._behind_bar(self._asked.message)
        count = len(self._fields)
        if count:
            what = f"{count} field{'' if count == 1 else 's'}, shown once more before they are sent"
            keys = (
                f"{_BACK}, {_SKIP}, /decline, /cancel (or Esc, Ctrl-C), /never: decline all it asks"
            )
            top += [f"  {line}" for text in (what, keys) for line in wrap_words(text, width - 4)]
        self._reader.discard_typed_ahead()
        await self._show(top)
        await self._warn()

    async def _warn(self) -> None:
        """Fields that look like secrets are declined unless the person insists."""
        secrets = [field for field in self._fields if field.secret]
        if not secrets:
            return
        names = ", ".join(f'"{field.label}"' for field in secrets[:5])
        for line in wrap_words(f"! {names} {_WARNING}", self._screen.width - 4):
            self._screen.write_now(f"  {self._screen.paint(line, 'alert')}\n")
        while True:
            said = await self._line("fill it in all the same? [y/N] ")
            if said in {"y", "yes"}:
                return
            if said in {"", "n"}:
                raise _LeftError("decline")
            if said in _REVIEW:
                raise _LeftError(_REVIEW[said])
            if said != RESIZED:
                self._say(f"{no_answer(said)}; y fills it in, n declines, Esc cancels")

    async def _fill(self) -> None:
        place = 0
        while place < len(self._fields):
            try:
                await self._ask_field(place)
                place += 1
            except _BackError:
                place = max(place - 1, 0)

    async def _review(self) -> None:
        await self._show_answers()
        count = len(self._fields)
        edit = "" if not count else "1/" if count == 1 else f"1-{count}/"
        server = clean_line(self._asked.server, 40)
        while True:
            said = await self._line(f"send to {server}? [s/{edit}d/c/?] ")
            said = await self._whole_number(said)
            word = said.removeprefix("edit ").removeprefix("e ").strip()
            if said in _SEND:
                return
            if said in _REVIEW:
                raise _LeftError(_REVIEW[said])
            if word.isascii() and word.isdecimal() and 0 < int(word[:6]) <= count:
                try:
                    await self._ask_field(int(word[:6]) - 1)
                except _BackError:
                    self._say("unchanged")
                await self._show_answers()
            elif said == RESIZED:
                await self._show_answers()
            else:
                self._no_answer(said)

    def _no_answer(self, said: str) -> None:
        """Say what the review takes."""
        if said == "?":
            for line in _REVIEW_KEYS if self._fields else _REVIEW_KEYS[:1] + _REVIEW_KEYS[2:]:
                self._say(line)
        elif said:
            self._say(f"{no_answer(said)}; ? tells what is")
        else:
            self._say("Enter alone is no answer; s sends, d declines")

    async def _show_answers(self) -> None:
        width = self._screen.width
        label = min(max((_cells(f.label) for f in self._fields), default=0), max(width // 2 - 4, 8))
        lines = ["", self._screen.paint("  nothing was sent yet; your answers:", "bold")]
        for number, field in enumerate(self._fields, 1):
            text = "(left out)"
            if field.name in self._values:
                text = shown(field, self._values[field.name])
            name = _cut(field.label, label)
            start = f"  {number:>2}  {name}{' ' * (label - _cells(name))}  "
            first, *others = wrap(text, width - _cells(start) - 1)
            lines += [start + first, *(" " * _cells(start) + other for other in others)]
        if self._fields:
            await self._show(lines)

    # -- one field -------------------------------------------------------------------------

    async def _ask_field(self, place: int) -> None:
        """Ask for one field until it has a value, or is left out."""
        field = self._fields[place]
        default = _default(field)
        typed = await self._show(self._about(field, place, default), answers=bool(field.choices))
        text = self._typed.get(field.name, "")
        while True:
            typed = typed or await self._type(field, default, text)
            if typed == RESIZED:
                typed = await self._show(self._about(field, place, default))
                continue
            answer, typed = typed, ""
            text = "" if field.secret else answer
            if answer.strip() == _SKIP or not answer.strip():
                skipped = answer.strip() == _SKIP
                if self._leave_out(field, default, skipped=skipped):
                    return
                continue
            value = read(field, answer)
            if not isinstance(value, Problem):
                self._values[field.name] = value
                self._typed[field.name] = text
                if field.kind in {"choice", "choices"}:
                    self._say(f"→ {clean_line(shown(field, value), 300)}")
                return
            if self._found(field, answer):
                text = ""
            else:
                self._say(value)

    async def _type(self, field: Field, default: str | None, text: str) -> str:
        usual = ""
        if default is not None:
            usual = f" [{_cut(clean_line(default, 200), max(self._screen.width // 3, 12))}]"
        prompt = f"{_cut(field.label, max(self._screen.width // 2, 12))}{usual}: "
        if self._by_key(field):
            typed = await self._key(field, prompt)
        else:
            typed = await self._reader.type_in(prompt, text=text, hidden=field.secret)
        if typed is None or typed == ESC:
            raise _LeftError("cancel")
        return _answer(typed)

    def _by_key(self, field: Field) -> bool:
        few = field.kind == "choice" and len(field.choices) <= _MOST_KEYS
        return self._keyed and (few or field.kind == "boolean")

    async def _key(self, field: Field, prompt: str) -> str | None:
        """Return a key that answers a field, or the line that any other key begins."""
        own = "yYnN" if field.kind == "boolean" else "123456789"[: len(field.choices)]
        while True:
            said = await choose(self._reader, prompt)
            if said == "<":
                return _BACK
            if said is None or len(said) != 1 or said in own or said == ESC:
                if said is None or said in {ESC, RESIZED} or not said.startswith(ESC):
                    return said
            elif said.isprintable():
                return await self._reader.type_in(prompt, text=said)

    async def _whole_number(self, said: str) -> str:
        """Return what was said, whole if it is a key that may begin a field's number."""
        if not (self._keyed and len(self._fields) > _MOST_KEYS and said.isdecimal()):
            return said
        line = await self._reader.type_in("change which field? ", text=said)
        if line is None:
            raise _LeftError("cancel")
        return line.strip()

    def _found(self, field: Field, text: str) -> bool:
        """List the choices whose name holds what was typed, as many as the screen holds; False
        if there are none."""
        found = matching(field, text)
        room = max(self._screen.height - 5, 3)
        lines: list[str] = []
        told = 0
        for number, choice in found:
            new = _choice_rows(number, choice, self._screen.width)
            if lines and len(lines) + len(new) > room:
                break
            lines += new
            told += 1
        self._screen.write_now("".join(f"{line}\n" for line in lines))
        if len(found) > told:
            self._say(f"and {len(found) - told} more that hold it: type more of the name")
        elif found:
            self._say("these hold it: type a number")
        return bool(found)

    def _leave_out(self, field: Field, default: str | None, *, skipped: bool) -> bool:
        """Take the default, or leave the field out; False if neither is possible."""
        if default is not None and not skipped:
            self._values[field.name] = field.default
            self._typed.pop(field.name, None)
            return True
        if field.required:
            self._say("this field is required; /decline or /cancel leaves the form")
            return False
        self._values.pop(field.name, None)
        self._typed.pop(field.name, None)
        return True

    def _about(self, field: Field, place: int, default: str | None) -> list[str]:
        """What a field is, whole."""
        width = self._screen.width
        name = clean_line(field.name, 60)
        called = field.label if field.label == name else f"{field.label} ({name})"
        number = f"{place + 1}/{len(self._fields)}"
        lines = ["", *wrap_words(f"{number}  {called}", width - 1)]
        lines[1] = self._screen.paint(lines[1], "bold")
        title = field.title.strip()
        if title and field.label != clean(title):
            lines += self._behind_bar(title)
        lines += self._behind_bar(field.description)
        lines += [f"  {line}" for line in wrap_words(hint(field), width - 4)]
        for row, choice in enumerate(field.choices, 1):
            lines += _choice_rows(row, choice, width)
        if self._by_key(field):
            keys = "y or n" if field.kind == "boolean" else f"a key from 1 to {len(field.choices)}"
            text = f"{keys}; ← goes back, Esc cancels"
            lines += [f"  {line}" for line in wrap_words(text, width - 4)]
        elif len(field.choices) > _MOST_KEYS:
            text = "a number, or part of a name: it shows those that hold it"
            lines += [f"  {line}" for line in wrap_words(text, width - 4)]
        if field.kind == "choices":
            text = "several by number, as in 1,3 or 2-4; all; none"
            lines += [f"  {line}" for line in wrap_words(text, width - 4)]
        if default is not None:
            lines += [f"  {line}" for line in wrap(f"Enter takes: {default}", width - 4)]
        if field.secret:
            lines.append("  what you type is not shown")
        return lines

    # -- the screen ------------------------------------------------------------------------

    def _behind_bar(self, text: str) -> list[str]:
        text = clean(text).strip()
        return [f"{BAR}{line}" for line in wrap(text, self._screen.width - 3)] if text else []

    def _say(self, text: str) -> None:
        for line in wrap_words(text, self._screen.width - 4):
            self._screen.write_now(f"  {line}\n")

    @property
    def _keyed(self) -> bool:
        return isinstance(self._reader, KeyReader)

    async def _line(self, prompt: str) -> str:
        said = await choose(self._reader, prompt)
        if said is None:
            raise _LeftError("cancel")
        return said if said == RESIZED else said.strip(" \t").lower()

    async def _show(self, lines: Sequence[str], *, answers: bool = False) -> str:
        """Show lines, a page at a time if the screen is smaller than they are. `answers`: what
        is typed between pages and is no word of the pages is returned, as the answer."""
        rest = list(lines)
        while len(rest) > (page := max(self._screen.height - 3, 3)):
            shown_now, rest = rest[:page], rest[page:]
            self._screen.write_now("\n".join(shown_now) + "\n")
            more = f"{len(rest)} more line{'' if len(rest) == 1 else 's'}"
            if answers:
                typed = await self._reader.ask(f"… {more} [Enter/all/d/c/answer] ")
                said = "cancel" if typed is None else typed.strip().lower()
            else:
                said = RESIZED
                while said == RESIZED:
                    said = await self._line(f"… {more} [Enter/all/d/c] ")
            if said in _REVIEW and said != "n":
                raise _LeftError(_REVIEW[said])
            if said in {"all", "a"}:
                break
            if answers and said and said != "m":
                return _answer(typed or "")
        self._screen.write_now("\n".join(rest) + "\n")
        return ""


def _choice_rows(number: int, choice: Choice, width: int) -> list[str]:
    """Return a choice with its number, whole."""
    first, *others = wrap(clean(choice.title).replace("\n", " "), width - 10)
    return [f"{BAR}{number:>3}  {first}", *(f"{BAR}     {other}" for other in others)]


def _cells(text: str) -> int:
    """Return how many cells of a terminal clean text takes."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _cut(text: str, cells: int) -> str:
    """Return clean text of one line, cut to so many cells."""
    return text if _cells(text) <= cells else f"{wrap(text, max(cells - 1, 8))[0]}…"


def _answer(typed: str) -> str:
    """Return what was typed into a field, unless it is a word for leaving it."""
    word = typed.strip()
    if word in _LEAVING:
        raise _LeftError(_LEAVING[word])
    if word == _BACK:
        raise _BackError
    return typed


_REVIEW_KEYS = (
    "s  send these answers",
    "1  (a field's number) change that answer",
    "d  decline: nothing is sent but that you declined",
    "c  cancel: nothing is sent but that you cancelled",
    "v  never: decline this and all else that this server asks for in this run",
)


def _default(field: Field) -> str | None:
    """The default as people read it; None if there is none, or the field does not allow it."""
    if not field.has_default or problem(field, field.default) is not None:
        return None
    return clean_line(shown(field, field.default), 4000)
