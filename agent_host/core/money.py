"""Money in words: what is not known is said, and never counts as nothing."""


def shown_cost(cost: float, unpriced: int = 0, answers: int = 1) -> str:
    """Return US dollars for people. `unpriced`: how many of the `answers` have no known price."""
    if unpriced and (unpriced >= answers or not cost):
        return "cost unknown"
    text = f"${cost:.{4 if cost < 1 else 2}f}"
    return f"{text} and {unpriced} of unknown cost" if unpriced else text
