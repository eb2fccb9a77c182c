"""What `prompts` and `resources` have in common: servers asked, failures as exit statuses.

Theory of operation: a list shows what there is and says on stderr what is missing; it fails only
if a server that was asked for by name is not there. What was asked of one server and did not come
ends the command with the status of its reason.
"""

import sys
from collections.abc import Sequence

from agent_host.core.errors import AgentHostError, ExitStatus, UnavailableError
from agent_host.core.text import clean_line
from agent_host.servers.offers import Failed
from agent_host.servers.pool import Pool


def failure(pool: Pool, server: str, failed: Failed) -> AgentHostError:
    """Return the error that a Failed is."""
    name, text = clean_line(server, 80), clean_line(failed.text, 1000)
    text = text if text.startswith(f"{name}:") else f"{name}: {text}"
    if failed.kind != "server_unavailable":
        return AgentHostError(text)
    return UnavailableError(
        f"{text}; `agent-host servers test {name}` tells why", down_status(pool, server)
    )


def say_problems(pool: Pool, problems: Sequence[str], *, asked: bool) -> ExitStatus:
    """Say on stderr what is wrong, and return what the command ends with. `asked`: the one
    server was asked for by name."""
    for problem in problems:
        sys.stderr.write(f"{clean_line(problem, 500)}\n")
    down = any(health.state != "connected" for health in pool.health())
    return down_status(pool) if asked and down else ExitStatus.DONE


def down_status(pool: Pool, server: str | None = None) -> ExitStatus:
    """Return what a command ends with that cannot go on because `server`, or any, is down."""
    asked = (health for health in pool.health() if server in (None, health.name))
    if any(health.state == "needs_login" for health in asked):
        return ExitStatus.NEEDS_LOGIN
    return ExitStatus.SERVER_UNAVAILABLE
