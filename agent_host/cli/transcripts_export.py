"""`agent-host transcripts export`: a run as Markdown, HTML, JSON, or messages of a model API.

Theory of operation: without `-o`, or with `-o -`, the document goes to stdout, as every other does;
a file is made for its owner alone, and one that is there is not touched without `--force`. What is
wrong with the transcript is said on stderr, and what could be read is exported.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent_host.cli.progress import Say, progress
from agent_host.cli.transcripts_text import written
from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.core.text import clean_line
from agent_host.host.exporting import FORMATS, as_text, read, write
from agent_host.records.reader import find

_OFTEN = 1_000_000
"""Characters between two words about how far an export is."""

_KINDS = "; ".join(f"{name}: {what}" for name, (_, _, what) in FORMATS.items())


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("id", metavar="ID", help="a run's id, a beginning of it, or `last`")
    parser.add_argument(
        "--format", choices=FORMATS, help=f"{_KINDS} (default: by the file's name, else md)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write to this file, or into this folder (default and -: standard output)",
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    path = find(locate_transcripts(options.config, os.environ, working_folder()), options.id)
    form = options.format or _by_name(options.output or "")
    if options.output in {None, "-"} and form == "html" and sys.stdout.isatty():
        raise UsageError("a page is not for a terminal; name a file: -o run.html")
    run = read(path)
    pieces = as_text(run, form)
    if options.output in {None, "-"}:
        written(pieces)
    else:
        target = Path(options.output)
        if target.is_dir():
            target /= path.name.removesuffix(".jsonl") + FORMATS[form][1]
        with progress(f"exporting {run.path.stem}") as say:
            size = write(
                _counted(pieces, f"exporting {run.path.stem}", say), target, force=options.force
            )
        sys.stderr.write(f"{clean_line(str(target), 500)}: {size:,} bytes\n")
    if run.problem:
        sys.stdout.flush()
        sys.stderr.write(f"agent-host: {clean_line(run.problem, 1000)}\n")
    return ExitStatus.FAILED if run.damaged else ExitStatus.DONE


def _counted(pieces: Iterable[str], what: str, say: Say) -> Iterator[str]:
    """The pieces, and how much they are said on the way."""
    size = shown = 0
    for piece in pieces:
        size += len(piece)
        if size - shown >= _OFTEN:
            shown = size
            say(f"{what}: {size / 1e6:,.0f} MB")
        yield piece


def _by_name(file: str) -> str:
    """The form whose files are called so; the longest ending counts."""
    ends = sorted(FORMATS, key=lambda name: -len(FORMATS[name][1]))
    return next((name for name in ends if file.endswith(FORMATS[name][1])), "md")
