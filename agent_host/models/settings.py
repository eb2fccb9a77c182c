"""What an adapter is made from: one model of one provider, with every reference resolved.

Theory of operation: `host.py` turns a `[models.x]` table into one of these and hands it to the
adapter's `create`. Adapters read nothing else: no environment, no config, no file but `path`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent_host.profiles.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSettings:
    """One model of one provider.

    `base_url` is the root of the API (with `/v1` where the provider has it), None for the
    adapter's default. `path` is the file of a `script` or `replay` model. `timeout` is the
    seconds the model may take to send the next piece of its answer, `answer_timeout` for all of it.
    `effort`: how much the model should think, in the provider's own word, None for its default.
    `profile`: how it is spoken to, None for what is known of the host. `api_key` and `headers` may
    hold secrets and are not shown.
    """

    provider: str
    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    path: Path | None = None
    timeout: float = 120.0
    answer_timeout: float = 1800.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_output_tokens: int | None = None
    effort: str | None = None
    profile: Profile | None = None
