"""The scorecard of a model: who is examined, what is shown meanwhile, what is written in the end.

Theory of operation: `models.scorecard` asks and judges; this file makes the adapter and its two
twins (another key, another model's name), says beforehand what it will about cost, writes a row as
soon as a check is over, and adds up what was used. The rows go to stdout; what is only of interest
meanwhile goes to stderr. Interrupted, it leaves with what it has found.
"""

import argparse
import asyncio
import json
import os
import sys
import textwrap
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_host.cli.answers import AnswerSchema
from agent_host.cli.facts import known_prices
from agent_host.config.choose import ModelChoice
from agent_host.config.load import Loaded
from agent_host.config.near import nearest
from agent_host.config.secrets import references
from agent_host.config.show import mask, mask_url
from agent_host.core.errors import AgentHostError, ExitStatus, UsageError
from agent_host.core.money import shown_cost
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Usage
from agent_host.host import open_model
from agent_host.models.scorecard import CHECKS, Check, Finding, chosen, examine
from agent_host.models.scorecard_subject import Examination, Subject
from agent_host.models.settings import AdapterSettings
from agent_host.ports import ModelAdapter
from agent_host.records.redact import Redactor
from agent_host.servers.tools.validation import Checker

if TYPE_CHECKING:
    from agent_host.host.models import Change
    from agent_host.prices import Prices

WRONG_KEY = "sk-agent-host-wrong-key"
"""Sent to see that it is refused."""
UNKNOWN_MODEL = "agent-host-no-such-model"
_WIDTH = 80
_SAYS_WHO = ("authorization", "x-api-key", "api-key")
"""Headers that hold a key."""
_ERASE = "\r\x1b[2K"


class _TooDearError(AgentHostError):
    exit_status = ExitStatus.LIMIT


def run(options: argparse.Namespace, loaded: Loaded, choice: ModelChoice) -> int:
    """Examine a model, write its scorecard, and return the exit status. Raises UsageError."""
    checks = chosen(_names(options.only), effort=bool(choice.settings.effort))
    card = _Card(choice=choice, prices=known_prices(loaded), as_json=options.json, checks=checks)
    try:
        asyncio.run(_examined(card, loaded, options))
    except KeyboardInterrupt:
        card.interrupted = True
    finally:
        card.progress.clear()
    card.close()
    return card.status


def _names(only: str) -> list[str]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = [check.name for check in CHECKS]
    for name in names:
        if name not in known:
            raise UsageError(
                f'--only: there is no check "{clean_line(name, 60)}"{nearest(name, known)}'
            )
    return names


async def _examined(card: "_Card", loaded: Loaded, options: argparse.Namespace) -> None:
    card.know(card.choice)
    name = options.name
    async with open_model(loaded, os.environ, name, redactor=card.redactor) as (choice, adapter):
        if adapter.simulated:
            raise UsageError(f"{clean_line(name, 80)} is no AI, so there is nothing to certify")
        await card.prices.ready(adapter.origin)
        card.exam = Examination(subject=_subject(loaded, name, choice, adapter))
        card.begin(loaded.config.limits.max_cost)
        findings = examine(
            card.exam, card.checks, seconds=options.timeout, begins=card.progress.begins
        )
        async for finding in findings:
            card.add(finding)


def _subject(loaded: Loaded, name: str, choice: ModelChoice, adapter: ModelAdapter) -> Subject:
    settings = choice.settings
    profile = getattr(adapter, "profile", choice.profile)
    by_cloud = profile.auth in ("aws", "google")
    by_header = any(header.lower() in _SAYS_WHO for header in settings.headers)
    credential = "the key" if settings.api_key or by_header else ""
    return Subject(
        adapter=adapter,
        profile=profile,
        effort=settings.effort,
        credential="the cloud's credentials" if by_cloud else credential,
        wrong_key=None if by_cloud else partial(_twin, loaded, name, _with_wrong_key),
        unknown_model=partial(_twin, loaded, name, _with_unknown_model),
        problem=_problem,
    )


