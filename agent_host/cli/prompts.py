"""`agent-host prompts`: the servers' prompts, listed, and filled in by hand.

What a prompt makes is shown and sent to no model; `chat` and its `/SERVER:PROMPT` do that.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from agent_host.cli.columns import columns
from agent_host.cli.live import enabled, with_servers
from agent_host.cli.offered import failure, say_problems
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.load import load
from agent_host.config.near import nearest
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.core.text import clean, clean_line
from agent_host.core.types import Message
from agent_host.servers.offers import PromptInfo
from agent_host.servers.pool import Pool
from agent_host.surfaces.invocations import shown_turn, usage


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the prompts of every server")
    listing.add_argument("--server", metavar="NAME", help="only this server")
    get = actions.add_parser("get", help="show the messages that a prompt makes")
    get.add_argument("server", metavar="SERVER")
    get.add_argument("name", metavar="NAME", help="as in `prompts list`")
    get.add_argument("pairs", nargs="*", metavar="KEY=VALUE", help="the prompt's arguments")
    for action in (listing, get):
        action.add_argument("--json", action="store_true", help="print JSON")
        add_trust_option(action)


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    given = _given(options.pairs) if options.action == "get" else {}
    loaded = load(options.config, os.environ)
    only = enabled(loaded, [options.server] if options.server else [])
    ensure_trusted(loaded, flag=options.trust)
    if options.action == "list":
        return with_servers(loaded, only, lambda pool: _list(pool, options))
    return with_servers(loaded, only, lambda pool: _get(pool, options, given), acting=True)


def _given(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if not pair.partition("=")[0] or "=" not in pair:
            raise UsageError(f'"{clean_line(pair, 80)}" is no KEY=VALUE')
    return dict(pair.split("=", 1) for pair in pairs)


async def _list(pool: Pool, options: argparse.Namespace) -> int:
    prompts, problems = await pool.prompts(options.server)
    if options.json:
        sys.stdout.write(json.dumps([asdict(p) for p in prompts], indent=2) + "\n")
    elif prompts:
        rows = [(p.server, p.name, _arguments(p), _about(p)) for p in prompts]
        sys.stdout.write(columns(("server", "name", "arguments", "what it is"), rows) + "\n")
    else:
        sys.stderr.write("no prompts\n")
    return say_problems(pool, problems, asked=options.server is not None)


def _arguments(prompt: PromptInfo) -> str:
    return " ".join(a.name if a.required else f"[{a.name}]" for a in prompt.arguments)


def _about(prompt: PromptInfo) -> str:
    text = clean(prompt.description).strip() or clean(prompt.title).strip()
    return text.partition("\n")[0]


async def _get(pool: Pool, options: argparse.Namespace, given: Mapping[str, str]) -> int:
    prompts, problems = await pool.prompts(options.server)
    prompt = next((p for p in prompts if p.name == options.name), None)
    if prompt is not None:
        _check(prompt, given)
    elif (status := say_problems(pool, problems, asked=True)) != ExitStatus.DONE:
        return status
    elif prompts:
        names = [clean_line(p.name, 80) for p in prompts]
        where, name = clean_line(options.server, 80), clean_line(options.name, 80)
        raise UsageError(f'{where} has no prompt "{name}"{nearest(name, names)}')
    who = pool.principal
    messages = await pool.get_prompt(options.server, options.name, given, who)
    if not isinstance(messages, tuple):
        raise failure(pool, options.server, messages)
    if options.json:
        sys.stdout.write(json.dumps([asdict(m) for m in messages], indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_shown(message) for message in messages) + "\n")
    return ExitStatus.DONE


def _check(prompt: PromptInfo, given: Mapping[str, str]) -> None:
    names = [argument.name for argument in prompt.arguments]
    for name in given:
        if name not in names:
            shown = clean_line(name, 80)
            near = nearest(shown, [clean_line(n, 80) for n in names])
            raise UsageError(f'the prompt has no argument "{shown}"{near}; as in {usage(prompt)}')
    for argument in prompt.arguments:
        if argument.required and argument.name not in given:
            name = clean_line(argument.name, 80)
            raise UsageError(f"the prompt needs {name}; as in {usage(prompt)}")


def _shown(message: Message) -> str:
    lines = clean(shown_turn(message)).rstrip().split("\n")
    return "\n".join([f"{message.role}:", *(f"  {line}".rstrip() for line in lines)])
