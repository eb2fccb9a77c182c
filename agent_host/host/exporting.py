"""A transcript in another form, written to a stream or to a file of its own.

Theory of operation: a form yields pieces of text. Markdown and HTML tell the run as people look
for it (`exports`); JSON is every record; the two message formats are the whole conversation as the
adapters of those APIs would send it, with the model's own calls and results in place, so that it
can be asked again or used elsewhere. A transcript that is damaged is exported up to the damage, and
says so. No form holds the run in memory: what it writes first is found in a pass of its own. A file
is made beside its place, for its owner alone, and moved there when it is whole; one
that is there is only replaced on demand.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent_host.core.errors import ConfigError, RecordError, UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import Message, Origin
from agent_host.host.exporting_messages import document
from agent_host.records.fold import Fold, IllegalRunError
from agent_host.records.lines import Scan
from agent_host.records.reader import Summary, as_json, opened, torn_end
from agent_host.records.walk import Walk

if TYPE_CHECKING:
    from agent_host.exports.story import Story

__all__ = ["FORMATS", "Exported", "as_text", "read", "write"]


class Exported:
    """A transcript that is exported. Once a document was made of it, `problem` is what is wrong
    with the file, for people (empty: nothing), and `damaged` what is so wrong that something is
    missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.walk = Walk(path)
        self.problem = ""
        self.damaged = ""

    def found(self) -> Summary:
        """Pass over the file, and return what a list says of it."""
        found = self.walk.finish()
        self.problem, self.damaged = self.walk.problem, self.walk.damaged
        return found


def read(path: Path) -> Exported:
    """Read a transcript. Raises RecordError if there is nothing in it that can be exported."""
    run = Exported(path)
    next(iter(run.walk))
    return run


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

    story = tell(run.walk)
    story.facts.outcome, story.facts.problem = run.found().outcome, run.problem
    return story


def _markdown(run: Exported) -> Iterator[str]:
    from agent_host.exports.markdown import lines

    yield from (f"{line}\n" for line in lines(_story(run)))
    run.found()


def _html(run: Exported) -> Iterator[str]:
    from agent_host.exports.page import pieces

    yield from pieces(_story(run))
    run.found()


def _json(run: Exported) -> Iterator[str]:
    found = run.found()
    lines = as_json(found, run.walk, run.walk.torn, run.path.name)
    yield from (f"{line}\n" for line in lines)
    run.found()


def _conversation(run: Exported) -> tuple[Sequence[Message], str, Origin]:
    """The whole conversation, as far as it is one, its system prompt, and who began it."""
    fold, name = Fold(run.path), str(run.path)
    with opened(run.path) as file:
        scan = Scan(file, name)
        try:
            fold.walk(scan)
        except IllegalRunError as error:  # what stands before is still a conversation
            run.problem = str(error)
        except RecordError as error:
            run.problem = run.damaged = str(error)
        else:
            run.problem = torn_end(name, scan.whole)
    return fold.state.messages, fold.state.system, fold.began_by


def _own(origin: Origin, adapter: str) -> Origin:
    """Signed thoughts and the like go along only where the dialect that made them is written."""
    return origin if origin.adapter == adapter else Origin(provider="", model="", adapter="")


def _openai(run: Exported) -> Iterator[str]:
    from agent_host.models.chat_messages import ChatEncoder
    from agent_host.profiles.table import built_in

    messages, system, origin = _conversation(run)
    profile = built_in().of("openai", "", "openai-chat")

    def encoded(part: tuple[Message, ...], first: bool) -> bytes:
        encoder = ChatEncoder(_own(origin, "openai-chat"), profile)
        return encoder.messages(system if first else "", part)[0]

    return document({"model": origin.model}, messages, encoded)


def _anthropic(run: Exported) -> Iterator[str]:
    from agent_host.models.anthropic_messages import TurnEncoder
    from agent_host.profiles.table import built_in

    messages, system, origin = _conversation(run)
    profile = built_in().of("anthropic", "", "anthropic")

    def encoded(part: tuple[Message, ...], _first: bool) -> bytes:
        return TurnEncoder(_own(origin, "anthropic"), profile).messages(part)[0]

    head = {"model": origin.model, **({"system": system} if system else {})}
    return document(head, messages, encoded)


FORMATS: dict[str, tuple[Callable[[Exported], Iterator[str]], str, str]] = {
    "md": (_markdown, ".md", "Markdown, for people"),
    "html": (_html, ".html", "one HTML file with search, for people"),
    "json": (_json, ".json", "every record, for programs"),
    "openai": (_openai, ".openai.json", "the messages, as Chat Completions takes them"),
    "anthropic": (_anthropic, ".anthropic.json", "the messages, as the Messages API takes them"),
}
"""Form -> how it is made, how its file's name ends, what it is for."""
