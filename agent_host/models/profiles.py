"""What is special about a provider that speaks a dialect: rows of `profiles.toml`, not code."""

import tomllib
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

CallIds = Literal["any", "short", "mistral"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The quirks of one provider and model.

    `max_tokens_field`: the name of the limit of the answer. `call_ids`: what ids of calls the
    provider takes (`short`: 40 characters; `mistral`: exactly 9 letters and digits).
    `echo_reasoning`: reasoning returns as `reasoning_content`, empty for turns of another origin.
    `thought_signature`: what stands in for the signature of another origin's call.
    `max_tools`: how many tools one request may offer, 0 for no limit.
    """

    max_tokens_field: str = "max_tokens"
    call_ids: CallIds = "any"
    echo_reasoning: bool = False
    thought_signature: str = ""
    max_tools: int = 0


@cache
def _rows() -> list[dict[str, Any]]:
    text = Path(__file__).with_name("profiles.toml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = tomllib.loads(text)["profile"]
    return rows


def find(base_url: str, model: str) -> Profile:
    """Return the profile of a model behind a base URL."""
    host = (urlsplit(base_url).hostname or "").lower()
    profile = Profile()
    known = {field.name for field in fields(Profile)}
    for row in _rows():
        if not any(fnmatchcase(host, glob) for glob in row["hosts"]):
            continue
        if any(fnmatchcase(model.lower(), glob) for glob in row.get("models", ["*"])):
            profile = replace(profile, **{key: row[key] for key in known & row.keys()})
    return profile
