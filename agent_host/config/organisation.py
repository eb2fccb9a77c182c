"""The organisation's policy.toml and the user's own: what they may say, and how it holds.

Theory of operation: the organisation's file holds for every user of the machine, so it counts only
if nobody but root can have written it (`rooted`). What is there and cannot be believed, read or
understood stops the program: nobody gets rid of an organisation's rules by breaking their file. Its
rules can only ask or deny. Its `[identity]` and `[audit]` hold as a whole, its `[secrets]` key by
key (`under`). Where it names no issuer of ID tokens, users are those of the operating system and no
other file can name one (`clashes`): else whoever a rule is about could choose who they are. Ids of
rules and names of totals are said once in all files, so that no record is about two things. The
user's file has `[policy]` only, and is a file of the user's like any other.
"""

import os
import pwd
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_host.config import paths, rooted
from agent_host.config.file import decoded, parse
from agent_host.config.layers import Layer, Source
from agent_host.config.lines import KeyPath
from agent_host.config.near import nearest
from agent_host.config.policy_tables import PolicyConfig
from agent_host.config.problems import dotted, explain, sentences
from agent_host.config.record_tables import AuditConfig, SecretsConfig
from agent_host.config.schema import Config, IdentityConfig
from agent_host.config.secrets import references
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line

_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_NO_ISSUER = (
    "identity.token means nothing here: {} names no issuer, so users are those of the operating "
    "system; remove it, or have [identity] put into that file"
)

_Problem = tuple[KeyPath, str]
_Model = TypeVar("_Model", bound=BaseModel)


class OrganisationConfig(BaseModel):
    """The whole of the organisation's policy.toml."""

    model_config = _FROZEN

    policy: PolicyConfig = Field(default=PolicyConfig.model_construct(), description="")
    identity: IdentityConfig | None = Field(default=None, description="")
    audit: AuditConfig | None = Field(default=None, description="")
    secrets: SecretsConfig | None = Field(default=None, description="")


class OwnPolicyConfig(BaseModel):
    """The whole of the user's own policy.toml."""

    model_config = _FROZEN

    policy: PolicyConfig = Field(default=PolicyConfig.model_construct(), description="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """The organisation's file, as it was read."""

    config: OrganisationConfig
    source: Source

    @property
    def layer(self) -> Layer:
        """What it says of policy."""
        return Layer(
            level="organisation",
            name=self.source.name,
            policy=self.config.policy,
            where=self.source.where,
            tokens=self.config.identity is not None,
        )

    def decides(self, key: KeyPath, below: Config) -> bool:
        """Return whether a value in effect is this file's, and not that of the one below."""
        said = self.config
        match key:
            case ("identity", "token", *_) if said.identity is not None:
                return said.identity.token is not None or below.identity.token is None
            case ("identity", *_):
                return said.identity is not None
            case ("audit", *_):
                return said.audit is not None
            case ("secrets", "patterns", _):
                return key in self.source.lines
            case ("secrets", str(name), *_) if said.secrets is not None:
                value = getattr(_secrets(said.secrets, below.secrets), name, None)
                return key in self.source.lines or value != getattr(below.secrets, name, None)
        return False


def read_organisation(
    path: Path = paths.ORGANISATION_FILE, *, root: int = 0
) -> Organisation | None:
    """Read the organisation's file; None if there is none.

    `root`: the number of the user who has to own it. Raises ConfigError for one that others than
    root can change, that cannot be read, or that says what it may not.
    """
    data = rooted.read(path, root)
    if data is None:
        return None
    name = clean_line(str(path), 300)
    text = decoded(data, name)
    table = parse(text, name)
    if not table:
        raise ConfigError(
            f"{name}: says nothing, as if it were half-written; write what it should say, or "
            "remove it"
        )
    config = _validated(OrganisationConfig, table, text, name)
    if wrong := [*_loosening(config.policy), *_movable(config)]:
        raise explain(wrong, text, name)
    return Organisation(config=config, source=Source(name=name, text=text))


def read_own(path: Path, above: Sequence[Layer], cwd: Path) -> Layer | None:
    """Read the user's own policy.toml; None if there is none. Raises ConfigError, also for what
    the layers `above` do not leave to it."""
    name = paths.shown(path, cwd)
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise ConfigError(f"{name}: is a link to nothing; remove it") from None
        return None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror}); mend or remove it") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"{name}: is no file; remove it, or put a file there")
        text = decoded(rooted.bytes_of(descriptor), name)
    finally:
        os.close(descriptor)
    source = Source(name=name, text=text)
    config = _validated(OwnPolicyConfig, parse(text, name), text, name)
    if wrong := [*taken(above, config.policy)]:
        raise explain(wrong, text, name)
    return Layer(level="user", name=name, policy=config.policy, where=source.where)


def under(above: Organisation | None, config: Config) -> Config:
    """Return a config with what the organisation's file says instead of what it says itself."""
    if above is None:
        return config
    said = above.config
    changed: dict[str, Any] = {}
    if said.identity is not None:
        # The token is evidence that is checked against what this file says: anybody may bring it.
        token = said.identity.token or config.identity.token
        changed["identity"] = said.identity.model_copy(update={"token": token})
    if said.audit is not None:
        folder = said.audit.folder and _of_home(said.audit.folder)
        changed["audit"] = said.audit.model_copy(update={"folder": folder})
    if said.secrets is not None:
        changed["secrets"] = _secrets(said.secrets, config.secrets)
    return config.model_copy(update=changed) if changed else config


