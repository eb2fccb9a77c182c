"""An entry's inputs as texts with slots, and the needs that fill them.

Theory of operation: a fixed value is text, with a slot for each `{variable}` that the entry
explains; an input without a value is one slot. Each slot is a need with a name that is unique in
the plan, so that a person can say `NAME=value` on one line. What an entry fixes is its own text:
where the config resolves references (`env`, `headers`, `url`) it is written so that it is none.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from agent_host.core.text import clean_line
from agent_host.registry.plan import (
    Argument,
    Need,
    Slot,
    Text,
    Where,
    checked_default,
    literal,
    reads_like_reference,
    variable,
)
from agent_host.registry.server_json import Input

_BRACES = re.compile(r"\{([^{}]+)\}")
_NOT_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_PLACES: dict[Where, str] = {
    "arg": "argument",
    "env": "variable",
    "header": "header",
    "url": "part of the URL",
}


class Inputs:
    """Collects the needs of one plan. `owner`: the server's short name, for the variables that
    secrets are read from."""

    def __init__(self, owner: str) -> None:
        self.needs: list[Need] = []
        self.warnings: list[str] = []
        self._owner = owner
        self._known: dict[str, str] = {}

    def text(self, given: Input, where: Where, name: str) -> Text:
        """Return what stands for an input called `name`."""
        if not given.value:
            called = given.name if where == "env" else ""
            return (self.slot(given, where, name, called),)
        return self.template(given.value, where, given.variables, given)

    def template(
        self, value: str, where: Where, variables: Mapping[str, Input], owner: Input | None = None
    ) -> Text:
        """Return a text with slots for the `{variables}` that are explained, or (in the URL of a
        package) for inputs that were met before. `owner`: the input whose value it is."""
        parts: list[str | Slot] = []
        end = 0
        made: dict[str, Slot] = {}
        for match in _BRACES.finditer(value):
            name = match[1]
            explained = variables.get(name)
            if explained is not None and explained.value:
                part: str | Slot = self.own(explained.value, where)
            elif explained is not None:
                whole = owner or Input()
                explained = replace(
                    explained,
                    required=explained.required or whole.required,
                    secret=explained.secret or whole.secret,
                    repeated=explained.repeated or whole.repeated,
                    description=explained.description or whole.description,
                )
                called = whole.name if where == "env" else ""
                called = called if value == match[0] or not called else f"{called}_{name}"
                part = made.get(name) or self.slot(explained, where, name, called)
                if isinstance(part, Slot):
                    made[name] = part
            elif where == "url" and name in self._known:
                part = Slot(self._known[name])
            else:
                continue
            parts += [self.own(value[end : match.start()], where), part]
            end = match.end()
        parts.append(self.own(value[end:], where))
        return tuple(part for part in parts if part != "")

    def argument(self, given: Input, place: int) -> Argument:
        """Return an argument of the package's program."""
        name = given.flag.lstrip("-").rstrip("=") or given.hint or f"argument-{place}"
        text = self.text(given, "arg", name)
        for known in (given.flag, given.hint):
            if known and isinstance(text[0], Slot):
                self._known.setdefault(known, text[0].need)
        switch = bool(given.flag) and given.format == "boolean"
        return Argument(text=text, flag=given.flag, switch=switch)

    def named(self, given: Input, where: Where) -> Text:
        """Return the text of an environment variable or a header."""
        text = self.text(given, where, given.name)
        if isinstance(text[0], Slot):
            self._known.setdefault(given.name, text[0].need)
        return text

    def own(self, text: str, where: Where) -> str:
        """Return a text of the entry's as the plan writes it."""
        return text if where == "arg" else literal(text)

    def slot(self, given: Input, where: Where, name: str, called: str = "") -> Slot:
        """Return a new slot for an input. `called`: the variable that its secret is read from."""
        key = self._unique(_NOT_NAME.sub("_", name)[:64].strip("_.") or _PLACES[where])
        need = Need(
            name=key,
            description=clean_line(given.description, 300),
            secret=given.secret,
            required=given.required,
            default=given.default,
            choices=tuple(clean_line(choice, 120) for choice in given.choices),
            where=where,
            format=given.format,
            placeholder=clean_line(given.placeholder, 120),
            repeated=given.repeated and where == "arg",
            # A variable of the environment already has a name that its users know.
            variable=variable(called or f"{self._owner}_{key}"),
        )
        if need.default and (need.secret or not checked_default(need)):
            need = replace(need, default="")
            if not given.secret:
                self.warnings.append(f"its default for {key} is not one that it accepts itself")
        self.needs.append(need)
        return Slot(key)

    def _unique(self, name: str) -> str:
        taken = {need.name for need in self.needs}
        if name not in taken:
            return name
        return next(n for n in (f"{name}-{i}" for i in range(2, 1000)) if n not in taken)


def argument_problem(args: Iterable[Argument]) -> str:
    """Return why what an entry says of a command line cannot be configured; empty if it can."""
    for argument in args:
        words = [argument.flag, *(part for part in argument.text if isinstance(part, str))]
        if any(reads_like_reference(word) or "\0" in word for word in words):
            return "has an argument that reads like a reference to a secret, which no argument is"
    return ""
