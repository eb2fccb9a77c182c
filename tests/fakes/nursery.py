"""`python -m tests.fakes.nursery`: a process from which the program starts at once.

Theory of operation: a start of Python that imports all that a run needs takes most of a second, and
the tests start the program thousands of times. So one process imports everything and waits; a job
arrives at its standard input as the files of the program to be and a channel, from which the rest
is read as JSON: what `subprocess` takes too. A process is forked that becomes the program, as by
`python -m agent_host`: its folder, environment, session, terminal and standard streams are its own,
nothing is open but these, and its end is real. The channel tells its process id, and its status
when it has ended.

The nursery leaves its parent, so that tests which look for processes left behind do not find it; it
ends with the last writer of its input. `tests.fakes.starts` is the other side.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import termios
import traceback
from pathlib import Path

import coverage

import agent_host

WARM = (
    "rich.markdown",
    "prompt_toolkit.shortcuts",
    "httpx2",
    "pydantic",
    "tomlkit",
    "jsonschema_rs",
)
"""What is imported by functions of many commands."""


def warm():
    for found in pkgutil.walk_packages(agent_host.__path__, "agent_host."):
        if not found.name.endswith("__main__") and ".conformance" not in found.name:
            importlib.import_module(found.name)
    for name in WARM:
        importlib.import_module(name)
    measured = coverage.Coverage.current()
    if measured is not None:
        measured.save()  # once: what the imports ran would be written by each program again
    gc.collect()
    gc.freeze()


def become(channel, streams):
    """Be the program; never returns."""
    with channel, channel.makefile("rb") as words:
        job = json.load(words)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 1 << 16)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if job["session"]:
        os.setsid()
    if job["terminal"]:
        fcntl.ioctl(2, termios.TIOCSCTTY, 0)
    os.environ.clear()
    os.environ.update(job["environment"])
    if not {"LANG", "LC_ALL", "LC_CTYPE"} & job["environment"].keys():
        os.environ["LC_CTYPE"] = "C.UTF-8"  # as Python does
    os.chdir(job["folder"])
    sys.path[0] = str(Path.cwd())
    _open_streams()
    sys.argv = ["", *job["arguments"]]
    runpy.run_module("agent_host", run_name="__main__", alter_sys=True)


def _open_streams():
    """As Python does when it starts: whether they are terminals decides when they are flushed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = os.fdopen(
            number,
            "w" if number else "r",
            buffering=1 if number == 2 or os.isatty(number) else -1,
            encoding="utf-8",
            errors="backslashreplace" if number == 2 else "surrogateescape",
            closefd=False,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def serve(jobs):
    """Start what is asked for until nobody can ask any more."""
    running = {}
    poll = select.poll()
    poll.register(jobs, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready == jobs.fileno():
                _, files, _, _ = socket.recv_fds(jobs, 1, 4)
                if not files:
                    return
                channel = socket.socket(fileno=files[0])
                pid = os.fork()
                if not pid:
                    _in_child(channel, files[1:])
                for file in files[1:]:
                    os.close(file)
                end = os.pidfd_open(pid)
                running[end] = (pid, channel)
                poll.register(end, select.POLLIN)
                _tell(channel, pid)
            else:
                poll.unregister(ready)
                os.close(ready)
                pid, channel = running.pop(ready)
                _, status = os.waitpid(pid, 0)
                _tell(channel, os.waitstatus_to_exitcode(status))
                channel.close()


def _in_child(channel, streams):
    try:
        become(channel, streams)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _tell(channel, number):
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        channel.sendall(b"%d\n" % number)


def main():
    warm()
    if os.fork():
        os._exit(0)
    with socket.socket(fileno=os.dup(0)) as jobs:
        serve(jobs)


if __name__ == "__main__":
    main()
