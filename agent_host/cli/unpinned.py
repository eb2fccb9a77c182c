"""What is worth knowing of a server's table before it is used: versions, containers, plain HTTP.

Theory of operation: a package without a version is whatever its name holds on the day it is
started, and a server's author, or who took over their name, can change it any day. What a
registry's entry gives comes pinned; this is for what people type and import.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NPM_VERSION = re.compile(r".+@v?\d+\.\d+\.\d+[\w.+-]*\Z")
_PYPI_VERSION = re.compile(r".+(?:===?|@)v?\d[\w.!+-]*\Z")
_NPM = {
    "npx": (),
    "bunx": (),
    "pnpx": (),
    "pnpm": ("dlx", "exec"),
    "yarn": ("dlx",),
    "npm": ("exec", "x"),
}
_PYPI = {"uvx": (), "uv": ("tool", "run"), "pipx": ("run",)}
_ENGINES = ("docker", "podman", "nerdctl")
_ENGINE_SWITCHES = frozenset(
    ("--rm", "--init", "--privileged", "--read-only", "--interactive", "--tty", "--quiet", "-q")
)
_ELSEWHERE = (".", "/", "git", "http", "file:", "github:")


def warnings_of(table: Mapping[str, Any]) -> list[str]:
    """Return what to warn of, each one sentence."""
    command = str(table.get("command") or "").rpartition("/")[2]
    args = [str(arg) for arg in table.get("args") or ()]
    found: list[str] = []
    if command in _NPM:
        found += _npm(command, args)
    elif command in _PYPI:
        found += _pypi(command, args)
    elif command in _ENGINES and args[:1] == ["run"]:
        found += _engine(command, args[1:])
    elif command in ("sh", "bash", "zsh", "cmd", "powershell", "pwsh"):
        found.append(f"{command} is a shell: whatever it is told is run")
    url = str(table.get("url") or "")
    if url.startswith("http://") and (urlsplit(url).hostname or "") not in _LOOPBACK:
        found.append("the URL is http: anybody between can read and change what is sent")
    return found


def _npm(command: str, args: list[str]) -> Iterator[str]:
    words = _after(args, _NPM[command])
    flags = {word for word in words if word.startswith("-")}
    if command == "npx" and not flags & {"-y", "--yes", "--no-install", "--no"}:
        yield "npx asks before it installs a package, and nobody would answer: add -y"
    package = _named(words, ("-p", "--package"))
    if package and not package.startswith(_ELSEWHERE) and not _NPM_VERSION.match(package):
        yield _newest(command, package, re.sub(r"(?<=.)@[^/]*\Z", "", package) + "@VERSION")


def _pypi(command: str, args: list[str]) -> Iterator[str]:
    package = _named(_after(args, _PYPI[command]), ("--from", "--spec"))
    if package and not package.startswith(_ELSEWHERE) and not _PYPI_VERSION.match(package):
        name = re.split(r"[@=<>~!]", package)[0]
        better = f"{name}@VERSION" if command == "uvx" else f"{name}==VERSION"
        yield _newest(command, package, better)


def _engine(command: str, args: list[str]) -> Iterator[str]:
    flags = list(_flags(args))
    image = args[len(flags)] if len(flags) < len(args) else ""
    short = "".join(flag for flag in flags if re.match(r"-[itdP]+\Z", flag))
    if "i" not in short and "--interactive" not in flags:
        yield f"{command} run without -i gives the server no input, so it ends at once: add -i"
    if "t" in short or "--tty" in flags:
        yield f"{command} run with -t mixes a terminal into the server's output: leave -t out"
    last = image.rpartition("/")[2]
    if image and "@sha256:" not in image and (":" not in last or last.endswith(":latest")):
        yield _newest(command, image, f"{image.removesuffix(':latest')}:VERSION")


def _flags(args: list[str]) -> Iterator[str]:
    """Yield the options before the image, each with its value if it takes one."""
    takes = False
    for arg in args:
        if not takes and not arg.startswith("-"):
            return
        yield arg
        switch = arg in _ENGINE_SWITCHES or "=" in arg or re.match(r"-[itdP]+\Z", arg)
        takes = not takes and not switch


def _after(args: list[str], words: tuple[str, ...]) -> list[str]:
    rest = list(args)
    while rest and rest[0] in words:
        rest.pop(0)
    return rest


def _named(words: list[str], options: tuple[str, ...]) -> str:
    """Return the package that a runner is told: after one of `options`, else the first word."""
    for option in options:
        for number, word in enumerate(words):
            if word == option and number + 1 < len(words):
                return words[number + 1]
            if word.startswith(f"{option}="):
                return word.partition("=")[2]
    return next((word for word in words if not word.startswith("-")), "")


def _newest(command: str, package: str, better: str) -> str:
    return (
        f"{command} starts whatever version of {package} is the newest that day; name one, as in "
        f"{better}"
    )
