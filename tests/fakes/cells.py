"""What the tests of sandboxes share: programs started as servers are, confined by each kind of
sandbox that this machine has.

Where a machine has none (a container that may not make namespaces, an old kernel) a test of a kind
asserts what has to hold then: a server whose sandbox is required is not started.
"""

import functools
import inspect
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent_host.sandbox.confine import Sandbox
from agent_host.sandbox.machine import Machine, available
from agent_host.sandbox.wish import Wish, grants
from agent_host.servers.spec import StdioSpec
from agent_host.servers.transports.process import ServerProcess, SpawnFailure, start

REAL = available(os.environ, loopback=True)
NOTHING = Machine(why_not="bubblewrap is not installed")
KINDS = ("bubblewrap", "landlock")
NOWHERE = "/home/nobody-at-all"
DEADLINE = 30

TRYING = """
import json, os, socket, sys
found = {}
def attempt(name, act):
    try:
        found[name] = act()
    except BaseException as error:
        found[name] = type(error).__name__
def tell():
    print(json.dumps(found, default=repr), flush=True)
"""
"""What code starts with that tries things: `attempt(name, act)`, and `tell()` at the end."""


def machine_of(kind):
    """This machine, as if it had only that kind."""
    if kind == "bubblewrap" and REAL.bubblewrap:
        return REAL
    if kind == "landlock":
        return replace(REAL, bubblewrap="", why_not="bubblewrap is not installed")
    return NOTHING


def has(kind):
    return Sandbox(wish=Wish(server="s"), machine=machine_of(kind)).kind == kind


@dataclass
class Ended:
    status: int | None
    out: str
    err: str


@dataclass
class Cell:
    """A kind of sandbox, and how to run Python code in it. `folder` is where it starts, which is
    granted only if a test says so."""

    kind: str
    folder: Path

    def sandbox(self, *, read=(), write=(), private=(), **wish):
        machine = wish.pop("machine", machine_of(self.kind))
        writable = grants(map(str, write), self.folder)
        return Sandbox(
            wish=Wish(
                server=wish.pop("server", "s"),
                read=grants(map(str, read), self.folder, writable),
                write=writable,
                private=(str(Path.home()), *map(str, private)),
                home=wish.pop("home", NOWHERE),
                **wish,
            ),
            machine=machine,
        )

    def spec(self, code, *args, env=None, cwd=None, name="s", **wish):
        return StdioSpec(
            name=name,
            command=sys.executable,
            args=("-I", "-S", "-c", code, *map(str, args)),
            env=env or {},
            cwd=str(cwd or self.folder),
            sandbox=self.sandbox(**wish),
        )

    def start(self, code, *args, environ=None, **more):
        return start(self.spec(code, *args, **more), os.environ if environ is None else environ)

    def run(self, code, *args, **more):
        """Run code to its end."""
        process = self.start(code, *args, **more)
        assert isinstance(process, ServerProcess), process
        return finished(process)

    def answer(self, code, *args, **more):
        """What code says about what it tried: JSON on its last line."""
        ended = self.run(code, *args, **more)
        assert ended.out.strip(), (ended.status, ended.err)
        return json.loads(ended.out.strip().splitlines()[-1])

    def tried(self, code, *args, **more):
        """What came of each `attempt` of code: what it returned, or the error's name."""
        return self.answer(f"{TRYING}{code}\ntell()", *args, **more)


def finished(process):
    """Wait for a program's end. Its input stays open meanwhile, as a server's does."""
    out, err = whole(process.stdout), whole(process.stderr)
    status = process.wait(DEADLINE)
    process.discard()
    return Ended(status, out, err)


def whole(pipe):
    return b"".join(iter(lambda: pipe.read(1 << 16), b"")).decode()


def in_each_kind(test):
    """Run a test, whose first argument is a Cell, in each kind of sandbox."""

    @pytest.mark.parametrize("kind", KINDS)
    @functools.wraps(test)
    def run(kind, tmp_path, **fixtures):
        cell = Cell(kind, tmp_path)
        if has(kind):
            test(cell, **fixtures)
            return
        refused = cell.start("raise SystemExit", mode="required")
        assert isinstance(refused, SpawnFailure)
        assert "its sandbox is required, and this machine lacks" in refused.reason

    signature = inspect.signature(test)
    own = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in ("kind", "tmp_path")]
    given = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=[*own, *given[1:]])
    return run
