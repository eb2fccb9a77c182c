"""Choosing a run at the terminal: `/resume` in a chat, and `--resume` without an id.

Theory of operation: the list is drawn where a chat's screen can be (`surfaces.picker`, loaded when
it is asked for); elsewhere a chat lists runs with numbers, and `--resume` wants an id.
"""

import asyncio
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.cli.chat_keyboard import stands
from agent_host.cli.chat_runs import ChatRuns
from agent_host.core.errors import UsageError
from agent_host.surfaces.chat_around import Pick, RunInfo
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.preferences import TerminalPreferences
from agent_host.surfaces.turns import Turns


def picker(
    screen: Outlet, wishes: TerminalPreferences, runs: ChatRuns, turns: Turns
) -> Pick | None:
    """Return how a run is chosen in a chat; None where no list can be drawn."""
    if not stands(screen, wishes):
        return None

    async def pick(words: str) -> RunInfo | None:
        async with turns.take():
            return await _picked(screen, runs, words)

    return pick


def chosen(folder: Path, screen: Outlet, wishes: TerminalPreferences) -> str | None:
    """Let the user choose a run of a folder before a chat begins; None: they do not. Raises
    UsageError where that cannot be done, or there is nothing to choose from."""
    if not (sys.stdin.isatty() and stands(screen, wishes)):
        raise UsageError("name the run: --resume ID; `agent-host transcripts list` shows them")
    runs = ChatRuns(folder)
    found, _ = asyncio.run(runs.find("", 1))
    if not found:
        raise UsageError(f"there is no run in {folder} that could be gone on with")
    run = asyncio.run(_picked(screen, runs, ""))
    return None if run is None else run.run_id


async def _picked(screen: Outlet, runs: ChatRuns, words: str) -> RunInfo | None:
    made: Any = import_module("agent_host.surfaces.picker")
    choice = made.RunPicker(
        runs.find, words=words, current=runs.current, busy=runs.reading, styled=screen.styled
    )
    run: RunInfo | None = await choice.run()
    return run
