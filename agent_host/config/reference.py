"""The reference of servers.toml and the environment, generated from the schema.

Theory of operation: `scripts/make_reference.py` writes what `reference` returns to
docs/reference/config.md, and a test compares: a key without a description, or a document that is
out of date, fails.
"""

import json
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

from agent_host.config import rows
from agent_host.config.load import OVERRIDES
from agent_host.config.organisation import OrganisationConfig, OwnPolicyConfig
from agent_host.config.paths import CONFIG_VARIABLE, ORGANISATION_FILE, POLICY_FILE
from agent_host.config.schema import TABLES, Config
from agent_host.config.terminal_file import FILE as TERMINAL_FILE
from agent_host.config.terminal_file import KEYS as TERMINAL_KEYS
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import built_in

_HEAD = f"""# servers.toml

One file says which MCP servers there are, which model answers, and who may do what. The first of
these is used:

1. the file that `--config FILE` names,
2. the file that the variable `{CONFIG_VARIABLE}` names,
3. `servers.toml` in the working folder (folders above it are not searched),
4. `servers.toml` in the user's config folder (on Linux `~/.config/agent-host/`).

Relative paths inside it start from its own folder. An unknown key is an error. What the
environment says goes before the file, and what a flag says before both; `agent-host config show`
prints every value in effect and where it came from.
"""

_ABOVE = f"""## The two files above it

`{ORGANISATION_FILE}` is the organisation's. It has to belong to root and be writable by nobody
else, or nothing starts. It may have these tables, with the keys above: {{organisation}}.
Different there: a rule's `effect`, `policy.default` and `policy.flow` can only ask or deny;
`[identity]` needs `issuer` and `audience`, its `token` may be left to servers.toml; paths start
with `/` or `~/`; `identity.issuer` and `audit.send_to` hold no references.

`{POLICY_FILE}` beside your own servers.toml is yours, for every project. It may have: {{own}}.

What they say holds whatever servers.toml says: [docs/policy.md](../policy.md#three-files).
"""

_SECRETS = """## Secrets

`${env:NAME}` stands for an environment variable, `${file:PATH}` for the text of a file without
its last line break, `${keyring:SERVICE/NAME}` for an entry of the system's keyring (which needs
`pip install agent-host[keyring]`; `keyring set SERVICE NAME` makes one), `$${` for a plain `${`.
References are resolved when a server is started or a request is made, and are kept nowhere. They
may stand in `api_key`, `base_url`, `url`, `proxy`, the values of `env` and `headers`, the secrets
of `auth`, and `identity.token`; not in `args`, which every user of the machine can read.

## Trust

A servers.toml that starts commands or names URLs is used only once exactly what it starts and
names was trusted: a question at a terminal, else `--trust` or `agent-host trust`. Any change of a
command, argument, variable, folder, URL or header, or a laxer policy, asks again and shows what
changed. So does what is written down and where it is sent ([secrets], [audit], [telemetry]),
what an allowing rule rests on (conditions, totals, roles), and a server's labels and sandbox.
The servers.toml of your own config folder and the bundled demo server need no trust.
"""


def reference() -> str:
    """Return the reference as Markdown."""
    parts = [_HEAD]
    for place, model in TABLES:
        parts.append(_table(place, model))
    parts += [_provider_rows(), _above(), _terminal(), _SECRETS, _environment(), _providers()]
    return "\n".join(parts)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of servers.toml (for editors)."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "servers.toml"
    providers = rows.json_schema()
    schema["$defs"] |= providers.pop("$defs")
    schema["properties"]["providers"] = providers
    return schema


def _above() -> str:
    return _ABOVE.format(
        organisation=_tables_of(OrganisationConfig), own=_tables_of(OwnPolicyConfig)
    )


