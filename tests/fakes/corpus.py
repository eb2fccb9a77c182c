"""Catalogues for tests: real definitions of published servers, and 34 servers of a corpus."""

import json
import re
from functools import cache
from pathlib import Path

REAL = Path(__file__).parents[1] / "data" / "catalogue"
BFCL = Path(__file__).parents[2] / ".corpus/bfcl_eval/data"
SERVERS = 34
TOOLS = 1284
"""What was seen over the servers of one user's machine."""


@cache
def real():
    """By server: the raw definitions of published servers."""
    return {
        path.stem: json.loads(path.read_text())["tools"] for path in sorted(REAL.glob("*.json"))
    }


@cache
def corpus():
    """Every raw definition of bfcl-eval, each name once, as a server would send it."""
    if not BFCL.is_dir():
        raise AssertionError("there is no corpus in .corpus: run scripts/setup --test")
    found = {}
    for path in sorted(BFCL.glob("BFCL_v4_*.json")):
        for line in path.read_text().splitlines():
            case = json.loads(line) if line.startswith('{"id"') else {}
            functions = case.get("function", [])
            for one in functions if isinstance(functions, list) else [functions]:
                name = re.sub(r"[^A-Za-z0-9_.-]", "_", one["name"])[:128]
                schema = {**one["parameters"], "type": "object"}
                found.setdefault(
                    name,
                    {"name": name, "description": one["description"], "inputSchema": schema},
                )
    return list(found.values())


def servers():
    """By server: 34 servers with 1,284 tools in all, the real ones among them."""
    groups = dict(real())
    left = TOOLS - sum(map(len, groups.values()))
    others = SERVERS - len(groups)
    taken = corpus()[:left]
    for place in range(others):
        groups[f"server-{place:02}"] = taken[place::others]
    return groups
