"""`agent-host servers add REGISTRY-NAME`: an entry of the registry, turned into a table.

Theory of operation: the registry's rooms say how the server can be set up (`plans`) and what a
person has to add; this asks for it, keeps secrets where a person says, and warns: of an entry that
is deprecated, of a way that pins nothing, and of other servers that end in the same name, because a
look-alike of a known server is how people are led to a stranger's program.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from agent_host.cli.adding import Addition, Target, free
from agent_host.cli.keeping import Kept, Where, chosen, place, typed
from agent_host.cli.published import Published, published
from agent_host.cli.trusting import at_terminal
from agent_host.config.importers.build import legal_name
from agent_host.config.secrets import has_reference
from agent_host.core.errors import UsageError
from agent_host.core.text import clean_line
from agent_host.registry.install import plans, preferred
from agent_host.registry.plan import InstallPlan, Need
from agent_host.registry.server_json import Listing

_PREPARE = "agent_host.registry.prepare"


def from_registry(options: argparse.Namespace, wanted: str, name: str, target: Target) -> Addition:
    """Return a server of the registry as a table. Raises UsageError and UnavailableError."""
    with published(options) as registry:
        if "/" not in wanted:
            registry.freshen(words=wanted)
        listing = registry.listing(wanted, options.version)
        alike = _alike(registry, listing)
    plan = _chosen(plans(listing), options.package, listing.server.name)
    name = name or free(legal_name(listing.server.name.rpartition("/")[2]), target.servers)
    values, kept = _values(plan, options, name)
    try:
        plan = plan.filled(values)
    except ValueError as error:
        raise UsageError(f"{listing.server.name} {error}; give it with --set KEY=VALUE") from None
    if plan.unprepared:
        plan = _prepared(plan, name, options)
    return Addition(
        name=name, table=_table(plan), notes=tuple(_notes(listing, plan, alike)), kept=kept
    )


def _alike(registry: Published, listing: Listing) -> list[str]:
    own = listing.server.name
    found = registry.index.named(own.rpartition("/")[2])
    return [name for name in found if name.lower() != own.lower()]


def _chosen(ways: Sequence[InstallPlan], kind: str | None, name: str) -> InstallPlan:
    fitting = [way for way in ways if kind is None or way.kind == kind]
    found = preferred(fitting)
    if found is not None:
        return found
    if not ways:
        raise UsageError(f"{name} says no way to set it up; see agent-host servers show {name}")
    if not fitting:
        known = ", ".join(dict.fromkeys(way.kind for way in ways))
        raise UsageError(f"{name} has no {kind}; it has {known}")
    why = "; ".join(f"{way.title} {way.problem}" for way in fitting[:3])
    raise UsageError(f"{name} cannot be set up here: {clean_line(why, 600)}")


def _values(
    plan: InstallPlan, options: argparse.Namespace, server: str
) -> tuple[dict[str, str], tuple[Kept, ...]]:
    """Return a value for each need that has one; secrets as references to where they are kept."""
    given = dict(_pair(text) for text in options.set or ())
    asks = at_terminal(sys.stdin, sys.stderr) and not options.dry_run and not options.yes
    if asks:
        open_needs = [n for n in plan.needs if n.required and not n.secret and not n.default]
        given |= {need.name: _asked(need) for need in open_needs if need.name not in given}
    secrets = [need for need in plan.needs if need.secret and need.where != "arg"]
    secrets = [need for need in secrets if need.required or need.name in given]
    where = _where(secrets, given, options, asks=asks)
    kept: list[Kept] = []
    for need in secrets:
        value = given.get(need.name, "")
        if not has_reference(value):
            given[need.name], one = _referred(need, value, where, server, asks=asks)
            kept += one
    return {name: value for name, value in given.items() if value}, tuple(kept)


def _where(
    secrets: Sequence[Need], given: dict[str, str], options: argparse.Namespace, *, asks: bool
) -> Where:
    if not secrets or options.dry_run:
        return "env"
    if asks or options.secrets is not None:
        names = ", ".join(need.name for need in secrets)
        return chosen(options.secrets, f"{clean_line(names, 200)}: what it needs is secret")
    for need in secrets:
        if not has_reference(given.get(need.name, "${env:X}")):
            raise UsageError(
                f"{need.name} is a secret; say --secrets keyring or file, or give a reference, as "
                f"in --set '{need.name}=${{env:{need.variable or need.name}}}'"
            )
    return "env"


def _referred(
    need: Need, value: str, where: Where, server: str, *, asks: bool
) -> tuple[str, list[Kept]]:
    variable = need.variable or need.name
    if not value and where != "env" and asks:
        value = typed(variable, need.description, hidden=True)
    if value and where != "env":
        one = place(server, variable, value, where)
        return one.reference, [one]
    return f"${{env:{variable}}}", []


def _asked(need: Need) -> str:
    about = f" ({clean_line(need.description, 200)})" if need.description else ""
    choices = f" [{', '.join(need.choices)}]" if need.choices else ""
    sys.stderr.write(f"{clean_line(need.name, 100)}{about}{choices}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _prepared(plan: InstallPlan, name: str, options: argparse.Namespace) -> InstallPlan:
    if options.dry_run:
        return replace(plan, command=f"<put on this machine: {plan.title}>")
    if find_spec(_PREPARE) is None:
        raise UsageError(f"{plan.title} has to be installed first, which cannot be done here yet")
    module: Any = import_module(_PREPARE)
    made: InstallPlan = module.prepare(plan, name)
    return made


def _table(plan: InstallPlan) -> dict[str, Any]:
    table: dict[str, Any] = {}
    if plan.command is not None:
        table["command"] = plan.command
        if plan.args:
            table["args"] = list(plan.args)
        if plan.env:
            table["env"] = dict(plan.env)
        return table
    table["url"] = plan.url
    if plan.headers:
        table["headers"] = dict(plan.headers)
    if plan.sse:
        table["sse"] = True
    return table


def _notes(listing: Listing, plan: InstallPlan, alike: Sequence[str]) -> list[str]:
    server = listing.server
    about = f": {clean_line(server.description, 200)}" if server.description else ""
    found = [f"{clean_line(server.name, 200)} {clean_line(server.version, 40)}{about}"]
    if server.repository:
        found.append(f"its repository: {clean_line(str(server.repository), 200)}")
    if plan.pinned:
        found.append(f"pinned: {clean_line(plan.pinned, 300)}")
    found += [clean_line(warning, 400) for warning in plan.warnings]
    if plan.missing:
        found.append(f"it needs the program {clean_line(plan.missing, 80)}, which is not here")
    if alike:
        others = ", ".join(clean_line(name, 120) for name in alike[:3])
        found.append(f"other servers end in the same name; is it this one that you mean? {others}")
    return found


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise UsageError(f'--set "{clean_line(text, 40)}" is not KEY=VALUE')
    return name, value
