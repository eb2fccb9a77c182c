"""What surrounds a chat and its session: the config, other runs, how calls are approved.

Theory of operation: the commands of a chat need more than its session has, and none of it is a
surface's business: who opens the chat gives it, as functions and small Protocols. What is not given
cannot be done there, and the command says so. Whatever these return is clean where its docstring
says so, and cleaned by the commands else. None of them raises for the world's faults but
AgentHostError, which the chat tells.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent_host.core.events import Record
from agent_host.surfaces.palette import Palette

Pick = Callable[[str], Awaitable["RunInfo | None"]]
"""Lets the user choose a run, beginning with these words; None: they stay."""

Login = Callable[[str], Awaitable[str]]
"""Logs in to a server; returns what to tell the user. Never raises for the world's faults."""


Rules = Callable[[], Sequence[str]]
"""Lines, clean, about the rules in force and the last decision."""


class Reload(Protocol):
    """A servers.toml that may change while the chat goes on."""

    def notice(self) -> str:
        """What to tell if it changed since it was last looked at, else nothing."""

    async def __call__(self) -> str:
        """Take over what it says now; return what to tell. Never raises for the world's faults."""


class Approving(Protocol):
    """How calls that policy wants a human for are answered in this chat."""

    @property
    def mode(self) -> str:
        """ask, policy, none or all; the same words as `--approve`."""

    def change(self, mode: str) -> None:
        """Answer so from here on. Raises UsageError for no such mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of a model that can be named: all text clean, empty where it is not known.
    `window` in tokens, 0: not known; `price` in words, for a million tokens."""

    name: str
    window: int = 0
    price: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigValue:
    """A value of the config in force: `key` dotted, `value` as TOML writes it, `origin` the file
    and line, the variable or the option that says it. Secrets are references."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """A run of the same folder. `when` is its beginning (RFC 3339), `title` the first words of its
    user, `about` what else is known of it, in words, `found` a place where it says what was looked
    for; uncleaned."""

    run_id: str
    when: str = ""
    title: str = ""
    about: str = ""
    found: str = ""


class Runs(Protocol):
    """The recorded runs beside this one."""

    @property
    def current(self) -> str:
        """The id of the run of this chat."""

    async def find(self, words: str, limit: int) -> tuple[Sequence[RunInfo], int]:
        """Return the newest runs that hold these words (all, for none), and how many there are.
        Raises AgentHostError."""

    async def check(self, run_id: str) -> None:
        """Raise AgentHostError if nobody could go on with that run now, before anything is left
        for it."""

    async def fork(self, messages: int | None) -> str:
        """Make a new run of the first `messages` messages of this one (None: all), with the same
        history; return its id. Raises AgentHostError."""


class Export(Protocol):
    """Writes this run in another form."""

    @property
    def formats(self) -> Sequence[str]:
        """The forms there are, the usual one first."""

    def form_of(self, file: str) -> str:
        """Return the form whose files are called so; empty if there is none."""

    def target(self, form: str, file: str) -> str:
        """Return the path that would be written: `file`, or beside the transcript."""

    def exists(self, path: str) -> bool:
        """Whether there is something at that path."""

    async def write(self, form: str, path: str) -> str:
        """Write it, over what is there; return what to tell. Raises AgentHostError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """All of it; None: there is none here. `records` are those of this run, from its beginning;
    `artifact` reads what was kept whole beside the transcript (None: it is gone); `config` are the
    values in force, `models` what is known of the models; a message names files from `folder` on,
    and `images` says whether the model that answers now takes pictures; `palette` are the colours
    in which an answer is shown again; `pick` is there where a list can be drawn."""

    login: Login | None = None
    reload: Reload | None = None
    rules: Rules | None = None
    approving: Approving | None = None
    config: Callable[[], Sequence[ConfigValue]] | None = None
    models: Callable[[], Sequence[ModelFacts]] | None = None
    runs: Runs | None = None
    pick: Pick | None = None
    export: Export | None = None
    records: Callable[[], Iterable[Record]] | None = None
    artifact: Callable[[str], str | None] | None = None
    folder: Path | None = None
    images: Callable[[], bool] = lambda: True
    palette: Palette = Palette()
