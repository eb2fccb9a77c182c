"""Whether a run's process is alive: it holds the lock on its transcript (see `transcript`).

Theory of operation: the table of locks of the kernel is read where there is one (proc(5)), which
disturbs nobody. Elsewhere the lock is asked for, shared, and let go at once.
"""

import fcntl
import os
from pathlib import Path

from agent_host.state.locks import known_holder


def holder(path: Path) -> str | None:
    """Return who holds a transcript, for people (`process 4711`), or None if nobody does or there
    is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        told, found = known_holder(fd)
        if told:
            return found
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return "another process"
    finally:
        os.close(fd)
    return None
