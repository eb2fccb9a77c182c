"""One way to set up a published server, and what a person still has to say for it.

Theory of operation of this room: `client` reads a registry's API; `index` keeps what it said, for
search without a network; `server_json` makes bounded values of an untrusted entry; `install` turns
an entry into plans (this file), one for each package and each remote; `names` is what may be handed
to a package manager at all; `pin` asks where a package comes from what it should hash to, and
`prepare` puts it on the disk where no runner (npx, uvx, docker) does that. A plan holds texts with
slots; `filled` puts a person's values into them. Nothing here is run and nothing is read by a
shell: a command is a program and a list of arguments. Text of an entry can never become a
reference to a secret of the person's: in `env`, `headers` and `url` its `${` is written `$${`. A
secret never stands in a plan: it is the reference to where it will be found.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from agent_host.core.text import clean_line

Kind = Literal["npm", "pypi", "oci", "nuget", "mcpb", "remote", "other"]
"""What is installed; `other`: a registry type that is not known here."""
Where = Literal["arg", "env", "header", "url"]
Format = Literal["string", "number", "boolean", "filepath"]
Unprepared = Literal["", "venv", "mcpb"]
"""What has to be put on the disk before a command is known."""

_REFERENCE = re.compile(r"(?<!\$)\$\{(env|file|keyring):[^}]+\}")
_VARIABLE = re.compile(r"[^A-Z0-9]+")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing that a person may or must say. `name` is its key for `InstallPlan.filled`, unique
    in the plan. `variable`: the environment variable that a secret is read from unless the person
    says otherwise. `repeated`: several values, one a line. Texts are cleaned and bounded."""

    name: str
    description: str = ""
    secret: bool = False
    required: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()
    where: Where = "env"
    format: Format = "string"
    placeholder: str = ""
    repeated: bool = False
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a text for the value of the need of this name."""

    need: str


Text = tuple[str | Slot, ...]
"""A text with slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """What stands on a command line: `text`, after `flag` if there is one.

    `joined`: as one item, `flag=text`. A `switch` is its flag alone, for the value `true`. One
    with an empty slot that need not be filled is left out, and so is one that belongs to an
    environment variable (`env`) which is not set.
    """

    text: Text = ()
    flag: str = ""
    switch: bool = False
    joined: bool = False
    env: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A plan before its slots are filled."""

    args: tuple[Argument, ...] = ()
    env: Mapping[str, Text] = field(default_factory=dict)
    url: Text = ()
    headers: Mapping[str, Text] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is to be fetched and what it has to hash to: `prepare` and `pin` work on this.

    `sha256`: lower-case hex, of the file; empty: the entry does not say. `start`: how what was
    installed is started: `-m` and a module, or the name of a script; empty: its own script.
    """

    kind: Kind
    identifier: str
    version: str = ""
    sha256: str = ""
    start: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a package is started, or why it cannot be: what a registry type's builder finds out."""

    command: str | None = None
    args: tuple[Argument, ...] = ()
    problem: str = ""
    unprepared: Unprepared = ""
    source: Source | None = None
    pinned: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """One way to set a server up: what goes into its `[servers.NAME]` table.

    Exactly one of `command` and `url` is there, unless `problem` says why this way cannot be gone,
    or `unprepared` what has to be put on the disk first (then `command` comes from
    `prepare.prepare`). `args` are the program's arguments as they are; `env`, `headers` and `url`
    are in the config's form, with references. What no value was given for yet is shown as
    `<name>`. `pinned`: what was fixed, as `npm:@x/y@1.2.3 sha512-...`. `warnings`: for the person,
    before anything is written. `missing`: the program that it needs and that is not here.
    """

    kind: Kind
    title: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    sse: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    pinned: str = ""
    warnings: tuple[str, ...] = ()
    problem: str = ""
    missing: str = ""
    unprepared: Unprepared = ""
    source: Source | None = None
    template: Template = field(default_factory=Template, repr=False)

    def shown(self) -> "InstallPlan":
        """Return the plan with defaults filled in, and `<name>` for what is missing."""
        return _rendered(self, _Values(self.needs, {}, strict=False))

    def filled(self, values: Mapping[str, str]) -> "InstallPlan":
        """Return the plan with these values (need's name -> value) and without needs.

        A required secret without a value becomes `${env:VARIABLE}`; a value for a secret has to
        hold a reference. Raises ValueError, in one line, for a value that is missing, is not one
        of the choices, has the wrong format or cannot stand where it would go.
        """
        if self.problem:
            raise ValueError(self.problem)
        known = {need.name for need in self.needs}
        for name in values:
            if name not in known:
                told = ", ".join(sorted(known)) or "it needs nothing"
                raise ValueError(f'has no input "{clean_line(name, 60)}"; known: {told}')
        plan = _rendered(self, _Values(self.needs, values, strict=True))
        return replace(plan, needs=())


class _Values:
    """The texts that slots are replaced by."""

    def __init__(self, needs: tuple[Need, ...], given: Mapping[str, str], *, strict: bool) -> None:
        self._needs = {need.name: need for need in needs}
        self._given = given
        self._strict = strict

    def of(self, name: str) -> tuple[str, ...]:
        """Return the values for a need: none if it is optional and nobody gave any."""
        need = self._needs[name]
        given = self._given.get(name, "")
        if given:
            lines = given.split("\n") if need.repeated else [given]
            return tuple(_checked(need, line) for line in lines if line)
        if need.secret and need.required and need.where != "arg":
            return (f"${{env:{need.variable or variable(name)}}}",)
        if need.default and not need.secret:
            # The entry's own text: checked like a person's, and never a reference.
            return (_checked(need, need.default, theirs=True),)
        if not need.required:
            return ()
        if not self._strict:
            return (f"<{name}>",)
        raise ValueError(_missing(need))


