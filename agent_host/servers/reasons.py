"""Why a server failed, in words for people."""

import re
from textwrap import shorten

from agent_host.core.text import clean_line
from agent_host.servers.spec import ConnectFailedError, Connection

_NODE = re.compile(r"Node\.js v\d[\w.-]*\Z")
_ERROR = re.compile(r"(?:Uncaught )?(?:[A-Z]\w*)?Error\b.*:")
LAST_WORDS = 160
"""Characters of the last line that a server logged which are told when it ends."""


async def explained(error: ConnectFailedError, connection: Connection) -> ConnectFailedError:
    """The error, or how the server ended if that is what was behind it."""
    if error.needs_login or not connection.ended:
        return error
    text = f"it ended before it was ready: {await connection.lost()}"
    return ConnectFailedError(
        with_last_words(text, connection),
        silent=error.silent,
        status=error.status,
        retry_after=error.retry_after,
    )


def with_last_words(why: str, connection: Connection) -> str:
    """Why a server ended, with the last line that it logged: most often the actual reason."""
    last = _last(connection.stderr_tail())
    # Cut between words: what redacts a secret later does not know a part of it.
    words = shorten(clean_line(last, len(last)), LAST_WORDS, placeholder=" …") if last else ""
    return f"{why}; its last words: {words}" if words.strip(" …") else why


def _last(logged: str) -> str:
    """The last line; of a crash of Node, which ends with its version, the error."""
    lines = logged.rstrip().split("\n")
    if not _NODE.match(lines[-1]):
        return lines[-1]
    errors = [line for line in lines if _ERROR.match(line)]
    return errors[-1] if errors else lines[-1]


def flat(error: BaseException) -> str:
    """The first real reason in a group of exceptions, on one clean line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error).partition("\n")[0]
    return clean_line(f"{type(error).__name__}: {text}" if text else type(error).__name__)
