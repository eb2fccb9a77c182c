"""Run ids that sort by time.

Theory of operation: a ULID (https://github.com/ulid/spec): 48 bits of milliseconds since 1970,
then 80 random bits, in Crockford's base 32. Its text sorts as its time does, is safe as a file
name and in a shell, and is selected whole by a double click. The clock and the random source are
the caller's, so that a replayed run can be given the same id.
"""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MAX_MS = (1 << 48) - 1


def new_run_id(now_ms: int, random_bytes: bytes) -> str:
    """Return the ULID (26 characters) of a time in milliseconds since 1970 and 10 random bytes.

    A time outside of what 48 bits hold (a clock that is wrong) is brought to the nearest bound.
    """
    if len(random_bytes) != 10:
        raise ValueError("a run id needs exactly 10 random bytes")
    number = min(max(now_ms, 0), _MAX_MS) << 80 | int.from_bytes(random_bytes, "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
