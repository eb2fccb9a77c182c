"""A value with some fields changed, at the cost of a copy.

Theory of operation: each event makes the next state of a run, and a long run that is taken over
has hundreds of thousands. `dataclasses.replace` calls `__init__` with all fields, which for the
forty of a conversation takes ten times as long as copying its `__dict__`. So the two values that
are made with each event have one, and everything else is left to `dataclasses`.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import replace  # what the checker knows the fields by
else:

    def replace(value: Any, /, **changes: Any) -> Any:
        """As `dataclasses.replace`, for values without `__post_init__`. The checker sees to it
        that the fields exist; of a value with slots they are looked at here as well."""
        try:
            fields = value.__dict__
        except AttributeError:
            return dataclasses.replace(value, **changes)
        new = object.__new__(type(value))
        new.__dict__.update(fields, **changes)
        return new


__all__ = ["replace"]
