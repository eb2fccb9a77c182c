"""A person's own editor, for what is written in a chat.

Theory of operation: `$VISUAL`, else `$EDITOR`, and nothing else: which program runs is for the
person's environment to say, never for a project. The text lies in a folder that only its owner can
read, for as long as the editor runs. The caller gives the terminal away before and takes it back
afterwards.
"""

import asyncio
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_MOST = 4 << 20
"""Bytes that are read back at most."""


@dataclass(frozen=True, slots=True)
class Edited:
    """What came of it: the text, or None and `problem` says why (empty: nothing changed)."""

    text: str | None = None
    problem: str = ""


def editor_of(environ: Mapping[str, str]) -> list[str]:
    """Return the command of the editor, empty if none is named or what is named is no command."""
    for name in ("VISUAL", "EDITOR"):
        try:
            words = shlex.split(environ.get(name, ""))
        except ValueError:
            continue
        if words:
            return words
    return []


async def edit_text(text: str, environ: Mapping[str, str], *, suffix: str = ".md") -> Edited:
    """Let the person change `text`. Never raises for the world's faults."""
    words = editor_of(environ)
    if not words:
        return Edited(problem="no editor is named; set $VISUAL or $EDITOR, as in EDITOR=nano")
    try:
        # The name is a fresh one, in a folder that only this user can read (mkdtemp).
        with tempfile.TemporaryDirectory(prefix="agent-host-") as folder:
            path = Path(folder) / f"message{suffix}"
            path.write_text(text, encoding="utf-8")
            process = await asyncio.create_subprocess_exec(*words, str(path), env=dict(environ))
            try:
                status = await process.wait()
            except asyncio.CancelledError:
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
                raise
            if status:
                return Edited(problem=f"{words[0]} ended with status {status}; nothing was taken")
            with path.open("rb") as file:
                data = file.read(_MOST + 1)
    except OSError as error:
        return Edited(problem=f"{words[0]} cannot be run ({error.strerror})")
    if len(data) > _MOST:
        return Edited(problem=f"the text is larger than {_MOST:,} bytes; nothing was taken")
    edited = data.decode("utf-8", "replace").replace("\r\n", "\n")
    return Edited(edited if text.endswith("\n") else edited.removesuffix("\n"))
