"""`servers.lock`: what each server's tools, prompts and instructions were when first seen.

Theory of operation: a JSON file beside servers.toml, meant for version control: stable order, one
line a value, each thing under its own name, no times or counts, no secrets (only a hash of a
server's configuration, with the names but not the values of variables and headers). What is first
seen is pinned; what is another one later is withheld until a human accepts it; a pin is never
dropped by itself. With the pins the first model request leaves before any server is up.

A file that is there and cannot be read is no reason to trust whatever comes next: all pins count as
lost, nothing is offered, the file is left alone, and only a human's acceptance writes a new one.
Several processes may write: each reads the file again before, under a lock, and what was pinned
first stays. Written atomically, and only when something changed.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Tool
from agent_host.servers.pinned import (
    MAX_PINNED,
    MAX_PINS,
    MAX_PROMPTS,
    Accepted,
    Pinned,
    Withheld,
    bare,
    fits,
    merged,
    read_pinned,
    size_of,
    written,
)
from agent_host.servers.spec import Spec, StdioSpec

FORMAT = 2
MAX_FILE = 64 * 1024 * 1024
"""Bytes of a lock file that are read, and written."""
_TRIES = 100
_PAUSE = 0.01
"""Seconds between two tries to be the one who writes; another needs milliseconds."""

ToolState = Literal["new", "known", "changed"]
"""Whether a definition is as it was when its tool was first seen. `new`: first seen now."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a server from last time; the tools, which have no exposed names yet, are the
    pinned ones that it had as such. `discovered`, `resources`: see `Pinned`."""

    tools: tuple[Tool, ...]
    protocol: str
    version: str
    discovered: JsonObject
    resources: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What becomes of a list of tools: those that may be offered, in the order given, and those
    that may not. `moved`: the server was configured otherwise when it was pinned."""

    tools: tuple[Tool, ...]
    withheld: tuple[Withheld, ...] = ()
    moved: bool = False


@dataclass(frozen=True, slots=True)
class _File:
    """What a file holds, by server; `newer`: written by a later version; `problem`: why its pins
    are lost, for people."""

    servers: JsonObject
    version: int = FORMAT
    newer: bool = False
    problem: str = ""


