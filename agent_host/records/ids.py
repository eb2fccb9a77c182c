"""Run ids that sort by time.

Theory of operation: a ULID (https://github.com/ulid/spec): 48 bits of milliseconds since 1970,
then 80 random bits, in Crockford's base 32. Its text sorts as its time does, is safe as a file
name and in a shell, and is selected whole by a double click. The clock and the random source are
the caller's, so that a replayed run can be given the same id. A clock that was set back would
make a new run older than those before it, so an id can be made to come after another one.
"""

import re
from collections.abc import Iterable

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MAX_MS = (1 << 48) - 1
_ULID = re.compile(rf"[0-7][{_ALPHABET}]{{25}}")


def new_run_id(now_ms: int, random_bytes: bytes, others: Iterable[str] = ()) -> str:
    """Return the ULID (26 characters) of a time in milliseconds since 1970 and 10 random bytes.

    It comes after each of the `others` that is an id; if the clock is behind one of them, the time
    is a millisecond more than that one's. A time outside of what 48 bits hold (a clock that is
    wrong) is brought to the nearest bound.
    """
    if len(random_bytes) != 10:
        raise ValueError("a run id needs exactly 10 random bytes")
    newest = max((other for other in others if _ULID.fullmatch(other)), default="")
    if newest:
        now_ms = max(now_ms, _time(newest) + 1)
    number = min(max(now_ms, 0), _MAX_MS) << 80 | int.from_bytes(random_bytes, "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def _time(ulid: str) -> int:
    number = 0
    for letter in ulid[:10]:
        number = number << 5 | _ALPHABET.index(letter)
    return number
