"""The generated reference of servers.toml."""

import jsonschema_rs

from agent_host.config import rows
from agent_host.config.load import OVERRIDES
from agent_host.config.reference import json_schema, reference
from agent_host.config.schema import TABLES
from agent_host.profiles.table import built_in

TABLES_IN_TABLES = {
    "models", "servers", "policy", "limits", "rules", "tools", "providers", "auth", "tls",
    "forward_user", "identity", "sampling", "secrets", "audit", "telemetry", "sandbox", "totals",
    "context", "records",
}  # fmt: skip


def test_every_key_has_a_description_and_a_row():
    text = reference()
    for place, model in TABLES:
        for name, field in model.model_fields.items():
            if name in TABLES_IN_TABLES and not field.description:
                continue
            assert field.description, (place, name)
            assert f"| `{name}` | " in text
            assert "|" not in field.description


def test_every_table_variable_and_provider_is_in_it():
    text = reference()
    for heading in ("[models.NAME]", "[servers.NAME.tools]", "[[policy.rules]]", "[limits]"):
        assert f"## `{heading}`" in text
    for override in OVERRIDES:
        assert override.variable in text
    for provider in built_in().providers:
        assert provider.base_url in text


def test_the_files_above_servers_toml_are_in_it():
    text = reference()
    assert "`/etc/agent-host/policy.toml` is the organisation's" in text
    assert (
        "these tables, with the keys above: `[policy]`, `[identity]`, `[audit]`, `[secrets]`."
        in text
    )
    assert "It may have: `[policy]`." in text


def test_the_json_schema_refuses_unknown_keys():
    assert json_schema()["additionalProperties"] is False


def test_the_json_schema_knows_the_tables_of_providers():
    validator = jsonschema_rs.validator_for(json_schema())
    row = {"base_url": "https://h.example", "models": [{"match": ["a*"], "images": True}]}
    assert validator.is_valid({"providers": {"mine": row}})
    assert not validator.is_valid({"providers": {"mine": row | {"imagse": True}}})
    assert not validator.is_valid({"providers": {"mine": row | {"adapters": {"anthropic": 3}}}})


def test_every_key_of_a_provider_has_a_row():
    text = reference()
    assert "## `[providers.NAME]`" in text
    for key in rows.KEYS:
        assert f"| `{key}` | " in text
        assert "|" not in rows.meaning(key)
