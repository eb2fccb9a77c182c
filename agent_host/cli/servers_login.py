"""`agent-host servers login`: log in to a server behind a URL."""

import argparse
import asyncio
import os
import shlex
import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from agent_host.cli.live import enabled
from agent_host.cli.trusting import add_trust_option, at_terminal, ensure_trusted
from agent_host.config.load import Loaded, load
from agent_host.core.errors import ConfigError, ExitStatus, UnavailableError, UsageError
from agent_host.core.text import clean_line

COMMANDS = "agent_host.servers.login.commands"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--no-browser",
        action="store_true",
        help="open no browser here: show the page, and take the address that it leads to",
    )
    parser.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="S",
        help="ask for this right besides those that the server asks for; may be repeated",
    )
    add_trust_option(parser)


def execute(options: argparse.Namespace) -> int:
    """Log in and return the exit status."""
    loaded = load(options.config, os.environ)
    enabled(loaded, [options.name])
    ensure_trusted(loaded, flag=options.trust)
    spec = http_spec(loaded, options.name)
    person = None
    if spec.auth.type == "oauth":
        if not at_terminal(sys.stdin, sys.stderr):
            raise UnavailableError(
                f"a login to {clean_line(options.name, 80)} takes a person: run "
                f"`agent-host servers login {shlex.quote(options.name)}` at a terminal"
                "; for machines there is auth.type = client-credentials in servers.toml",
                ExitStatus.NEEDS_LOGIN,
            )
        person = _person(browser=not options.no_browser)
    commands = import_module(COMMANDS)
    done = run(commands.log_in(spec, raw(spec), person, scopes=tuple(options.scope)))
    if not done.needed:
        sys.stdout.write(f"{clean_line(options.name, 80)} asks for no login\n")
        return ExitStatus.DONE
    sys.stdout.write(f"logged in to {clean_line(options.name, 80)} at {clean_line(done.issuer)}\n")
    sys.stderr.write("".join(f"  {line}\n" for line in _facts(done)))
    return ExitStatus.DONE


def http_spec(loaded: Loaded, name: str) -> Any:
    """Return the spec of a server that can be logged in to. Raises UsageError, ConfigError."""
    where, shown = loaded.where("servers", name), clean_line(name, 80)
    if loaded.config.servers[name].url is None:
        raise UsageError(
            f"{where}: {shown} is a program on this machine, which has no login; what it needs to "
            "know goes into its env"
        )
    secrets = import_module("agent_host.host.secrets").Secrets(os.environ)
    spec = import_module("agent_host.host.servers").server_specs(loaded, secrets, [name])[0]
    if not _is_url(spec.url):
        key = loaded.where("servers", name, "url")
        raise ConfigError(f"{key}: what the url of {shown} stands for is no URL; correct it")
    if spec.auth is None:
        raise UsageError(
            f"{where}: {shown} is sent the Authorization header of servers.toml, so no login is "
            "used; remove that header to log in"
        )
    return spec


def _is_url(text: str) -> bool:
    try:
        return bool(urlsplit(text).hostname) and urlsplit(text).port != 0
    except ValueError:
        return False


def raw(spec: Any) -> Any:
    """Return the transport that the server's requests go through."""
    return import_module("agent_host.servers.transports.proxies").RawTransport(spec)


def run(work: Any) -> Any:
    """Return what `work` makes; a login that fails is an UnavailableError."""
    errors = import_module("agent_host.servers.login.errors")
    spec_errors = import_module("agent_host.servers.spec")
    try:
        return asyncio.run(work)
    except errors.NeedsLoginError as error:
        raise UnavailableError(str(error), ExitStatus.NEEDS_LOGIN) from None
    except (errors.LoginFailedError, spec_errors.ConnectFailedError) as error:
        refused = getattr(error, "code", "") == "access_denied"  # by the person
        status = ExitStatus.NEEDS_LOGIN if refused else ExitStatus.SERVER_UNAVAILABLE
        raise UnavailableError(str(error), status) from None


def _person(*, browser: bool) -> Any:
    module = import_module("agent_host.servers.login.browser")
    opens = module.open_browser if browser else None
    return module.Terminal(_say, _ask, opens=opens)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def _ask(question: str) -> str:
    """Return the next line of the terminal; unlike a thread that reads, this can be given up."""
    sys.stderr.write(question)
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        loop.remove_reader(sys.stdin)
        if not line.done():
            line.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        return await line
    finally:
        loop.remove_reader(sys.stdin)


def _facts(done: Any) -> list[str]:
    facts = [f"scope: {clean_line(done.scope)}"] if done.scope else []
    if done.expires_in is not None:
        facts.append(f"the token is good for {duration(done.expires_in)}")
    facts[-1:] = [
        (facts[-1] if facts else "the token does not say how long it is good for")
        + (", and is renewed by itself" if done.renews else "; after that log in again")
    ]
    return [*facts, f"kept in {done.kept}"]


def duration(seconds: float) -> str:
    """Return a time in the largest unit that there are two of."""
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
