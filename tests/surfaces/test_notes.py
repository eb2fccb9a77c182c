from agent_host.core.events import Interrupted, ServerLog, TextDelta
from agent_host.surfaces.notes import Notes
from tests.fakes.screens import FORBIDDEN, HOSTILE, outlet, record


def test_facts_and_warnings_are_noted_and_the_answer_is_not() -> None:
    out, screen = outlet()
    notes = Notes(out)
    notes.emit(record(Interrupted(by="ann")))
    notes.emit(TextDelta(text="the answer"))
    notes.emit(ServerLog(server="orders", level="error", text="slow"))
    assert screen.getvalue() == "· interrupted\n· server orders: slow\n"


def test_no_hostile_text_gets_into_a_note() -> None:
    out, screen = outlet(tty=True, NO_COLOR="1")
    notes = Notes(out)
    for text in HOSTILE:
        notes.emit(ServerLog(server=text, level="error", text=text))
    assert not set(FORBIDDEN) & set(screen.getvalue())
