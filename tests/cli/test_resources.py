"""`resources list|read` over a real server."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_prompts import forms
from tests.fakes.programs import command, environment
from tests.fakes.ptys import Terminal

__all__ = ["forms"]

LOGO = b"\x89PNG\r\n\x1a\n\x1b]0;x\x07"
NOTE = b"Buy milk.\x1b[2J\n"


def test_resources_and_templates_are_listed(forms, here):
    done = here("resources", "list", "--trust")
    assert done.returncode == 0
    assert "desk    note://first        text/plain         The first note." in done.stdout
    assert "note://by/{author}" in done.stdout
    assert "a URI with braces stands for many" in done.stderr
    assert "gone" in done.stderr
    done = here("resources", "list", "--server", "desk", "--json", "--trust")
    assert [r["template"] for r in json.loads(done.stdout)] == [False, False, True]
    assert here("resources", "list", "--server", "gone", "--trust").returncode == 5


@pytest.mark.parametrize(("uri", "held"), [("note://first", NOTE), ("note://logo", LOGO)])
def test_a_pipe_and_a_file_get_a_resource_exactly_as_it_is(
    forms: Path, tmp_path: Path, uri: str, held: bytes
):
    words = ("resources", "read", "desk", uri, "--trust")
    done = subprocess.run(
        command(*words), cwd=forms, env=environment(tmp_path), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, held)
    done = subprocess.run(
        command(*words, "--output", "kept"),
        cwd=forms,
        env=environment(tmp_path),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert (forms / "kept").read_bytes() == held
    assert f"{len(held)} bytes written to kept".encode() in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("note://first", "Buy milk.\\u{1b}[2J"),
        ("note://logo", "(image/png, 15 bytes; --output FILE writes it)"),
        ("note://by/ann", "A note by ann."),
    ],
)
def test_a_terminal_gets_text_that_does_nothing_and_never_bytes(forms: Path, uri: str, shown: str):
    with Terminal("resources", "read", "desk", uri, "--trust", cwd=forms) as terminal:
        assert terminal.exit_status() == 0
        assert shown in terminal.text
        own = terminal.raw.replace(b"\r\x1b[2K", b"")  # erases the line of progress
        assert b"\x1b" not in own
        assert b"\x07" not in own


def test_a_resource_can_be_json(forms, here):
    done = here("resources", "read", "desk", "note://by/bob", "--json", "--trust")
    (block,) = json.loads(done.stdout)
    assert block["text"] == "A note by bob."


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (["desk", "note://none"], 1, "desk: resources/read"),
        (["gone", "note://first"], 5, "`agent-host servers test gone` tells why"),
        (["none", "note://first"], 2, 'no server "none"'),
        (["desk", "note://first", "--output", "no/such/folder"], 2, "cannot be written"),
    ],
)
def test_what_is_wrong_with_reading_is_said(forms, here, arguments, status, why):
    done = here("resources", "read", *arguments, "--trust")
    assert done.returncode == status
    assert why in done.stderr


def test_a_resource_goes_to_one_place(forms, here):
    with pytest.raises(SystemExit, match="2"):
        here("resources", "read", "desk", "note://first", "--output", "x", "--json", "--trust")
