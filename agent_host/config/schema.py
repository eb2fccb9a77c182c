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

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from agent_host.config.context_table import ContextConfig, RecordsConfig
from agent_host.config.policy_tables import (
    PolicyConfig,
    RuleConfig,
    TotalConfig,
)
from agent_host.config.record_tables import AuditConfig, SecretsConfig, TelemetryConfig
from agent_host.config.sandbox_table import SandboxConfig
from agent_host.config.server_tables import (
    AuthConfig,
    ForwardUser,
    ServerConfig,
    TlsConfig,
    ToolFilter,
)
from agent_host.config.values import (
    Adapter,
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
)
from agent_host.core.offering import HOST
from agent_host.profiles.adapters import WIRES

_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def _server_name(name: str) -> str:
    if name == HOST:
        raise ValueError(f'is "{HOST}", the name of the host\'s own tools; choose another')
    return name


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


class ToolsConfig(BaseModel):
    """Which tools a model is told of. Policy says which of them may run."""

    model_config = _FROZEN

    search: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether the model searches the tools instead of being sent all of them with "
        "each request. `auto`: when there are many. The search is a tool of the server `host`: "
        'under `policy.default = "deny"` it takes a rule that allows it.',
    )
    search_above: Count = Field(
        default=64, description="The number of tools above which `auto` searches."
    )
    search_above_size: Count = Field(
        default=200_000,
        description="The characters of all definitions together above which `auto` searches.",
    )
    always: list[Glob] = Field(
        default=[],
        description="Globs over `server/tool` of tools that are sent even so, as in "
        '`["github/*", "crm/search_*"]`.',
    )


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


class IdentityConfig(BaseModel):
    """Who a run acts for. Without this table: the user of the operating system."""

    model_config = _FROZEN

    token: Reference | None = Field(
        default=None,
        description="An OpenID Connect ID token, as a reference: `${env:NAME}`, `${file:PATH}`. "
        "Its signature, issuer, audience and lifetime are checked before anything runs.",
    )
    issuer: Url | None = Field(
        default=None, description="Who must have issued it; its keys are found there."
    )
    audience: Line | None = Field(default=None, description="Whom it must be for.")
    user: Line = Field(default="sub", description="The claim that names the user.")
    roles: Line = Field(
        default="roles", description="The claim that lists the user's roles; dots go deeper."
    )


class SamplingConfig(BaseModel):
    """What servers that may ask for the model (`sampling = true`) get of it."""

    model_config = _FROZEN

    approve: Literal["ask", "always"] = Field(
        default="ask", description="`ask`: a human sees each request first, else it is refused."
    )
    max_requests: Count = Field(default=20, description="Requests of all servers in one run.")
    max_tokens: Count = Field(
        default=4096, description="Tokens of one answer, whatever a server asks for."
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
    servers: dict[Annotated[Name, AfterValidator(_server_name)], ServerConfig] = Field(
        default={}, description=""
    )
    identity: IdentityConfig = Field(default=IdentityConfig.model_construct(), description="")
    sampling: SamplingConfig = Field(default=SamplingConfig.model_construct(), description="")
    policy: PolicyConfig = Field(default=PolicyConfig.model_construct(), description="")
    secrets: SecretsConfig = Field(default=SecretsConfig.model_construct(), description="")
    audit: AuditConfig = Field(default=AuditConfig.model_construct(), description="")
    telemetry: TelemetryConfig = Field(default=TelemetryConfig.model_construct(), description="")
    context: ContextConfig = Field(default=ContextConfig.model_construct(), description="")
    records: RecordsConfig = Field(default=RecordsConfig.model_construct(), description="")
    tools: ToolsConfig = Field(default=ToolsConfig.model_construct(), description="")
    limits: LimitsConfig = Field(default=LimitsConfig.model_construct(), description="")


TABLES: tuple[tuple[tuple[str, ...], type[BaseModel]], ...] = (
    ((), Config),
    (("models", "*"), ModelConfig),
    (("models", "*", "price"), PriceConfig),
    (("servers", "*"), ServerConfig),
    (("servers", "*", "tools"), ToolFilter),
    (("servers", "*", "auth"), AuthConfig),
    (("servers", "*", "tls"), TlsConfig),
    (("servers", "*", "forward_user"), ForwardUser),
    (("servers", "*", "sandbox"), SandboxConfig),
    (("identity",), IdentityConfig),
    (("sampling",), SamplingConfig),
    (("policy",), PolicyConfig),
    (("policy", "rules", "*"), RuleConfig),
    (("policy", "totals", "*"), TotalConfig),
    (("secrets",), SecretsConfig),
    (("audit",), AuditConfig),
    (("telemetry",), TelemetryConfig),
    (("context",), ContextConfig),
    (("records",), RecordsConfig),
    (("tools",), ToolsConfig),
    (("limits",), LimitsConfig),
)
"""Each table's place (`*`: any name or index) and its keys."""


def table_at(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """Return the schema of the table at `path`, or None if there is none."""
    for place, model in TABLES:
        if len(place) == len(path) and all(p in ("*", q) for p, q in zip(place, path, strict=True)):
            return model
    return None
