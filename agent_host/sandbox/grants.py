"""Which line of servers.toml would grant what a server says it was refused.

Theory of operation: a sandbox refuses silently; the server then says, in its own words, that a file
is not there, that it may not, that the network is unreachable. These words are searched for what
the common runtimes say, and for the path that stands with them. A server may say anything, so the
line is for a person to judge: its path is cleaned, and what no server should be given (keys, a
container engine's socket) is named but not offered.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent_host.core.text import clean_line
from agent_host.sandbox.wish import Grant, Wish, inside, reached

# Possessive, and from the start of a word: text that is made for it costs no more than other text.
_PATH = r"(?<![^\s'\"`:;,(\[=])(?P<path>(?:/|~/)[^\s'\"`:;,)\]]{1,400}+)"
_QUOTED = r"['\"`](?P<path>(?:/|~/)[^'\"`\n]{1,400}+)['\"`]"
_WORD = (
    r"(?:EACCES|EPERM|ENOENT|EROFS|[Pp]ermission denied|[Oo]peration not permitted"
    r"|[Nn]o such file or directory|[Rr]ead-only file ?system"
    r"|unable to open database file|cannot open|Cannot find module)"
)
_REFUSED = (
    re.compile(rf"(?P<word>{_WORD})[^\n]{{0,120}}?{_QUOTED}"),
    re.compile(rf"{_QUOTED}[^\n]{{0,60}}?(?P<word>{_WORD})"),
    re.compile(rf"{_PATH}'?:? [^\n/]{{0,60}}?(?P<word>{_WORD})"),
    re.compile(rf"(?P<word>{_WORD})[^\n/]{{0,80}}?{_PATH}"),
)
_WRITES = re.compile(
    r"EROFS|[Rr]ead-only|mkdir|unlink|rename|rmdir|creat|writ|copyfile|symlink|unable to open data"
)
_NETWORK = re.compile(
    r"ENETUNREACH|EAI_AGAIN|ENOTFOUND|EHOSTUNREACH|[Nn]etwork is unreachable"
    r"|[Tt]emporary failure in name resolution|[Nn]ame or service not known"
    r"|[Cc]ould not resolve host|[Nn]o route to host|dial tcp|dns error|getaddrinfo"
    r"|(?:connect|listen|bind|socket)\b[^\n]{0,40}(?:EACCES|EPERM|denied|not permitted)"
    r"|(?:ECONNREFUSED|[Cc]onnection refused)[^\n]{0,60}"
)
_LOCAL = re.compile(r"127\.0\.0\.\d|localhost|::1\b")
_MEMORY = re.compile(
    r"MemoryError|heap out of memory|[Cc]annot allocate memory|ENOMEM|out of memory"
)
_PROCESSES = re.compile(r"EAGAIN|[Rr]esource temporarily unavailable|can't start new thread")
_UNKNOWN = re.compile(r"ModuleNotFoundError|Cannot find (?:module|package)|ERR_MODULE_NOT_FOUND")
_SECRET = (
    ".ssh", ".gnupg", ".aws", ".kube", ".docker", ".netrc", ".password-store", "shadow",
    "docker.sock", "podman.sock", "containerd.sock", "keyrings", ".config/gcloud",
)  # fmt: skip
_CACHES = (".npm", ".cache", ".local/share/uv", ".bun", ".deno")
RUNNERS = {
    "npx": ("~/.npm",),
    "npm": ("~/.npm",),
    "uvx": ("~/.cache/uv", "~/.local/share/uv"),
    "uv": ("~/.cache/uv", "~/.local/share/uv"),
    "pipx": ("~/.local/share/pipx", "~/.cache/pip"),
    "bunx": ("~/.bun",),
    "bun": ("~/.bun",),
    "deno": ("~/.cache/deno",),
}
"""Programs that fetch the server before they run it -> where they keep it."""
LONGEST = 4000
"""Characters of what a server said that are searched."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    path: str
    writes: bool


def grant(wish: Wish, said: str) -> str:
    """Return what to add to the config, and where; empty where nothing says that it would help."""
    said = said[-LONGEST:]
    if runner := _runner(wish):
        return runner
    refusal = _refused(wish, said)
    if refusal is not None:
        return _line(wish, refusal)
    if wish.network != "all" and (found := _NETWORK.search(said)):
        return _network(wish, _line_at(said, found))
    if wish.memory is not None and _MEMORY.search(said):
        return f"its sandbox ends at memory = {wish.memory}; raise it ({wish.where('memory')})"
    if wish.processes is not None and _PROCESSES.search(said):
        where = wish.where("processes")
        return f"its sandbox ends at processes = {wish.processes}; raise it ({where})"
    if _UNKNOWN.search(said):
        return (
            "its sandbox shows it its own program only; if what it lacks is elsewhere, add "
            f'read = ["FOLDER"] to {_table(wish)}'
        )
    return ""


