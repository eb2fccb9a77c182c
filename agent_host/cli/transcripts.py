"""`agent-host transcripts`: recorded runs.

Theory of operation: a table of actions, one file each. Those that only read take no lock, change
no run and start nothing, so they may be used while a run writes.
"""

import argparse

from agent_host.cli.actions import configure_actions, execute_action

ACTIONS = {
    "list": ("agent_host.cli.transcripts_list", "list the runs, the newest first"),
    "search": ("agent_host.cli.transcripts_search", "find runs by what was said in them"),
    "show": ("agent_host.cli.transcripts_show", "show what happened in a run"),
    "resume": ("agent_host.cli.transcripts_resume", "go on with a run"),
    "fork": ("agent_host.cli.transcripts_fork", "make a new run of the beginning of another"),
    "delete": ("agent_host.cli.transcripts_delete", "delete runs with their artifacts"),
    "prune": ("agent_host.cli.transcripts_prune", "delete old runs"),
    "export": (
        "agent_host.cli.transcripts_export",
        "write a run as Markdown, HTML, JSON or messages of a model API",
    ),
    "replay": (
        "agent_host.cli.transcripts_replay",
        "run recorded runs again, and show where one leaves its record",
    ),
    "compare": (
        "agent_host.cli.transcripts_compare",
        "put models, or recorded runs, side by side on the same task",
    ),
    "test": (
        "agent_host.cli.transcripts_test",
        "test a folder of recorded runs: this program, a model, or servers",
    ),
}
"""Name -> (module with `configure` and `execute`, one line of help)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    configure_actions(parser, ACTIONS)


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    return execute_action(options, ACTIONS)
