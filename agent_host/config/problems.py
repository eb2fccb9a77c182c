"""What is wrong with a config, as one sentence that names the line and what to do.

Theory of operation: pydantic says what is wrong as an error type and a path. The path gives the
line; the type gives the sentence; an unknown key gets the nearest known key of its table. Values
are quoted only where a secret cannot be.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from agent_host.config.lines import KeyPath, line_of, locate
from agent_host.config.near import nearest
from agent_host.config.rows import keys_at
from agent_host.config.schema import table_at
from agent_host.config.values import NAME
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line

_EXPECTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "an array [...]",
    "dict_type": "a table",
    "model_type": "a table",
}
_SECRET_TABLES = ("env", "headers")
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "text"),
    (list, "an array"),
    (dict, "a table"),
)


def dotted(path: KeyPath) -> str:
    """Return `path` as it is written in TOML; array items as `rules[2]`, counted from 1."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
            continue
        plain = part.replace("-", "").replace("_", "")
        legal = plain.isascii() and plain.isalnum()
        text += ("." if text else "") + (part if legal else json.dumps(part))
    return text


def sentences(errors: Iterable[Any]) -> list[tuple[KeyPath, str]]:
    """Return what pydantic's errors say, each with its place."""
    return [_sentence(details) for details in errors]


def explain(problems: Iterable[tuple[KeyPath, str]], text: str, file: str) -> ConfigError:
    """Return the first problem, by line, of a file as an error; further ones are counted."""
    lines = locate(text)
    found = sorted({(line_of(lines, path), sentence) for path, sentence in problems})
    line, sentence = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ConfigError(f"{file}:{line}: {clean_line(sentence, 600)}{more}")


def explain_override(error: ValidationError, origins: Mapping[KeyPath, str]) -> ConfigError:
    """Return the first problem of a value from the environment or the command line."""
    details = error.errors(include_url=False)[0]
    path, sentence = _sentence(details)
    origin = origins.get(path, "the command line")
    return ConfigError(f"{origin}: {clean_line(sentence)}")


def _sentence(details: Any) -> tuple[KeyPath, str]:
    path: KeyPath = tuple(part for part in details["loc"] if part != "[key]")
    kind = details["type"]
    if kind == "extra_forbidden":
        return path, _unknown_key(path)
    if kind == "missing":
        return path, f'{_table(path[:-1])} needs the key "{path[-1]}"'
    name = dotted(path) or "the file"
    if kind == "value_error":
        return path, f"{name} {details['ctx']['error']}"
    if kind == "string_pattern_mismatch" and details["ctx"]["pattern"] == NAME:
        return path, (
            f"{name} is not a name: use letters, digits, dot, hyphen and underscore, "
            "64 at most, a letter or digit first"
        )
    got = _got(path, details.get("input"))
    if kind in _EXPECTED:
        return path, f"{name} must be {_EXPECTED[kind]}, not {got}"
    if kind == "literal_error":
        expected = details["ctx"]["expected"].replace("'", '"')
        return path, f"{name} must be {expected}, not {got}{_guess(details)}"
    if kind == "too_short":
        return path, f"{name} must not be empty"
    message = details["msg"].removeprefix("Input should ").removeprefix("Value should ")
    return path, f"{name} should {message}, not {got}"


def _guess(details: Any) -> str:
    known = [
        word.strip(" '") for word in details["ctx"]["expected"].replace(" or ", ",").split(",")
    ]
    given = details.get("input")
    close = nearest(given, known) if isinstance(given, str) else ""
    return close if close.startswith("; did") else ""


def _unknown_key(path: KeyPath) -> str:
    table, key = path[:-1], str(path[-1])
    model = table_at(table)
    known = list(model.model_fields) if model else keys_at(table) or []
    return f"unknown key {dotted((key,))} in {_table(table)}{nearest(key, known)}"


def _table(path: KeyPath) -> str:
    return f"[{dotted(path)}]" if path else "the top of the file"


def _got(path: KeyPath, value: Any) -> str:
    kind = next((name for type_, name in _KINDS if isinstance(value, type_)), "that")
    if path[-1:] == ("api_key",) or any(part in _SECRET_TABLES for part in path[:-1]):
        return kind
    if isinstance(value, str | bool | int | float):
        shown = (
            json.dumps(value, ensure_ascii=False) if not isinstance(value, float) else str(value)
        )
        return f"{kind if isinstance(value, str) else ''} {clean_line(shown, 60)}".strip()
    return kind
