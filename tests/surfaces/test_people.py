from agent_host.surfaces.approval import ApprovalMode, FixedApprover, TerminalApprover
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.people import People, at_terminal, make_people
from agent_host.surfaces.respondent import DeferringRespondent, TerminalRespondent
from tests.fakes.screens import Screen, outlet
from tests.fakes.typists import typist


def people(mode: ApprovalMode, screen: Outlet) -> People:
    return make_people(
        mode,
        by="ann",
        screen=screen,
        hold=(),
        sign="7f3a",
        browser=None,
        interrupt=lambda: None,
    )


def test_nobody_is_asked_where_there_is_no_terminal() -> None:
    modes: tuple[ApprovalMode, ...] = ("ask", "all", "none", "policy")
    for mode in modes:
        made = people(mode, outlet(tty=False)[0])
        assert isinstance(made.approver, FixedApprover)
        assert made.respondent is None
        assert not made.cancel()
        made.meet(lambda _: None, lambda _: "")


def test_nobody_is_asked_at_a_terminal_either_if_that_is_the_mode() -> None:
    modes: tuple[ApprovalMode, ...] = ("none", "policy")
    for mode in modes:
        assert people(mode, Outlet(Screen(tty=True), {})).respondent is None


def test_what_can_wait_waits_if_that_is_the_mode() -> None:
    assert isinstance(people("defer", outlet()[0]).respondent, DeferringRespondent)


def test_at_a_terminal_forms_are_asked_for_whatever_happens_to_calls() -> None:
    screen = outlet(tty=True)[0]
    modes: tuple[ApprovalMode, ...] = ("ask", "all", "none", "policy")
    for mode in modes:
        made = at_terminal(mode, typist(), by="ann", screen=screen, hold=(), sign="", browser=None)
        assert isinstance(made.respondent, TerminalRespondent)
        assert isinstance(made.approver, TerminalApprover) is (mode == "ask")
        made.meet(lambda _: None, lambda call: f"call {call}")
        assert made.respondent.about("c1") == "call c1"
