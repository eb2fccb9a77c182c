"""Whether a project's servers.toml may start commands and contact URLs.

Theory of operation: a file that came with a project is inert until a human trusted exactly what it
would start or contact. Each such thing is a `TrustItem`: a server (command line, variables, folder,
URL, headers, whether its hints are believed), a model with a URL, header or key of its own or an
adapter that an installed package brings, whatever is said of a provider (it could send a key
elsewhere), where the user's identity is read and checked, what is written down and where it is sent
(`lax`), and, in a file that holds any of these, what it allows without asking. An
item's digest covers every value of it, also those that are not shown. The store in the user's data
folder (trust.json, mode 0600) keeps the digests by the file's real path; a new or changed digest
asks again, a removed one does not. What a person has just typed or seen is trusted item by item,
and nothing else of its file. No trust is needed for the user's own servers.toml, nor for the
bundled demo server, which the host starts from its own code whatever PATH says. Limit: what a
trusted command line reads (a script beside the file) is not covered. See also `config/show.py`."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_host.config import paths
from agent_host.config.choose import url_in
from agent_host.config.lax import audit, policy, secrets, telemetry
from agent_host.config.lines import KeyPath
from agent_host.config.load import Loaded
from agent_host.config.locked import locked
from agent_host.config.problems import dotted
from agent_host.config.schema import Config, ModelConfig
from agent_host.config.server_tables import ServerConfig
from agent_host.config.server_trust import lines_of, substance
from agent_host.config.show import mask, mask_url
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean
from agent_host.profiles.adapters import BUILT_IN
from agent_host.state.folders import private_folder

DEMO_ARGS = ("demo-server",)
_START = (
    "import sys; sys.path.append(sys.argv.pop(1)); from agent_host.cli.main import script; script()"
)
STORE_LIMIT = 4 * 1024 * 1024
FOLD = 2000
"""Characters of a line that are shown without being asked for."""
_AROUND = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustItem:
    """Something that a config would start, contact or allow.

    `key`: its place, as `servers.crm`. `lines`: what to show, cleaned and without secrets.
    `before`: what was trusted earlier under that key, empty for a new one.
    """

    key: str
    lines: tuple[str, ...]
    digest: str
    before: tuple[str, ...] = ()


class TrustStore:
    """What was trusted: real path of a config file -> key -> digest and lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def users(cls) -> "TrustStore":
        """Return the store of this user."""
        return cls(paths.user_data_folder() / "trust.json")

    def files(self) -> dict[str, dict[str, Any]]:
        """Return what is stored; raise ConfigError if the store cannot be read."""
        try:
            with self.path.open("rb") as file:
                data = file.read(STORE_LIMIT + 1)
            stored = json.loads(data)["files"]
            return {str(name): dict(items) for name, items in stored.items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(
                f"{paths.shown(self.path)}: cannot be read ({error.strerror}); "
                "check its permissions"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ConfigError(
                f"{paths.shown(self.path)}: is damaged; remove it and trust your projects again"
            ) from None

    def remember(self, file: Path, items: Iterable[TrustItem]) -> None:
        """Trust exactly `items` of `file`. Raises ConfigError if that cannot be written."""
        with locked(self.path):
            self._write(self.files() | {_real(file): _stored(items)})

    def add(self, file: Path, items: Iterable[TrustItem]) -> None:
        """Trust `items` of `file` beside what is trusted of it. Raises ConfigError likewise."""
        with locked(self.path):
            files = self.files()
            self._write(files | {_real(file): files.get(_real(file), {}) | _stored(items)})

    def forget(self, file: Path, key: str) -> bool:
        """Trust one item of `file` no longer; return whether it was trusted."""
        if key not in self.files().get(_real(file), {}):
            return False
        with locked(self.path):
            files = self.files()
            rest = {k: v for k, v in files.get(_real(file), {}).items() if k != key}
            others = {name: items for name, items in files.items() if name != _real(file)}
            self._write(others | ({_real(file): rest} if rest else {}))
        return True

    def revoke(self, file: Path) -> bool:
        """Forget `file`; return whether anything was forgotten."""
        if _real(file) not in self.files():
            return False
        with locked(self.path):
            self._write({name: f for name, f in self.files().items() if name != _real(file)})
        return True

    def _write(self, files: Mapping[str, Any]) -> None:
        text = json.dumps({"version": 1, "files": files}, indent=1, sort_keys=True)
        partial: Path | None = None
        try:
            private_folder(self.path.parent)
            with tempfile.NamedTemporaryFile(  # made with mode 0600
                "w", dir=self.path.parent, prefix=".trust-", delete=False
            ) as new:
                partial = Path(new.name)
                new.write(text + "\n")
            partial.replace(self.path)
        except OSError as error:
            if partial is not None:
                partial.unlink(missing_ok=True)
            raise ConfigError(
                f"{paths.shown(self.path)}: cannot be written ({error.strerror}); "
                "make that folder writable"
            ) from None


def items_of(loaded: Loaded) -> tuple[TrustItem, ...]:
    """Return everything in the file that needs trust; nothing for the user's own file.

    Disabled servers count: a flag may name one.
    """
    if paths.is_users_own(loaded.path):
        return ()
    config = loaded.declared
    items = [server_item(n, s) for n, s in config.servers.items() if not is_demo(s)]
    items += [_model(n, m, loaded) for n, m in config.models.items() if _reaches_out(m)]
    items += [_provider(n, row) for n, row in config.providers.items()]
    items += _identity(config)
    if url := url_in(config.model):
        lines = [f"model: {mask(('model',), config.model)}", *_whose_key(loaded, None, url)]
        items.append(_item("model", {"model": config.model}, lines))
    items += [_item(key, what, lines) for key, what, lines in _written_down(loaded)]
    ruled = loaded.organisation is not None
    if items and (said := list(policy(config, roles=not ruled))):
        items.append(_item("policy", {"lax": said}, said))
    return tuple(items)


def needs_trust(loaded: Loaded, store: TrustStore) -> tuple[TrustItem, ...]:
    """Return what has to be trusted before the config may be used; empty: go on."""
    items = items_of(loaded)
    if not items:
        return ()
    known = store.files().get(_real(loaded.path), {})
    return tuple(
        TrustItem(key=i.key, lines=i.lines, digest=i.digest, before=_lines(known.get(i.key)))
        for i in items
        if _digest(known.get(i.key)) != i.digest
    )


def trust_these(loaded: Loaded, store: TrustStore, seen: Iterable[TrustItem]) -> tuple[str, ...]:
    """Trust what a person has just seen, if the file as it was loaded still says the same.

    Nothing else of the file becomes trusted. Returns the keys that the file says otherwise by now.
    """
    now = {item.key: item.digest for item in items_of(loaded)}
    shown = [item for item in seen if item.key in now]
    same = [item for item in shown if now[item.key] == item.digest]
    if same:
        store.add(loaded.path, same)
    return tuple(item.key for item in shown if now[item.key] != item.digest)


def trust(loaded: Loaded, store: TrustStore) -> tuple[TrustItem, ...]:
    """Trust the file exactly as it was loaded; return what that covers."""
    items = items_of(loaded)
    store.remember(loaded.path, items)
    return items


def is_demo(server: ServerConfig) -> bool:
    """Return whether this is the bundled demo server and nothing but it.

    A folder or variables of its own could make it run other code, so they need trust.
    """
    return (
        server.command == "agent-host"
        and tuple(server.args) == DEMO_ARGS
        and not server.env
        and server.cwd is None
    )


def own_command(python: str) -> tuple[str, ...]:
    """Return the command line of this very program, run by the interpreter `python`.

    It runs the package that this file belongs to, installed or not. `python -m agent_host` would
    do that only by luck: it looks in the working folder first, so that a project with a folder
    named agent_host could run its own code without ever having been trusted.
    """
    return (python, "-P", "-c", _START, str(Path(__file__).parents[2]))


def demo_command(python: str) -> tuple[str, ...]:
    """Return the command line of the bundled demo server; see `own_command`."""
    return (*own_command(python), *DEMO_ARGS)


def describe(items: tuple[TrustItem, ...], *, whole: bool = False) -> str:
    """Return what is asked, for people: every line of every item; what changed as `-` and `+`.

    A line longer than FOLD characters is cut in the middle, visibly and counted, unless `whole`;
    where it changed is never what is cut.
    """
    out = []
    for item in items:
        out.append(f"{item.key}{' (changed since it was trusted)' if item.before else ''}")
        removed = [line for line in item.before if line not in item.lines]
        added = [line for line in item.lines if line not in item.before]
        out += [f"  - {line if whole else _folded(line, added)}" for line in removed]
        for line in item.lines:
            changed = bool(item.before) and line in added
            text = line if whole else _folded(line, removed if changed else ())
            out.append(f"  {'+' if changed else ' '} {text}")
        if item.before and item.before == item.lines:
            out.append("  + a value that is not shown")
    return "\n".join(out)


def _folded(line: str, others: Iterable[str]) -> str:
    if len(line) <= FOLD:
        return line
    # From where it differs from the line that it replaces or is replaced by.
    same = max((_alike(line, other) for other in others), default=0)
    start = max(same - _AROUND, 0)
    if start < FOLD:
        return f"{line[:FOLD]} {_cut(len(line) - FOLD)}"
    head, middle = line[:_AROUND], line[start : start + FOLD]
    rest = len(line) - start - len(middle)
    return f"{head} {_cut(start - _AROUND)} {middle}{f' {_cut(rest)}' if rest else ''}"


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts have in common from their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _cut(count: int) -> str:
    return f"[{count:,} more characters: `agent-host trust --full` shows them]"


def refusal(loaded: Loaded, items: tuple[TrustItem, ...]) -> str:
    """Return the one line for a run that nobody can be asked about."""
    keys = ", ".join(item.key for item in items[:5]) + (", ..." if len(items) > 5 else "")
    return (
        f"{loaded.name}: not trusted yet: {keys}; "
        "read it, then run `agent-host trust`, or add --trust"
    )


def server_item(name: str, server: ServerConfig) -> TrustItem:
    """Return what trusting this one server covers."""
    return _item(f"servers.{name}", substance(server), lines_of(server))


def _model(name: str, model: ModelConfig, loaded: Loaded) -> TrustItem:
    what = model.model_dump(include={"base_url", "headers", "api_key"})
    # Only what was not there always: older digests stay what they were.
    what |= model.model_dump(include={"provider"}, exclude_none=True)
    lines = [f"sends conversations to: {mask_url(model.base_url or 'the default of its adapter')}"]
    if model.api_key is None:
        lines += _whose_key(loaded, model.provider, model.base_url)
    if model.adapter not in (*BUILT_IN, None):
        what["adapter"] = model.adapter
        lines.append(f"through the installed adapter: {model.adapter}")
    if model.api_key is not None:
        lines.append(f"with the key: {mask(('api_key',), model.api_key)}")
    lines += [f"header: {k}: {mask(('headers', k), v)}" for k, v in model.headers.items()]
    return _item(f"models.{name}", what, lines)


def _whose_key(loaded: Loaded, provider: str | None, url: str | None) -> Iterator[str]:
    """Say whose usual key goes to a URL, also where only the host's name says whose."""
    known = loaded.profiles.named(provider) if provider else loaded.profiles.at(url or "")
    if known is not None and (known.key_variable or known.api_key):
        yield f"with the usual key of: {known.provider}"


def _reaches_out(model: ModelConfig) -> bool:
    foreign = model.adapter not in (*BUILT_IN, None)
    return bool(model.base_url or model.headers or model.api_key or foreign)


def _provider(name: str, row: Mapping[str, Any]) -> TrustItem:
    """Whatever is said of a provider: where its key goes may be said in many keys."""
    lines = [f"says of the provider {name}: {line}" for line in _said((), row)]
    return _item(f"providers.{name}", row, lines or [f"names the provider {name}"])


def _said(path: KeyPath, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _said((*path, key), below)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, below in enumerate(value):
            yield from _said((*path, index), below)
    else:
        shown = mask(("providers", *path), value)
        text = shown if isinstance(shown, str) else json.dumps(shown, default=str)
        yield f"{dotted(path)} = {text}"


def _written_down(loaded: Loaded) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    """Yield what the file says of records, if it is not the default: key, values, lines."""
    config, above = loaded.declared, loaded.organisation
    if lines := list(secrets(config.secrets)):
        yield "secrets", config.secrets.model_dump(exclude_defaults=True), lines
    ruled = above is not None and above.config.audit is not None
    if not ruled and (lines := list(audit(config.audit))):
        yield "audit", config.audit.model_dump(exclude_defaults=True), lines
    if lines := list(telemetry(config.telemetry)):
        yield "telemetry", config.telemetry.model_dump(exclude_defaults=True), lines


def _identity(config: Config) -> Iterator[TrustItem]:
    said = config.identity.model_dump(exclude_defaults=True)
    if not said:
        return
    identity = config.identity
    lines = []
    if identity.token is not None:
        lines.append(f"says who the user is by the token: {mask(('token',), identity.token)}")
    if identity.issuer is not None:
        lines.append(f"believes and contacts the issuer: {mask_url(identity.issuer)}")
    lines += [f"{key} = {said[key]}" for key in ("audience", "user", "roles") if key in said]
    yield _item("identity", said, lines)


def _item(key: str, what: Mapping[str, Any], lines: list[str]) -> TrustItem:
    whole = json.dumps([key, what], sort_keys=True, ensure_ascii=True, default=str).encode()
    shown = [clean(line).replace("\n", "\\n").replace("\t", "\\t") for line in lines]
    return TrustItem(key=key, lines=tuple(shown), digest=hashlib.sha256(whole).hexdigest())


def _stored(items: Iterable[TrustItem]) -> dict[str, Any]:
    return {i.key: {"digest": i.digest, "lines": list(i.lines)} for i in items}


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _digest(stored: Any) -> str | None:
    return stored.get("digest") if isinstance(stored, dict) else None


def _lines(stored: Any) -> tuple[str, ...]:
    lines = stored.get("lines", ()) if isinstance(stored, dict) else ()
    return tuple(clean(str(line)) for line in lines)
