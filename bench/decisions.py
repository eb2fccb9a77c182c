"""Decisions of policy a second, on one core: a name and a number a line, on stdout.

Theory of operation: a policy of 100 rules, most with conditions, as a config makes it; calls of
several tools are judged one after another, each with arguments, labels and a principal of its own.
`spread`: the rules are about many tools, as they are in practice; `worst`: each of the 100 is about
the one tool that is called, and has a condition. `language` and `compiled`: what starting costs,
in seconds.
    python bench/decisions.py
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from agent_host.config.load import load
from agent_host.core.conversation import Conversation
from agent_host.core.types import LabelSeen, Principal, Tool, ToolCall
from agent_host.host.policy import make_policy
from agent_host.policy.rules import RulePolicy

RULES = 100
SECONDS = 2.0
CONDITIONS = (
    "args.amount > {n}",
    'args.amount > {n} && args.currency == "EUR"',
    'user.roles.exists(r, r == "intern{n}") && args.amount > 10',
    '"untrusted" in run.labels && tool.labels.exists(l, l == "l{n}")',
    "run.cost > {n}.5 || args.amount > 10{n}",
    'now.getHours("Europe/Berlin") > 2{n}',
    'args.note.contains("urgent{n}")',
)
EFFECTS = ("allow", "ask", "deny", "allow", "ask")


def written(*, worst: bool) -> str:
    lines = ["[policy]", 'default = "ask"', 'flow = "ask"']
    for number in range(RULES):
        tools = "pay" if worst else f"tool_{number % 20}*"
        condition = CONDITIONS[number % len(CONDITIONS)].format(n=number + 1000)
        lines += [
            "[[policy.rules]]",
            f'id = "r{number}"',
            'server = "bench"',
            f'tools = ["{tools}"]',
            f'effect = "{EFFECTS[number % len(EFFECTS)]}"',
        ]
        if worst or number % 5:
            lines.append(f"when = '{condition}'")
    return "\n".join(lines)


def policy(folder: Path, *, worst: bool) -> RulePolicy:
    file = folder / "servers.toml"
    file.write_text(written(worst=worst))
    environ = {**os.environ, "AGENT_HOST_STATE": str(folder)}
    return make_policy(load(file, environ), environ)


def tool(name: str) -> Tool:
    return Tool(
        name=f"bench__{name}",
        server="bench",
        tool=name,
        description="",
        input_schema={},
        labels=("egress",),
    )


def rate(judged: RulePolicy, tools: list[Tool]) -> float:
    seen = LabelSeen(label="private", server="bench", tool="read")
    conversation = Conversation(run_id="run", labels=(seen,))
    principal = Principal(id="ana", roles=("clerk",), claims={"team": "support"})
    count = 0
    started = time.process_time()  # what else the machine does is not counted
    while (spent := time.process_time() - started) < SECONDS:
        for one in tools:
            arguments = {"amount": count % 100, "currency": "EUR", "note": "as agreed"}
            call = ToolCall(id=f"c{count}", name=one.name, arguments=arguments)
            judged.decide(call, arguments, one, conversation, principal)
            count += 1
    return count / spent


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        numbers = {
            "language": seconds(lambda: import_module("agent_host.policy.expressions")),
            "compiled": seconds(lambda: policy(folder, worst=True)),
            "spread": rate(
                policy(folder, worst=False), [tool(f"tool_{number}") for number in range(20)]
            ),
            "worst": rate(policy(folder, worst=True), [tool("pay")]),
        }
    for key, value in numbers.items():
        sys.stdout.write(f"{key} {value}\n")


if __name__ == "__main__":
    main()
