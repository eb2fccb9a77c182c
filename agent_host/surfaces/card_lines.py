"""A card as lines of a screen.

Theory of operation: a call that went well takes one line, of which the result gives way first, then
the arguments; on a narrow screen the result has a line of its own. What failed, and what is only
said, is never cut: it goes on in the next line, a little to the right. Pure: lines are pieces with
the names of styles, each no wider than the width. All of a call can be seen by its number.
"""

from agent_host.surfaces.cells import Line, fit, fit_line, plain, rows, width_of
from agent_host.surfaces.notices import Card, Finished, Kind
from agent_host.surfaces.prose import level

MARKS: dict[Kind, str] = {"call": "→", "result": "✓", "failure": "✗", "notice": "·"}
STYLES: dict[Kind, str] = {"call": "cyan", "result": "green", "failure": "red", "notice": "yellow"}
_NARROW = 60
_LEAST = 16
"""Cells without which a result is not worth having."""


def card_lines(card: Card, width: int) -> list[Line]:
    """Return the lines of a card."""
    width = max(width, 8)
    mark = (STYLES[card.kind], MARKS[card.kind])
    number = f"#{card.number} " if card.number else ""
    done = card.finished
    if done is not None and card.kind == "result":
        return _result(mark, number, done, width)
    text = card.text if done is None else _failed(done)
    first, *more = rows(level(f"{number}{text}"), width - 2) if text else [number]
    style = STYLES[card.kind]
    lines: list[Line] = [[mark, (style, f" {first}")]]
    return lines + [[("", "  "), (style, row)] for row in more]


def _failed(done: Finished) -> str:
    kept = f"(whole result: {done.kept})" if done.kept else ""
    parts = [_name(done), done.arguments, done.took, done.what, kept]
    return "  ".join(filter(None, parts))


def _name(done: Finished) -> str:
    return f"{done.title} (edited)" if done.edited else done.title


def _result(mark: tuple[str, str], number: str, done: Finished, width: int) -> list[Line]:
    arguments, what, time = plain(done.arguments), plain(done.what), plain(done.took)
    name = fit(_name(done), width - 2 - width_of(number))
    taken = 2 + width_of(number) + width_of(name) + (width_of(time) + 2 if time else 0)
    own_line = width < _NARROW or width - taken - min(width_of(arguments), 24) < _LEAST + 4
    room = width - taken - (0 if own_line else _LEAST + 2)
    line: Line = [mark, ("dim", f" {number}"), ("", name)]
    if arguments and room >= 6:
        # What the result does not need, the arguments may have.
        free = room if own_line else max(room, width - taken - width_of(what) - 2)
        line.append(("dim", "  " + fit(arguments, min(free, width - taken) - 2)))
    if time:
        line.append(("dim", f"  {time}"))
    kept = [[("dim", fit(f"  whole result: {done.kept}", width))]] if done.kept else []
    if own_line:
        return [fit_line(line, width), [("", "  "), ("", fit(what, width - 2))], *kept]
    return [fit_line([*line, ("", f"  {what}")], width), *kept]
