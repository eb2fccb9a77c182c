"""The calls that put bytes on a disk, as `os` has them; tests let the n-th of them fail."""

import os
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What a file that must not be lost needs of a disk."""

    write: Callable[[int, bytes | memoryview], int] = os.write
    sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
    truncate: Callable[[int, int], None] = os.ftruncate


DISK = Disk()
