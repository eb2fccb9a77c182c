"""An "always" that is written into servers.toml: a rule for exactly that call.

Theory of operation: a rule that allows is of use only where no rule asks (the strictest wins), so
it is offered only for what the default asks about. Its condition is the arguments as they were
shown, all of them and no other, as a literal of CEL: equal, with numbers compared as numbers. What
such a literal cannot say, or what no file may hold (a secret), is not offered. What was shown is
what is written, and of the file nothing else becomes trusted. What edits files is loaded when there
is something to write.
"""

import math
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from agent_host.config.load import Loaded
from agent_host.core.approvals import digest
from agent_host.core.errors import AgentHostError
from agent_host.core.types import Json, JsonObject
from agent_host.host import HostSession
from agent_host.policy.rules import DEFAULT
from agent_host.ports import ApprovalQuestion

_LONGEST = 4000
_PLAIN = r"[A-Za-z0-9_.-]{1,128}"
"""A name that no glob reads in another way."""
_ESCAPED = r"[^ -~]|[\\\"]"


class Remembering:
    """Writes rules into the servers.toml of a run; see `surfaces.approval.Remember`. `by`: who
    says so; `host` returns the session, once it is open: it knows the secrets."""

    def __init__(self, loaded: Loaded, by: str, host: Callable[[], HostSession | None]) -> None:
        self._loaded = loaded
        self._by = by
        self._host = host

    def proposed(self, question: ApprovalQuestion, arguments: JsonObject) -> str | None:
        """Return the lines that would be written, None if there are none to write."""
        rule = self._rule(question, arguments)
        return None if rule is None else f"{self._loaded.name}:\n{_part(rule).rules_text}"

    def write(self, question: ApprovalQuestion, arguments: JsonObject) -> str | None:
        """Write them; return why that could not be, or None."""
        rule = self._rule(question, arguments)
        if rule is None:
            return "there is no rule that says this"
        writing: Any = import_module("agent_host.cli.servers_add_policy")
        try:
            writing.write_policy(self._loaded, _part(rule))
        except AgentHostError as error:
            return str(error)
        return None

    def can(self, question: ApprovalQuestion, arguments: JsonObject) -> bool:
        """Whether there is a rule to write."""
        return self._rule(question, arguments) is not None

    def _rule(self, question: ApprovalQuestion, arguments: JsonObject) -> JsonObject | None:
        asked, tool = question.asked, question.tool
        by_default = asked is not None and set(asked.rules) <= {DEFAULT} and not question.in_doubt
        named = re.fullmatch(_PLAIN, tool.server) and re.fullmatch(_PLAIN, tool.tool)
        condition = literal(arguments)
        if not by_default or not named or condition is None or self._secret(arguments):
            return None
        if len(condition) > _LONGEST - 20:
            return None
        return {
            "id": f"always-{digest([tool.server, tool.tool, arguments])[:12]}",
            "server": tool.server,
            "tools": [tool.tool],
            "when": f"args == {condition}",
            "effect": "allow",
            "reason": f"always allowed by {self._by}",
        }

    def _secret(self, arguments: JsonObject) -> bool:
        host = self._host()
        return host is None or digest(host.without_secrets(arguments)) != digest(arguments)


def _part(rule: JsonObject) -> Any:
    editing: Any = import_module("agent_host.config.edit_policy")
    return editing.PolicyPart(server=rule["server"], rules=[rule])


def literal(value: Json) -> str | None:
    """Return a JSON value as CEL writes it, None if it cannot (CEL, "Values"). No number below 0:
    a rule that allows never holds for one (see `policy`)."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if 0 <= value < 2**63 else None
        case float():
            return repr(value) if math.isfinite(value) and value >= 0 else None
        case str():
            return _text(value)
        case list():
            items = [literal(item) for item in value]
            return None if None in items else f"[{', '.join(map(str, items))}]"
        case dict():
            pairs = [(_text(str(name)), literal(item)) for name, item in value.items()]
            if any(None in pair for pair in pairs):
                return None
            return "{" + ", ".join(f"{name}: {item}" for name, item in pairs) + "}"
        case _:
            return None


def _text(text: str) -> str | None:
    if any("\ud800" <= c <= "\udfff" for c in text):
        return None
    return '"' + re.sub(_ESCAPED, _escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"
