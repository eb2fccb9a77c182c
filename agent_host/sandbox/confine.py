"""Which sandbox a server gets, what that enforces, and the command line that starts it confined.

Theory of operation: bubblewrap where it works, else Landlock with a filter, else nothing. What was
asked for and cannot be enforced is in `Sandbox.missing`: a server whose mode is `required` is then
not started, and one whose mode is `auto` is, with a warning that names it. A server without any
network never gets one because of that: a filter or a network of its own is there, or nothing is.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from agent_host.ports import Confined
from agent_host.sandbox import bubblewrap, grants, landlock, seccomp
from agent_host.sandbox.machine import LAUNCHER, Machine
from agent_host.sandbox.program import parts
from agent_host.sandbox.wish import Wish


def choose(machine: Machine) -> str:
    """Return `bubblewrap`, `landlock`, or `none`."""
    if machine.bubblewrap and machine.filters:
        return "bubblewrap"
    return "landlock" if machine.landlock and machine.filters else "none"


@dataclass(frozen=True)
class Sandbox:
    """The sandbox of one server (a `ports.Sandbox`)."""

    wish: Wish
    machine: Machine

    @cached_property
    def kind(self) -> str:
        """`bubblewrap`, `landlock`, or `none`: it runs without, or not at all."""
        return choose(self.machine)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """What was asked for and is not enforced here, each with its reason."""
        wish, machine = self.wish, self.machine
        if self.kind == "none":
            why = machine.why_not
            if not machine.filters and (machine.bubblewrap or machine.landlock):
                why = f"seccomp filters cannot be had on {machine.processor}"
            elif not machine.landlock and machine.remedy:
                why = f"{why}; Landlock is not there either"
            return (f"a way to confine programs ({why})",)
        found = []
        if wish.network == "loopback" and not machine.loopback:
            found.append('network = "loopback" (the kernel does not let a process stay between)')
        if wish.processes is not None and machine.root:
            found.append("processes (root's are not counted)")
        return tuple(found)

    @property
    def refusal(self) -> str:
        """Why the server must not be started, for people; empty if it may."""
        if self.wish.mode != "required" or not self.missing:
            return ""
        lacks = "; ".join(self.missing)
        return f"its sandbox is required, and this machine lacks {lacks}: {self.remedy}"

    @property
    def remedy(self) -> str:
        """What would make it enforce more, for people; empty if nothing would."""
        install = self.machine.remedy if self.kind != "bubblewrap" else ""
        if self.wish.mode == "required" and self.missing:
            weaker = f'put mode = "auto" into {self.wish.where("mode")}'
            return f"{install}, or {weaker}" if install else weaker
        return install

    @property
    def warning(self) -> str:
        """What to tell aloud of a server that is started with less than was asked for."""
        if not self.missing or self.wish.mode == "required":
            return ""
        lacks = "; ".join(self.missing)
        if self.kind == "none":
            return f"runs WITHOUT a sandbox, with all of the user's rights; missing: {lacks}"
        return f"runs in a sandbox ({self.kind}) that does not enforce {lacks}"

    @property
    def gaps(self) -> tuple[str, ...]:
        """What this kind of sandbox does not refuse by its nature, for people."""
        if self.kind != "landlock":
            return ()
        return tuple(landlock.gaps(self.wish, self.machine.landlock))

    def wrap(
        self, executable: str, args: Sequence[str], environ: Mapping[str, str], cwd: str
    ) -> Confined | str:
        """Return the command line that starts a program confined, or why there is none."""
        if self.refusal:
            return self.refusal
        if self.kind == "none":
            return Confined()
        path = environ.get("PATH", os.defpath)
        found = parts(executable, args, cwd=cwd, path=path, private=self.wish.private)
        start = (sys.executable, "-I", "-S", str(LAUNCHER))
        options = self._limits()
        if self.kind == "landlock":
            return self._by_rules(start, options, found, environ)
        argv = bubblewrap.arguments(self.wish, self.machine, found, cwd)
        options += [f"bwrap={argument}" for argument in argv]
        options += self._scopes()
        options.append(f"filter={self._filter(seccomp.Filter(sockets=self._sockets()))}")
        changed = {"TMPDIR": bubblewrap.TMP} if "TMPDIR" in environ else {}
        # Between the keeper and the server: bubblewrap, and who stays between.
        return Confined(
            argv=(*start, *options, *self._listener(), "--"),
            environ=changed,
            shields=2 if self._listener() else 1,
        )

    def grant(self, said: str) -> str:
        """Return which line of the config would grant what a server says it was refused, or
        empty."""
        return "" if self.kind == "none" else grants.grant(self.wish, said)

    def _by_rules(
        self,
        start: Sequence[str],
        options: list[str],
        found: Sequence[str],
        environ: Mapping[str, str],
    ) -> Confined | str:
        try:
            scratch = _scratch(environ)
        except OSError as error:
            return f"its folder for temporary files cannot be made: {error.strerror}"
        version = self.machine.landlock
        files, tcp, scopes = landlock.handled(version, self.wish.network)
        options.append(f"handled={files}:{tcp}:{scopes}")
        options += [f"rule={rights}:{p}" for rights, p in landlock.rules(self.wish, found, scratch)]
        wanted = landlock.wanted(self.wish, version)
        if wanted.sockets == "notify" and not self.machine.loopback:
            wanted = replace(wanted, sockets="internet")
        listener = self._listener()
        if listener:
            wanted = replace(wanted, sockets="any")  # the listener's filter is narrower
        options.append(f"filter={self._filter(wanted)}")
        return Confined(
            argv=(*start, *options, *listener, "--"),
            environ={"TMPDIR": scratch},
            scratch=scratch,
            shields=1 if listener else 0,
        )

    def _sockets(self) -> seccomp.Sockets:
        """With the machine's network, its abstract sockets are in reach unless a scope holds; to
        read everything is not meant to open every socket in the file system."""
        if any(grant.real == "/" for grant in self.wish.read):
            return "internet"
        if self.wish.network == "none" or landlock.scopes(self.machine.landlock):
            return "any"
        return "internet"

    def _listener(self) -> tuple[str, ...]:
        if self.wish.network != "loopback" or not self.machine.loopback:
            return ()
        return (f"listener={self._filter(seccomp.Filter(dangerous=False, sockets='notify'))}",)

    def _scopes(self) -> list[str]:
        scopes = landlock.scopes(self.machine.landlock)
        return [f"handled=0:0:{scopes}"] if scopes else []

    def _filter(self, wanted: seccomp.Filter) -> str:
        return seccomp.program(wanted, self.machine.processor).hex()

    def _limits(self) -> list[str]:
        """The options that limit. Where the kernel counts a user's processes in all, the limit is
        what runs now, the keeper, and what is granted."""
        options = ["core=0"]
        if self.wish.memory is not None:
            options.append(f"data={self.wish.memory << 20}")
        if self.wish.processes is not None and not self.machine.root:
            if self.kind == "bubblewrap" and self.machine.counts_inside:
                options.append(f"inside={self.wish.processes + 1}")  # and bubblewrap's own
            else:
                options.append(f"nproc={_running() + 1 + self.wish.processes}")
        return options


def _scratch(environ: Mapping[str, str]) -> str:
    folder = Path(environ.get("TMPDIR", "/tmp"), f"agent-host-{os.urandom(8).hex()}")  # noqa: S108
    folder.mkdir(mode=0o700)
    return os.path.realpath(folder)


def _running() -> int:
    """How many processes and threads this user has now."""
    count, user = 0, os.getuid()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == user:
                    count += len(os.listdir(entry / "task"))  # noqa: PTH208
            except OSError:
                continue
    return count
