"""The runs in transcripts/: what was said, which script answered, and how to record them again.

`python -m tests.journeys.recordings` runs each scene with the real program against the demo
server, on a day of its own, puts the transcripts where they belong, and prints their ids: for
RECORDED and .gitignore. It is needed only when the demo server or a scene changes; what was
recorded by an older program must stay readable (tests/goldens).
"""

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.programs import ROOT, Ended, agent_host, environment
from tests.fakes.ptys import Terminal

FOLDER = ROOT / "transcripts"
DAY = "2026-11-22"
USER = "demo"
_NAMED = f"""
import os, pwd
known = pwd.getpwuid(os.getuid())
pwd.getpwuid = lambda number: pwd.struct_passwd(({USER!r}, *known[1:]))
"""
_ASKED = "approve? ["

_CONFIG = """
model = "offline"
transcripts = "transcripts"
system = "You are the assistant of an order desk."

[servers.orders]
command = {python}
args = ["-m", "agent_host", "demo-server", "--today", "{day}"]
cwd = {root}
trust_annotations = true

[[policy.rules]]
id = "no-messages"
server = "orders"
tools = ["send_*"]
effect = "deny"
reason = "people write to customers"
"""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A run. `script`: the turns of the model, or none for the offline model."""

    name: str
    prompt: str
    script: str = ""
    approve: str = "none"
    edit: str = ""
    """What a human at the terminal makes of a call's arguments before approving it."""
    status: int = 0


SCENES = (
    Scene(name="offline", prompt="What is the status of my order 12345?"),
    Scene(
        name="parallel",
        prompt="Tell me about order 12345, its customer, and what we have refunded her.",
        script="""
[[turn]]
expect = { contains = "12345", tools = ["orders__get_order"] }
say = "I look up all three at once."
call = [
    { name = "orders__get_order", arguments = { order_id = "12345" } },
    { name = "orders__get_customer", arguments = { customer = "C-1001" } },
    { name = "orders__list_refunds", arguments = { customer_id = "C-1001" } },
]

[[turn]]
expect = [
    { call = 1, json = { tracking_number = "DE4839201" } },
    { call = 2, json = { name = "Ada Lindqvist", tier = "gold" } },
    { call = 3, json = { found = 1, total = 12.9 } },
]
say = "Order 12345 was shipped via DHL (DE4839201). Ada Lindqvist is a gold customer; 12.90 EUR \
were refunded to her, for a missing box of order 12330."
usage = { input_tokens = 2140, output_tokens = 46 }
""",
    ),
    Scene(
        name="approved",
        prompt="The desk mat of order 12345 came scratched. Refund 25 EUR.",
        approve="all",
        script="""
[[turn]]
call = { name = "orders__get_order", arguments = { order_id = "12345" } }

[[turn]]
expect = { json = { refundable = 200.0 } }
reasoning = "200 EUR may be refunded, 25 are asked for."
say = "25 EUR are within what may be refunded."
[turn.call]
name = "orders__refund_order"
arguments = { order_id = "12345", amount = 25, reason = "Desk mat arrived scratched" }

[[turn]]
expect = { call = "orders__refund_order", json = { amount = 25.0, refundable = 175.0 } }
say = "25.00 EUR were refunded. 175.00 EUR of the order could still be refunded."
""",
    ),
    Scene(
        name="edited",
        prompt="Order 12345 came with a scratch. Refund all of it.",
        approve="ask",
        edit='{"order_id": "12345", "amount": 20, "reason": "A scratch"}',
        script="""
[[turn]]
[turn.call]
name = "orders__refund_order"
arguments = { order_id = "12345", amount = 200, reason = "A scratch" }

[[turn]]
expect = { call = "orders__refund_order", json = { amount = 20.0, refundable = 180.0 } }
say = "20.00 EUR were refunded, which is what was approved."
""",
    ),
    Scene(
        name="denied",
        prompt="Write to the customer of order 12351 that the yoga mat is on its way.",
        status=4,
        script="""
[[turn]]
call = { name = "orders__get_order", arguments = { order_id = "12351" } }

[[turn]]
expect = { json = { customer_id = "C-1004" } }
[turn.call]
name = "orders__send_message"
[turn.call.arguments]
customer_id = "C-1004"
channel = "email"
subject = "Your order 12351"
body = "Your yoga mat is on its way."

[[turn]]
expect = { call = "orders__send_message", error = "denied", contains = "people write to customers" }
say = "I may not write to customers. The mat was sent with GLS, tracking GL77123510."
""",
    ),
    Scene(
        name="recovered",
        prompt="Where is order 99999, the air purifier?",
        script="""
[[turn]]
call = [
    { name = "orders__get_order", arguments = { order_id = "99999" } },
    { name = "orders__track", arguments = { order_id = "99999" } },
]

[[turn]]
expect = [
    { call = 1, error = "tool_error", contains = "99999" },
    { call = 2, error = "unknown_tool" },
]
say = "There is no such order; I look for the product."
call = { name = "orders__list_orders", arguments = { product = "air purifier" } }

[[turn]]
expect = { json = { found = 1 }, contains = "12288" }
say = "There is no order 99999. The air purifier is order 12288, and it is delayed."
""",
    ),
)

