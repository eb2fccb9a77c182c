"""Both sides of the bench do the same work on each wire."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"
WIRES = ("openai-chat", "openai-responses", "anthropic")


@pytest.fixture
def scenarios(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    known: dict[str, ModuleType] = dict(sys.modules)
    import scenarios  # type: ignore[import-not-found,unused-ignore]

    yield scenarios
    for name in set(sys.modules) - set(known):
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCH)):
            del sys.modules[name]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("side", ["ours", "baseline"])
def test_two_rounds_of_two_calls_and_a_text_are_played_to_their_end(
    side: str, wire: str, scenarios: Any, tmp_path: Path
) -> None:
    with scenarios.Model() as model:
        one = scenarios.Side(side, tmp_path / side, model)
        plan = scenarios.plan(2, 5, calls=2)
        busy = tmp_path / "busy"
        outcome, asked = one.run(plan, [scenarios.server("--busy", str(busy))], wire=wire)
    assert outcome.output.split() == ["word0", "word1", "word2", "word3", "word4"]
    assert len(asked) == 3
    assert asked[0].came < asked[0].left < asked[1].came < asked[2].came
    assert float(busy.read_text()) > 0


@pytest.mark.parametrize("wire", WIRES)
def test_a_server_that_lacks_the_planned_tool_is_an_error_and_no_endless_run(
    wire: str, scenarios: Any, tmp_path: Path
) -> None:
    with scenarios.Model() as model:
        one = scenarios.Side("ours", tmp_path / "ours", model)
        with pytest.raises(RuntimeError, match="the plan does not fit"):
            one.run(scenarios.plan(1, tool="nothing"), [scenarios.server()], wire=wire)


def test_every_wire_has_its_rows_and_its_bars(scenarios: Any) -> None:
    import run  # type: ignore[import-not-found,unused-ignore]

    titles = {row.title for row in run.ROWS}
    slow = {row.key: 1000.0 for row in run.ROWS} | {
        scenarios.on("conversations", wire): 1.0 for wire in WIRES
    }
    slow |= {scenarios.on("round_last", wire): 2000.0 for wire in WIRES}
    missed = {row.key for row in run.ROWS if row.bar(slow, {})[1] is False}
    for wire in WIRES:
        assert f"a round, first 20 of 200 ({wire})" in titles
        for key in ("round_first", "round_last", "tokens", "conversations"):
            assert scenarios.on(key, wire) in missed
