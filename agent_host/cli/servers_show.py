"""`agent-host servers show`: what a published server is, and each way to set it up."""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from agent_host.cli.published import add_registry_options, published
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean_line
from agent_host.registry.install import plans
from agent_host.registry.plan import InstallPlan, Need
from agent_host.registry.server_json import Listing

_VERSIONS = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("name", metavar="NAME", help="as `servers search` prints it")
    parser.add_argument("--version", metavar="V", default="", help="this version, not the latest")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_registry_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Print what there is to know of a server, return the exit status."""
    with published(options) as registry:
        if "/" not in options.name:
            registry.freshen(words=options.name)
        listing = registry.listing(options.name, options.version)
        versions = registry.versions(listing.server.name)
    ways = plans(listing)
    if options.json:
        sys.stdout.write(json.dumps(_document(listing, versions, ways), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(listing, versions, ways)) + "\n")
    return ExitStatus.DONE


def _document(
    listing: Listing, versions: Sequence[Listing], ways: Sequence[InstallPlan]
) -> dict[str, object]:
    server = listing.server
    return {
        "name": server.name,
        "title": server.title,
        "description": server.description,
        "version": server.version,
        "status": listing.status,
        "status_message": listing.status_message,
        "published": listing.published,
        "updated": listing.updated,
        "repository": server.repository,
        "website": server.website,
        "versions": [{"version": v.server.version, "status": v.status} for v in versions],
        "ways": [_way(plan) for plan in ways],
    }


def _way(plan: InstallPlan) -> dict[str, object]:
    return {
        "kind": plan.kind,
        "title": plan.title,
        "command": plan.command,
        "args": list(plan.args),
        "env": dict(plan.env),
        "url": plan.url,
        "sse": plan.sse,
        "headers": dict(plan.headers),
        "needs": [asdict(need) for need in plan.needs],
        "pinned": plan.pinned,
        "warnings": list(plan.warnings),
        "problem": plan.problem,
        "missing": plan.missing,
        "unprepared": plan.unprepared,
    }


def _lines(
    listing: Listing, versions: Sequence[Listing], ways: Sequence[InstallPlan]
) -> Iterator[str]:
    server = listing.server
    title = f"  {clean_line(server.title, 100)}" if server.title else ""
    yield f"{server.name} {clean_line(server.version, 60)}{title}"
    if listing.status != "active":
        said = clean_line(listing.status_message, 300)
        yield f"{listing.status.upper()}{': ' + said if said else ''}"
    yield clean_line(server.description, 500)
    for name, value in (
        ("repository", server.repository),
        ("website", server.website),
        ("updated", listing.updated),
        ("versions", _versions(versions)),
    ):
        if value:
            yield f"{name:<12}{clean_line(value, 400)}"
    if not ways:
        yield ""
        yield "It says no way to set it up; see its website or repository."
    for number, plan in enumerate(ways, 1):
        yield ""
        yield from _plan(number, plan)


def _versions(versions: Sequence[Listing]) -> str:
    marks = [
        v.server.version if v.status == "active" else f"{v.server.version} ({v.status})"
        for v in versions
    ]
    more = len(marks) - _VERSIONS
    return ", ".join(marks[:_VERSIONS]) + (f" and {more} more" if more > 0 else "")


def _plan(number: int, plan: InstallPlan) -> Iterator[str]:
    yield f"{number}. {plan.title}"
    if plan.problem:
        yield f"   cannot be added: {plan.problem}"
        return
    if plan.url is not None:
        yield f"   {'sse' if plan.sse else 'url':<10}{clean_line(plan.url, 600)}"
    elif plan.unprepared:
        yield f"   {'command':<10}{_unprepared(plan)}"
    else:
        yield f"   {'command':<10}{_shell(plan)}"
    for kind, texts in (("env", plan.env), ("header", plan.headers)):
        for name, text in texts.items():
            yield f"   {kind:<10}{clean_line(f'{name} = {text}', 400)}"
    for need in plan.needs:
        yield f"   {'input':<10}{_need(need)}"
    if plan.pinned:
        yield f"   {'pinned':<10}{clean_line(plan.pinned, 400)}"
    if plan.missing:
        yield f"   needs the program {plan.missing}, which is not on the PATH"
    for warning in plan.warnings:
        yield f"   warning: {clean_line(warning, 500)}"


def _shell(plan: InstallPlan) -> str:
    return clean_line(shlex.join([plan.command or "", *plan.args]), 1000)


def _unprepared(plan: InstallPlan) -> str:
    source = plan.source
    what = "the bundle" if plan.unprepared == "mcpb" else "a virtual environment of its own"
    version = f" with {source.identifier}=={source.version}" if source and source.version else ""
    args = f", arguments {shlex.join(plan.args)}" if plan.args else ""
    shown = version if plan.unprepared == "venv" else " once it is downloaded, checked and unpacked"
    return clean_line(f"from {what}{shown}{args}", 600)


def _need(need: Need) -> str:
    marks = [
        "required" if need.required else "optional",
        *(["secret"] if need.secret else []),
        *([f"one of {', '.join(need.choices)}"] if need.choices else []),
        *([f"default {need.default}"] if need.default else []),
        *(["may be repeated"] if need.repeated else []),
    ]
    about = f": {need.description}" if need.description else ""
    return clean_line(f"{need.name} ({', '.join(marks)}){about}", 500)
