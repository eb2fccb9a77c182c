"""What may stand in `[policy]`, in servers.toml and in the two files above it.

Theory of operation: see `schema`. A rule's condition is an expression of CEL, which is compiled by
the room of policy and nowhere else; here it is text. The organisation's file and the user's own
policy.toml have the same table (`layers`); what an organisation's rules may say is less.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from agent_host.config.values import Count, Duration, Glob, Line, Name

RESERVED_RULES = ("default", "trusted-read-only", "flow", "totals")
"""Ids of rules that policy has by itself."""

_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
_LONGEST = 4000

Condition = Annotated[str, Field(min_length=1, max_length=_LONGEST)]


def _rule_id(text: str) -> str:
    if text in RESERVED_RULES:
        raise ValueError(f'is "{text}", the name of a built-in rule; choose another')
    return text


class RuleConfig(BaseModel):
    """One rule of policy. Every rule that matches counts, and the strictest effect wins."""

    model_config = _FROZEN

    id: Annotated[Name, AfterValidator(_rule_id)] = Field(
        description="Its name, in questions, results and transcripts."
    )
    server: Glob = Field(default="*", description="A glob over the names of servers.")
    tools: Annotated[list[Glob], Field(min_length=1)] = Field(
        default=["*"], description="Globs over the server's own tool names."
    )
    when: Condition | None = Field(
        default=None,
        description="A condition in CEL over `args`, `tool`, `user`, `run`, `now` and "
        "`total(NAME)`: the rule matches where it is true. What cannot be told (a missing or "
        "wrong value) counts as true for `ask` and `deny`, as false for `allow`. Default: always.",
    )
    effect: Literal["allow", "ask", "deny"] = Field(description="What the rule answers.")
    reason: str = Field(default="", description="Why, for people and for the model.")
    approvers: list[Name] = Field(
        default=[],
        description="`ask`: roles, one of which whoever approves must have. Default: anybody.",
    )
    approvals: Annotated[int, Field(ge=1, le=10)] = Field(
        default=1, description="`ask`: how many different people have to approve."
    )
    self_approval: bool = Field(
        default=True, description="`ask`: whether the user for whom the run acts may approve."
    )
    expires: Duration | None = Field(
        default=None,
        description='`ask`: how long the question can be answered and the answer used, as "1h". '
        "Default: `policy.expires`.",
    )

    @model_validator(mode="after")
    def _asks(self) -> "RuleConfig":
        if self.effect != "ask":
            for key in ("approvers", "approvals", "self_approval", "expires"):
                if key in self.model_fields_set:
                    raise ValueError(f'has the effect "{self.effect}", so "{key}" means nothing')
        return self


class TotalConfig(BaseModel):
    """A running total that conditions read as `total("NAME")`: what a value of the calls of these
    tools adds up to, in all runs of this machine's user."""

    model_config = _FROZEN

    server: Glob = Field(default="*", description="A glob over the names of servers.")
    tools: Annotated[list[Glob], Field(min_length=1)] = Field(
        default=["*"], description="Globs over the server's own tool names."
    )
    value: Condition = Field(
        default="1.0",
        description="A CEL expression over `args` that is a number, not negative: what a call "
        "adds. Default: 1, which counts calls.",
    )
    window: Duration = Field(default="24h", description="How far back calls count.")
    per: list[Condition] = Field(
        default=["user.id"],
        description="CEL expressions; each combination of their values has a total of its own. "
        "`[]`: one total for all.",
    )


class PolicyConfig(BaseModel):
    """Who may do what: allow, ask a human, or deny."""

    model_config = _FROZEN

    default: Literal["allow", "ask", "deny"] = Field(
        default="ask", description="The answer when no rule matches."
    )
    expires: Duration = Field(
        default="24h", description="How long a question can be answered and its answer used."
    )
    max_asks: Count = Field(
        default=50,
        description="Questions to a human for one message; what would be asked after that is "
        "refused.",
    )
    flow: Literal["ask", "deny", "off"] = Field(
        default="ask",
        description="What happens before a tool with the label `egress` runs once both `private` "
        "and `untrusted` data are in the conversation: a human is asked, it is denied, or nothing.",
    )
    rules: list[RuleConfig] = Field(default=[], description="")
    totals: dict[Name, TotalConfig] = Field(default={}, description="")
    roles: dict[Name, list[Line]] = Field(
        default={},
        description="Role -> users who have it, by id, or `group:NAME` for a group of the "
        "operating system. With an organisation's file only that one's roles count.",
    )

    @model_validator(mode="after")
    def _unique(self) -> "PolicyConfig":
        seen: dict[str, int] = {}
        for number, rule in enumerate(self.rules, 1):
            first = seen.setdefault(rule.id, number)
            if first != number:
                raise ValueError(
                    f'has the id "{rule.id}" in rules {first} and {number}; rename one'
                )
        return self
