"""How one model at one place is spoken to."""

from dataclasses import dataclass, field, fields
from typing import Literal

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The row that applies to one model of one provider. Every key is one of `profiles.toml`.

    `provider`: the row's name, empty for an unknown place. `title`: for people. `adapter`: the wire
    dialect. `base_url`: the API's root; `{NAME}` in it is an environment variable. `path`: of the
    request, below it, empty for the dialect's own; `{model}` in it is the model's name. `auth`: see
    Auth. `key_variable`: where the key usually is. `default_model`: what `auto` and a bare provider
    name ask for. `port`: of a server on this machine. `hosts`: globs of `host` or `host:port` that
    are this provider's. `headers`: sent with each request.

    `schema`: the dialect of tool schemas. `max_tools`, `max_schema_size` (characters in all),
    `max_description` (characters): bounds of a request, 0 for none. `strict_field`: `strict` is
    said of each tool. `parallel_field`: `parallel_tool_calls` may be said. `tool_choice`: what may
    be asked for beside `auto`. `call_ids`: what ids of calls may be (`short`: 40 characters;
    `mistral`: exactly nine letters and digits). `arguments_as_object`: arguments of calls go out as
    an object.

    `system_role`: who says the system prompt. `after_tools`: who may speak after tool results
    (`assistant`: a user's message needs an assistant's between). `merge_users`: user and assistant
    must alternate. `images`, `audio`, `files`: a user's message may hold them. `tool_images`,
    `tool_files`: a tool result may. `echo_reasoning`: under which key reasoning returns to its
    origin, empty for turns of another; "" sends none. `thought_signature`: what stands in for the
    signature of a call that another model made.

    `max_tokens_field`: the key of the bound of an answer. `max_output_tokens`: the bound where the
    dialect demands one, 0 for none. `stream_usage`: usage has to be asked for. `effort`: see
    EffortField; `efforts`: what may be asked for, lowest first. `structured`: see Structured;
    `structured_with_tools`: both in one request. `prompt_cache`: breakpoints are set (`explicit`),
    a key is sent (`key`), or nothing. `body_model`: the model's name goes into the body. `body`:
    further keys of each request's body.

    `context_window`: tokens of prompt and answer together, 0 if not known. `silent_cut`: a prompt
    beyond the window is cut without a word, so what was counted is compared with what was sent.
    """

    provider: str = ""
    title: str = ""
    adapter: str = "openai-chat"
    base_url: str = ""
    path: str = ""
    auth: Auth = "bearer"
    key_variable: str = ""
    default_model: str = ""
    port: int = 0
    hosts: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)

    schema: SchemaDialect = "plain"
    max_tools: int = 0
    max_schema_size: int = 0
    max_description: int = 16_384
    strict_field: bool = False
    parallel_field: bool = False
    tool_choice: tuple[str, ...] = ("none", "required", "tool")
    call_ids: CallIds = "any"
    arguments_as_object: bool = False

    system_role: Literal["system", "developer", "user"] = "system"
    after_tools: Literal["anyone", "assistant"] = "anyone"
    merge_users: bool = False
    images: bool = True
    audio: bool = False
    files: bool = False
    tool_images: bool = False
    tool_files: bool = False
    echo_reasoning: Literal["", "reasoning_content", "reasoning"] = ""
    thought_signature: str = ""

    max_tokens_field: str = "max_tokens"
    max_output_tokens: int = 0
    stream_usage: bool = True
    effort: EffortField = ""
    efforts: tuple[str, ...] = ()
    structured: Structured = "prompt"
    structured_with_tools: bool = True
    prompt_cache: Literal["none", "explicit", "key"] = "none"
    body_model: bool = True
    body: dict[str, object] = field(default_factory=dict)

    context_window: int = 0
    silent_cut: bool = False


KEYS = frozenset(one.name for one in fields(Profile)) - {"provider"}
"""The keys that a row may have."""
