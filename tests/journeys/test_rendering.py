"""What a person sees of an answer, in a real terminal of each size, whatever it can do."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.ptys import Terminal
from tests.fakes.screens import HOSTILE
from tests.journeys.stage import call, stage

ANSWER = """# Found

Order **12345** was shipped with [DHL](https://dhl.example/track?id=DE4839201&a=b).

| item | price | 日本語 |
|---|--:|---|
| Desk ⚠️ | 250.00 | 机 and words that are too many for a narrow screen |

1. open
1. read
   - twice

```python
def refund(order: str) -> None:
    \"\"\"Pay back,
    def and all.\"\"\"
```

> quoted
"""
Run = Callable[..., Terminal]


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    def start(*turns: dict[str, object], **more: object) -> Terminal:
        stage(tmp_path, *turns)
        terminal = Terminal("run", "--trust", "Go on.", cwd=tmp_path, **more)  # type: ignore[arg-type]
        request.addfinalizer(lambda: terminal.__exit__(None, None, None))
        return terminal

    return start


def bare(terminal: Terminal) -> str:
    return "".join(terminal.text.split())


@pytest.mark.parametrize("columns", [120, 80, 40, 20])
def test_an_answer_is_whole_on_every_screen(run: Run, columns: int) -> None:
    terminal = run({"call": call("look", order="1")}, {"say": ANSWER}, columns=columns)
    assert terminal.exit_status() == 0
    shown = bare(terminal)
    for part in (
        "✓shop·look",
        "https://dhl.example/track?id=DE4839201&a=b",
        "1open2read•twice",
        "defrefund",
        '"""Payback,',
        "quoted",
        "机",
    ):
        assert part in shown, part
    assert max(map(len, terminal.text.splitlines())) <= columns
    assert "**" not in terminal.text


def test_colours_are_the_sixteen_and_none_where_they_are_not_wanted(run: Run) -> None:
    terminal = run({"say": ANSWER})
    assert terminal.exit_status() == 0
    assert b"\x1b[35mdef" in terminal.raw
    assert b"\x1b[38;" not in terminal.raw
    assert b"\x1b[48;" not in terminal.raw
    plain = run({"say": ANSWER}, environ={"NO_COLOR": "1"})
    assert plain.exit_status() == 0
    assert not re.search(rb"\x1b\[[0-9;]*m", plain.raw)
    assert plain.text.strip().endswith(terminal.text[terminal.text.index("Found") :].strip())


def test_a_light_screen_has_colours_of_its_own(run: Run, tmp_path: Path) -> None:
    terminal = run({"say": ANSWER}, environ={"COLORFGBG": "0;15"})
    assert terminal.exit_status() == 0
    assert b"\x1b[1;34mrefund" in terminal.raw
    file = tmp_path / "config" / "agent-host" / "terminal.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('theme = "dark"\n')
    terminal = run({"say": ANSWER}, environ={"COLORFGBG": "0;15"})
    assert terminal.exit_status() == 0
    assert b"\x1b[1;94mrefund" in terminal.raw


@pytest.mark.parametrize("how", ["dumb", "still"])
def test_without_movement_there_is_none(run: Run, tmp_path: Path, how: str) -> None:
    file = tmp_path / "config" / "agent-host" / "terminal.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"spinner = {'false' if how == 'still' else 'true'}\n")
    environ = {"TERM": "dumb"} if how == "dumb" else {"NO_COLOR": "1"}
    terminal = run({"call": call("look", order="1")}, {"say": ANSWER}, environ=environ)
    assert terminal.exit_status() == 0
    assert b"\x1b" not in terminal.raw
    text = terminal.text
    assert text.index("asking") < text.index("→ shop · look") < text.index("← shop · look")
    assert not re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", text)


def test_what_is_wrong_with_the_file_of_preferences_is_said(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "config" / "agent-host" / "terminal.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('\ntheme = "pink"\n')
    terminal = run({"say": "Hi."})
    assert terminal.exit_status() == 2
    assert "terminal.toml:2" in bare(terminal).replace("\n", "")


def test_a_screen_that_is_made_smaller_while_it_works_is_used_as_it_is(run: Run) -> None:
    terminal = run({"say": "I wait.", "call": call("wait", why="x" * 60)})
    terminal.wait("shop · wait")
    for columns in (40, 20, 100):
        terminal.resize(columns, 24)
        terminal.wait("1 s" if columns == 40 else "shop · wait")
    terminal.keys("\x03")
    assert terminal.exit_status() == 130
    last = terminal.text.rstrip().splitlines()[-6:]
    assert not any(re.match("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] shop", line) for line in last)


def test_hostile_words_neither_move_nor_name_anything(run: Run) -> None:
    words = "\n\n".join(text.encode("utf-8", "replace").decode() for text in HOSTILE)
    terminal = run({"reasoning": words, "say": words, "call": call("rude")}, {"say": words})
    assert terminal.exit_status() == 0
    ours = rb"\x1b\[(?:[0-9;]*m|2?K|B|[1-7]?A)"
    left = re.sub(ours, b"", terminal.raw.replace(b"\x1b[31mred", b"!caught!"))
    assert b"!caught!" not in left
    assert b"\x1b" not in left
    for sign in ("\x9b", "\x9d", "\x07", "\u202e", "\u200b", "\U000e0041"):
        assert sign.encode() not in left