def spec_hash(spec: Spec) -> str:
    """SHA-256 (hex) of what decides which server a spec reaches; values of variables and headers
    do not count, so that a new key keeps the memory."""
    parts: list[Any]
    if spec.identity:
        parts = ["declared", spec.identity]
    elif isinstance(spec, StdioSpec):
        parts = ["stdio", spec.command, list(spec.args), spec.cwd, sorted(spec.env)]
    else:
        parts = ["http", spec.url, sorted(spec.headers)]
    text = json.dumps([*parts, spec.protocol])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Lock:
    """The content of a lock file. `problem`: why its pins are lost, if they are; `newer`: it was
    written by a later version, and is not written by this one. `generation` grows whenever another
    process or a human changed a pin, so that what is offered has to be judged again."""

    def __init__(self, path: Path, *, writes: bool, fresh: bool) -> None:
        self.path = path
        self.generation = 0
        self._writes = writes
        self._fresh = fresh
        self._stamp = _stamp(path)
        self._file = _load(path)
        self._servers: dict[str, Pinned] = {}
        self._before = {name: self.pinned(name) for name in self._file.servers}
        self._seen = {name: frozenset(held.tools) for name, held in self._before.items()}
        """By server: the tools that an earlier run, or a human, knew."""
        self._learned: set[str] = set()
        self._accepted: dict[str, Accepted] = {}

    @classmethod
    def read(cls, path: Path, *, writes: bool = True, fresh: bool = False) -> "Lock":
        """Read a lock file; a missing one is empty. Never raises. `writes`: what is learned is
        saved; `fresh`: nothing is taken from memory that the server itself can say."""
        return cls(path, writes=writes, fresh=fresh)

    @property
    def problem(self) -> str:
        """Why the pins of every server are lost; empty while they are not."""
        return self._file.problem

    @property
    def newer(self) -> bool:
        """Whether the file is of a later version."""
        return self._file.newer

    @property
    def changed(self) -> bool:
        """Whether `save` has something to write."""
        return bool(self._learned)

    def pinned(self, server: str) -> Pinned:
        """What is pinned of a server, and what was learned of it since."""
        held = self._servers.get(server)
        if held is None:
            file = self._file
            lost = Pinned(lost=bool(file.problem))
            known = server in file.servers
            held = read_pinned(server, file.servers[server], file.version) if known else lost
            self._servers[server] = held
        return held

    def before(self, server: str) -> Pinned:
        """What the file held of a server when it was read, or when a human accepted something."""
        return self._before.get(server, Pinned(lost=bool(self._file.problem)))

    def recall(self, spec: Spec) -> Remembered | None:
        """What is known of the server that `spec` names, if it is configured as it was."""
        held = self.pinned(spec.name)
        if self._fresh or held.lost or held.spec != spec_hash(spec):
            return None
        tools = (tool for name, tool in sorted(held.tools.items()) if name not in held.absent)
        return Remembered(
            tuple(tools), held.protocol, held.version, held.discovered, held.resources
        )

    def meet(self, spec: Spec, listed: Iterable[Tool]) -> Met:
        """Judge what a live server lists, and pin what was never seen."""
        self.refresh()
        name, listed = spec.name, tuple(listed)
        held = self.pinned(name)
        if held.lost:
            return Met(
                tools=(),
                withheld=tuple(Withheld(tool=t, pinned=None, why="lost") for t in listed),
            )
        pins = dict(held.tools)
        room = _Room(pins)
        tools: list[Tool] = []
        withheld: list[Withheld] = []
        seen = self._seen.get(name, frozenset())
        for tool in listed:
            pin = pins.get(tool.tool)
            if pin is None and not room.takes(tool):
                withheld.append(Withheld(tool=tool, pinned=None, why="full"))
            elif pin is None or pin.fingerprint == tool.fingerprint:
                pins.setdefault(tool.tool, bare(tool))
                tools.append(replace(tool, is_new=tool.tool not in seen))
            else:
                withheld.append(Withheld(tool=tool, pinned=pin, why="changed"))
        absent = frozenset(pins.keys() - {tool.tool for tool in tools})
        self._learn(name, replace(held, tools=pins, absent=absent))
        moved = held.spec not in ("", spec_hash(spec))
        return Met(tools=tuple(tools), withheld=tuple(withheld), moved=moved)

    def remember(
        self,
        spec: Spec,
        version: str,
        protocol: str,
        tools: Iterable[Tool] | None = None,
        *,
        title: str = "",
        discovered: JsonObject | None = None,
        instructions: str | None = None,
        resources: bool | None = None,
    ) -> None:
        """Take over what a live server said, for the next start; what was never known is pinned.

        `tools`: as for `meet`; `discovered`: what a connection wants back next time; `resources`:
        whether there are any. Each of these: None if nothing is known of it now, which keeps what
        was remembered.
        """
        if tools is not None:
            self.meet(spec, tools)
        held = self.pinned(spec.name)
        if held.lost:
            return
        if discovered is not None:
            held = replace(held, discovered=discovered if fits(discovered) else {})
        if resources is not None:
            held = replace(held, resources=resources)
        if held.instructions is None and instructions is not None:
            held = replace(held, instructions=instructions)
        title = title or held.title
        held = replace(held, spec=spec_hash(spec), title=title, version=version, protocol=protocol)
        self._learn(spec.name, held)

    def meet_prompts(self, server: str, prompts: Mapping[str, JsonObject]) -> frozenset[str]:
        """Judge the prompts that a live server lists, pin what was never seen, and return the names
        of those that may not be used."""
        self.refresh()
        held = self.pinned(server)
        if held.lost:
            return frozenset(prompts)
        pins = dict(held.prompts)
        for name, prompt in prompts.items():
            if len(pins) < MAX_PROMPTS:
                pins.setdefault(name, prompt)
        self._learn(server, replace(held, prompts=pins))
        return frozenset(name for name, prompt in prompts.items() if pins.get(name) != prompt)

    def instructions(self, server: str, said: str) -> ToolState:
        """Whether a server's instructions are those that are pinned."""
        held = self.pinned(server)
        if held.lost or held.instructions not in (None, said):
            return "changed"
        return "new" if held.instructions is None else "known"

    def accept(
        self,
        spec: Spec,
        tools: Collection[Tool],
        *,
        gone: Collection[str] = (),
        gone_prompts: Collection[str] = (),
        prompts: Mapping[str, JsonObject] | None = None,
        instructions: str | None = None,
        whole: bool = False,
    ) -> None:
        """Pin these as they are now: a human has seen them. `gone`: names whose pins may go;
        `instructions`: None leaves them as they are pinned; `whole`: it is all that the server
        has, which is what takes it out of lost pins."""
        held = self.pinned(spec.name)
        if held.lost and whole:
            held = Pinned(spec=spec_hash(spec))
        pins = {name: pin for name, pin in held.tools.items() if name not in gone}
        pins |= {tool.tool: bare(tool) for tool in tools}
        kept = {name: prompt for name, prompt in held.prompts.items() if name not in gone_prompts}
        names = {tool.tool for tool in tools}
        held = replace(
            held,
            spec=held.spec or spec_hash(spec),
            tools=pins,
            absent=held.absent & pins.keys() - names,
            prompts={**kept, **(prompts or {})},
            instructions=held.instructions if instructions is None else instructions,
        )
        self._servers[spec.name] = held
        self._learned.add(spec.name)
        self._seen[spec.name] = self._seen.get(spec.name, frozenset()) | names
        said = Accepted(
            tools=frozenset({*names, *gone}),
            prompts=frozenset({*(prompts or ()), *gone_prompts}),
            instructions=instructions is not None,
            whole=whole,
        )
        self._accepted[spec.name] = self._accepted.get(spec.name, Accepted()) | said
        self.generation += 1

    def begin_anew(self, others: Collection[str]) -> None:
        """Leave a file behind that cannot be read: the pins of `others` stay lost, each until it is
        accepted. Must not be called for a file of a later version."""
        lost = {name: {"lost": True} for name in others}
        self._file = _File(servers=lost)
        for name in others:
            self._servers.setdefault(name, Pinned(lost=True))
        self._learned.update(others)

    def refresh(self) -> None:
        """Take over what another process wrote meanwhile."""
        if (stamp := _stamp(self.path)) == self._stamp:
            return
        file = _load(self.path)
        if not file.problem:
            self._stamp = stamp
            self._take_over(file)

    def save(self) -> str | None:
        """Write the file if something changed; return why that failed, or None."""
        if not self._learned or not self._writes:
            return None
        shown = clean_line(str(self.path))
        try:
            with _alone(self.path.parent):
                problem = self._write(shown)
        except TimeoutError:
            problem = f"{shown}: another agent-host is writing it; it is not saved"
        except OSError as error:
            problem = f"{shown}: cannot be written: {error.strerror}"
        self._learned.clear()
        return problem

    def _write(self, shown: str) -> str | None:
        file = _load(self.path)
        if file.problem and not any(said.whole for said in self._accepted.values()):
            return None if self.problem else f"{file.problem} (nothing was written)"
        if not file.problem:
            self._take_over(file)
        names = sorted({*self._file.servers, *self._learned})
        servers = {name: self._entry(name) for name in names}
        document = {"format": FORMAT, "servers": servers}
        text = json.dumps(document, indent=1) + "\n"
        if len(text) > MAX_FILE:
            return f"{shown}: would be larger than {MAX_FILE >> 20} MiB; it is not saved"
        _replace(self.path, text)
        self._file = _File(servers)
        self._stamp = _stamp(self.path)
        self._accepted.clear()
        return None

    def _entry(self, server: str) -> JsonObject:
        held, raw = self.pinned(server), self._file.servers.get(server)
        return written(held) if raw is None or not held.lost else raw

    def _take_over(self, file: _File) -> None:
        """Go on from what a file holds, with what was learned here."""
        before, self._file = self._servers, file
        self._servers = {}
        for name in self._learned:
            mine = before[name]
            if name in file.servers:
                mine = merged(self.pinned(name), mine, self._accepted.get(name, Accepted()))
            self._servers[name] = mine
        if any(self.pinned(name) != held for name, held in before.items()):
            self.generation += 1

    def _learn(self, server: str, held: Pinned) -> None:
        if held != self._servers.get(server):
            self._servers[server] = held
            self._learned.add(server)


