"""Short ways to make what policies are asked about."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_host.config.load import Loaded, load
from agent_host.core.conversation import Conversation
from agent_host.core.types import Annotations, Principal, Tool, ToolCall
from agent_host.host.policy import make_policy
from agent_host.policy.facts import Facts, Moment
from agent_host.policy.rules import RulePolicy
from agent_host.ports import PolicyAnswer

ANA = Principal(id="ana", roles=("clerk",))
NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z, a Monday


def tool(
    name: str = "refund",
    server: str = "orders",
    *,
    annotations: Annotations | None = None,
    **more: Any,
) -> Tool:
    return Tool(
        name=f"{server}__{name}",
        server=server,
        tool=name,
        description="",
        input_schema={},
        annotations=annotations or Annotations(),
        **more,
    )


def facts(
    arguments: Mapping[str, Any] | None = None,
    *,
    about: Tool | None = None,
    conversation: Conversation | None = None,
    principal: Principal = ANA,
    now: float = NOW,
    interactive: bool = False,
) -> Facts:
    return Facts(
        tool=about or tool(),
        arguments=dict(arguments or {}),
        conversation=conversation or Conversation(run_id="run"),
        principal=principal,
        moment=Moment(now=now, interactive=interactive),
    )


def config(folder: Path, text: str) -> Loaded:
    (folder / "servers.toml").write_text(text)
    return load(folder / "servers.toml", {}, cwd=folder)


def policy(folder: Path, text: str, *, now: float = NOW, **more: Any) -> RulePolicy:
    """The policy of a servers.toml, which is written; running totals are in the same folder."""
    config(folder, text)
    return policy_in(folder, now=now, **more)


def policy_in(folder: Path, *, now: float = NOW, **more: Any) -> RulePolicy:
    """The policy of the servers.toml that is there."""
    loaded = load(folder / "servers.toml", {}, cwd=folder)
    return make_policy(loaded, {"AGENT_HOST_STATE": str(folder)}, clock=lambda: now, **more)


def decide(
    policy: RulePolicy,
    arguments: Mapping[str, Any] | None = None,
    *,
    about: Tool | None = None,
    call: str = "c1",
    conversation: Conversation | None = None,
    principal: Principal = ANA,
) -> PolicyAnswer:
    about = about or tool()
    given = dict(arguments or {})
    return policy.decide(
        ToolCall(id=call, name=about.name, arguments=given),
        given,
        about,
        conversation or Conversation(run_id="run"),
        principal,
    )
