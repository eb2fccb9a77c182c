"""The SDK's server half is imported only if somebody asks for it."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str, *paths: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_connection_brings_nothing_of_the_sdks_server_half() -> None:
    code = (
        "import sys, agent_host.servers.connection\n"
        "print(sorted(m for m in sys.modules if m.startswith(('mcp.server', 'uvicorn'))))"
    )
    assert run(code) == "[]"


def test_whoever_asks_the_sdk_for_more_gets_it() -> None:
    code = (
        "import agent_host.servers.connection, mcp, mcp.client\n"
        "from mcp.server import Server\n"
        "print(mcp.Client.__name__, mcp.client.CacheConfig.__name__, Server.__name__)"
    )
    assert run(code) == "Client CacheConfig Server"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").write_text(
        "print('outer runs')\nfrom outer.leaf import x\n"
    )
    (inner / "__init__.py").write_text("print('inner runs')\ny = 2\n")
    (inner / "deep.py").write_text("z = 3\n")
    (tmp_path / "outer" / "leaf.py").write_text("x = 1\n")
    return tmp_path


DEFER = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from agent_host.engine.deferred import defer\n"
    "defer('outer', 'outer.inner', 'no_such_package', 'sys')\n"
)


def test_submodules_import_without_running_their_packages(package: Path) -> None:
    assert run(DEFER + "import outer.inner.deep as d; print(d.z)", package) == "3"


def test_the_first_other_use_runs_the_package_once(package: Path) -> None:
    code = DEFER + "import outer; print(outer.x, outer.x, outer.inner.y)"
    assert run(code, package).split("\n") == ["outer runs", "inner runs", "1 1 2"]


def test_what_a_package_does_not_have_is_missing_as_ever(package: Path) -> None:
    code = DEFER + "import outer; print(hasattr(outer, 'nothing'), hasattr(outer, '__nothing__'))"
    assert run(code, package).split("\n") == ["outer runs", "False False"]


def test_what_python_itself_looks_for_runs_nothing(package: Path) -> None:
    assert run(DEFER + "import outer; print(hasattr(outer, '__nothing__'))", package) == "False"


def test_who_asked_while_another_ran_the_package_gets_what_it_made(package: Path) -> None:
    code = DEFER + (
        "import outer; deferred = type(outer)\nouter.x\nprint(deferred.__getattr__(outer, 'x'))"
    )
    assert run(code, package).split("\n") == ["outer runs", "1"]


def test_a_package_without_a_loader_has_nothing_to_run(package: Path) -> None:
    code = DEFER + "import outer; outer.__spec__.loader = None; print(hasattr(outer, 'x'))"
    assert run(code, package) == "False"


def test_a_model_adapter_brings_the_client_of_its_sdk_and_not_every_type() -> None:
    code = (
        "import sys, agent_host.models.openai_chat\n"
        "print(sum(m.startswith('openai.types.') for m in sys.modules) < 100)\n"
        "import openai.types.responses as r, openai\n"
        "print(r.Response.__name__, openai.types.chat.ChatCompletion.__name__, openai.AsyncOpenAI)"
    )
    assert run(code).split("\n") == [
        "True",
        "Response ChatCompletion <class 'openai.AsyncOpenAI'>",
    ]
