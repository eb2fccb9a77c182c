"""`agent-host servers remove`: take a server out of a servers.toml.

Theory of operation: the lines that go are shown first; everything else of the file stays byte for
byte. That the server was trusted is forgotten with it, so that the same command under the same name
asks again one day. What servers.lock remembers of its tools stays: if it comes back with other
tools, that is told. Tokens of a login stay too; `servers logout` is for them.
"""

import argparse
import json
import sys
from pathlib import Path

from agent_host.cli.adding import Target, add_target_options, agreed, target_of
from agent_host.config.edit import rewrite, without_server
from agent_host.config.near import nearest
from agent_host.config.secrets import references
from agent_host.config.trust import TrustStore
from agent_host.core.errors import ConfigError, ExitStatus, UsageError
from agent_host.core.text import clean, clean_line

_LOCK_LIMIT = 32 * 1024 * 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("name", metavar="NAME")
    add_target_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Remove one server and return the exit status."""
    name: str = options.name
    target = Target(target_of(options))
    if target.loaded is None:
        raise ConfigError(f"{target.name}: there is no such file")
    if name not in target.servers:
        raise UsageError(
            f'{target.name} has no server "{clean_line(name, 80)}"'
            f"{nearest(name, [*target.servers])}"
        )
    _, taken = without_server(target.loaded.text, target.name, name)
    lines = [f"  - {line}" for line in clean(taken).rstrip().split("\n")]
    sys.stderr.write(f"from {target.name}:\n" + "\n".join(lines) + "\n")
    if not agreed("Remove this?", yes=options.yes, typed=True):
        sys.stderr.write("nothing was written\n")
        return ExitStatus.REFUSED
    rewrite(target.path, lambda text: without_server(text, target.name, name)[0])
    forgotten = TrustStore.users().forget(target.path, f"servers.{name}")
    sys.stdout.write(f"removed servers.{name} from {target.name}\n")
    _say_what_stays(target, name, forgotten=forgotten)
    return ExitStatus.DONE


def _say_what_stays(target: Target, name: str, *, forgotten: bool) -> None:
    config = target.loaded.declared if target.loaded else None
    out = []
    if forgotten:
        out.append("that it was trusted is forgotten")
    if _is_locked(target.folder / "servers.lock", name):
        out.append("servers.lock still remembers its tools, in case it comes back")
    kept = [ref for ref in references(json.dumps(target.servers[name])) if ref[:4] != "env:"]
    if kept:
        out.append(f"its secrets stay where they are: {', '.join(kept)}")
    if config is not None:
        rules = [rule.id for rule in config.policy.rules if rule.server == name]
        if rules:
            out.append(f"rules of policy still name it: {', '.join(rules)}")
        if config.servers[name].url is not None:
            out.append(
                f"a login is not undone by this: agent-host servers logout {name} forgets tokens"
            )
    sys.stderr.write("".join(f"note: {clean_line(line, 300)}\n" for line in out))


def _is_locked(path: Path, name: str) -> bool:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_LOCK_LIMIT))
        return name in found["servers"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
