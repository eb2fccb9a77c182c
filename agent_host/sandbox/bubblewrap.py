"""A sandbox of namespaces: bubblewrap's arguments.

Theory of operation: the server sees a file system of its own, in which there is only what is bound
into it: the system and its program to read, what the config grants, a private /tmp in memory, and
its own /proc and /dev. Everything else is not there, which also hides sockets. Its processes have
numbers of their own and end with the first of them. A server without network has a network of its
own, with nothing on it. Mounts go from the outer folder to the inner, so that what is granted in a
folder is what counts there; guarded files come last.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from agent_host.sandbox import system
from agent_host.sandbox.machine import Machine
from agent_host.sandbox.wish import Grant, Wish, beside, inside, reached

TMP = "/tmp"  # noqa: S108  # the sandbox's own
TMP_BYTES = 512 * 1024 * 1024
"""What a private /tmp may hold, in memory, where no `memory` is set."""


def arguments(wish: Wish, machine: Machine, parts: Sequence[str], cwd: str) -> list[str]:
    """Return bubblewrap's path and its arguments, without the program. `parts`: what belongs to
    the program; `cwd`: where it starts."""
    argv = [machine.bubblewrap, "--unshare-all", "--die-with-parent", "--new-session"]
    argv += ["--cap-drop", "ALL"]
    if wish.network != "none":
        argv.append("--share-net")
    whole = any(grant.real == "/" for grant in wish.read)
    argv += ["--ro-bind", "/", "/"] if whole else [*_links()]
    # What sets up the kernel asks for root's number and for no capability, and bubblewrap takes a
    # folder that root cannot write into for one in which root can change nothing.
    argv += ["--proc", "/proc", "--ro-bind-try", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    if machine.sized_tmpfs:
        size = TMP_BYTES if wish.memory is None else wish.memory << 20
        argv += ["--size", str(size)]
    argv += ["--tmpfs", TMP]
    for folder in (wish.home, cwd):
        if folder not in ("", "/") and (not whole or inside(folder, TMP)):
            argv += ["--dir", folder]
    for option, real, named in _mounts(wish, parts, whole=whole):
        argv += [option, real, named]
    argv += _kept(wish, (*parts, *wish.program))
    if not whole:
        argv += ["--remount-ro", "/"]
    return [*argv, "--chdir", cwd]


def _kept(wish: Wish, parts: Iterable[str]) -> Iterator[str]:
    """What is kept from a server in folders that it is granted, but for its own program."""
    for path in wish.guarded:
        if reached(path, wish.write) and Path(path).exists():
            for place in _shown_at(path, wish.write):
                yield from ("--ro-bind", path, place)
    granted = (*wish.read, *wish.write)
    for path in wish.hidden:
        if beside(path, granted) and Path(path).is_dir():
            for place in _shown_at(path, granted):
                yield from ("--tmpfs", place)
                for part in parts:
                    if inside(part, path):
                        yield from ("--ro-bind", part, _moved(part, path, place))
                yield from ("--remount-ro", place)


def _shown_at(path: str, grants: Iterable[Grant]) -> Iterator[str]:
    """Every place at which grants show a path: itself, and where a symlink names what it is in."""
    within = [grant for grant in grants if inside(path, grant.real)]
    yield from dict.fromkeys((path, *(_moved(path, grant.real, grant.named) for grant in within)))


def _moved(path: str, folder: str, place: str) -> str:
    """A path in a folder, as it is where that folder is shown at another place."""
    return str(Path(place, Path(path).relative_to(folder)))


def _above(wish: Wish) -> Iterator[tuple[str, str]]:
    """The folders (place, real path) in what is granted for writing that a guarded file is in."""
    for path in wish.guarded:
        for grant in wish.write:
            if not inside(path, grant.real) or not Path(path).exists():
                continue
            for folder in map(str, Path(path).parents):
                if folder != grant.real and inside(folder, grant.real):
                    for top in _places(grant):
                        yield _moved(folder, grant.real, top), folder


def _links() -> Iterator[str]:
    for root, target in system.links():
        yield from ("--symlink", target, root)


def _mounts(wish: Wish, parts: Iterable[str], *, whole: bool) -> list[tuple[str, str, str]]:
    """Every mount (option, source, place), the outer before the inner; one for each place."""
    readable = [*system.readable(network=wish.network == "all"), *system.folders()]
    readable += [*parts, *wish.program]
    mounts: dict[str, tuple[str, str]] = {}
    for path in readable:
        if not whole or inside(path, TMP):  # its own /tmp lies over the system's
            mounts[path] = ("--ro-bind", path)
    for option, grants in (("--ro-bind", wish.read), ("--bind", wish.write)):
        for grant in grants:
            for place in _places(grant):
                mounts[place] = (option, grant.real)
    kept = {p: m for p, m in mounts.items() if not _is_shown(p, m, mounts)}
    for place, real in _above(wish):
        # A place that is mounted cannot be renamed, and another put there instead.
        if mounts.get(_outer(place, mounts) or "", ("", ""))[0] == "--bind":
            kept.setdefault(place, ("--bind", real))
    ordered = sorted(kept.items(), key=lambda mount: mount[0].count("/"))
    return [(option, real, place) for place, (option, real) in ordered if place != "/"]


def _places(grant: Grant) -> set[str]:
    return {grant.named, grant.real}


def _is_shown(place: str, mount: tuple[str, str], mounts: dict[str, tuple[str, str]]) -> bool:
    """Whether a folder that is mounted the same way shows this place already."""
    option, real = mount
    if real != place:
        return False
    outer = _outer(place, mounts)
    if outer is None or (inside(place, TMP) and not inside(outer, TMP)):
        return False
    return mounts[outer] == (option, outer)


def _outer(place: str, mounts: Iterable[str]) -> str | None:
    """The mount that a place lies in."""
    return max((p for p in mounts if p != place and inside(place, p)), key=len, default=None)
