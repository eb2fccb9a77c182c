"""What commands share that look into a registry of published servers.

Theory of operation: the local index answers; it is brought up to date first where it is old and
nothing forbids the network, within a few seconds, and goes on where it stopped the next time. What
the registry cannot be asked is said on stderr and answered from the index. The part that speaks
HTTP is imported only when it is needed.
"""

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from agent_host.cli.progress import progress
from agent_host.config.paths import APP
from agent_host.core.errors import AgentHostError, UnavailableError, UsageError
from agent_host.core.text import clean_line
from agent_host.registry.index import Index, UnusableIndexError
from agent_host.registry.names import OFFICIAL_URL, registry_url
from agent_host.registry.server_json import NAME, Listing, Malformed, read_listing

if TYPE_CHECKING:
    from agent_host.registry.client import RegistryClient
    from agent_host.registry.sync import Synced
    from agent_host.registry.web import Web

REGISTRY_VARIABLE = "AGENT_HOST_REGISTRY"
FRESH = 6 * 3600.0
"""Seconds after which the registry is asked again."""
PATIENCE = 6.0
"""Seconds that a command waits for a walk that it was not told to finish."""


def add_registry_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which registry, and whether it may be asked."""
    parser.add_argument(
        "--registry",
        metavar="URL",
        help=f"the registry to ask (default: ${REGISTRY_VARIABLE}, else {OFFICIAL_URL})",
    )
    parser.add_argument(
        "--offline", action="store_true", help="ask nobody; use what is on this machine"
    )


@dataclass(kw_only=True)
class Published:
    """A registry and its index. `told`: problems that were said already."""

    url: str
    index: Index
    place: Path
    offline: bool
    told: set[str] = field(default_factory=set)
    _client: "RegistryClient | None" = None
    _web: "Web | None" = None

    def web(self) -> "Web":
        """Return the connections to the world."""
        if self._web is None:
            made: Web = import_module("agent_host.registry.web").Web()
            self._web = made
        return self._web

    def client(self) -> "RegistryClient":
        """Return the registry."""
        if self._client is None:
            module = import_module("agent_host.registry.client")
            made: RegistryClient = module.RegistryClient(self.url, self.web())
            self._client = made
        return self._client

    def close(self) -> None:
        """Close files and connections."""
        self.index.close()
        if self._web is not None:
            self._web.close()

    def say(self, problem: str) -> None:
        """Say a problem on stderr, once."""
        if problem not in self.told:
            self.told.add(problem)
            sys.stderr.write(f"{problem}\n")

    def freshen(self, *, wholly: bool = False, words: str = "") -> None:
        """Bring the index up to date: `wholly`, or as far as `PATIENCE` goes if it is old.

        `words`: of a search; until the index is whole, servers with them in their name are asked
        for, too.
        """
        walk = self.index.walk()
        age = time.time() - walk.synced
        if self.offline or (not wholly and walk.reached and 0 <= age < FRESH):
            return
        done = self._sync(wholly=wholly)
        if not done.whole and not walk.reached and words and not wholly:
            self._look_up(words)
        if done.problem and done.problem not in self.told:
            self.say(f"{done.problem}; {self.state()}")

    def _sync(self, *, wholly: bool) -> "Synced":
        module = import_module("agent_host.registry.sync")
        end = None if wholly else time.monotonic() + PATIENCE
        lock = self.place.with_suffix(".lock")
        with progress("asking the registry") as say:

            def proceed(known: int) -> bool:
                say(f"asking the registry: {known:,} servers")
                return end is None or time.monotonic() < end

            done: Synced = module.sync(
                self.index, self.client(), lock, now=time.time, proceed=proceed
            )
        return done

    def _look_up(self, words: str) -> None:
        for word in words.split()[:3]:
            found = self.client().named(word[:100])
            self.index.add(getattr(found, "entries", ()))

    def state(self) -> str:
        """Return how much the index holds and how old it is."""
        known, walk = self.index.count(), self.index.walk()
        if not known:
            return "nothing of this registry is on this machine yet"
        age = _age(time.time() - walk.synced) if walk.synced else "not complete"
        return f"searched the index here: {known} servers, {age}"

    def listing(self, name: str, version: str = "") -> Listing:
        """Return a server's entry: `version`, or the latest. `name`: whole, or what is after the
        slash if that is one server's only. Raises UsageError for a server that is not there, and
        UnavailableError where nobody can be asked."""
        whole = self._whole(name)
        here = self.index.listing(whole)
        if self.offline:
            if here is None or (version and version not in ("latest", here.server.version)):
                what = f"version {version} of {whole}" if here and version else whole
                raise UnavailableError(
                    f"{clean_line(what, 200)} is not on this machine; try without --offline"
                )
            return here
        found = self.client().version(whole, version or "latest")
        if isinstance(found, dict):
            return _right(read_listing(found), whole, version)
        if found.status == 404:
            raise UsageError(self._absent(whole, version))
        if here is None or (version and version not in ("latest", here.server.version)):
            raise UnavailableError(f"{found.text}; {self.state()}")
        self.say(f"{found.text}; {self.state()}")
        return here

    def versions(self, name: str) -> tuple[Listing, ...]:
        """Return every version that the registry knows, as it orders them; none offline."""
        if self.offline:
            return ()
        found = self.client().versions(name)
        if not isinstance(found, tuple):
            return ()
        read = (read_listing(raw) for raw in found)
        return tuple(one for one in read if isinstance(one, Listing) and one.server.name == name)

    def _whole(self, name: str) -> str:
        if "/" in name:
            if not NAME.match(name):
                raise UsageError(f'"{clean_line(name, 80)}" is no server\'s name')
            return name
        found = self.index.named(name)
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f'"{clean_line(name, 80)}" is not one server; say {", ".join(found)}')
        hits = self.index.search(name, 3)
        hint = f"; did you mean {', '.join(hit.name for hit in hits)}?" if hits else ""
        raise UsageError(
            f'no server is called "{clean_line(name, 80)}"{hint or "; try `servers search`"}'
        )

    def _absent(self, name: str, version: str) -> str:
        what = f"no version {clean_line(version, 40)} of {name}" if version else f"no {name}"
        hits = [] if version else self.index.search(name.partition("/")[2], 3)
        close = ", ".join(hit.name for hit in hits if hit.name != name)
        hint = f"did you mean {close}?" if close else "see `agent-host servers search`"
        return f"{self.url} has {what}; {hint}"


def _right(listing: Listing | Malformed, name: str, version: str) -> Listing:
    """Return the entry if it is the one that was asked for; raise UnavailableError."""
    if isinstance(listing, Malformed):
        raise UnavailableError(f"the registry's entry for {name} cannot be used: {listing.text}")
    server = listing.server
    if server.name.lower() != name.lower() or version not in ("", "latest", server.version):
        other = clean_line(f"{server.name} {server.version}", 160)
        raise UnavailableError(f"the registry answered with {other} when asked for {name}")
    return listing


def _age(seconds: float) -> str:
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {name} old"
    return "just made"


def _place(url: str) -> Path:
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    return platformdirs.user_cache_path(APP, appauthor=False) / "registry" / f"{key}.db"


@contextmanager
def published(options: argparse.Namespace) -> Iterator[Published]:
    """Open the registry that options and environment name. Raises UsageError for a bad URL, and
    AgentHostError for an index that cannot be used."""
    url = registry_url(options.registry or os.environ.get(REGISTRY_VARIABLE) or OFFICIAL_URL)
    place = _place(url)
    try:
        opened = Published(url=url, index=Index(place), place=place, offline=options.offline)
        try:
            yield opened
        finally:
            opened.close()
    except UnusableIndexError as error:
        why = clean_line(str(error), 200)
        raise AgentHostError(f"the index of {clean_line(url, 120)} cannot be used: {why}") from None
