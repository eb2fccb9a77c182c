"""`agent-host servers lock`: the servers beside servers.lock, and what a human accepts of them.

Theory of operation: the servers are started and asked anew, nothing is taken from memory, and each
is put beside its pins. `--check` and `--diff` write nothing. What `--accept` pins is what it has
shown, even if the server says something else a moment later; the servers are gone by the time that
a person is asked.
"""

import argparse
import json
import os
import sys
import termios
from collections import Counter
from collections.abc import Iterator
from typing import Any

from agent_host.cli.live import enabled, with_servers
from agent_host.cli.offered import down_status
from agent_host.cli.trusting import add_trust_option, at_terminal, confirmed, ensure_trusted
from agent_host.config.load import Loaded, load
from agent_host.config.near import nearest
from agent_host.core.errors import ConfigError, ExitStatus, UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import Principal
from agent_host.host import user_name
from agent_host.host.audit import record_act
from agent_host.host.known import LOCK_FILE
from agent_host.servers.lock import Lock
from agent_host.servers.pool import Pool
from agent_host.servers.review import Item, Review, accept

_DIFFERS = {"changed", "lost"}
_NOT_AS_LOCKED = {"changed", "lost", "new", "gone", "noted"}
_SAID = {
    "known": "as pinned",
    "new": "first seen now",
    "changed": "changed",
    "gone": "no longer there",
    "lost": "not known any more",
    "noted": "other than it was",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="SERVER [TOOL ...]",
        help="only this server, and of it only these (also prompts/NAME, server/instructions)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check",
        action="store_true",
        help="end with 1 if anything differs from the lock; writes nothing",
    )
    what.add_argument("--diff", action="store_true", help="show how it differs; writes nothing")
    what.add_argument(
        "--accept", action="store_true", help="show how it differs, ask, and pin it as it is now"
    )
    parser.add_argument(
        "--frozen",
        action="store_true",
        help="with --check: also if something is not in the lock, is gone, or has a new version",
    )
    parser.add_argument("--yes", action="store_true", help="with --accept: do not ask")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_trust_option(parser)


def execute(options: argparse.Namespace) -> int:
    """Compare, and accept what a person says; return the exit status."""
    _check_options(options)
    loaded = load(options.config, os.environ)
    only = enabled(loaded, options.names[:1])
    path = loaded.folder / LOCK_FILE
    lock = Lock.read(path, writes=not (options.check or options.diff), fresh=True)
    if lock.problem:
        sys.stderr.write(f"{lock.problem}\n")
    if options.accept and lock.newer:
        raise ConfigError(f"{clean_line(str(path))}: is left as it is")
    if options.accept and not options.yes and not at_terminal(sys.stdin, sys.stderr):
        raise UsageError("nobody can be asked here; look at it with --diff, then say --yes")
    ensure_trusted(loaded, flag=options.trust)
    command = _Command(options, loaded, lock)
    status = with_servers(loaded, only, command.look, lock=lock)
    return command.accept(status) if options.accept else status


def _check_options(options: argparse.Namespace) -> None:
    if options.frozen and not options.check:
        raise UsageError("--frozen belongs to --check")
    if options.yes and not options.accept:
        raise UsageError("--yes belongs to --accept")
    if options.json and options.accept:
        raise UsageError("--accept shows text to a person; leave --json out")


