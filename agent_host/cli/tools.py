"""`agent-host tools`: the servers' tools, listed, searched, shown, checked for a model, called.

A call by hand is no run: policy is not asked, because the human who would be asked has typed the
call (but see `host.by_hand`), and no transcript is written; the audit log has it. Arguments are
validated as a model's are.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from agent_host.cli.arguments import add_arguments, arguments_of, check_given
from agent_host.cli.asked import call_asking, can_ask
from agent_host.cli.columns import columns
from agent_host.cli.live import complain, enabled, with_servers
from agent_host.cli.offered import down_status
from agent_host.cli.tools_check import check, configure_check
from agent_host.cli.tools_search import configure_search, search
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.choose import ModelChoice, choose_model
from agent_host.config.load import Loaded, load
from agent_host.config.near import nearest
from agent_host.core.catalogue import exposed_name
from agent_host.core.errors import AgentHostError, ExitStatus, UnavailableError, UsageError
from agent_host.core.text import clean, clean_line
from agent_host.core.types import (
    Audio,
    Content,
    Image,
    JsonObject,
    Principal,
    Text,
    Tool,
    ToolResult,
)
from agent_host.host.audit import HandCall
from agent_host.host.by_hand import CALL, TypedCall
from agent_host.host.secrets import Secrets
from agent_host.ports import CallContext
from agent_host.profiles.adapters import WITHOUT_PROVIDER
from agent_host.records.redact import Redactor
from agent_host.servers.pool import Pool


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the tools of every server")
    show = actions.add_parser("show", help="show one tool's definition")
    call = actions.add_parser(
        "call",
        help="call a tool by hand",
        description="Call a tool by hand. You typed it, so policy is not asked, unless there is an "
        "organisation's file; it is no run, so it has no transcript, only entries in the audit "
        "log.",
    )
    configure_search(actions.add_parser("search", help="find tools by what they do"))
    configure_check(actions.add_parser("check", help="say what of the tools a model is told"))
    for action in (show, call):
        action.add_argument("name", metavar="NAME", help="as in `tools list`, or its own name")
    add_arguments(call)
    for action in (listing, show, call):
        action.add_argument("--server", metavar="NAME", help="only this server")
        action.add_argument("--json", action="store_true", help="print JSON")
        add_trust_option(action)


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    if options.action == "call":
        check_given(options)
    loaded = load(options.config, os.environ)
    model = _model(loaded, options.model) if options.action == "check" else None
    only = enabled(loaded, _asked(loaded, options))
    ensure_trusted(loaded, flag=options.trust)
    calling = options.action == "call"
    redactor = Redactor({})
    if calling:
        Secrets(os.environ, redactor).look(loaded)

    def audited(who: Principal) -> HandCall:
        return HandCall(loaded, os.environ, who, redactor)

    return with_servers(
        loaded,
        only,
        lambda pool: _execute(pool, loaded, options, model, audited),
        elicitation=calling and can_ask(),
        acting=calling,
        redactor=redactor,
    )


def _asked(loaded: Loaded, options: argparse.Namespace) -> list[str]:
    """The servers that matter; none for all. A tool's exposed name says whose it is, so that no
    other server is waited for or complained about."""
    if options.server:
        return [options.server]
    name = options.name if options.action in ("call", "show") else ""
    servers = loaded.config.servers.items()
    return [own for own, s in servers if s.enabled and name.startswith(f"{own}__")]


def _model(loaded: Loaded, name: str | None) -> ModelChoice:
    """The model to check for. Its key is not needed: nothing is sent to it."""
    origin = "--model" if name is not None else loaded.origin("model")
    model = choose_model(
        loaded.config, os.environ, loaded.profiles, name=name, origin=origin, usable=False
    )
    if model.adapter in WITHOUT_PROVIDER:
        raise UsageError(
            f"{clean_line(model.name, 80)} takes every tool as it is; say for which model to "
            "check, as in --model gemini"
        )
    return model


async def _execute(
    pool: Pool,
    loaded: Loaded,
    options: argparse.Namespace,
    model: ModelChoice | None,
    audited: Callable[[Principal], HandCall],
) -> int:
    complain(pool)
    if model is not None:
        profile = model.profile
        return check(pool, options, profile.schema, profile.max_tools, model.name)
    if options.action == "search":
        return search(pool, options)
    if options.action == "list":
        return _list(pool, as_json=options.json)
    tool = _find(pool, options.name)
    if options.action == "show":
        return _show(tool, pool.states().get(tool.name), as_json=options.json)
    return await _call(pool, loaded, tool, options, audited)


def _list(pool: Pool, *, as_json: bool) -> int:
    tools, states = pool.tools(), pool.states()
    if as_json:
        every = [_definition(t, states.get(name)) for name, t in tools.items()]
        sys.stdout.write(json.dumps(every, indent=2) + "\n")
    elif tools:
        rows = [
            (name, t.server, _hint(t), clean(t.description).strip().partition("\n")[0])
            for name, t in tools.items()
        ]
        sys.stdout.write(columns(("name", "server", "", "what it does"), rows, cell=80) + "\n")
    up = any(health.state == "connected" for health in pool.health())
    if not tools and up:
        sys.stderr.write("no server has any tools\n")
    if not pool.health():
        sys.stderr.write("no servers are configured\n")
    return ExitStatus.DONE if up or not pool.health() else down_status(pool)


def _hint(tool: Tool) -> str:
    """Say what a server's hints say, and whether the config believes them."""
    hints = tool.annotations
    if hints.read_only:
        said = "reads"
    elif hints.destructive:
        said = "destroys"
    elif hints.read_only is False:
        said = "changes"
    else:
        return ""
    return said if tool.trusted else f"{said}?"


