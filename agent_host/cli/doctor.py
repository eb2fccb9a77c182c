"""`agent-host doctor`: is this installation and this config in order, and if not, what to do.

Theory of operation: a check is one function from the facts to its findings, and a row of CHECKS.
It starts no server and sends nothing to any model; `servers test` and a run do that. A check that
cannot do its work because the config cannot be read says nothing: the check of the config has
said it. Exit status 1 if any finding is a problem.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from agent_host import __version__
from agent_host.cli.audit_check import audit_findings
from agent_host.cli.commands import resolve_command
from agent_host.cli.facts import ModelFacts, facts_of, known_prices
from agent_host.cli.sandboxed import machine_sandboxes
from agent_host.config import paths
from agent_host.config.choose import ModelChoice, available, choose_model
from agent_host.config.layers import default_of
from agent_host.config.load import OVERRIDES, Loaded, load
from agent_host.config.local import local_hint
from agent_host.config.near import nearest
from agent_host.config.organisation import without_effect
from agent_host.config.problems import dotted
from agent_host.config.secrets import is_reference, resolve
from agent_host.config.show import files
from agent_host.config.trust import TrustStore, is_demo, items_of, needs_trust
from agent_host.core.errors import ConfigError, ExitStatus
from agent_host.core.text import clean, clean_line

Level = Literal["ok", "note", "problem"]

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
EXTRAS = {
    "aws": ("boto3", "the package boto3", "AWS"),
    "google": ("google.auth", "the package google-auth", "Google"),
}
"""What a cloud's signature needs: the module, its package, whose credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found. `fix`: what to do about it."""

    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What checks look at. `loaded` is None when the config cannot be used: `error` says why."""

    loaded: Loaded | None
    error: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Run every check, print its findings, return the exit status."""
    loaded, error = None, ""
    try:
        loaded = load(options.config, os.environ)
    except ConfigError as problem:
        error = str(problem)
    facts = Facts(loaded=loaded, error=error)
    found = [(name, finding) for name, check in CHECKS for finding in check(facts)]
    bad = any(finding.level == "problem" for _, finding in found)
    if options.json:
        document = [{"check": name, **asdict(finding)} for name, finding in found]
        sys.stdout.write(json.dumps({"ok": not bad, "findings": document}, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(found)) + "\n")
    return ExitStatus.FAILED if bad else ExitStatus.DONE


def _lines(found: list[tuple[str, Finding]]) -> Iterator[str]:
    width = max(len(name) for name, _ in CHECKS)
    for name, finding in found:
        level = finding.level if finding.level != "problem" else "PROBLEM"
        yield f"{level:<7}  {name:<{width}}  {clean_line(finding.text, 600)}"
        if finding.fix:
            yield f"{'':<7}  {'':<{width}}  -> {clean_line(finding.fix, 600)}"


def _python(_: Facts) -> Iterator[Finding]:
    version = platform.python_version()
    text = f"agent-host {__version__}, Python {version} at {sys.executable}"
    yield Finding(level="ok", text=text)


def _packages(_: Facts) -> Iterator[Finding]:
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if found:
        yield Finding(level="ok", text=", ".join(found))
    if missing:
        fix = "install agent-host again (pip install --upgrade --force-reinstall agent-host)"
        yield Finding(level="problem", text=f"missing: {', '.join(missing)}", fix=fix)


def _system(_: Facts) -> Iterator[Finding]:
    text = f"{platform.system()} {platform.release()} {platform.machine()}"
    if sys.platform != "linux":
        yield Finding(
            level="note",
            text=f"{text}: a server's process that leaves its process group may outlive the host "
            "(only Linux lets a keeper find it)",
        )
    else:
        yield Finding(level="ok", text=f"{text}: parent-death signal and process groups")


