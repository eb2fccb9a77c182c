"""What may stand in `[servers.NAME.sandbox]`.

Theory of operation: see `schema`. `sandbox = true` is the table with its defaults. What the sandbox
is made of is the machine's affair (`agent_host.sandbox`).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_host.config.values import Line

_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def sandboxed(value: Any) -> Any:
    """`true` is the table with its defaults, `false` as if the key were not there."""
    if isinstance(value, bool):
        return {"mode": "auto" if value else "off"}
    return value


class SandboxConfig(BaseModel):
    """What a program that is a server may reach. `sandbox = true` is this table with its
    defaults; without it a server has the user's rights."""

    model_config = _FROZEN

    mode: Literal["auto", "required", "off"] = Field(
        default="auto",
        description="`auto`: with what this machine has (bubblewrap, else Landlock and seccomp); "
        "what it cannot enforce is said aloud, and the server runs all the same. `required`: then "
        "it is not started. `off`: none.",
    )
    read: list[Line] = Field(
        default=[],
        description="Files and folders it may read beside its own program and the system's "
        "programs and libraries; they must exist. Relative to servers.toml, `~` is your home.",
    )
    write: list[Line] = Field(
        default=[],
        description="Files and folders it may read and change. A private folder for temporary "
        "files it has.",
    )
    network: Literal["none", "loopback", "all"] = Field(
        default="none",
        description="What it may reach: nothing, TCP on this machine's loopback, or everything.",
    )
    memory: Annotated[int, Field(ge=16)] | None = Field(
        default=None, description="Megabytes (2^20) of memory that each of its processes may have."
    )
    processes: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description="How many processes and threads it may have. Root's are not counted.",
    )
