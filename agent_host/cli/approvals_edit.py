"""Other arguments than the proposed ones: whole, one by one, or in an editor."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from agent_host.cli.approvals_answer import Answering, NotCountedError
from agent_host.core.errors import UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Tool
from agent_host.host import make_policy
from agent_host.records.reader import conversation
from agent_host.servers.tools.validation import Checker
from agent_host.servers.tools.vetting import SchemaError
from agent_host.surfaces.arguments import editable, parse_edited


def add_edit_options(parser: argparse.ArgumentParser) -> None:
    """Add the ways to change the arguments."""
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--args", metavar="JSON", help="approve these arguments instead")
    ways.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        help="change one argument (repeatable); KEY may be a path, as customer.name or items.0",
    )
    ways.add_argument("--edit", action="store_true", help="change the arguments in $EDITOR")


def edited(options: argparse.Namespace, to: Answering) -> JsonObject | None:
    """Return the arguments that were asked for, None if none were. Raises UsageError or
    NotCountedError for what cannot run."""
    proposed = to.one.waiting.arguments
    if options.args is not None:
        value = parse_edited(options.args)
        if isinstance(value, str):
            raise UsageError(f"--args: {value}")
    elif options.set:
        value = json.loads(json.dumps(proposed))
        for pair in options.set:
            _put(value, pair, _schema(to))
    elif options.edit:
        return _in_editor(to)
    else:
        return None
    problem = invalid(to, value)
    if problem is not None:
        raise NotCountedError(f"these arguments cannot run: {problem}")
    return value


def invalid(to: Answering, arguments: JsonObject) -> str | None:
    """Return why the tool's schema or policy refuses arguments; None if they do not, or the tool is
    not known here: the run looks again."""
    definition = to.one.waiting.definition
    if definition is None:
        return None
    try:
        problems = Checker(definition.input_schema).problems(arguments)
    except SchemaError:
        problems = ()
    return "; ".join(problems) or _denied(to, definition, arguments)


def _denied(to: Answering, tool: Tool, arguments: JsonObject) -> str | None:
    """Why policy denies a call of that run with these arguments; nothing is counted."""
    state = conversation(to.one.path)
    policy = make_policy(to.loaded, os.environ)
    answer = policy.explain(arguments, tool, state, state.principal).answer
    if answer.decision != "deny":
        return None
    why = f": {answer.reason}" if answer.reason else ""
    return f"policy denies this call (rule {answer.rule}){why}"


def _schema(to: Answering) -> JsonObject:
    definition = to.one.waiting.definition
    return {} if definition is None else definition.input_schema


def _put(arguments: JsonObject, pair: str, schema: JsonObject) -> None:
    """Change one value in place."""
    path, sign, text = pair.partition("=")
    if not path or not sign:
        raise UsageError(f"--set {clean_line(pair, 80)!r} is no KEY=VALUE")
    # A name with dots in it is one name where there is an argument of that name.
    names = [path] if path in arguments else path.split(".")
    place: Any = arguments
    for name in names[:-1]:
        place = _inside(place, name, pair)
    last = names[-1]
    properties = schema.get("properties")
    known = properties.get(last) if len(names) == 1 and isinstance(properties, dict) else None
    value = _typed(text, known)
    if isinstance(place, list):
        place[_index(place, last, pair)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise UsageError(f"--set {clean_line(pair, 80)!r}: there is nothing of that name inside")


def _inside(place: Any, name: str, pair: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, name, pair)]
    if isinstance(place, dict):
        return place.setdefault(name, {})
    raise UsageError(f"--set {clean_line(pair, 80)!r}: there is nothing of that name inside")


def _index(place: list[Any], name: str, pair: str) -> int:
    if not (name.isascii() and name.isdigit() and int(name[:9]) < len(place)):
        raise UsageError(f"--set {clean_line(pair, 80)!r}: the list has {len(place)} items, from 0")
    return int(name)


def _typed(text: str, schema: Any) -> Any:
    """Read a value as its schema says: text stays text, all else is JSON if it can be."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind == "string":
        return text
    value = parse_edited(f'{{"value": {text}}}')
    return text if isinstance(value, str) or list(value) != ["value"] else value["value"]


def _in_editor(to: Answering) -> JsonObject:
    """Let a person change the arguments in their editor until they fit, or give up."""
    text = editable(to.one.waiting.arguments) + "\n"
    with tempfile.TemporaryDirectory() as folder:  # 0700
        path = Path(folder) / "arguments.json"
        while True:
            path.write_text(text, encoding="utf-8")
            _run_editor(path)
            text = path.read_text(encoding="utf-8", errors="replace")
            value = parse_edited(text)
            problem = value if isinstance(value, str) else invalid(to, value)
            if problem is None and not isinstance(value, str):
                return value
            sys.stderr.write(f"these arguments cannot run: {clean_line(problem or '', 500)}\n")
            sys.stderr.write("edit again? [Y/n] ")
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line or line.strip().lower() in {"n", "no"}:
                raise NotCountedError("not approved; it waits as before")


def _run_editor(path: Path) -> None:
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        status = subprocess.run([*words, str(path)], check=False).returncode  # noqa: S603 - the user's own editor
    except OSError as error:
        raise UsageError(
            f"the editor {clean_line(words[0], 80)!r} cannot be started ({error.strerror}); set "
            "EDITOR, or use --set or --args"
        ) from None
    if status != 0:
        raise NotCountedError(f"the editor ended with status {status}, so nothing was approved")