def _config(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        yield Finding(level="problem", text=facts.error)
        return
    loaded = facts.loaded
    servers = loaded.config.servers
    counts = f"{len(servers)} servers, {len(loaded.config.policy.rules)} rules"
    yield Finding(level="ok", text=f"{loaded.name}: {counts}")
    for index, rule in enumerate(loaded.config.policy.rules):
        plain = not any(c in rule.server for c in "*?[")
        if plain and rule.server not in servers:
            yield Finding(
                level="problem",
                text=f"{loaded.where('policy', 'rules', index)}: the rule {rule.id} names the "
                f'server "{rule.server}", which is not there, so it never matches',
                fix=f"correct its server{nearest(rule.server, [*servers])}",
            )
    default, place = default_of(loaded.layers)
    if default == "allow":
        yield Finding(
            level="note",
            text=f'{place}: policy.default is "allow": what no rule names runs without a question',
        )


def _policy(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        return
    loaded = facts.loaded
    for layer, (name, whose) in zip(loaded.layers, files(loaded), strict=True):
        said = layer.policy
        counts = f"{len(said.rules)} rules, {len(said.totals)} totals, {len(said.roles)} roles"
        yield Finding(level="ok", text=f"{name}{f' ({whose})' if whose else ''}: {counts}")
    for key, why in without_effect(loaded.organisation, loaded.declared):
        place = loaded.layers[-1].where(*key)
        yield Finding(level="note", text=f"{place}: {dotted(key)} has no effect: {why}")


def _environment(_: Facts) -> Iterator[Finding]:
    known = [paths.CONFIG_VARIABLE, *(override.variable for override in OVERRIDES)]
    for name in sorted(os.environ):
        if name.startswith("AGENT_HOST_") and name not in known:
            yield Finding(
                level="note",
                text=f"the variable {clean_line(name, 80)} means nothing here",
                fix=f"see docs/reference/config.md{nearest(name, known)}",
            )


def _servers(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        return
    for name, server in facts.loaded.config.servers.items():
        where = f"{facts.loaded.where('servers', name)}: {name}"
        if not server.enabled:
            yield Finding(level="note", text=f"{where} is disabled")
        elif server.command is None:
            test = f"`agent-host servers test {name}` asks it"
            yield Finding(level="ok", text=f"{where} is at a URL; {test}")
        else:
            fix, text = resolve_command(facts.loaded, server)
            yield Finding(level="problem" if fix else "ok", text=f"{where}: {text}", fix=fix)


def _sandboxes(facts: Facts) -> Iterator[Finding]:
    found = machine_sandboxes()
    yield Finding(level="ok" if found.ok else "note", text=found.text, fix=found.fix)
    if facts.loaded is None:
        return
    servers = facts.loaded.config.servers.items()
    bare = [
        name
        for name, server in servers
        if server.enabled
        and server.command
        and server.sandbox.mode == "off"
        and not is_demo(server)
    ]
    if bare:
        yield Finding(
            level="note",
            text=f"unsandboxed, with all of the user's rights: {', '.join(bare)}",
            fix="`sandbox = true` in a server's table confines it",
        )


def _pins(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        return
    for name, server in facts.loaded.config.servers.items():
        if server.command not in ("npx", "uvx") or not server.enabled:
            continue
        package = next((arg for arg in server.args if not arg.startswith("-")), "")
        version = re.split(r"(?<=.)@|==", package)[1:]
        if package and version in ([], ["latest"]):
            yield Finding(
                level="note",
                text=f"{facts.loaded.where('servers', name, 'args')}: {name} runs whatever "
                f"version of {package} is the newest that day",
                fix=f"name one, as in {package.partition('@latest')[0]}@1.2.3",
            )


def _secrets(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        return
    loaded = facts.loaded
    for name, server in loaded.config.servers.items():
        values = {("env", k): v for k, v in server.env.items()}
        values |= {("headers", k): v for k, v in server.headers.items()}
        for path, text in values.items() if server.enabled else ():
            try:
                resolve(text, os.environ, loaded.folder, key=loaded.at("servers", name, *path))
            except ConfigError as error:
                yield Finding(level="problem", text=str(error))
    for name, model in loaded.config.models.items():
        if model.api_key is not None and "${" not in model.api_key and len(model.api_key) > 15:
            yield Finding(
                level="note",
                text=f"{loaded.where('models', name, 'api_key')}: a key stands in the file itself",
                fix='write api_key = "${env:NAME}" and set NAME',
            )


def _trust(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        return
    try:
        if not items_of(facts.loaded):
            yield Finding(level="ok", text="none needed")
            return
        asked = needs_trust(facts.loaded, TrustStore.users())
    except ConfigError as error:
        yield Finding(level="problem", text=str(error))
        return
    if asked:
        keys = ", ".join(item.key for item in asked)
        fix = "read them with `agent-host trust`, which asks"
        yield Finding(level="note", text=f"not trusted yet: {keys}", fix=fix)
    else:
        yield Finding(level="ok", text=f"{facts.loaded.name} is trusted as it is")


def _model(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        return
    loaded = facts.loaded
    origin = loaded.origin("model")
    try:
        choice = choose_model(loaded.config, os.environ, loaded.profiles, origin=origin)
        if choice.settings.api_key and is_reference(choice.settings.api_key):
            key = f"the key of {choice.name}"
            resolve(choice.settings.api_key, os.environ, loaded.folder, key=key)
    except ConfigError as error:
        yield Finding(level="problem", text=str(error))
        return
    text = f"{choice.name} ({choice.why})"
    if choice.settings.path and not (loaded.folder / choice.settings.path).is_file():
        fix = "check its path"
        yield Finding(level="problem", text=f"{text}: no file {choice.settings.path}", fix=fix)
    elif choice.provider == "offline":
        fix = "set a provider's key, as OPENAI_API_KEY; `agent-host models list` shows all"
        yield Finding(level="note", text=f"{text}: no AI, it matches words", fix=fix)
    else:
        yield Finding(level="ok", text=text)
    yield from _cloud(choice)
    if not choice.settings.path and choice.provider != "offline":
        yield Finding(level="ok", text=_known(facts_of(loaded, choice.name, known_prices(loaded))))
    others = [
        p.provider
        for p in available(os.environ, loaded.profiles)
        if p.provider != choice.profile.provider
    ]
    if others:
        yield Finding(level="ok", text=f"keys are there too for: {', '.join(others)}")


def _cloud(choice: ModelChoice) -> Iterator[Finding]:
    """What a cloud's own signature needs."""
    extra = EXTRAS.get(choice.profile.auth)
    if extra is not None and not _is_there(extra[0]):
        yield Finding(
            level="problem",
            text=f"{choice.name} is asked with {extra[2]} credentials, which need {extra[1]}",
            fix=f"pip install agent-host[{choice.profile.auth}]",
        )


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even its outer package
        return False


def _known(facts: ModelFacts) -> str:
    """What is known of the model in use, in one line."""
    parts = [f"{facts.adapter} at {facts.where}" if facts.where else facts.adapter]
    if facts.key_found is not None:
        parts.append(facts.key)
    if facts.context_window is not None:
        parts.append(f"{facts.context_window:,} tokens")
    parts.append(f"{facts.price.shown} a million tokens" if facts.price else "price unknown")
    return ", ".join(parts)


def _local(_: Facts) -> Iterator[Finding]:
    for server in local_hint():
        served = ", ".join(server.models[:5]) or "no model loaded"
        yield Finding(
            level="note",
            text=f"a model server answers at {server.base_url} ({served})",
            fix=f"use it with --model {server.hint}",
        )


def _transcripts(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        return
    folder = facts.loaded.transcripts
    name = paths.shown(folder)
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        yield Finding(level="problem", text=f"{name}: {there} is no folder", fix="remove that file")
    elif not os.access(there, os.W_OK | os.X_OK):
        fix = "make it writable, or name another folder with `transcripts` in servers.toml"
        yield Finding(level="problem", text=f"{name} cannot be written", fix=fix)
    else:
        free = _free(there)
        level: Level = "note" if free < 100 else "ok"
        yield Finding(level=level, text=f"{name}, {free} MB free")


def _free(folder: Path) -> int:
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize // 1_000_000


def _audit(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        return
    for level, text, fix in audit_findings(facts.loaded, os.environ):
        yield Finding(level=level, text=text, fix=fix)


def _terminal(_: Facts) -> Iterator[Finding]:
    if not sys.stdout.isatty():
        yield Finding(level="ok", text="output is no terminal: plain text")
        return
    size = os.get_terminal_size()
    kind = clean(os.environ.get("TERM", "unknown"))
    colour = "no colour (NO_COLOR)" if os.environ.get("NO_COLOR") else "colour"
    encoding = sys.stdout.encoding
    text = f"{kind}, {size.columns} x {size.lines}, {encoding}, {colour}"
    if encoding.lower().replace("-", "") != "utf8":
        fix = "set LANG=C.UTF-8"
        yield Finding(level="note", text=f"{text}: some characters cannot be shown", fix=fix)
    else:
        yield Finding(level="ok", text=text)


CHECKS: tuple[tuple[str, Callable[[Facts], Iterator[Finding]]], ...] = (
    ("python", _python),
    ("packages", _packages),
    ("system", _system),
    ("config", _config),
    ("policy", _policy),
    ("environment", _environment),
    ("servers", _servers),
    ("sandbox", _sandboxes),
    ("versions", _pins),
    ("secrets", _secrets),
    ("trust", _trust),
    ("model", _model),
    ("local model", _local),
    ("transcripts", _transcripts),
    ("audit", _audit),
    ("terminal", _terminal),
)
"""Every check, in the order in which it is shown."""
