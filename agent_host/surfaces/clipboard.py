"""The picture in the clipboard of the person at the terminal.

Theory of operation: no terminal pastes pictures, so the desktop's own program is asked for one:
`wl-paste`, `xclip` or `pngpaste`, whichever is there and has a desktop to ask. Only when a person
presses the key for it, for a few seconds at most, and what comes is taken only if it is a picture.
"""

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import suppress

from agent_host.core.context import MEDIA_LIMIT
from agent_host.surfaces.attachments import picture_type

_SECONDS = 5.0
_ASKED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("wl-paste", "WAYLAND_DISPLAY", ("--no-newline", "--type", "image/png")),
    ("xclip", "DISPLAY", ("-selection", "clipboard", "-target", "image/png", "-out")),
    ("pngpaste", "", ("-",)),
)
"""Programs, the variable without which they have nobody to ask, and what to ask."""


async def clipboard_picture(environ: Mapping[str, str]) -> bytes | str:
    """Return the picture, or why there is none. Never raises for the world's faults."""
    asked = False
    for name, needs, words in _ASKED:
        program = shutil.which(name, path=environ.get("PATH", ""))
        if program is None or (needs and not environ.get(needs)):
            continue
        asked = True
        data = await _output([program, *words], environ)
        if picture_type(data[:16]):
            if len(data) > MEDIA_LIMIT:
                return "the picture in the clipboard is too large; save it and name the file"
            return data
    if not asked:
        return (
            "the clipboard cannot be asked for a picture here (no wl-paste, xclip or pngpaste, or "
            "no desktop); save it and name the file, as in @shot.png"
        )
    return "there is no picture in the clipboard"


async def _output(command: list[str], environ: Mapping[str, str]) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return b""
    assert process.stdout is not None  # a pipe, see above
    data = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            while len(data) <= MEDIA_LIMIT and (piece := await process.stdout.read(65536)):
                data += piece
            if len(data) <= MEDIA_LIMIT:
                await process.wait()
    except TimeoutError:
        data.clear()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return bytes(data)
