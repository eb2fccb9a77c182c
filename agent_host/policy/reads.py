"""What a condition reads, as a value: which variables, which arguments, which running totals.

Theory of operation: see `reading`, which reads it off the tree. Apart from it, because a policy
without conditions needs no trees.
"""

from dataclasses import dataclass

Path = tuple[str, ...]
"""Names of members, from a variable on: `("items",)` for `args.items`; `()` for all of it."""

ROOTS = ("args", "signed", "user.claims")
"""Variables whose members are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """`names`: variables; `paths`: pairs of a variable of ROOTS and a path in it; `totals`: names;
    `nameless`: where a total's name is no literal, characters from the beginning."""

    names: frozenset[str] = frozenset()
    paths: frozenset[tuple[str, Path]] = frozenset()
    totals: frozenset[str] = frozenset()
    nameless: int | None = None

    def __or__(self, other: "Reads") -> "Reads":
        return Reads(
            names=self.names | other.names,
            paths=self.paths | other.paths,
            totals=self.totals | other.totals,
        )
