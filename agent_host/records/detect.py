"""Secrets that nobody named: found by their form.

Theory of operation: three sources. The expressions of detect-secrets, a maintained collection, say
what the tokens of services look like; its rules that go by entropy are not used, because they fire
on every hash. `shapes` has what these lack. The config may name more. A text first goes through a
sieve of linear time, 0.2 ms for 100 KB, and most are done then. Of what is left each expression is
tried only where letters stand that its tokens begin with; detect-secrets (which imports an HTTP
client) is imported only once something may be one of its tokens. Expressions of the config may be
anything, and texts come from strangers: see `linear`. `open` says how much of a stream may be an
unfinished secret.
"""

import functools
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent_host.core.errors import ConfigError
from agent_host.records import shapes
from agent_host.records.linear import Expression, known_matcher, late
from agent_host.records.shapes import Span


@dataclass(frozen=True, slots=True)
class _Theirs:
    """A plugin of detect-secrets. `begins`: letters that each of its tokens begins with, after
    `before` others; `least`: characters of the shortest; `sure`: nothing else looks like them."""

    plugin: str
    kind: str
    begins: tuple[str, ...]
    least: int
    before: int = 0
    sure: bool = True


_THEIRS = (
    _Theirs("aws", "aws-key", ("AKIA", "ASIA", "ABIA", "ACCA", "A3T"), 20),
    _Theirs("github_token", "github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), 40),
    _Theirs(
        "gitlab_token",
        "gitlab-token",
        (
            *("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glcbt-", "glimt-", "glptt-"),
            *("glagent-", "gloas-", "GR1348941"),
        ),
        25,
    ),
    _Theirs("pypi_token", "pypi-token", ("pypi-AgE",), 80),
    _Theirs("sendgrid", "sendgrid-key", ("SG.",), 69),
    _Theirs("slack", "slack-token", ("xoxa-", "xoxb-", "xoxp-", "xoxo-", "xoxs-", "xoxr-"), 12),
    _Theirs("slack", "webhook", ("hooks.slack.com/services/T",), 30, before=8),
    _Theirs("square_oauth", "square-secret", ("sq0csp-",), 50),
    _Theirs("artifactory", "artifactory-key", ("AKC",), 13, before=1, sure=False),
)
_RARE = (
    # plugin, kind, expression that finds where to try it, characters before that place, sure
    ("twilio", "twilio-key", r"(?<![A-Za-z0-9])(?:AC|SK)[0-9a-f]{32}(?![A-Za-z0-9])", 0),
    ("artifactory", "artifactory-key", r"(?<![A-Za-z0-9])AP[0-9A-F][A-Za-z0-9]{24,}", 1),
    ("mailchimp", "mailchimp-key", r"-us[0-9]", 32),
    ("discord", "discord-token", r"\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}", 26),
    ("telegram_token", "telegram-token", r":[A-Za-z0-9_-]{35}", 10),
    ("softlayer", "softlayer-key", r"(?i:softlayer)[A-Za-z_-]{1,14}[\"'\]]{0,3} *[:=]", 0),
    ("softlayer", "softlayer-key", r"https?://api\.softlayer\.com/soap/v3", 0),
    ("cloudant", "cloudant-key", r"(?i:cloudant)[A-Za-z_-]{1,14}[\"'\]]{0,3} *[:=]", 0),
)
_PLACES = tuple((plugin, kind, late(place), back) for plugin, kind, place, back in _RARE)
_ASIDE = frozenset({"basic_auth", "jwt", "npm", "openai", "private_key", "stripe"})
"""Plugins that are not used, because what `shapes` has for these finds more of each secret."""

_BEGINS: dict[str, _Theirs | None] = {
    **dict.fromkeys(shapes.TOKENS),
    **{begin: plugin for plugin in _THEIRS for begin in plugin.begins},
}
MOST_TRIES = 200_000
"""Places of one text that are looked at: a text with more names and beginnings of secrets than that
is made to cost time, and what follows counts as one secret."""
_MUCH = 512 * 1024
_PIECE = 16 * 1024
"""Characters that are looked at as one; only pieces with something in them cost more."""
_BEFORE = 64
_SHOWN = [begin for begin, theirs in _BEGINS.items() if not theirs or theirs.before < 2]
_LONG_RUN = late(r"[A-Za-z0-9_.+/=:-]*")

# Sieves: each lets through every text in which the rules beside it find something.
_TOKEN = shapes.one_of(_BEGINS) + "[A-Za-z0-9_.+/=:%~-]{8}"
_ODD = (
    r"(?:AC|SK)[0-9a-f]{32}|AP[0-9A-F][A-Za-z0-9]{24}|[0-9a-z]{32}-us[0-9]"
    r"|\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}|[0-9]{8}:[A-Za-z0-9_-]{35}"
    r"|(?i:softlayer|cloudant)"
)
_HEADER = r"(?i:bearer|basic)(?:[ \t+]|%20|\\t)"
_NAME = shapes.NAME_SIEVE
_ANY = f"{_TOKEN}|{_ODD}|{_HEADER}|{_NAME}|{shapes.URL}|PRIVATE KEY|PuTTY-User-Key-File-"


@functools.cache
def _patterns(plugin: str) -> tuple[re.Pattern[str], ...]:
    """The expressions of one plugin."""
    module = importlib.import_module(f"detect_secrets.plugins.{plugin}")
    return tuple(
        pattern
        for detector in vars(module).values()
        if getattr(detector, "__module__", "") == module.__name__
        for pattern in getattr(detector, "denylist", ())
    )


_OPEN = (shapes.open_token(_SHOWN), *shapes.OPEN)
_ANY_OPEN = f"(?:{'|'.join(_OPEN)})$"
_LONGEST_OPEN = 6000


class Detector:
    """Finds secrets by their form, and by the config's own expressions (name to expression).
    Raises ConfigError for an expression that cannot be used, naming it."""

    def __init__(self, patterns: Mapping[str, str] | None = None) -> None:
        self._own = [_expression(name, text) for name, text in (patterns or {}).items()]

    def __repr__(self) -> str:
        return f"Detector({self._own})"

    def suspects(self, line: str) -> bool:
        """Whether a line of JSON may hold a secret; if not, none of its strings does."""
        return bool(self._own) or known_matcher(_ANY)(line)

    def find(self, text: str) -> list[Span]:
        """Return the secrets in `text`, in order and apart."""
        found = [span for expression in self._own for span in expression.find(text)]
        if known_matcher(_ANY)(text):
            left = MOST_TRIES
            for start, piece in _pieces(text):
                if not known_matcher(_ANY)(piece):
                    continue
                left -= _tries(piece) if len(text) > _MUCH else 0
                if left < 0:
                    found.append((start, len(text), "unsearched"))
                    break
                found += [(start + s, start + e, kind) for s, e, kind in _known(piece)]
            if "PRIVATE KEY" in text:
                found += shapes.private_keys(text)
            if "PuTTY-User-Key-File-" in text:
                found += shapes.putty_keys(text)
        return apart(found)

    def open(self, text: str, start: int) -> int:
        """Return where what may be an unfinished secret begins that `text` ends in, not before
        `start`; its length if it ends in none."""
        if self._own:
            start_of_run = max(map(text.rfind, ' \n\t"')) + 1
            return min(max(start_of_run, start), self._open(text, start))
        return self._open(text, start)

    def _open(self, text: str, start: int) -> int:
        return max(unfinished(text), start) if known_matcher(_ANY_OPEN)(text) else len(text)


def _expression(name: str, pattern: str) -> Expression:
    try:
        return Expression(name, pattern)
    except ValueError as error:
        raise ConfigError(f"{name} {error}") from None


def _tries(text: str) -> int:
    """At how many places of a text expressions are tried, about."""
    lower = lowered(text)
    words = sum(map(lower.count, shapes.KEYWORDS))
    return words + sum(text.count(begin) for begin in _BEGINS)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces that overlap by more than a token is long, and where each starts."""
    if len(text) <= 2 * _PIECE:
        yield 0, text
        return
    for start in range(0, len(text), _PIECE):
        before = max(start - _BEFORE, 0)
        yield before, text[before : start + _PIECE + shapes.LONGEST]


def _known(text: str) -> Iterator[Span]:
    """What is found without the config."""
    if known_matcher(_TOKEN)(text):
        for begin in _BEGINS:
            if begin in text:
                yield from _tokens(text, begin)
    if known_matcher(_ODD)(text):
        for plugin, kind, place, back in _PLACES:
            yield from _rare(text, plugin, kind, place, back)
    if "://" in text:
        yield from shapes.urls(text)
    yield from _after_words(text)


def _after_words(text: str) -> Iterator[Span]:
    lower = lowered(text)
    if known_matcher(_HEADER)(text):
        yield from shapes.headers(text, lower, "bearer")
        yield from shapes.headers(text, lower, "basic")
    if known_matcher(_NAME)(text):
        for keyword in shapes.KEYWORDS:
            yield from shapes.named(text, lower, keyword)


def lowered(text: str) -> str:
    """Return `text` in lower case, each character in its place (one letter, U+0130, becomes two
    in lower case)."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.replace("\u0130", "I").lower()


def apart(spans: Iterable[Span]) -> list[Span]:
    """Return the spans in order, those that overlap as one; it has the kind of the first found of
    those that say the same."""
    merged: list[Span] = []
    for start, end, kind in sorted(spans, key=lambda span: span[:2]):
        if merged and start < merged[-1][1]:
            last = merged[-1]
            merged[-1] = last[0], max(end, last[1]), last[2]
        else:
            merged.append((start, end, kind))
    return merged


def _tokens(text: str, begin: str) -> Iterator[Span]:
    theirs = _BEGINS[begin]
    place = text.find(begin)
    while place >= 0:
        if theirs is None:
            span, after = shapes.token_at(text, place, begin)
        else:
            span = _theirs(text, place, theirs)
            after = span[1] if span else place + len(begin)
        if span is not None:
            yield span
        place = text.find(begin, after)


def _theirs(text: str, place: int, theirs: _Theirs) -> Span | None:
    if theirs.before < 2 and not shapes.fresh(text, place):  # a URL begins before
        return None
    run = _LONG_RUN().match(text, place, place + theirs.least)
    if run is None or run.end() - place < theirs.least:
        return None
    return _tried(text, place, theirs.before, theirs.plugin, theirs.kind, sure=theirs.sure)


def _rare(
    text: str, plugin: str, kind: str, place: Callable[[], re.Pattern[str]], back: int
) -> Iterator[Span]:
    done = 0
    for found in place().finditer(text):
        if found.start() < done:
            continue
        span = _searched(text, found.start(), back, plugin, kind)
        if span is not None:
            yield span
        done = span[1] if span else found.start() + 1


def _tried(
    text: str, place: int, before: int, plugin: str, kind: str, *, sure: bool
) -> Span | None:
    """Try a plugin's expressions exactly there."""
    start = max(place - before, 0)
    for pattern in _patterns(plugin):
        found = pattern.match(text, start, place + shapes.LONGEST)
        if found is not None:
            begin = place if before == 1 else start
            return shapes.checked(text, begin, _value_end(text, found), kind, sure=sure)
    return None


def _searched(text: str, place: int, back: int, plugin: str, kind: str) -> Span | None:
    """Try a plugin's expressions around a place."""
    for pattern in _patterns(plugin):
        first = max(place - back, 0)
        try_it = pattern.search if back else pattern.match
        found = try_it(text, first, place + 200)
        if found is not None and found.start() <= place:
            start, end = found.span(1 if pattern.groups else 0)
            while start < end and text[start] in ' \t\r\n=:"':
                start += 1
            return shapes.checked(text, start, end, kind, sure=False)
    return None


def _value_end(text: str, found: re.Match[str]) -> int:
    end = found.end()
    while end > found.start() and text[end - 1] in ' \t\r\n"':
        end -= 1
    return end


@functools.cache
def _open_patterns() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"(?:{pattern})\Z") for pattern in _OPEN)


def unfinished(text: str) -> int:
    """Return where the earliest secret may begin that `text` breaks off in; its length if it
    breaks off in none."""
    key = text.rfind("-----BEGIN ", -shapes.LONGEST_KEY)
    cut = max(len(text) - _LONGEST_OPEN, 0)
    if 0 <= key < cut:
        cut = key
    tail = text[cut:]
    found = [match.start(1) for p in _open_patterns() if (match := p.search(tail)) is not None]
    kept = [at for at in found if not (tail[at : at + 1] in ("-", "P") and shapes.ended(tail, at))]
    return cut + min(kept, default=len(tail))
