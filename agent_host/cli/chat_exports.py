"""What `/export` of a chat writes, and where.

Theory of operation: the forms are those of `agent-host transcripts export`. Without a file the
document goes beside the transcript, under the run's name; a name is taken from the folder the chat
was started in, and an existing folder gets the file under the run's name. The run may go on while
it is written: what is on disk of it by then is what is exported.
"""

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Any


class ChatExports:
    """See `surfaces.chat_around.Export`. `path` is the transcript of the chat's own run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def formats(self) -> tuple[str, ...]:
        """The forms there are, the usual one first."""
        return tuple(_exporting().FORMATS)

    def form_of(self, file: str) -> str:
        """Return the form whose files are called so, by the longest ending; empty if none is."""
        forms = _exporting().FORMATS
        named = [form for form in forms if file.endswith(forms[form][1])]
        return max(named, key=lambda form: len(forms[form][1]), default="")

    def target(self, form: str, file: str) -> str:
        """Return the path that would be written."""
        usual = self._path.name.removesuffix(".jsonl") + _exporting().FORMATS[form][1]
        if not file:
            return str(self._path.with_name(usual))
        given = Path(file).expanduser()
        return str(given / usual if given.is_dir() else given)

    def exists(self, path: str) -> bool:
        """Whether there is something at that path."""
        return Path(path).exists()

    async def write(self, form: str, path: str) -> str:
        """Write it, over what is there; return what to tell. Raises AgentHostError."""
        return await asyncio.to_thread(self._write, form, path)

    def _write(self, form: str, path: str) -> str:
        exporting = _exporting()
        run = exporting.read(self._path)
        size = exporting.write(exporting.as_text(run, form), Path(path), force=True)
        problem = f"; {run.problem}" if run.problem else ""
        return f"{path}: {size:,} bytes{problem}"


def _exporting() -> Any:
    return import_module("agent_host.host.exporting")
