"""`agent-host audit verify` and `checkpoint`."""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from agent_host.audit.anchors import Anchor, anchors
from agent_host.audit.files import files
from agent_host.audit.keys import Signer, key_id
from agent_host.audit.reading import newest
from agent_host.audit.verify import Report
from agent_host.audit.verify import verify as follow
from agent_host.cli.audit_folder import folder_of, read, write
from agent_host.config.audit_place import key_file
from agent_host.core.errors import ExitStatus, RecordError, UsageError
from agent_host.core.text import clean, clean_line

_ANCHOR_LIMIT = 1024 * 1024


def configure_verify(parser: argparse.ArgumentParser) -> None:
    """Add the options of `verify`."""
    parser.add_argument("--since", metavar="FILE", help="begin with this file of the log")
    parser.add_argument(
        "--checkpoint",
        metavar="CHECKPOINT",
        action="append",
        default=[],
        help="what `audit checkpoint` printed earlier (NUMBER:HASH, or HASH), or a file that holds "
        "it; shows whether the end was cut off (repeatable)",
    )
    parser.add_argument(
        "--key",
        metavar="KEY",
        action="append",
        default=[],
        help="a public key that may have signed, as `audit checkpoint` prints it (repeatable; "
        "default: this user's)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def configure_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the options of `checkpoint`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def verify(options: argparse.Namespace) -> int:
    """Follow the chain and say what is wrong first; status 1 if anything is."""
    kept = [anchor for text in options.checkpoint for anchor in _anchors(text)]
    folder = folder_of(options)
    since = _file(folder, options.since)
    own = Signer(key_file(os.environ)).public()
    known = options.key or ([own] if own else [])
    report = read(lambda: follow(folder, since=since, anchors=kept, keys=known), folder)
    if options.json:
        write([json.dumps({"ok": report.finding is None, **asdict(report)}, indent=2)])
    else:
        write(_lines(report, kept, known))
    return ExitStatus.DONE if report.finding is None else ExitStatus.FAILED


def checkpoint(options: argparse.Namespace) -> int:
    """Print what somebody else should keep."""
    folder = folder_of(options)
    last = read(lambda: newest(folder, 1), folder)
    if not last:
        raise RecordError(f"{clean_line(str(folder), 300)}: no entry can be read; see `verify`")
    seq, digest = last[0]["seq"], str(last[0]["hash"])
    key = Signer(key_file(os.environ)).public()
    if options.json:
        document = {"seq": seq, "hash": digest, "key": key, "time": last[0]["time"]}
        write([json.dumps(document)])
    else:
        write([f"{seq}:{clean_line(digest, 80)}" + (f"  key {key}" if key else "")])
    return ExitStatus.DONE


def _anchors(text: str) -> list[Anchor]:
    path = Path(text).expanduser()
    try:
        if path.is_file():
            with path.open("rb") as file:
                return anchors(file.read(_ANCHOR_LIMIT).decode("utf-8", "replace"))
    except (OSError, ValueError):
        pass
    return anchors(text)


def _file(folder: Path, name: str | None) -> str | None:
    if name is None:
        return None
    wanted = Path(name).name
    names = [path.name for path in read(lambda: files(folder), folder)]
    if wanted not in names:
        raise UsageError(
            f'the log has no file "{clean_line(wanted, 80)}"; it has {names[0]} to {names[-1]}'
        )
    return wanted


def _lines(report: Report, kept: list[Anchor], known: list[str]) -> Iterator[str]:
    finding = report.finding
    if finding is None:
        many = f"{_count(report.entries, 'entr', 'y', 'ies')} in {_count(report.files, 'file')}"
        yield f"whole: {many}, {report.first} to {report.last}, last hash {report.hash}"
    else:
        place = f"{finding.file}:{finding.line}: " if finding.file else ""
        yield f"NOT WHOLE: {place}{clean(finding.text)}"
        good = finding.seq - 1 if finding.kind != "cut_off" else report.last
        yield f"entries before that, up to {max(good, 0)}, are as they were written"
    yield _signed(report, known)
    yield from (f"note: {clean_line(note, 600)}" for note in report.notes)
    if finding is None and not kept:
        yield (
            "whether the end was cut off cannot be seen from here: compare with a checkpoint that "
            "was kept elsewhere (--checkpoint)"
        )


def _signed(report: Report, known: list[str]) -> str:
    if not report.signed:
        return "no checkpoint is signed" if report.finding is None else "none of them is signed for"
    whose = "this user's key" if known and set(report.keys) <= set(known) else "key"
    keys = ", ".join(map(key_id, report.keys))
    rest = f", {report.unsigned} not signed" if report.unsigned else ""
    return f"{_count(report.signed, 'checkpoint')} signed by {whose} {keys}{rest}"


def _count(number: int, word: str, one: str = "", more: str = "s") -> str:
    return f"{number:,} {word}{one if number == 1 else more}"
