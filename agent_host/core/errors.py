"""The exception tree and the exit statuses.

Exceptions are for bad config, wrong use and our own bugs. What goes wrong in the world (a model
that is down, a server that dies, a refused call) is a value, see `ModelFailure` and `ToolResult`.

    AgentHostError
    ├── ConfigError      the config cannot be used: file, line, what to do
    ├── UsageError       a wrong command line, or an illegal move in a conversation
    ├── RecordError      a transcript that cannot be read or written
    └── UnavailableError something outside that a command cannot go on without
"""

import enum


class ExitStatus(enum.IntEnum):
    """What the process tells its caller."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    LIMIT = 3
    REFUSED = 4
    SERVER_UNAVAILABLE = 5
    MODEL_UNAVAILABLE = 6
    PARKED = 7
    NEEDS_LOGIN = 8
    INTERRUPTED = 130


class AgentHostError(Exception):
    """Anything a user is told in one line. `str()` of it is that line, without a traceback."""

    exit_status = ExitStatus.FAILED


class ConfigError(AgentHostError):
    """The config cannot be used; the text names file, line and what to do."""

    exit_status = ExitStatus.USAGE


class UsageError(AgentHostError):
    """A wrong command line, or an event that is not legal in the conversation's state."""

    exit_status = ExitStatus.USAGE


class RecordError(AgentHostError):
    """A transcript or artifact that cannot be read or written."""


class UnavailableError(AgentHostError):
    """A server, model or port that the command cannot do without is not there."""

    def __init__(
        self, message: str, exit_status: ExitStatus = ExitStatus.SERVER_UNAVAILABLE
    ) -> None:
        super().__init__(message)
        self.exit_status = exit_status
