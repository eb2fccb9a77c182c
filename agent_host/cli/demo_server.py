"""`agent-host demo-server`: the bundled order desk, an MCP server to try things on."""

import argparse
import gc
import importlib
import signal
import socket
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from agent_host.core.errors import ExitStatus, UnavailableError, UsageError
from agent_host.core.text import clean_line
from agent_host.demo.desk import Desk

VERSION = "1.0"
"""The version of the demo server and its data, reported to clients."""


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= 65535):
        raise argparse.ArgumentTypeError(f"{clean_line(text, 40)!r} is no port; use 0 to 65535")
    return int(text)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = (
        "Serve the order desk of a demo shop over MCP, on stdin and stdout or on HTTP. "
        "The data is made afresh at each start unless --database names a file."
    )
    parser.add_argument(
        "--http", action="store_true", help="serve streamable HTTP instead of stdin and stdout"
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", help="with --http: the address to listen on (127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=_port, metavar="N", help="with --http: the port; 0 takes a free one (0)"
    )
    parser.add_argument(
        "--database", type=Path, metavar="FILE", help="keep the data in this SQLite file"
    )
    parser.add_argument(
        "--today", type=_day, metavar="DATE", help="pretend that it is this day, as 2026-11-22"
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{clean_line(text, 40)!r} is no day; write it as 2026-11-22"
        ) from None


def _today() -> date:
    return date.today()  # noqa: DTZ011 - a shop's day is the local one


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, or raise UnavailableError in one line."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnavailableError(
            f"demo-server: cannot listen on {clean_line(host, 100)} port {port}: "
            f"{clean_line(reason)}; choose another with --port, or --port 0 for a free one"
        ) from None
    return listener


def _load() -> Any:
    """Import the server, which is half a second of imports: without garbage collection."""
    gc.disable()
    try:
        return importlib.import_module("agent_host.demo.server")
    finally:
        gc.freeze()
        gc.enable()


def execute(options: argparse.Namespace) -> int:
    """Serve until the client goes or the user interrupts."""
    if not options.http and (options.host is not None or options.port is not None):
        raise UsageError("demo-server: --host and --port need --http")
    today = _today if options.today is None else lambda: options.today
    with closing(Desk.open(options.database, today)) as desk:
        if options.http:
            return _serve_http(desk, options.host or "127.0.0.1", options.port or 0)
        if sys.stdin is None or sys.stdout is None:
            raise UsageError("demo-server: stdin and stdout are needed; or use --http")
        # An interrupt ends the process at once: the SDK reads stdin in a thread that cannot be
        # stopped, and every change is already committed when it is answered.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if sys.stdin.isatty():
            sys.stderr.write(
                "agent-host demo-server: waiting for an MCP client on stdin (a host starts this "
                "command itself; --http serves a URL; Ctrl-C ends)\n"
            )
        _load().serve_stdio(desk, VERSION)
    return ExitStatus.DONE


def _serve_http(desk: Desk, host: str, port: int) -> int:
    with closing(_listen(host, port)) as listener:
        server = _load()
        name = f"[{host}]" if ":" in host else host
        address, port, *_ = listener.getsockname()
        if not address.startswith(("127.", "::1")):
            sys.stderr.write(
                "agent-host demo-server: warning: whoever reaches this address may use the "
                "server; leave --host out to serve this machine alone\n"
            )
        sys.stderr.write(
            f"agent-host demo-server: listening on "
            f"http://{name}:{port}{server.PATH} (Ctrl-C ends)\n"
        )
        sys.stderr.flush()
        try:
            server.serve_http(desk, VERSION, listener, host)
        except KeyboardInterrupt:
            return ExitStatus.INTERRUPTED
    return ExitStatus.DONE
