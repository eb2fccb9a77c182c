"""A form that a server asks for, filled in at a terminal: one field after another, then a review.

Theory of operation: each field shows what it wants, its default and its choices, and is asked until
what was typed is a value of it; what was typed stays to be mended. Nothing is sent before all the
answers were on the screen and "send" was said. At any field `/back`, `/skip`, `/decline`, `/cancel`
and `/never` do what they say; the end of input cancels. What does not fit on the screen is shown
in pages, never left out. A server's text stands behind a bar and is cleaned; what looks like a
secret is not asked for unless the person says so, and is not shown while it is typed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from agent_host.core.text import clean, clean_line
from agent_host.core.types import Json, JsonObject
from agent_host.surfaces.approval import LineReader
from agent_host.surfaces.form_fields import Field
from agent_host.surfaces.form_values import Problem, hint, problem, read, shown
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.pages import header, rows
from agent_host.surfaces.question import BAR, wrap, wrap_words

Leaving = Literal["decline", "cancel", "never"]
"""How a person leaves without an answer. `never`: decline, and all else of that server too."""

_LEAVING: dict[str, Leaving] = {"/decline": "decline", "/cancel": "cancel", "/never": "never"}
_REVIEW: dict[str, Leaving] = dict.fromkeys(("d", "decline", "n", "no"), "decline")
_REVIEW |= {**dict.fromkeys(("c", "cancel"), "cancel"), "never": "never", **_LEAVING}
_SEND = frozenset({"s", "send", "y", "yes"})
_SKIP = "/skip"
_BACK = "/back"
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
            keys = f"{_BACK}, {_SKIP}, /decline, /cancel (or Ctrl-C), /never: decline all it asks"
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
            if said in {"", "n", "no"}:
                raise _LeftError("decline")

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
            elif said == "?":
                for line in _REVIEW_KEYS if count else _REVIEW_KEYS[:1] + _REVIEW_KEYS[2:]:
                    self._say(line)
            elif said:
                self._say(f"{clean_line(said, 20)!r} is no answer; ? tells what is")
            else:
                self._say("Enter alone is no answer; s sends, d declines")

    async def _show_answers(self) -> None:
        width = self._screen.width
        label = min(max((len(f.label) for f in self._fields), default=0), max(width // 3, 8))
        lines = ["", self._screen.paint("  nothing was sent yet; your answers:", "bold")]
        for number, field in enumerate(self._fields, 1):
            text = "(left out)"
            if field.name in self._values:
                text = shown(field, self._values[field.name])
            start = f"  {number:>2}  {field.label[:label]:<{label}}  "
            first, *others = wrap(text, width - len(start) - 1)
            lines += [start + first, *(" " * len(start) + other for other in others)]
        if self._fields:
            await self._show(lines)

    # -- one field -------------------------------------------------------------------------

    async def _ask_field(self, place: int) -> None:
        """Ask for one field until it has a value, or is left out."""
        field = self._fields[place]
        default = _default(field)
        await self._show(self._about(field, place, default))
        text = self._typed.get(field.name, "")
        while True:
            typed = await self._type(field, default, text)
            text = "" if field.secret else typed
            if typed.strip() == _SKIP or not typed.strip():
                skipped = typed.strip() == _SKIP
                if self._leave_out(field, default, skipped=skipped):
                    return
                continue
            value = read(field, typed)
            if not isinstance(value, Problem):
                self._values[field.name] = value
                self._typed[field.name] = text
                if field.kind in {"choice", "choices"}:
                    self._say(f"→ {clean_line(shown(field, value), 300)}")
                return
            self._say(value)

    async def _type(self, field: Field, default: str | None, text: str) -> str:
        usual = ""
        if default is not None:
            usual = f" [{clean_line(default, max(self._screen.width // 3, 12))}]"
        prompt = f"{clean_line(field.label, max(self._screen.width // 2, 12))}{usual}: "
        typed = await self._reader.type_in(prompt, text=text, hidden=field.secret)
        if typed is None:
            raise _LeftError("cancel")
        word = typed.strip()
        if word in _LEAVING:
            raise _LeftError(_LEAVING[word])
        if word == _BACK:
            raise _BackError
        return typed

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
            first, *others = wrap(clean(choice.title).replace("\n", " "), width - 10)
            lines += [f"{BAR}{row:>3}  {first}", *(f"{BAR}     {other}" for other in others)]
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

    async def _line(self, prompt: str) -> str:
        said = await self._reader.ask(prompt)
        if said is None:
            raise _LeftError("cancel")
        return said.strip().lower()

    async def _show(self, lines: Sequence[str]) -> None:
        """Show lines, a page at a time if the screen is smaller than they are."""
        page = max(self._screen.height - 3, 3)
        rest = list(lines)
        while len(rest) > page:
            shown_now, rest = rest[:page], rest[page:]
            self._screen.write_now("\n".join(shown_now) + "\n")
            said = await self._line(f"… {len(rest)} more lines [Enter/all/d/c] ")
            if said in _REVIEW:
                raise _LeftError(_REVIEW[said])
            if said == "all":
                break
        self._screen.write_now("\n".join(rest) + "\n")


_REVIEW_KEYS = (
    "s  send these answers",
    "1  (a field's number) change that answer",
    "d  decline: nothing is sent but that you declined",
    "c  cancel: nothing is sent but that you cancelled",
    "never  decline this and all else that this server asks for in this run",
)


def _default(field: Field) -> str | None:
    """The default as people read it; None if there is none, or the field does not allow it."""
    if not field.has_default or problem(field, field.default) is not None:
        return None
    return clean_line(shown(field, field.default), 4000)
