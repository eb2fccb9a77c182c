"""Rules by server and tool globs; the strictest of all that match wins.

Theory of operation: what "strictest wins" means together with a default and a built-in allow.

1. Every rule that matches the pair (server, tool) counts, and the strictest effect among them is
   the answer: deny over ask over allow. The order of rules means nothing. An allow therefore
   never opens what another rule closes, and adding a deny or an ask never lets anything more
   run unasked (an ask does open what only a default of "deny" closed, to a human's yes).
2. The default answers when no rule matches, and only then: it takes no part in the comparison
   (a default of "ask" that counted as a rule would make every allow useless).
3. `trusted-read-only` is a built-in rule like any other: allow, for each tool that changes
   nothing according to a server whose annotations the config trusts. It is listed with the
   others and named in each decision it makes. By 1, any rule that asks or denies for that tool
   wins over it. It is there to spare questions, so it exists only where the default is "ask":
   under a default of "deny" nothing runs that the config's own rules do not allow.
4. Where several rules share the strictest effect, the one of the config with the smallest id is
   named, so that the answer does not depend on their order either.

Globs are those of fnmatch (`*`, `?`, `[seq]`, `[!seq]`), case-sensitive, over the whole name;
hyphens, underscores and dots mean themselves. Server and tool are matched separately.
"""

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent_host.core.conversation import Conversation
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.core.types import Decision, JsonObject, Principal, Tool, ToolCall
from agent_host.ports import PolicyAnswer

STRICTNESS: dict[Decision, int] = {"allow": 0, "ask": 1, "deny": 2}
"""How strict each answer is; the highest wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `server` is a glob over server names, `tools` are globs over the servers' own
    tool names, `reason` is told to people and to the model, `where` is the rule's place in a
    file (`servers.toml:12`), for errors. `read_only` limits it to tools that a trusted server
    says change nothing."""

    id: str
    effect: Decision
    server: str = "*"
    tools: tuple[str, ...] = ("*",)
    reason: str = ""
    where: str = ""
    read_only: bool = False


TRUSTED_READ_ONLY = Rule(
    id="trusted-read-only",
    effect="allow",
    reason="a trusted server says that this tool changes nothing",
    read_only=True,
)
"""The built-in rule; see the theory of operation, 3."""

DEFAULT = "default"
"""What stands for the rule in an answer that no rule gave."""

_RESERVED = frozenset({TRUSTED_READ_ONLY.id, DEFAULT})


class RulePolicy:
    """Judges calls by rules; implements `ports.Policy`.

    `rules` are those in force, the built-in one last. ConfigError for an id that is empty,
    reserved or used twice, an unknown effect, or a rule without a glob.
    """

    def __init__(self, rules: Sequence[Rule], default: Decision = "ask") -> None:
        _check(rules)
        if default not in STRICTNESS:
            raise ConfigError(
                f"policy.default: {clean_line(str(default), 60)!r} is no answer of a policy; write "
                '"allow", "ask" or "deny"'
            )
        built_in = (TRUSTED_READ_ONLY,) if default == "ask" else ()
        self.default: Decision = default
        self.rules: tuple[Rule, ...] = (*rules, *built_in)
        by_id = sorted(rules, key=lambda rule: rule.id)
        strictest_first = sorted(by_id, key=lambda rule: -STRICTNESS[rule.effect])
        self._compiled = tuple(
            (_matcher(rule), PolicyAnswer(decision=rule.effect, rule=rule.id, reason=rule.reason))
            for rule in (*strictest_first, *built_in)
        )
        self._default = PolicyAnswer(
            decision=default, rule=DEFAULT, reason="no rule matches, so policy.default answers"
        )

    def decide(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> PolicyAnswer:
        """Judge a call by the pair (tool.server, tool.tool) alone; see `ports.Policy`."""
        return self.judge(tool)

    @property
    def fingerprint(self) -> str:
        """The hash of all rules in force."""
        return ""

    def begin(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> str | None:
        """Count a call; see `ports.Policy`."""
        return None

    def end(self, conversation: Conversation, call_id: str) -> None:
        """Take a call back; see `ports.Policy`."""

    def judge(self, tool: Tool) -> PolicyAnswer:
        """Return the answer for any call of a tool."""
        for matches, answer in self._compiled:
            if matches(tool):
                return answer
        return self._default


def _matcher(rule: Rule) -> Callable[[Tool], bool]:
    server = _glob(rule.server)
    tools = tuple(_glob(glob) for glob in rule.tools)

    def matches(tool: Tool) -> bool:
        if rule.read_only and not tool.read_only:
            return False
        return bool(server(tool.server)) and any(match(tool.tool) for match in tools)

    return matches


def _glob(glob: str) -> Callable[[str], object]:
    """Compile a glob as fnmatch.fnmatchcase reads it; case counts on every platform."""
    return re.compile(fnmatch.translate(glob)).match


def _check(rules: Sequence[Rule]) -> None:
    seen: dict[str, Rule] = {}
    for rule in rules:
        problem = _problem(rule, seen)
        if problem:
            where = f"{clean_line(rule.where, 300)}: " if rule.where else ""
            raise ConfigError(f"{where}policy rule {clean_line(rule.id, 60)!r}: {problem}")
        seen[rule.id] = rule


def _problem(rule: Rule, seen: dict[str, Rule]) -> str:
    if not rule.id.strip():
        return "a rule needs an id; it is what decisions and errors name"
    if rule.id in _RESERVED:
        return "the id is taken by the host itself; choose another one"
    if rule.id in seen:
        first = seen[rule.id].where
        also = f" (also at {clean_line(first, 300)})" if first else ""
        return f"two rules have this id{also}; give each its own"
    if rule.effect not in STRICTNESS:
        return f'{clean_line(str(rule.effect), 60)!r} is no effect; write "allow", "ask" or "deny"'
    if not rule.tools or not rule.server:
        return 'it names no server or no tool; write "*" for all'
    return ""
