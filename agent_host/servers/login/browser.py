"""People at a terminal: with a browser on this machine, or with one elsewhere.

Theory of operation: the URL is always shown, so that nobody logs in at a place that they have not
seen, and is opened only if it is http or https, by `webbrowser`, without a shell. Where no browser
can be started, or one on another machine is used, the person pastes the address that the browser
ended at: nothing needs to answer there. How a line is shown and asked for is the caller's business.
"""

import asyncio
import contextlib
import threading
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import PurePath
from urllib.parse import urlsplit

from agent_host.core.text import clean_line
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.loopback import Loopback
from agent_host.servers.login.person import Redirect, Visit, parameters

MAX_URL = 8192
SECONDS = 600.0
TRIES = 3
IN_TERMINAL = ("www-browser", "links", "elinks", "lynx", "w3m")
"""What `webbrowser` falls back on where there is no screen."""

Say = Callable[[str], None]
Ask = Callable[[str], Awaitable[str]]


def check_openable(url: str) -> str:
    """Return a URL that may be shown and opened. Raises LoginFailedError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > MAX_URL:
        raise LoginFailedError(f"the login page is no web page: {clean_line(url, 120)}")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise LoginFailedError(f"the login page's URL is malformed: {clean_line(url, 120)}")
    return url


def open_browser(url: str) -> bool:
    """Open a URL in the person's browser; return whether one was started. One that would take the
    terminal is none."""
    check_openable(url)
    try:
        browser = webbrowser.get()
        name = PurePath(str(getattr(browser, "name", ""))).name
        return name not in IN_TERMINAL and browser.open(url)
    except (webbrowser.Error, OSError):
        return False


class Terminal:
    """A person who logs in with a browser. `say` shows a text, `ask` a question whose answer is a
    line; without `opens` no browser is started here."""

    def __init__(
        self,
        say: Say,
        ask: Ask,
        *,
        opens: Callable[[str], bool] | None = open_browser,
        seconds: float = SECONDS,
    ) -> None:
        self._say = say
        self._ask = ask
        self._opens = opens
        self._seconds = seconds

    @asynccontextmanager
    async def visit(self, redirect: Redirect) -> AsyncIterator[Visit]:
        """See Person."""
        async with Loopback(redirect) as listener:
            yield _Visit(self, redirect.server, listener)

    async def authorize(self, server: str, listener: Loopback, url: str) -> Mapping[str, str]:
        """Show the URL, and wait until the browser is back or its address was pasted."""
        check_openable(url)
        name = clean_line(server, 80)
        host = clean_line(urlsplit(url).netloc, 200)
        self._say(f"To log in to {name}, open this page of {host}:\n\n  {url}\n")
        opened = self._opens is not None and await _in_thread(self._opens, url)
        try:
            async with asyncio.timeout(self._seconds):
                if opened:
                    self._say("A browser was opened. Waiting for it (Ctrl-C to stop)...")
                    return await listener.came()
                return await self._pasted_or_came(listener)
        except TimeoutError:
            raise LoginFailedError(
                f"nobody logged in to {name} within {self._seconds:.0f} seconds"
            ) from None

    async def _pasted_or_came(self, listener: Loopback) -> Mapping[str, str]:
        self._say(
            "After the login the browser goes to an address that starts with\n"
            f"  {listener.redirect_uri}\n"
            "If that page does not load, copy its whole address from the browser."
        )
        try:
            async with asyncio.TaskGroup() as group:
                came = group.create_task(listener.came())
                pasted = group.create_task(self._pasted(listener))
                await asyncio.wait((came, pasted), return_when=asyncio.FIRST_COMPLETED)
                came.cancel()
                pasted.cancel()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return pasted.result() if came.cancelled() else came.result()

    async def _pasted(self, listener: Loopback) -> Mapping[str, str]:
        for _ in range(TRIES):
            text = (await self._ask("Paste that address here: ")).strip()
            found = parameters(text) if len(text) <= 2 * MAX_URL else {}
            if "state" in found and ("code" in found or "error" in found):
                return found
            self._say(f"That is not it: it starts with {listener.redirect_uri}?")
        raise LoginFailedError("the address of the browser after the login was not pasted")


class _Visit:
    def __init__(self, person: Terminal, server: str, listener: Loopback) -> None:
        self._person = person
        self._server = server
        self._listener = listener

    @property
    def redirect_uri(self) -> str:
        """See Visit."""
        return self._listener.redirect_uri

    async def authorize(self, url: str) -> Mapping[str, str]:
        """See Visit."""
        return await self._person.authorize(self._server, self._listener, url)


async def _in_thread(opens: Callable[[str], bool], url: str) -> bool:
    """Start a browser without waiting for it: some return only when they are closed."""
    loop = asyncio.get_running_loop()
    started: asyncio.Future[bool] = loop.create_future()

    def tell(answer: bool) -> None:
        if not started.done():
            started.set_result(answer)

    def work() -> None:
        answer = opens(url)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, answer)

    threading.Thread(target=work, daemon=True).start()
    try:
        async with asyncio.timeout(5):
            return await asyncio.shield(started)
    except TimeoutError:
        return True
