"""A keyring of its own for tests: what PYTHON_KEYRING_BACKEND names, with one entry. What it does
is said by AGENT_HOST_TEST_KEYRING: `locked` and `broken` raise as real backends do."""

import os

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

ENTRIES = {("agent-host", "crm"): "key-of-the-keyring", ("a/b", "empty"): ""}


class Backend(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        match os.environ.get("AGENT_HOST_TEST_KEYRING"):
            case "locked":
                raise KeyringLocked("the secret is hunter2")
            case "broken":
                raise OSError("no bus; the secret is hunter2")
        return ENTRIES.get((service, username))

    def set_password(self, service, username, password):
        raise NotImplementedError

    def delete_password(self, service, username):
        raise NotImplementedError
