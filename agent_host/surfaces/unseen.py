"""What is typed before a screen stands is not shown twice.

Theory of operation: a terminal shows what is typed while nobody reads it, in the middle of whatever
is written; the screen shows it again in its line. So until the screen stands the terminal only
keeps it. However the program ends, the terminal is as it was before.
"""

import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


@contextmanager
def typed_unseen(stream: TextIO) -> Iterator[None]:
    """While inside, the terminal of `stream`, if it is one, does not show what is typed."""
    try:
        fd = stream.fileno()
        before = termios.tcgetattr(fd)
    except (termios.error, OSError, ValueError):
        yield
        return
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(fd, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, before)
