from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.core.conversation import fold
from agent_host.core.events import ModelRequested, ModelResponded, RunStarted, UserSaid
from agent_host.core.types import Message, Principal, Text, Usage
from agent_host.surfaces.cells import width_of
from agent_host.surfaces.status import StatusState, short, state_of, status_line
from tests.fakes.screens import FORBIDDEN, HOSTILE, says

FULL = StatusState(
    model="claude-sonnet-5",
    tokens_in=123_456,
    tokens_out=7_890,
    context=68_000,
    window=200_000,
    cost="$0.4210",
    unwell=("crm", "mill"),
    queued=2,
    mode="all",
)


def test_a_wide_screen_gets_everything_in_words() -> None:
    assert status_line(FULL, 160) == (
        "claude-sonnet-5 · approve: all · 2 queued · not well: crm, mill · "
        "34% of 200k context · $0.4210 · 123,456 tokens in, 7,890 out"
    )


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (80, "claude-sonnet-5 · all · 2q · not well: crm, mill · 34% · $0.4210 · 123k↑ 7.9k↓"),
        (40, "claude-sonnet-5 · all · 2q · ! 2 · 34%"),
        (20, "claude-sonnet-5 · ! …"),
    ],
)
def test_a_narrow_one_what_matters_most(width: int, line: str) -> None:
    shown = status_line(FULL, width)
    assert width_of(shown) <= width
    assert shown == line or width == 20


def test_what_is_not_known_is_absent_or_said() -> None:
    assert status_line(StatusState(model="m"), 80) == "m"
    assert "context" not in status_line(replace(FULL, window=0), 160)
    assert "cost unknown" in status_line(replace(FULL, cost="cost unknown"), 160)
    assert status_line(StatusState(model="script", simulated=True), 80) == "script (no AI)"


def test_a_question_of_a_server_comes_first() -> None:
    line = status_line(replace(FULL, asking=True), 60)
    assert line.startswith(("a server asks something: Enter", "Enter: a server asks"))


def test_a_flood_of_sick_servers_is_counted() -> None:
    line = status_line(StatusState(model="m", unwell=tuple(f"s{n}" for n in range(50))), 80)
    assert line == "m · not well: s0, s1, s2 and 47 more"


@given(st.sampled_from(HOSTILE) | st.text(), st.integers(1, 130))
def test_no_name_does_anything_to_the_line(text: str, width: int) -> None:
    state = replace(FULL, model=text, unwell=(text, text), mode=text, asking=True)
    line = status_line(state, width)
    assert width_of(line) <= width
    assert not set(FORBIDDEN + "\n") & set(line)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [(-1, "0"), (0, "0"), (999, "999"), (1000, "1.0k"), (9_949, "9.9k"), (9_950, "10k"),
     (34_400, "34k"), (999_400, "999k"), (999_600, "1.0M"), (2_000_000_000, "2.0G")],
)  # fmt: skip
def test_numbers_of_tokens_are_short(tokens: int, said: str) -> None:
    assert short(tokens) == said


def test_a_conversation_says_what_it_took_and_what_its_last_answer_read() -> None:
    started = RunStarted(
        run_id="r", principal=Principal(id="a"), provider="p", model="m", adapter="openai-chat"
    )
    said = UserSaid(message=Message(role="user", content=(Text(text="hi"),)))
    asked = ModelRequested(request_id="r", provider="p", model="m")
    answer = ModelResponded(
        request_id="r",
        message=says("ho"),
        stop_reason="end_turn",
        usage=Usage(input_tokens=100, output_tokens=20),
        cost=0.5,
    )
    state = state_of(fold([started, said, asked, answer]), 1000)
    assert (state.model, state.tokens_in, state.tokens_out) == ("m", 100, 20)
    assert state.cost == "$0.5000"
    assert (state.context, state.window) == (120, 1000)
