import asyncio
from collections.abc import Sequence

import pytest

from agent_host.core.events import ApprovalGiven
from agent_host.ports import ApprovalQuestion, Deferred
from agent_host.surfaces.approval import (
    ApprovalMode,
    FixedApprover,
    TerminalApprover,
)
from agent_host.surfaces.outlet import Outlet
from tests.fakes.screens import FORBIDDEN, HOSTILE, outlet, question, sized


class Typed:
    """A human who types these lines, and then nothing any more."""

    def __init__(self, lines: Sequence[str], edits: Sequence[str | None] = ()) -> None:
        self.lines = list(lines)
        self.edits = list(edits)
        self.offered: list[str] = []
        self.prompts: list[str] = []
        self.discarded = 0

    def discard_typed_ahead(self) -> None:
        self.discarded += 1

    async def ask(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        return self.lines.pop(0) if self.lines else None

    async def edit(self, text: str) -> str | None:
        self.offered.append(text)
        return self.edits.pop(0) if self.edits else None


def approver(
    typed: Typed,
    screen: Outlet | None = None,
    hold: Sequence[Outlet] = (),
    *,
    leave: bool = False,
) -> TerminalApprover:
    own = screen or outlet(tty=True)[0]
    return TerminalApprover(typed, screen=own, hold=hold, by="ann", sign="7f3a", leave=leave)


def answer(
    asked: ApprovalQuestion, *lines: str, edits: Sequence[str | None] = ()
) -> tuple[ApprovalGiven, str, Typed]:
    out, screen = outlet(tty=True, NO_COLOR="1")
    typed = Typed(lines, edits)
    given = asyncio.run(approver(typed, out).approve(asked))
    assert isinstance(given, ApprovalGiven)
    assert given.call_id == asked.call_id
    assert given.by == "ann"
    return given, screen.getvalue(), typed


ORDER = {"order_id": "12345", "amount": 250}


def test_the_question_shows_who_what_and_why_with_the_sessions_sign() -> None:
    _, screen, typed = answer(question(ORDER, waiting=1), "n")
    lines = screen.splitlines()
    assert lines[0].startswith("── approval 7f3a ──")
    assert lines[1:8] == [
        "  server    orders",
        "  tool      refund_order",
        "  rule      default",
        "  reason    nothing matched",
        "  waiting   1 more question",
        '│ order_id  "12345"',
        "│ amount    250",
    ]
    assert typed.prompts == ["approve? [y/n/r/e/a/t] "]
    assert typed.discarded == 1


@pytest.mark.parametrize(
    ("line", "decision", "scope", "feedback"),
    [
        ("y", "approve", "once", ""),
        (" Yes ", "approve", "once", ""),
        ("a", "approve", "session_call", ""),
        ("t", "approve", "session_tool", ""),
        ("n", "deny", "once", ""),
        ("r use archive_order", "deny", "once", "use archive_order"),
    ],
)
def test_each_answer_means_what_it_says(
    line: str, decision: str, scope: str, feedback: str
) -> None:
    given, _, _ = answer(question(ORDER), line)
    assert (given.decision, given.scope, given.feedback) == (decision, scope, feedback)
    assert given.arguments is None


def test_a_reason_can_be_given_on_a_line_of_its_own() -> None:
    assert answer(question(ORDER), "r", "too much")[0].feedback == "too much"
    given = answer(question(ORDER), "r")[0]
    assert (given.decision, given.feedback) == ("deny", "")


def test_enter_alone_and_nonsense_are_no_answer() -> None:
    given, screen, _ = answer(question(ORDER), "", "maybe", "y please", "no thanks", "n")
    assert given.decision == "deny"
    assert "Enter alone is no answer" in screen
    assert "'maybe' is no answer" in screen
    assert "'y please' is no answer" in screen


def test_the_end_of_input_means_no_and_says_so() -> None:
    given, _, _ = answer(question(ORDER))
    assert given.decision == "deny"
    assert given.feedback == "no answer: the input has ended"


def test_an_edit_shows_what_changes_and_asks_again_before_it_runs() -> None:
    edited = '{"order_id": "12345", "amount": 25}'
    given, screen, typed = answer(question(ORDER), "e", "y", edits=[edited])
    assert given.decision == "approve"
    assert given.arguments == {"order_id": "12345", "amount": 25}
    assert "│ - amount  250" in screen
    assert "│ + amount  25" in screen
    assert screen.rstrip().count("── approval") == 2
    assert len(typed.prompts) == 2
    refused = answer(question(ORDER), "e", "n", edits=[edited])[0]
    assert (refused.decision, refused.arguments) == ("deny", None)


def test_a_bad_edit_says_why_and_loses_nothing() -> None:
    bad, unknown, good = '{"amount": }', '{"colour": 1}', '{"amount": 1}'
    given, screen, typed = answer(
        question(ORDER, invalid="colour"), "e", "y", edits=[bad, unknown, good]
    )
    assert typed.offered[1:] == [bad, unknown]
    assert "no valid JSON" in screen
    assert "not valid for this tool: colour is not known" in screen
    assert given.arguments == {"amount": 1}


def test_giving_an_edit_up_leaves_the_question_as_it_was() -> None:
    given, screen, _ = answer(question(ORDER), "e", "y", edits=[None])
    assert given.arguments is None
    assert "unchanged" in screen


def test_an_edit_from_one_to_true_is_an_edit() -> None:
    given, _, _ = answer(question({"force": 1}), "e", "y", edits=['{"force": true}'])
    assert given.arguments is not None
    assert given.arguments["force"] is True
    assert answer(question({"n": 1}), "e", "y", edits=['{"n": 1}'])[0].arguments is None


def test_an_edit_can_be_granted_for_the_session() -> None:
    given, _, _ = answer(question({"n": 1}), "e", "a", edits=['{"n": 2}'])
    assert (given.scope, given.arguments) == ("session_call", {"n": 2})


def test_arguments_that_change_behind_the_question_do_not_change_it() -> None:
    arguments = {"amount": 1}

    class Meddling(Typed):
        async def edit(self, text: str) -> str | None:
            arguments["amount"] = 1_000_000
            return await super().edit(text)

    out, screen = outlet(tty=True)
    typed = Meddling(["e", "y"], [None])
    asyncio.run(approver(typed, out).approve(question(arguments)))
    typed = Meddling(["e", "n"], ['{"amount": 2}'])
    arguments["amount"] = 1
    asyncio.run(approver(typed, out).approve(question(arguments)))
    assert "1000000" not in screen.getvalue()


def test_yes_is_possible_only_after_everything_was_on_the_screen() -> None:
    long = {"padding": "x" * 3000, "danger": "rm -rf"}
    for word in ("y", "a", "t"):
        with sized(80, 24, NO_COLOR="1") as (out, screen):
            typed = Typed([word, "m", word, "m", "m", word])
            given = asyncio.run(approver(typed, out).approve(question(long)))
            assert isinstance(given, ApprovalGiven)
            assert given.decision == "approve"
            text = screen.getvalue()
        assert text.count("not everything was shown yet") == 2
        before, _, after = text.partition("lines in all; m shows the next page")
        assert "more lines" in before
        assert "rm -rf" in after
        assert "lines not shown yet" in typed.prompts[0]
        assert "y/" not in typed.prompts[0]
        assert typed.prompts[-1] == "approve? [y/n/r/e/a/t] "
        assert after.count("x") >= 3000


def test_everything_can_be_shown_in_one_go() -> None:
    with sized(40, 20) as (out, screen):
        typed = Typed(["all", "m", "y"])
        given = asyncio.run(approver(typed, out).approve(question({"text": "word\n" * 500})))
        assert isinstance(given, ApprovalGiven)
        assert given.decision == "approve"
        assert "that was all of it" in screen.getvalue()
        assert "everything was shown" in screen.getvalue()


def test_a_question_fits_a_narrow_screen() -> None:
    with sized(40, 24, NO_COLOR="1") as (out, screen):
        asyncio.run(approver(Typed(["n"]), out).approve(question(ORDER, waiting=3)))
        assert max(map(len, screen.getvalue().splitlines())) <= 40


def test_what_is_in_doubt_can_be_approved_once_only() -> None:
    given, screen, typed = answer(question(ORDER, in_doubt=True), "a", "t", "y")
    assert given.scope == "once"
    assert screen.count("once only") == 2
    assert "IN DOUBT" in screen
    assert typed.prompts[0] == "approve? [y/n/r/e] "


def test_no_hostile_text_leaves_its_place_in_a_question() -> None:
    for text in HOSTILE:
        asked = question({text: text}, server=text, name=text, reason=text)
        _, screen, _ = answer(asked, text, "n")
        assert not set(FORBIDDEN) & set(screen)


def test_questions_are_asked_one_after_another_and_nothing_is_drawn_between() -> None:
    out, screen = outlet(tty=True, NO_COLOR="1")
    notes, noted = outlet()
    open_now = 0

    class Slow(Typed):
        async def ask(self, prompt: str) -> str | None:
            nonlocal open_now
            open_now += 1
            assert open_now == 1
            notes.write("a card\n")
            await asyncio.sleep(0)
            assert noted.getvalue().count("a card") == 2 - len(self.lines)
            open_now -= 1
            return await super().ask(prompt)

    async def ask_both() -> None:
        asking = approver(Slow(["y", "n"]), out, hold=[notes])
        async with asyncio.TaskGroup() as group:
            group.create_task(asking.approve(question({"n": 1})))
            group.create_task(asking.approve(question({"n": 2})))

    asyncio.run(ask_both())
    assert screen.getvalue().index("n  1") < screen.getvalue().index("n  2")
    assert noted.getvalue() == "a card\n" * 2


def test_a_question_that_is_withdrawn_lets_the_next_one_through() -> None:
    out, screen = outlet(tty=True)

    class Silent(Typed):
        async def ask(self, prompt: str) -> str | None:
            if not self.lines:
                await asyncio.Event().wait()
            return await super().ask(prompt)

    async def withdraw() -> ApprovalGiven | Deferred:
        typed = Silent([])
        asking = approver(typed, out)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asking.approve(question({})))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
        typed.lines.append("y")
        return await asking.approve(question({}))

    given = asyncio.run(withdraw())
    assert isinstance(given, ApprovalGiven)
    assert given.decision == "approve"
    assert "no longer asked" in screen.getvalue()


@pytest.mark.parametrize("mode", ["ask", "policy", "none"])
def test_without_a_human_the_answer_is_no_and_says_why(mode: ApprovalMode) -> None:
    given = asyncio.run(FixedApprover(mode).approve(question({})))
    assert isinstance(given, ApprovalGiven)
    assert (given.decision, given.by) == ("deny", f"--approve {mode}")
    assert "needs a human's approval" in given.feedback


def test_all_approves_but_never_what_is_in_doubt() -> None:
    yes = asyncio.run(FixedApprover("all").approve(question({})))
    assert isinstance(yes, ApprovalGiven)
    assert (yes.decision, yes.scope, yes.by) == ("approve", "once", "--approve all")
    no = asyncio.run(FixedApprover("all").approve(question({}, in_doubt=True)))
    assert isinstance(no, ApprovalGiven)
    assert no.decision == "deny"
    assert "may have taken effect" in no.feedback


def test_defer_leaves_the_question_open() -> None:
    assert asyncio.run(FixedApprover("defer").approve(question({}))) == Deferred()