def clashes(
    before: Sequence[Layer], above: Organisation | None, config: Config
) -> Iterator[_Problem]:
    """Yield what a servers.toml may not say because of the layers before it."""
    yield from taken(before, config.policy)
    if above is not None and above.config.identity is None and config.identity.token is not None:
        yield ("identity", "token"), _NO_ISSUER.format(above.source.name)


def taken(before: Sequence[Layer], policy: PolicyConfig) -> Iterator[_Problem]:
    """Yield the rules and totals whose names a layer before has given to its own."""
    rules: dict[str, str] = {}
    totals: dict[str, str] = {}
    for layer in before:
        said = layer.policy
        rules |= {r.id: layer.where("policy", "rules", i) for i, r in enumerate(said.rules)}
        totals |= {name: layer.where("policy", "totals", name) for name in said.totals}
    for index, rule in enumerate(policy.rules):
        if rule.id in rules:
            place: KeyPath = ("policy", "rules", index, "id")
            yield place, f'{dotted(place)} is "{rule.id}", as at {rules[rule.id]}; choose another'
    for name in policy.totals:
        if name in totals:
            place = ("policy", "totals", name)
            yield place, f"{dotted(place)} is defined at {totals[name]}; choose another name"


def without_effect(above: Organisation | None, config: Config) -> Iterator[tuple[KeyPath, str]]:
    """Yield what a config says in vain because the organisation's file says it, and why."""
    if above is None:
        return
    name, said = above.source.name, above.config
    for key in ("issuer", "audience", "user", "roles"):
        if said.identity is not None and key in config.identity.model_fields_set:
            yield ("identity", key), f"{name} has [identity]"
    if said.audit is not None and config.audit.model_fields_set:
        yield ("audit",), f"{name} has [audit]"
    if said.secrets is not None:
        held = _secrets(said.secrets, config.secrets)
        for key in sorted(config.secrets.model_fields_set):
            if getattr(held, key) != getattr(config.secrets, key) and key != "patterns":
                yield ("secrets", key), f"{name} has [secrets]"
    if config.policy.roles:
        yield ("policy", "roles"), f"only the roles of {name} count"


def _secrets(above: SecretsConfig, below: SecretsConfig) -> SecretsConfig:
    return SecretsConfig.model_construct(
        detect=above.detect or below.detect,
        patterns={**below.patterns, **above.patterns},
        hide_from_model=above.hide_from_model or below.hide_from_model,
        reveal=above.reveal,
    )


def _validated(model: type[_Model], table: Mapping[str, Any], text: str, name: str) -> _Model:
    known = tuple(model.model_fields)
    wrong = [
        ((key,), f"unknown key {dotted((key,))}; this file has {_listed(known)}{_hint(key, known)}")
        for key in table
        if key not in known
    ]
    try:
        read = model.model_validate({key: table[key] for key in table if key in known})
    except ValidationError as error:
        raise explain([*wrong, *sentences(error.errors(include_url=False))], text, name) from None
    if wrong:
        raise explain(wrong, text, name)
    return read


def _listed(known: Iterable[str]) -> str:
    return ", ".join(f"[{key}]" for key in known)


def _hint(key: str, known: Sequence[str]) -> str:
    if key in PolicyConfig.model_fields:
        return "; it goes into [policy]"
    if key in Config.model_fields:
        return "; everything else belongs in servers.toml"
    close = nearest(key, known)
    return close if close.startswith("; did") else ""


def _loosening(policy: PolicyConfig) -> Iterator[_Problem]:
    only = 'must be "ask" or "deny" here: an organisation\'s file can only tighten'
    if policy.default == "allow":
        yield ("policy", "default"), f"policy.default {only}"
    if policy.flow == "off":
        yield ("policy", "flow"), f"policy.flow {only}"
    for index, rule in enumerate(policy.rules):
        if rule.effect == "allow":
            place = ("policy", "rules", index, "effect")
            yield place, f"{dotted(place)} {only}"


def _movable(config: OrganisationConfig) -> Iterator[_Problem]:
    """Yield what a user could bend: by a variable, or by the folder that a path starts from."""
    identity, audit = config.identity, config.audit
    fixed = "must not hold a reference: whoever starts the program could choose it"
    if identity is not None:
        if identity.issuer is None or identity.audience is None:
            yield ("identity",), '[identity] needs the keys "issuer" and "audience"'
        elif references(identity.issuer):
            yield ("identity", "issuer"), f"identity.issuer {fixed}"
        yield from _relative(("identity", "token"), identity.token or "")
    if audit is None:
        return
    if audit.folder is not None and not re.match(r"/|~/", audit.folder):
        yield ("audit", "folder"), "audit.folder must start with / (or ~/, the user's home) here"
    if references(audit.send_to or ""):
        yield ("audit", "send_to"), f"audit.send_to {fixed}"
    for header, value in audit.send_headers.items():
        yield from _relative(("audit", "send_headers", header), value)


def _relative(place: KeyPath, value: str) -> Iterator[_Problem]:
    files = [one.removeprefix("file:") for one in references(value) if one.startswith("file:")]
    if any(not name.startswith(("/", "~")) for name in files):
        yield place, f"{dotted(place)} must name its file from / (or ~/, the user's home) here"


def _of_home(folder: str) -> str:
    """The user's home is what the system says, not what a variable does."""
    if not folder.startswith("~/"):
        return folder
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise ConfigError(
            f"{folder}: this user (uid {os.getuid()}) has no home folder; name audit.folder "
            "from / in the organisation's file"
        ) from None
    return str(Path(home) / folder[2:])