def _missing(need: Need) -> str:
    what = f" ({need.description})" if need.description else ""
    choices = f", one of {', '.join(need.choices)}" if need.choices else ""
    if need.secret and need.where == "arg":
        return (
            f"wants the secret {need.name}{what} on its command line, which every user of this "
            "machine can read; choose another way to install it"
        )
    return f"needs a value for {need.name}{what}{choices}"


def _checked(need: Need, value: str, *, theirs: bool = False) -> str:
    """Return `value` as it stands in the plan; raise ValueError for one that cannot be used."""
    name = need.name
    if need.secret and need.where == "arg":
        raise ValueError(_missing(need))
    if "\0" in value or (need.where != "arg" and ("\n" in value or "\r" in value)):
        raise ValueError(f"cannot use the value for {name}: it has to be one line of text")
    refers = _REFERENCE.search(value) is not None and not theirs
    if need.secret and not refers:
        raise ValueError(
            f"does not take the secret {name} itself; give a reference, as in "
            f"{name}=${{env:{need.variable or variable(name)}}}"
        )
    if need.where == "arg" and _REFERENCE.search(value) is not None:
        raise ValueError(
            f"cannot use a reference for {name}: every user of this machine can read a command line"
        )
    if not refers:
        value = _formed(need, value)
    if theirs and need.where != "arg":
        value = literal(value)
    return value


def _formed(need: Need, value: str) -> str:
    shown = clean_line(value, 60)
    if need.choices and value not in need.choices:
        raise ValueError(
            f'cannot use "{shown}" for {need.name}; it is one of {", ".join(need.choices)}'
        )
    if need.format == "number" and not _NUMBER.match(value):
        raise ValueError(f'cannot use "{shown}" for {need.name}; it has to be a number')
    if need.format == "boolean" and value not in ("true", "false"):
        raise ValueError(f'cannot use "{shown}" for {need.name}; it has to be true or false')
    if need.format == "filepath" and value.startswith("~"):
        return str(Path(value).expanduser())
    return value


def variable(name: str) -> str:
    """Return the name of an environment variable for something called `name`."""
    found = _VARIABLE.sub("_", name.upper()).strip("_")
    return found if found and not found[0].isdigit() else f"VALUE_{found}".rstrip("_")


def checked_default(need: Need) -> bool:
    """Return whether the entry's own default is one that the need accepts."""
    try:
        _checked(need, need.default, theirs=True)
    except ValueError:
        return False
    return True


def reads_like_reference(text: str) -> bool:
    """Return whether a config would take a part of `text` for a reference."""
    return _REFERENCE.search(text) is not None


def literal(text: str) -> str:
    """Return `text` as the config writes it when no part of it is a reference."""
    return text.replace("${", "$${")


def _rendered(plan: InstallPlan, values: _Values) -> InstallPlan:
    template = plan.template
    env = {name: _joined(text, values) for name, text in template.env.items()}
    headers = {name: _joined(text, values) for name, text in template.headers.items()}
    args = [
        item
        for argument in template.args
        if not argument.env or env.get(argument.env) is not None
        for item in _argv(argument, values)
    ]
    return replace(
        plan,
        args=tuple(args),
        env={name: text for name, text in env.items() if text is not None},
        headers={name: text for name, text in headers.items() if text is not None},
        url=_url(template.url, values) if template.url else plan.url,
    )


def _joined(text: Text, values: _Values) -> str | None:
    """Return a text with its slots filled; None if one stays empty."""
    return next(_rows(text, values), None)


def _rows(text: Text, values: _Values) -> Iterator[str]:
    """Yield a text once for each value of its repeated slots; nothing if a slot stays empty."""
    filled = [(part,) if isinstance(part, str) else values.of(part.need) for part in text]
    if not filled or not all(filled):
        return
    for row in range(max(len(column) for column in filled)):
        yield "".join(column[min(row, len(column) - 1)] for column in filled)


def _argv(argument: Argument, values: _Values) -> Iterator[str]:
    if argument.flag and not argument.text:
        yield argument.flag
        return
    for value in _rows(argument.text, values):
        if argument.flag.endswith("=") or (argument.joined and argument.flag):
            yield f"{argument.flag.removesuffix('=')}={value}"
        elif not argument.switch:
            yield from (argument.flag, value) if argument.flag else (value,)
        elif value != "false":
            yield argument.flag


def _url(text: Text, values: _Values) -> str:
    parts: list[str] = []
    for place, part in enumerate(text):
        if isinstance(part, str):
            parts.append(part)
            continue
        value = "".join(values.of(part.need)[:1])
        # A variable at the start is the URL's own beginning; elsewhere it is a piece of it.
        plain = place == 0 or "${" in value or value.startswith("<")
        parts.append(value if plain else quote(value, safe="-._~:/@,+="))
    url = "".join(parts)
    split = urlsplit(url) if "<" not in url and not url.startswith("${") else None
    if split is not None and (split.scheme not in ("http", "https") or not split.netloc):
        raise ValueError(f'would have the URL "{clean_line(url, 120)}", which is not http or https')
    return url
