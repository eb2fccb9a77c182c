"""What holds where several files say it: the strictest that was said."""

import pytest

from agent_host.config.layers import (
    Layer,
    default_of,
    expires_of,
    flow_of,
    max_asks_of,
    roles_of,
    totals_of,
)
from agent_host.config.policy_tables import PolicyConfig

LEVELS = ("organisation", "user", "project")


def layers(*tables):
    """A layer a table, from the organisation's down; None: there is no such file."""
    return tuple(
        Layer(
            level=level,
            name=level,
            policy=PolicyConfig.model_validate(table),
            where=lambda *key, level=level: f"{level}:{key[-1]}",
        )
        for level, table in zip(LEVELS, tables, strict=True)
        if table is not None
    )


@pytest.mark.parametrize(
    ("tables", "default"),
    [
        (({}, {}, {}), ("ask", "")),
        (({}, {}, {"default": "allow"}), ("allow", "project:default")),
        (({}, {"default": "ask"}, {"default": "allow"}), ("ask", "user:default")),
        (({"default": "ask"}, {"default": "deny"}, {}), ("deny", "user:default")),
        (({"default": "deny"}, {}, {"default": "allow"}), ("deny", "organisation:default")),
        ((None, None, {"default": "deny"}), ("deny", "project:default")),
    ],
)
def test_the_strictest_default_that_was_said_holds(tables, default):
    assert default_of(layers(*tables)) == default


@pytest.mark.parametrize(
    ("tables", "flow"),
    [
        (({}, {}, {}), ("ask", "")),
        (({}, {}, {"flow": "off"}), ("off", "project:flow")),
        (({}, {"flow": "ask"}, {"flow": "off"}), ("ask", "user:flow")),
        (({"flow": "deny"}, {"flow": "ask"}, {"flow": "off"}), ("deny", "organisation:flow")),
    ],
)
def test_the_strictest_flow_that_was_said_holds(tables, flow):
    assert flow_of(layers(*tables)) == flow


def test_the_shortest_time_and_the_fewest_questions_hold():
    found = layers({"expires": "2h", "max_asks": 9}, {"expires": "30m"}, {"max_asks": 100})
    assert expires_of(found) == 1800
    assert max_asks_of(found) == 9
    assert (expires_of(layers({}, {}, {})), max_asks_of(layers({}, {}, {}))) == (86400, 50)
    assert expires_of(layers(None, None, {"expires": "30d"})) == 30 * 86400


def test_each_total_has_the_layer_that_defines_it():
    found = totals_of(layers({"totals": {"a": {}}}, None, {"totals": {"b": {"window": "1h"}}}))
    assert {name: layer.level for name, (_, layer) in found.items()} == {
        "a": "organisation",
        "b": "project",
    }


def test_only_the_organisations_roles_count_where_it_has_a_file():
    tables = ({}, {"roles": {"boss": ["ana"]}}, {"roles": {"boss": ["eve"], "desk": ["bo"]}})
    assert list(roles_of(layers(*tables))) == []
    without = [(role, [m.name for m in who]) for role, who in roles_of(layers(None, *tables[1:]))]
    assert without == [("boss", ["ana"]), ("boss", ["eve"]), ("desk", ["bo"])]
