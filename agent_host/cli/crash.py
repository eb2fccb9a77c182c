"""The report of a bug of ours: short on the screen, whole in a file."""

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

from agent_host import __version__
from agent_host.core.text import clean_line
from agent_host.records.detect import Detector
from agent_host.records.redact import Redactor, without_any


def report(error: BaseException) -> str:
    """Keep the trace of `error` in a private file and return what to tell the user.

    The trace holds file names and source lines of the program, no values of variables; the
    command's arguments are left out, because they may hold what is private. An exception's own
    text may hold anything, so secrets are looked for in all of it.
    """
    trace = _without_secrets("".join(traceback.format_exception(error, limit=50)))
    facts = f"agent-host {__version__}, Python {platform.python_version()}, {sys.platform}\n"
    said = _without_secrets(str(error))
    summary = f"agent-host: a bug in agent-host: {type(error).__name__}: {clean_line(said)}"
    try:
        handle, name = tempfile.mkstemp(prefix="agent-host-crash-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(facts + trace)
    except OSError as failure:
        return f"{summary}\n  the trace could not be kept: {clean_line(str(failure))}"
    return f"{summary}\n  the trace is kept in {Path(name)}; please report it"


def _without_secrets(text: str) -> str:
    return Redactor({}, Detector()).text(without_any(text))
