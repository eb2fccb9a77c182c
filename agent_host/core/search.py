"""Finding the tools of a large catalogue by words: BM25 over what tools say of themselves.

Theory of operation: a tool becomes one bag of stems, each with the weight of the best place where
it stands: own name, title, server, beginning of the description, arguments. A word counts once
however often it is said, and words of praise not at all: neither repeating a word nor calling
oneself the best moves a tool up. Scores are BM25 in its Lucene form (see `matching`). A word of the
query that no tool knows stands for those that begin as it does; verbs that mean the same stand for
each other at half weight. The bags of definitions that did not change are taken over when the
catalogue changes. Bounded: each text is cut before it is looked at.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent_host.core.matching import properties, stem, stems, word_set
from agent_host.core.types import Tool

PRAISE = frozenset(
    map(
        stem,
        word_set(
            "about agent ai api assistant call called function llm mcp model server tool use used "
            "using "
            "always amazing awesome best better correct critical essential excellent exclusively "
            "fast faster fastest favorite first good great ideal important instead latest "
            "mandatory most must never official only optimal perfect powerful preferred prefer "
            "primary priority recommended reliable secure superior top trusted ultimate verified"
        ),
    )
)
"""What a tool may say of itself without being found by it: praise, and what all say."""

_ALIKE = tuple(
    frozenset(map(stem, words.split()))
    for words in (
        "delete remove erase drop destroy",
        "create add new insert make",
        "update edit modify change set patch",
        "search find query lookup",
        "list enumerate browse",
        "read fetch retrieve load download",
        "write save store upload",
        "send post submit publish",
        "run execute invoke start launch",
        "stop cancel abort kill terminate",
        "folder directory dir",
        "picture image photo",
        "mail email message",
        "repo repository",
    )
)
_SYNONYMS: Mapping[str, frozenset[str]] = {word: group for group in _ALIKE for word in group}
_DESCRIPTION = 600
_ARGUMENTS = 1500
_VALUES = 10
_K1 = 1.2
_B = 0.3
_LEAST_TOOLS = 8
_PREFIX = 4
"""Letters that a word must have to stand for those that begin with it."""
_WIDENED = 20


@dataclass(frozen=True, slots=True)
class Found:
    """The best tools, best first, and how many there are in all."""

    tools: tuple[Tool, ...]
    total: int


class ToolSearch:
    """Searches one catalogue. `tools` may be given anew when they changed."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._bags: dict[tuple[str, str, str], dict[str, float]] = {}
        self._tools: tuple[Tool, ...] = ()
        self._postings: dict[str, list[tuple[int, float]]] = {}
        self._lengths: list[float] = []
        self.take(tools)

    def take(self, tools: Iterable[Tool]) -> None:
        """Search these tools from now on."""
        self._tools = tuple(tools)
        bags = {key: self._bags.get(key) or _bag(tool) for key, tool in self._keyed()}
        self._bags = bags
        sizes = [sum(bags[key].values()) for key, _ in self._keyed()]
        mean = sum(sizes) / len(sizes) if sizes else 1.0
        self._lengths = [_K1 * (1 - _B + _B * size / (mean or 1.0)) for size in sizes]
        postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for place, (key, _) in enumerate(self._keyed()):
            for word, weight in bags[key].items():
                postings[word].append((place, weight))
        self._postings = dict(postings)

    def find(self, query: str, *, server: str | None = None, limit: int = 10) -> Found:
        """Return the best tools for these words; of one server, if it is named."""
        scores: defaultdict[int, float] = defaultdict(float)
        for word, factor in self._wanted(query).items():
            posting = self._postings[word]
            number = max(len(self._tools), _LEAST_TOOLS)
            rare = math.log(1 + (number - len(posting) + 0.5) / (len(posting) + 0.5))
            for place, weight in posting:
                length = self._lengths[place]
                scores[place] += factor * rare * weight * (_K1 + 1) / (weight + length)
        name = query.strip()
        for place, tool in enumerate(self._tools):
            if name in (tool.name, tool.tool):
                scores[place] += 1000.0
        places = [p for p in scores if server is None or self._tools[p].server == server]
        # At the same score the catalogue's own order holds.
        places.sort(key=lambda place: (-scores[place], place))
        return Found(tuple(self._tools[place] for place in places[:limit]), len(places))

    def _keyed(self) -> Iterator[tuple[tuple[str, str, str], Tool]]:
        for tool in self._tools:
            yield (tool.server, tool.tool, tool.fingerprint), tool

    def _wanted(self, query: str) -> dict[str, float]:
        """The words to look for, each with a factor."""
        asked = [word for word in dict.fromkeys(stems(query)) if word not in PRAISE]
        wanted: dict[str, float] = {}
        for word in asked:
            alike = [other for other in _SYNONYMS.get(word, ()) if other in self._postings]
            if word in self._postings:
                wanted[word] = 1.0
            elif not alike:
                wanted |= {other: 0.6 for other in self._begun(word) if other not in wanted}
            for other in alike:
                wanted.setdefault(other, 0.5)
        return wanted

    def _begun(self, word: str) -> list[str]:
        """Words that begin as an unknown one does, or that it begins with."""
        if len(word) < _PREFIX:
            return []
        return [
            known
            for known in self._postings
            if known.startswith(word) or (len(known) >= _PREFIX and word.startswith(known))
        ][:_WIDENED]


def _bag(tool: Tool) -> dict[str, float]:
    arguments = properties(tool)
    fields = [
        (4.0, tool.tool),
        (3.0, tool.annotations.title or ""),
        (2.0, tool.server),
        (2.0, tool.description[:_DESCRIPTION]),
        (1.0, " ".join(arguments)),
        (0.5, " ".join(map(_told, arguments.values()))[:_ARGUMENTS]),
    ]
    bag: dict[str, float] = {}
    for weight, text in fields:
        for word in stems(text):
            bag[word] = max(bag.get(word, 0.0), weight)
    return bag


def _told(schema: Mapping[str, Any]) -> str:
    """What is said of an argument: its description and the words that it may be."""
    description, enum = schema.get("description"), schema.get("enum")
    parts = [description] if isinstance(description, str) else []
    if isinstance(enum, list):
        parts += [value for value in enum[:_VALUES] if isinstance(value, str)]
    return " ".join(parts)
