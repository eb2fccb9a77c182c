"""What may stand in servers.toml, key by key.

Theory of operation: the config room turns one TOML file, a few environment variables and the
command line into one frozen `Config`. `paths` says which file; `load` reads it, lays the
environment and the flags over it and remembers where each value came from; `lines` finds the
line of any key; `problems` turns what is wrong into one sentence; `schema` (this file) is the
list of keys: their descriptions are the generated reference; `rows` is that for what is said of
providers. `secrets` resolves references at the last moment, `choose` picks the model and `resolve`
says how it is spoken to, `trust` decides whether a project's file may start anything. Values are
checked strictly: a number in quotes is an error, not a number.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from agent_host.config.values import (
    Adapter,
    Argument,
    Attempts,
    Count,
    Dollars,
    Glob,
    Headers,
    Line,
    Name,
    Rate,
    Reference,
    Seconds,
    Url,
    Variables,
    no_secret,
)
from agent_host.profiles.adapters import WIRES

RESERVED_RULES = ("default", "trusted-read-only")
"""Ids of rules that policy has by itself."""

_PROTOCOL = re.compile(r"(?:auto|legacy|\d{4}-\d{2}-\d{2})\Z")
_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def _protocol(text: str) -> str:
    if not _PROTOCOL.match(text):
        raise ValueError('must be "auto", "legacy" or a protocol version, as "2025-11-25"')
    return text


def _rule_id(text: str) -> str:
    if text in RESERVED_RULES:
        raise ValueError(f'is "{text}", the name of a built-in rule; choose another')
    return text


class PriceConfig(BaseModel):
    """US dollars for a million tokens."""

    model_config = _FROZEN

    input: Rate = Field(description="Of input.")
    output: Rate = Field(description="Of output.")
    cache_read: Rate | None = Field(
        default=None, description="Of input from a prompt cache. Default: as other input."
    )
    cache_write: Rate | None = Field(
        default=None, description="Of input written to a prompt cache. Default: as other input."
    )


class ModelConfig(BaseModel):
    """A model that `model` (or `--model`) can name."""

    model_config = _FROZEN

    provider: Name | None = Field(
        default=None,
        description="Whose model it is: a known provider, or one of a `[providers.x]` table. "
        "Default: the one that `base_url` belongs to.",
    )
    adapter: Adapter | None = Field(
        default=None,
        description="How the model is spoken to: `openai-chat` (Chat Completions, of any "
        "compatible server), `openai-responses`, `anthropic` (Messages), or what an installed "
        "package brings; `offline` is no AI, it matches words; `script` plays a file of turns; "
        "`replay` plays a recorded transcript. Default: the provider's, else `openai-chat`.",
    )
    model: Line | None = Field(
        default=None,
        description="The model's name at its provider. Default: the provider's default model.",
    )
    base_url: Url | None = Field(
        default=None,
        description="The API's root, with `/v1` where the provider has it. Default: the "
        "provider's. May hold references.",
    )
    api_key: Reference | None = Field(
        default=None,
        description="The key, best as a reference: `${env:NAME}`, `${keyring:SERVICE/NAME}` or "
        "`${file:PATH}`. Default: the usual variable of the provider.",
    )
    headers: Headers = Field(
        default={}, description="Further HTTP headers of each request. May hold references."
    )
    path: Line | None = Field(
        default=None,
        description="The file of a `script` or `replay` model, relative to servers.toml.",
    )
    timeout: Seconds = Field(
        default=120, description="Seconds the model may take to send the next piece of its answer."
    )
    answer_timeout: Seconds = Field(
        default=1800, description="Seconds the model may take for a whole answer."
    )
    attempts: Attempts = Field(
        default=4,
        description="How often it is asked at most while it is busy, unreachable or failing, and "
        "nothing of an answer was shown. 1: no second try.",
    )
    retry_timeout: Seconds = Field(
        default=120,
        description="Seconds that all tries and the waits between them may take together. A "
        "provider that asks for a longer wait is not waited for.",
    )
    max_output_tokens: Count | None = Field(
        default=None, description="The most tokens of one answer. Default: the provider's."
    )
    effort: Line | None = Field(
        default=None,
        description="How much the model should think, in its provider's word, as `low` or "
        "`high`. Default: the provider's.",
    )
    fallback: list[Line] = Field(
        default=[],
        description="Models to ask instead, in this order, when this one fails before it has said "
        "anything: whatever `model` can be.",
    )
    price: PriceConfig | None = Field(
        default=None,
        description="What it costs, for limits and reports, where that is not known or another "
        "price was agreed on.",
    )

    @model_validator(mode="after")
    def _complete(self) -> "ModelConfig":
        if self.adapter in ("script", "replay") and self.path is None:
            raise ValueError(f'needs the key "path": the file that the {self.adapter} model plays')
        if self.provider is not None:
            return self
        if self.adapter is None and self.base_url is None:
            raise ValueError('needs "provider", as in provider = "openai", or "base_url"')
        if self.model is None and (self.adapter is None or self.adapter in WIRES):
            raise ValueError('needs the key "model": the model\'s name at its provider')
        return self


class ToolFilter(BaseModel):
    """Which of a server's tools exist for models and people."""

    model_config = _FROZEN

    include: list[Glob] = Field(
        default=["*"], description="Globs over the server's own tool names: only these."
    )
    exclude: list[Glob] = Field(default=[], description="Globs: but none of these.")