class _Room:
    """How much more may be pinned; counted when it first matters."""

    def __init__(self, pins: Mapping[str, Tool]) -> None:
        self._pins = pins
        self._size: int | None = None

    def takes(self, tool: Tool) -> bool:
        if self._size is None:
            self._size = sum(map(size_of, self._pins.values()))
        size = self._size + size_of(tool)
        if len(self._pins) >= MAX_PINS or size > MAX_PINNED:
            return False
        self._size = size
        return True


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _load(path: Path) -> _File:
    """What a file holds. Never raises."""
    shown = clean_line(str(path))
    try:
        # A pipe that waits there would be waited for without end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return _lost(shown, "is no file")
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return _File({})
    except OSError as error:
        return _lost(shown, f"cannot be read ({error.strerror})")
    if len(data) > MAX_FILE:
        return _lost(shown, f"is larger than {MAX_FILE >> 20} MiB")
    if b"\n<<<<<<< " in data:
        return _lost(shown, "holds the marks of a merge that is not resolved")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _lost(shown, "is not JSON")
    document: JsonObject = value if isinstance(value, dict) else {}
    version, servers = document.get("format"), document.get("servers")
    if isinstance(version, int) and version > FORMAT:
        text = (
            f"{shown}: was written by a later agent-host (format {version}), so it is not known "
            "what the servers' tools were, and none is offered; update agent-host, or move the "
            "file away to pin everything anew"
        )
        return _File({}, newer=True, problem=text)
    if version not in (1, FORMAT) or isinstance(version, bool) or not isinstance(servers, dict):
        return _lost(shown, "is no lock file")
    return _File(servers, version)


def _lost(shown: str, why: str) -> _File:
    text = (
        f"{shown}: {why}, so it is not known what the servers' tools were, and none is offered; "
        "restore the file (git checkout), or look at them and pin them anew: "
        "agent-host servers lock --accept"
    )
    return _File({}, problem=text)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only process that writes a lock file in a folder. Raises OSError, TimeoutError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(_PAUSE)
        else:
            raise TimeoutError
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Put a file in the place of another. Raises OSError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    # The folder may be a stranger's: no link that waits there is followed.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(partial, flags, 0o644)
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123  # a descriptor
            file.write(text)
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