def _problem(schema: JsonObject, text: str) -> str:
    return AnswerSchema(schema, Checker(schema)).read(text)[1]


@asynccontextmanager
async def _twin(loaded: Loaded, name: str, change: "Change") -> AsyncIterator[ModelAdapter]:
    async with open_model(loaded, os.environ, name, change=change) as (_, adapter):
        yield adapter


def _with_wrong_key(settings: AdapterSettings) -> AdapterSettings:
    headers = {
        name: _wrong(name) if name.lower() in _SAYS_WHO else value
        for name, value in settings.headers.items()
    }
    return replace(settings, api_key=WRONG_KEY, headers=headers)


def _wrong(header: str) -> str:
    return f"Bearer {WRONG_KEY}" if header.lower() == "authorization" else WRONG_KEY


def _with_unknown_model(settings: AdapterSettings) -> AdapterSettings:
    return replace(settings, model=UNKNOWN_MODEL)


class _Progress:
    """What is done now, on one line of a terminal that can take it back."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._number = 0
        self._shown = False
        self._able = sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb")

    def begins(self, check: Check) -> None:
        """Say which check begins."""
        self._number += 1
        if self._able:
            sys.stderr.write(f"{_ERASE}{self._number} of {self._count}: {check.name} ...")
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Take the line back."""
        if self._shown:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
            self._shown = False


