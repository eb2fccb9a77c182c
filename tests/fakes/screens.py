"""Screens to write on in memory, and records to show on them."""

import contextlib
import io
import os
import pty
import termios
from collections.abc import Iterator

from agent_host.core.events import Event, Record
from agent_host.core.types import Annotations, JsonObject, Message, Origin, Tool, ToolCall
from agent_host.core.types import Text as TextBlock
from agent_host.ports import ApprovalQuestion
from agent_host.surfaces.outlet import Outlet

HOSTILE = (
    "\x1b[2J",
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",
    "\x9d52;c;AA\x9c",
    "\x90q\x9c",
    "\u202eright to left",
    "\u2066isolated\u2069",
    "tag\U000e0041\U000e007f",
    "zero\u200bwidth",
    "hidden\u00adhyphen",
    "back\b\b\bspace",
    "bell\x07",
    "del\x7f",
    "over\rwritten",
    "vertical\x0btab",
    "lone \ud800 surrogate",
    "[link=http://evil.example]markup[/link]",
    "[/bold]",
    "[bold red]x",
    "&#x1b;[2J",
    "&#x202e;entity",
    "<http://a.example/%1b]52;c;AA%07>",
    "[text](http://a.example/\x1b]8)",
    "![i](http://a.example/i.png)",
)
"""Text that a server or a model may send: escapes, hidden characters, markup."""

FORBIDDEN = "\x1b\x9b\x9d\x90\x9c\x07\x08\x0b\x7f\u202e\u2066\u200b\u00ad\U000e0041\ud800"
"""Characters that no content may bring to a screen."""


class Screen(io.StringIO):
    """A stream in memory that may say it is a terminal, of the size of a real one."""

    def __init__(self, *, tty: bool, fd: int | None = None) -> None:
        super().__init__(newline="")
        self._tty = tty
        self._fd = fd

    def isatty(self) -> bool:
        return self._tty

    def fileno(self) -> int:
        if self._fd is None:
            raise io.UnsupportedOperation("fileno")
        return self._fd


def outlet(*, tty: bool = False, term: str = "xterm", **environ: str) -> tuple[Outlet, Screen]:
    screen = Screen(tty=tty)
    return Outlet(screen, {"TERM": term, **environ}), screen


@contextlib.contextmanager
def sized(columns: int, lines: int, **environ: str) -> Iterator[tuple[Outlet, Screen]]:
    """An outlet on a terminal of that size; what is written stays in memory."""
    controller, terminal = pty.openpty()
    try:
        termios.tcsetwinsize(terminal, (lines, columns))
        screen = Screen(tty=True, fd=terminal)
        yield Outlet(screen, {"TERM": "xterm", **environ}), screen
    finally:
        os.close(controller)
        os.close(terminal)


def record(event: Event, *, seq: int = 0, at: str = "2026-11-22T10:00:00.000000+00:00") -> Record:
    return Record(seq=seq, at=at, run_id="run", event=event)


def says(text: str, *calls: ToolCall) -> Message:
    blocks = (TextBlock(text=text),) if text else ()
    origin = Origin(provider="p", model="m", adapter="script")
    return Message(role="assistant", content=(*blocks, *calls), origin=origin)


def tool(server: str = "orders", name: str = "refund_order") -> Tool:
    return Tool(
        name=f"{server}__{name}",
        server=server,
        tool=name,
        description="",
        input_schema={"type": "object"},
        annotations=Annotations(),
        fingerprint="f",
    )


def question(
    arguments: JsonObject,
    *,
    server: str = "orders",
    name: str = "refund_order",
    reason: str = "nothing matched",
    in_doubt: bool = False,
    waiting: int = 0,
    invalid: str | None = None,
) -> ApprovalQuestion:
    """A question whose edited arguments are invalid if they have the member `invalid` names."""
    return ApprovalQuestion(
        call_id="c1",
        tool=tool(server, name),
        arguments=arguments,
        rule="default",
        reason=reason,
        in_doubt=in_doubt,
        invalid=lambda edited: f"{invalid} is not known" if invalid in edited else None,
        waiting=lambda: waiting,
    )