class _Command:
    """One look at the servers, and what is done about it."""

    def __init__(self, options: argparse.Namespace, loaded: Loaded, lock: Lock) -> None:
        self._options = options
        self._loaded = loaded
        self._lock = lock
        self._names: list[str] = options.names[1:]
        self._reviews: list[Review] = []

    async def look(self, pool: Pool) -> int:
        """Print what the servers are like, and return the exit status."""
        down = [health for health in pool.health() if health.state != "connected"]
        for health in pool.health():
            review = await pool.review(health.name)
            if review is not None and health.state == "connected":
                self._check_names(review)
                self._reviews.append(review)
        if self._options.json:
            document = {r.spec.name: list(map(_fact, self._chosen(r))) for r in self._reviews}
            sys.stdout.write(json.dumps(document, indent=2) + "\n")
        else:
            lines = [line for review in self._reviews for line in self._report(review)]
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()
        for health in down:
            why = health.error or "it has not answered yet"
            sys.stderr.write(f"{clean_line(health.name)}: {health.state}: {clean_line(why)}\n")
        differs = self._differing()
        if self._options.check and differs:
            sys.stderr.write(f"{differs}\n")
            return ExitStatus.FAILED
        if not self._options.check and not self._options.accept and differs:
            sys.stderr.write(f"{differs}\n")
        return down_status(pool) if down else ExitStatus.DONE

    def accept(self, status: int) -> int:
        """Ask, and pin what was shown; return the exit status."""
        path = clean_line(str(self._lock.path))
        chosen = [
            (review, [item for item in self._chosen(review) if item.state != "known"])
            for review in self._reviews
        ]
        chosen = [(review, items) for review, items in chosen if items]
        if not chosen:
            sys.stderr.write("there is nothing to accept\n")
            return status
        for review, _ in chosen:
            if self._names and self._lock.pinned(review.spec.name).lost:
                name = clean_line(review.spec.name, 80)
                raise UsageError(
                    f"the pins of {name} are lost, so it can only be accepted as a whole: "
                    f"agent-host servers lock --accept {name}"
                )
        count = sum(len(items) for _, items in chosen)
        if not self._options.yes and not _agreed(f"Pin {count} of these as they are now?"):
            sys.stderr.write("nothing was accepted\n")
            return ExitStatus.REFUSED
        if self._lock.problem:
            self._lock.begin_anew(list(self._loaded.config.servers))
        for review, items in chosen:
            accept(self._lock, review, self._names)
            self._audit(review, items)
        if (problem := self._lock.save()) is not None:
            raise ConfigError(f"{problem}; nothing was accepted")
        sys.stdout.write(f"accepted {count}, in {path}\n")
        return status

    def _audit(self, review: Review, items: list[Item]) -> None:
        """Who accepts what is in the audit log before it holds."""
        record_act(
            self._loaded,
            os.environ,
            Principal(id=user_name()),
            "pins_accepted",
            server=review.spec.name,
            server_version=review.live.version,
            names=[f"{item.name} ({item.state})" for item in items],
        )

    def _chosen(self, review: Review) -> tuple[Item, ...]:
        return review.named(self._names)

    def _check_names(self, review: Review) -> None:
        known = [item.name for item in review.items]
        for name in self._names:
            if name not in known:
                server = clean_line(review.spec.name, 80)
                raise UsageError(
                    f'{server} has nothing "{clean_line(name, 80)}"{nearest(name, known)}'
                )

    def _differing(self) -> str:
        """What to do about what differs; empty if nothing does."""
        wrong = _NOT_AS_LOCKED if self._options.frozen else _DIFFERS
        servers = [
            clean_line(review.spec.name, 80)
            for review in self._reviews
            if any(item.state in wrong for item in self._chosen(review))
        ]
        if not servers:
            return ""
        which = servers[0] if len(servers) == 1 else "SERVER"
        return (
            f"differs from servers.lock: {', '.join(servers)}; "
            f"agent-host servers lock --accept {which} pins it as it is now"
        )

    def _report(self, review: Review) -> Iterator[str]:
        items = self._chosen(review)
        tools = Counter(item.state for item in items if item.kind == "tool")
        counts = ", ".join(f"{n} {_SAID[state]}" for state, n in sorted(tools.items()))
        version = f" {clean_line(review.live.version, 60)}" if review.live.version else ""
        yield f"{clean_line(review.spec.name, 80)}{version}: {counts or 'no tools'}"
        shows = self._options.diff or self._options.check or self._options.accept
        for item in items:
            if item.state != "known" or self._names:
                yield f"  {clean_line(item.name, 200)}: {_SAID[item.state]}"
            if item.state != "known":
                yield from (f"    ! {sign}" for sign in item.signs)
            if shows and self._is_shown(item):
                yield from (f"  {line}" for line in item.lines())
        flagged = [item for item in items if item.state == "known" and item.signs]
        yield from (f"  ! {sign}" for item in flagged for sign in item.signs)

    def _is_shown(self, item: Item) -> bool:
        """Whole definitions that are merely new are shown where somebody asks for them."""
        return item.state != "new" or bool(self._names) or self._options.frozen


def _fact(item: Item) -> dict[str, Any]:
    return {
        "name": item.name,
        "kind": item.kind,
        "state": item.state,
        "before": dict(item.before),
        "after": dict(item.after),
        "signs": list(item.signs),
    }


def _agreed(question: str) -> bool:
    """Ask at the terminal; what was typed before the question is no answer to it."""
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    return confirmed(question)