RECORDED = {
    "offline": "01M89ATPD1398NFCXBAEE7G0EC",
    "parallel": "01M89ATQADEHVPN7TBW882TKV3",
    "approved": "01M89ATR7H76E6KNXQBR326EH4",
    "edited": "01M89ATS5NCCERQC07PQ8HFB6R",
    "denied": "01M89ATT250V3V5EA11AYGNNSS",
    "recovered": "01M89ATTZ12CTNF5AVZV1771PG",
}
"""Scene -> the id of its run."""


def prepare(folder: Path, scene: Scene) -> None:
    """Write the config and the script of a scene into `folder`."""
    config = _CONFIG.format(python=json.dumps(sys.executable), root=json.dumps(str(ROOT)), day=DAY)
    (folder / "servers.toml").write_text(config)
    if scene.script:
        (folder / f"{scene.name}.toml").write_text(scene.script)


def play(folder: Path, scene: Scene, model: str = "", **more: str) -> Ended:
    """Run a scene in `folder`, by default with the model that it is about. `more`: variables."""
    own = f"script:{scene.name}.toml" if scene.script else "offline"
    arguments = (
        *("run", "--trust", "--output", "stream-json", "--approve", scene.approve),
        *("--model", model or own, scene.prompt),
    )
    if not scene.edit:
        return agent_host(*arguments, folder=folder, **more)
    out = folder / "out"
    with (
        out.open("wb") as stream,
        Terminal(
            *arguments,
            cwd=folder,
            stdout=stream.fileno(),
            environ=environment(folder, **more),
        ) as terminal,
    ):
        terminal.wait(_ASKED)
        terminal.keys("e\n")
        terminal.wait("new arguments as JSON")
        terminal.keys(f"{scene.edit}\n")
        terminal.wait(_ASKED, times=2)
        terminal.keys("y\n")
        return Ended(terminal.exit_status(), out.read_text(), terminal.text)


def record() -> None:
    """Record every scene again."""
    for run_id in RECORDED.values():
        (FOLDER / f"{run_id}.jsonl").unlink(missing_ok=True)
    for scene in SCENES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, scene)
            # Python runs this first. The name must be right from the start: approvals are bound
            # to it.
            (folder / "sitecustomize.py").write_text(_NAMED)
            ended = play(folder, scene, PYTHONPATH=f"{folder}{os.pathsep}{ROOT}")
            if ended.status != scene.status:
                sys.exit(f"{scene.name}: status {ended.status}\n{ended.err}")
            [transcript] = (folder / "transcripts").glob("*.jsonl")
            (FOLDER / transcript.name).write_bytes(transcript.read_bytes())
            sys.stdout.write(f'    "{scene.name}": "{transcript.stem}",\n')


if __name__ == "__main__":
    record()
