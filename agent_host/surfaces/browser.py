"""Opens a page in the user's browser, without a shell and without a word on this terminal.

Theory of operation: `webbrowser` decides which program that is, in a process of its own whose
streams go nowhere: browsers write to their terminal, and some read from it. On a machine without
a screen the browsers are those that would draw in this terminal; there nothing is opened.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping

OpenPage = Callable[[str], Awaitable[bool]]
"""Opens a URL; returns whether a browser took it. Never raises for the world's faults."""

_PATIENCE = 15.0
_OPEN = "import sys, webbrowser; sys.exit(0 if webbrowser.open(sys.argv[1]) else 1)"


def open_page(environ: Mapping[str, str]) -> OpenPage | None:
    """Return how to open a page here, or None where there is no browser to open it in."""
    screen = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    if not (screen or environ.get("BROWSER") or sys.platform == "darwin"):
        return None

    async def open_one(url: str) -> bool:
        nowhere = asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", _OPEN, url),
                stdin=nowhere,
                stdout=nowhere,
                stderr=nowhere,
                start_new_session=True,
            )
        except OSError:
            return False
        try:
            async with asyncio.timeout(_PATIENCE):
                return await process.wait() == 0
        except TimeoutError:
            # A browser that stays in the foreground was opened all the same.
            return True

    return open_one
