"""The API of an MCP registry, version v0.1: what it lists, and one server's versions.

Theory of operation: each method is one request and its answer as a value: entries as they came
(raw JSON objects; `server_json` reads them), or a `Fault` of one line. A list is walked page by
page by whoever keeps it (`sync`); `pages` does it with a cap on pages and entries, and ends with a
fault when a cursor comes a second time. Any registry of the same API can stand in for the official
one. Source: the registry's openapi.yaml of 2025-12-01.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from agent_host.registry.web import Body, Fault, Web

PAGE = 100
"""Entries asked for at once: the most that the official registry gives."""
MAX_PAGES = 5000
_PAGE_BYTES = 16 * 1024 * 1024
_PAGE_ENTRIES = 1000
_ENTRY_BYTES = 1024 * 1024
_CURSOR = 2048

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; an empty cursor: it was the last. `date`: when the registry sent it, by
    its own clock, as HTTP writes it."""

    entries: tuple[Raw, ...]
    cursor: str = ""
    date: str = ""


class RegistryClient:
    """One registry. `url` has passed `names.registry_url`."""

    def __init__(self, url: str, web: Web) -> None:
        self.url = url
        self._web = web

    def page(self, cursor: str = "", updated_since: str = "") -> Page | Fault:
        """Return a page of the list of all servers' latest versions, deleted ones too.
        `updated_since`: RFC 3339; only what changed since."""
        query = {"limit": str(PAGE), "version": "latest", "include_deleted": "true"}
        if updated_since:
            query["updated_since"] = updated_since
        if cursor:
            query["cursor"] = cursor
        return self._page(f"/v0.1/servers?{urlencode(query)}")

    def pages(self, cursor: str = "", updated_since: str = "") -> Iterator[Page | Fault]:
        """Yield every page, up to the first fault."""
        seen = {cursor}
        for _ in range(MAX_PAGES):
            found = self.page(cursor, updated_since)
            yield found
            if isinstance(found, Fault) or not found.cursor:
                return
            if found.cursor in seen:
                yield Fault("the registry's list goes in circles: a cursor came twice")
                return
            cursor = found.cursor
            seen.add(cursor)
        yield Fault(f"the registry's list does not end after {MAX_PAGES} pages")

    def versions(self, name: str) -> tuple[Raw, ...] | Fault:
        """Return every version of a server, deleted ones too. 404: Fault with that status."""
        path = f"/v0.1/servers/{quote(name, safe='')}/versions?include_deleted=true"
        page = self._page(path)
        return page if isinstance(page, Fault) else page.entries

    def version(self, name: str, version: str = "latest") -> dict[str, Any] | Fault:
        """Return one version of a server. 404: Fault with that status."""
        path = f"/v0.1/servers/{quote(name, safe='')}/versions/{quote(version, safe='')}"
        body = self._get(f"{path}?include_deleted=true", _ENTRY_BYTES)
        found = body if isinstance(body, Fault) else body.json()
        if isinstance(found, Fault | dict):
            return found
        return Fault("the registry's answer is no entry")

    def named(self, part: str) -> Page | Fault:
        """Return the first page of the servers whose name holds `part`, latest versions."""
        query = {"limit": str(PAGE), "version": "latest", "search": part}
        return self._page(f"/v0.1/servers?{urlencode(query)}")

    def _page(self, path: str) -> Page | Fault:
        body = self._get(path, _PAGE_BYTES)
        if isinstance(body, Fault):
            return body
        found = body.json()
        page = found if isinstance(found, Fault) else _page(found)
        if isinstance(page, Fault):
            return page
        return Page(page.entries, page.cursor, body.headers.get("date", "")[:60])

    def _get(self, path: str, limit: int) -> Body | Fault:
        return self._web.get(self.url + path, limit=limit, headers={"Accept": "application/json"})


def _page(found: object) -> Page | Fault:
    if not isinstance(found, dict):
        return Fault("the registry's answer is no list; is it an MCP registry?")
    servers = found.get("servers", ())
    servers = [] if servers is None else servers  # how some registries write an empty list
    if not isinstance(servers, list):
        return Fault("the registry's answer has no list of servers; is it an MCP registry?")
    if len(servers) > _PAGE_ENTRIES:
        return Fault(f"the registry sent more than {_PAGE_ENTRIES} servers on one page")
    metadata = found.get("metadata")
    cursor = metadata.get("nextCursor") if isinstance(metadata, dict) else None
    if cursor is not None and (not isinstance(cursor, str) or len(cursor) > _CURSOR):
        return Fault("the registry sent a cursor that is none")
    return Page(tuple(entry for entry in servers if isinstance(entry, dict)), cursor or "")
