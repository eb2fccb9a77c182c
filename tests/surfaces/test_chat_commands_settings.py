import asyncio

import pytest

from agent_host.core.errors import UsageError
from agent_host.core.events import ApprovalGiven
from agent_host.core.types import ApprovalTerms
from agent_host.ports import ApprovalQuestion, Deferred
from agent_host.surfaces.approve_mode import ApproveMode
from agent_host.surfaces.chat_around import Around, ConfigValue
from agent_host.surfaces.commands_table import COMMANDS, TABLE, may_run_now, reference
from agent_host.surfaces.commands_words import command_words
from tests.fakes.screens import FORBIDDEN, HOSTILE, question, sized
from tests.fakes.typists import typist
from tests.surfaces.commanding import Exports, command
from tests.surfaces.test_approval_terms import asked
from tests.surfaces.test_chat import desk

MODES = ("ask", "policy", "none", "all")


class Person:
    """Somebody who says no to everything, and is counted."""

    def __init__(self) -> None:
        self.asked = 0

    async def approve(self, one: ApprovalQuestion) -> ApprovalGiven | Deferred:
        self.asked += 1
        return ApprovalGiven(call_id=one.call_id, decision="deny", by="ann")


class Respondent:
    refuse_sampling = ""


def approving(mode="ask"):
    person, respondent = Person(), Respondent()
    return ApproveMode(mode, person=person, respondent=respondent, by="ann"), person, respondent


# -- the table -----------------------------------------------------------------------------


def test_every_command_of_the_table_is_done_and_explained() -> None:
    names = [name for name, _ in COMMANDS]
    assert len(set(names)) == len(names)
    screen = command(desk(), "/help", *(f"/help {name}" for name in names)).screen
    for one in TABLE:
        assert one.usage in screen
        assert f"### {one.name}\n" in reference()
        assert all(line.startswith("/") for line, _ in one.examples)
    for one in TABLE:
        if one.name != "/prompt":
            assert "no command" not in command(desk(), one.name).screen


def test_one_command_is_explained_whole_and_an_unknown_one_names_the_nearest() -> None:
    screen = command(desk(), "/help undo", "/help /unod", "/help approve-mode").screen
    assert "/undo 3  the last three" in screen
    assert "there is no command /unod; did you mean /undo?" in screen
    for mode in MODES:
        assert f"  {mode}  " in screen


def test_what_only_shows_may_run_while_the_model_works_and_what_changes_the_conversation_not() -> (
    None
):
    for line in ("/cost", "/context", "/tools refund", "/show 1", "/help", "/servers"):
        assert may_run_now(line)
    for line in ("/undo", "/compact", "/clear", "/fork", "/resume", "/x", "hello", "//cost"):
        assert not may_run_now(line)


def test_every_page_of_help_fits_a_narrow_screen() -> None:
    with sized(40, 24, NO_COLOR="1") as (out, screen):
        command(desk(), "/help", *(f"/help {name}" for name, _ in COMMANDS), out=out)
        shown = screen.getvalue()
    assert max(map(len, shown.splitlines())) <= 40


def test_what_may_follow_a_command_is_offered() -> None:
    words = command_words(desk(), Around(export=Exports()))
    assert list(words("/model")) == ["claude", "offline"]
    assert list(words("/tools")) == ["w"]
    assert list(words("/approve-mode")) == list(MODES)
    assert "undo" in words("/help")
    assert list(words("/export")) == ["markdown", "html"]
    assert list(words("/cost")) == []


# -- approving -----------------------------------------------------------------------------


def test_the_mode_is_shown_and_changed() -> None:
    mode, _, respondent = approving()
    screen = command(
        desk(), "/approve-mode", "/approve-mode none", "/approve-mode none", "/approve-mode nome",
        around=Around(approving=mode),
    ).screen  # fmt: skip
    assert "now: ask" in screen
    assert "from here on: none" in screen
    assert "it is none already" in screen
    assert "there is no mode 'nome'; did you mean none?" in screen
    assert mode.mode == "none"
    assert mode.unusual == "none"
    assert respondent.refuse_sampling == "/approve-mode none (ann)"
    mode.change("ask")
    assert mode.unusual == ""
    assert respondent.refuse_sampling == ""
    with pytest.raises(UsageError):
        mode.change("defer")


