"""What a person is asked before a page is opened, or the model answers a server.

Theory of operation: both are one screen with the server's text whole behind a bar, and one answer.
As with approvals, Enter alone is none, yes is possible only once the end was shown, and the end of
input is no yes. A page is shown as the very URL that would be opened, its host on its own line.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from agent_host.core.text import clean, clean_line
from agent_host.core.types import Audio, Image, Message, Text
from agent_host.ports import SamplingQuestion
from agent_host.surfaces.address import Address
from agent_host.surfaces.approval import LineReader
from agent_host.surfaces.ask_keys import ESC, RESIZED, choose
from agent_host.surfaces.form import Asked
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.pages import Pages, header, keys, rows
from agent_host.surfaces.question import BAR, no_answer, wrap, wrap_words

PageAnswer = Literal["open", "self", "decline", "cancel", "never"]
"""`self`: the person opens the page; `never`: decline, and all else of that server too."""

SamplingAnswerWord = Literal["once", "always", "no", "never"]

_LEAVE: Mapping[str, PageAnswer] = {
    **dict.fromkeys(("n", "no", "d", "decline"), "decline"),
    **dict.fromkeys(("c", "cancel", ESC), "cancel"),
    **dict.fromkeys(("v", "never"), "never"),
}
_ALLOW: Mapping[str, SamplingAnswerWord] = {
    **dict.fromkeys(("y", "yes"), "once"),
    **dict.fromkeys(("a", "always"), "always"),
    **dict.fromkeys(("n", "no", ESC), "no"),
    **dict.fromkeys(("v", "never"), "never"),
}


async def ask_page(
    asked: Asked, page: Address, *, browser: bool, reader: LineReader, screen: Outlet
) -> PageAnswer:
    """Ask whether a page may be opened. `browser`: whether there is one to open it in."""
    width = screen.width
    above = [header("web page", asked.sign, screen), *rows(asked.head, width)]
    above += _behind_bar(asked.message, width)
    body = [screen.paint(f"  host      {line}", "bold") for line in wrap(page.host, width - 12)]
    body += [
        screen.paint(f"  {line}", "alert")
        for warning in page.warnings
        for line in wrap_words(f"! {warning}", width - 4)
    ]
    body += [f"{BAR}{line}" for line in wrap(page.url, width - 3)]
    below = keys(_page_keys(browser=browser), width)
    words: dict[str, PageAnswer] = {**_LEAVE, "o": "self"}
    words |= dict.fromkeys(("y", "yes"), "open" if browser else "self")
    # The server's message may be long as well: all of it has to be seen.
    pages = Pages(screen)
    pages.open(above[:1], [*above[1:], *body], below)
    yes = {word for word, meaning in words.items() if meaning in {"open", "self"}}
    choices = "y/o/d/c" if browser else "y/d/c"
    prompt = f"open it? [{choices}] "
    said = await _answer(reader, screen, pages, words, yes=yes, prompt=prompt)
    return "cancel" if said is None else words[said]


def _page_keys(*, browser: bool) -> Sequence[tuple[str, str]]:
    yes = [("y", "open it in your browser"), ("o", "I open it myself")]
    if not browser:
        yes = [("y", "I open it myself: there is no browser here that could be opened")]
    return [
        *yes,
        ("d", "decline"),
        ("c", "cancel (or Ctrl-C)"),
        ("v", "never: decline this and all else that this server asks for in this run"),
    ]


async def ask_sampling(
    question: SamplingQuestion, *, sign: str, reader: LineReader, screen: Outlet
) -> SamplingAnswerWord:
    """Ask whether a server may have the model's answer."""
    width = screen.width
    server = clean_line(question.server, 64)
    head = [
        ("server", server),
        ("model", clean_line(question.model, 128)),
        ("answer", f"at most {question.max_tokens:,} tokens, which the server gets to read"),
    ]
    if (waiting := question.waiting()) > 0:
        head.append(("waiting", f"{waiting} more question{'s' if waiting > 1 else ''}"))
    above = [header("model for a server", sign, screen), *rows(head, width)]
    body = [*_said("system prompt", question.system, width)]
    for message in question.messages:
        body += _message(message, width)
    below = keys(
        [
            ("y", "yes, once: it costs what a question of yours would"),
            ("a", f"always for {server} in this run, without asking"),
            ("n", "no"),
            ("v", "never: no to this and to all else that this server asks for in this run"),
        ],
        width,
    )
    pages = Pages(screen)
    pages.open(above, body, below)
    words = dict(_ALLOW)
    yes = {word for word, meaning in words.items() if meaning in {"once", "always"}}
    prompt = "let the model answer it? [y/a/n] "
    said = await _answer(reader, screen, pages, words, yes=yes, prompt=prompt)
    return "no" if said is None else words[said]


def _message(message: Message, width: int) -> Iterator[str]:
    for block in message.content:
        if isinstance(block, Text):
            yield from _said(message.role, block.text, width)
        elif isinstance(block, Image | Audio):
            kind = f"{block.type}, {clean_line(block.media_type, 60)}"
            yield from _said(message.role, f"[{kind}, {len(block.data) * 3 // 4:,} bytes]", width)


def _said(who: str, text: str, width: int) -> list[str]:
    return [f"  {who}:", *_behind_bar(text, width)] if text else []


def _behind_bar(text: str, width: int) -> list[str]:
    text = clean(text).strip()
    return [f"{BAR}{line}" for line in wrap(text, width - 3)] if text else []


async def _answer(
    reader: LineReader,
    screen: Outlet,
    pages: Pages,
    words: Mapping[str, object],
    *,
    yes: set[str],
    prompt: str,
) -> str | None:
    """Return the word that was answered, None at the end of input."""
    say = _sayer(screen)
    reader.discard_typed_ahead()
    while True:
        unseen = f"({pages.left} lines not shown yet) [m/s/n] "
        line = await choose(reader, unseen if pages.left else prompt)
        if line is None:
            return None
        if line == RESIZED:
            continue
        word = line.strip().lower()
        if word in {"m", "s", "all"}:
            pages.more(everything=word != "m")
        elif word in yes and pages.left:
            say("not everything was shown yet: m shows the next page, s the rest")
        elif word in words:
            return word
        elif word:
            say(no_answer(word))
        else:
            say("Enter alone is no answer; n refuses")


def _sayer(screen: Outlet) -> Callable[[str], None]:
    def say(text: str) -> None:
        for line in wrap_words(text, screen.width - 4):
            screen.write_now(f"  {line}\n")

    return say
