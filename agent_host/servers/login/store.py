"""Where logins are kept: the system's keyring if one works, else files that only the user reads.

Theory of operation: each server has one file in a folder of mode 0700. It holds the login, or says
that the keyring does, so that a server nobody logged in to costs no keyring. A file is written
beside its place and moved there; links are never followed. A record that cannot be read is no
login, with one line that says so. Next to it is a lock, which is held while a token is renewed: a
refresh token that is used twice ends the whole login at servers that rotate them.
"""

import contextlib
import hashlib
import json
import os
import secrets
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.core.text import clean_line
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.record import Login, decode, encode
from agent_host.state.folders import private_folder

SERVICE = "agent-host"
IN_KEYRING = b'{"kept":"keyring"}'
MAX_RECORD = 512 * 1024


class Store:
    """The login of one server: of the one with this `name` and `resource`."""

    def __init__(self, folder: Path, name: str, resource: str) -> None:
        digest = hashlib.sha256(json.dumps([name, resource]).encode()).hexdigest()[:32]
        self._folder = folder
        self._path = folder / f"{digest}.json"
        self._lock = folder / f"{digest}.lock"
        self._entry = f"login/{name}/{digest}"
        self.problem = ""
        """Why the last `load` found nothing although something is there."""

    @property
    def place(self) -> str:
        """Where the login is kept, for people."""
        with contextlib.suppress(OSError):
            if self._read() == IN_KEYRING:
                return "the keyring"
        return clean_line(str(self._path))

    def load(self) -> Login | None:
        """Return the login, or None; `problem` says if one is there that cannot be used."""
        self.problem = ""
        try:
            data = self._read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problem = f"the stored login {clean_line(str(self._path))} cannot be read: "
            self.problem += clean_line(error.strerror or "it is not a plain file")
            return None
        text: str | bytes | None = data
        if data == IN_KEYRING:
            text = self._from_keyring()
            if text is None:
                return None
        login = decode(text or b"")
        if login is None:
            kept = "in the keyring" if data == IN_KEYRING else clean_line(str(self._path))
            self.problem = f"the stored login {kept} is damaged"
        return login

    def save(self, login: Login) -> None:
        """Keep the login. Raises LoginFailedError."""
        text = encode(login)
        try:
            self._make_folder()
            keyring = working_keyring()
            if keyring is not None:
                try:
                    keyring.set_password(SERVICE, self._entry, text)
                except Exception:  # noqa: BLE001 - a backend is another program's code
                    keyring = None
            self._write(IN_KEYRING if keyring is not None else text.encode())
        except OSError as error:
            raise LoginFailedError(
                f"the login cannot be kept in {clean_line(str(self._folder))}: "
                f"{clean_line(error.strerror or str(error))}"
            ) from None

    def remove(self) -> None:
        """Forget the login. Raises LoginFailedError."""
        try:
            with contextlib.suppress(OSError):
                if self._read() == IN_KEYRING and (keyring := working_keyring()) is not None:
                    with contextlib.suppress(Exception):  # not there, or another program's fault
                        keyring.delete_password(SERVICE, self._entry)
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise LoginFailedError(
                f"the login {clean_line(str(self._path))} cannot be removed: "
                f"{clean_line(error.strerror or str(error))}"
            ) from None

    def lock(self, seconds: float) -> Any:
        """Return the lock of renewals, a filelock.AsyncFileLock; acquiring it raises TimeoutError
        after `seconds`. Raises LoginFailedError."""
        try:
            self._make_folder()
        except OSError as error:
            raise LoginFailedError(
                f"the folder of logins {clean_line(str(self._folder))} cannot be used: "
                f"{clean_line(error.strerror or str(error))}"
            ) from None
        return import_module("filelock").AsyncFileLock(self._lock, timeout=seconds, mode=0o600)

    def _make_folder(self) -> None:
        private_folder(self._folder)
        facts = self._folder.stat()
        if facts.st_uid != os.getuid():
            raise PermissionError(1, "the folder belongs to somebody else", str(self._folder))
        if stat.S_IMODE(facts.st_mode) & 0o077:
            self._folder.chmod(0o700)

    def _read(self) -> bytes:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(1, "it is not a plain file", str(self._path))
            return file.read(MAX_RECORD)

    def _write(self, data: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.{secrets.token_hex(6)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(beside, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            beside.replace(self._path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def _from_keyring(self) -> str | None:
        keyring = working_keyring()
        text: str | None = None
        if keyring is not None:
            with contextlib.suppress(Exception):  # locked, or another program's fault
                text = keyring.get_password(SERVICE, self._entry)
        if not text:
            self.problem = "the stored login is in the keyring, which cannot be read now"
        return text or None


def working_keyring() -> Any:
    """Return the system's keyring, or None if the package or a safe backend is not there."""
    try:
        backend = import_module("keyring").get_keyring()
        works = backend.priority >= 1 and not type(backend).__module__.endswith((".fail", ".null"))
    except Exception:  # noqa: BLE001 - a backend is another program's code
        return None
    return backend if works else None
