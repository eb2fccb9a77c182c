"""Which module speaks which wire, and that no other is loaded."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent_host.core.errors import ConfigError
from agent_host.models.registry import MODULES, module_of
from agent_host.profiles.adapters import BUILT_IN, WIRES

ROOT = Path(__file__).parents[2]
SDKS = {"openai", "anthropic"}
SDK_OF = {"anthropic": "anthropic", "openai-chat": "openai", "openai-responses": "openai"}

PLUGIN = '''
"""An adapter of a package of somebody else."""

from agent_host.core.types import Message, ModelResponse, Origin, Text, Usage


def create(settings):
    return Parrot(settings)


class Parrot:
    simulated = True

    def __init__(self, settings):
        self.origin = Origin(provider=settings.provider, model=settings.model, adapter="parrot")

    def withheld(self, tools):
        return {}

    async def stream(self, request):
        said = request.messages[-1].content[0].text
        message = Message(role="assistant", content=(Text(text=f"{said}!"),), origin=self.origin)
        yield ModelResponse(message=message, stop_reason="end_turn", usage=Usage())

    async def aclose(self):
        pass
'''

MAKE = """
import asyncio, json, os, sys
from pathlib import Path
from agent_host.config.load import load
from agent_host.host import open_model
loaded = load(None, os.environ)
async def make():
    async with open_model(loaded, os.environ) as (choice, adapter):
        return choice.adapter
made = asyncio.run(make())
print(json.dumps([made, sorted(sys.modules)]))
"""


def package(folder: Path, code: str = PLUGIN) -> Path:
    """Install a package with an adapter `parrot`, as pip would; return what goes on the path."""
    site = folder / "site"
    info = site / "parrot_adapter-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "parrot_adapter.py").write_text(code)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot-adapter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[agent_host.models]\nparrot = parrot_adapter\noffline = parrot_adapter\n"
    )
    return site


def run(
    folder: Path, *arguments: str, site: Path | None = None
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    path = os.pathsep.join(str(part) for part in (ROOT, site) if part)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=kept | {"HOME": str(folder), "PATH": os.defpath, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_adapter_that_a_config_may_name_has_a_module_that_is_there():
    assert set(MODULES) == set(BUILT_IN)
    for name in BUILT_IN:
        assert module_of(name) == MODULES[name]
        assert (ROOT / f"{MODULES[name].replace('.', '/')}.py").is_file(), name


def test_an_unknown_adapter_is_one_line_that_names_what_there_is():
    with pytest.raises(ConfigError, match=r"no adapter 'opnai-chat'.*openai-chat") as error:
        module_of("opnai-chat")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("adapter", BUILT_IN)
def test_an_adapter_that_the_config_does_not_name_is_never_loaded(adapter: str, tmp_path: Path):
    (tmp_path / "turns.toml").write_text('[[turn]]\nsay = "hi"\n')
    shutil.copy(ROOT / "tests/goldens/schema-1.jsonl", tmp_path / "run.jsonl")
    place = {"script": 'path = "turns.toml"', "replay": 'path = "run.jsonl"'}.get(
        adapter, 'base_url = "http://127.0.0.1:9/v1"'
    )
    tables = "".join(
        f'[models.{name}]\nadapter = "{name}"\nmodel = "m"\nbase_url = "http://127.0.0.1:9"\n'
        for name in WIRES
        if name != adapter
    )
    (tmp_path / "servers.toml").write_text(
        f'model = "it"\n[models.it]\nadapter = "{adapter}"\nmodel = "m"\n{place}\n'
        f"[models.other]\nadapter = 'offline'\nfallback = ['it']\n{tables}"
    )
    done = run(tmp_path, "-c", MAKE)
    assert done.returncode == 0, done.stderr
    made, modules = json.loads(done.stdout)
    assert made == adapter
    assert MODULES[adapter] in modules
    others = {module for name, module in MODULES.items() if name != adapter}
    assert others.isdisjoint(modules)
    wanted = {SDK_OF[adapter]} if adapter in SDK_OF else set()
    assert SDKS & set(modules) == wanted


def test_an_installed_package_brings_an_adapter_that_a_config_can_name(tmp_path: Path):
    site = package(tmp_path)
    (tmp_path / "servers.toml").write_text('model = "p"\n[models.p]\nadapter = "parrot"\n')
    done = run(tmp_path, "-m", "agent_host", "run", "--trust", "Hello", site=site)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Hello!\n"


def test_the_code_of_a_package_needs_trust_where_a_project_names_it(tmp_path: Path):
    site = package(tmp_path)
    (tmp_path / "servers.toml").write_text('model = "p"\n[models.p]\nadapter = "parrot"\n')
    done = run(tmp_path, "-m", "agent_host", "run", "Hello", site=site)
    assert done.returncode == 4
    assert "not trusted yet: models.p" in done.stderr


def test_a_package_is_not_loaded_because_it_is_installed(tmp_path: Path):
    site = package(tmp_path)
    (tmp_path / "servers.toml").write_text('model = "offline"\n')
    done = run(tmp_path, "-c", MAKE, site=site)
    made, modules = json.loads(done.stdout)
    assert made == "offline"
    assert "parrot_adapter" not in modules


def test_a_package_cannot_take_over_a_built_in_name(tmp_path: Path):
    code = (
        "from agent_host.models.registry import module_of\n"
        "from agent_host.profiles.adapters import known_adapters\n"
        "print(module_of('offline'), module_of('parrot'), *known_adapters())"
    )
    done = run(tmp_path, "-c", code, site=package(tmp_path))
    assert done.stdout.split() == [
        *("agent_host.models.offline", "parrot_adapter"),
        *(*BUILT_IN, "parrot"),
    ]


def test_a_packages_adapter_is_unknown_where_it_is_not_installed(tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[models.p]\nadapter = "parrot"\n')
    done = run(tmp_path, "-m", "agent_host", "config", "show")
    assert done.returncode == 2
    assert 'servers.toml:2: models.p.adapter is "parrot", which is no adapter; known: ' in (
        done.stderr
    )


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def nothing(): pass\n", "the adapter parrot (parrot_adapter) has no `create`"),
        (
            "import nothing_of_that_name\n",
            "the adapter parrot (parrot_adapter) cannot be loaded: No module named",
        ),
    ],
)
def test_a_package_that_makes_no_adapter_is_one_line(code: str, line: str, tmp_path: Path):
    site = package(tmp_path, code)
    (tmp_path / "servers.toml").write_text('model = "p"\n[models.p]\nadapter = "parrot"\n')
    done = run(tmp_path, "-m", "agent_host", "run", "--trust", "Hello", site=site)
    assert done.returncode == 2
    assert done.stderr.startswith(f"agent-host: {line}")
    assert len(done.stderr.splitlines()) == 1
