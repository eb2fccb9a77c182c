"""`agent-host transcripts search`: runs in which something was said.

Theory of operation: words that a run must all hold, wherever; see `records.looked_for`. Under each
run stand the places where they are. Like grep, it returns 1 if nothing was found.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace

from agent_host.cli.actions import word
from agent_host.cli.transcripts_index import add_filters, filters, index_of
from agent_host.cli.transcripts_list import ANY_WIDTH, NEWEST, add_count, table
from agent_host.cli.transcripts_text import as_it_stands, count, document, write
from agent_host.config.file import locate_transcripts
from agent_host.config.paths import working_folder
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean_line, clip
from agent_host.core.types import JsonObject
from agent_host.records.codec import encode_value
from agent_host.records.index_search import Found, Place, search
from agent_host.records.looked_for import looked_for
from agent_host.records.said import END, HIT

_BOLD, _PLAIN = "\x1b[1m", "\x1b[22m"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.words_with_dashes = True  # type: ignore[attr-defined]  # see cli.actions
    parser.add_argument(
        "words",
        metavar="WORD",
        type=word,
        nargs="+",
        help='all must be in the run; "two words" in quotation marks, begin*, or -without',
    )
    add_filters(parser)
    add_count(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    words = looked_for(options.words)
    folder = locate_transcripts(options.config, os.environ, working_folder())
    limit = options.count or NEWEST
    with index_of(folder) as index:
        found, total = search(index, words, filters(options), limit)
    found = [replace(one, run=as_it_stands(one.run)) for one in found]
    if options.json:
        runs = [_document(one) for one in found]
        write([encode_value({"total": total, "runs": runs}).decode()])
    elif not found:
        write([f"Nothing found in {clean_line(str(folder), 500)}."])
    else:
        write(_lines(found))
        if total > len(found):
            write([f"… in {count(total - len(found), 'older run')} too (-n {total} lists all)"])
    return ExitStatus.DONE if found else ExitStatus.FAILED


def _lines(found: list[Found]) -> Iterator[str]:
    terminal = sys.stdout.isatty()
    width = max(shutil.get_terminal_size().columns, 40) if terminal else ANY_WIDTH
    bold = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    for one in found:
        yield from table([one.run], width)
        for place in one.places:
            yield _place(place, width, bold=bold)


def _place(place: Place, width: int, *, bold: bool) -> str:
    head = f"    turn {place.turn}, {place.kind}: "
    pieces = place.text.replace(END, HIT).split(HIT)
    line = []
    room = width - len(head)
    for number, piece in enumerate(pieces):
        text = clip(_flat(piece), max(room, 0)) if room > 0 else ""
        room -= len(text)
        line.append(f"{_BOLD}{text}{_PLAIN}" if bold and number % 2 and text else text)
    return head + "".join(line)


def _flat(text: str) -> str:
    """Clean, with the spaces at its ends."""
    before = " " if text[:1] == " " else ""
    after = " " if len(text) > 1 and text[-1:] == " " else ""
    return f"{before}{clean_line(text.strip())}{after}"


def _document(one: Found) -> JsonObject:
    places = [
        {"turn": p.turn, "kind": p.kind, "text": p.text.replace(HIT, "").replace(END, "")}
        for p in one.places
    ]
    return {**document(one.run), "places": places}
