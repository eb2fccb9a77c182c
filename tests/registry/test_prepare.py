"""A Python package in an environment of its own: a real wheel, a real pip, no network."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agent_host.registry.install import plans
from agent_host.registry.plan import InstallPlan, Source
from agent_host.registry.prepare import _script, prepare
from agent_host.registry.server_json import Server, read_server
from agent_host.registry.web import Fault, Web


def wheel(folder: Path, name: str = "tiny-mcp", version: str = "1.2.0") -> Path:
    """Write a wheel with one script, which prints what it was started with."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": "import sys\ndef main():\n    print('tiny', sys.argv[1:])\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\ntiny-serve = {module}:main\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(f"{path},sha256={digest.decode()},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(exist_ok=True)
    place = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(place, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return place


@pytest.fixture
def pip(tmp_path: Path) -> dict[str, str]:
    """The environment of a pip that knows one folder and no network."""
    return {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
        "PIP_CONFIG_FILE": os.devnull,
    }


def plan_for(**more: Any) -> InstallPlan:
    package = {
        "registryType": "pypi",
        "identifier": "tiny-mcp",
        "version": "1.2.0",
        "transport": {"type": "stdio"},
        "packageArguments": [{"type": "named", "name": "--depth", "valueHint": "n"}],
    }
    raw = {"name": "io.example/tiny", "version": "1", "packages": [package | more]}
    server = read_server(raw)
    assert isinstance(server, Server)
    (plan,) = plans(server, which=lambda _: None)
    assert plan.unprepared == "venv"
    return plan


def test_a_package_is_installed_hashed_recorded_and_started_by_its_script(
    tmp_path: Path, pip: dict[str, str], web: Web
):
    file = wheel(tmp_path / "wheels")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    store = tmp_path / "store"
    found = prepare(plan_for(), store, web, python=sys.executable, environ=pip)
    assert isinstance(found, InstallPlan), found
    assert found.pinned == f"pypi:tiny-mcp==1.2.0 sha256:{sha256}"
    folder = store / "pypi" / "tiny-mcp-1.2.0"
    assert found.command == str(folder / "bin" / "tiny-serve")
    ready = found.filled({"depth": "3"})
    done = subprocess.run(
        [ready.command or "", *ready.args], capture_output=True, text=True, check=True, env={}
    )
    assert done.stdout == "tiny ['--depth', '3']\n"
    record = json.loads((folder / "installed.json").read_text())
    assert record["sha256"] == sha256
    assert "tiny-mcp" in str(record["packages"])

    file.unlink()  # what is here needs neither pip nor an index again
    again = prepare(plan_for(), store, web, python="/none", environ={})
    assert again == found

    module = plan_for(
        runtimeHint="python",
        runtimeArguments=[{"type": "named", "name": "-m", "value": "tiny_mcp"}],
    )
    started = prepare(module, store, web, python="/none", environ={})
    assert isinstance(started, InstallPlan)
    assert (started.command, started.args) == (str(folder / "bin" / "python"), ("-m", "tiny_mcp"))

    other = prepare(plan_for(fileSha256="0" * 64), store, web, python="/none", environ={})
    assert isinstance(other, Fault)
    assert "is not the file that was published" in other.text


def test_a_package_that_is_not_there_leaves_nothing_behind(
    tmp_path: Path, pip: dict[str, str], web: Web
):
    (tmp_path / "wheels").mkdir()
    store = tmp_path / "store"
    found = prepare(plan_for(), store, web, python=sys.executable, environ=pip)
    assert isinstance(found, Fault)
    assert found.text.startswith("tiny-mcp==1.2.0 could not be fetched as a wheel: ERROR: No match")
    assert not (store / "pypi" / "tiny-mcp-1.2.0").exists()


def test_a_wheel_with_another_hash_is_not_installed(tmp_path: Path, pip: dict[str, str], web: Web):
    wheel(tmp_path / "wheels")
    store = tmp_path / "store"
    plan = plan_for(fileSha256="0" * 64)
    found = prepare(plan, store, web, python=sys.executable, environ=pip)
    assert isinstance(found, Fault)
    assert "is not the file that was published" in found.text
    assert not (store / "pypi" / "tiny-mcp-1.2.0").exists()


def test_an_interpreter_that_is_not_there_is_told(tmp_path: Path, web: Web):
    found = prepare(plan_for(), tmp_path, web, python="/none/python", environ={})
    assert isinstance(found, Fault)
    assert "/none/python could not be started" in found.text


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path, web: Web):
    (tmp_path / "store").write_text("")
    found = prepare(plan_for(), tmp_path / "store", web, python=sys.executable, environ={})
    assert isinstance(found, Fault)
    assert "cannot be made" in found.text


@pytest.mark.parametrize(
    ("scripts", "start", "expected"),
    [
        (["x-mcp", "other"], (), "x-mcp"),
        (["X_Mcp", "other"], (), "X_Mcp"),
        (["serve"], (), "serve"),
        (["serve", "y-mcp-server"], (), "y-mcp-server"),
        (["serve", "x-mcp"], ("serve",), "serve"),
    ],
)
def test_the_script_that_is_the_server_is_found(
    scripts: list[str], start: tuple[str, ...], expected: str
):
    source = Source(kind="pypi", identifier="x-mcp", version="1", start=start)
    assert _script(source, scripts) == expected


@pytest.mark.parametrize(
    ("scripts", "said"),
    [([], "brings no program"), (["a", "b"], "several programs (a, b)")],
)
def test_a_package_whose_server_cannot_be_told_is_a_fault(scripts: list[str], said: str):
    found = _script(Source(kind="pypi", identifier="x", version="1"), scripts)
    assert isinstance(found, Fault)
    assert said in found.text
