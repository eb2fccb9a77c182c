"""The command line: a table of commands, and what happens to whatever they raise.

Theory of operation: only the module of the command that was asked for is imported, so `--help`
costs a bare Python and argparse. A command returns its exit status; an AgentHostError becomes one
line; anything else is a bug of ours and becomes a short report that names where the trace is kept.
Leaving skips the interpreter's shutdown, which costs 0.1 to 0.2 s once an SDK is loaded: by then
every file is flushed and every server gone.
"""

import argparse
import errno
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from agent_host import __version__
from agent_host.core.errors import AgentHostError, ExitStatus, UsageError
from agent_host.core.text import clean

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("agent_host.cli.run", "answer one prompt, with tools, and leave"),
    "chat": ("agent_host.cli.chat", "talk to a model at this terminal"),
    "servers": ("agent_host.cli.servers", "find, add, list, test and log in to MCP servers"),
    "tools": ("agent_host.cli.tools", "list, show, check and call the servers' tools"),
    "prompts": ("agent_host.cli.prompts", "list the servers' prompts and fill them in"),
    "resources": ("agent_host.cli.resources", "list and read the servers' resources"),
    "policy": ("agent_host.cli.policy", "check, explain, test and simulate the rules of policy"),
    "models": ("agent_host.cli.models", "list the models that can answer"),
    "approvals": ("agent_host.cli.approvals", "list and answer the calls that wait for approval"),
    "transcripts": ("agent_host.cli.transcripts", "list, search, replay and export recorded runs"),
    "audit": ("agent_host.cli.audit", "show, query, verify and export who did what"),
    "config": ("agent_host.cli.config", "show the config, or make a first one"),
    "trust": ("agent_host.cli.trust", "say that a config may start what it names"),
    "doctor": ("agent_host.cli.doctor", "check the installation and the config"),
    "completion": ("agent_host.cli.completion", "let your shell complete commands and names"),
    "demo-server": ("agent_host.cli.demo_server", "run the bundled MCP server of an order desk"),
}
"""Name -> (module with `configure` and `execute`, one line of help)."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
_NO_MORE_FILES = {errno.EMFILE, errno.ENFILE}
_UNWRITTEN = "agent-host: standard output cannot be written: {}"
_EPILOG = "agent-host COMMAND --help tells more. Start with: agent-host run 'What can you do?'"


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agent-host",
        description="Connects MCP servers with a language model, asks before it acts, "
        "and records everything.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"agent-host {__version__}")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the servers.toml to use (default: ./servers.toml, else your own)",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
        if name == chosen:
            import_module(module).configure(command)
    return parser


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return `--config` as it stands anywhere before `--`, also after a command's own command,
    and everything else. Raises UsageError if it names no file."""
    config: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            rest += [argument, *left]
        elif argument == "--config":
            name = next(left, None)
            if name is None:
                raise UsageError("--config names no file; as in --config servers.toml")
            config = [f"--config={name}"]
        elif argument.startswith("--config="):
            config = [argument]
        else:
            rest.append(argument)
    return config, rest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; never raises but SystemExit (argparse)."""
    try:
        return _execute(sys.argv[1:] if arguments is None else arguments)
    except AgentHostError as error:
        _say(f"agent-host: {clean(_without_secrets(str(error)))}")
        return error.exit_status
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FAILED
    except OSError as error:
        if error.errno in _NO_MORE_FILES:
            return _out_of_files(error)
        if not _is_of_a_stream(error):
            return _crashed(error)
        _say(_UNWRITTEN.format(error.strerror))
        return ExitStatus.FAILED
    except Exception as error:  # noqa: BLE001 - the last stop: a bug of ours is reported, not shown raw
        return _crashed(error)


def _crashed(error: Exception) -> int:
    try:
        _say(import_module("agent_host.cli.crash").report(error))
    except OSError as failure:  # what reports it cannot be read
        _say(f"agent-host: {type(error).__name__}, which cannot be reported: {failure.strerror}")
    return ExitStatus.FAILED


def _out_of_files(error: OSError) -> int:
    # What was half made (an event loop, a coroutine) cannot be closed and would say so.
    sys.unraisablehook = lambda _: None
    warnings.simplefilter("ignore")
    _say(
        f"agent-host: {error.strerror}: raise the limit on open files (ulimit -n), or end programs "
        "that hold many, then try again"
    )
    return ExitStatus.FAILED


def _without_secrets(text: str) -> str:
    """What nobody has loaded knows no secret."""
    redact = sys.modules.get("agent_host.records.redact")
    return str(redact.without_any(text)) if redact is not None else text


def _is_of_a_stream(error: OSError) -> bool:
    """Whether it is of writing to standard output: an error of a file names that file."""
    return error.filename is None and error.errno in _FULL


def _execute(arguments: Sequence[str]) -> int:
    config, rest = _split(arguments)
    parser = _parser(next((word for word in rest if not word.startswith("-")), None))
    options = parser.parse_args([*config, *rest])
    if options.command is None:
        return int(import_module("agent_host.cli.welcome").greet(options.config))
    return int(import_module(COMMANDS[options.command][0]).execute(options))


def _say(text: str) -> None:
    with suppress(OSError):  # there is no other place to say it
        sys.stderr.write(f"{text}\n")


def _open_closed_streams() -> None:
    """Started with a stream closed (`>&-`), the next file that is opened would take its number,
    and what is meant for nobody would end up in that file."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _flushed(status: int) -> int:
    """Return the exit status once what was written is on its way, or cannot be."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            if status == ExitStatus.DONE and not isinstance(error, BrokenPipeError):
                _say(_UNWRITTEN.format(error.strerror))
            status = status or ExitStatus.FAILED
    return status


def script() -> NoReturn:
    """The entry point of `agent-host`: run the command of this process and leave."""
    if "_ARGCOMPLETE" in os.environ:  # a shell's Tab key
        import_module("agent_host.cli.completing").complete(_parser)
    _open_closed_streams()
    status: int = ExitStatus.INTERRUPTED
    # Whoever keeps Ctrl-C pressed while all has ended already is shown no traceback for it.
    with suppress(KeyboardInterrupt):
        try:
            status = main()
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else ExitStatus.USAGE
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    os._exit(_flushed(status))
