"""The status line: which model, what it took, what is not well. Pure.

Theory of operation: parts in a fixed order, each with the words for a wide screen and for a narrow
one. Where they do not fit, the parts that matter least are first shortened, then left out; the
model stays to the end. What is not known (a price, a window) is said or absent, never guessed.
"""

from dataclasses import dataclass

from agent_host.core.conversation import Conversation
from agent_host.core.money import shown_cost
from agent_host.core.text import clean_line
from agent_host.surfaces.cells import fit, width_of

_BETWEEN = " · "
_NAMES = 3
_CHARACTERS = 4
"""Of a token, about: for what no answer has counted yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusState:
    """What the line tells. `window` and `context` in tokens, 0: not known; `cost` as words, empty
    if nothing was spent; `unwell` names the servers that do not serve; `mode` is how calls are
    approved, empty for the usual; `asking`: a question waits until the user looks."""

    model: str
    simulated: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    context: int = 0
    window: int = 0
    cost: str = ""
    unwell: tuple[str, ...] = ()
    queued: int = 0
    mode: str = ""
    asking: bool = False


def state_of(conversation: Conversation, window: int = 0) -> StatusState:
    """Return what a conversation says of itself; the caller adds the rest by `replace`. The
    context in use is what the last answer read and wrote, and about what came after it."""
    origin, usage = conversation.origin, conversation.usage
    simulated = conversation.simulated
    counted = conversation.answers and not simulated
    cost = shown_cost(conversation.cost, conversation.unpriced, conversation.answers)
    return StatusState(
        model=origin.adapter if simulated else origin.model or origin.provider,
        simulated=simulated,
        tokens_in=usage.input_tokens,
        tokens_out=usage.output_tokens,
        context=conversation.counted + conversation.uncounted // _CHARACTERS,
        window=window,
        cost=cost if counted else "",
    )


def short(tokens: int) -> str:
    """Return a number of tokens in at most four characters: `950`, `1.2k`, `34k`, `1.2M`."""
    if tokens < 1000:
        return str(max(tokens, 0))
    for unit, size in (("k", 1000), ("M", 1_000_000)):
        if tokens < 999.5 * size:
            value = tokens / size
            return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"
    return f"{tokens / 1_000_000_000:.1f}G"


def status_line(state: StatusState, width: int) -> str:
    """Return the line, clean, of at most `width` cells."""
    parts = _parts(state)
    # The longest form that fits: first the least important are shortened, then they go.
    order = sorted(range(len(parts)), key=lambda place: parts[place][0])
    forms = [long for _, long, _ in parts]
    for place in order:
        if _size(forms) <= width:
            break
        forms[place] = parts[place][2]
    for place in order[:-1]:
        if _size(forms) <= width:
            break
        forms[place] = ""
    return fit(_joined(forms), width)


def _joined(forms: list[str]) -> str:
    return _BETWEEN.join(filter(None, forms))


def _size(forms: list[str]) -> int:
    return width_of(_joined(forms))


def _parts(state: StatusState) -> list[tuple[int, str, str]]:
    """How much each part matters, its words, and its words where there is little room."""
    model = clean_line(state.model, 60) + (" (no AI)" if state.simulated else "")
    parts = [(10, model, fit(model, 18))]
    if state.asking:
        said = "a server asks something: Enter in an empty line shows it"
        parts.insert(0, (11, said, "Enter: a server asks"))
    if state.mode:
        mode = clean_line(state.mode, 40)
        parts.append((8, f"approve: {mode}", mode))
    if state.queued:
        parts.append((7, f"{state.queued} queued", f"{state.queued}q"))
    if state.unwell:
        parts.append((9, f"not well: {_names(state.unwell)}", f"! {len(state.unwell)}"))
    if state.window and state.context:
        share = min(100 * state.context / state.window, 999)
        parts.append((6, f"{share:.0f}% of {short(state.window)} context", f"{share:.0f}%"))
    if state.cost:
        parts.append((5, state.cost, state.cost))
    if state.tokens_in or state.tokens_out:
        wide = f"{state.tokens_in:,} tokens in, {state.tokens_out:,} out"
        narrow = f"{short(state.tokens_in)}↑ {short(state.tokens_out)}↓"
        parts.append((4, wide, narrow))
    return parts


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(clean_line(name, 24) for name in names[:_NAMES])
    more = len(names) - _NAMES
    return f"{shown} and {more} more" if more > 0 else shown
