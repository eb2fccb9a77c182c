"""Walks the pages of a list to its end, or to the end of the host's patience with it.

Theory of operation: `nextCursor` leads from page to page (MCP server/utilities/pagination). A
server decides when it ends, so bounds hold: pages, items, their size together, the size of a
cursor, and that none comes twice. What is left out is said; what was listed so far is kept.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from agent_host.core.size import json_size
from agent_host.core.types import JsonObject
from agent_host.servers.spec import Reply

MAX_PAGES = 100
MAX_ITEMS = 2000
MAX_SIZE = 16 * 1024 * 1024
"""Characters of all pages; 34 servers of the year 2026 have two million together."""
MAX_CURSOR = 16 * 1024
"""Characters of a cursor; a longer one ends the list."""


@dataclass(slots=True)
class Listed:
    """The raw items, the pages they came on, what is wrong with the list, and what ended it if
    that was no answer."""

    items: list[Any] = field(default_factory=list)
    pages: list[JsonObject] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failed: Reply | None = None


async def walk(
    page: Callable[[JsonObject], Awaitable[Reply]], method: str, key: str, what: str
) -> Listed:
    """List everything. `page` sends one request with its params; `key` holds a page's items,
    which are called `what`."""
    listed = Listed()
    seen: set[str] = set()
    params: JsonObject = {}
    size = 0
    for _ in range(MAX_PAGES):
        reply = await page(params)
        if reply.kind != "result":
            listed.failed = reply
            return listed
        items = reply.raw.get(key)
        if not isinstance(items, list):
            text = f"the server's answer holds no list of {what}"
            listed.failed = Reply(kind="error", text=text)
            return listed
        listed.items.extend(items)
        listed.pages.append(reply.raw)
        cursor = reply.raw.get("nextCursor")
        more = isinstance(cursor, str) and cursor != ""
        if (count := len(listed.items)) > MAX_ITEMS:
            del listed.items[MAX_ITEMS:]
            found = f"more than {MAX_ITEMS}" if more else str(count)
            listed.problems.append(f"it has {found} {what}; those after {MAX_ITEMS} are left out")
            return listed
        if not isinstance(cursor, str) or not cursor:
            return listed
        size += json_size(reply.raw)
        if why := _too_much(method, size, cursor, seen):
            return _ended(listed, why)
        seen.add(cursor)
        params = {"cursor": cursor}
    return _ended(listed, f"{method} has more than {MAX_PAGES} pages")


def _too_much(method: str, size: int, cursor: str, seen: set[str]) -> str:
    """Why there is no next page for the host."""
    if size > MAX_SIZE:
        return f"{method} is larger than {MAX_SIZE >> 20} MiB"
    if len(cursor) > MAX_CURSOR:
        return f"{method} has a cursor of more than {MAX_CURSOR >> 10} KiB"
    return f"{method} repeats a cursor" if cursor in seen else ""


def _ended(listed: Listed, why: str) -> Listed:
    listed.problems.append(f"{why}; the rest is left out")
    return listed
