"""Folders that only their owner can use.

Theory of operation: `Path.mkdir(mode=0o700, parents=True)` makes the folders above with what the
umask leaves, and a folder that others can write lets them put another one in the place of what is
below it. So each missing one is made for its owner alone (XDG Base Directory Specification: "with
permission 0700"). Folders that are there already stay as they are.
"""

from pathlib import Path


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, with mode 0700. Raises OSError."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    if not path.is_dir():
        path.mkdir()  # raises what says so
