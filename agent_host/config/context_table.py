"""What may stand in `[context]` and `[records]`.

Theory of operation: see `schema`. What the model is sent of a long conversation, and how long
transcripts are kept.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_host.config.values import Count, Retention

_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class ContextConfig(BaseModel):
    """What the model is sent of a long conversation. The transcript keeps everything."""

    model_config = _FROZEN

    compact_at: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8,
        description="The share of the model's context window at which old tool results, then old "
        "messages, are left out of what it is sent. 1: only when the provider refuses.",
    )
    summary: Literal["extract", "model"] = Field(
        default="extract",
        description="What stands for messages that are left out: `extract`, their beginnings; "
        "`model`, a summary that the model writes (one more request, which is paid for).",
    )


class RecordsConfig(BaseModel):
    """How long transcripts are kept. Default: for ever. Nothing is deleted unless somebody, or a
    timer, runs `transcripts prune`: a folder's config alone never deletes a record."""

    model_config = _FROZEN

    keep: Retention | None = Field(
        default=None,
        description="`transcripts prune` deletes transcripts whose last record is older.",
    )
    keep_runs: Count | None = Field(
        default=None,
        description="`transcripts prune` keeps no more than so many transcripts, the newest.",
    )
