"""Tools that only repeat what is recorded, for a model that is asked again.

Theory of operation: a call gets the result of the recorded call of that name with those arguments;
of several, one after the other, the last one again and again. What is not in the record does not
run: the model is told so, and the replay counts it. A definition comes from what the host knows of
its servers; of a tool that it does not know it is made from the recorded calls, and says little.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from agent_host.core.conversation import Conversation
from agent_host.core.events import Event, ModelResponded, ToolFinished
from agent_host.core.types import (
    Json,
    JsonObject,
    Principal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from agent_host.ports import CallContext, PolicyAnswer
from agent_host.replays.path import Alike, calls, key

NOT_RECORDED = (
    "not executed: this is a replay, and there is no such call in the record; go on without it"
)
_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


class StubbedTools:
    """Implements `ports.ToolSource`. `known`: definitions by exposed name; `unrecorded` are the
    calls that had no result, `guessed` the tools whose definitions are not known; `alike`: which
    calls get the same result."""

    def __init__(
        self, events: Sequence[Event], known: Mapping[str, Tool], alike: Alike = key
    ) -> None:
        self._alike = alike
        self.unrecorded: list[ToolCall] = []
        self.guessed: list[str] = []
        self._results: dict[str, deque[ToolResult]] = defaultdict(deque)
        examples: dict[str, list[JsonObject]] = defaultdict(list)
        open_calls: dict[str, ToolCall] = {}
        for event in events:
            if isinstance(event, ModelResponded):
                open_calls = {call.id: call for call in calls(event.message)}
                for call in open_calls.values():
                    examples[call.name].append(call.arguments)
            elif isinstance(event, ToolFinished) and event.result.call_id in open_calls:
                call = open_calls[event.result.call_id]
                self._results[alike(call.name, call.arguments)].append(event.result)
        self._table = dict(known)
        for name, given in examples.items():
            if name not in self._table and not self._never_was(name):
                self._table[name] = _guessed(name, given)
                self.guessed.append(name)

    def _never_was(self, name: str) -> bool:
        """Whether each recorded call of that name was told that there is no such tool."""
        return all(
            result.error == "unknown_tool"
            for call, results in self._results.items()
            if call.partition(" ")[0] == name
            for result in results
        )

    async def ready(self) -> None:
        """Nothing has to start."""

    def tools(self) -> Mapping[str, Tool]:
        """See `ports.ToolSource`."""
        return self._table

    def withheld(self, name: str) -> str | None:
        """Nothing is withheld."""
        return None

    def validate(self, tool: Tool, arguments: JsonObject) -> str | None:
        """What is not valid is not recorded either."""
        return None

    async def call(self, tool: Tool, arguments: JsonObject, context: CallContext) -> ToolResult:
        """Return the recorded result."""
        found = self._results.get(self._alike(tool.name, arguments))
        if not found:
            self.unrecorded.append(
                ToolCall(id=context.call_id, name=tool.name, arguments=arguments)
            )
            return ToolResult(
                call_id=context.call_id, content=(Text(text=NOT_RECORDED),), error="tool_error"
            )
        return found.popleft() if len(found) > 1 else found[0]


class NothingRuns:
    """Implements `ports.Policy`: stubs may be called, they change nothing."""

    fingerprint = ""

    def decide(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> PolicyAnswer:
        """See `ports.Policy`."""
        return PolicyAnswer(decision="allow", rule="the result comes from the record")

    def begin(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> str | None:
        """Nothing is counted."""
        return None

    def end(self, conversation: Conversation, call_id: str) -> None:
        """Nothing is counted."""


def _guessed(name: str, examples: Sequence[JsonObject]) -> Tool:
    properties: dict[str, Json] = {}
    for arguments in examples:
        for argument, value in arguments.items():
            properties.setdefault(argument, {"type": _TYPES.get(type(value), "string")})
    server, _, own = name.partition("__")
    return Tool(
        name=name,
        server=server,
        tool=own or name,
        description="",
        input_schema={"type": "object", "properties": properties},
        fingerprint="guessed",
    )
