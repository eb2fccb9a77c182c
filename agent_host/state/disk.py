"""The calls that put bytes on a disk, as `os` has them; tests let the n-th of them fail."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What a file that must not be lost needs of a disk."""

    write: Callable[[int, bytes | memoryview], int] = os.write
    sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
    truncate: Callable[[int, int], None] = os.ftruncate

    def why_short(self, fd: int) -> OSError:
        """Return why a write stopped short: what the next byte says (a full disk, or a limit on
        the size of files). The caller has to take back what was written."""
        try:
            self.write(fd, b"\0")
        except OSError as error:
            return error
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


DISK = Disk()
