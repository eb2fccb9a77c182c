import asyncio
import subprocess
import sys
from functools import partial

from agent_host.core.events import (
    ModelFailed,
    ModelResponded,
    PolicyDecided,
    RunEnded,
    ServerLog,
    TextDelta,
    ToolProgress,
)
from agent_host.core.types import ToolCall
from agent_host.surfaces.plain import PlainText
from tests.fakes.screens import FORBIDDEN, HOSTILE, Screen, outlet, record, says
from tests.fakes.work import calls

CALL = ToolCall(id="c1", name="orders__get", arguments={})


def surface(*, tty: bool = False) -> tuple[PlainText, Screen, Screen]:
    answer, out = outlet(tty=tty, NO_COLOR="1")
    notes, err = outlet(tty=tty, NO_COLOR="1")
    return PlainText(answer=answer, notes=notes), out, err


def responded(text: str, *calls: ToolCall) -> ModelResponded:
    stop = "tool_use" if calls else "end_turn"
    return ModelResponded(request_id="r", message=says(text, *calls), stop_reason=stop)


def test_a_pipe_gets_the_answer_alone() -> None:
    sink, out, err = surface()
    sink.emit(TextDelta(text="I will "))
    sink.emit(TextDelta(text="look."))
    sink.emit(record(responded("I will look.", CALL)))
    sink.emit(record(PolicyDecided(call_id="c1", decision="deny", rule="none")))
    sink.emit(TextDelta(text="It is shipped."))
    sink.emit(record(responded("It is shipped.")))
    sink.emit(record(RunEnded(reason="done")))
    sink.close()
    assert out.getvalue() == "It is shipped.\n"
    assert err.getvalue() == "I will look.\n✗ orders__get  denied by policy, rule none\n"


def test_a_run_that_ends_without_an_answer_leaves_stdout_empty() -> None:
    sink, out, err = surface()
    sink.emit(TextDelta(text="half an ans"))
    sink.emit(record(ModelFailed(request_id="r", kind="timeout", message="no reply")))
    sink.close()
    assert out.getvalue() == ""
    assert err.getvalue() == "✗ model: timeout: no reply\n"


def test_a_terminal_sees_the_text_as_it_comes_and_once() -> None:
    sink, out, err = surface(tty=True)

    async def stream() -> list[str]:
        seen = []
        for text in ("It ", "is ", "shipped."):
            sink.emit(TextDelta(text=text))
            await asyncio.sleep(0)
            seen.append(out.getvalue())
        return seen

    assert asyncio.run(stream()) == ["It ", "It is ", "It is shipped."]
    sink.emit(record(responded("It is shipped.")))
    assert out.getvalue() == "It is shipped.\n"
    assert err.getvalue() == ""


def test_the_deltas_of_one_tick_are_one_write() -> None:
    writes: list[str] = []
    answer, out = outlet(tty=True)
    out.write = lambda text: writes.append(text) or len(text)  # type: ignore[method-assign]
    sink = PlainText(answer=answer, notes=outlet()[0])

    async def stream() -> None:
        for _ in range(500):
            sink.emit(TextDelta(text="word "))
        await asyncio.sleep(0)

    asyncio.run(stream())
    assert writes == ["word " * 500]


def test_a_card_starts_on_a_line_of_its_own() -> None:
    sink, out, _ = surface(tty=True)
    sink.emit(TextDelta(text="I will look."))
    sink.emit(ServerLog(server="orders", level="warning", text="slow"))
    assert out.getvalue() == "I will look.\n"


def test_an_adapter_that_does_not_stream_is_shown_too() -> None:
    sink, out, _ = surface(tty=True)
    sink.emit(record(responded("Whole.")))
    assert out.getvalue() == "Whole.\n"


def test_what_is_ephemeral_and_of_no_use_in_text_is_left_out() -> None:
    sink, out, err = surface()
    sink.emit(ToolProgress(call_id="c1", progress=1.0, message="half"))
    sink.emit(ServerLog(server="orders", level="debug", text="noise"))
    assert out.getvalue() + err.getvalue() == ""


def test_no_hostile_text_reaches_either_stream() -> None:
    for tty in (False, True):
        sink, out, err = surface(tty=tty)
        for text in HOSTILE:
            for character in text:
                sink.emit(TextDelta(text=character))
            sink.emit(record(responded(text, CALL)))
            sink.emit(record(responded(text)))
            sink.emit(ServerLog(server=text, level="error", text=text))
        sink.close()
        assert not set(FORBIDDEN) & set(out.getvalue() + err.getvalue())


def test_twenty_thousand_tokens_cost_next_to_nothing() -> None:
    for tty in (False, True):
        sink, out, _ = surface(tty=tty)

        async def stream(sink: PlainText = sink) -> None:
            for n in range(20_000):
                sink.emit(TextDelta(text="token "))
                if n % 10 == 0:
                    await asyncio.sleep(0)

        assert calls(partial(asyncio.run, stream())) < 20_000 * 30
        sink.emit(record(responded("token " * 20_000)))
        assert out.getvalue() == "token " * 20_000 + "\n"


def test_no_screen_library_is_loaded_for_a_pipe() -> None:
    code = (
        "import sys; import agent_host.surfaces.plain, agent_host.surfaces.jsonl;"
        "import agent_host.surfaces.approval;"
        "print({'rich', 'prompt_toolkit', 'pydantic', 'mcp', 'markdown_it'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
