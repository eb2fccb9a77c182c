"""The commands of a chat, as a table: how each is typed, and what it does.

Theory of operation: one row a command. /help, completion, the page docs/reference/chat.md and the
choice of what may run while the model works are all read from here; who does a command's work is in
`chat_commands`. Pure data, so that a list of commands costs nothing to have.
"""

from dataclasses import dataclass
from typing import Literal

Group = Literal["talk", "look", "tools", "runs", "settings"]

GROUPS: dict[Group, str] = {
    "talk": "the conversation",
    "look": "what happened",
    "tools": "servers and what they offer",
    "runs": "this run and others",
    "settings": "how the chat works",
}
"""The groups in their order, with their titles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. `name` with its slash; `arguments` as in a usage line; `about` is one line,
    `more` the rest of what there is to say; `while_working`: it may run while the model works,
    because it changes nothing that a step relies on; `examples` are lines to type, each with what
    it does."""

    name: str
    about: str
    group: Group
    arguments: str = ""
    while_working: bool = False
    more: str = ""
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"{self.name} {self.arguments}".rstrip()


TABLE: tuple[Command, ...] = (
    Command(
        name="/help",
        arguments="[COMMAND]",
        about="what can be typed here, or all about one command",
        group="settings",
        while_working=True,
        examples=(("/help undo", "all about /undo"),),
    ),
    Command(
        name="/compact",
        arguments="[WHAT TO KEEP]",
        about="make room in the context window now",
        group="talk",
        more="What the model is sent gets shorter: old tool results go first, then the oldest "
        "messages, for which a summary stands. The transcript keeps everything, and a tool of the "
        "host finds again what was left out. With words, the summary keeps what they name. It "
        "happens by itself before the window is full.",
        examples=(
            ("/compact", "leave out all but the last exchange"),
            ("/compact the order numbers", "the same; the summary keeps them"),
        ),
    ),
    Command(
        name="/undo",
        arguments="[N]",
        about="take back your last message and all that came of it, or the last N",
        group="talk",
        more="The conversation goes back to where it stood before the message, which comes back "
        "for editing. What tools did in the meantime is NOT undone; the calls that ran are listed. "
        "The transcript keeps what was taken back. To go back and keep both, see /fork.",
        examples=(("/undo", "the last message"), ("/undo 3", "the last three")),
    ),
    Command(
        name="/clear",
        about="begin an empty conversation, in a new run",
        group="talk",
        more="The same config, servers and options; this run stays recorded and can be resumed. "
        "What was allowed for the session is forgotten.",
    ),
    Command(
        name="/show",
        arguments="[N]",
        about="a tool call whole: its arguments and its result",
        group="look",
        while_working=True,
        more="Calls are numbered from the beginning of the run, as on the screen; without a number "
        "the last ones are listed. A result that was too long for the model is shown whole.",
        examples=(("/show", "the last calls with their numbers"), ("/show 3", "the third call")),
    ),
    Command(
        name="/reasoning",
        arguments="[N]",
        about="what the model thought before its last answer, or before the last but N",
        group="look",
        while_working=True,
        more="Only what the provider lets one see; some send a summary, some nothing.",
    ),
    Command(
        name="/context",
        about="what fills the context window, by server, and what is left",
        group="look",
        while_working=True,
        more="What the provider counted for its last answer is exact, what came after it is "
        "estimated; the sum is shared out among the parts by their length.",
    ),
    Command(
        name="/cost",
        about="tokens and money so far: by model and message, and what limits leave",
        group="look",
        while_working=True,
        more="A model whose price is not known is named, and never counts as free. Prices are "
        "those of `agent-host models list`.",
    ),
    Command(
        name="/servers",
        arguments="[SERVER]",
        about="the servers and how they are, or all about one",
        group="tools",
        while_working=True,
        examples=(("/servers crm", "one server, with what it last said on stderr"),),
    ),
    Command(
        name="/tools",
        arguments="[WORDS | SERVER [TOOL]]",
        about="the tools of the servers; search them, or see one whole",
        group="tools",
        while_working=True,
        more="`new`: first seen in this run; `changed`: not as it was pinned in servers.lock; "
        "`withheld`: not offered to the model until a person has accepted it (`agent-host servers "
        "lock`). Several words search the names, descriptions and arguments.",
        examples=(
            ("/tools refund order", "search"),
            ("/tools crm", "the tools of one server"),
            ("/tools crm refund_order", "description and schema of one tool"),
        ),
    ),
    Command(
        name="/prompts",
        arguments="[SERVER]",
        about="the servers' prompts; each is a command: /SERVER:PROMPT",
        group="tools",
        while_working=True,
        examples=(("/docs:summarise topic=tides", "use a prompt with an argument"),),
    ),
    Command(
        name="/prompt",
        arguments="SERVER NAME [ARGUMENTS]",
        about="use a prompt; shorter: /SERVER:NAME",
        group="tools",
        more="Arguments are name=value or stand in their order; quotes hold blanks together. What "
        "is missing is asked for. What the prompt makes is shown whole before it is sent.",
        examples=(('/prompt docs summarise "the tides"', "the same as /docs:summarise"),),
    ),
    Command(
        name="/resources",
        arguments="[SERVER]",
        about="the servers' resources; @SERVER:URI in a message attaches one",
        group="tools",
        while_working=True,
    ),
    Command(
        name="/skills",
        arguments="[SERVER]",
        about="the servers' skills",
        group="tools",
        while_working=True,
    ),
    Command(
        name="/login",
        arguments="SERVER",
        about="log in to a server",
        group="tools",
    ),
    Command(
        name="/reload",
        about="take over the servers of a servers.toml that changed",
        group="tools",
        more="Servers are added, ended or started anew; model, policy and limits stay as they "
        "were when the chat began.",
    ),
    Command(
        name="/model",
        arguments="[NAME]",
        about="show the models, or let another one answer",
        group="settings",
        while_working=True,
        more="A name under [models] of the config, PROVIDER:MODEL or URL:MODEL. The conversation "
        "goes on with it; the run records the change.",
        examples=(
            ("/model", "the models with window and price"),
            ("/model offline", "change to another"),
        ),
    ),
    Command(
        name="/approve-mode",
        arguments="[ask | policy | none | all]",
        about="how calls that policy wants a human for are answered",
        group="settings",
        more="ask: you are asked, the usual; policy, none: nobody is asked and they are refused; "
        "all: they are allowed unseen, which is confirmed by typing the word. What policy denies "
        "stays denied in every mode; what takes particular people, and calls in doubt, are never "
        "allowed unseen. It holds for this chat only, stands in the status line, and each answer "
        "is recorded with the mode that gave it.",
        examples=(("/approve-mode", "the mode now"), ("/approve-mode none", "refuse them")),
    ),
    Command(
        name="/policy",
        about="the rules in force, and why the last call was answered as it was",
        group="settings",
        while_working=True,
    ),
    Command(
        name="/config",
        arguments="[WORD]",
        about="the values of the config in force and where each comes from",
        group="settings",
        while_working=True,
        more="Values at their default are left out unless a word asks for them.",
        examples=(("/config limits", "the keys that hold this word"),),
    ),
    Command(
        name="/fork",
        arguments="[N]",
        about="go on in a new run, from here or from before your Nth message",
        group="runs",
        more="The new run begins with a copy of the conversation; this one stays as it is. "
        "Messages are numbered from 1, as /fork shows them when there is no such number.",
        examples=(("/fork", "from here"), ("/fork 2", "from before the second message")),
    ),
    Command(
        name="/resume",
        arguments="[WORDS]",
        about="choose another run of this folder and go on with it",
        group="runs",
        more="What is typed searches all that was said in every run, by users, models and tools: "
        'words that must all be there, "several words" in a row, -without. Arrows and Enter '
        "choose; on a terminal without a list, a number does. This run is recorded and ends; the "
        "chat starts again with the other one and the same options.",
        examples=(("/resume refund", "the runs that speak of a refund"),),
    ),
    Command(
        name="/export",
        arguments="[FORMAT] [FILE]",
        about="write this run in another form: Markdown, HTML, JSON, a model API's messages",
        group="runs",
        more="The forms are md (the usual one), html, json, openai and anthropic. Without a file "
        "it is written beside the transcript; with a file alone, its name says the form. A file "
        "that is there is written over only after a yes.",
        examples=(
            ("/export", "Markdown, beside the transcript"),
            ("/export report.html", "one HTML file"),
            ("/export openai chat.json", "the messages, as Chat Completions takes them"),
        ),
    ),
    Command(
        name="/quit",
        about="leave (also Ctrl-D)",
        group="runs",
        while_working=True,
    ),
)

