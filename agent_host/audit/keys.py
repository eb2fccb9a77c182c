"""The key that signs checkpoints.

Theory of operation: Ed25519 (RFC 8032), one key for each user, made with the first checkpoint and
kept in a file of mode 0600. What a signature gives: a copy of the log (at a collector, in a backup,
on a share) that was changed by somebody without the key no longer verifies. What it does not give:
whoever has the user's rights has the key, and can write another log and sign it. Against that only
a checkpoint helps that is kept where the user cannot write. `cryptography` is imported with the
first signature, so whoever signs nothing does not pay for it.
"""

import base64
import hashlib
import os
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.state.folders import private_folder

_ED25519 = "cryptography.hazmat.primitives.asymmetric.ed25519"
_DOMAIN = b"agent-host audit checkpoint 1\n"


class KeyProblemError(Exception):
    """There is no key to sign with; `str()` says why, for people."""


def statement(seq: int, digest: str) -> bytes:
    """Return what a checkpoint signs: that entry `seq` has that hash."""
    return _DOMAIN + f"{seq} {digest}\n".encode("ascii")


class Signer:
    """The user's key, read or made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key: Any = None

    def sign(self, message: bytes) -> tuple[str, str]:
        """Return the signature of a message and the public key, both in base64. Raises
        KeyProblemError."""
        key = self._private()
        signature: bytes = key.sign(message)
        return _base64(signature), _base64(key.public_key().public_bytes_raw())

    def public(self) -> str:
        """Return the public key in base64; empty if there is no key that can be read."""
        try:
            with self._path.open("rb") as file:
                return self._public(file.read(33))
        except (OSError, KeyProblemError):
            return ""

    def _public(self, data: bytes) -> str:
        return _base64(self._loaded(data).public_key().public_bytes_raw())

    def _private(self) -> Any:
        if self._key is None:
            try:
                data = self._read()
            except OSError as error:
                raise KeyProblemError(f"{self._path.name}: {error.strerror}") from None
            self._key = self._loaded(data)
        return self._key

    def _loaded(self, data: bytes) -> Any:
        if len(data) != 32:
            raise KeyProblemError(f"{self._path.name} is no key of 32 bytes")
        return import_module(_ED25519).Ed25519PrivateKey.from_private_bytes(data)

    def _read(self) -> bytes:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(self._path, flags)
        except FileNotFoundError:
            self._make()
            fd = os.open(self._path, flags)
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                raise KeyProblemError(f"{self._path.name} is no file")
            if facts.st_mode & 0o077:
                raise KeyProblemError(
                    f"{self._path.name} can be read by others: chmod 600, or remove it to have "
                    "another one made"
                )
            return os.read(fd, 33)
        finally:
            os.close(fd)

    def _make(self) -> None:
        """Make a key, unless another process just did."""
        private_folder(self._path.parent)
        made = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, os.urandom(32))
            os.fsync(fd)
            os.link(made, self._path)
        except FileExistsError:
            pass
        finally:
            os.close(fd)
            made.unlink(missing_ok=True)


def verified(signature: str, key: str, message: bytes) -> bool:
    """Return whether a signature is that key's, of that message."""
    module = import_module(_ED25519)
    try:
        public = module.Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
        public.verify(base64.b64decode(signature, validate=True), message)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is no signature
        return False
    return True


def key_id(key: str) -> str:
    """Return a short name of a public key, to compare by eye."""
    return hashlib.sha256(key.encode("ascii", "replace")).hexdigest()[:16]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
