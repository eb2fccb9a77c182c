"""The steps of a diagnosis: each named, timed, with what it found and what to do if it failed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent_host.core.text import clean_line

_TEXT = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a step found. `fix`: what to do if it is not `ok`, else what may be worth doing;
    `seconds`: how long it took, where whoever found it knows better than a clock around it."""

    ok: bool = True
    text: str
    fix: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step as it is printed. `seconds` is None for what takes no time."""

    name: str
    ok: bool
    text: str
    seconds: float | None
    fix: str = ""


@dataclass(kw_only=True)
class Diagnosis:
    """The steps so far; the first that fails ends it."""

    steps: list[Step] = field(default_factory=list)

    def step(self, name: str, check: Callable[[], Found]) -> bool:
        """Take a step; return whether it succeeded."""
        start = time.perf_counter()
        found = check()
        took = time.perf_counter() - start if found.seconds is None else found.seconds
        self.add(name, found, took)
        return found.ok

    def add(self, name: str, found: Found, seconds: float | None = None) -> None:
        """Add a step that was taken elsewhere."""
        took = found.seconds if seconds is None else seconds
        self.steps.append(
            Step(name=name, ok=found.ok, text=found.text, seconds=took, fix=found.fix)
        )

    def lines(self) -> list[str]:
        """The steps for people."""
        lines = []
        for step in self.steps:
            mark = "ok    " if step.ok else "FAILED"
            took = "       " if step.seconds is None else f"{step.seconds:5.2f} s"
            lines.append(f"{mark}  {step.name:<10}  {took}  {clean_line(step.text, _TEXT)}")
            if step.fix:
                kind = "note" if step.ok else "fix"
                lines.append(f"        {kind}: {clean_line(step.fix, _TEXT)}")
        return lines
