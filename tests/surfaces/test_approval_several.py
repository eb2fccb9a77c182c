"""Several calls that wait for one person at once; and what explains, shows and edits a call."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from agent_host.core.events import ApprovalGiven
from agent_host.core.types import JsonObject
from agent_host.ports import ApprovalQuestion, Deferred
from agent_host.surfaces.approval import TerminalApprover
from agent_host.surfaces.outlet import Outlet
from tests.fakes.screens import FORBIDDEN, HOSTILE, outlet, question, sized

Given = list[ApprovalGiven | Deferred | None]
Key = str | Callable[[], object]


class Presser:
    """A person who presses these keys, and does this and that between them."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)
        self.prompts: list[str] = []

    def discard_typed_ahead(self) -> None:
        """Nothing was typed ahead."""

    async def press(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        while self.keys and not isinstance(self.keys[0], str):
            made = self.keys.pop(0)
            assert callable(made)
            made()
            for _ in range(5):
                await asyncio.sleep(0)
        return str(self.keys.pop(0)) if self.keys else None

    async def ask(self, prompt: str) -> str | None:
        return await self.press(prompt)

    async def edit(self, text: str) -> str | None:
        raise AssertionError(text)


def one(number: int, **more: object) -> ApprovalQuestion:
    asked = question({"order": number}, **more)  # type: ignore[arg-type]
    return replace(asked, call_id=f"c{number}")


class Stand:
    """A person at a screen who is asked several questions at once."""

    def __init__(
        self,
        *keys: Key,
        screen: Outlet | None = None,
        editor: Callable[[str], Awaitable[str | None]] | None = None,
    ) -> None:
        self.presser = Presser(*keys)
        made, self.screen = outlet(tty=True, NO_COLOR="1")
        self.tasks: list[asyncio.Task[ApprovalGiven | Deferred]] = []
        self.approver = TerminalApprover(
            self.presser, screen=screen or made, hold=(), by="ann", editor=editor
        )

    def ask(self, *questions: ApprovalQuestion) -> Given:
        async def all_of_them() -> Given:
            self.tasks = [asyncio.create_task(self.approver.approve(q)) for q in questions]
            await asyncio.wait(self.tasks, timeout=10)
            return [None if task.cancelled() else task.result() for task in self.tasks]

        return asyncio.run(all_of_them())

    def withdraw(self, number: int) -> Callable[[], object]:
        return lambda: self.tasks[number].cancel()  # noqa: PLW0108 - they are made later

    @property
    def shown(self) -> str:
        return self.screen.getvalue()


def decisions(given: Given) -> list[str]:
    return [one.decision if isinstance(one, ApprovalGiven) else "none" for one in given]


def test_those_who_wait_are_counted_and_answered_in_any_order() -> None:
    stand = Stand(">", ">", "n", "<", "y", "y")
    given = stand.ask(one(1), one(2), one(3))
    # To the third, which is refused; from the first round to the second; then the first is left.
    assert decisions(given) == ["approve", "approve", "deny"]
    assert [one.call_id for one in given if isinstance(one, ApprovalGiven)] == ["c1", "c2", "c3"]
    assert "1 of 3" in stand.shown
    assert "3 of 3" in stand.shown
    assert "< > another question" in stand.shown


def test_one_that_waits_alone_has_no_other_to_go_to() -> None:
    stand = Stand(">", "g", "n")
    assert decisions(stand.ask(one(1))) == ["deny"]
    assert "'>' is no answer" in stand.shown
    assert "another question" not in stand.shown


def test_one_answer_for_all_of_a_tool_once_each_was_shown() -> None:
    stand = Stand("g", ">", ">", "g", "y")
    given = stand.ask(one(1), one(2), one(3))
    assert decisions(given) == ["approve"] * 3
    assert "not all of this tool were shown yet" in stand.shown
    assert "the same for all 3 of orders · refund_order?" in stand.presser.prompts[-1]


def test_a_no_is_for_all_of_a_tool_too_and_for_no_other_tool() -> None:
    stand = Stand(">", "<", "g", "n", "y")
    given = stand.ask(one(1), one(2), one(3, name="archive_order"))
    assert decisions(given) == ["deny", "deny", "approve"]


def test_one_answer_for_all_is_not_given_by_a_key_that_is_no_yes() -> None:
    stand = Stand(">", "g", "", "n", "y")
    assert decisions(stand.ask(one(1), one(2))) == ["approve", "deny"]
    assert "nothing was answered" in stand.shown


def test_what_is_in_doubt_is_answered_by_itself() -> None:
    stand = Stand(">", "g", "n", "n")
    assert decisions(stand.ask(one(1), one(2, in_doubt=True))) == ["deny", "deny"]
    assert "each of these has to be answered by itself" in stand.shown


def test_one_that_is_answered_elsewhere_vanishes_with_a_word() -> None:
    stand = Stand()
    stand.presser.keys = [stand.withdraw(0), "y", "y"]
    given = stand.ask(one(1), one(2))
    assert decisions(given) == ["none", "approve"]
    assert "(this is no longer asked)" in stand.shown


def test_the_other_one_that_is_looked_at_may_be_answered_elsewhere() -> None:
    stand = Stand()
    stand.presser.keys = [">", stand.withdraw(1), "y", "n"]
    given = stand.ask(one(1), one(2))
    # The key that came for the second one when it was gone has answered nothing.
    assert decisions(given)[1] == "none"
    assert decisions(given)[0] in {"approve", "deny"}
    assert "(this is no longer asked)" in stand.shown


def test_one_that_is_answered_elsewhere_while_all_are_is_left_alone() -> None:
    stand = Stand()
    stand.presser.keys = [">", "g", stand.withdraw(1), "y", "y"]
    given = stand.ask(one(1), one(2))
    assert decisions(given) == ["approve", "none"]


def test_a_call_is_explained_and_nothing_of_it_leaves_its_place() -> None:
    asked = one(1)
    schema: JsonObject = {
        "type": "object",
        "properties": {"order": {"type": "integer", "description": "".join(HOSTILE)}},
        "required": ["order"],
    }
    tool = replace(asked.tool, description="Refunds.\n" + "\n".join(HOSTILE), input_schema=schema)
    with sized(40, 12, NO_COLOR="1") as (out, screen):
        stand = Stand("x", "n", screen=out)
        stand.ask(replace(asked, tool=tool))
    shown = screen.getvalue()
    assert "│ Refunds." in shown
    assert "order (integer, required)" in shown
    assert not set(FORBIDDEN) & set(shown)
    assert all(len(line) <= 40 for line in shown.splitlines())


def test_kinds_of_parameters_are_explained_in_words() -> None:
    asked = one(1)
    deep: JsonObject = {"type": "string"}
    for _ in range(50):
        deep = {"anyOf": [deep]}
    kinds: dict[str, JsonObject] = {
        "id": {"type": ["string", "integer"]},
        "size": {"enum": ["s", "m", 3]},
        "day": {"enum": list(range(9))},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}, True]},
        "deep": deep,
        "free": {},
    }
    tool = replace(asked.tool, description="", input_schema={"properties": kinds})
    stand = Stand("x", "n")
    stand.ask(replace(asked, tool=tool))
    for row in (
        "id (string or integer)",
        "size (one of s, m, 3)",
        "day (one of 0, 1, 2, 3, 4, 5, …)",
        "note (string or null or any)",
        "deep (any)",
        "free (any)",
    ):
        assert f"│ {row}\n" in stand.shown


