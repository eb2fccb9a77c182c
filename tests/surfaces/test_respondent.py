import asyncio
from collections.abc import Callable

import pytest

from agent_host.core.events import InputGiven, InputRequested
from agent_host.core.types import Image, JsonObject, Message, Text
from agent_host.ports import Deferred, SamplingAnswer, SamplingQuestion
from agent_host.surfaces.approval import TerminalApprover
from agent_host.surfaces.browser import OpenPage
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.respondent import DeferringRespondent, TerminalRespondent
from agent_host.surfaces.turns import Turns
from tests.fakes.screens import FORBIDDEN, HOSTILE, Screen, outlet, question, sized
from tests.fakes.typists import Typist, object_of, typist

NAME = object_of(["name"], name={"type": "string"})


def wants(
    schema: JsonObject | None = None, *, server: str = "cafe", call_id: str = ""
) -> InputRequested:
    return InputRequested(
        input_id="i1",
        server=server,
        mode="form",
        message="Who?",
        requested_schema=NAME if schema is None else schema,
        call_id=call_id,
    )


def page(url: str = "https://pay.example/x", message: str = "Pay here.") -> InputRequested:
    return InputRequested(input_id="i1", server="cafe", mode="url", message=message, url=url)


def sampling(text: str = "Summarise.", *, system: str = "", waiting: int = 0) -> SamplingQuestion:
    return SamplingQuestion(
        server="cafe",
        model="anthropic:m1",
        messages=(
            Message(role="user", content=(Text(text=text), Image(data="aGk=", media_type="i/p"))),
        ),
        system=system,
        max_tokens=1500,
        waiting=lambda: waiting,
    )


class Desk:
    """A respondent with its screen and typist; `opened` are the pages that a browser got."""

    def __init__(
        self,
        *lines: str,
        screen: Outlet | None = None,
        browser: bool = True,
        works: bool = True,
        **more: str,
    ) -> None:
        out, self.shown = outlet(tty=True, NO_COLOR="1")
        self.screen = screen or out
        self.reader = typist(*lines)
        self.opened: list[str] = []

        async def open_page(url: str) -> bool:
            self.opened.append(url)
            return works

        opener: OpenPage | None = open_page if browser else None
        self.turns = Turns(screen=self.screen, hold=(self.screen,))
        self.respondent = TerminalRespondent(
            self.reader,
            screen=self.screen,
            turns=self.turns,
            by="ann",
            sign="7f3a",
            browser=opener,
            **more,
        )

    def answer(self, asked: InputRequested, waiting: int = 0) -> InputGiven:
        given = asyncio.run(self.respondent.answer(asked, lambda: waiting))
        assert isinstance(given, InputGiven)
        assert given.input_id == asked.input_id
        return given

    def allow(self, asked: SamplingQuestion) -> SamplingAnswer:
        given = asyncio.run(self.respondent.allow(asked))
        assert isinstance(given, SamplingAnswer)
        return given

    @property
    def text(self) -> str:
        return self.shown.getvalue()


def test_a_form_is_answered_by_whom_it_was_filled_in_by() -> None:
    desk = Desk("Bob", "s")
    given = desk.answer(wants(), waiting=2)
    assert (given.action, given.by, given.content) == ("accept", "ann", {"name": "Bob"})
    assert "  waiting   2 more questions" in desk.text


def test_the_form_names_the_call_that_it_is_for() -> None:
    desk = Desk("/decline")
    desk.respondent.about = lambda call_id: f"shop · order ({call_id})"
    assert desk.answer(wants(call_id="c7")).action == "decline"
    assert "  call      shop · order (c7)" in desk.text
    desk = Desk("/cancel")
    assert desk.answer(wants(call_id="c7")).action == "cancel"
    assert "  call      c7" in desk.text


def test_a_form_that_cannot_be_asked_for_is_declined_with_the_reason_and_not_shown() -> None:
    desk = Desk("y")
    given = desk.answer(wants(object_of(x={"type": "object"})))
    assert given.action == "decline"
    assert given.by.startswith('host: field "x" is object')
    assert desk.reader.asked == []


def test_never_declines_all_that_a_server_asks_for_and_no_other_server() -> None:
    desk = Desk("/never", "Bob", "s")
    assert desk.answer(wants()).action == "decline"
    assert desk.answer(wants()).action == "decline"
    assert desk.answer(page()).action == "decline"
    assert desk.allow(sampling()) == SamplingAnswer(allowed=False, by="ann")
    assert len(desk.reader.asked) == 1
    assert desk.answer(wants(server="shop")).action == "accept"


