"""What a server says its tools are, judged one by one.

Theory of operation: each raw definition becomes a Tool, or a stated reason why it is withheld; one
bad definition never costs the others. Names are the protocol's (`[A-Za-z0-9_.-]`, at most 128
characters; MCP 2026-07-28, server/tools), so no look-alike letters; a name that appears twice is
withheld both times, because nobody can say which is meant. A missing or empty input schema means
an object, and the usual mistakes in a schema are put right (`mending`). A schema with hidden
characters in what a model has to repeat exactly is withheld. Only what identifies a tool is kept:
name, description, schemas, annotations, labels (see `labelling`); icons are never fetched.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from agent_host.core.catalogue import fingerprint
from agent_host.core.hidden import hidden_name
from agent_host.core.text import clean_line
from agent_host.core.types import Annotations, JsonObject, Tool
from agent_host.servers.frames import sound
from agent_host.servers.spec import Spec
from agent_host.servers.tools.labelling import labels_in
from agent_host.servers.tools.mending import mended
from agent_host.servers.tools.validation import Checker
from agent_host.servers.tools.vetting import SchemaError

MAX_TOOLS = 2000
MAX_DEFINITION = 64 * 1024
"""Characters of JSON of one definition."""
PROBLEMS_KEPT = 50
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")


class WithheldError(ValueError):
    """Why a definition is not offered; the text is clean."""


def read_definitions(spec: Spec, raw: Iterable[Any], problems: list[str]) -> Iterator[Tool]:
    """Yield the sound tools of a raw list; what is withheld goes to `problems`, with a reason."""
    items = list(raw)
    if len(items) > MAX_TOOLS:
        problems.append(f"it has {len(items)} tools; those after {MAX_TOOLS} are left out")
        items = items[:MAX_TOOLS]
    names = Counter(item.get("name") for item in items if _named(item))
    twice = {name for name, count in names.items() if count > 1}
    problems += [
        f"{clean_line(name, 80)}: the name appears more than once; all are withheld"
        for name in sorted(twice)
    ]
    for item in items:
        try:
            tool = read_definition(spec, item)
        except WithheldError as reason:
            problems.append(str(reason))
        else:
            if tool.tool not in twice:
                yield tool


def read_definition(spec: Spec, item: Any) -> Tool:
    """A raw definition as a Tool without its exposed name. Raises WithheldError."""
    if not _named(item):
        raise WithheldError("a tool without a name is withheld")
    label = clean_line(item["name"], 80) or '""'
    if not _NAME.match(item["name"]):
        label = label.encode("ascii", "backslashreplace").decode()  # shows look-alike letters
        raise WithheldError(f"{label}: the name is not legal; the tool is withheld")
    schema = item.get("inputSchema")
    input_schema = schema if isinstance(schema, dict) and schema else {"type": "object"}
    output = item.get("outputSchema")
    description = item.get("description")
    tool = Tool(
        name="",
        server=spec.name,
        tool=item["name"],
        description=sound(description) if isinstance(description, str) else "",
        input_schema={"type": "object", **input_schema},
        output_schema=output if isinstance(output, dict) and output else None,
        annotations=_annotations(item),
        trusted=spec.trust_annotations,
        parallel=spec.parallel,
    )
    _check_size(label, tool)
    tool = _checked(label, tool)
    return replace(tool, fingerprint=fingerprint(tool))


def _named(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str)


def _annotations(item: JsonObject) -> Annotations:
    raw = item.get("annotations")
    hints: JsonObject = raw if isinstance(raw, dict) else {}

    def hint(key: str) -> bool | None:
        value = hints.get(key)
        return value if isinstance(value, bool) else None

    shown = hints.get("title") if isinstance(hints.get("title"), str) else item.get("title")
    return Annotations(
        title=sound(shown[:300]) if isinstance(shown, str) else None,
        read_only=hint("readOnlyHint"),
        destructive=hint("destructiveHint"),
        idempotent=hint("idempotentHint"),
        open_world=hint("openWorldHint"),
        labels=labels_in(item),
    )


def _check_size(label: str, tool: Tool) -> None:
    try:
        text = json.dumps(
            [tool.description, tool.input_schema, tool.output_schema], ensure_ascii=False
        )
        text.encode()
    except RecursionError:
        raise WithheldError(f"{label}: the definition is nested too deeply; withheld") from None
    except UnicodeEncodeError:
        raise WithheldError(f"{label}: the definition is not valid Unicode; withheld") from None
    if len(text) > MAX_DEFINITION:
        limit = MAX_DEFINITION >> 10
        raise WithheldError(f"{label}: the definition is larger than {limit} KiB; withheld")


def _checked(label: str, tool: Tool) -> Tool:
    """The tool with schemas that can be used. Raises WithheldError."""
    input_schema = _usable(f"{label}: input schema", tool.input_schema)
    if input_schema.get("type") != "object":
        raise WithheldError(f"{label}: its input schema is not of type object; withheld")
    if (hidden := hidden_name(input_schema)) is not None:
        shown = clean_line(hidden, 80)
        raise WithheldError(f"{label}: its input schema hides characters in {shown!r}; withheld")
    output_schema = tool.output_schema
    if output_schema is not None:
        output_schema = _usable(f"{label}: output schema", output_schema)
    return replace(tool, input_schema=input_schema, output_schema=output_schema)


def _usable(what: str, schema: JsonObject) -> JsonObject:
    """The schema, or the schema with its mistakes put right. Raises WithheldError."""
    try:
        Checker(schema)
    except SchemaError as error:
        reason = error
    else:
        return schema
    try:
        better: JsonObject = mended(schema)
        if better != schema:
            Checker(better)
            return better
    except (SchemaError, RecursionError):
        pass
    raise WithheldError(f"{what}: {reason}; withheld")
