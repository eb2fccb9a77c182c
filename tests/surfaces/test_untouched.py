"""What servers and models send, on a real screen: nothing that stands there is moved or covered."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.events import ServerLog, TextDelta, ToolFinished, ToolProgress, ToolStarted
from agent_host.core.types import Text, ToolCall, ToolResult
from agent_host.surfaces.terminal import TerminalText
from tests.fakes.screens import HOSTILE, record, says, sized
from tests.surfaces.commanding import command
from tests.surfaces.test_chat import desk
from tests.surfaces.test_terminal import Watched, responded

ACTS = ("\x1b[H", "\x1b[3A", "\x1b[2K", "\x1b[?1049h", "\x1bc", "\x1b[8m", "\x9b2J", "\x1b]2;t\x07")
SENT = st.lists(st.sampled_from([*HOSTILE, *ACTS, "\r", "e\u0301" * 40, "漢字" * 30]), max_size=6)


def screen_of(text: str, width: int) -> Watched:
    seen = Watched(width, 24)
    seen.feed(text)
    assert seen.title == ""
    assert seen.cursor_column == 0
    return seen


@settings(deadline=None, max_examples=80)
@given(SENT, st.sampled_from([20, 40, 80]))
def test_what_stood_there_before_and_what_comes_after_are_both_seen(
    sent: list[str], width: int
) -> None:
    text = "".join(sent)
    call = ToolCall(id="c1", name="shop__look", arguments={"a": text})
    with sized(width, 24) as (out, written):
        sink = TerminalText(answer=out, notes=out)
        out.write("ABOVE\n")
        sink.emit(TextDelta(text=text))
        sink.emit(record(responded(text, call)))
        started = ToolStarted(
            call_id="c1", server=text or "s", tool=text or "t", fingerprint="f", arguments={}
        )
        sink.emit(record(started))
        sink.emit(ToolProgress(call_id="c1", progress=1, message=text))
        result = ToolResult(call_id="c1", content=(Text(text=text),))
        sink.emit(record(ToolFinished(result=result)))
        sink.emit(ServerLog(server="s", level="error", text=text))
        sink.close()
        out.end_line()
        out.write("BELOW\n")
        lines = screen_of(written.getvalue(), width).lines
    assert lines[0] == "ABOVE"
    assert [line for line in lines if line][-1] == "BELOW"


@pytest.mark.parametrize("width", [20, 40, 80])
@pytest.mark.parametrize("sent", [*HOSTILE, *ACTS])
def test_a_command_that_shows_what_a_model_sent_stays_between_its_margins(
    sent: str, width: int
) -> None:
    host = desk([says("x", ToolCall(id="c1", name=f"a{sent}", arguments={"k": sent})), says(sent)])
    with sized(width, 24) as (out, written):
        out.write("ABOVE\n")
        command(host, "hello", "/show", "/show 1", f"/{sent}", f"/help {sent}", out=out)
        out.write("BELOW\n")
        lines = screen_of(written.getvalue(), width).lines
    assert lines[0] == "ABOVE"
    assert [line for line in lines if line][-1] == "BELOW"
