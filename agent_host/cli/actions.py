"""Commands that are a table of actions, one file each.

Theory of operation: as with the commands themselves, only the module of the action that was asked
for is imported: its options are read when its parser first parses.
"""

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

Actions = Mapping[str, tuple[str, str]]
"""Name -> (module with `configure` and `execute`, one line of help)."""

_MARK = "\0"
"""No argument of a process holds it."""


class _ActionParser(argparse.ArgumentParser):
    """Asks the action's module for its options once they are needed; options may stand among
    the arguments, also among those of an open number (but not where one takes all that is left)."""

    module = ""
    words_with_dashes = False
    """Whether `-word` is an argument, unless it is an option's name; see `word`."""
    _mixed = False

    def settle(self) -> None:
        """Ask for the options now, once, and parse as argparse does."""
        if self.module:
            import_module(self.module).configure(self)
        self.module, self._mixed = "", True

    def parse_known_args(  # type: ignore[override]  # the namespace is what was handed in
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """See argparse."""
        if self._mixed:  # called by argparse itself, for one half of it
            return super().parse_known_args(args, namespace)
        if self.module:
            import_module(self.module).configure(self)
        if self.words_with_dashes:
            args = [*self._marked(args or ())]
        if any(action.nargs == argparse.REMAINDER for action in self._actions):
            return super().parse_known_args(args, namespace)
        self._mixed = True
        return self.parse_known_intermixed_args(args, namespace)

    def _marked(self, args: Sequence[str]) -> Iterator[str]:
        """Mark what argparse would take for an option: it cannot be told otherwise."""
        left = iter(args)
        for one in left:
            name = one[:2]
            if one == "--":
                yield from (f"{_MARK}{word}" for word in left)
            elif one[:1] != "-" or name == "--" or name in self._option_string_actions:
                yield one
                known = self._option_string_actions.get(one)
                if known is not None and known.nargs is None:
                    yield from itertools.islice(left, 1)
            else:
                yield f"{_MARK}{one}"


def word(text: str) -> str:
    """Return an argument of a parser with `words_with_dashes`: the `type` of its arguments."""
    return text.removeprefix(_MARK)


def configure_actions(parser: argparse.ArgumentParser, table: Actions) -> None:
    """Add the actions of a command."""
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=_ActionParser
    )
    for name, (module, text) in table.items():
        said = f"{text[0].upper()}{text[1:]}."
        actions.add_parser(name, help=text, description=said).module = module


def configure_now(parser: argparse.ArgumentParser) -> None:
    """Give the parser of an action its options now, and let argparse alone parse it: for who asks
    the parsers instead of parsing with them."""
    if isinstance(parser, _ActionParser):
        parser.settle()


def execute_action(options: argparse.Namespace, table: Actions) -> int:
    """Run the chosen action and return its exit status."""
    return int(import_module(table[options.action][0]).execute(options))
