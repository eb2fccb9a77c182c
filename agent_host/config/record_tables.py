"""What may stand in `[secrets]`, `[audit]` and `[telemetry]`.

Theory of operation: see `schema`. These say what is written down and where; an organisation's file
may have `[secrets]` and `[audit]` as well, and then they hold whatever a project says.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agent_host.config.values import Count, Glob, Headers, Line, Name, Retention, Seconds, Url

_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class SecretsConfig(BaseModel):
    """Secrets in what tools return and models write. The values of references (`${env:...}`) are
    never written anywhere, whatever stands here."""

    model_config = _FROZEN

    detect: bool = Field(
        default=True,
        description="Look for keys, tokens and passwords in results, arguments and errors, and "
        "write placeholders instead of them.",
    )
    patterns: dict[Name, Annotated[str, Field(min_length=1, max_length=500)]] = Field(
        default={},
        description='Regular expressions of further secrets, by name: `kind = "ACME-[0-9]{16}"`.',
    )
    hide_from_model: bool = Field(
        default=False,
        description="The model gets the placeholders as well, instead of what was found.",
    )
    reveal: list[Glob] = Field(
        default=[],
        description="Globs over `server/tool` of tools whose arguments get the secret back where "
        "the model wrote its placeholder. Default: none.",
    )


class AuditConfig(BaseModel):
    """The audit log: who did what, when, and with what authorization."""

    model_config = _FROZEN

    enabled: bool = Field(default=True, description="Whether it is written.")
    folder: Line | None = Field(
        default=None,
        description="Its folder, relative to servers.toml. Default: `audit` in your data folder.",
    )
    arguments: bool = Field(
        default=True,
        description="Whether entries hold calls' arguments (without secrets), or only their hash.",
    )
    max_file: Annotated[int, Field(ge=64 * 1024)] = Field(
        default=32 * 1024 * 1024, description="Bytes of a file, after which the next is begun."
    )
    retention: Retention | None = Field(
        default=None, description="How long whole files are kept. Default: for ever."
    )
    send_to: Url | None = Field(
        default=None,
        description="A collector that is sent each entry, at least once, as OpenTelemetry logs "
        "(OTLP/HTTP, JSON). What it cannot take waits in a spool.",
    )
    send_headers: Headers = Field(
        default={}, description="HTTP headers for it. May hold references."
    )


class TelemetryConfig(BaseModel):
    """OpenTelemetry traces and metrics; needs the extra `telemetry`."""

    model_config = _FROZEN

    endpoint: Url | None = Field(
        default=None,
        description="Where OTLP/HTTP goes, as `http://127.0.0.1:4318`. Default: nothing is sent.",
    )
    headers: Headers = Field(default={}, description="HTTP headers. May hold references.")
    content: bool = Field(
        default=False, description="Whether messages, arguments and results are sent, too."
    )
    service: Line = Field(default="agent-host", description="The name of the service.")
    interval: Seconds = Field(default=10, description="Seconds between two sendings.")
    max_spans: Count = Field(default=2048, description="Spans that wait; more are dropped.")
