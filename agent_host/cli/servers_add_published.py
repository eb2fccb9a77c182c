"""`agent-host servers add REGISTRY-NAME`: an entry of the registry, turned into a table.

Theory of operation: the registry's rooms say how the server can be set up (`plans`) and what a
person has to add; this asks for it, keeps secrets where a person says, and warns: of an entry that
is deprecated, of a way that pins nothing, and of other servers that end in the same name, because a
look-alike of a known server is how people are led to a stranger's program.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from agent_host.cli.adding import Addition, Target, agreed, free
from agent_host.cli.keeping import Kept, Where, chosen, place, typed
from agent_host.cli.progress import progress
from agent_host.cli.published import Published, published
from agent_host.cli.trusting import at_terminal
from agent_host.config import paths
from agent_host.config.importers.build import legal_name
from agent_host.config.secrets import has_reference
from agent_host.core.errors import AgentHostError, ExitStatus, UnavailableError, UsageError
from agent_host.core.text import clean_line
from agent_host.registry.install import plans, preferred
from agent_host.registry.plan import InstallPlan, Need
from agent_host.registry.server_json import Listing
from agent_host.registry.web import Fault

_ANY = frozenset({"mcp", "mcp-server", "server", "server-mcp", "mcpserver"})
"""What a published server may be called without saying which it is."""


class NotAddedError(AgentHostError):
    """A person did not want it."""

    exit_status = ExitStatus.REFUSED


def from_registry(options: argparse.Namespace, wanted: str, name: str, target: Target) -> Addition:
    """Return a server of the registry as a table. Raises UsageError and UnavailableError.

    What is neither fetched by a runner nor remote is put on the disk here, after a question.
    """
    with published(options) as registry:
        if "/" not in wanted:
            registry.freshen(words=wanted)
        listing = registry.listing(wanted, options.version)
        alike = _alike(registry, listing)
        plan = _chosen(plans(listing), options.package, listing.server.name)
        plan, problem = _fixed(plan, options, registry)
    usual = name or _name(listing.server.name)
    name = name or free(usual, target.servers)
    values, kept = _values(plan, options, name)
    try:
        plan = plan.filled(values)
    except ValueError as error:
        raise UsageError(f"{listing.server.name} {error}; give it with --set KEY=VALUE") from None
    notes = [*_notes(listing, plan, alike), *([problem] if problem else [])]
    if name != usual:
        notes.append(f"{target.name} has servers.{usual} already; this one is named {name}")
    pinned = f", {plan.pinned}" if plan.pinned else ""
    comment = f"{listing.server.name} {listing.server.version}{pinned}"
    return Addition(name=name, table=_table(plan), notes=tuple(notes), kept=kept, comment=comment)


def _name(published: str) -> str:
    """Return the name for servers.toml that is most like the published one: `io.acme/mcp-server`
    is acme, because every server could be called mcp-server."""
    namespace, _, short = published.rpartition("/")
    if short.lower() in _ANY:
        short = namespace.rpartition(".")[2] or short
    return legal_name(short)


def _fixed(
    plan: InstallPlan, options: argparse.Namespace, registry: Published
) -> tuple[InstallPlan, str]:
    """Return the plan with its hash and, where there is no runner, its program on this machine;
    and why that could not be pinned."""
    if options.offline:
        if plan.unprepared:
            raise UsageError(f"{plan.title} has to be fetched first; try without --offline")
        return plan, "not pinned by a hash, because nobody was asked (--offline)"
    if plan.unprepared:
        return _prepared(plan, options, registry), ""
    module: Any = import_module("agent_host.registry.pin")
    found = module.pin(plan, registry.web(), which=shutil.which, environ=os.environ)
    return (plan, found.text) if isinstance(found, Fault) else (found, "")


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
        open_needs = [n for n in plan.needs if n.required and not n.secret]
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
        are = "is a secret" if len(secrets) == 1 else "are secrets"
        return chosen(options.secrets, f"{clean_line(names, 200)} {are} that it needs")
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
    choices = f", one of {', '.join(need.choices)}" if need.choices else ""
    default = f" [{need.default}]" if need.default else ""
    sys.stderr.write(f"{clean_line(f'{need.name}{about}{choices}{default}', 400)}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _prepared(plan: InstallPlan, options: argparse.Namespace, registry: Published) -> InstallPlan:
    store = paths.user_data_folder() / "installed"
    if options.dry_run:
        return replace(plan, command=f"<{plan.title}>", unprepared="")
    sys.stderr.write(
        f"{plan.title} is started from this machine: it is fetched, checked and put into "
        f"{paths.shown(store)} before it can be shown what would run.\n"
    )
    if not agreed("Do that?", yes=options.yes, typed=False):
        raise NotAddedError("nothing was fetched or written")
    module: Any = import_module("agent_host.registry.prepare")
    with progress(f"fetching {plan.title}"):
        found: InstallPlan | Fault = module.prepare(
            plan, store, registry.web(), python=sys.executable, environ=os.environ
        )
    if isinstance(found, Fault):
        raise UnavailableError(f"{plan.title} {found.text}")
    return found


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
