"""`agent-host tools search`: the tools that speak of something, best first.

It is the search that a model has over a large catalogue (`core.search`), so it also shows whether a
tool would be found by the words that a model would use.
"""

import argparse
import json
import sys
from dataclasses import asdict

from agent_host.cli.columns import columns
from agent_host.cli.trusting import add_trust_option
from agent_host.core.errors import ExitStatus
from agent_host.core.hidden import visible
from agent_host.core.search import ToolSearch
from agent_host.core.text import clean_line
from agent_host.servers.pool import Pool

LIMIT = 20


def configure_search(parser: argparse.ArgumentParser) -> None:
    """Add all options of the action."""
    parser.description = (
        "Find tools by what they do, as a model does that is offered too many to be sent them all. "
        "Ends with 1 if there is none."
    )
    parser.add_argument("words", nargs="+", metavar="WORD", help="what a tool should do")
    parser.add_argument("--server", metavar="NAME", help="only this server")
    parser.add_argument(
        "--limit", type=int, default=LIMIT, metavar="N", help=f"show so many; default {LIMIT}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_trust_option(parser)


def search(pool: Pool, options: argparse.Namespace) -> int:
    """Print what is found, and return the exit status."""
    query = " ".join(options.words)
    found = ToolSearch(pool.tools().values()).find(query, limit=max(options.limit, 1))
    if options.json:
        tools = [
            {
                "name": tool.name,
                "server": tool.server,
                "tool": tool.tool,
                "description": tool.description,
                "annotations": asdict(tool.annotations),
            }
            for tool in found.tools
        ]
        report = {"query": query, "total": found.total, "tools": tools}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    elif found.tools:
        rows = [
            (tool.name, tool.server, " ".join(visible(tool.description).split()))
            for tool in found.tools
        ]
        sys.stdout.write(columns(("name", "server", "what it does"), rows, cell=80) + "\n")
        if found.total > len(found.tools):
            sys.stderr.write(f"{len(found.tools)} of {found.total}; --limit shows more\n")
    else:
        sys.stderr.write(f"no tool speaks of {clean_line(query, 100)!r}; try other words\n")
        up = any(health.state == "connected" for health in pool.health())
        if not up and pool.health():
            return ExitStatus.SERVER_UNAVAILABLE
    return ExitStatus.DONE if found.tools else ExitStatus.FAILED
