"""A keyring that keeps what it is given in a file: what PYTHON_KEYRING_BACKEND names in tests."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class Backend(KeyringBackend):
    priority = 5

    def _all(self):
        path = Path(os.environ["AGENT_HOST_TEST_KEYRING_FILE"])
        return path, json.loads(path.read_text()) if path.exists() else {}

    def get_password(self, service, username):
        return self._all()[1].get(f"{service}/{username}")

    def set_password(self, service, username, password):
        path, entries = self._all()
        path.write_text(json.dumps(entries | {f"{service}/{username}": password}))

    def delete_password(self, service, username):
        raise NotImplementedError
