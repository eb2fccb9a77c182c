"""Which tools a model may or must call, as far as its provider can be told."""

from agent_host.core.types import ModelRequest
from agent_host.models.schemas import ToolTable
from agent_host.profiles.profile import Profile


def word(request: ModelRequest, profile: Profile) -> str:
    """Return `none` or `required` if that was asked for and may be said, else nothing."""
    choice = request.tool_choice
    return choice if choice in ("none", "required") and choice in profile.tool_choice else ""


def named_tool(request: ModelRequest, table: ToolTable, profile: Profile) -> str:
    """Return the name on the wire of the one tool that was asked for, else nothing: none was, it
    is not offered, or the provider cannot be told."""
    choice = request.tool_choice
    if choice in ("auto", "none", "required") or "tool" not in profile.tool_choice:
        return ""
    return next((one.name for one in table.offered if one.tool.name == choice), "")


def one_at_a_time(table: ToolTable, profile: Profile) -> bool:
    """Return whether to say that calls may not come in parallel: no tool allows it."""
    return profile.parallel_field and not any(one.tool.parallel for one in table.offered)
