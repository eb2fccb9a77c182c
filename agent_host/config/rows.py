"""The tables `[providers.x]`: what a user says of a provider, laid over what is built in.

Theory of operation: the keys are those of `profiles.profile.Profile`, so a quirk that a profile
knows can be said by a user too, and its meaning is written once. Building the checks takes 20 ms,
which only a file with such tables pays: so they are no part of the schema of the whole file, but
an adapter of their own, and `load` joins what the two have to say. A user's own `profiles.toml`,
in the folder of their own servers.toml, has the same form.
"""

from dataclasses import fields
from functools import cache
from typing import Annotated, Any, NotRequired, get_origin, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from agent_host.config.secrets import check_references, is_reference
from agent_host.config.values import Adapter, Glob, Line, Name, PlainHeaders, UrlPath, Variable
from agent_host.profiles.profile import Profile

KEYS = {one.name: one for one in fields(Profile) if one.name != "provider"}
"""The keys of a table, with their meaning (`meaning`)."""


def meaning(key: str) -> str:
    """Return what a key of `[providers.x]` means, as one sentence."""
    return str(KEYS[key].metadata["means"])


def keys_at(place: tuple[str | int, ...]) -> list[str] | None:
    """Return the keys of the table at a place below `[providers.x]`, or None if there is none."""
    match place:
        case ("providers", _):
            return [*KEYS, "adapters", "models"]
        case ("providers", _, "adapters", _):
            return [*KEYS]
        case ("providers", _, "models", _):
            return ["match", *KEYS]
    return None


def problems_of(tables: Any) -> list[ErrorDetails]:
    """Return what is wrong with a file's `providers`, as pydantic says it; empty if nothing is."""
    try:
        _tables().validate_python(tables)
    except ValidationError as error:
        found = error.errors(include_url=False)
        for details in found:
            details["loc"] = ("providers", *details["loc"])
        return found
    return []


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `providers`."""
    return _tables().json_schema(ref_template="#/$defs/{model}")


def kind_of(key: str) -> Any:
    """Return the type of a key's value, as TOML has it."""
    hint = get_type_hints(Profile)[key]
    if get_origin(hint) is tuple:
        return list[str]
    return hint


def _template(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    if "${" in text:
        raise ValueError("must not hold a reference; {NAME} in it is an environment variable")
    return text.rstrip("/")


def _only_reference(text: str) -> str:
    if not is_reference(text):
        raise ValueError(
            "must be one reference and nothing else: ${env:NAME}, ${keyring:SERVICE/NAME} or "
            "${file:PATH}"
        )
    return check_references(text)


_NOT_NEGATIVE = Annotated[int, Field(ge=0)]
_CHECKED = {
    "title": Line,
    "adapter": Adapter,
    "base_url": Annotated[str, AfterValidator(_template)],
    "path": UrlPath,
    "key_variable": Variable,
    "api_key": Annotated[str, AfterValidator(_only_reference)],
    "default_model": Line,
    "port": Annotated[int, Field(ge=0, le=65535)],
    "hosts": list[Glob],
    "headers": PlainHeaders,
    "body": dict[str, Any],
}
"""What is said more exactly than `Profile` does."""


_typed_dict: Any = TypedDict
"""Its keys come from `Profile`, which mypy cannot follow."""


@cache
def _tables() -> TypeAdapter[Any]:
    keys: dict[str, Any] = {}
    for key in KEYS:
        kind = _CHECKED.get(key, kind_of(key))
        keys[key] = NotRequired[Annotated[_NOT_NEGATIVE if kind is int else kind, _said(key)]]
    adapter = _table("AdapterRow", keys)
    model = _table("ModelRow", {"match": Annotated[list[Glob], Field(min_length=1)], **keys})
    inner = {"adapters": NotRequired[dict[Adapter, adapter]], "models": NotRequired[list[model]]}  # type: ignore[valid-type]
    provider = _table("ProviderRow", {**keys, **inner})
    return TypeAdapter(dict[Name, provider], config=ConfigDict(strict=True))  # type: ignore[valid-type]


def _said(key: str) -> Any:
    return Field(description=meaning(key))


def _table(name: str, keys: dict[str, Any]) -> Any:
    made: Any = _typed_dict(name, keys)
    made.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    return made