def _terminal() -> str:
    lines = [
        f"## `{TERMINAL_FILE}`",
        "",
        f"`{TERMINAL_FILE}` beside your own servers.toml is how you want the terminal, whatever",
        "the project; no project can say these. [docs/chat.md](../chat.md) tells what they do.",
        "",
        "| key | says | default | |",
        "|---|---|---|---|",
    ]
    for name, key in TERMINAL_KEYS.items():
        says = ", ".join(f"`{choice}`" for choice in key.choices) or "true or false"
        default = json.dumps(key.choices[0]) if key.choices else "true"
        lines.append(f"| `{name}` | {says} | `{default}` | {key.about} |")
    return "\n".join([*lines, ""])


def _tables_of(model: type[BaseModel]) -> str:
    return ", ".join(f"`[{name}]`" for name in model.model_fields)


def _heading(place: tuple[str, ...]) -> str:
    if not place:
        return "## At the top of the file"
    name = ".".join("NAME" if part == "*" else part for part in place)
    return "## `[[policy.rules]]`" if place[-2:] == ("rules", "*") else f"## `[{name}]`"


def _table(place: tuple[str, ...], model: type[BaseModel]) -> str:
    lines = [_heading(place), "", (model.__doc__ or "").strip(), ""]
    lines += ["| key | type | default | |", "|---|---|---|---|"]
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        if not field.description:  # a table of its own
            continue
        default = "needed" if field.is_required() else _default(field.default)
        kind = _kind(properties[name])
        lines.append(f"| `{name}` | {kind} | {default} | {field.description} |")
    return "\n".join([*lines, ""])


def _provider_rows() -> str:
    """Every key of a provider's table."""
    table = [
        "## `[providers.NAME]`",
        "",
        "What is said of a provider, over what is known of it, or of a new one. Every key may",
        "also stand in `[providers.NAME.adapters.ADAPTER]`, where it holds for that adapter only,",
        "and in `[[providers.NAME.models]]`, where it holds for the models that the globs of",
        "`match` name (in lower case; later tables win). The same tables may stand in",
        "`profiles.toml` beside your own servers.toml, where they hold for every project; a",
        "project's go before them.",
        "[docs/providers.md](../providers.md) has one to paste for each provider.",
        "",
        "| key | type | default | |",
        "|---|---|---|---|",
    ]
    usual = Profile()
    for key in rows.KEYS:
        kind = _kind(TypeAdapter(rows.kind_of(key)).json_schema())
        default = getattr(usual, key)
        shown = _default(list(default) if isinstance(default, tuple) else default)
        table.append(f"| `{key}` | {kind} | {shown} | {rows.meaning(key)} |")
    return "\n".join([*table, ""])


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined or value == "":
        return ""
    return f"`{json.dumps(value)}`"


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"] if value)
    if "anyOf" in schema:
        return next(_kind(s) for s in schema["anyOf"] if s.get("type") != "null")
    match schema.get("type"):
        case "array":
            return f"array of {_kind(schema['items'])}"
        case "object":
            return "table of text"
        case "string":
            return "text"
        case "integer":
            return "whole number"
        case other:
            return str(other)


def _environment() -> str:
    lines = ["## The environment", "", "| variable | key | |", "|---|---|---|"]
    lines.append(f"| `{CONFIG_VARIABLE}` | | The servers.toml to use. |")
    lines += [f"| `{o.variable}` | `{o.key}` | {o.description} |" for o in OVERRIDES]
    return "\n".join([*lines, ""])


def _providers() -> str:
    lines = [
        "## Known providers",
        "",
        '`model = "auto"` takes the first whose key is in the environment.',
        "`NAME:MODEL` asks for another of its models, `ADAPTER+NAME:MODEL` through another",
        "adapter; a `[models.x]` table says everything else.",
        "",
        "| name | adapter | key | model of `auto` | URL |",
        "|---|---|---|---|---|",
    ]
    for p in built_in().providers:
        key = f"`{p.key_variable}`" if p.key_variable else "none"
        model = f"`{p.default_model}`" if p.default_model else "never taken by `auto`"
        lines.append(f"| `{p.provider}` | {p.adapter} | {key} | {model} | {p.base_url} |")
    return "\n".join([*lines, ""])
