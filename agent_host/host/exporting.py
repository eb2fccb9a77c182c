"""A transcript in another form, written to a stream or to a file of its own.

Theory of operation: a form yields pieces of text. Markdown and HTML tell the run as people look
for it (`exports`); JSON is every record; the two message formats are the whole conversation as the
adapters of those APIs would send it, with the model's own calls and results in place, so that it
can be asked again or used elsewhere. A transcript that is damaged is exported up to the damage, and
says so. A file is made beside its place, for its owner alone, and moved there when it is whole; one
that is there is only replaced on demand.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import ConfigError, UsageError
from agent_host.core.events import RunStarted
from agent_host.core.handoff import legal
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Message, Origin
from agent_host.records.reader import Reading, Summary, as_json, salvage, summary

if TYPE_CHECKING:
    from agent_host.exports.story import Story

__all__ = ["FORMATS", "Exported", "as_text", "read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A transcript that was read to be exported; `found`: what a list says of it."""

    path: Path
    reading: Reading
    found: Summary

    @property
    def problem(self) -> str:
        """What is wrong with the file, for people; empty: nothing."""
        return self.found.broken or self.reading.torn


def read(path: Path) -> Exported:
    """Read a transcript. Raises RecordError if there is nothing in it that can be exported."""
    reading = salvage(path)
    return Exported(path=path, reading=reading, found=summary(path, reading))


def as_text(run: Exported, form: str) -> Iterator[str]:
    """Yield the document in pieces. `form`: one of FORMATS (UsageError for another)."""
    if form not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(f"there is no format {clean_line(form, 40)!r}; there are {known}")
    return FORMATS[form][0](run)


def write(pieces: Iterable[str], path: Path, *, force: bool = False) -> int:
    """Write a document to a file of mode 0600 and return its size in bytes.

    ConfigError if there is a file already and `force` is not set, or if it cannot be written;
    whatever was there is then as it was. UsageError for what is no file (a device, a pipe) or is a
    transcript: neither is ever written over.
    """
    name = clean_line(str(path), 300)
    try:
        _refuse(path, name)
        with _beside(path) as made:
            with made.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            if force:
                made.replace(path)
            else:
                # A link is made only where nothing is: no moment between a look and a write.
                path.hardlink_to(made)
    except FileExistsError:
        raise ConfigError(f"{name} is there already; --force writes over it") from None
    except OSError as error:
        raise ConfigError(
            f"{name} cannot be written: {error.strerror}; name another file"
        ) from None
    return size


def _refuse(path: Path, name: str) -> None:
    if path.exists() and not path.is_file():
        raise UsageError(f"{name} is no file; `-o -` writes to standard output")
    if path.suffix == ".jsonl":
        raise UsageError(f"{name} is named as transcripts are; name the file otherwise")


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=".export-", dir=path.parent)
    os.close(handle)
    made = Path(name)
    try:
        yield made
    finally:
        made.unlink(missing_ok=True)


def _story(run: Exported) -> "Story":
    from agent_host.exports.story import tell

    return tell(run.reading.records, outcome=run.found.outcome, problem=run.problem)


def _markdown(run: Exported) -> Iterator[str]:
    from agent_host.exports.markdown import lines

    return (f"{line}\n" for line in lines(_story(run)))


def _html(run: Exported) -> Iterator[str]:
    from agent_host.exports.page import pieces

    return pieces(_story(run))


def _json(run: Exported) -> Iterator[str]:
    return (
        f"{line}\n"
        for line in as_json(run.found, run.reading.records, run.reading.torn, run.path.name)
    )


def _messages(run: Exported) -> tuple[str, tuple[Message, ...], Origin]:
    """The system prompt, the whole conversation, and who began it."""
    state = Conversation()
    system, origin = "", Origin(provider="", model="", adapter="")
    for record in run.reading.records:
        try:
            state = apply(state, record.event)
        except UsageError:
            break  # `problem` says so: what stands before is still a conversation
        if isinstance(record.event, RunStarted):
            event = record.event
            system = event.system
            origin = Origin(provider=event.provider, model=event.model, adapter=event.adapter)
    return system, legal(tuple(state.messages)), origin


def _own(origin: Origin, adapter: str) -> Origin:
    """Signed thoughts and the like go along only where the dialect that made them is written."""
    return origin if origin.adapter == adapter else Origin(provider="", model="", adapter="")


def _openai(run: Exported) -> Iterator[str]:
    from agent_host.models.chat_messages import ChatEncoder
    from agent_host.profiles.table import built_in

    system, messages, origin = _messages(run)
    encoder = ChatEncoder(_own(origin, "openai-chat"), built_in().of("openai", "", "openai-chat"))
    body, _ = encoder.messages(system, messages)
    yield _document({"model": origin.model}, body)


def _anthropic(run: Exported) -> Iterator[str]:
    from agent_host.models.anthropic_messages import TurnEncoder
    from agent_host.profiles.table import built_in

    system, messages, origin = _messages(run)
    encoder = TurnEncoder(_own(origin, "anthropic"), built_in().of("anthropic", "", "anthropic"))
    body, _ = encoder.messages(messages)
    yield _document({"model": origin.model, **({"system": system} if system else {})}, body)


def _document(head: JsonObject, messages: bytes) -> str:
    """ASCII alone: nothing that is hidden or turns text around stands in it as it is."""
    return json.dumps({**head, "messages": json.loads(messages)}, indent=1) + "\n"


FORMATS: dict[str, tuple[Callable[[Exported], Iterator[str]], str, str]] = {
    "md": (_markdown, ".md", "Markdown, for people"),
    "html": (_html, ".html", "one HTML file with search, for people"),
    "json": (_json, ".json", "every record, for programs"),
    "openai": (_openai, ".openai.json", "the messages, as Chat Completions takes them"),
    "anthropic": (_anthropic, ".anthropic.json", "the messages, as the Messages API takes them"),
}
"""Form -> how it is made, how its file's name ends, what it is for."""
