"""Getting the next token: the one place that decides how, and the only one that writes the store.

Theory of operation: whoever needs another token asks for it here and waits; the work itself is one
task, which all who need the same share, so calls go on concurrently and no refresh token is used
twice, and which a cancelled call does not cancel: an answer that nobody reads would lose the token
in it. Inside, a lock that other processes hold too is taken, and the store is read again: if
another process has a newer token, that is the answer. Then, in this order: a refresh; a grant that
needs nobody; a person; and without one, NeedsLoginError.
"""

import asyncio
import contextlib
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from agent_host.core.text import clean_line
from agent_host.servers.login.endpoint import Endpoint
from agent_host.servers.login.errors import LoginFailedError, NeedsLoginError
from agent_host.servers.login.person import Person
from agent_host.servers.login.record import Client, Login, Token
from agent_host.servers.login.store import Store
from agent_host.servers.login.wire import Wire
from agent_host.servers.login.wish import Need, Wish
from agent_host.servers.spec import AuthSpec, HttpSpec

LOCK_SECONDS = 30.0
PERSON_SECONDS = 600.0
"""How long a person's login may take, also one of another process that is waited for."""
PAUSE = 30.0
"""Seconds for which a refusal that no person can mend is believed."""
GONE = ("invalid_grant", "invalid_client", "unauthorized_client", "invalid_token", "invalid_scope")
"""Error codes after which the same refresh is not tried again."""


