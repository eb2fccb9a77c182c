"""Write docs/reference/ from the code itself; with --check, compare instead and say what is old.

Theory of operation: each page is a function that returns its text, in the table PAGES. The help
of a command is what the installed command prints, 80 columns wide; which commands there are is
asked of the parsers. The events come from the source text, because annotations there keep the
names (`StopReason`, `JsonObject`) that a reader looks up further down the page. Help texts are
laid out differently by other Python versions than 3.11, which the pages are made with: there,
--check leaves that page out and says so.
"""

import argparse
import ast
import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
MADE_WITH = (3, 11)
NOTE = "<!-- Made by scripts/make_reference.py; do not edit. -->\n"


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, ...]]:
    """The names of every command below a parser, depth first, as words."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, below in action.choices.items():
                yield (name,)
                for words in subcommands(below):
                    yield (name, *words)


def command_words() -> list[tuple[str, ...]]:
    """Every command, `agent-host` itself first (no words), in the order of the command table."""
    table = importlib.import_module("agent_host.cli.main").COMMANDS
    found: list[tuple[str, ...]] = [()]
    for name, (module_name, _) in table.items():
        module = importlib.import_module(module_name)
        parser = argparse.ArgumentParser(prog=name)
        module.configure(parser)
        found.append((name,))
        found += [(name, *words) for words in subcommands(parser)]
    return found


def help_of(words: tuple[str, ...]) -> str:
    """What `agent-host WORDS --help` prints. RuntimeError when that fails."""
    environ = dict(os.environ) | {"COLUMNS": "80", "NO_COLOR": "1"}
    environ["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "agent_host", *words, "--help"]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} --help ended with {done.returncode}: {done.stderr}")
    return done.stdout


def commands() -> str:
    """The help of every command."""
    every = command_words()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        helps = list(pool.map(help_of, every))
    parts = [NOTE, "# Commands\n"]
    for words, text in zip(every, helps, strict=True):
        title = " ".join(("agent-host", *words))
        parts.append(f"{'#' * min(len(words) + 1, 4)}# {title}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


def config() -> str:
    """Every key of servers.toml, as the config room describes it."""
    text: str = importlib.import_module("agent_host.config.reference").reference()
    return f"{NOTE}\n{text.rstrip()}\n"


def first_literal(node: ast.ClassDef) -> str | None:
    """The default of a dataclass's `type` field: what it is called in JSON."""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == "type" and item.value:
            return str(ast.literal_eval(item.value))
    return None


def describe_class(node: ast.ClassDef) -> str:
    """A dataclass: its name in JSON, its docstring and its fields."""
    kind = first_literal(node)
    title = f"`{kind}` ({node.name})" if kind else node.name
    lines = [f"### {title}\n", f"{ast.get_docstring(node) or ''}\n"]
    rows = [
        f"| `{ast.unparse(item.target)}` | `{cell(item.annotation)}` | "
        f"{f'`{cell(item.value)}`' if item.value else 'required'} |"
        for item in node.body
        if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) != "type"
    ]
    if rows:
        lines += ["| field | type | default |\n|---|---|---|", *rows, ""]
    return "\n".join(lines)


def cell(node: ast.expr) -> str:
    """Source text that may stand in a cell of a Markdown table."""
    return ast.unparse(node).replace("|", "\\|").replace("'", '"')


def names_of(tree: ast.Module) -> dict[str, tuple[ast.expr, str]]:
    """The module's own type names (`Decision = Literal[...]`): value and docstring."""
    found = {}
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(node, ast.Assign):
            continue
        said = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            said = " ".join(str(after.value.value).split())
        found[ast.unparse(node.targets[0])] = (node.value, said)
    return found


def mentioned(node: ast.AST) -> set[str]:
    """The names that occur in the fields of a class, or in an expression."""
    roots: list[ast.AST] = [node]
    if isinstance(node, ast.ClassDef):
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
        roots = [part for item in fields for part in (item.annotation, item.value) if part]
    return {name.id for root in roots for name in ast.walk(root) if isinstance(name, ast.Name)}


def reached(start: set[str], definitions: dict[str, ast.AST]) -> set[str]:
    """The definitions that are needed to understand the first ones, those included."""
    found: set[str] = set()
    wanted = set(start)
    while wanted := (wanted & definitions.keys()) - found:
        found |= wanted
        wanted = {name for each in wanted for name in mentioned(definitions[each])}
    return found


