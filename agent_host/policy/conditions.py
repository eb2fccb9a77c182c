"""One condition over all tools that its rule is about.

Theory of operation: the condition is compiled once and read for each tool; what was found in
several tools is said once, with their names. A part that cannot matter for a tool (behind
`tool.name == "other"`, say) is not held against it. Where no tool is known, the condition is read
over arguments that may be anything: contradictions show all the same.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agent_host.core.types import Tool
from agent_host.policy.ground import Fault, variables
from agent_host.policy.notes import Note, NoteKind, notes
from agent_host.policy.outcomes import (
    EVERYTHING,
    Environment,
    Outcomes,
    Reading,
    TooMuchError,
    flat,
    key_of,
)
from agent_host.policy.shapes import Kind, Shape
from agent_host.policy.syntax import Call, Node, path_of, position, start, walk, written

_NAMED = 4
_CLOSE = 0.55
_BROUGHT = ("args", "signed")
"""Variables of which a condition sees nothing that is not sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is odd about a part of a condition. `everywhere`: for all tools of the rule;
    `undefined`: where it is, the condition may be undefined; `path`: of a member."""

    kind: NoteKind | Literal["syntax", "never"]
    text: str = ""
    line: int = 0
    column: int = 0
    word: str = ""
    path: str = ""
    everywhere: bool = True
    undefined: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A condition that was read. `true`, `false`: it may be that for some call; `never`: why it
    is never true, unless the parts say that. `undefined`: it may be undefined; `unsound`: it reads
    what is not looked at where it is not sound (see `facts`). `always`: it is true for all calls;
    `anyhow`: what it can come to for any tool at all. `words`: roles, labels and totals;
    `claims`: it looks at the claims of the user; `kinds` of its value; `key`: what it has in
    common with conditions that say the same."""

    parts: tuple[Part, ...] = ()
    words: tuple[Part, ...] = ()
    never: Part | None = None
    true: bool = True
    false: bool = True
    undefined: bool = False
    unsound: bool = False
    always: bool = False
    anyhow: Outcomes = EVERYTHING
    claims: bool = False
    kinds: frozenset[Kind] = frozenset()
    key: object = None


@dataclass(frozen=True, slots=True)
class Meant:
    """A tool that a condition is about (None: any), and what its variables may be."""

    tool: Tool | None
    shapes: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a condition was found to be for one tool."""

    about: Meant
    came: Outcomes
    found: tuple[Note, ...]

    @property
    def tool(self) -> Tool | None:
        """The tool, None for any."""
        return self.about.tool


def condition(
    text: str, tree: Node | Fault, tools: Sequence[Meant], *, numeric: bool = False
) -> Checked:
    """Read a condition, as it was written and compiled, for the tools of its rule. `numeric`: what
    it comes to is to be a number, so its kinds are wanted."""
    if isinstance(tree, Fault):
        part = Part(kind="syntax", text=tree.text, line=tree.line, column=tree.column)
        return Checked(parts=(part,), key=("no condition", text))
    roots = {path[0] for node in walk(tree) if (path := path_of(node))}
    priced = any(path_of(node) == ("run", "cost") for node in walk(tree))
    seen = [_read(tree, one) for one in tools] or [_read(tree, Meant(None, variables(None)))]
    parts = tuple(_parts(text, seen))
    words = {(one.kind, one.word): one for each in seen for one in each.found if _is_word(one)}
    return Checked(
        parts=parts,
        words=tuple(_placed(text, one) for one in words.values()),
        never=_never(text, tree, seen),
        true=any(one.came.true for one in seen),
        false=any(one.came.false for one in seen),
        undefined=any(one.came.undefined for one in seen),
        unsound=priced or not roots.isdisjoint(_BROUGHT),
        always=all(not one.came.false and not one.came.undefined for one in seen),
        anyhow=Reading(variables(None)).outcomes(tree),
        claims=any(path_of(node) == ("user", "claims") for node in walk(tree)),
        kinds=_kinds(tree, seen) if numeric else frozenset(),
        key=key_of(tree),
    )


def near(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the known word that is most like one, if any is."""
    names = {one.lower(): one for one in known}
    close = difflib.get_close_matches(word.lower(), list(names), n=1, cutoff=_CLOSE)
    return f'; did you mean "{names[close[0]]}"?' if close else ""


