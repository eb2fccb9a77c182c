"""Which tool a sentence is about: words, and BM25 over what tools say of themselves.

Theory of operation: a text becomes lower-case stems without stop words; a tool becomes one
weighted bag of stems (name 3, description 2, parameters 1), scored by BM25 in its Lucene form
(Robertson and Zaragoza 2009; the idf never gets negative, which matters with few tools). Own code
because it is twenty lines: the kept libraries (bm25s, rank-bm25) load numpy, 0.1 s of start, and
SQLite's FTS5 scores a word that is in half of the tools as nothing. There are no synonyms.
All that a server wrote is bounded before it is looked at.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from agent_host.core.types import Tool


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text that are separated by blanks."""
    return frozenset(text.split())


STOP_WORDS = word_set(
    "a about all an and any are as at be been can could did do does for from give had has have "
    "her hers him his how i if in into is it its let like look make me my need now of on one or "
    "our out over please see she show so some tell that the their them then there these they this "
    "those to up us want was we were what when where which who whom whose why will with would you "
    "your get display hey hello hi thanks"
)
ACTION_VERBS = word_set(
    "accept activate add append approve archive assign ban block book buy call cancel change "
    "charge clear close commit confirm copy create deactivate decline delete deploy disable "
    "discard drop edit email enable erase execute export fix forward import insert install kill "
    "lock mail make merge message modify move notify open pay post publish purchase purge push "
    "reactivate reboot refund reject release remove rename repeat replace reply reschedule reset "
    "restart restore return revert revoke run save schedule sell send set share ship sign start "
    "stop store submit subscribe swap terminate transfer trash undo uninstall unlock unsubscribe "
    "update upgrade upload wipe withdraw write"
)
"""Words that ask for a deed: one that the matched tool does not know means that it is not meant."""

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_POSSESSIVE = re.compile(r"['’]s\b")
_TEXT_LIMIT = 2000
_PROPERTY_LIMIT = 40
_LEAST_TOOLS = 8
"""One or two tools say nothing about how rare a word is: some silent ones are assumed."""
_K1 = 1.2
_B = 0.4


def stem(word: str) -> str:
    """Return a crude English stem: plural, -ing and -ed endings go."""
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if (
            word.endswith(ending)
            and len(word) > len(ending) + 2
            and not word.endswith(("ss", "us"))
        ):
            word = word[: -len(ending)] + instead
            break
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 3:
            word = word[: -len(ending)]
            if word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    return word.removesuffix("e") if len(word) > 4 else word


def words(text: str) -> list[str]:
    """Return the lower-case words of a text; `camelCase` and `snake_case` are taken apart."""
    text = _POSSESSIVE.sub("", unicodedata.normalize("NFKC", text[:_TEXT_LIMIT]))
    text = _CAMEL.sub(" ", text)
    return [word.lower() for word in _WORD.findall(text)]


def stems(text: str) -> list[str]:
    """Return the stems of a text, without stop words, numbers and single letters."""
    return [
        stem(word)
        for word in words(text)
        if word not in STOP_WORDS and not word.isdigit() and (len(word) > 1 or word > "~")
    ]


def properties(tool: Tool) -> dict[str, dict[str, Any]]:
    """Return a tool's parameters that have a legible schema, at most forty."""
    found = tool.input_schema.get("properties")
    if not isinstance(found, dict):
        return {}
    legible = ((str(name), schema) for name, schema in found.items() if isinstance(schema, dict))
    return dict(pair for pair, _ in zip(legible, range(_PROPERTY_LIMIT), strict=False))


def required(tool: Tool) -> list[str]:
    """Return the names of a tool's required parameters."""
    found = tool.input_schema.get("required")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _parameter_text(schema: Mapping[str, Any]) -> str:
    description, enum = schema.get("description"), schema.get("enum")
    parts = [description] if isinstance(description, str) else []
    if isinstance(enum, list):
        parts += [value for value in enum[:_PROPERTY_LIMIT] if isinstance(value, str)]
    return " ".join(parts)


class Index:
    """The tools of a request, ready to be scored. Depends on nothing but the tools."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self.tools = tuple(tools)
        self._bags = [self._bag(tool) for tool in self.tools]
        self._sizes = [sum(bag.values()) for bag in self._bags]
        self._mean = sum(self._sizes) / len(self._sizes) if self._sizes else 1.0
        self._spread = Counter(word for bag in self._bags for word in bag)

    @staticmethod
    def _bag(tool: Tool) -> Counter[str]:
        bag: Counter[str] = Counter()
        fields = [(3, tool.tool), (2, tool.description)]
        for name, schema in properties(tool).items():
            fields += [(1, name), (1, _parameter_text(schema))]
        for weight, text in fields:
            for word in stems(text):
                bag[word] += weight
        return bag

    def knows(self, place: int, word: str) -> bool:
        """Say whether tool number `place` speaks of this word."""
        return stem(word) in self._bags[place]

    def scores(self, query: Iterable[str]) -> list[float]:
        """Return the BM25 score of each tool for these stems."""
        wanted = dict.fromkeys(query)
        number = max(len(self.tools), _LEAST_TOOLS)
        idf = {
            word: math.log(1 + (number - spread + 0.5) / (spread + 0.5))
            for word in wanted
            if (spread := self._spread.get(word, 0))
        }
        result = []
        for bag, size in zip(self._bags, self._sizes, strict=True):
            length = _K1 * (1 - _B + _B * size / (self._mean or 1.0))
            result.append(
                sum(
                    weight * bag[word] * (_K1 + 1) / (bag[word] + length)
                    for word, weight in idf.items()
                    if word in bag
                )
            )
        return result