def _runner(wish: Wish) -> str:
    """What a program lacks that has to fetch the server first; it often does not say so."""
    name = Path(wish.command).name
    lacks = [path for path in RUNNERS.get(name, ()) if not reached(_whole(wish, path), wish.write)]
    if name not in RUNNERS or (not lacks and wish.network == "all"):
        return ""
    parts = [f"write = {_listed(wish, wish.write, lacks)}"] if lacks else []
    parts += ['network = "all"'] if wish.network != "all" else []
    return (
        f"{name} fetches what it runs, which its sandbox refuses: install the server and name its "
        f"own program, or put {' and '.join(parts)} into {_table(wish)}"
    )


def _whole(wish: Wish, path: str) -> str:
    return wish.home + path[1:] if path.startswith("~/") else path


def _listed(wish: Wish, now: Iterable[Grant], more: Iterable[str]) -> str:
    """A list for the config: what stands there and what comes to it."""
    paths = [*(_short(wish, grant.named) for grant in now), *more]
    quoted = (json.dumps(clean_line(path, 200), ensure_ascii=False) for path in paths)
    return f"[{', '.join(quoted)}]"


def _network(wish: Wish, said: str) -> str:
    near = bool(_LOCAL.search(said))
    if near and wish.network == "loopback":
        return ""
    wider = "loopback" if near else "all"
    return (
        f'its sandbox has network = "{wish.network}"; if it should have more, put '
        f'network = "{wider}" into {_table(wish)}'
    )


def _line(wish: Wish, refusal: _Refusal) -> str:
    path = refusal.path
    shown = clean_line(path, 200)
    if any(part in path for part in _SECRET):
        return f"its sandbox refused it {shown}, which a sandbox is there to keep from servers"
    key = "write" if refusal.writes else "read"
    network = ""
    for cache in _CACHES:
        folder = f"{wish.home}/{cache}"
        if wish.home and inside(path, folder):
            path, key = f"~/{cache}", "write"
            network = "" if wish.network == "all" else ' and network = "all"'
    if key == "write" and not path.startswith("~") and not Path(path).is_dir():
        parent = str(Path(path).parent)
        path = path if parent in ("/", wish.home) else parent
    now: tuple[Grant, ...] = wish.write if key == "write" else wish.read
    value = _listed(wish, now, [_short(wish, path)])
    return f"if it should have {shown}: put {key} = {value}{network} into {_table(wish)}"


def _short(wish: Wish, path: str) -> str:
    if wish.home and wish.home != "/" and inside(path, wish.home):
        return "~" + path[len(wish.home) :]
    return path


def _table(wish: Wish) -> str:
    return f"[servers.{clean_line(wish.server, 80)}.sandbox] ({wish.where('')})"


def _refused(wish: Wish, said: str) -> _Refusal | None:
    """The last path that is said to be refused, and is refused by the sandbox, if any."""
    last: tuple[int, _Refusal] | None = None
    for pattern in _REFUSED:
        for found in pattern.finditer(said):
            path = os.path.normpath(Path(found["path"]).expanduser())
            refusal = _judged(wish, path, found["word"], _line_at(said, found))
            if refusal is not None and (last is None or found.start() >= last[0]):
                last = (found.start(), refusal)
    return last[1] if last else None


def _line_at(said: str, found: re.Match[str]) -> str:
    start = said.rfind("\n", 0, found.start()) + 1
    return said[start:].partition("\n")[0]


def _judged(wish: Wish, path: str, word: str, line: str) -> _Refusal | None:
    """What a path needs, if the sandbox is what it lacks."""
    if reached(path, wish.write):
        return None
    may_read = reached(path, wish.read)
    writes = may_read or bool(_WRITES.search(line) or _WRITES.search(word))
    absent = word.lower() in ("enoent", "no such file or directory", "cannot find module")
    if absent and not os.path.lexists(path):
        # Not there for anybody: only what makes it could be refused.
        return _Refusal(path, writes=True) if writes and not may_read else None
    if absent and may_read:
        return None
    return _Refusal(path, writes)
