"""Putting on the disk what no runner fetches: a Python package without uvx, a bundle.

Theory of operation: a plan that is `unprepared` says what it wants; what comes back is the same
plan with a command of this machine, and pinned to the file that was checked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agent_host.core.text import clean_line
from agent_host.registry import bundle, manifest
from agent_host.registry.plan import InstallPlan, Source, Template
from agent_host.registry.venv import Installed, installed
from agent_host.registry.web import Fault, Web

_RUNS = re.compile(r"[-_.]+")


def prepare(
    plan: InstallPlan, store: Path, web: Web, *, python: str, environ: Mapping[str, str]
) -> InstallPlan | Fault:
    """Return the plan with its command; a plan that needs nothing comes back as it is.

    `store`: the folder of the user's where installed servers are kept. `python`: the interpreter
    for virtual environments. `environ`: what pip runs with.
    """
    if plan.problem or not plan.unprepared or plan.source is None:
        return plan
    if plan.unprepared == "venv":
        found = installed(plan.source, store, python=python, environ=environ)
        return found if isinstance(found, Fault) else _started(plan, plan.source, found)
    folder = bundle.fetched(plan.source.identifier, plan.source.sha256, store, web)
    if isinstance(folder, Fault):
        return folder
    read = manifest.read(folder, _owner(plan.source))
    if isinstance(read, Fault):
        return read
    template = Template(
        args=(*read.args, *plan.template.args), env={**read.env, **plan.template.env}
    )
    known = {need.name for need in read.needs}
    return replace(
        plan,
        command=read.command,
        needs=(*read.needs, *(need for need in plan.needs if need.name not in known)),
        warnings=(*plan.warnings, *read.warnings),
        template=template,
        unprepared="",
    ).shown()


def _owner(source: Source) -> str:
    return source.identifier.rpartition("/")[2].removesuffix(".mcpb")


def _started(plan: InstallPlan, source: Source, found: Installed) -> InstallPlan | Fault:
    pinned = f"pypi:{source.identifier}=={source.version} sha256:{found.sha256}"
    ready = replace(plan, pinned=pinned, unprepared="")
    if source.start[:1] == ("-m",):  # its arguments start with `-m MODULE` already
        return replace(ready, command=str(found.python)).shown()
    script = _script(source, found.scripts)
    if isinstance(script, Fault):
        return script
    return replace(ready, command=str(found.python.with_name(script))).shown()


def _script(source: Source, scripts: Sequence[str]) -> str | Fault:
    """Return which of a package's scripts is the server: the one that the entry names, the one
    called like the package, the only one, the only one that speaks of mcp."""
    wanted = [*source.start, source.identifier]
    for name in wanted:
        for script in scripts:
            if _plain(script) == _plain(name):
                return script
    some = [script for script in scripts if "mcp" in script.lower()]
    for choice in (scripts, some):
        if len(choice) == 1:
            return choice[0]
    told = clean_line(", ".join(scripts), 200)
    what = f"brings several programs ({told}) and does not say which is the server"
    return Fault(f"{source.identifier} {what if scripts else 'brings no program to start'}")


def _plain(name: str) -> str:
    """A name as PEP 503 compares them."""
    return _RUNS.sub("-", name).lower()