def _definition(tool: Tool, state: str | None) -> JsonObject:
    return {
        "name": tool.name,
        "server": tool.server,
        "tool": tool.tool,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
        "annotations": asdict(tool.annotations),
        "annotations_trusted": tool.trusted,
        "fingerprint": tool.fingerprint,
        "state": state,
    }


_SINCE = {
    "new": ", first seen now",
    "known": ", as when it was first seen",
}


def _find(pool: Pool, name: str) -> Tool:
    """Return the tool with that exposed name, or the only one with that own name."""
    tools = pool.tools()
    if name in tools:
        return tools[name]
    own = [tool for tool in tools.values() if tool.tool == name]
    if len(own) == 1:
        return own[0]
    exposed = (name, *(exposed_name(health.name, name) for health in pool.health()))
    for one in exposed if not own else ():
        if (why := pool.withheld(one)) is not None:
            raise AgentHostError(f"failed (changed): {clean_line(why, 1000)}")
    if own:
        names = ", ".join(clean_line(tool.name) for tool in own)
        raise UsageError(f"several servers have that tool; say which: {names}")
    down = [h.name for h in pool.health() if h.state != "connected"]
    if down and not tools:
        raise UnavailableError(
            f"no server is up ({', '.join(map(clean_line, down))}); "
            "`agent-host servers test NAME` tells why",
            down_status(pool),
        )
    known = [clean_line(known, 80) for known in tools]
    raise UsageError(f'there is no tool "{clean_line(name, 80)}"{nearest(name, known)}')


def _show(tool: Tool, state: str | None, *, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps(_definition(tool, state), indent=2) + "\n")
        return ExitStatus.DONE
    lines = [
        f"{clean_line(tool.name)}  ({clean_line(tool.tool)} of {clean_line(tool.server)})",
        f"hints: {_hint(tool) or 'none'}{'' if tool.trusted else ' (not believed)'}",
        f"fingerprint: {tool.fingerprint[:16]}{_SINCE.get(state or '', '')}",
        "",
        clean(tool.description).strip(),
    ]
    rows = _parameters(tool.input_schema)
    if rows:
        lines += ["", columns(("argument", "type", "", "what it is"), rows)]
    schema = clean(json.dumps(tool.input_schema, indent=2, ensure_ascii=False))
    lines += ["", "input schema:", schema]
    sys.stdout.write("\n".join(lines) + "\n")
    return ExitStatus.DONE


def _parameters(schema: JsonObject) -> list[tuple[str, str, str, str]]:
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, dict):
        return []
    needed = required if isinstance(required, list) else []
    return [
        (name, _type(p), "needed" if name in needed else "", str(p.get("description", "")))
        for name, p in properties.items()
        if isinstance(p, dict)
    ]


def _type(schema: Mapping[str, Any]) -> str:
    if isinstance(schema.get("enum"), list):
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"][:8])
    kind = schema.get("type", "")
    return " | ".join(map(str, kind)) if isinstance(kind, list) else str(kind)


async def _call(
    pool: Pool,
    loaded: Loaded,
    tool: Tool,
    options: argparse.Namespace,
    audited: Callable[[Principal], HandCall],
) -> int:
    arguments = arguments_of(options, tool)
    problem = pool.validate(tool, arguments)
    if problem is not None:
        raise UsageError(f"{clean_line(tool.name)}: {clean_line(problem, 1000)}")
    context = CallContext(call_id=CALL, principal=pool.principal, progress=_progress)
    audit = audited(pool.principal)
    interactive = sys.stdin.isatty()
    typed = TypedCall(loaded, os.environ, tool, arguments, pool.principal, interactive=interactive)
    if typed.decided is not None:
        audit.judged(typed.decided, arguments)
    if typed.refused:
        said = (Text(text=f"not executed: {typed.refused}"),)
        audit.finished(ToolResult(call_id=CALL, content=said, error="denied"))
        sys.stderr.write(f"denied: {clean(typed.refused)}\n")
        return ExitStatus.REFUSED
    audit.started(tool, arguments)
    result = await call_asking(pool, tool, arguments, context)
    typed.ended(result.error)
    audit.finished(result)
    if options.json:
        sys.stdout.write(json.dumps(asdict(result), indent=2) + "\n")
    else:
        out = sys.stderr if result.error else sys.stdout
        out.write(_shown(result) + "\n")
    for health in pool.health() if result.error else ():
        if health.name == tool.server and health.hint:
            sys.stderr.write(f"{clean_line(health.name)}: {clean_line(health.hint, 600)}\n")
    match result.error:
        case None:
            return ExitStatus.DONE
        case "server_unavailable":
            return down_status(pool, tool.server)
        case _:
            return ExitStatus.FAILED


def _shown(result: ToolResult) -> str:
    # Whoever types the call is the user, so what is meant for the user alone is shown, too.
    parts = [_part(item) for item in (*result.for_user, *result.content)]
    if result.error:
        parts.insert(0, f"failed ({result.error}):")
    return "\n".join(parts) or "(an empty result)"


def _part(item: Content) -> str:
    match item:
        case Text():
            return clean(item.text)
        case Image() | Audio():
            kind = item.type
            return f"({kind}, {clean_line(item.media_type)}, {len(item.data) * 3 // 4} bytes)"
        case _:
            return clean(item.text) if item.text is not None else f"({clean_line(item.uri)})"


def _progress(done: float, total: float | None, message: str) -> None:
    if sys.stderr.isatty():
        of = f"/{total:g}" if total else ""
        sys.stderr.write(f"{done:g}{of} {clean_line(message, 80)}\n")