def test_all_takes_the_whole_word_typed_and_nothing_less() -> None:
    for typed, changed in ((["all"], True), (["al"], False), (["y"], False), ([], False)):
        mode, _, _ = approving()
        around = Around(approving=mode)
        screen = command(desk(), "/approve-mode all", asker=typist(*typed), around=around).screen
        assert (mode.mode == "all") is changed
        assert ("nothing was changed" in screen) is not changed
    mode, _, _ = approving()
    command(desk(), "/approve-mode all", around=Around(approving=mode))
    assert mode.mode == "ask"


def test_who_answers_follows_the_mode_and_says_so() -> None:
    mode, person, _ = approving()

    def answer(**more) -> ApprovalGiven | Deferred:
        return asyncio.run(mode.approve(question({}, **more)))

    assert answer().by == "ann"
    mode.change("all")
    given = answer()
    assert (given.decision, given.by) == ("approve", "/approve-mode all (ann)")
    assert answer(in_doubt=True).decision == "deny"
    mode.change("none")
    given = answer()
    assert (given.decision, given.by) == ("deny", "/approve-mode none (ann)")
    assert "/approve-mode none (ann) asks nobody" in given.feedback
    assert person.asked == 1


def test_a_mode_from_the_command_line_is_recorded_as_such() -> None:
    mode, person, respondent = approving("policy")
    assert asyncio.run(mode.approve(question({}))).by == "--approve policy"
    assert respondent.refuse_sampling == "--approve policy"
    assert person.asked == 0


def test_what_takes_particular_people_is_asked_even_when_all_is_allowed() -> None:
    mode, person, _ = approving("all")
    given = asyncio.run(mode.approve(asked(ApprovalTerms(approvers=("boss",)))))
    assert given.by == "ann"
    assert person.asked == 1


def test_where_nothing_can_be_changed_or_shown_that_is_said() -> None:
    screen = command(desk(), "/approve-mode", "/policy", "/config", "/reload").screen
    assert "cannot be changed here" in screen
    assert "no rules to show" in screen
    assert "no config to show" in screen
    assert "no servers.toml" in screen


# -- config --------------------------------------------------------------------------------

VALUES = (
    ConfigValue(key="model", value='"auto"', origin="default"),
    ConfigValue(key="limits.max_turns", value="50", origin="default"),
    ConfigValue(key="limits.max_cost", value="2.0", origin="servers.toml:3"),
)


def test_the_config_shows_what_was_said_and_by_a_word_also_the_defaults() -> None:
    around = Around(config=lambda: VALUES)
    screen = command(desk(), "/config", around=around).screen
    assert "limits.max_cost = 2.0  (servers.toml:3)" in screen
    assert "max_turns" not in screen
    assert "2 more at their defaults" in screen
    screen = command(desk(), "/config TURNS", "/config zebra", around=around).screen
    assert "limits.max_turns = 50  (default)" in screen
    assert "no key has 'zebra' in it" in screen
    assert "nothing differs" in command(desk(), "/config", around=Around(config=lambda: ())).screen


def test_a_config_that_cannot_be_read_any_more_is_told() -> None:
    def broken():
        raise UsageError("servers.toml:4: what is this")

    around = Around(config=broken, models=broken)
    assert "servers.toml:4" in command(desk(), "/config", around=around).screen
    assert "/model claude" in command(desk(), "/model", around=around).screen


def test_nothing_hostile_gets_onto_the_screen() -> None:
    for text in HOSTILE:
        mode, _, _ = approving()
        around = Around(
            config=lambda t=text: [ConfigValue(key=t, value=t, origin=t)], approving=mode
        )
        lines = [f"/{c} {text}" for c in ("help", "approve-mode", "config")]
        assert not set(FORBIDDEN) & set(command(desk(), "/config", *lines, around=around).screen)


def test_a_slip_of_the_finger_is_never_led_to_the_loosest_mode() -> None:
    mode, *_ = approving()
    screen = command(desk(), "/approve-mode al", "/approve-mode nun", around=Around(approving=mode))
    assert "did you mean all" not in screen.screen
    assert "did you mean none?" in screen.screen
    assert mode.mode == "ask"


@pytest.mark.parametrize("columns", [24, 40, 80])
def test_the_rules_in_force_are_broken_between_words(columns: int) -> None:
    lines = [
        "  ask   flow  tools with the label egress",
        "        private data and strangers' data",
    ]
    with sized(columns, 24) as (out, screen):
        command(desk(), "/policy", around=Around(rules=lambda: lines), out=out)
    shown = screen.getvalue().replace("\r", "").splitlines()
    assert max(map(len, shown)) < columns
    assert " ".join(" ".join(shown).split()) == " ".join(" ".join(lines).split())
