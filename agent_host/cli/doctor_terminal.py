"""What `doctor` says of the terminal, and of the user's wishes for it."""

import os
import sys
from collections.abc import Iterator

from agent_host.cli.doctor_findings import Facts, Finding
from agent_host.config import paths
from agent_host.config.terminal_file import read_terminal, user_terminal_file
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean, clean_line


def terminal_findings(_: Facts) -> Iterator[Finding]:
    """What the terminal is, and what it can show."""
    if not sys.stdout.isatty():
        yield Finding(id="none", level="ok", text="output is no terminal: plain text")
        return
    size = os.get_terminal_size()
    kind = clean(os.environ.get("TERM", "unknown"))
    colour = "no colour (NO_COLOR)" if os.environ.get("NO_COLOR") else "colour"
    encoding = sys.stdout.encoding
    text = f"{kind}, {size.columns} x {size.lines}, {encoding}, {colour}{_around()}"
    if encoding.lower().replace("-", "") != "utf8":
        fix = "set LANG=C.UTF-8"
        text += ": some characters cannot be shown"
        yield Finding(id="not-utf8", level="note", text=text, fix=fix)
    elif size.columns < 40:
        text += ": narrow; 40 columns are enough"
        yield Finding(id="narrow", level="note", text=text, fix="make the window wider")
    else:
        yield Finding(id="terminal", level="ok", text=text)


def _around() -> str:
    inside = [
        name
        for name, variable in (("tmux", "TMUX"), ("screen", "STY"), ("ssh", "SSH_CONNECTION"))
        if os.environ.get(variable)
    ]
    program = clean_line(os.environ.get("TERM_PROGRAM", ""), 40)
    words = dict.fromkeys(([program] if program else []) + inside)
    return "".join(f", {word}" for word in words)


def wishes_findings(_: Facts) -> Iterator[Finding]:
    """What the user's terminal.toml says."""
    path = user_terminal_file()
    name = paths.shown(path)
    try:
        said = read_terminal(path)
    except ConfigError as error:
        yield Finding(id="wrong", level="problem", text=str(error), where=name)
        return
    if said:
        text = ", ".join(f"{key} = {str(value).lower()}" for key, value in said.items())
        yield Finding(id="said", level="ok", text=f"{name}: {text}", where=name)
    else:
        yield Finding(id="usual", level="ok", text=f"{name}: none, so the usual")
