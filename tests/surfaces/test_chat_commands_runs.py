from agent_host.core.types import ToolResult
from agent_host.surfaces.chat_around import Around, RunInfo
from tests.fakes.screens import FORBIDDEN, HOSTILE, sized
from tests.fakes.typists import typist
from tests.surfaces.commanding import Exports, Runs, command
from tests.surfaces.test_chat import desk, said

RUNS = (
    RunInfo(run_id="here", when="2026-11-22T10:00:00Z", title="this one"),
    RunInfo(run_id="refund-run", when="2026-11-21T10:00:00Z", title="a refund", about="3 answers"),
    RunInfo(run_id="other-run", when="2026-11-20T10:00:00Z", title="the weather"),
)


# -- back ----------------------------------------------------------------------------------


def test_the_last_message_is_taken_back_and_offered_for_editing() -> None:
    host = desk([], ["read", "pay"], [])
    seen = command(host, "one", "two", "/undo")
    assert said(host) == ["one"]
    assert seen.commands.take_draft() == "two"
    assert seen.commands.take_draft() == ""
    assert "taken back: 4 messages, from\n│ two" in seen.screen
    assert "NOT undone; these ran:" in seen.screen
    assert "w · read (reads only)" in seen.screen
    assert "w · pay" in seen.screen


def test_several_messages_are_taken_back_and_more_than_there_are_is_refused() -> None:
    host = desk([], [], [])
    seen = command(host, "one", "two", "three", "/undo 2", "/undo 2", "/undo x", "/undo 0")
    assert said(host) == ["one"]
    assert seen.commands.take_draft() == "two"
    assert seen.screen.count("your messages so far: 1") == 3
    assert "NOT undone" not in seen.screen


def test_there_may_be_nothing_to_take_back() -> None:
    assert "nothing to take back" in command(desk(), "/undo").screen


def test_a_call_that_was_refused_is_not_among_those_that_ran() -> None:
    host = desk(["never", "read"], [])
    seen = command(host, "one", "/undo")
    assert "w · read" in seen.screen
    assert "w · never" not in seen.screen


def test_a_call_whose_outcome_nobody_knows_is_among_those_that_ran() -> None:
    host = desk(["pay"], [])
    lost = ToolResult(call_id="c0.0", content=(), error="outcome_unknown")
    host.pool.results["pay"] = lost
    assert "w · pay" in command(host, "one", "/undo").screen


# -- other runs ----------------------------------------------------------------------------


def test_a_fork_is_made_from_here_or_before_a_message_and_the_chat_goes_on_in_it() -> None:
    for line, place in (("/fork", None), ("/fork 2", 2), ("/fork 1", 0)):
        runs = Runs()
        seen = command(desk([], []), "one", "two", line, around=Around(runs=runs))
        assert runs.forked == [place]
        assert seen.commands.outcome.onward == ("--resume", "the-fork")
        assert seen.commands.leaving


def test_a_fork_from_no_message_shows_the_messages_and_stays() -> None:
    for line in ("/fork 3", "/fork x", "/fork 0"):
        runs = Runs()
        seen = command(desk([], []), "one", "two", line, around=Around(runs=runs))
        assert "1  one" in seen.screen
        assert "2  two" in seen.screen
        assert not runs.forked
        assert not seen.commands.leaving


def test_a_run_is_chosen_by_number_and_never_the_one_of_the_chat() -> None:
    runs = Runs(RUNS)
    seen = command(desk(), "/resume", asker=typist("1"), around=Around(runs=runs))
    assert " 1  2026-11-21 10:00  a refund  3 answers" in seen.screen
    assert "this one" not in seen.screen
    assert seen.commands.outcome.onward == ("--resume", "refund-run")


def test_a_run_that_nobody_could_go_on_with_does_not_end_this_one() -> None:
    runs = Runs(RUNS, in_use=["refund-run"])
    seen = command(desk(), "/resume", asker=typist("1"), around=Around(runs=runs))
    assert "refund-run is in use" in seen.screen
    assert not seen.commands.leaving