def test_what_was_typed_as_a_secret_is_kept_apart() -> None:
    kept: list[str] = []
    desk = Desk("y", "hunter2", "s")
    desk.respondent.keep_secret = kept.append
    assert desk.answer(wants(object_of(password={"type": "string"}))).content == {
        "password": "hunter2"
    }
    assert kept == ["hunter2"]


def test_a_page_is_shown_whole_and_opened_only_after_a_yes() -> None:
    desk = Desk("", "maybe", "y")
    given = desk.answer(page("http://аpple.com/x"))
    assert (given.action, given.content) == ("accept", None)
    assert desk.opened == ["http://xn--pple-43d.com/x"]
    lines = desk.text.splitlines()
    assert lines[0].startswith("── web page 7f3a ──")
    assert "│ Pay here." in lines
    assert "  host      xn--pple-43d.com" in lines
    assert "│ http://xn--pple-43d.com/x" in lines
    assert "  ! it is not encrypted (http): others can read and change what you see" in lines
    assert "Enter alone is no answer" in desk.text
    assert "'maybe' is no answer" in desk.text


@pytest.mark.parametrize(
    ("lines", "action", "browser"),
    [
        (("o",), "accept", True),
        (("y",), "accept", False),
        (("d",), "decline", True),
        (("n",), "decline", True),
        (("c",), "cancel", True),
        (("never",), "decline", True),
        (("v",), "decline", True),
        ((), "cancel", True),
    ],
)
def test_nothing_is_opened_unless_that_was_the_answer(
    lines: tuple[str, ...], action: str, browser: bool
) -> None:
    desk = Desk(*lines, browser=browser)
    assert desk.answer(page()).action == action
    assert desk.opened == []
    assert ("no browser here" in desk.text) is not browser


def test_a_browser_that_fails_leaves_the_url_to_open_by_hand() -> None:
    desk = Desk("y", works=False)
    assert desk.answer(page()).action == "accept"
    assert "no browser took it; open it yourself:\nhttps://pay.example/x\n" in desk.text.replace(
        "  no browser", "no browser"
    )


def test_a_url_that_must_not_be_opened_is_declined_and_not_shown() -> None:
    desk = Desk("y")
    given = desk.answer(page("javascript:alert(1)"))
    assert given.action == "decline"
    assert "only http and https" in given.by
    assert desk.reader.asked == []


def test_a_url_longer_than_the_screen_is_folded_and_yes_waits_for_its_end() -> None:
    url = f"https://pay.example/{'x' * 5000}/end"
    with sized(40, 15, NO_COLOR="1") as (out, screen):
        desk = Desk("y", "m", "y", "all", "y", screen=out)
        assert desk.answer(page(url)).action == "accept"
        text = screen.getvalue()
    assert desk.opened == [url]
    assert max(map(len, text.splitlines())) <= 40
    body = "".join(
        line[2:] for line in text.splitlines() if line.startswith("│ ") and "…" not in line
    )
    assert url in body
    assert text.count("not everything was shown yet") == 2
    assert "lines not shown yet" in desk.reader.asked[0]


def test_sampling_shows_all_that_the_model_would_get() -> None:
    desk = Desk("y")
    assert desk.allow(sampling(system="Be brief.", waiting=1)) == SamplingAnswer(
        allowed=True, by="ann"
    )
    lines = desk.text.splitlines()
    assert lines[0].startswith("── model for a server 7f3a ──")
    for line in (
        "  server    cafe",
        "  model     anthropic:m1",
        "  answer    at most 1,500 tokens, which the server gets to read",
        "  waiting   1 more question",
        "  system prompt:",
        "│ Be brief.",
        "  user:",
        "│ Summarise.",
        "│ [image, i/p, 3 bytes]",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (("a",), SamplingAnswer(allowed=True, by="ann", always=True)),
        (("n",), SamplingAnswer(allowed=False, by="ann")),
        (("", "what", "no"), SamplingAnswer(allowed=False, by="ann")),
        ((), SamplingAnswer(allowed=False, by="ann")),
    ],
)
def test_sampling_is_allowed_once_always_or_not(
    lines: tuple[str, ...], answer: SamplingAnswer
) -> None:
    assert Desk(*lines).allow(sampling()) == answer


