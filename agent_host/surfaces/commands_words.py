"""What may follow a command, for completion.

Theory of operation: the next word of a command, from what is known at this moment; nothing is
asked of anybody for it.
"""

from collections.abc import Callable, Iterable

from agent_host.surfaces.chat_around import Around
from agent_host.surfaces.chat_host import Host
from agent_host.surfaces.commands_settings import MODES
from agent_host.surfaces.commands_table import COMMANDS

_OF_SERVERS = frozenset(
    {"/login", "/prompt", "/prompts", "/resources", "/servers", "/skills", "/tools"}
)

_FORMATS = ("md", "html", "json", "openai", "anthropic")


def command_words(host: Host, around: Around | None = None) -> Callable[[str], Iterable[str]]:
    """Return what may follow a command, or a command and the words after it."""

    def words(command: str) -> Iterable[str]:
        name, _, given = command.partition(" ")
        if given:
            return _second(host, name, given)
        if command == "/model":
            return host.models()
        if command in _OF_SERVERS:
            return [server.name for server in host.pool.health()]
        if command == "/approve-mode":
            return list(MODES)
        if command == "/help":
            return [name.removeprefix("/") for name, _ in COMMANDS]
        if command == "/export" and around is not None and around.export is not None:
            return around.export.formats
        if command == "/export":
            return _FORMATS
        return ()

    return words


def _second(host: Host, command: str, given: str) -> Iterable[str]:
    if command == "/tools":
        return [tool.tool for tool in host.pool.tools().values() if tool.server == given]
    return ()