def events() -> str:
    """Every fact and everything shown, with the values they hold."""
    room = importlib.import_module("agent_host.core.events")
    modules = (importlib.import_module("agent_host.core.types"), room)
    trees = [ast.parse(inspect.getsource(module)) for module in modules]
    classes = {
        node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)
    }
    names = names_of(trees[0]) | names_of(trees[1])
    facts = [kind.__name__ for kind in room.Event.__args__]
    shown = [kind.__name__ for kind in room.Ephemeral.__args__]
    own = {"Record", *facts, *shown}
    definitions: dict[str, ast.AST] = {name: value for name, (value, _) in names.items()}
    needed = reached(own, definitions | classes)
    parts = [
        NOTE,
        f"# Events\n\n{inspect.getdoc(room)}\n\nSchema version: {room.SCHEMA}.\n",
        describe_class(classes["Record"]),
        "## Facts: recorded in the transcript\n",
        *(describe_class(classes[name]) for name in facts),
        "## Ephemera: shown, never recorded\n",
        *(describe_class(classes[name]) for name in shown),
        "## Values\n",
        *(describe_class(classes[name]) for name in classes if name in needed - own),
        "## Names\n",
    ]
    for name, (value, said) in names.items():
        if name in needed:
            text = ast.unparse(value).replace("'", '"')
            parts.append(f"- `{name}` = `{text}`{f': {said}' if said else ''}")
    return "\n".join(parts) + "\n"


def config_schema() -> dict[str, Any]:
    """The JSON Schema of servers.toml, for editors."""
    schema: dict[str, Any] = importlib.import_module("agent_host.config.reference").json_schema()
    return schema


def stream_schema() -> dict[str, Any]:
    """The JSON Schema of a line of stream-json."""
    schema: dict[str, Any] = importlib.import_module("agent_host.surfaces.schema").stream_schema()
    return schema


def as_json(value: object) -> str:
    """Readable JSON that is the same on every machine."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def references(value: object) -> Iterator[str]:
    """The names of the definitions that a schema refers to."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key == "$ref":
                yield str(below).removeprefix("#/$defs/")
            else:
                yield from references(below)
    elif isinstance(value, list):
        for below in value:
            yield from references(below)


def record_schema() -> dict[str, Any]:
    """The JSON Schema of a line of a transcript: the part of stream-json that is recorded."""
    schema = stream_schema()
    version = importlib.import_module("agent_host.core.events").SCHEMA
    definitions = schema["$defs"]
    root = "RecordLine"
    wanted, found = [root], {root}
    while wanted:
        for name in references(definitions[wanted.pop()]):
            if name not in found:
                found.add(name)
                wanted.append(name)
    return {
        "$schema": schema["$schema"],
        "$id": f"urn:agent-host:transcript:{version}",
        "title": "A line of a transcript",
        "$ref": f"#/$defs/{root}",
        "$defs": {name: older(value) for name, value in definitions.items() if name in found},
    }


def older(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition that also takes what an earlier program of the same schema wrote: it did not
    know fields that were added since, each with a default."""
    required, properties = definition.get("required"), definition.get("properties", {})
    if required is None:
        return definition
    kept = [name for name in required if "default" not in properties[name]]
    return {**{k: v for k, v in definition.items() if k != "required"}, "required": kept}


def chat() -> str:
    """Every command of a chat, as its table describes it."""
    text: str = importlib.import_module("agent_host.surfaces.commands_table").reference()
    return f"{NOTE}\n{text.rstrip()}\n"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "chat.md": chat,
    "config.md": config,
    "events.md": events,
    "servers.schema.json": lambda: as_json(config_schema()),
    "events.schema.json": lambda: as_json(record_schema()),
    "stream-json.schema.json": lambda: as_json(stream_schema()),
}


def outdated(folder: Path) -> list[str]:
    """The pages that differ from what the code says, and files that no page makes."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    wrong = [f"{name}: no page of that name is made" for name in names if name not in PAGES]
    for name, make in PAGES.items():
        if name == "commands.md" and sys.version_info[:2] != MADE_WITH:
            sys.stdout.write(f"{name}: only compared under Python {MADE_WITH[0]}.{MADE_WITH[1]}\n")
        elif name not in names:
            wrong.append(f"{name}: missing")
        elif (folder / name).read_text(encoding="utf-8") != make():
            wrong.append(f"{name}: not what the code says")
    return wrong


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them; 1 when one is old."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    if options.check:
        wrong = outdated(REFERENCE)
        for line in wrong:
            sys.stdout.write(f"docs/reference/{line}; run: python scripts/make_reference.py\n")
        return 1 if wrong else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
