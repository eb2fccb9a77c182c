"""Rules, totals and labels that are added to a servers.toml somebody wrote by hand.

Theory of operation: as in `edit`, everything that is there stays as it is, byte for byte; what is
new is put where it is legal TOML and parsed again. Labels go into a table of their own below the
server's, rules and totals to the end of the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_host.config.edit import after_comments, key_text, sound, statements, value_text
from agent_host.config.file import parse
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPart:
    """What is added for one server: labels of its tools, rules, totals, as the file has them."""

    server: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rules: Sequence[Table] = ()
    totals: Mapping[str, Table] = field(default_factory=dict)

    @property
    def labels_text(self) -> str:
        """`[servers.NAME.labels]` as TOML, "" without labels."""
        if not self.labels:
            return ""
        return _block(f"[servers.{key_text(self.server)}.labels]", self.labels)

    @property
    def rules_text(self) -> str:
        """`[policy.totals.NAME]` and `[[policy.rules]]` as TOML, a blank line between two."""
        blocks = [_block(f"[policy.totals.{key_text(n)}]", t) for n, t in self.totals.items()]
        return "\n".join([*blocks, *(_block("[[policy.rules]]", rule) for rule in self.rules)])


def with_policy(text: str, file: str, part: PolicyPart) -> str:
    """Return the text of a servers.toml with a part of policy more. `file` names it in errors.

    Raises ConfigError: invalid TOML, no such server, one that has labels already, a total that is
    there, or a form that cannot be added to.
    """
    wanted = parse(text.replace("\r\n", "\n"), file)
    _add(wanted, file, part)
    new = text
    if part.labels:
        at = after_comments(text, _end_of(text, part.server))
        new = _joined(text[:at], part.labels_text, text[at:])
    if part.rules or part.totals:
        new = _joined(new, part.rules_text, "")
    instead = f"write it there by hand:\n{part.labels_text}{part.rules_text}"
    return sound(new, wanted, file, instead)


def _add(wanted: dict[str, Any], file: str, part: PolicyPart) -> None:
    """Put into a parsed file what the changed text should say. Raises ConfigError."""
    table = wanted.get("servers", {}).get(part.server)
    if not isinstance(table, dict):
        raise ConfigError(f'{file}: has no server "{clean_line(part.server)}"')
    if part.labels:
        if "labels" in table:
            raise ConfigError(f"{file}: servers.{clean_line(part.server)} has labels already")
        table["labels"] = {glob: list(said) for glob, said in part.labels.items()}
    if part.totals:
        totals = wanted.setdefault("policy", {}).setdefault("totals", {})
        for name, total in part.totals.items():
            if name in totals:
                raise ConfigError(f"{file}: has policy.totals.{clean_line(name)} already")
            totals[name] = dict(total)
    if part.rules:
        wanted.setdefault("policy", {}).setdefault("rules", []).extend(map(dict, part.rules))


def _block(header: str, table: Table) -> str:
    lines = [header, *(f"{key_text(k)} = {value_text(v, len(k) + 3)}" for k, v in table.items())]
    return "".join(f"{line}\n" for line in lines)


def _end_of(text: str, server: str) -> int:
    """Return where the last statement of a server ends."""
    return max((s.end for s in statements(text) if s.servers == {server}), default=len(text))


def _joined(before: str, block: str, after: str) -> str:
    """Put a block between two texts, a blank line around it, with their line ends."""
    end = "\r\n" if "\r\n" in before + after else "\n"
    return "".join(_parts(before, block.replace("\n", end), after, end))


def _parts(before: str, block: str, after: str, end: str) -> Iterator[str]:
    yield before
    if before and not before.endswith("\n"):
        yield end
    if before.strip() and not before.rstrip(" \t").endswith((f"{end}{end}",)):
        yield end
    yield block
    if after.strip() and not after.lstrip(" \t").startswith(("\n", "\r\n")):
        yield end
    yield after
