"""What `doctor` says of the files: what is read, where from, and what is wrong in it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agent_host.cli.doctor_findings import Facts, Finding
from agent_host.config import paths
from agent_host.config.layers import default_of
from agent_host.config.near import nearest
from agent_host.config.organisation import without_effect
from agent_host.config.problems import dotted
from agent_host.config.secrets import resolve
from agent_host.config.show import files
from agent_host.config.trust import TrustStore, items_of, needs_trust
from agent_host.core.errors import ConfigError


def config_findings(facts: Facts) -> Iterator[Finding]:
    """What the file in use says."""
    if facts.loaded is None:
        yield Finding(id="wrong", level="problem", text=facts.error)
        return
    loaded = facts.loaded
    servers = loaded.config.servers
    counts = f"{len(servers)} servers, {len(loaded.config.policy.rules)} rules"
    yield Finding(id="read", level="ok", text=f"{loaded.name}: {counts}")
    for index, rule in enumerate(loaded.config.policy.rules):
        plain = not any(c in rule.server for c in "*?[")
        if plain and rule.server not in servers:
            yield Finding(
                id="unknown-server",
                level="problem",
                text=f"{loaded.where('policy', 'rules', index)}: the rule {rule.id} names the "
                f'server "{rule.server}", which is not there, so it never matches',
                fix=f"correct its server{nearest(rule.server, [*servers])}",
            )
    default, place = default_of(loaded.layers)
    if default == "allow":
        yield Finding(
            id="allows-all",
            level="note",
            text=f'{place}: policy.default is "allow": what no rule names runs without a question',
        )


def policy_findings(facts: Facts) -> Iterator[Finding]:
    """The files of policy, the strictest first."""
    if facts.loaded is None:
        return
    loaded = facts.loaded
    for layer, (name, whose) in zip(loaded.layers, files(loaded), strict=True):
        said = layer.policy
        counts = f"{len(said.rules)} rules, {len(said.totals)} totals, {len(said.roles)} roles"
        yield Finding(
            id="file", level="ok", text=f"{name}{f' ({whose})' if whose else ''}: {counts}"
        )
    for key, why in without_effect(loaded.organisation, loaded.declared):
        place = loaded.layers[-1].where(*key)
        yield Finding(
            id="no-effect", level="note", text=f"{place}: {dotted(key)} has no effect: {why}"
        )


def secrets_findings(facts: Facts) -> Iterator[Finding]:
    """References that find nothing, and keys in the file itself."""
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
                yield Finding(id="unresolved", level="problem", text=str(error))
    for name, model in loaded.config.models.items():
        if model.api_key is not None and "${" not in model.api_key and len(model.api_key) > 15:
            yield Finding(
                id="key-in-file",
                level="note",
                text=f"{loaded.where('models', name, 'api_key')}: a key stands in the file itself",
                fix='write api_key = "${env:NAME}" and set NAME',
            )


def trust_findings(facts: Facts) -> Iterator[Finding]:
    """Whether what the config starts is trusted."""
    if facts.loaded is None:
        return
    try:
        if not items_of(facts.loaded):
            yield Finding(id="none-needed", level="ok", text="none needed")
            return
        asked = needs_trust(facts.loaded, TrustStore.users())
    except ConfigError as error:
        yield Finding(id="damaged", level="problem", text=str(error))
        return
    if asked:
        keys = ", ".join(item.key for item in asked)
        fix = "read them with `agent-host trust`, which asks"
        yield Finding(id="untrusted", level="note", text=f"not trusted yet: {keys}", fix=fix)
    else:
        yield Finding(id="trusted", level="ok", text=f"{facts.loaded.name} is trusted as it is")


def files_findings(facts: Facts) -> Iterator[Finding]:
    """Each file that may say something, and who may change it."""
    loaded = facts.loaded
    own = [
        ("your own servers.toml", paths.user_config_file()),
        ("your own policy", paths.user_policy_file()),
        ("your own providers", paths.user_profiles_file()),
        ("the organisation's policy", paths.ORGANISATION_FILE),
    ]
    if loaded is not None:
        own.insert(0, ("in use", loaded.path))
    seen: set[str] = set()
    for whose, path in own:
        real = os.path.realpath(path)
        if real in seen or not os.path.lexists(path):
            continue
        seen.add(real)
        yield _file(whose, path)


def _file(whose: str, path: Path) -> Finding:
    name = paths.shown(path)
    try:
        found = path.stat()
    except OSError as error:
        text = f"{name} ({whose}) cannot be looked at: {error.strerror}"
        fix = "check the link and the permissions of its folders"
        return Finding(id="unreadable", level="problem", text=text, where=name, fix=fix)
    mode = stat.S_IMODE(found.st_mode)
    text = f"{name} ({whose}), mode {mode:04o}"
    if not os.access(path, os.R_OK):
        fix = f"chmod u+r {name}, or ask whoever owns it"
        return Finding(
            id="unreadable", level="problem", text=f"{text}, not readable", where=name, fix=fix
        )
    if mode & stat.S_IWOTH:
        fix = f"chmod o-w {name}"
        text += ": everybody on this machine can change what is started"
        return Finding(id="writable-by-all", level="problem", text=text, where=name, fix=fix)
    if found.st_uid not in (0, os.geteuid()):
        text += f", of another user ({found.st_uid})"
        return Finding(id="of-another", level="note", text=text, where=name)
    return Finding(id="found", level="ok", text=text, where=name)