def _read(tree: Node, about: Meant) -> _Seen:
    reading = Reading(about.shapes)
    came = reading.outcomes(tree)
    noted = notes(tree, about.shapes)
    found = tuple(n for n in noted if n.node in reading.reached or _is_word(n))
    return _Seen(about, came, found)


def _kinds(tree: Node, seen: Sequence[_Seen]) -> frozenset[Kind]:
    found: frozenset[Kind] = frozenset()
    for one in seen:
        try:
            shape = Reading(one.about.shapes).see(tree, Environment()).shape
        except TooMuchError:
            return frozenset()
        found |= shape.kinds
    return found


def _is_word(note: Note) -> bool:
    return note.kind in {"role", "label", "total"}


def _placed(text: str, note: Note) -> Part:
    line, column = position(text, note.offset)
    return Part(kind=note.kind, line=line, column=column, word=note.word)


def _parts(text: str, seen: Sequence[_Seen]) -> Iterator[Part]:
    """Yield each note once, with the tools that it is about."""
    about: dict[tuple[int, str, str], list[tuple[_Seen, Note]]] = {}
    for one in seen:
        for note in one.found:
            if not _is_word(note):
                about.setdefault((note.offset, note.kind, note.text), []).append((one, note))
    guarded = {one.text for each in seen for one in each.found if one.asked}
    for (offset, kind, said), those in sorted(about.items(), key=lambda pair: pair[0][:2]):
        note = those[0][1]
        everywhere = len(those) == len(seen)
        where = _tools([one.tool for one, _ in those if one.tool], len(seen))
        known = list(dict.fromkeys(name for _, each in those for name in each.known))
        if not everywhere and (note.of_tool or (kind == "field" and said in guarded)):
            continue  # that is what tells tools apart
        if kind == "field":
            told = f"`{said}` is no argument of {where}" if where else f"there is no `{said}`"
            if not said.startswith("args"):
                told = f"there is no `{said}`"
        else:
            told = f"{said} (in {where})" if where else said
        line, column = position(text, offset)
        yield Part(
            kind=note.kind,
            text=told + near(note.word, known) if note.word and everywhere else told,
            line=line,
            column=column,
            word=note.word,
            path=said if kind == "field" else "",
            everywhere=everywhere,
            undefined=any(one.came.undefined for one, _ in those),
        )


def _tools(tools: Sequence[Tool], of: int) -> str:
    if not tools:
        return ""
    names = [f"{tool.server}/{tool.tool}" for tool in tools]
    if len(names) == of > _NAMED:
        return f"any of the {of} tools"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    counted = f", {len(names)} of the {of} tools" if 1 < len(names) < of else ""
    return ", ".join(names[:_NAMED]) + more + counted


def _never(text: str, tree: Node, seen: Sequence[_Seen]) -> Part | None:
    """Why a condition is true for no call of any tool, unless its parts say that already."""
    if any(one.came.true for one in seen):
        return None
    unexplained = [one for one in seen if all(map(_is_word, one.found))]
    if not unexplained:
        return None
    blamed = _blamed(tree, unexplained[0].about.shapes)
    line, column = position(text, start(blamed[0]))
    said = f"`{written(blamed[0])}`"
    told = f"{said} is never true" + (" together with what stands before it" if blamed[1] else "")
    where = _tools([one.tool for one in unexplained if one.tool], len(seen))
    if not Reading(variables(None)).outcomes(tree).true:
        where = ""  # whatever the tool
    return Part(
        kind="never", text=told + (f" (in {where})" if where else ""), line=line, column=column
    )


def _blamed(tree: Node, shapes: Mapping[str, Shape]) -> tuple[Node, bool]:
    """Return the first part of a chain of `&&` that leaves nothing, and whether it would by
    itself leave something."""
    if not (isinstance(tree, Call) and tree.function == "_&&_"):
        return tree, False
    reading = Reading(shapes)
    envs = [Environment()]
    for part in flat(tree):
        after = [one for env in envs for one in reading.assume(part, True, env)]
        if not after:
            return part, bool(reading.assume(part, True, Environment()))
        envs = after[:1] if len(after) > 50 else after
    return tree, False
