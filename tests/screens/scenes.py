"""What there is to see of the program, moment by moment, played with the real thing.

`python -m tests.screens` plays each scene at three sizes of a terminal and writes what is on it to
docs/screens, as text and as pictures; the tests play them too and look for what must be there.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.ptys import Terminal
from tests.screens.pictures import DARK, LIGHT, Theme

ROOT = Path(__file__).parents[2]
SIZES = ((40, 24), (80, 24), (120, 40))
"""Columns and lines."""

_CONFIG = """
model = "offline"
system = "You are the assistant of an order desk."

[models.script]
adapter = "script"
path = "script.toml"

[servers.orders]
command = {python}
args = ["-m", "agent_host", "demo-server", "--today", "2026-11-22"]
env = {{ PYTHONPATH = {root} }}
trust_annotations = true

[servers.desk]
command = {python}
args = ["-m", "tests.screens.desk_server"]
env = {{ PYTHONPATH = {root} }}

{more}
[[policy.rules]]
id = "look"
server = "desk"
effect = "allow"

[[policy.rules]]
id = "large-refunds"
server = "orders"
tools = ["refund_order"]
when = "args.amount > 10"
effect = "ask"
reason = "money leaves the shop"
"""

_FORMS = """
[servers.forms]
command = {python}
args = ["-m", "tests.fakes.form_server"]
env = {{ PYTHONPATH = {root} }}

[[policy.rules]]
id = "forms"
server = "forms"
effect = "allow"
"""

_ANSWER = '''## What I found

Order **12345** was shipped with [DHL](https://dhl.example/track?id=DE4839201).

| item | price | 数量 |
|---|--:|--:|
| Standing desk | 189.00 | 1 |
| Desk mat | 11.00 | 2 |

```python
def refundable(order: Order) -> Decimal:
    """What may still be paid back."""
    return order.paid - order.refunded
```

1. The mat may be sent back until *6 December*.
2. The desk may not.
'''


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A moment: how it comes about, and what must then be on the screen, whatever its size."""

    name: str
    what: str
    """One line for whoever looks at the picture."""
    play: Callable[["Stage"], None]
    seen: tuple[str, ...]
    script: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    theme: Theme = DARK
    configured: bool = True
    forms: bool = False
    """Whether a server that asks the person is there too."""
    kept: bool = True
    """Whether its pictures are kept: not where it shows paths of the machine."""


@dataclass(frozen=True)
class Stage:
    """A folder and a size, and the terminal that the scene is played on."""

    folder: Path
    columns: int
    lines: int
    variables: Mapping[str, str]
    terminals: list[Terminal] = field(default_factory=list)

    def start(self, *arguments: str) -> Terminal:
        terminal = Terminal(
            *arguments,
            cwd=self.folder,
            columns=self.columns,
            lines=self.lines,
            environ={"COLORTERM": "truecolor", **self.variables},
        )
        self.terminals.append(terminal)
        return terminal


@contextmanager
def played(scene: Scene, folder: Path, columns: int, lines: int) -> Iterator[Terminal]:
    """Play a scene in an empty folder; the terminal is as it was when the scene stopped."""
    if scene.configured:
        python, root = json.dumps(sys.executable), json.dumps(str(ROOT))
        (folder / "servers.toml").write_text(
            _CONFIG.format(
                python=python,
                root=root,
                more=_FORMS.format(python=python, root=root) if scene.forms else "",
            )
        )
    (folder / "script.toml").write_text(scene.script or '[[turn]]\nsay = "Done."\n')
    stage = Stage(folder, columns, lines, scene.variables)
    try:
        scene.play(stage)
        yield stage.terminals[-1]
    finally:
        for terminal in stage.terminals:
            terminal.__exit__(None, None, None)


def flat(text: str) -> str:
    """Text without what the width of a screen does to it."""
    return "".join(text.split())


def _until(terminal: Terminal, wanted: str) -> None:
    terminal.wait(lambda text: flat(wanted) in flat(text))