class ServerConfig(BaseModel):
    """An MCP server: a command to start (stdio), or a URL (streamable HTTP)."""

    model_config = _FROZEN

    command: Annotated[Line, AfterValidator(no_secret)] | None = Field(
        default=None,
        description="The program to start; no shell is involved. `agent-host` with the one "
        "argument `demo-server` is the bundled demo server.",
    )
    args: list[Argument] = Field(
        default=[], description="Its arguments, one text each. No references: `ps` shows them."
    )
    env: Variables = Field(
        default={},
        description="Environment variables it gets beside a minimal set (PATH, HOME, locale and "
        "the like). May hold references; the host's own variables are not inherited.",
    )
    cwd: Line | None = Field(
        default=None, description="Its working folder, relative to servers.toml. Default: there."
    )
    url: Url | None = Field(
        default=None, description="The URL of a streamable HTTP server. May hold references."
    )
    headers: Headers = Field(
        default={}, description="HTTP headers of each request to `url`. May hold references."
    )
    timeout: Seconds = Field(default=30, description="Seconds one tool call may take.")
    connect_timeout: Seconds = Field(
        default=10, description="Seconds the server has to start, shake hands and list its tools."
    )
    tools: ToolFilter = Field(default=ToolFilter.model_construct(), description="")
    trust_annotations: bool = Field(
        default=False,
        description="Believe the server's hints about its tools (read-only, idempotent). Only "
        "for a server whose author you trust.",
    )
    parallel: bool = Field(default=True, description="Whether its tools may run at the same time.")
    enabled: bool = Field(default=True, description="`false`: as if the table were not there.")
    protocol: Annotated[str, AfterValidator(_protocol)] = Field(
        default="auto",
        description="`auto`, `legacy`, or a protocol version, for a server that negotiates badly.",
    )

    @model_validator(mode="after")
    def _one_transport(self) -> "ServerConfig":
        if (self.command is None) == (self.url is None):
            raise ValueError('needs either "command" (a program) or "url" (streamable HTTP)')
        if self.url is not None and (self.args or self.env or self.cwd):
            raise ValueError('has a "url", so "args", "env" and "cwd" mean nothing; remove them')
        if self.command is not None and self.headers:
            raise ValueError('has a "command", so "headers" means nothing; remove it')
        return self


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
    effect: Literal["allow", "ask", "deny"] = Field(description="What the rule answers.")
    reason: str = Field(default="", description="Why, for people and for the model.")


class PolicyConfig(BaseModel):
    """Who may do what: allow, ask a human, or deny."""

    model_config = _FROZEN

    default: Literal["allow", "ask", "deny"] = Field(
        default="ask", description="The answer when no rule matches."
    )
    rules: list[RuleConfig] = Field(default=[], description="")

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


class LimitsConfig(BaseModel):
    """When the host stops by itself. What counts for one message starts anew with the next."""

    model_config = _FROZEN

    max_turns: Count = Field(default=50, description="Model answers to one message.")
    max_tool_calls: Count = Field(default=200, description="Tool calls for one message.")
    max_tokens: Count | None = Field(
        default=None, description="Tokens, in and out, of the whole run. Default: no limit."
    )
    max_seconds: Seconds | None = Field(
        default=None, description="Seconds of work for one message. Default: no limit."
    )
    max_cost: Dollars | None = Field(
        default=None, description="US dollars that the whole run may cost. Default: no limit."
    )


class Config(BaseModel):
    """The whole of servers.toml."""

    model_config = _FROZEN

    model: Line = Field(
        default="auto",
        description="A name under `[models]`; or `provider:model`; or `URL:model`; or `offline`; "
        "or `auto`: the first provider whose key is in the environment, else `offline`.",
    )
    system: str = Field(default="", description="The system prompt.")
    transcripts: Line | None = Field(
        default=None,
        description="The folder of transcripts, relative to servers.toml. Default: "
        "`transcripts` beside servers.toml; for your own servers.toml, in your data folder.",
    )
    models: dict[Name, ModelConfig] = Field(default={}, description="")
    providers: dict[Name, dict[str, Any]] = Field(default={}, description="")
    servers: dict[Name, ServerConfig] = Field(default={}, description="")
    policy: PolicyConfig = Field(default=PolicyConfig.model_construct(), description="")
    limits: LimitsConfig = Field(default=LimitsConfig.model_construct(), description="")


TABLES: tuple[tuple[tuple[str, ...], type[BaseModel]], ...] = (
    ((), Config),
    (("models", "*"), ModelConfig),
    (("models", "*", "price"), PriceConfig),
    (("servers", "*"), ServerConfig),
    (("servers", "*", "tools"), ToolFilter),
    (("policy",), PolicyConfig),
    (("policy", "rules", "*"), RuleConfig),
    (("limits",), LimitsConfig),
)
"""Each table's place (`*`: any name or index) and its keys."""


def table_at(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """Return the schema of the table at `path`, or None if there is none."""
    for place, model in TABLES:
        if len(place) == len(path) and all(p in ("*", q) for p, q in zip(place, path, strict=True)):
            return model
    return None
