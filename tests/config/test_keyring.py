"""References to the system's keyring, through the real package in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = "tests.fakes.keyring_backend.Backend"
NONE = "keyring.backends.fail.Keyring"


def resolved(text: str, before: str = "", **variables: str) -> tuple[str, str]:
    """What a reference stands for, and the error instead."""
    code = (
        "import sys, os, pathlib\n"
        "from agent_host.config.secrets import resolve\n"
        "from agent_host.core.errors import ConfigError\n"
        "assert 'keyring' not in sys.modules\n"
        f"{before}\n"
        "try:\n"
        f"    print(resolve({text!r}, os.environ, pathlib.Path(), key='servers.toml:1: k'))\n"
        "except ConfigError as error:\n"
        "    print(error, file=sys.stderr)\n"
        "print('keyring' in sys.modules, file=sys.stderr)"
    )
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept
        | {"PYTHON_KEYRING_BACKEND": OURS, "PYTHONPATH": str(ROOT), "TOKEN": "t"}
        | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip(), done.stderr.strip()


def test_a_keyrings_entry_is_put_where_it_is_named():
    said, _ = resolved("Bearer ${keyring:agent-host/crm}!")
    assert said == "Bearer key-of-the-keyring!"


def test_the_keyring_is_loaded_only_for_a_reference_to_it():
    assert resolved("${env:TOKEN}") == ("t", "False")


@pytest.mark.parametrize(
    ("text", "variables", "error"),
    [
        (
            "${keyring:agent-host/none}",
            {},
            "needs the keyring's entry agent-host none, which is not there; make it with `keyring",
        ),
        ("${keyring:a/b/empty}", {}, "needs the keyring's entry a/b empty, which is not there"),
        ("${keyring:a b/c}", {}, "make it with `keyring set 'a b' c`"),
        (
            "${keyring:agent-host/crm}",
            {"PYTHON_KEYRING_BACKEND": NONE},
            "needs a keyring, and this system has none that works here; use ${env:NAME} or",
        ),
        (
            "${keyring:agent-host/crm}",
            {"AGENT_HOST_TEST_KEYRING": "locked"},
            "could not be read from the keyring (KeyringLocked); unlock it and try again",
        ),
        (
            "${keyring:agent-host/crm}",
            {"AGENT_HOST_TEST_KEYRING": "broken"},
            "could not be read from the keyring (OSError); unlock it and try again",
        ),
    ],
)
def test_an_entry_that_cannot_be_had_is_one_line_with_what_to_do(text, variables, error):
    said, errors = resolved(text, **variables)
    assert said == ""
    assert errors.startswith("servers.toml:1: k ")
    assert error in errors
    assert "hunter2" not in errors
    assert len(errors.splitlines()) == 2


def test_without_the_package_the_line_names_the_extra():
    said, errors = resolved("${keyring:agent-host/crm}", "sys.modules['keyring'] = None")
    assert said == ""
    assert "needs the package keyring; install it with `pip install agent-host[keyring]`" in errors
