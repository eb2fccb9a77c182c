"""`agent-host tools check`: what becomes of each tool on the way to a model.

Providers take different parts of JSON Schema, and a tool that breaks their rules would cost the
whole request. So schemas are compiled for the model's dialect; this says of every tool of the live
servers whether that changed nothing (ok), said something in words only (lossy), or whether the
model is not offered the tool at all (withheld).
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Literal

from agent_host.cli.trusting import add_trust_option
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean_line
from agent_host.core.types import Tool
from agent_host.models.schemas import Dialect, tool_table
from agent_host.servers.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What became of one tool. `losses`: a sentence for each thing that was lost; `signs`: what a
    person should look at in its definition."""

    name: str
    server: str
    state: Literal["ok", "lossy", "withheld"]
    losses: tuple[str, ...] = ()
    why: str = ""
    signs: tuple[str, ...] = ()


def configure_check(parser: argparse.ArgumentParser) -> None:
    """Add all options of the action."""
    parser.description = (
        "Say what becomes of each tool on the way to a model: ok, lossy (part of its schema is "
        "only told in words), or withheld. Ends with 1 if any tool is withheld."
    )
    parser.add_argument(
        "--model", metavar="M", help="check for this model; by default the configured one"
    )
    parser.add_argument("--server", metavar="NAME", help="only this server")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_trust_option(parser)


def check(
    pool: Pool, options: argparse.Namespace, dialect: Dialect, max_tools: int, model_name: str
) -> int:
    """Print what becomes of the tools of `pool`, and return the exit status.

    `dialect` and `max_tools` (0: no bound) are the model's.
    """
    tools = pool.tools()
    if not tools:
        health = pool.health()
        up = any(one.state == "connected" for one in health)
        none = "no server has any tools" if up else "no server is up"
        sys.stderr.write(f"{none if health else 'no servers are configured'}\n")
        return ExitStatus.DONE if up or not health else ExitStatus.SERVER_UNAVAILABLE
    return show(
        tools,
        dialect,
        max_tools=max_tools,
        model_name=model_name,
        as_json=bool(options.json),
        signs=pool.signs(),
    )


def show(
    tools: Mapping[str, Tool],
    dialect: Dialect,
    *,
    max_tools: int,
    model_name: str,
    as_json: bool,
    signs: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> int:
    """Print what becomes of these tools, and return the exit status. `signs`: by exposed name."""
    checked = [
        replace(one, signs=signs.get(one.name, ())) for one in _checked(tools, dialect, max_tools)
    ]
    counts = Counter(one.state for one in checked)
    if as_json:
        report = {
            "model": model_name,
            "dialect": dialect,
            "ok": counts["ok"],
            "lossy": counts["lossy"],
            "withheld": counts["withheld"],
            "tools": [asdict(one) for one in checked],
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for one in checked:
            sys.stdout.write("\n".join(_lines(one)) + "\n")
        sys.stdout.write(
            f"{len(checked)} tools for {clean_line(model_name)} ({dialect}): {counts['ok']} ok, "
            f"{counts['lossy']} lossy, {counts['withheld']} withheld\n"
        )
    return ExitStatus.FAILED if counts["withheld"] else ExitStatus.DONE


def _checked(tools: Mapping[str, Tool], dialect: Dialect, max_tools: int) -> Iterator[Checked]:
    table = tool_table(list(tools.values()), dialect, max_tools=max_tools)
    offered = {one.name: one.compiled for one in table.offered}
    for name, tool in tools.items():
        if name not in offered:
            yield Checked(name=name, server=tool.server, state="withheld", why=table.withheld[name])
            continue
        losses = offered[name].losses
        yield Checked(
            name=name, server=tool.server, state="lossy" if losses else "ok", losses=losses
        )


def _lines(one: Checked) -> Iterator[str]:
    why = f": {one.why}" if one.why else ""
    yield f"{clean_line(one.name)}: {one.state}{why}"
    for loss in one.losses:
        yield f"  {loss}"
    for sign in one.signs:
        yield f"  ! {sign}"
