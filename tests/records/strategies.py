"""Any record that an engine could write, as hypothesis strategies made from the dataclasses."""

import functools
import types
from dataclasses import fields, is_dataclass
from typing import Literal, Union, get_args, get_origin

from hypothesis import strategies as st

from agent_host.core import events as e

TEXTS = st.text(max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
PLAIN = {
    str: TEXTS,
    int: st.integers(min_value=0),
    bool: st.booleans(),
    float: NUMBERS,
    type(None): st.none(),
    dict: st.dictionaries(TEXTS, JSON, max_size=4),
}


@functools.cache
def values(hint):
    """Any value that a field of an event may hold."""
    if hint is e.Event:
        return st.one_of(*(values(kind) for kind in get_args(hint)))
    kind = get_origin(hint) or hint
    if kind is Literal:
        return st.sampled_from(get_args(hint))
    if kind is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if kind in (types.UnionType, Union):
        return st.one_of(*(values(choice) for choice in get_args(hint)))
    if not is_dataclass(kind):
        return PLAIN[kind]
    fixed = {"schema": st.just(e.SCHEMA)}
    return st.builds(kind, **{f.name: fixed.get(f.name, values(f.type)) for f in fields(kind)})


RECORDS = values(e.Record)
