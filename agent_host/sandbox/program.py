"""What a program consists of: the files that it cannot start without.

Theory of operation: a server's command is followed as the system would follow it: through symlinks,
to the interpreter that its first line names, and to the script that an interpreter is given. Where
one of these lies in a place of a known form (a virtual environment, the prefix of a Python or a
Node, a node_modules folder, a package with a package.json, /opt/NAME), that place is a part of the
program; else the file alone is. A folder that holds more than a program (the home folder, the one
with servers.toml, a folder at the root, and whatever holds one of these) is never taken whole. What
a package itself may say of other folders (.pth files) is not followed: it is the server's own word.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent_host.sandbox.wish import inside

_INTERPRETERS = ("python", "pypy", "node", "nodejs", "deno", "bun", "tsx", "ruby", "perl", "php",
                 "bash", "sh")  # fmt: skip
_NO_SCRIPT = ("-c", "-m", "-e", "-p", "--eval", "--print", "-")
_HOPS = 40


def parts(
    executable: str, args: Sequence[str], *, cwd: str, path: str, private: Sequence[str]
) -> tuple[str, ...]:
    """Return absolute paths of what belongs to a program.

    `executable`: its absolute path; `path`: the PATH that it gets; `private`: folders that are
    never taken whole.
    """
    found: dict[str, None] = {}
    queue = [executable]
    script = _script(executable, args, cwd)
    for _ in range(_HOPS):
        if not queue:
            break
        file = queue.pop(0)
        for hop in _hops(file):
            places = [p for p in _places(Path(hop)) if not _is_private(p, private)]
            found.update(dict.fromkeys([hop, *places]))
            queue += _homes(places)
        queue += _interpreter(file, path)
    if script:
        for hop in _hops(script):
            folder = str(Path(hop).parent)
            places = [*_places(Path(hop)), folder]
            found[hop] = None
            found.update(dict.fromkeys(p for p in places if not _is_private(p, private)))
    return tuple(path for path in found if Path(path).exists())


def _script(executable: str, args: Sequence[str], cwd: str) -> str:
    """The file that an interpreter runs, or empty."""
    name = Path(executable).name
    if not name.rstrip("0123456789.").startswith(_INTERPRETERS):
        return ""
    for arg in args:
        if arg in _NO_SCRIPT:
            return ""
        file = Path(cwd, arg)
        if not arg.startswith("-") and file.is_file():
            return os.path.normpath(file)
    return ""


def _hops(file: str) -> list[str]:
    """A path, each that its last part links to, and the real one."""
    hops = [file]
    for _ in range(_HOPS):
        try:
            target = Path(hops[-1]).readlink()
        except OSError:
            break
        hops.append(os.path.normpath(Path(hops[-1]).parent / target))
    real = os.path.realpath(file)
    return [*dict.fromkeys([*hops, real])]


def _places(file: Path) -> Iterator[str]:
    """The places of a known form that a file lies in."""
    prefix = file.parent.parent
    if (prefix / "pyvenv.cfg").is_file() or (file.parent.name == "bin" and _is_prefix(prefix)):
        yield str(prefix)
    names = file.parts
    if "node_modules" in names:
        yield str(Path(*names[: names.index("node_modules") + 1]))
    if file.suffix in (".js", ".mjs", ".cjs", ".ts"):
        package = next((p for p in file.parents if (p / "package.json").is_file()), None)
        if package is not None:
            yield str(package)
    if names[:2] == ("/", "opt") and len(names) > 3:
        yield str(Path(*names[:3]))


def _is_prefix(folder: Path) -> bool:
    """Whether a folder is the prefix of a Python or a Node."""
    if (folder / "lib" / "node_modules" / "npm").is_dir():
        return True
    return next(folder.glob("lib/python3*/os.py"), None) is not None


def _homes(places: Sequence[str]) -> Iterator[str]:
    """The interpreters that virtual environments were made from."""
    for place in places:
        try:
            text = Path(place, "pyvenv.cfg").read_text("utf-8", "replace")
        except OSError:
            continue
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                yield from map(str, sorted(Path(value.strip()).glob("python3*"))[:4])


def _interpreter(file: str, path: str) -> list[str]:
    """What the first line of a script names."""
    try:
        with open(file, "rb") as opened:  # noqa: PTH123
            line = opened.read(256).partition(b"\n")[0]
    except OSError:
        return []
    if not line.startswith(b"#!"):
        return []
    words = line[2:].decode("utf-8", "replace").split()
    if words and Path(words[0]).name == "env":
        named = [w for w in words[1:] if not w.startswith("-") and "=" not in w][:1]
        found = shutil.which(named[0], path=path) if named else None
        words = [words[0], *([found] if found else [])]
    else:
        words = words[:1]
    return [word for word in words if os.access(word, os.X_OK)]


def _is_private(folder: str, private: Sequence[str]) -> bool:
    """Whether a folder holds more than a program."""
    real = os.path.realpath(folder)
    if any(str(Path(p).parent) in ("/", p) for p in (folder, real)):
        return True
    return any(inside(p, folder) or inside(p, real) for p in private)
