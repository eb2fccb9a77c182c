"""Programs that only start or reach the real server, undone.

Theory of operation: `cmd /c npx ...` is how Windows starts a script, `env A=b program` sets
variables, `mcp-remote URL` is a bridge for applications that only speak stdio, and
`docker run -e A=b` puts a secret on a command line that every user of the machine can read. Each
has a direct form here.
"""

import re
from collections.abc import Callable

from agent_host.config.importers.raw import Raw

_SHIM = re.compile(
    r"(?P<name>npx|npm|pnpm|yarn|bunx|uvx|uv|node|python|deno)\.(?:cmd|exe|bat|ps1)\Z"
)
_SHELL = re.compile(r"(?:.*[\\/])?cmd(?:\.exe)?\Z", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)
_REMOTE = re.compile(r"mcp-remote(?:@[\w.^~-]+)?\Z")
_ENGINES = ("docker", "podman", "nerdctl")
_UNTOLD = "the bridge mcp-remote had the option {}, for which there is nothing here"


def unwrapped(raw: Raw) -> None:
    """Change `raw` to its direct form; every change is a note."""
    if raw.command is None:
        return
    steps: tuple[Callable[[Raw], None], ...] = (_windows, _env, _engine, _remote)
    for step in steps:
        step(raw)


def _windows(raw: Raw) -> None:
    words = [raw.command or "", *raw.args]
    if _SHELL.match(words[0]):
        rest = words[1:]
        while rest and rest[0].lower() in ("/c", "/s", "/d", "/q", "/k"):
            rest = rest[1:]
        if len(rest) == 1 and " " in rest[0] and '"' not in rest[0]:
            rest = rest[0].split()
        if not rest:
            return
        raw.notes.append(f"{' '.join(words[: len(words) - len(rest)])} is not needed")
        words = rest
    shim = _SHIM.match(words[0].lower())
    if shim:
        words[0] = shim["name"]
    raw.command, raw.args = words[0], words[1:]


def _env(raw: Raw) -> None:
    if raw.command not in ("env", "/usr/bin/env", "/bin/env"):
        return
    rest = list(raw.args)
    found: dict[str, str] = {}
    while rest and (match := _ASSIGNMENT.match(rest[0])):
        found[match[1]] = match[2]
        rest.pop(0)
    if not rest or rest[0].startswith("-"):
        return
    raw.env |= found
    raw.command, raw.args = rest[0], rest[1:]


def _engine(raw: Raw) -> None:
    """`-e NAME=value` becomes `-e NAME`, and the value a variable of the engine."""
    if (raw.command or "").rpartition("/")[2] not in _ENGINES:
        return
    args: list[str] = []
    previous = ""
    for arg in raw.args:
        flag, separator, said = arg.partition("=")
        joined = flag == "--env" and bool(separator)
        match = _ASSIGNMENT.match(said if joined else arg)
        if match and (joined or previous in ("-e", "--env")):
            raw.env.setdefault(match[1], match[2])
            args += ["-e", match[1]] if joined else [match[1]]
            raw.notes.append(f"{match[1]} is handed to the container by name, not written out")
        else:
            args.append(arg)
        previous = arg
    raw.args = args


def _remote(raw: Raw) -> None:
    at = next((i for i, arg in enumerate(raw.args) if _REMOTE.match(arg)), -1)
    if at < 0 or raw.command not in ("npx", "bunx", "pnpx", "pnpm", "yarn", "npm"):
        return
    rest = raw.args[at + 1 :]
    if not rest or ("://" not in rest[0] and not rest[0].startswith("${")):
        return
    raw.url, left = rest[0], iter(rest[1:])
    raw.notes.append("is reached directly, without the bridge mcp-remote")
    for arg in left:
        if arg == "--header":
            name, _, value = next(left, "").partition(":")
            raw.headers.setdefault(name.strip(), value.strip())
        elif arg == "--transport":
            raw.sse = next(left, "") in ("sse-only", "sse-first")
        elif arg.isdigit():
            raw.auth.setdefault("redirect_port", int(arg))
        elif arg in ("--allow-http", "--debug", "--silent", "--enable-proxy"):
            continue
        else:
            raw.notes.append(_UNTOLD.format(arg.partition("=")[0]))
            if arg.startswith("--") and "=" not in arg:
                next(left, "")
    # The variables were the bridge's: only what the URL and the headers name is of use.
    raw.inputs = dict(raw.inputs)
    known = dict(raw.env)
    raw.headers = {k: _inlined(v, known) for k, v in raw.headers.items()}
    raw.url = _inlined(raw.url, known)
    raw.command, raw.args, raw.env, raw.cwd = None, [], {}, None


def _inlined(text: str, known: dict[str, str]) -> str:
    """Return `text` with the variables that the file itself sets replaced by what it says."""

    def value(match: re.Match[str]) -> str:
        return known.get(match[1], match[0])

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, text)
