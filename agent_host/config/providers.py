"""The providers that can be named without a `[models.x]` table.

Theory of operation: a row says where a provider's OpenAI-compatible API is, which variable
usually holds its key, and which model `auto` asks for. `auto` takes the first row whose key is in
the environment, in this order: makers of models before those that resell them. A default model is
only a default: `AGENT_HOST_MODEL=openai:NAME`, `--model openai:NAME` or a `[models.x]` table says
another. Rows without a key variable are servers on this machine; `auto` never takes one of them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Where a provider's API is. `port` is the usual port of a server on this machine."""

    name: str
    base_url: str
    key_variable: str | None = None
    default_model: str | None = None
    title: str = ""
    port: int | None = None


PROVIDERS: tuple[Provider, ...] = (
    Provider(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        default_model="gpt-6.1-terra",
    ),
    Provider(
        name="anthropic",
        title="Anthropic (its OpenAI-compatible endpoint)",
        base_url="https://api.anthropic.com/v1",
        key_variable="ANTHROPIC_API_KEY",
        default_model="claude-sonnet-5",
    ),
    Provider(
        name="gemini",
        title="Google Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variable="GEMINI_API_KEY",
        default_model="gemini-3.8-flash",
    ),
    Provider(
        name="mistral",
        title="Mistral",
        base_url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        default_model="mistral-large-latest",
    ),
    Provider(
        name="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com/v1",
        key_variable="DEEPSEEK_API_KEY",
        default_model="deepseek-v4-flash",
    ),
    Provider(
        name="xai",
        title="xAI",
        base_url="https://api.x.ai/v1",
        key_variable="XAI_API_KEY",
        default_model="grok-4.3",
    ),
    Provider(
        name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        key_variable="OPENROUTER_API_KEY",
        default_model="openrouter/auto",
    ),
    Provider(
        name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        key_variable="GROQ_API_KEY",
        default_model="openai/gpt-oss-120b",
    ),
    Provider(
        name="together",
        title="Together",
        base_url="https://api.together.xyz/v1",
        key_variable="TOGETHER_API_KEY",
        default_model="openai/gpt-oss-120b",
    ),
    Provider(name="ollama", title="Ollama", base_url="http://127.0.0.1:11434/v1", port=11434),
    Provider(name="llamacpp", title="llama.cpp", base_url="http://127.0.0.1:8080/v1", port=8080),
    Provider(name="lmstudio", title="LM Studio", base_url="http://127.0.0.1:1234/v1", port=1234),
    Provider(name="vllm", title="vLLM", base_url="http://127.0.0.1:8000/v1", port=8000),
)
"""In the order of `auto`."""


def provider_named(name: str) -> Provider | None:
    """Return the provider with that name, or None."""
    return next((p for p in PROVIDERS if p.name == name), None)


def provider_at(base_url: str | None) -> Provider | None:
    """Return the provider whose API is at `base_url` (None: OpenAI's), or None."""
    if base_url is None:
        return PROVIDERS[0]
    return next((p for p in PROVIDERS if p.base_url == base_url.rstrip("/")), None)
