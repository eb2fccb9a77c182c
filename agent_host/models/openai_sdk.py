"""The openai package, without the types of every API that it speaks: half of what it costs.

The adapter speaks through the package's client and reads the raw stream; whoever asks the package
for one of the types gets it, see `engine.deferred`.
"""

from agent_host.engine.deferred import defer

defer(
    "openai",
    "openai.lib",
    "openai.resources",
    "openai.types",
    "openai.types.audio",
    "openai.types.beta",
    "openai.types.chat",
    "openai.types.responses",
    "openai.types.shared",
    "openai.types.shared_params",
    "openai.types.webhooks",
)

import openai  # noqa: E402 - after the deferral

__all__ = ["openai"]
