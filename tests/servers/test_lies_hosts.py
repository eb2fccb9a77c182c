"""What a host can get wrong between a config and its servers: who is started, how often, with
what, and until when."""

import json
import sys
from pathlib import Path

import psutil
import pytest

from tests.fakes.beside import beside
from tests.fakes.hosting import HOSTILE, call, hostile, said
from tests.fakes.programs import agent_host


def write(folder: Path, *servers: str) -> None:
    (folder / "servers.toml").write_text('model = "offline"\n' + "".join(servers))


def table(name: str, *args: str, env: str = "") -> str:
    listed = json.dumps(["-I", "-S", HOSTILE, *args])
    more = f'env = {{ WHO = "{env}" }}\n' if env else ""
    return f'[servers.{name}]\ncommand = "{sys.executable}"\nargs = {listed}\n{more}'


def alive(file: Path) -> list[int]:
    pids = [int(line) for line in file.read_text().split()]
    return [pid for pid in pids if psutil.pid_exists(pid)]


def test_each_server_is_started_once_in_a_run(tmp_path):
    write(tmp_path, table("a", "--count", "a.count"), table("b", "--count", "b.count"))
    done = agent_host("run", "What can you do?", "--trust", folder=tmp_path)
    assert done.status == 0, done.err
    assert [(tmp_path / f"{name}.count").read_text() for name in "ab"] == ["1", "1"]


def test_the_next_run_takes_the_config_as_it_then_is_and_starts_nothing_that_was_removed(tmp_path):
    pids = tmp_path / "pids"
    write(tmp_path, table("a", "--pids", str(pids), env="old"), table("b"))
    first = agent_host("tools", "call", "a__env", "--trust", folder=tmp_path)
    assert json.loads(first.out)["WHO"] == "old"
    assert alive(pids) == []
    write(tmp_path, table("a", "--pids", str(pids), env="new"))
    second = agent_host("tools", "call", "a__env", "--trust", folder=tmp_path)
    assert json.loads(second.out)["WHO"] == "new"
    listed = agent_host("servers", "list", "--json", "--trust", folder=tmp_path)
    assert [row["name"] for row in json.loads(listed.out)] == ["a"]
    assert alive(pids) == []


def test_two_entries_of_one_command_with_another_environment_are_two_servers(tmp_path):
    write(tmp_path, table("a", env="one"), table("b", env="two"))
    for name, who in (("a", "one"), ("b", "two")):
        done = agent_host("tools", "call", f"{name}__env", "--trust", folder=tmp_path)
        assert json.loads(done.out)["WHO"] == who


@pytest.mark.parametrize(
    ("timeout", "error"), [("0.3", "timeout"), ("5", None)], ids=["shorter", "longer"]
)
def test_a_timeout_below_a_second_is_that_servers_own(timeout, error):
    async def act(pool):
        return await call(pool, "h__slow", seconds=0.8)

    seen = beside(hostile(call_timeout=float(timeout)), act)
    assert seen.result.error == error


def test_a_servers_tool_is_called_on_that_server_whatever_others_are_called():
    async def act(pool):
        names = {f"{t.server}/{t.tool}": n for n, t in pool.tools().items() if t.tool == "echo"}
        return {key: said(await call(pool, name, text=key)) for key, name in names.items()}

    answers = beside(hostile(name="h"), act).result
    assert answers == {key: json.dumps({"text": key}) for key in ("h/echo", "good/echo")}
