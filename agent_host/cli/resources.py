"""`agent-host resources`: the servers' resources, listed and read.

A resource is read through its own server, and what it holds goes where it is wanted: to a terminal
as cleaned text, never as raw bytes; into a pipe or a file exactly as it is.
"""

import argparse
import base64
import binascii
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from agent_host.cli.columns import columns
from agent_host.cli.live import enabled, with_servers
from agent_host.cli.offered import failure, say_problems
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.load import load
from agent_host.core.errors import AgentHostError, ExitStatus, UsageError
from agent_host.core.text import clean, clean_line
from agent_host.core.types import Content, Resource, Text
from agent_host.servers.offers import ResourceInfo
from agent_host.servers.pool import Pool


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the resources of every server")
    listing.add_argument("--server", metavar="NAME", help="only this server")
    read = actions.add_parser(
        "read",
        help="read a resource",
        description="Read a resource. At a terminal its text is shown with what is unsafe to "
        "show made visible; a pipe or a file gets it as it is.",
    )
    read.add_argument("server", metavar="SERVER")
    read.add_argument("uri", metavar="URI", help="as in `resources list`")
    forms = read.add_mutually_exclusive_group()
    forms.add_argument("--output", metavar="FILE", help="write what it holds into a file")
    for action, place in ((listing, listing), (read, forms)):
        place.add_argument("--json", action="store_true", help="print JSON")
        add_trust_option(action)


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    loaded = load(options.config, os.environ)
    only = enabled(loaded, [options.server] if options.server else [])
    ensure_trusted(loaded, flag=options.trust)
    if options.action == "list":
        return with_servers(loaded, only, lambda pool: _list(pool, options))
    # Written when the servers are gone: what writes bytes cannot look for secrets in text.
    content = with_servers(loaded, only, lambda pool: _read(pool, options), acting=True)
    if options.json:
        sys.stdout.write(json.dumps([asdict(block) for block in content], indent=2) + "\n")
    elif options.output is not None:
        _save(content, options)
    elif sys.stdout.isatty():
        sys.stdout.write("\n".join(map(_shown, content)).rstrip("\n") + "\n")
    else:
        sys.stdout.buffer.write(b"".join(map(_bytes, content)))
        sys.stdout.buffer.flush()
    return ExitStatus.DONE


async def _list(pool: Pool, options: argparse.Namespace) -> int:
    resources, problems = await pool.resources(options.server)
    if options.json:
        sys.stdout.write(json.dumps([asdict(r) for r in resources], indent=2) + "\n")
    elif resources:
        rows = [
            (r.server, r.uri, r.media_type, "" if r.size is None else r.size, _about(r))
            for r in resources
        ]
        headers = ("server", "uri", "type", "bytes", "what it is")
        sys.stdout.write(columns(headers, rows) + "\n")
        if any(r.template for r in resources):
            sys.stderr.write("a URI with braces stands for many: fill them in\n")
    else:
        sys.stderr.write("no resources\n")
    return say_problems(pool, problems, asked=options.server is not None)


def _about(resource: ResourceInfo) -> str:
    description = clean(resource.description).strip().partition("\n")[0]
    return resource.title or description or resource.name


async def _read(pool: Pool, options: argparse.Namespace) -> tuple[Content, ...]:
    content = await pool.read_resource(options.server, options.uri, pool.principal)
    if not isinstance(content, tuple):
        raise failure(pool, options.server, content)
    return content


def _save(content: tuple[Content, ...], options: argparse.Namespace) -> None:
    if len(content) != 1:
        raise UsageError(
            f"the resource holds {len(content)} parts, which no one file can be; --json shows them"
        )
    data = _bytes(content[0])
    try:
        Path(options.output).write_bytes(data)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        name = clean_line(options.output, 200)
        raise UsageError(f"{name} cannot be written: {why}; name another file") from None
    sys.stderr.write(f"{len(data):,} bytes written to {clean_line(options.output, 200)}\n")


def _bytes(block: Content) -> bytes:
    """What a block holds, exactly."""
    if isinstance(block, Text):
        return block.text.encode("utf-8", "surrogatepass")
    if isinstance(block, Resource) and block.text is not None:
        return block.text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(block.data or "", validate=True)
    except (binascii.Error, ValueError):
        raise AgentHostError(
            "what the server sent is not valid base64; --json shows it as it came"
        ) from None


def _shown(block: Content) -> str:
    if isinstance(block, Text):
        return clean(block.text)
    if isinstance(block, Resource) and block.text is not None:
        return clean(block.text)
    kind = clean_line(block.media_type or "unknown type", 80)
    size = len(block.data or "") * 3 // 4
    return f"({kind}, {size:,} bytes; --output FILE writes it)"