BY_NAME: dict[str, Command] = {command.name: command for command in TABLE}

COMMANDS: tuple[tuple[str, str], ...] = tuple((c.name, c.about) for c in TABLE)
"""Names and what they do, for completion."""

_BEGINNING = """# Commands of a chat

What can be typed in `agent-host chat` after a slash. A message that itself begins with a slash is
typed with two. Every prompt of a server is a command too: `/SERVER:PROMPT [ARGUMENTS]`. See
[chat](../chat.md) for the keys.
"""

KEYS = (
    "Enter sends; what is sent while the model works waits, and Esc takes it back. Alt-Enter, "
    "Ctrl-J or a backslash before Enter makes a new line; // starts a message with a slash; Tab "
    "completes commands, prompts, @resources and @files. Esc or Ctrl-C stops what is under way; "
    "Esc twice changes your last message; Ctrl-R searches what you typed before; Ctrl-G opens your "
    "editor; Ctrl-D leaves."
)


def may_run_now(line: str) -> bool:
    """Return whether a line that was typed while the model works is a command that may run at
    once; anything else waits until the user is awaited."""
    command = BY_NAME.get(line.strip().partition(" ")[0])
    return command is not None and command.while_working


def reference() -> str:
    """Return the page of the reference: every command, in Markdown."""
    parts = [_BEGINNING]
    for group, title in GROUPS.items():
        parts.append(f"## {title[0].upper()}{title[1:]}\n")
        parts += [_section(command) for command in TABLE if command.group == group]
    return "\n".join(parts)


def _section(command: Command) -> str:
    about = f"{command.about[0].upper()}{command.about[1:]}."
    lines = [f"### {command.name}\n", f"```text\n{command.usage}\n```\n", f"{about} {command.more}"]
    lines[-1] = f"{lines[-1].strip()}\n"
    when = "at once, also" if command.while_working else "when the answer is there, if typed"
    lines.append(f"Runs {when} while the model works.\n")
    if command.examples:
        rows = [f"| `{line}` | {what} |" for line, what in command.examples]
        lines.append("\n".join(["| example | |", "|---|---|", *rows, ""]))
    return "\n".join(lines)
