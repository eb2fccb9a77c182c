"""The same question to the demo server over HTTP, as a process of its own."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.programs import agent_host, command, environment

CONFIG = """
model = "offline"

[servers.desk]
url = {url}
headers = {{ Authorization = "Bearer ${{env:DESK_TOKEN}}" }}
trust_annotations = true
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[str]:
    """The URL of a demo server that serves HTTP."""
    with subprocess.Popen(
        command("demo-server", "--http", "--today", "2026-11-22"),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            said = server.stderr.readline()
            yield re.search(r"http://\S+", said)[0]
        finally:
            server.terminate()
            server.communicate()


def test_a_question_is_answered_by_a_server_behind_a_url(desk: str, tmp_path: Path) -> None:
    (tmp_path / "servers.toml").write_text(CONFIG.format(url=json.dumps(desk)))
    question = "What is the status of my order 12345?"
    first = agent_host("run", "--trust", question, folder=tmp_path, DESK_TOKEN="token-73d1")
    assert first.status == 0, first.err
    assert "Shipped yesterday (Saturday, 21 November 2026) via DHL" in first.out
    assert "token-73d1" not in first.err
    again = agent_host(
        *("run", "--trust", "--output", "json", question), folder=tmp_path, DESK_TOKEN="token-73d1"
    )
    [found] = again.items
    assert (again.status, found["answer"]) == (0, first.out.rstrip("\n"))
    assert [made["server"] for made in found["calls"]] == ["desk"]
