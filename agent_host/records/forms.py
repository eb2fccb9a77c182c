"""The forms in which one value may stand in a text, and how a text is searched for many of them.

Theory of operation: whoever passes a value on encodes it: as JSON, in a URL, in HTML, in
hexadecimal, or in base64 somewhere inside other bytes. `forms` writes down each of these as it
would read, so that searching stays a search for exact text, which is fast and never wrong. Base64
has three forms, one for each place that the value can have among the groups of three bytes
(RFC 4648, section 4); what of the first and last character depends on the bytes beside the value
is left out. `Needles` holds all forms of all values with what is written instead. A form that is
cut at the end of a text is found through the set of all beginnings of forms, so what a stream holds
back costs the same however many values are known. Not known: values split over two lines of base64,
compressed or encrypted ones, and one encoding in another (but JSON in all of them, and URL-encoding
in itself).
"""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from agent_host.records.codec import encode_value
from agent_host.records.linear import any_of

LEAST_FORM = 6
"""Characters of the shortest encoded form that is searched for: shorter ones occur by chance."""

_BEGINNING = 24
"""How many characters of a form are kept as its beginnings; a longer one is compared whole."""
_SIEVED = 12
_SURROGATE = re.compile("[\ud800-\udfff]")
_HEX = re.compile("%[0-9A-F]{2}")
_SAFE = ("", "/", "-_.!~*'()", "-_.!~*'();/?:@&=+$,#")
"""What encoders of URLs leave as it is: all of it encoded, paths, encodeURIComponent, encodeURI."""


def forms(value: str) -> tuple[str, ...]:
    """Return each text that stands for `value`, itself first."""
    data = value.encode("utf-8", "surrogatepass")
    found = dict.fromkeys([value])
    # These write each character by itself: no form is likelier by chance than the value.
    for encoded in (*_json(value), *_urls(data), *_html(value)):
        if len(encoded) >= min(LEAST_FORM, len(value)):
            found.setdefault(encoded)
    for encoded in (*_hex(data), *_base64(data)):
        if len(encoded) >= LEAST_FORM:
            found.setdefault(encoded)
    return tuple(found)


def _json(value: str) -> Iterator[str]:
    once = json.dumps(value)[1:-1]
    yield once
    yield json.dumps(once)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield once.replace("/", "\\/")
    yield repr(value)[1:-1]


def _urls(data: bytes) -> Iterator[str]:
    for safe in _SAFE:
        upper = quote(data, safe=safe)
        for encoded in (upper, _HEX.sub(lambda match: match[0].lower(), upper)):
            yield encoded
            yield encoded.replace("%20", "+")
            yield quote(encoded, safe="")


def _html(value: str) -> Iterator[str]:
    plain = html.escape(value, quote=False)
    for double in ('"', "&quot;", "&#34;", "&#x22;"):
        for single in ("'", "&#x27;", "&#39;", "&#039;", "&apos;"):
            yield plain.replace('"', double).replace("'", single)


def _hex(data: bytes) -> Iterator[str]:
    yield data.hex()
    yield data.hex().upper()


def _base64(data: bytes) -> Iterator[str]:
    whole = base64.b64encode(data).decode("ascii")
    yield from (whole, whole.translate(_URL_SAFE))
    for before, first in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(before) + data).decode("ascii")
        sure = encoded[first : (before + len(data)) * 8 // 6]
        yield from (sure, sure.translate(_URL_SAFE))


_URL_SAFE = str.maketrans("+/", "-_")


class Needles:
    """Values that must not be in a text, in all their forms, each with its replacement."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}
        self._values: set[str] = set()
        self._lines: dict[str, None] = {}
        self._bytes: dict[bytes, bytes] = {}
        self._beginnings: set[str] = set()
        self._firsts: set[str] = set()
        self._long: dict[str, list[str]] = {}
        self._in_line: Callable[[str], bool] | None = None
        self._in_text: Callable[[str], bool] | None = None
        self._find: re.Pattern[str] | None = None
        self._find_bytes: re.Pattern[bytes] | None = None
        self.shortest = 1 << 30
        self.longest = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, value: str) -> bool:
        return value in self._values

    def add(self, value: str, mark: str, *, encoded: bool = True) -> None:
        """Search for `value` from here on, and for its encoded forms too unless told not to. A
        value that is known already gets the new mark."""
        if self._marks.get(value) == mark and value in self._values:
            return
        self._values.add(value)
        self._find = self._find_bytes = self._in_line = self._in_text = None
        for form in forms(value) if encoded else (value,):
            known = form in self._marks
            if known and form != value and form in self._values:
                continue  # another value reads like that by itself
            self._marks[form] = mark
            self._bytes[_utf8(form)] = _utf8(mark)
            if not known:
                self._index(form)

    def _index(self, form: str) -> None:
        self._lines[encode_value(form)[1:-1].decode("ascii")] = None
        self._firsts.add(form[0])
        self.shortest = min(self.shortest, len(form))
        self.longest = max(self.longest, len(form))
        self._beginnings.update(form[:end] for end in range(1, min(len(form), _BEGINNING + 1)))
        if len(form) > _BEGINNING:
            self._long.setdefault(form[:_BEGINNING], []).append(form)

    def in_line(self, line: str) -> bool:
        """Whether a line of ASCII JSON may hold a value; if not, none of its texts does."""
        if self._in_line is None:
            self._in_line = _sieve(self._lines)
        return self._in_line(line)

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """Return where values stand in `text` (start, end) and what is written instead, in order
        and apart; of two that overlap the longer one that begins first."""
        if self._in_text is None:
            self._in_text = _sieve(self._marks)
        if not self._in_text(text):
            return []
        if self._find is None:
            longest_first = sorted(self._marks, key=lambda form: (-len(form), form))
            self._find = re.compile("|".join(map(re.escape, longest_first)))
        return [(m.start(), m.end(), self._marks[m[0]]) for m in self._find.finditer(text)]

    def bytes(self, data: bytes) -> bytes:
        """Return `data` without the UTF-8 form of any value."""
        if not any(form in data for form in self._bytes):
            return data
        if self._find_bytes is None:
            longest_first = sorted(self._bytes, key=lambda form: (-len(form), form))
            self._find_bytes = re.compile(b"|".join(map(re.escape, longest_first)))
        return self._find_bytes.sub(lambda match: self._bytes[match[0]], data)

    def open(self, text: str) -> int:
        """Return where the earliest unfinished form begins that `text` may end in; its length if
        it ends in none."""
        size = len(text)
        for place in range(max(size - self.longest + 1, 0), size):
            if text[place] not in self._firsts:
                continue
            rest = text[place : place + _BEGINNING]
            if rest not in self._beginnings:
                continue
            if size - place < _BEGINNING:
                return place
            whole = text[place:]
            if any(len(f) > len(whole) and f.startswith(whole) for f in self._long.get(rest, ())):
                return place
        return size


def _sieve(forms: Iterable[str]) -> Callable[[str], bool]:
    """What lets through every text in which one of some forms stands, by their beginnings."""
    begins = sorted({form[:_SIEVED] for form in forms})
    if not begins:
        return lambda _text: False
    odd = [begin for begin in begins if _SURROGATE.search(begin)]
    plain = any_of(begin for begin in begins if begin not in odd)
    return lambda text: plain(text) or any(begin in text for begin in odd)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
