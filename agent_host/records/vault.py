"""Secrets in what tools return, kept from the model; implements `ports.Vault`.

Theory of operation: what is found in a result is replaced by its mark before the result is recorded
or sent to a model, and the value is kept in memory, nowhere else. A tool that the config names gets
the value back where the model wrote that mark into its arguments: this exact text, alone or inside
a longer one, in values and not in keys. A mark that the model made up, or took from another run,
stands for nothing. Values of configured secrets never come back: who shall have one is said in the
config. After a run was resumed the vault is empty, so a mark may stand in arguments for which there
is no value any more; a call that would then send the mark as if it were the secret does not run.
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from agent_host.core.types import JsonObject, Tool, ToolResult
from agent_host.records.marks import FOUND, MARK
from agent_host.records.redact import Redactor


class Vault:
    """Secrets of one run. `hide`: results are concealed; without it the vault only says which
    calls cannot run. `reveal`: globs over `server/tool`; `resumed`: an earlier process began the
    run."""

    def __init__(
        self, redactor: Redactor, reveal: Iterable[str] = (), *, hide: bool, resumed: bool
    ) -> None:
        self._redactor = redactor
        self._reveal = [glob.partition("/") for glob in reveal]
        self._hide = hide
        self._resumed = resumed

    def __repr__(self) -> str:
        return f"Vault(hide={self._hide})"

    def conceal(self, result: ToolResult) -> ToolResult:
        """Return a result as the model may see it; see `ports.Vault`."""
        return self._redactor.value(result) if self._hide else result

    def reveal(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        """Return the arguments as the tool gets them; see `ports.Vault`."""
        if not self._may_have(tool):
            return arguments
        values = self._redactor.marks.values
        revealed: JsonObject = _each(
            arguments, lambda text: FOUND.sub(lambda mark: values.get(mark[0], mark[0]), text)
        )
        return revealed

    def missing(self, tool: Tool, arguments: JsonObject) -> str | None:
        """Return why a call cannot run with these arguments; see `ports.Vault`."""
        revealed = self._may_have(tool)
        if not revealed and (self._hide or not self._resumed):
            return None
        values = self._redactor.marks.values if revealed else {}
        lost: list[str] = []

        def look(text: str) -> str:
            lost.extend(m for m in MARK.findall(text) if m not in values)
            return text

        _each(arguments, look)
        if not lost:
            return None
        return (
            f"{lost[0]} in the arguments is a placeholder, and this run does not have the secret "
            "that it stands for (it was found before the run was resumed, or never); get it again "
            "with the tool that returned it, or leave it out"
        )

    def _may_have(self, tool: Tool) -> bool:
        return self._hide and any(
            fnmatchcase(tool.server, server) and fnmatchcase(tool.tool, name)
            for server, _, name in self._reveal
        )


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with each text of it changed, but no key."""
    if isinstance(value, str):
        return change(value) if "[secret:" in value else value
    if isinstance(value, list):
        return [_each(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
    return value