class Renewal:
    """Gets tokens for one server."""

    def __init__(
        self,
        *,
        spec: HttpSpec,
        auth: AuthSpec,
        wire: Wire,
        store: Store,
        person: Person | None,
        now: Callable[[], float],
    ) -> None:
        self.spec = spec
        self.auth = auth
        self.store = store
        self.login: Login | None = None
        self.wire = wire
        self._person = person
        self._now = now
        self._read = False
        self._work: asyncio.Task[None] | None = None
        self._kind: Need | None = None
        self._prover: Any = None
        self._asked: set[str] = set()
        self._failed: tuple[float, LoginFailedError] | None = None

    @property
    def token(self) -> Token | None:
        """The token in use."""
        return self.login.token if self.login is not None else None

    async def recall(self) -> None:
        """Read the store, once."""
        if not self._read:
            self._accept(await asyncio.to_thread(self._stored))
            self._read = True

    def prover(self) -> Any:
        """What proves possession of the key that tokens are bound to, or None without one."""
        if not self.auth.dpop:
            return None
        key = self.login.key if self.login is not None else ""
        if self._prover is None or (key and self._prover.pem != key):
            signatures = import_module("agent_host.servers.login.signatures")
            self._prover = signatures.Prover(key or signatures.new_key(), self._now)
        return self._prover

    @property
    def busy(self) -> bool:
        """Whether a token is being got."""
        return self._work is not None and not self._work.done()

    async def renew(self, wish: Wish) -> None:
        """Get another token than `wish.used`, or one with more rights.

        Raises LoginFailedError, or NeedsLoginError if only a person can go on.
        """
        if self._work is not None and not self._work.done():
            if self._kind == wish.need:
                await asyncio.shield(self._work)
            else:
                await asyncio.wait([self._work])
            return
        if wish.need != "rights" and self._has_other_than(wish.used):
            return
        self._kind = wish.need
        self._work = asyncio.get_running_loop().create_task(self._locked(wish))
        self._work.add_done_callback(_seen)
        await asyncio.shield(self._work)

    async def close(self) -> None:
        """End what is under way: a person is not waited for, a token that is on its way is."""
        if self._work is None or self._work.done():
            return
        if self._person is not None and self._kind != "ending":
            self._work.cancel()
        with contextlib.suppress(asyncio.CancelledError, LoginFailedError):
            await self._work

    def _has_other_than(self, used: str) -> bool:
        """Whether somebody else's wish was the same, and is fulfilled."""
        token = self.token
        return token is not None and token.access != used and not token.expired(self._now())

    def _stored(self) -> Login | None:
        login = self.store.load()
        if login is None:
            return None
        auth, client = self.auth, login.client
        if auth.client_id and (client is None or client.id != auth.client_id):
            return None  # of a client that the config does not name any more
        if auth.issuer and login.server.issuer.rstrip("/") != auth.issuer.rstrip("/"):
            return None
        token = login.token
        if token is not None and (token.kind == "DPoP") != auth.dpop:
            return replace(login, token=None)
        return login

    def _accept(self, login: Login | None) -> None:
        self.login = login
        if login is not None and self.auth.keep_secret is not None:
            # A server may send back what it was sent.
            for secret in login.secrets():
                self.auth.keep_secret(secret)

    async def _keep(self, login: Login) -> None:
        self._accept(login)
        await asyncio.to_thread(self.store.save, login)

    async def _locked(self, wish: Wish) -> None:
        wait = LOCK_SECONDS if self._person is None else PERSON_SECONDS
        lock = self.store.lock(wait)
        try:
            await lock.acquire()
        except TimeoutError:
            raise LoginFailedError(
                f"another process has been logging in to {self._name} for {wait:.0f} seconds"
            ) from None
        try:
            await self._fulfilled(wish)
        finally:
            await lock.release()

    async def _fulfilled(self, wish: Wish) -> None:
        stored = await asyncio.to_thread(self._stored)
        if self._is_newer(stored, wish):
            self._accept(stored)
        elif wish.need != "ending":
            await self._again(wish, stored)
        elif stored is None:
            self._accept(None)  # another process has logged out
        else:
            await self._before_its_end(stored)

    def _is_newer(self, stored: Login | None, wish: Wish) -> bool:
        """Whether another process already has what is wanted."""
        token = stored.token if stored is not None else None
        if token is None or token.access == wish.used or token.ending(self._now()):
            return False
        return wish.need != "rights" or set(wish.challenge.scope.split()) <= set(
            token.scope.split()
        )

    async def _before_its_end(self, login: Login) -> None:
        """Refresh a token that ends. One that cannot be is used to its end."""
        token = login.token
        self._accept(login)
        if token is None or not token.refresh:
            return
        try:
            await self._refreshed(login, token)
        except LoginFailedError:
            if token.expired(self._now()):
                raise

    async def _refresh(self, login: Login, token: Token) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": token.refresh}
        if login.send_resource:
            form["resource"] = login.resource
        self._accept(login)
        client = self._client_of(login)
        endpoint = Endpoint(
            wire=self.wire,
            server=login.server,
            client=client,
            auth=self.auth,
            now=self._now,
            prover=self.prover(),
        )
        new = await endpoint.token(form, token.scope)
        if not new.refresh:
            new = replace(new, refresh=token.refresh)  # RFC 6749 section 6
        await self._keep(replace(login, token=new))

    def _client_of(self, login: Login) -> Client:
        """Who the login was made as, with the secret that the config has now."""
        client = login.client or Client(id="", source="configured")
        if client.source == "configured":
            return replace(client, secret=self.auth.client_secret)
        return client

    async def _again(self, wish: Wish, stored: Login | None) -> None:
        """Discover anew, and get a token by whatever way there is."""
        self._accept(stored)
        token = stored.token if stored is not None else None
        may_refresh = wish.need == "refused" and not wish.fresh
        alone = self.auth.type == "oauth" and self._person is None
        if alone and not (may_refresh and token is not None and token.refresh):
            raise self.needs_login(wish)
        if self._failed is not None and self._now() < self._failed[0]:
            raise self._failed[1]
        flow = import_module("agent_host.servers.login.flow")
        place = await flow.find(self.wire, self.spec, self.auth, wish)
        why = ""
        if may_refresh and stored is not None and token is not None and token.refresh:
            if not flow.same_issuer(stored, place):
                why = f"its authorization server is now {place.server.issuer}"
            else:
                why = await self._refreshed(replace(stored, server=place.server), token)
                if not why:
                    return
        if alone:
            raise self.needs_login(wish, why)
        await self._granted(flow, place, wish)

    async def _refreshed(self, login: Login, token: Token) -> str:
        """Refresh; return why the refresh token is worth nothing any more, or nothing."""
        try:
            await self._refresh(login, token)
        except LoginFailedError as error:
            if error.code not in GONE:
                raise
            await self._keep(_without_refresh(login, token, error.code))
            return f"its refresh token was refused ({clean_line(error.code, 40)})"
        return ""

    async def _granted(self, flow: Any, place: Any, wish: Wish) -> None:
        before = self.login
        asked = flow.scope(self.auth, place, before, wish)
        if wish.need == "rights" and asked in self._asked:
            scope = clean_line(wish.challenge.scope or asked, 120)
            raise LoginFailedError(
                f"{self._name} wants the scope {scope}, which was asked for and not granted"
            )
        self._asked.add(asked)
        grant: Callable[..., Awaitable[Login]] = flow.obtain
        try:
            login = await grant(
                wire=self.wire,
                auth=self.auth,
                name=self.spec.name,
                place=place,
                before=before,
                now=self._now,
                prover=self.prover(),
                person=self._person,
                asked=asked,
            )
        except LoginFailedError as error:
            if self.auth.type != "oauth" and error.code:
                # A refusal stays one; asking again for each call would only lock somebody out.
                self._failed = (self._now() + PAUSE, error)
            elif error.code == "invalid_client" and before is not None:
                await self._keep(replace(before, client=None))
            raise
        self._failed = None
        await self._keep(login)

    @property
    def _name(self) -> str:
        return clean_line(self.spec.name, 80)

    def needs_login(self, wish: Wish, why: str = "") -> NeedsLoginError:
        """Return what says that a person has to log in."""
        command = f"agent-host servers login {shlex.quote(self._name)}"
        if wish.need == "rights" and self.token is not None:
            scope = clean_line(wish.challenge.scope, 200)
            command += "".join(f" --scope {shlex.quote(one)}" for one in scope.split())
            wants = f"wants more rights ({scope})" if scope else "wants more rights"
            return NeedsLoginError(f"{self._name} {wants}; run `{command}`", scope=scope)
        if not why:
            if self.store.problem:
                why = self.store.problem
            elif self.login is None:
                why = "nobody has logged in yet"
            else:
                why = "its login has ended"
        return NeedsLoginError(f"{self._name} needs a login: {why}; run `{command}`")


def _seen(task: asyncio.Task[None]) -> None:
    """Whoever waited may have been cancelled; then nobody else would look at the outcome."""
    if not task.cancelled():
        task.exception()


def _without_refresh(login: Login, token: Token, code: str) -> Login:
    """What is left of a login whose refresh was refused; a client that the server does not know
    any more is not used again."""
    unknown = code in ("invalid_client", "unauthorized_client")
    return replace(
        login,
        token=replace(token, refresh=""),
        client=None if unknown else login.client,
    )
