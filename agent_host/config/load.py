"""Read servers.toml, lay environment and flags over it, remember where each value came from.

Theory of operation: files < environment < flags. The file is read once, bounded, parsed by
tomllib and validated whole; what the environment and the command line say is laid over it and
validated again, so one place knows what a value may be. `Loaded` keeps the text, so that the line
of any key can be found when somebody asks, and costs nothing when nobody does. What the *file* says
stays available as `declared`: trust is about the file, not about what its user typed. The user's
own profiles.toml is read beside it: its tables of providers lie below those of the file. The
organisation's policy.toml and the user's own lie above it (`layers`, `organisation`).
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent_host.config import paths, rows
from agent_host.config.file import decoded, parse, read
from agent_host.config.layers import Layer, Source
from agent_host.config.lines import KeyPath
from agent_host.config.near import nearest
from agent_host.config.organisation import (
    Organisation,
    clashes,
    read_organisation,
    read_own,
    under,
)
from agent_host.config.problems import dotted, explain, explain_override, sentences
from agent_host.config.resolve import problems
from agent_host.config.schema import Config
from agent_host.core.text import clean_line
from agent_host.profiles.table import Profiles, built_in

_Convert = Callable[[str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A key that the environment or a flag can set. `key` is dotted, as in `limits.max_turns`."""

    key: str
    variable: str
    flag: str
    convert: _Convert
    description: str


OVERRIDES = (
    Override(
        key="model",
        variable="AGENT_HOST_MODEL",
        flag="--model",
        convert=str,
        description="The model to use.",
    ),
    Override(
        key="transcripts",
        variable=paths.TRANSCRIPTS_VARIABLE,
        flag="--transcripts",
        convert=str,
        description="The folder of transcripts, relative to the working folder.",
    ),
    Override(
        key="limits.max_turns",
        variable="AGENT_HOST_MAX_TURNS",
        flag="--max-turns",
        convert=int,
        description="Model answers to one message.",
    ),
    Override(
        key="limits.max_tool_calls",
        variable="AGENT_HOST_MAX_TOOL_CALLS",
        flag="--max-tool-calls",
        convert=int,
        description="Tool calls for one message.",
    ),
    Override(
        key="limits.max_tokens",
        variable="AGENT_HOST_MAX_TOKENS",
        flag="--max-tokens",
        convert=int,
        description="Tokens of the whole run.",
    ),
    Override(
        key="limits.max_seconds",
        variable="AGENT_HOST_MAX_SECONDS",
        flag="--max-time",
        convert=float,
        description="Seconds of work for one message.",
    ),
    Override(
        key="limits.max_cost",
        variable="AGENT_HOST_MAX_COST",
        flag="--max-cost",
        convert=float,
        description="US dollars that the whole run may cost.",
    ),
)
"""Everything that the environment can set, besides AGENT_HOST_CONFIG and providers' keys."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A config in effect, and where it came from.

    `config` is in effect; `declared` is what the file alone says. `path` is absolute, `name` is
    it for people. `fingerprint` is the SHA-256 (hex) of the file's bytes. `origins` names the
    variable or flag of each value that did not come from the file. `transcripts` is the absolute
    folder of transcripts. `own_profiles` are the tables of the user's own profiles.toml.
    `organisation` is what the organisation's file says, if there is one; `above` are the files of
    policy that hold whatever this one says.
    """

    config: Config
    declared: Config
    path: Path
    name: str
    fingerprint: str
    transcripts: Path
    text: str = field(repr=False)
    own_profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    organisation: Organisation | None = None
    above: tuple[Layer, ...] = ()
    origins: Mapping[KeyPath, str] = field(default_factory=dict)

    @property
    def own_profiles_name(self) -> str:
        """The user's own profiles.toml, for people."""
        return paths.shown(paths.user_profiles_file())

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the file start from."""
        return self.path.parent

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What each file says of policy, the strictest first: the organisation's, the user's, and
        this one."""
        own = Layer(
            level="project",
            name=self.name,
            policy=self.declared.policy,
            where=self._own.where,
            tokens=self.declared.identity.token is not None,
        )
        return (*self.above, own)

    @cached_property
    def profiles(self) -> Profiles:
        """What is known of providers: the built-in rows, the user's own, and the file's."""
        return Profiles(self.own_profiles, self.config.providers)

    @cached_property
    def _own(self) -> Source:
        return Source(name=self.name, text=self.text)

    def _source(self, key: KeyPath) -> Source:
        above = self.organisation
        return above.source if above and above.decides(key, self.declared) else self._own

    def where(self, *key: str | int) -> str:
        """Return `servers.toml:12` for a key, or the line of what would hold it; of what the
        organisation's file says, the place there."""
        return self._source(key).where(*key)

    def at(self, *key: str | int) -> str:
        """Return `servers.toml:12: servers.crm.env.TOKEN`: the start of an error's sentence."""
        return f"{self.where(*key)}: {clean_line(dotted(key))}"

    def origin(self, *key: str | int) -> str:
        """Return where a value came from: a flag, a variable, `servers.toml:12`, or `default`."""
        if key in self.origins:
            return self.origins[key]
        source = self._source(key)
        return source.where(*key) if key in source.lines else "default"


