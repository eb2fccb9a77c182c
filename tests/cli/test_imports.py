"""What the light commands must not pay for."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("mcp", "mcp_types", "openai", "anthropic", "prompt_toolkit", "asyncio")


def loaded(code: str) -> list[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys; print(*[m for m in {HEAVY} if m in sys.modules])",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("command", ["config", "trust", "doctor", "models", "policy"])
def test_a_light_command_imports_nothing_heavy_for_its_help(command: str):
    assert (
        loaded(
            f"import agent_host.cli.{command} as m, argparse\n"
            "m.configure(argparse.ArgumentParser())"
        )
        == []
    )


def test_config_show_runs_without_anything_heavy():
    code = (
        "import io, sys, contextlib\n"
        "from agent_host.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    assert main(['config', 'show']) == 0"
    )
    assert loaded(code) == []


def test_the_folder_of_transcripts_is_found_without_pydantic():
    code = (
        "import sys, os, pathlib\n"
        "from agent_host.config.file import locate_transcripts\n"
        "locate_transcripts(None, {}, pathlib.Path.cwd())\n"
        "assert 'pydantic' not in sys.modules"
    )
    assert loaded(code) == []
