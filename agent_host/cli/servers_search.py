"""`agent-host servers search`: published servers that fit some words."""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence

from agent_host.cli.columns import columns
from agent_host.cli.published import Published, add_registry_options, published
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean_line, clip
from agent_host.registry.index import Hit
from agent_host.registry.server_json import Listing

LIMIT = 20
_NARROW = 100
_LEAST = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("words", metavar="WORDS", nargs="+", help="what the server is about")
    parser.add_argument(
        "--limit", type=_limit, default=LIMIT, metavar="N", help=f"at most N (default {LIMIT})"
    )
    parser.add_argument("--all", action="store_true", help="deprecated and deleted ones, too")
    parser.add_argument(
        "--refresh", action="store_true", help="bring the local index fully up to date first"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_registry_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Search, print what was found, return the exit status."""
    text = " ".join(options.words)
    with published(options) as registry:
        registry.freshen(wholly=options.refresh, words=text)
        hits = registry.index.search(text, options.limit, every=options.all)
        ways = [_ways(registry.index.listing(hit.name)) for hit in hits]
        if options.json:
            rows = [_document(hit, way) for hit, way in zip(hits, ways, strict=True)]
            sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        elif hits:
            sys.stdout.write(_table(hits, ways) + "\n")
            _advise()
        else:
            _nothing(registry, text, every=options.all)
        if not registry.index.count():
            return ExitStatus.SERVER_UNAVAILABLE
    return ExitStatus.DONE


def _limit(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:
        raise argparse.ArgumentTypeError("must be 1 to 1000")
    return number


def _nothing(registry: Published, text: str, *, every: bool) -> None:
    if not registry.index.count():
        registry.say(f"{registry.state()}; nothing can be found")
        return
    registry.say(f'no published server fits "{clean_line(text, 80)}"; {registry.state()}')
    if not every and (old := registry.index.search(text, LIMIT, every=True)):
        registry.say(f"{len(old)} deprecated or deleted ones do; --all shows them")


def _advise() -> None:
    if sys.stdout.isatty():
        sys.stderr.write("`agent-host servers show NAME` tells more\n")


def _ways(listing: Listing | None) -> tuple[str, ...]:
    """The registry types of a server's packages, and `remote`."""
    if listing is None:
        return ()
    kinds = [clean_line(package.registry_type, 20) for package in listing.server.packages]
    kinds += ["remote"] if listing.server.remotes else []
    return tuple(dict.fromkeys(kinds))


def _document(hit: Hit, ways: Sequence[str]) -> dict[str, object]:
    return {
        "name": hit.name,
        "title": hit.title,
        "description": hit.description,
        "version": hit.version,
        "status": hit.status,
        "updated": hit.updated,
        "ways": list(ways),
    }


def _said(hit: Hit) -> str:
    flag = "" if hit.status == "active" else f"[{hit.status}] "
    return flag + (hit.description or hit.title)


def _table(hits: Sequence[Hit], ways: Sequence[Sequence[str]]) -> str:
    """A line a server; on a narrow terminal, its name and then what it says."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    if 0 < width < _NARROW:
        lines = []
        for hit in hits:
            lines.append(clean_line(f"{hit.name} {hit.version}", width))
            lines.append("  " + clean_line(_said(hit), max(width - 2, 1)))
        return "\n".join(lines)
    rows = [
        (hit.name, clip(hit.version, 20), ",".join(way), _said(hit))
        for hit, way in zip(hits, ways, strict=True)
    ]
    text = columns(("name", "version", "ways", "description"), rows, cell=200)
    if not width:
        return text
    return "\n".join(clip(line, max(width, _LEAST)) for line in text.split("\n"))
