"""Who answers what servers ask for: a person at this terminal, or nobody until later.

Theory of operation: `TerminalRespondent` takes its turn among all who ask at the terminal, and
holds one dialogue at a time: a form, a page, or a request for the model. Nothing is accepted, sent
or opened without a yes. A question can be given up from outside (`cancel`, for Ctrl-C), which
cancels the question and not the program. A person who has had enough of a server says "never", and
it is declined for the rest of the run without being shown. A form that cannot be asked for as the
server means it is declined, and its reason recorded with the answer.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from agent_host.core.events import InputGiven, InputRequested
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.ports import Deferred, SamplingAnswer, SamplingQuestion
from agent_host.surfaces.address import Address, address
from agent_host.surfaces.browser import OpenPage
from agent_host.surfaces.consent import ask_page, ask_sampling
from agent_host.surfaces.form import Asked, FieldReader, Form
from agent_host.surfaces.form_fields import Field, fields_of
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.question import wrap, wrap_words
from agent_host.surfaces.turns import Turns

_T = TypeVar("_T")
_GIVEN_UP = "\n  (given up: nothing was sent)\n"
_WITHDRAWN = "\n  (this is no longer asked)\n"


class DeferringRespondent:
    """Nobody answers now: what can wait, waits (`--approve defer`)."""

    async def answer(
        self, question: InputRequested, waiting: Callable[[], int]
    ) -> InputGiven | Deferred:
        """See `ports.Respondent`."""
        return Deferred()

    async def allow(self, question: SamplingQuestion) -> SamplingAnswer | Deferred:
        """See `ports.Respondent`."""
        return Deferred()


class TerminalRespondent:
    """Asks a person at a terminal.

    `by` is who answers, `sign` a short text that no server knows; `turns` the line of all who ask
    at this terminal; `browser` opens pages, if there is one. `refuse_sampling`: what refuses each
    request for the model without asking, if anything does. `forms` makes the reader of forms
    once one is asked for, if it is another. `about` says what a call is (by its id),
    `keep_secret` is told of what must not be recorded as it was typed.
    """

    def __init__(
        self,
        reader: FieldReader,
        *,
        screen: Outlet,
        turns: Turns,
        by: str,
        sign: str = "",
        browser: OpenPage | None = None,
        refuse_sampling: str = "",
        forms: Callable[[], FieldReader] | None = None,
    ) -> None:
        self._reader = reader
        self._forms = forms or (lambda: reader)
        self._screen = screen
        self._turns = turns
        self._by = by
        self._sign = sign
        self._browser = browser
        self.refuse_sampling = refuse_sampling
        self._never: set[str] = set()
        self._open: asyncio.Task[Any] | None = None
        self.about: Callable[[str], str] = lambda _call_id: ""
        self.keep_secret: Callable[[str], None] = lambda _text: None

    def cancel(self) -> bool:
        """Give up the question that is open; False if none is."""
        if self._open is None or self._open.done():
            return False
        return self._open.cancel()

    async def answer(
        self, question: InputRequested, waiting: Callable[[], int]
    ) -> InputGiven | Deferred:
        """See `ports.Respondent`."""
        if question.mode == "url":
            page = address(question.url)
            if isinstance(page, str):
                return _given(question, "decline", f"host: {page}")
            return await self._asked(question, self._page(question, page, waiting))
        fields = fields_of(question.requested_schema)
        if isinstance(fields, str):
            return _given(question, "decline", f"host: {fields}")
        return await self._asked(question, self._form(question, fields, waiting))

    async def allow(self, question: SamplingQuestion) -> SamplingAnswer | Deferred:
        """See `ports.Respondent`."""
        if self.refuse_sampling:
            return SamplingAnswer(allowed=False, by=self.refuse_sampling)
        async with self._turns.take():
            if question.server in self._never:
                return SamplingAnswer(allowed=False, by=self._by)
            said = await self._open_one(
                ask_sampling(question, sign=self._sign, reader=self._reader, screen=self._screen)
            )
        if said == "never":
            self._never.add(question.server)
        return SamplingAnswer(
            allowed=said in {"once", "always"}, by=self._by, always=said == "always"
        )

    async def _asked(
        self, question: InputRequested, dialogue: Coroutine[Any, Any, InputGiven]
    ) -> InputGiven:
        """Hold a dialogue in its turn; the answer of a server that is declined is at hand."""
        try:
            async with self._turns.take():
                if question.server in self._never:
                    return _given(question, "decline", self._by)
                given = await self._open_one(dialogue)
        finally:
            dialogue.close()  # it may never have begun
        return given or _given(question, "cancel", self._by)

    async def _open_one(self, dialogue: Coroutine[Any, Any, _T]) -> _T | None:
        """Return what a dialogue comes to, None if it was given up from outside."""
        try:
            async with asyncio.TaskGroup() as group:
                task: asyncio.Task[_T] = group.create_task(dialogue)
                self._open = task
        except asyncio.CancelledError:
            self._screen.write_now(_WITHDRAWN)
            raise
        finally:
            self._open = None
        if task.cancelled():
            self._screen.write_now(_GIVEN_UP)
            return None
        return task.result()

    async def _form(
        self, question: InputRequested, fields: tuple[Field, ...], waiting: Callable[[], int]
    ) -> InputGiven:
        asked = self._head(question, waiting)
        form = Form(asked, fields, reader=self._forms(), screen=self._screen)
        content = await form.run()
        if not isinstance(content, str):
            for text in form.secrets:
                self.keep_secret(text)
            return _given(question, "accept", self._by, content)
        if content == "never":
            self._never.add(question.server)
        return _given(question, "cancel" if content == "cancel" else "decline", self._by)

    async def _page(
        self, question: InputRequested, page: Address, waiting: Callable[[], int]
    ) -> InputGiven:
        said = await ask_page(
            self._head(question, waiting),
            page,
            browser=self._browser is not None,
            reader=self._reader,
            screen=self._screen,
        )
        if said == "open" and self._browser is not None and not await self._browser(page.url):
            self._say("no browser took it; open it yourself:")
            self._screen.write_now("".join(f"{x}\n" for x in wrap(page.url, self._screen.width)))
        if said == "never":
            self._never.add(question.server)
        if said in {"open", "self"}:
            return _given(question, "accept", self._by)
        return _given(question, "cancel" if said == "cancel" else "decline", self._by)

    def _say(self, text: str) -> None:
        lines = wrap_words(text, self._screen.width - 4)
        self._screen.write_now("".join(f"  {line}\n" for line in lines))

    def _head(self, question: InputRequested, waiting: Callable[[], int]) -> Asked:
        head = [("server", clean_line(question.server, 128))]
        if question.call_id:
            call = clean_line(self.about(question.call_id), 200)
            head.append(("call", call or clean_line(question.call_id, 64)))
        if (more := waiting()) > 0:
            head.append(("waiting", f"{more} more question{'s' if more > 1 else ''}"))
        return Asked(server=question.server, head=head, message=question.message, sign=self._sign)


def _given(
    question: InputRequested, action: Any, by: str, content: JsonObject | None = None
) -> InputGiven:
    return InputGiven(input_id=question.input_id, action=action, by=by, content=content)