def load(
    path: str | Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    *,
    cwd: Path | None = None,
    needed: bool = True,
    organisation: Path = paths.ORGANISATION_FILE,
    root: int = 0,
) -> Loaded:
    """Find, read and validate the config.

    `path`: what `--config` names, or None. `overrides`: dotted key -> text, from flags. `cwd`:
    where to look, by default the working folder. `needed`: false for a command that can do
    without a config; where there is none it gets an empty one. `organisation`: the organisation's
    file of policy, which has to belong to the user with the number `root`. Raises ConfigError (one
    line: where, what, what to do) and nothing else.
    """
    cwd = cwd or paths.working_folder()
    if needed or paths.anything_to_use(path, environ, cwd):
        found = paths.find(path, environ, cwd)
        data = read(found, paths.shown(found, cwd))[0]
    else:
        found, data = cwd / paths.FILE, b""
    above = read_organisation(organisation, root=root)
    return loaded_as(data, found, environ, overrides, cwd=cwd, organisation=above)


def loaded_as(
    data: bytes,
    path: Path,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    *,
    cwd: Path,
    organisation: Organisation | None,
) -> Loaded:
    """Return the config that these bytes are as the servers.toml at `path`; see `load`."""
    name = paths.shown(path, cwd)
    text = decoded(data, name)
    table = parse(text, name)
    declared = _validated(table, text, name)
    own = _own_profiles(cwd)
    layers = _above(organisation, cwd)
    merged = under(organisation, declared)
    wrong = [
        *_wrong_models(declared, own),
        *_wrong_servers(merged),
        *_wrong_identity(merged),
        *clashes(layers, organisation, declared),
    ]
    if wrong:
        raise explain(wrong, text, name)
    config, origins = _overridden(table, declared, environ, overrides or {})
    flag = (overrides or {}).get("transcripts")
    folder = (
        cwd / Path(flag).expanduser()
        if flag
        else paths.transcripts_folder(path, declared.transcripts, environ, cwd)
    )
    return Loaded(
        config=under(organisation, config),
        declared=declared,
        path=path,
        name=name,
        fingerprint=hashlib.sha256(data).hexdigest(),
        transcripts=folder,
        text=text,
        origins=origins,
        own_profiles=own,
        organisation=organisation,
        above=layers,
    )


def _above(organisation: Organisation | None, cwd: Path) -> tuple[Layer, ...]:
    """Return the layers above servers.toml: the organisation's and the user's own."""
    first = () if organisation is None else (organisation.layer,)
    own = read_own(paths.user_policy_file(), first, cwd)
    return first if own is None else (*first, own)


def _validated(table: dict[str, Any], text: str, name: str) -> Config:
    wrong: list[tuple[KeyPath, str]] = []
    try:
        declared = Config.model_validate(table)
    except ValidationError as error:
        wrong = sentences(error.errors(include_url=False))
    if table.get("providers"):
        wrong += sentences(rows.problems_of(table["providers"]))
    if wrong:
        raise explain(wrong, text, name)
    return declared


def _own_profiles(cwd: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the tables of the user's own profiles.toml, if there is one."""
    path = paths.user_profiles_file()
    if not os.path.exists(path):  # noqa: PTH110  # also one that may not be looked for
        return {}
    name = paths.shown(path, cwd)
    text = read(path, name)[1]
    table = parse(text, name)
    wrong: list[tuple[KeyPath, str]] = [
        ((key,), f"unknown key {dotted((key,))}; this file holds [providers.x] tables only")
        for key in table
        if key != "providers"
    ]
    wrong += sentences(rows.problems_of(table.get("providers", {})))
    if wrong:
        raise explain(wrong, text, name)
    found: Mapping[str, Mapping[str, Any]] = table.get("providers", {})
    return found


def _wrong_models(
    config: Config, own: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[KeyPath, str]]:
    """Yield what only the profiles can tell to be wrong; they are read only if they are needed."""
    tables = {
        name: table
        for name, table in config.models.items()
        if table.provider is not None or table.effort is not None or table.fallback
    }
    profiles = Profiles(own, config.providers) if tables else built_in()
    for name, table in tables.items():
        path = ("models", name)
        for key, sentence in problems(table, profiles):
            yield (*path, key), f"{dotted((*path, key))} {sentence}"
        for index, other in enumerate(table.fallback):
            place = (*path, "fallback", index)
            if other == name:
                yield place, f"{dotted(place)} is the model itself; name another"
            elif other not in config.models and other != "offline":
                profile = profiles.named(other)
                if profile is None or not profile.default_model:
                    known = nearest(other, [n for n in config.models if n != name])
                    yield place, f'{dotted(place)} is "{other}", which is no model here{known}'


def _wrong_servers(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """Yield what one table needs of another."""
    for name, server in config.servers.items():
        if server.forward_user.exchange and config.identity.token is None:
            path = ("servers", name, "forward_user", "exchange")
            yield path, f'{dotted(path)} needs the key "token" in [identity]: whose to exchange'


def _wrong_identity(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is missing beside a token, if no file says it."""
    said = config.identity
    if said.token is not None and (said.issuer is None or said.audience is None):
        yield ("identity",), 'identity has a "token", so it needs "issuer" and "audience"'


def _overridden(
    table: dict[str, Any],
    declared: Config,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
) -> tuple[Config, Mapping[KeyPath, str]]:
    """Return the config in effect, and which variable or flag set which key."""
    origins: dict[KeyPath, str] = {}
    over = dict(table)
    for override in OVERRIDES:
        keys = tuple(override.key.split("."))
        if override.key in flags:
            origin, text = override.flag, flags[override.key]
        elif environ.get(override.variable):
            origin, text = override.variable, environ[override.variable]
        else:
            continue
        origins[keys] = origin
        try:
            value: Any = override.convert(text)
        except ValueError:
            value = text  # validation says what it must be
        if len(keys) == 2:
            over[keys[0]] = {**over.get(keys[0], {}), keys[1]: value}
        else:
            over[keys[0]] = value
    if not origins:
        return declared, origins
    try:
        return Config.model_validate(over), origins
    except ValidationError as error:
        raise explain_override(error, origins) from None
