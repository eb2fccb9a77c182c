"""A person's own editor, for what is written in a chat.

Theory of operation: `$VISUAL`, else `$EDITOR`, and nothing else: which program runs is for the
person's environment to say, never for a project. The text lies in a folder that only its owner can
read, for as long as the editor runs. The caller gives the terminal away before and takes it back
afterwards. Ctrl-C is the editor's own meanwhile. An editor is always at the terminal, also where
the standard streams are pipes.
"""

import asyncio
import os
import shlex
import signal
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
            with _terminal() as stream:
                process = await asyncio.create_subprocess_exec(
                    *words, str(path), env=dict(environ), stdin=stream, stdout=stream
                )
            try:
                with _uninterrupted():
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


def json_editor(
    environ: Mapping[str, str], say: Callable[[str], object]
) -> Callable[[str], Coroutine[Any, Any, str | None]] | None:
    """Return what lets the person change a text of JSON and returns it, or None with the reason
    told to `say`; None if no editor is named."""
    if not editor_of(environ):
        return None

    async def edit(text: str) -> str | None:
        edited = await edit_text(text, environ, suffix=".json")
        if edited.problem:
            say(edited.problem)
        return edited.text

    return edit


@contextmanager
def _terminal() -> Iterator[int | None]:
    """The controlling terminal, where the standard streams are something else; else None."""
    if os.isatty(0) and os.isatty(1):
        yield None
        return
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """While inside, Ctrl-C does nothing here. Only once the editor runs, which else could not be
    interrupted either: what is ignored stays so in a new program."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        # Whoever has set another one meanwhile (a chat that has ended) keeps it.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)
            signal.siginterrupt(signal.SIGINT, False)  # as asyncio set it
