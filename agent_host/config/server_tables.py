"""What may stand in a `[servers.NAME]` table and below it.

Theory of operation: see `schema`. A server is a command or a URL; the keys of the other kind are
refused, lest a typing mistake reads as protection. What is secret is a reference; paths are
relative to servers.toml.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agent_host.config.sandbox_table import SandboxConfig, sandboxed
from agent_host.config.secrets import check_references
from agent_host.config.values import (
    Argument,
    Glob,
    Headers,
    Line,
    Name,
    Reference,
    Seconds,
    Url,
    Variables,
    no_secret,
)

USER_META = "agent-host/user"
"""The key of `_meta` that names the user where `forward_user = true` says no other."""

_PROTOCOL = re.compile(r"(?:auto|legacy|\d{4}-\d{2}-\d{2})\Z")
_PLACE = re.compile(r"\{([^{}]*)\}")
_USER = re.compile(r"user\.(?:id|issuer|claims\.[A-Za-z0-9_.:/-]{1,100})\Z")
_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def _protocol(text: str) -> str:
    if not _PROTOCOL.match(text):
        raise ValueError('must be "auto", "legacy" or a protocol version, as "2025-11-25"')
    return text


def _template(text: str) -> str:
    for inner in _PLACE.findall(text):
        if not _USER.match(inner):
            raise ValueError(
                f"holds {{{inner}}}; known are {{user.id}}, {{user.issuer}} and "
                "{user.claims.NAME}"
            )
    if "{" in _PLACE.sub("", text) or "}" in _PLACE.sub("", text):
        raise ValueError("has a brace without its other half")
    return text


def _proxy(text: str) -> str:
    if text and not text.startswith(("http://", "https://", "socks5://", "${")):
        raise ValueError('must start with http:// or https://, or be "" for no proxy')
    return check_references(text)


def _forwarded(value: Any) -> Any:
    """`true` is the usual way; `false` is as if the key were not there."""
    if value is True:
        return {"meta": USER_META}
    return {} if value is False else value


class ToolFilter(BaseModel):
    """Which of a server's tools exist for models and people."""

    model_config = _FROZEN

    include: list[Glob] = Field(
        default=["*"], description="Globs over the server's own tool names: only these."
    )
    exclude: list[Glob] = Field(default=[], description="Globs: but none of these.")


class TlsConfig(BaseModel):
    """Certificates for a server's URL: PEM files, relative to servers.toml."""

    model_config = _FROZEN

    ca: Line | None = Field(
        default=None,
        description="Authorities to believe instead of the system's.",
    )
    cert: Line | None = Field(default=None, description="The host's own certificate (mTLS).")
    key: Line | None = Field(
        default=None, description="Its private key. Default: in the same file."
    )


class AuthConfig(BaseModel):
    """How the host logs in at a server's URL. A server that asks for a login needs no table:
    `agent-host servers login NAME` finds out how. API keys are `headers`."""

    model_config = _FROZEN

    type: Literal["oauth", "client-credentials", "enterprise", "workload"] = Field(
        default="oauth",
        description="`oauth`: a person logs in (authorization code with PKCE); "
        "`client-credentials`: the host's own client id and secret or key; `enterprise`: the "
        "company's identity provider vouches for the user (ID-JAG); `workload`: a token of the "
        "platform that the host runs on.",
    )
    client_id: Line | None = Field(
        default=None, description="A registered client's id. Default: the host registers itself."
    )
    client_secret: Reference | None = Field(default=None, description="Its secret, as a reference.")
    client_metadata_url: Url | None = Field(
        default=None, description="The HTTPS URL of a client-id metadata document."
    )
    private_key: Reference | None = Field(
        default=None,
        description="A private key in PEM, as a reference, that signs the client's assertions "
        "(private_key_jwt).",
    )
    algorithm: Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"] = Field(
        default="ES256", description="Of that key."
    )
    scopes: list[Line] = Field(
        default=[], description="Scopes to ask for. Default: those that the server asks for."
    )
    issuer: Url | None = Field(
        default=None,
        description="The only authorization server to believe. Default: the one that the server "
        "names.",
    )
    redirect_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=0, description="The port on this machine that a login comes back to. 0: any."
    )
    dpop: bool = Field(
        default=False, description="Bind tokens to a key of this machine (RFC 9449)."
    )
    assertion: Reference | None = Field(
        default=None,
        description="`workload`: the platform's token; `enterprise`: the user's ID token. A "
        "reference, read anew each time.",
    )
    idp_token_url: Url | None = Field(
        default=None, description="`enterprise`: the identity provider's token endpoint."
    )
    idp_client_id: Line | None = Field(
        default=None, description="`enterprise`: the host's client id there."
    )
    idp_client_secret: Reference | None = Field(
        default=None, description="`enterprise`: and its secret, as a reference."
    )

    @model_validator(mode="after")
    def _complete(self) -> "AuthConfig":
        needs = {
            "client-credentials": ("client_id",),
            "enterprise": ("assertion", "idp_token_url", "idp_client_id", "client_id"),
            "workload": ("assertion",),
        }.get(self.type, ())
        missing = [key for key in needs if getattr(self, key) is None]
        if missing:
            raise ValueError(f'has the type "{self.type}", which needs the key "{missing[0]}"')
        if self.type == "client-credentials" and not (self.client_secret or self.private_key):
            raise ValueError('needs "client_secret" or "private_key"')
        return self


