"""The calls by which a program reaches the disk and the clock, as a fault wants them.

Theory of operation: `install` has to come before anything of the program is imported: it puts
counting functions in the place of `os.write`, `os.fdatasync` and `os.fsync`, and a clock that can
be set beside `time` and `datetime`. They do what the real ones do until `arm` names the one call
that goes wrong: the n-th of its kind on a file whose path holds a word. `fired` is then a file that
tells the test that the fault was met.
"""

import datetime as dt
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

CALLS = {
    "write": ("write",),
    "sync": ("fdatasync", "fsync"),
    "any": ("write", "fdatasync", "fsync"),
}


@dataclass(kw_only=True)
class Fault:
    """`kind`: kill-after, kill-torn, error, short; or what is done to the folder of the file before
    the call: remove-file, remove-folder, move-folder. `nth`: from 1. `of`: what the path
    of the file holds. `clock`: seconds that the wall clock is off."""

    kind: str = ""
    call: str = "any"
    nth: int = 0
    of: str = ".jsonl"
    error: int = 0
    clock: float = 0.0
    fired: str = ""


MEDDLING = {
    "remove-file": lambda file: file.unlink(),
    "remove-folder": lambda file: shutil.rmtree(file.parent),
    "move-folder": lambda file: file.parent.rename(file.parent.with_name("moved")),
}

_armed = Fault()
_real = {name: getattr(os, name) for name in CALLS["any"]}
_time, _time_ns, _datetime = time.time, time.time_ns, dt.datetime


class _Clock(type(_datetime)):
    def __instancecheck__(cls, value):
        return isinstance(value, _datetime)


class _Datetime(_datetime, metaclass=_Clock):
    @classmethod
    def now(cls, tz=None):
        return _datetime.now(tz) + dt.timedelta(seconds=_armed.clock)


def install():
    for name in CALLS["any"]:
        setattr(os, name, _counted(name))
    time.time = lambda: _time() + _armed.clock
    time.time_ns = lambda: _time_ns() + int(_armed.clock * 1_000_000_000)
    dt.datetime = _Datetime


def arm(fault):
    global _armed  # noqa: PLW0603 - one process, one fault
    _armed = fault


def _counted(name):
    real = _real[name]

    def call(fd, *data):
        if not _armed.nth or name not in CALLS[_armed.call] or not _is_meant(fd):
            return real(fd, *data)
        _armed.nth -= 1
        return real(fd, *data) if _armed.nth else _fail(name, fd, *data)

    return call


def _is_meant(fd):
    try:
        return _armed.of in str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return False


def _fail(name, fd, *data):
    real = _real[name]
    Path(_armed.fired).touch()
    if _armed.kind in MEDDLING:
        MEDDLING[_armed.kind](Path(f"/proc/self/fd/{fd}").readlink())
        return real(fd, *data)
    half = bytes(data[0])[: len(data[0]) // 2] if data else b""
    if _armed.kind == "kill-after":
        real(fd, *data)
    if _armed.kind == "kill-torn" and data:
        real(fd, half)
    if _armed.kind.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    if _armed.kind == "short":
        return real(fd, half)
    raise OSError(_armed.error, os.strerror(_armed.error))
