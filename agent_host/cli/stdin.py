"""The prompt of `run`: an argument, standard input, or both.

Theory of operation: what is piped in is appended to the argument, or is the prompt. It is read to
its end, within a bound, and must be text. With an argument, a pipe on which nothing ever comes
(a service's, a CI job's) is given a moment and then left alone: it must not hang the run.
"""

import os
import select
import stat
import sys

from agent_host.core.errors import UsageError

LIMIT = 4 * 1024 * 1024
"""Bytes that standard input may hold."""

PATIENCE = 3.0
"""Seconds to wait for the first byte of a pipe if there is a prompt already."""


def read_prompt(argument: str | None) -> str:
    """Return the whole prompt; it may be empty. Raises UsageError for input that is no text, or
    too long."""
    said = (argument or "").strip()
    piped = _piped(waits=not said).strip()
    return "\n\n".join(part for part in (said, piped) if part)


def _piped(*, waits: bool) -> str:
    try:
        fd = sys.stdin.fileno()
        mode = os.fstat(fd).st_mode
    except (AttributeError, OSError, ValueError):
        return ""
    if os.isatty(fd) or stat.S_ISDIR(mode):
        return ""
    if not waits and not stat.S_ISREG(mode) and not select.select([fd], [], [], PATIENCE)[0]:
        sys.stderr.write("agent-host: nothing came on standard input; going on without it\n")
        return ""
    chunks, size = [], 0
    while size <= LIMIT and (chunk := os.read(fd, 1 << 16)):
        chunks.append(chunk)
        size += len(chunk)
    if size > LIMIT:
        raise UsageError(
            f"standard input holds more than {LIMIT // 1024 // 1024} MiB, too much for a prompt; "
            "send a part of it, or let a tool read the file"
        )
    try:
        text = b"".join(chunks).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"standard input is not UTF-8 text (byte {error.start}); send text"
        ) from None
    if "\0" in text:
        raise UsageError("standard input holds binary data (a NUL character); send text")
    return text