@dataclass(kw_only=True)
class _Card:
    """What was found, and how it is written."""

    choice: ModelChoice
    prices: "Prices"
    as_json: bool
    checks: Sequence[Check]
    exam: Examination | None = None
    findings: list[Finding] = field(default_factory=list)
    interrupted: bool = False
    redactor: Redactor = field(default_factory=lambda: Redactor({}))

    def __post_init__(self) -> None:
        self.progress = _Progress(len(self.checks))

    def know(self, choice: ModelChoice) -> None:
        """Let nothing that is written hold a key that stands in the config as it is."""
        held = {"api_key": choice.settings.api_key or "", **choice.settings.headers}
        self.redactor.add({name: text for name, text in held.items() if not references(text)})

    def begin(self, max_cost: float | None) -> None:
        """Say who is asked, and what that will about cost. Raises an error if that is too much."""
        estimate = self._estimate()
        cost = estimate["cost"]
        if max_cost is not None and cost is not None and cost > max_cost:
            raise _TooDearError(
                f"this would cost about {shown_cost(cost)}, and limits.max_cost is {max_cost:g}; "
                "take fewer checks (--only)"
            )
        price = "cost unknown" if cost is None else f"about {shown_cost(cost)}"
        many = "1 request" if estimate["requests"] == 1 else f"{estimate['requests']} requests"
        sys.stderr.write(
            f"agent-host: {many}, about {estimate['input_tokens']:,} tokens in and "
            f"{estimate['output_tokens']:,} out, {price}\n"
        )
        sys.stderr.flush()
        if not self.as_json:
            for line in textwrap.wrap(self._who(), _WIDTH):
                self._write(line)

    def add(self, finding: Finding) -> None:
        """Take one finding, and write its row."""
        finding = self.redactor.value(finding)
        self.findings.append(finding)
        self.progress.clear()
        if not self.as_json:
            for line in rows(finding):
                self._write(line)

    def close(self) -> None:
        """Write what comes last."""
        if self.as_json:
            self._write(json.dumps(self._document(), indent=2))
        elif self.exam is not None:
            self._say_summary()
        if self.interrupted:
            left = len(self.checks) - len(self.findings)
            sys.stderr.write(f"agent-host: interrupted; {left} of the checks are not done\n")

    def _say_summary(self) -> None:
        for line in textwrap.wrap(self._summary(), _WIDTH):
            self._write(line)

    @property
    def status(self) -> ExitStatus:
        """What the process tells its caller."""
        if self.interrupted:
            return ExitStatus.INTERRUPTED
        bad = [finding.check for finding in self.findings if finding.state == "failed"]
        if "reach" in bad:
            return ExitStatus.MODEL_UNAVAILABLE
        return ExitStatus.FAILED if bad else ExitStatus.DONE

    def _who(self) -> str:
        name, settings = self.choice.name, self.choice.settings
        first = "" if "://" in name else f"{clean_line(name, 80)}: "
        where = mask_url(settings.base_url) if settings.base_url else "its adapter's own URL"
        model = clean_line(settings.model or "", 80)
        return f"{first}{model} by {self.choice.adapter} at {clean_line(where, 200)}"

    def _summary(self) -> str:
        states = Counter(finding.state for finding in self.findings)
        notes = "1 note" if states["note"] == 1 else f"{states['note']} notes"
        parts = [*(f"{states[one]} {one}" for one in ("ok", "failed", "not taken")), notes]
        if not self._answers():
            return ", ".join(parts)
        used = self._used()
        return (
            f"{', '.join(parts)}; {self._answers()} answers, {used['input_tokens']:,} tokens in "
            f"and {used['output_tokens']:,} out, {self._cost()[0]}"
        )

    def _answers(self) -> int:
        return len(self.exam.used) if self.exam is not None else 0

    def _estimate(self) -> dict[str, Any]:
        sums = {
            "requests": sum(check.requests for check in self.checks),
            "input_tokens": sum(check.tokens_in for check in self.checks),
            "output_tokens": sum(check.tokens_out for check in self.checks),
        }
        assert self.exam is not None  # only an examination costs
        usage = Usage(input_tokens=sums["input_tokens"], output_tokens=sums["output_tokens"])
        return {**sums, "cost": self.prices.cost(self.exam.subject.adapter.origin, usage)}

    def _used(self) -> dict[str, int]:
        used = self.exam.used if self.exam is not None else ()
        return asdict(sum((one.usage for one in used if one.usage is not None), Usage()))

    def _cost(self) -> tuple[str, float | None, int]:
        """For people, in dollars, and how many answers have no known cost."""
        costs = [
            None if one.usage is None else self.prices.cost(one.origin, one.usage, one.served)
            for one in (self.exam.used if self.exam is not None else ())
        ]
        known = [cost for cost in costs if cost is not None]
        unpriced = len(costs) - len(known)
        return shown_cost(sum(known), unpriced, len(costs)), sum(known) if known else None, unpriced

    def _document(self) -> dict[str, Any]:
        settings = self.choice.settings
        _, cost, unpriced = self._cost()
        return {
            "name": mask(("model",), self.choice.name),
            "provider": self.choice.provider,
            "adapter": self.choice.adapter,
            "model": settings.model,
            "where": mask_url(settings.base_url) if settings.base_url else None,
            "exit_status": int(self.status),
            "interrupted": self.interrupted,
            "checks": [
                asdict(finding) | {"seconds": round(finding.seconds, 3)}
                for finding in self.findings
            ],
            "estimate": self._estimate() if self.exam is not None else None,
            "answers": self._answers(),
            "usage": self._used(),
            "cost": cost,
            "of_unknown_cost": unpriced,
        }

    def _write(self, line: str) -> None:
        sys.stdout.write(self.redactor.text(line) + "\n")
        sys.stdout.flush()


def rows(finding: Finding) -> list[str]:
    """Return a finding as lines of at most 80 columns."""
    head = f"{finding.check:<16}  {finding.state:<9}  {finding.seconds:6.2f} s  "
    room = _WIDTH - len(head)
    if any(unicodedata.east_asian_width(one) in "WF" for one in finding.detail):
        room //= 2  # at worst each of them takes two
    lines = textwrap.wrap(finding.detail, room, break_on_hyphens=False) or [""]
    return [f"{head}{lines[0]}".rstrip(), *(f"{'':{len(head)}}{line}" for line in lines[1:])]
