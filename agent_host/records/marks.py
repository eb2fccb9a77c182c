"""What is written instead of a secret that was found: `[secret:KIND:HEX]`.

Theory of operation: HEX is the beginning of an HMAC-SHA-256 (RFC 2104) of the secret, so that the
same secret has the same mark in every record and every run, and people and models see that two
places held the same thing. The key is random, belongs to one user, and never leaves their machine:
without it nobody can try out guesses, as a plain hash would let them. It is made when the first
secret is found. Where it cannot be kept, marks are the same within one run only. Two secrets never
share a mark in one run: the second gets more digits.
"""

import hmac
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from agent_host.state.folders import private_folder

KEY_BYTES = 32
_DIGITS = 6
_KIND = re.compile(r"[^A-Za-z0-9._-]+")

MARK = re.compile(r"\[secret:[^\[\]\n]{1,160}\]")
"""What a mark looks like: of a known secret by its name, of one that was found with digits."""

FOUND = re.compile(r"\[secret:[A-Za-z0-9._-]{1,64}:[0-9a-f]{6,64}\]")
"""The mark of a secret that was found."""


class Marks:
    """Marks of one run. `key` is asked once, when the first secret is found. `keep`: `values` has
    the secret of each mark, in memory."""

    def __init__(self, key: Callable[[], bytes] | None = None, *, keep: bool = False) -> None:
        self.keep = keep
        self.values: dict[str, str] = {}
        self._make_key = key or (lambda: secrets.token_bytes(KEY_BYTES))
        self._key = b""
        self._by_digest: dict[str, str] = {}
        self._taken: set[str] = set()

    def mark(self, kind: str, value: str) -> str:
        """Return the mark of a secret; that of its first kind if it was found before."""
        self._key = self._key or self._make_key()
        digest = hmac.digest(self._key, value.encode("utf-8", "surrogatepass"), "sha256").hex()
        known = self._by_digest.get(digest)
        if known is not None:
            return known
        size = _DIGITS
        while digest[:size] in self._taken:
            size += 2
        self._taken.add(digest[:size])
        mark = f"[secret:{_KIND.sub('-', kind)[:64]}:{digest[:size]}]"
        self._by_digest[digest] = mark
        if self.keep:
            self.values[mark] = value
        return mark


def user_key(path: Path) -> bytes:
    """Return the key that a user's file holds; it is made, with mode 0600, if there is none. A
    random one of this process if that is not possible."""
    for _ in range(2):
        try:
            key = _read(path)
        except FileNotFoundError:
            try:
                _make(path)
            except OSError:
                break
            continue
        except OSError:
            break
        if len(key) == KEY_BYTES:
            return key
        break
    return secrets.token_bytes(KEY_BYTES)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)


def _make(path: Path) -> None:
    """Put a new key there whole, unless another process was faster."""
    private_folder(path.parent)
    mine = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(KEY_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(mine, path)
    except FileExistsError:
        pass
    finally:
        mine.unlink()