def test_a_long_prompt_for_the_model_has_to_be_seen_before_a_yes() -> None:
    text = "\n".join(f"line {i}" for i in range(200))
    with sized(80, 20, NO_COLOR="1") as (out, screen):
        desk = Desk("y", "a", *["m"] * 20, "y", screen=out)
        assert desk.allow(sampling(text)).allowed
        shown = screen.getvalue()
    assert all(f"│ line {i}\n" in shown for i in range(200))
    assert shown.count("not everything was shown yet") == 2


def test_sampling_can_be_refused_without_a_question() -> None:
    desk = Desk("y", refuse_sampling="--approve none")
    assert desk.allow(sampling()) == SamplingAnswer(allowed=False, by="--approve none")
    assert desk.reader.asked == []


class Slow(Typist):
    """Never answers by themselves."""

    def __init__(self) -> None:
        super().__init__([])
        self.here = asyncio.Event()

    async def ask(self, prompt: str) -> str | None:
        self.asked.append(prompt)
        self.here.set()
        await asyncio.Event().wait()
        raise AssertionError


def slow() -> tuple[TerminalRespondent, Slow, Screen, Turns]:
    out, screen = outlet(tty=True, NO_COLOR="1")
    reader, turns = Slow(), Turns(screen=out, hold=(out,))
    made = TerminalRespondent(reader, screen=out, turns=turns, by="ann")
    return made, reader, screen, turns


def test_giving_up_cancels_the_form_and_not_who_asked_for_it() -> None:
    async def run() -> tuple[InputGiven | Deferred, bool, bool]:
        respondent, reader, screen, _ = slow()
        before = respondent.cancel()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(respondent.answer(wants(), lambda: 0))
            await reader.here.wait()
            during = respondent.cancel()
        assert "nothing was sent" in screen.getvalue()
        assert not respondent.cancel()
        return task.result(), before, during

    given, before, during = asyncio.run(run())
    assert (before, during) == (False, True)
    assert isinstance(given, InputGiven)
    assert (given.action, given.by) == ("cancel", "ann")


def test_a_question_that_is_withdrawn_is_no_longer_asked() -> None:
    async def run() -> str:
        respondent, reader, screen, _ = slow()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(respondent.answer(wants(), lambda: 0))
            await reader.here.wait()
            task.cancel()
        assert task.cancelled()
        return screen.getvalue()

    assert "no longer asked" in asyncio.run(run())


def test_one_question_at_a_time_whoever_asks() -> None:
    async def run() -> None:
        respondent, reader, _, turns = slow()
        out = outlet(tty=True)[0]
        approver = TerminalApprover(reader, screen=out, hold=(), by="ann", turns=turns)
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[object]] = []
            for asking in (
                respondent.answer(wants(), lambda: 0),
                approver.approve(question({})),
                respondent.allow(sampling()),
            ):
                tasks.append(group.create_task(asking))
                for _ in range(20):  # it stands in line before the next one comes
                    await asyncio.sleep(0)
            await reader.here.wait()
            assert len(reader.asked) == 1
            for place in range(3):
                reader.here.clear()
                tasks[place].cancel()
                if place < 2:
                    await reader.here.wait()
                    assert len(reader.asked) == place + 2
        assert "let the model" in reader.asked[2]

    asyncio.run(run())


def test_deferring_answers_nothing() -> None:
    async def run(ask: Callable[[DeferringRespondent], object]) -> object:
        return await ask(DeferringRespondent())  # type: ignore[misc]

    assert isinstance(asyncio.run(run(lambda r: r.answer(wants(), lambda: 0))), Deferred)
    assert isinstance(asyncio.run(run(lambda r: r.allow(sampling()))), Deferred)


def test_no_hostile_text_gets_onto_the_screen() -> None:
    for text in HOSTILE:
        desk = Desk("y", "all", "y")
        desk.respondent.about = lambda call_id: call_id
        desk.answer(
            InputRequested(
                input_id="i",
                server=text,
                mode="url",
                message=text,
                url="https://a.example",
                call_id=text,
            )
        )
        desk.reader.lines = ["y"]
        desk.allow(sampling(text, system=text))
        assert not set(FORBIDDEN) & set(desk.text)
