"""What an adapter is made from: one model of one provider, with every reference resolved.

Theory of operation: `host.py` turns a `[models.x]` table into one of these and hands it to the
adapter's `create`. Adapters read nothing else: no environment, no config, no file but `path`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSettings:
    """One model of one provider.

    `base_url` is the root of the API (with `/v1` where the provider has it), None for the
    adapter's default. `path` is the file of a `script` or `replay` model. `timeout` is the
    seconds the model may take to send the next piece of its answer. `api_key` and `headers` may
    hold secrets and are not shown.
    """

    provider: str
    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    path: Path | None = None
    timeout: float = 120.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_output_tokens: int | None = None
