"""How one model at one place is spoken to: every key that a row of `profiles.toml` may have.

Theory of operation: one frozen dataclass whose fields are the keys. What a key means stands beside
it, once: the reference of servers.toml and the checks of a user's own tables are made from here.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

Auth = Literal["bearer", "x-api-key", "api-key", "aws", "google", "none"]
"""How a request says who asks: `Authorization: Bearer`, a header of that name, or a cloud's own
signature or token, which the SDK makes."""

CallIds = Literal["any", "short", "mistral"]
SchemaDialect = Literal[
    "openai", "openai-strict", "anthropic", "anthropic-strict", "gemini", "plain"
]
Structured = Literal["json_schema", "json_object", "prompt"]
"""How an answer in JSON is asked for: by its schema, as any JSON object, or in words alone."""

EffortField = Literal["reasoning_effort", "reasoning", "output_config", "thinking_budget", ""]
"""Where the reasoning effort goes; empty: the model takes none, and none is sent."""

T = TypeVar("T")


def _key(default: T, means: str) -> T:
    """A field with its meaning; a default that could change is copied for each profile."""
    if isinstance(default, dict):
        made: Any = field(default_factory=default.copy, metadata={"means": means})
    else:
        made = field(default=default, metadata={"means": means})
    kept: T = made
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The row that applies to one model of one provider.

    `provider` is the row's name, empty for an unknown place; every other field is a key of
    `profiles.toml`, and its meaning stands beside it.
    """

    provider: str = ""
    title: str = _key("", "The provider's name for people.")
    adapter: str = _key("openai-chat", "The wire dialect that it speaks.")
    base_url: str = _key(
        "",
        "The API's root. `{NAME}` in it is an environment variable, `{A,B}` the first one that is "
        "set.",
    )
    path: str = _key(
        "",
        "The path of a request below `base_url`, empty for the dialect's own; `{model}` in it is "
        "the model's name.",
    )
    auth: Auth = _key(
        "bearer",
        "How a request says who asks: `Authorization: Bearer KEY`, the key in a header of that "
        "name, or a cloud's own signature or token.",
    )
    key_variable: str = _key("", "The environment variable that usually holds the key.")
    api_key: str = _key(
        "", "A reference to the key, where the variable is not set: `${keyring:SERVICE/NAME}`."
    )
    default_model: str = _key("", "The model that `auto` and the bare name ask for.")
    port: int = _key(0, "The usual port of a server on this machine.")
    hosts: tuple[str, ...] = _key((), "Globs of `host` or `host:port` that are this provider's.")
    headers: dict[str, str] = _key({}, "HTTP headers of each request.")

    schema: SchemaDialect = _key("plain", "The dialect of tool schemas.")
    max_tools: int = _key(0, "The most tools of a request, 0 for no bound.")
    max_schema_size: int = _key(0, "The most characters of all tools together, 0 for no bound.")
    max_description: int = _key(16_384, "The most characters of one description.")
    strict_field: bool = _key(False, "`strict` is said of each tool.")
    parallel_field: bool = _key(False, "`parallel_tool_calls` may be said.")
    tool_choice: tuple[str, ...] = _key(
        ("none", "required", "tool"), "What may be asked for beside `auto`."
    )
    call_ids: CallIds = _key(
        "any",
        "What the ids of calls may be: `short` has 40 characters, `mistral` exactly nine letters "
        "and digits.",
    )
    arguments_as_object: bool = _key(False, "The arguments of calls go out as an object, not text.")

    system_role: Literal["system", "developer", "user"] = _key(
        "system", "Who says the system prompt."
    )
    after_tools: Literal["anyone", "assistant"] = _key(
        "anyone",
        "Who may speak after tool results; `assistant`: before a user's message there must be an "
        "assistant's.",
    )
    merge_users: bool = _key(False, "User and assistant must alternate.")
    images: bool = _key(True, "A user's message may hold images.")
    audio: bool = _key(False, "A user's message may hold audio.")
    files: bool = _key(False, "A user's message may hold files.")
    tool_images: bool = _key(False, "A tool result may hold images.")
    tool_files: bool = _key(False, "A tool result may hold files.")
    echo_reasoning: Literal["", "reasoning_content", "reasoning"] = _key(
        "",
        "Under which key reasoning goes back to where it came from, empty for turns of another "
        "model; empty: it does not go back.",
    )
    thought_signature: str = _key(
        "", "What stands in for the signature of a call that another model made."
    )

    max_tokens_field: str = _key("max_tokens", "The key of the bound of an answer.")
    max_output_tokens: int = _key(0, "The bound where the dialect demands one, 0 for none.")
    stream_usage: bool = _key(True, "Usage has to be asked for.")
    effort: EffortField = _key(
        "", "Where the reasoning effort goes; empty: the model takes none, and none is sent."
    )
    efforts: tuple[str, ...] = _key((), "The efforts that may be asked for, lowest first.")
    structured: Structured = _key(
        "prompt",
        "How an answer in JSON is asked for: by its schema, as any JSON object, or in words alone.",
    )
    structured_with_tools: bool = _key(True, "That may be asked for together with tools.")
    prompt_cache: Literal["none", "explicit", "key"] = _key(
        "none", "How the prompt cache is used: breakpoints are set, a key is sent, or nothing."
    )
    body_model: bool = _key(True, "The model's name goes into the body.")
    body: dict[str, object] = _key({}, "Further keys of each request's body.")

    prices: str = _key(
        "", "The provider's name in the genai-prices package, empty for its own name here."
    )
    context_window: int = _key(0, "Tokens of prompt and answer together, 0 if not known.")
    silent_cut: bool = _key(
        False,
        "A prompt beyond the window is cut without a word, so what was counted is compared with "
        "what was sent.",
    )


KEYS = frozenset(one.name for one in fields(Profile)) - {"provider"}
"""The keys that a row may have."""
