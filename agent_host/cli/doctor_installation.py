"""What `doctor` says of the installation: versions, packages, variables, limits."""

import importlib.metadata
import importlib.util
import os
import platform
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from agent_host import __version__
from agent_host.cli.doctor_findings import Facts, Finding
from agent_host.config import paths
from agent_host.config.load import OVERRIDES
from agent_host.config.near import nearest
from agent_host.core.text import clean_line

PACKAGES = (
    "mcp",
    "openai",
    "anthropic",
    "pydantic",
    "rich",
    "prompt-toolkit",
    "jsonschema-rs",
    "tenacity",
    "platformdirs",
    "genai-prices",
)

_FEW_FILES = 256
"""Open files that a run with a dozen servers may need."""


def python_findings(_: Facts) -> Iterator[Finding]:
    """The versions of the program and of Python."""
    version = platform.python_version()
    text = f"agent-host {__version__}, Python {version} at {paths.shown(Path(sys.executable))}"
    yield Finding(id="version", level="ok", text=text)


def packages_findings(_: Facts) -> Iterator[Finding]:
    """The packages that everything needs."""
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if found:
        yield Finding(id="found", level="ok", text=", ".join(found))
    if missing:
        fix = "install agent-host again (pip install --upgrade --force-reinstall agent-host)"
        yield Finding(id="missing", level="problem", text=f"missing: {', '.join(missing)}", fix=fix)


def system_findings(_: Facts) -> Iterator[Finding]:
    """The machine."""
    text = f"{platform.system()} {platform.release()} {platform.machine()}"
    if sys.platform != "linux":
        yield Finding(
            id="process-groups",
            level="note",
            text=f"{text}: a server's process that leaves its process group may outlive the host "
            "(only Linux lets a keeper find it)",
        )
    else:
        yield Finding(
            id="sound", level="ok", text=f"{text}: parent-death signal and process groups"
        )


def environment_findings(_: Facts) -> Iterator[Finding]:
    """Variables that look like ours and mean nothing."""
    known = [paths.CONFIG_VARIABLE, paths.STATE_VARIABLE]
    known += [override.variable for override in OVERRIDES]
    for name in sorted(os.environ):
        if name.startswith("AGENT_HOST_") and name not in known:
            yield Finding(
                id="unknown-variable",
                level="note",
                text=f"the variable {clean_line(name, 80)} means nothing here",
                fix=f"see docs/reference/config.md{nearest(name, known)}",
            )


def limits_findings(_: Facts) -> Iterator[Finding]:
    """How many files may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"open files: {_many(soft)}, at most {_many(hard)}"
    if 0 <= soft < _FEW_FILES:
        fix = f"ulimit -n {_FEW_FILES if hard < 0 else min(1024, hard)} before it starts"
        text += "; each server needs about six"
        yield Finding(id="few-files", level="note", text=text, fix=fix)
    else:
        yield Finding(id="files", level="ok", text=text)


def _many(number: int) -> str:
    return "any number" if number == resource.RLIM_INFINITY else f"{number:,}"


def telemetry_findings(facts: Facts) -> Iterator[Finding]:
    """Whether telemetry can be sent."""
    if facts.loaded is None:
        return
    wanted = facts.loaded.config.telemetry.endpoint is not None
    there = importlib.util.find_spec("opentelemetry") is not None
    if wanted and not there:
        yield Finding(
            id="missing",
            level="problem",
            text="[telemetry] names where to send, and the package opentelemetry is not installed",
            where=facts.loaded.where("telemetry", "endpoint"),
            fix="pip install agent-host[telemetry]",
        )
    else:
        text = "is sent, as [telemetry] says" if wanted else "off: [telemetry] names no endpoint"
        yield Finding(id="state", level="ok", text=text)
