"""A message that takes the place of the last one."""


class Resent(str):
    """What somebody made of their last message: the conversation goes back to before that one, and
    this is said instead."""

    __slots__ = ()