def test_a_description_is_broken_between_words() -> None:
    asked = one(1)
    tool = replace(asked.tool, description="pays money back to the customer\n\n" + "x" * 50)
    with sized(30, 24, NO_COLOR="1") as (out, screen):
        Stand("x", "n", screen=out).ask(replace(asked, tool=tool))
    shown = screen.getvalue()
    assert "│ pays money back to the\n│ customer\n│ \n│ xxxx" in shown


def test_the_arguments_are_shown_as_json() -> None:
    stand = Stand("j", "n")
    stand.ask(one(7))
    assert '"order": 7' in stand.shown


def test_the_persons_own_editor_is_offered_where_there_is_one() -> None:
    async def edits(text: str) -> str | None:
        return text.replace("1", "2")

    stand = Stand("v", "y", editor=edits)
    [given] = stand.ask(one(1))
    assert isinstance(given, ApprovalGiven)
    assert given.arguments == {"order": 2}
    assert "v edit in your editor" in stand.shown
    assert "+ order  2" in stand.shown
    without = Stand("v", "n")
    without.ask(one(1))
    assert "'v' is no answer" in without.shown
    assert "your editor" not in without.shown


def test_an_editor_that_changes_nothing_leaves_the_question_as_it_was() -> None:
    async def keeps(text: str) -> str | None:
        return text

    stand = Stand("v", "y", editor=keeps)
    [given] = stand.ask(one(1))
    assert isinstance(given, ApprovalGiven)
    assert given.arguments is None
    assert "the arguments are unchanged" in stand.shown
