"""A Python package in a virtual environment of its own, where no `uvx` is.

Theory of operation: one folder a package and version. The package's wheel is fetched by that
environment's own pip, from the index that pip is configured for, and hashed; that very file is what
gets installed. Only a wheel is taken, because building from source runs the package's code before
anybody looked at it. What was installed, with the versions of all that came along, is recorded
last, so a folder without a record is unfinished and begun anew. No shell, no input; times are
bounded.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from agent_host.core.text import clean, clean_line
from agent_host.registry.plan import Source
from agent_host.registry.web import Fault
from agent_host.state.folders import private_folder

RECORD = "installed.json"
_MAKE = 120.0  # seconds
_INSTALL = 900.0
_PIP = ("-m", "pip", "--no-input", "--disable-pip-version-check")
_SCRIPTS = """
import importlib.metadata, json, sys
points = importlib.metadata.distribution(sys.argv[1]).entry_points
print(json.dumps([point.name for point in points if point.group == "console_scripts"]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What is in an environment: where its Python is, the wheel's SHA-256, the scripts that the
    package brought, and every package's version (`name==version`)."""

    python: Path
    sha256: str
    scripts: tuple[str, ...] = ()
    packages: tuple[str, ...] = field(default=())


def installed(
    source: Source, store: Path, *, python: str, environ: Mapping[str, str]
) -> Installed | Fault:
    """Return the environment of a package's version below `store`; make it if need be.

    `python`: the interpreter that it is made with. `environ`: what pip runs with.
    """
    folder = store / "pypi" / f"{source.identifier.lower()}-{source.version}"
    try:
        private_folder(folder.parent)
        with FileLock(folder.with_name(folder.name + ".lock")):
            found: Installed | Fault | None = _recorded(folder)
            if found is None:
                shutil.rmtree(folder, ignore_errors=True)
                found = _made(source, folder, python, environ)
                if isinstance(found, Fault):
                    shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        return Fault(f"the environment cannot be made: {clean_line(str(error), 200)}")
    if isinstance(found, Installed) and source.sha256 and source.sha256 != found.sha256:
        return Fault(
            f"{source.identifier} {source.version} is not the file that was published: its "
            f"SHA-256 is {found.sha256}, not {source.sha256}"
        )
    return found


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _recorded(folder: Path) -> Installed | None:
    try:
        found: Any = json.loads((folder / RECORD).read_text())
        return Installed(
            python=_python(folder),
            sha256=found["sha256"],
            scripts=tuple(found["scripts"]),
            packages=tuple(found["packages"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _made(
    source: Source, folder: Path, python: str, environ: Mapping[str, str]
) -> Installed | Fault:
    done = _run([python, "-m", "venv", str(folder)], environ, _MAKE)
    if isinstance(done, Fault):
        return Fault(f"a virtual environment could not be made: {done.text}")
    own = str(_python(folder))
    what = f"{source.identifier}=={source.version}"
    with tempfile.TemporaryDirectory(dir=folder) as wheels:
        fetch = [own, *_PIP, "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = _run([*fetch, "--dest", wheels, what], environ, _INSTALL)
        if isinstance(done, Fault):
            return Fault(f"{what} could not be fetched as a wheel: {done.text}")
        files = list(Path(wheels).glob("*.whl"))
        if len(files) != 1:
            return Fault(f"{what} could not be fetched as a wheel")
        sha256 = hashlib.sha256(files[0].read_bytes()).hexdigest()
        if source.sha256 and source.sha256 != sha256:
            return Fault(
                f"{what} is not the file that was published: its SHA-256 is {sha256}, "
                f"not {source.sha256}"
            )
        done = _run([own, *_PIP, "install", "--quiet", str(files[0])], environ, _INSTALL)
        if isinstance(done, Fault):
            return Fault(f"{what} could not be installed: {done.text}")
    return _record(source, folder, sha256, environ)


def _record(
    source: Source, folder: Path, sha256: str, environ: Mapping[str, str]
) -> Installed | Fault:
    own = str(_python(folder))
    listed = _run([own, "-I", "-c", _SCRIPTS, source.identifier], environ, _MAKE)
    frozen = _run([own, *_PIP, "freeze"], environ, _MAKE)
    for answer in (listed, frozen):
        if isinstance(answer, Fault):
            return answer
    document = {
        "package": source.identifier,
        "version": source.version,
        "sha256": sha256,
        "scripts": json.loads(str(listed)),
        "packages": str(frozen).split("\n"),
    }
    (folder / RECORD).write_text(json.dumps(document, indent=2) + "\n")
    return _recorded(folder) or Fault("the environment's record could not be written")


def _run(words: Sequence[str], environ: Mapping[str, str], seconds: float) -> str | Fault:
    """Run a program and return what it printed, or the last that it said of its failure."""
    try:
        done = subprocess.run(  # noqa: S603 - a list of our own words and checked names, no shell
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Fault(f"it took longer than {seconds:g} seconds")
    except OSError as error:
        return Fault(f"{words[0]} could not be started ({error.strerror})")
    if done.returncode == 0:
        return done.stdout.strip()
    lines = [line for line in clean(done.stderr).split("\n") if line.strip()]
    return Fault(clean_line(lines[-1], 300) if lines else f"it ended with {done.returncode}")