def test_words_search_the_runs_until_a_number_or_nothing_is_typed() -> None:
    runs = Runs(RUNS)
    seen = command(
        desk(), "/resume weather", asker=typist("refund", "zebra", ""), around=Around(runs=runs)
    )
    assert runs.asked == ["weather", "refund", "zebra"]
    assert "no other run that speaks of 'zebra'" in seen.screen
    assert "goes on here" in seen.screen
    assert not seen.commands.leaving
    seen = command(desk(), "/resume", around=Around(runs=Runs()))
    assert "no other run in this folder" in seen.screen


def test_what_goes_wrong_with_other_runs_is_said_and_the_chat_stays() -> None:
    runs = Runs(broken="the folder is gone")
    seen = command(desk([]), "one", "/resume", "/fork", around=Around(runs=runs))
    assert seen.screen.count("the folder is gone") == 2
    assert not seen.commands.leaving
    seen = command(desk([]), "/resume", "/fork", "/export")
    assert seen.screen.count("agent-host") == 3


def test_an_empty_conversation_begins_in_a_new_run() -> None:
    seen = command(desk(), "/clear", around=Around(runs=Runs()))
    assert seen.commands.leaving
    assert seen.commands.outcome.onward == ()
    assert "this run here stays recorded" in seen.screen
    assert command(desk(), "/quit").commands.outcome.onward is None


# -- export --------------------------------------------------------------------------------


def test_a_run_is_exported_in_the_usual_format_or_another() -> None:
    exports = Exports()
    seen = command(
        desk(), "/export", "/export html", "/export html my report.html", "/export pdf",
        "/export our report.html",
        around=Around(export=exports),
    )  # fmt: skip
    assert exports.written == [
        ("markdown", "run.markdown"),
        ("html", "run.html"),
        ("html", "my report.html"),
        ("html", "our report.html"),
    ]
    assert "wrote my report.html" in seen.screen
    assert "there is no format 'pdf'; there is markdown, html" in seen.screen


def test_a_file_that_is_there_is_written_over_only_after_a_yes() -> None:
    for typed, written in (("y", 1), ("", 0), ("n", 0)):
        exports = Exports(there=["run.markdown"])
        asker = typist(typed)
        seen = command(desk(), "/export", asker=asker, around=Around(export=exports))
        assert len(exports.written) == written
        assert ("nothing was written" in seen.screen) is not bool(written)
        assert asker.asked == ["run.markdown is there; write over it? [y/N] "]
    exports = Exports(there=["run.markdown"])
    command(desk(), "/export", around=Around(export=exports))
    assert not exports.written


def test_an_export_that_fails_says_why() -> None:
    seen = command(desk(), "/export html /full", around=Around(export=Exports()))
    assert "the disk is full" in seen.screen


def test_nothing_hostile_of_other_runs_gets_onto_a_narrow_screen() -> None:
    for text in HOSTILE:
        runs = Runs([RunInfo(run_id=text, when=text, title=text, about=text)])
        with sized(40, 24, NO_COLOR="1") as (out, screen):
            command(
                desk([], []), text.replace("/", ""), "two", "/resume", "/fork 9", "/undo 2",
                around=Around(runs=runs), out=out,
            )  # fmt: skip
            shown = screen.getvalue()
        assert not set(FORBIDDEN) & set(shown)
        assert max(map(len, shown.splitlines())) <= 40


def test_a_run_is_picked_from_a_list_where_one_can_be_drawn() -> None:
    asked = []

    async def pick(words: str) -> RunInfo | None:
        asked.append(words)
        return RUNS[0] if words else None

    around = Around(runs=Runs(RUNS), pick=pick)
    seen = command(desk(), "/resume", around=around)
    assert "the chat goes on here" in seen.screen
    assert not seen.commands.leaving
    seen = command(desk(), "/resume refund", around=around)
    assert seen.commands.outcome.onward == ("--resume", RUNS[0].run_id)
    assert asked == ["", "refund"]
    around = Around(runs=Runs(RUNS, in_use=[RUNS[0].run_id]), pick=pick)
    seen = command(desk(), "/resume refund", around=around)
    assert "is in use" in seen.screen
    assert not seen.commands.leaving