class ForwardUser(BaseModel):
    """How a server is told for whom each call is made. `forward_user = true` is the `_meta` key
    `agent-host/user`."""

    model_config = _FROZEN

    headers: dict[Line, Annotated[Line, AfterValidator(_template)]] = Field(
        default={},
        description="HTTP headers of each call, with `{user.id}`, `{user.issuer}` or "
        "`{user.claims.NAME}` in their values.",
    )
    meta: Line | None = Field(
        default=None, description="The key of `_meta` that holds the user's id, issuer and roles."
    )
    exchange: bool = Field(
        default=False,
        description="Exchange the user's ID token for one of this server (RFC 8693) and send "
        "that; needs `[identity]`.",
    )
    audience: Line | None = Field(
        default=None, description="Whom the exchanged token is for. Default: the server's URL."
    )


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
    timeout: Seconds = Field(
        default=30,
        description="Seconds one tool call may take without a sign of life. Progress gives it that "
        "time again, ten times in all; a task may take an hour. While a person is asked on its "
        "behalf, no time passes.",
    )
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
    sse: bool = Field(
        default=False, description="`url` is of the older HTTP+SSE transport (2024-11-05)."
    )
    proxy: Annotated[str, AfterValidator(_proxy)] | None = Field(
        default=None,
        description='The proxy for `url`; "" for none. Default: what HTTPS_PROXY, HTTP_PROXY and '
        "NO_PROXY say. May hold references.",
    )
    roots: list[Line] = Field(
        default=[],
        description="Folders that the server is told it may work in (MCP roots), relative to "
        "servers.toml.",
    )
    sampling: bool = Field(
        default=False, description="Whether the server may ask for the model; see `[sampling]`."
    )
    resources: bool = Field(
        default=True,
        description="Whether the model may list and read the server's resources: two tools, "
        "`resources/list` and `resources/read`, to policy.",
    )
    labels: dict[Glob, list[Name]] = Field(
        default={},
        description="Globs over the server's own tool names -> labels: `private` and `untrusted` "
        "say what its results bring into a conversation, `egress` that a call lets data out; "
        "others are your own. Rules read them as `tool.labels` and `run.labels`.",
    )
    sandbox: Annotated[SandboxConfig, BeforeValidator(sandboxed)] = Field(
        default=SandboxConfig.model_construct(mode="off"), description=""
    )
    auth: AuthConfig | None = Field(default=None, description="")
    tls: TlsConfig = Field(default=TlsConfig.model_construct(), description="")
    forward_user: Annotated[ForwardUser, BeforeValidator(_forwarded)] = Field(
        default=ForwardUser.model_construct(), description=""
    )

    @model_validator(mode="after")
    def _one_transport(self) -> "ServerConfig":
        if (self.command is None) == (self.url is None):
            raise ValueError('needs either "command" (a program) or "url" (streamable HTTP)')
        if self.url is not None and (self.args or self.env or self.cwd):
            raise ValueError('has a "url", so "args", "env" and "cwd" mean nothing; remove them')
        if self.url is not None and self.sandbox.mode != "off":
            raise ValueError('has a "url", so "sandbox" means nothing; remove it')
        if self.command is None:
            return self
        for key in ("headers", "sse", "proxy", "auth", "tls"):
            if key in self.model_fields_set:
                raise ValueError(f'has a "command", so "{key}" means nothing; remove it')
        if self.forward_user.headers or self.forward_user.exchange:
            raise ValueError('has a "command", so its user can only be told in "meta"')
        return self