def _command(*arguments: str, until: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        _until(stage.start(*arguments), until)

    return play


def _chat(
    *said: str, until: str, model: str = "script", draft: str = ""
) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        terminal = stage.start("chat", "--trust", "--model", model)
        _until(terminal, "/help")
        for words in said:
            terminal.keys(f"{words}\r")
        if draft:
            terminal.keys(draft)
        _until(terminal, until)

    return play


_REFUND = """
[[turn]]
say = "25 EUR are within what may be refunded."
[[turn.call]]
name = "orders__refund_order"
arguments = { order_id = "12345", amount = 25, reason = "The desk mat arrived scratched" }
"""
_WAITING = """
[[turn]]
say = "Both are within what may be refunded."
[[turn.call]]
name = "orders__refund_order"
arguments = { order_id = "12345", amount = 25, reason = "scratched" }
[[turn.call]]
name = "orders__refund_order"
arguments = { order_id = "12345", amount = 11, reason = "lost" }
"""
_BOOK = """
[[turn]]
call = "forms__book"
"""
_OVERLOADED = """
[[turn]]
fail = "auth"
message = "the key is not valid any more"
"""
_PARALLEL = """
[[turn]]
call = [
    { name = "orders__get_order", arguments = { order_id = "12345" } },
    { name = "desk__read", arguments = { path = "notes/2025.md" } },
    { name = "desk__index", arguments = { path = "letters" } },
]
"""
_TALK = f"""
[[turn]]
reasoning = "The order first, then what may be refunded of it."
say = {json.dumps(_ANSWER)}
usage = {{ input_tokens = 2140, output_tokens = 346 }}
"""


def _steps(*steps: tuple[str, str], script_model: bool = True) -> Callable[[Stage], None]:
    """A chat in which each text is typed, and what follows it waited for."""

    def play(stage: Stage) -> None:
        terminal = stage.start(
            "chat", "--trust", "--model", "script" if script_model else "offline"
        )
        _until(terminal, "/help")
        for keys, until in steps:
            if len(keys) == 1:
                terminal.repeat(keys, until)
                terminal.wait("\n}")
            else:
                terminal.keys(keys)
                _until(terminal, until)

    return play


def _after_a_run(*arguments: str, until: str) -> Callable[[Stage], None]:
    """A command about transcripts, after two runs."""

    def play(stage: Stage) -> None:
        for words in ("What did you find?", "Is the mat in stock?"):
            run = stage.start("run", "--trust", "--model", "script", words)
            _until(run, "The desk may not.")
            run.exit_status()
        _until(stage.start(*arguments), until)

    return play


def _resuming(stage: Stage) -> None:
    _after_a_run("chat", "--trust", "--model", "script", until="/help")(stage)
    terminal = stage.terminals[-1]
    terminal.keys("/resume\r")
    _until(terminal, "Is the mat in stock?")


SCENES = (
    Scene(
        name="welcome",
        what="agent-host for the first time, with nothing configured",
        play=_command(until="config init"),
        seen=("config init",),
        configured=False,
    ),
    Scene(
        name="first-answer",
        what="the first command, without a key",
        play=_command(
            "run", "--trust", "What is the status of my order 12345?", until="Shipped yesterday"
        ),
        seen=("offline: no AI",),
    ),
    Scene(
        name="chat",
        what="a chat that has just begun",
        play=_chat(until="nothing else does. > offline (no AI)", model="offline"),
        seen=("/help", "nothing else does."),
    ),
    Scene(
        name="answer",
        what="an answer: a table, code, a link, reasoning folded",
        play=_chat("What did you find?", until="The desk may not.", model="script"),
        seen=("The desk may not.",),
        script=_TALK,
    ),
    Scene(
        name="answer-light",
        what="the same on a light screen",
        play=_chat("What did you find?", until="The desk may not.", model="script"),
        seen=("The desk may not.",),
        script=_TALK,
        theme=LIGHT,
    ),
    Scene(
        name="answer-no-color",
        what="the same without colours",
        play=_chat("What did you find?", until="The desk may not.", model="script"),
        seen=("The desk may not.",),
        script=_TALK,
        variables={"NO_COLOR": "1"},
    ),
    Scene(
        name="answer-dumb",
        what="the same with TERM=dumb",
        play=_chat("What did you find?", until="The desk may not.", model="script"),
        seen=("The desk may not.",),
        script=_TALK,
        variables={"TERM": "dumb"},
    ),
    Scene(
        name="parallel",
        what="three calls at once: two are over, one tells how far it is; a message waits",
        play=_chat("Index the letters.", until="62 %", draft="And then the"),
        seen=("62 %", "desk"),
        script=_PARALLEL,
    ),
    Scene(
        name="approval",
        what="a call that policy asks about",
        play=_chat("Refund 25 EUR.", until="money leaves the shop"),
        seen=("money leaves the shop", "25"),
        script=_REFUND,
    ),
    Scene(
        name="commands",
        what="commands are completed as they are typed",
        play=_chat(until="/compact", model="offline", draft="/co"),
        seen=("/compact", "/config", "/context", "/cost"),
    ),
    Scene(
        name="context",
        what="what fills the context",
        play=_chat("What did you find?", "/context", until="is not known"),
        seen=("orders",),
        script=_TALK,
    ),
    Scene(
        name="servers-list",
        what="the state of each server",
        play=_command("servers", "list", "--trust", until="desk"),
        seen=("desk", "orders"),
    ),
    Scene(
        name="doctor",
        what="what is wrong here, and what to do about it",
        play=_command("doctor", until="terminal"),
        seen=("terminal",),
        kept=False,
    ),
    Scene(
        name="bad-config",
        what="a mistake in servers.toml",
        play=_command("servers", "list", "--config", "script.toml", until="script.toml"),
        seen=("script.toml",),
        script="[[turn]]\nsay = 'x'\n",
    ),
    Scene(
        name="approval-edited",
        what="the same call with another amount: what was changed",
        play=_steps(
            ("Refund 25 EUR.\r", "money leaves the shop"),
            ("e", "edit (Enter"),
            ("\x1b[A\x1b[A\x05\x7f\x7f\x7f20,\r", "amount 20"),
        ),
        seen=("amount 20",),
        script=_REFUND,
    ),
    Scene(
        name="approvals",
        what="two calls wait for an answer",
        play=_chat("Refund both.", until="approve?"),
        seen=("money leaves the shop",),
        script=_WAITING,
    ),
    Scene(
        name="form",
        what="a server asks: a form",
        play=_chat("Book a table.", until="Full name"),
        seen=("Which table, for whom?", "Full name"),
        script=_BOOK,
        forms=True,
    ),
    Scene(
        name="queued",
        what="a message that was sent while it works waits",
        play=_steps(
            ("Index the letters.\r", "62 %"),
            ("And then the invoices.\r", "queued"),
        ),
        seen=("queued", "And then the invoices."),
        script=_PARALLEL,
    ),
    Scene(
        name="history-search",
        what="Ctrl-R searches what was typed before",
        play=_steps(("What did you find?\r", "The desk may not."), ("\x12did", "search")),
        seen=("search",),
        script=_TALK,
    ),
    Scene(
        name="model-error",
        what="a model's service refuses the key",
        play=_chat("Hello.", until="the key is not valid any more"),
        seen=("the key is not valid any more",),
        script=_OVERLOADED,
    ),
    Scene(
        name="help",
        what="/help",
        play=_chat("/help", until="Ctrl-D leaves", model="offline"),
        seen=("/help COMMAND",),
    ),
    Scene(
        name="resume",
        what="/resume: which run to go on with",
        play=_resuming,
        seen=("Is the mat in stock?",),
        script=_TALK,
    ),
    Scene(
        name="transcripts-list",
        what="the runs that were recorded",
        play=_after_a_run("transcripts", "list", until="done: What did you find?"),
        seen=("done: ",),
        script=_TALK,
    ),
    Scene(
        name="transcripts-search",
        what="a search through what was recorded",
        play=_after_a_run("transcripts", "search", "stock", until="Is the mat in stock?"),
        seen=("stock",),
        script=_TALK,
    ),
)
