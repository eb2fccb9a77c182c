"""A value with some fields changed."""

import dataclasses

import pytest

from agent_host.core.calls import CallState
from agent_host.core.replacing import replace
from agent_host.core.state import Conversation
from agent_host.core.types import Text, ToolCall

CALL = ToolCall(id="c", name="orders__find", arguments={"a": 1})


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (Conversation(run_id="r", cost=1.5), {"cost": 2.5, "system": "s", "messages": ()}),
        (CallState(call=CALL, arguments={"a": 1}), {"started": True, "rules": ("one",)}),
        (Text(text="one"), {"text": "two"}),
    ],
)
def test_it_is_what_the_standard_library_makes(value, changes):
    before = repr(value)
    made = replace(value, **changes)
    assert made == dataclasses.replace(value, **changes)
    assert type(made) is type(value)
    assert repr(value) == before


def test_a_value_stays_frozen_and_keeps_no_field_that_it_has_not():
    made = replace(Conversation(), run_id="r")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.run_id = "another"
    names = {field.name for field in dataclasses.fields(Conversation)}
    assert vars(made).keys() == names
    with pytest.raises(TypeError, match="no_field"):
        replace(Text(text="one"), no_field=1)
