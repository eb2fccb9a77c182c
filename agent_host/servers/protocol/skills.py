"""Skills that servers publish, read only when somebody wants one, and checked before use.

Theory of operation: `skills/list` gives entries: where a `SKILL.md` is, what its frontmatter says,
and size and SHA-256 of each of the skill's files. Nothing is fetched then. What is fetched later
must be what the entry says: another size or digest, or a frontmatter that differs in any field, and
the file is refused. A skill whose files are `dynamic` has no digests, and is shown as unverified.
YAML is read without aliases and tags, so that it cannot grow or make objects. Source: SEP-2640.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from agent_host.core.context import deeper_than
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.servers.frames import sound

MAX_SKILLS = 500
MAX_FILES = 1000
"""Files of one skill."""
MAX_SKILL_FILE = 4 * 1024 * 1024
"""Bytes of one file."""
MAX_FRONTMATTER = 64 * 1024
MAX_DEPTH = 20
ROOT = "SKILL.md"
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillFile:
    """A file of a skill, as its entry has it; `size` in bytes."""

    uri: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """A skill as its server lists it. `files`: None if the server makes them up as it goes, so
    that nothing can be verified."""

    server: str
    name: str
    description: str
    uri: str
    frontmatter: JsonObject
    files: Mapping[str, SkillFile] | None


def read_skills(server: str, raw: Iterable[Any], problems: list[str]) -> tuple[Skill, ...]:
    """The sound entries of a list; why others are left out goes to `problems`."""
    found: dict[str, Skill] = {}
    for item in raw:
        skill = _skill(server, item)
        if isinstance(skill, str):
            problems.append(skill)
        elif skill.name in found:
            problems.append(f"the skill {skill.name} is listed more than once; the first counts")
        elif len(found) >= MAX_SKILLS:
            problems.append(f"it has more than {MAX_SKILLS} skills; the rest is left out")
            break
        else:
            found[skill.name] = skill
    return tuple(found.values())


def _skill(server: str, item: Any) -> Skill | str:
    held = item.get("frontmatter") if isinstance(item, dict) else None
    if not isinstance(held, dict) or not isinstance(item.get("uri"), str):
        return "a skill without URI or frontmatter is left out"
    name, description, uri = held.get("name"), held.get("description"), item["uri"]
    if not isinstance(name, str) or not _NAME.match(name) or len(name) > 64:
        return f"a skill named {clean_line(str(name), 80)}: the name is not legal; left out"
    path = _path(uri)
    if path is None or not uri.endswith(f"/{ROOT}") or path[:-1][-1:] != [name]:
        return f"the skill {name}: its URI is not that of its {ROOT}; left out"
    if not isinstance(description, str) or deeper_than(held, MAX_DEPTH):
        return f"the skill {name}: its frontmatter is not sound; left out"
    files = item.get("resources")
    listed = None if files == "dynamic" else _files(uri, files)
    if listed is None and files != "dynamic":
        return f"the skill {name}: its list of files is not sound; left out"
    return Skill(
        server=server,
        name=name,
        description=sound(description[:4000]),
        uri=uri,
        frontmatter=held,
        files=listed,
    )


def _files(uri: str, raw: Any) -> dict[str, SkillFile] | None:
    """The files of a skill by URI, or None if the list is not as it must be."""
    if not isinstance(raw, list) or len(raw) > MAX_FILES:
        return None
    folder = uri.removesuffix(ROOT)
    files: dict[str, SkillFile] = {}
    for item in raw:
        place = item.get("uri") if isinstance(item, dict) else None
        if not isinstance(place, str) or place in files or not place.startswith(folder):
            return None
        digest, size = item.get("digest"), item.get("size")
        if not isinstance(digest, str) or not _DIGEST.match(digest) or _path(place) is None:
            return None
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SKILL_FILE:
            return None
        files[place] = SkillFile(uri=place, digest=digest, size=size)
    return files if uri in files else None


def _path(uri: str) -> list[str] | None:
    """Authority and path of a URI as segments, or None if they are no plain way down."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    segments = [unquote(s) for s in (parts.netloc, *parts.path.split("/")) if s]
    bad = any(s in (".", "..") or "/" in s or "\\" in s for s in segments)
    return None if bad or not parts.scheme or not segments else segments


def verified(skill: Skill, uri: str, contents: Any) -> str:
    """The text of a skill's file out of a raw `resources/read` result. Raises ValueError, which
    says why it is not used."""
    data = _data(uri, contents)
    if skill.files is not None:
        entry = skill.files[uri]
        if len(data) != entry.size:
            raise ValueError(f"it has {len(data)} bytes and not {entry.size}, as its entry says")
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != entry.digest:
            raise ValueError("its SHA-256 is not the one that its entry says")
    text = data.decode("utf-8", "replace")
    if uri == skill.uri and (problem := _differs(skill, text)):
        raise ValueError(problem)
    return text


def _data(uri: str, contents: Any) -> bytes:
    """The bytes of the one resource that was asked for."""
    items = contents if isinstance(contents, list) else []
    item = next((i for i in items if isinstance(i, dict) and i.get("uri") == uri), None)
    if item is None:
        raise ValueError("the server answered with something else")
    if isinstance(item.get("text"), str):
        try:
            return bytes(item["text"], "utf-8")
        except UnicodeEncodeError:
            raise ValueError("it is not valid Unicode") from None
    if isinstance(item.get("blob"), str):
        return base64.b64decode(item["blob"], validate=True)
    raise ValueError("it has no content")


def _differs(skill: Skill, text: str) -> str:
    """How a SKILL.md's frontmatter differs from its entry, or nothing."""
    head, found, rest = text.removeprefix("\ufeff").partition("---")
    front, end, _ = rest.partition("\n---")
    if head.strip() or not found or not end or len(front) > MAX_FRONTMATTER:
        return f"its {ROOT} begins with no frontmatter"
    try:
        held = yaml.load(front, Loader=_Plain)  # noqa: S506  # a SafeLoader that allows less
        same = _canonical(held) == _canonical(skill.frontmatter)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return f"the frontmatter of its {ROOT} cannot be read"
    return "" if same else f"the frontmatter of its {ROOT} is not what its entry says"


def _canonical(value: Any) -> str:
    """JSON in which equal values are equal text; 1 and true are not."""
    return json.dumps(value, sort_keys=True, allow_nan=False)


class _Plain(yaml.SafeLoader):
    """YAML as JSON has values: no aliases, no timestamps, no tags that make other types."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """See yaml."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


_Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
